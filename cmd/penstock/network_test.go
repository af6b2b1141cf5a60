package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// badNetwork forwards connections to a broker in pieces of any size, and resets each one
// after some bytes of either direction: a request may be lost, or its answer.
type badNetwork struct {
	ln     net.Listener
	to     string
	resets atomic.Int64
	fair   atomic.Bool // no more resets
	all    sync.WaitGroup
}

func newBadNetwork(t *testing.T) *badNetwork {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{ln: ln}
	t.Cleanup(func() { _ = ln.Close(); n.all.Wait() })
	return n
}

// serve forwards to a broker until the listener is closed.
func (n *badNetwork) serve(to string, seed uint64) {
	n.to = to
	r := rand.New(rand.NewPCG(seed, 17))
	n.all.Go(func() {
		for {
			c, err := n.ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", n.to)
			if err != nil {
				_ = c.Close()
				continue
			}
			// Most connections end in the middle of something; some only after much.
			left := new(atomic.Int64)
			left.Store(100 + r.Int64N(1<<(8+r.IntN(11))))
			var both sync.WaitGroup
			for i, pair := range [][2]net.Conn{{c, up}, {up, c}} {
				rnd := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
				both.Go(func() { n.forward(pair[0].(*net.TCPConn), pair[1].(*net.TCPConn), left, rnd) })
			}
			n.all.Go(both.Wait)
		}
	})
}

func (n *badNetwork) forward(from, to *net.TCPConn, left *atomic.Int64, r *rand.Rand) {
	b := make([]byte, 8<<10)
	for {
		k, err := from.Read(b[:1+r.IntN(len(b))])
		if k > 0 && !n.fair.Load() && left.Add(-int64(k)) < 0 {
			n.resets.Add(1)
			k, err = r.IntN(k), io.ErrUnexpectedEOF // a part of it still arrives
		}
		if _, e := to.Write(b[:k]); e != nil && err == nil {
			err = e
		}
		if err != nil {
			for _, c := range []*net.TCPConn{from, to} {
				if !errors.Is(err, io.EOF) {
					_ = c.SetLinger(0)
				}
				_ = c.Close()
			}
			return
		}
	}
}

// Over a network that cuts connections at any byte, what an idempotent producer was told
// is written is there once and in order, and a group that commits as it reads misses
// nothing.
func TestANetworkThatCutsConnectionsLosesAndDoublesNothing(t *testing.T) {
	const partitions, records = 3, 20_000
	n := newBadNetwork(t)
	p := launch(t, small(t.TempDir(), memoryDir(t), "--advertised", n.ln.Addr().String())...)
	direct := p.ready().Listeners[0].Address
	n.serve(direct, 1)
	c := connect(t, direct)
	if err := c.createTopic("t", partitions, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	open := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.ln.Addr().String()), kgo.RequestRetries(1 << 20), kgo.RetryTimeout(2 * patience),
			kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond })}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.CloseAllowingRebalance)
		return cl
	}
	reader := open(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(100*time.Millisecond), kgo.FetchMaxPartitionBytes(20<<10))
	writer := open(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchMaxBytes(4<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	filler := make([]byte, 100)
	for i := range uint32(records) {
		writer.Produce(ctx, &kgo.Record{Partition: int32(i % partitions), Value: append(binary.BigEndian.AppendUint32(nil, i), filler...)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := writer.Flush(ctx); err != nil {
		t.Fatalf("%v; the network cut %d connections", err, n.resets.Load())
	}
	seen := make([]bool, records)
	for left := records; left > 0 && ctx.Err() == nil; {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if i := binary.BigEndian.Uint32(r.Value); !seen[i] {
				seen[i], left = true, left-1
			}
		})
	}
	if ctx.Err() != nil {
		t.Errorf("the group has not read everything; the network cut %d connections", n.resets.Load())
	}
	n.fair.Store(true)
	for k := range int32(partitions) {
		next := uint32(k)
		if _, err := c.read("t", k, func(offset int64, v []byte) {
			if i := binary.BigEndian.Uint32(v); i != next {
				t.Errorf("partition %d, offset %d: record %d; want %d", k, offset, i, next)
				next = i
			}
			next += partitions
		}); err != nil || next < records {
			t.Errorf("partition %d ends before record %d: %v", k, next, err)
		}
	}
	if n.resets.Load() < 50 {
		t.Errorf("the network cut %d connections only", n.resets.Load())
	}
	t.Logf("the network cut %d connections", n.resets.Load())
}
