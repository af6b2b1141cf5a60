package run

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/codec/batch"
)

// franzProducer is an ordinary client that sends.
type franzProducer struct {
	r        *run
	client   *kgo.Client
	parts    []int
	rate     float64
	start    time.Time
	keys     [][]byte
	values   [][]byte
	perBatch int // records to one partition before the next has its turn
	stamped  bool
	count    *franzCounter
	stop     atomic.Bool
	ended    atomic.Bool
	halted   chan struct{} // closed by Stop
	hurry    context.Context
	cut      context.CancelFunc // ends hurry
	room     chan struct{}      // a place for each record that the client may hold
}

// franzCounter counts what a client says of itself.
type franzCounter struct {
	meter   *load.Meter
	fetches bool         // their latency counts
	batches atomic.Int64 // produced
	records atomic.Int64
}

// OnProduceBatchWritten counts batches as on the wire.
func (f *franzCounter) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	f.batches.Add(1)
	f.records.Add(int64(b.NumRecords))
	f.meter.Lock()
	f.meter.Count().Produced.Bytes += int64(b.CompressedBytes + batch.HeaderSize)
	f.meter.Unlock()
}

// OnFetchBatchRead counts batches that came.
func (f *franzCounter) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	f.meter.Lock()
	f.meter.Count().Consumed.Bytes += int64(b.CompressedBytes + batch.HeaderSize)
	f.meter.Unlock()
}

// OnBrokerE2E counts requests.
func (f *franzCounter) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	const produce, fetch = 0, 1
	if key > fetch || e.Err() != nil {
		return
	}
	f.meter.Lock()
	defer f.meter.Unlock()
	if key == produce {
		f.meter.Count().Produced.Requests++
		return
	}
	f.meter.Count().Consumed.Requests++
	if f.fetches {
		f.meter.Latency(load.FetchLatency, int64(e.DurationE2E()), 1)
	}
}

func (r *run) franzActors(ctx context.Context, from map[int]int64) error {
	w := &r.Workload
	for i := range w.Producers {
		p, err := r.franzProducer(i)
		if err != nil {
			return err
		}
		r.producers = append(r.producers, p)
	}
	for g := range w.Groups {
		name := fmt.Sprintf("%sgroup-%d", r.cluster.stem, g)
		r.groups = append(r.groups, name)
		r.made()
		var at kadm.Offsets // where it begins, for all members alike
		for index, o := range from {
			topic, p := r.cluster.Name(index)
			at.AddOffset(topic, p, o, -1)
		}
		if err := r.cluster.admin.CommitAllOffsets(ctx, name, at); err != nil {
			return fmt.Errorf("set where the group %s begins: %w", name, err)
		}
	}
	for i := range w.Consumers {
		c, err := r.franzConsumer(i, from)
		if err != nil {
			return err
		}
		r.consumers = append(r.consumers, c)
	}
	return nil
}

func (r *run) franzOpts(c *franzCounter) []kgo.Opt {
	return []kgo.Opt{kgo.Dialer(r.dialer.DialContext), kgo.WithHooks(c), kgo.ClientID("penstock-bench")}
}

var codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}

func (r *run) franzProducer(i int) (*franzProducer, error) {
	w := &r.Workload
	p := &franzProducer{r: r, parts: w.Assign(i, w.Producers, false), rate: float64(w.Rate) / float64(w.Producers),
		stamped: w.Kind == workload.EndToEnd, count: &franzCounter{meter: r.meter(i)}}
	g, err := load.NewRecords(w)
	if err != nil {
		return nil, err
	}
	const poolRecords, poolBytes = 4096, 16 << 20
	size := 0
	for len(p.values) < poolRecords && size < poolBytes {
		k, v := g.Next()
		p.keys, p.values = append(p.keys, k), append(p.values, v)
		size += len(k) + len(v)
	}
	const overhead = 16 // of a record with its varints, at most, without headers
	each := size/len(p.values) + overhead
	if p.stamped {
		each += len(load.StampHeader) + 10
	}
	batchSize := w.BatchSize
	if w.BatchRecords > 0 {
		batchSize = w.BatchRecords*each + batch.HeaderSize
	}
	p.perBatch = max(batchSize/each, 1)
	const franzBatchMin = 1 << 10 // franz-go takes no smaller bound
	// The places are counted here and not by franz-go: to give up a record that waits for
	// one, its context would have to end, and with that also records under way would fail.
	p.hurry, p.cut = context.WithCancel(context.Background())
	p.halted, p.room = make(chan struct{}), make(chan struct{}, max(2*w.InFlight*p.perBatch, 1000))
	opts := append(r.franzOpts(p.count), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(int32(max(batchSize, franzBatchMin))),
		kgo.ProducerBatchCompression(codecs[w.Compression]), kgo.RecordDeliveryTimeout(30*time.Second), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(cap(p.room)+1))
	switch acks(w.Acks) {
	case 0:
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	case 1:
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !w.Idempotent { // with it, the client takes no other number of requests than its own
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(w.InFlight))
	}
	p.client, err = r.Client(opts...)
	return p, err
}

// Run sends until Stop: each record when it is due, or as fast as the client takes them.
func (p *franzProducer) Run(context.Context) {
	defer p.ended.Store(true)
	defer p.client.Close()
	period := 1e9
	if p.rate > 0 {
		period = 1e9 / p.rate
	}
	n := 0
	for ; !p.stop.Load(); n++ {
		since := time.Now().UnixNano()
		if p.rate > 0 {
			due := p.start.UnixNano() + int64(period*float64(n))
			for since < due && !p.stop.Load() {
				load.SleepUntil(min(due, since+int64(20*time.Millisecond)))
				since = time.Now().UnixNano()
			}
			if p.stop.Load() {
				break
			}
			since = due
		}
		select {
		case p.room <- struct{}{}:
			p.send(n, since)
			continue
		case <-p.halted:
		}
		break // this record was not sent
	}
	end := time.Now()
	drain, cancel := context.WithTimeout(p.hurry, p.r.Drain)
	defer cancel()
	if err := p.client.Flush(drain); err != nil {
		cancel()
		abort, cancel := context.WithTimeout(p.hurry, 5*time.Second)
		defer cancel()
		_ = p.client.AbortBufferedRecords(abort) // what is left ends with Close
	}
	if p.rate > 0 {
		p.late(n, period, end)
	}
}

// lateMin is how long a record must have waited, in ns, to count as kept back by a stall.
const lateMin = 50_000_000

// late counts what was due and had not been given to the client.
func (p *franzProducer) late(n int, period float64, end time.Time) {
	m := p.count.meter
	m.Lock()
	defer m.Unlock()
	for ; ; n++ {
		wait := end.UnixNano() - p.start.UnixNano() - int64(period*float64(n))
		if wait <= lateMin {
			return
		}
		m.Count().Unsent++
		m.Latency(load.ProduceLatency, wait, 1)
	}
}

func (p *franzProducer) send(n int, since int64) {
	topic, partition := p.r.cluster.Name(p.parts[n/p.perBatch%len(p.parts)])
	rec := &kgo.Record{Topic: topic, Partition: partition, Key: p.keys[n%len(p.keys)], Value: p.values[n%len(p.values)]}
	if p.stamped {
		rec.Headers = []kgo.RecordHeader{{Key: load.StampHeader, Value: binary.BigEndian.AppendUint64(nil, uint64(since))}}
	}
	m := p.count.meter
	p.client.Produce(context.Background(), rec, func(_ *kgo.Record, err error) {
		now := time.Now().UnixNano()
		<-p.room
		m.Lock()
		defer m.Unlock()
		if err != nil {
			m.Fail(1, err)
			m.Count().Unanswered++
			return
		}
		m.Count().Sent++
		m.Count().Produced.Records++
		m.Latency(load.ProduceLatency, now-since, 1)
	})
}

// Stop ends Run. A record that waits for room in the client is given up.
func (p *franzProducer) Stop() {
	if !p.stop.Swap(true) {
		close(p.halted)
	}
}

// Hurry makes Run wait for nothing that is under way.
func (p *franzProducer) Hurry() { p.cut() }

// Over says whether Run has ended.
func (p *franzProducer) Over() bool { return p.ended.Load() }

// franzNotes says how the client made its batches, which cannot be told it exactly.
func (m *measure) franzNotes(p *franzProducer) {
	if n := p.count.batches.Load(); n > 0 {
		m.note("franz-go made its batches itself: %.1f records in each on average, of at most %d (linger 0).", float64(p.count.records.Load())/float64(n), p.perBatch)
	}
}

// franzConsumer is an ordinary client that reads, alone or as a member of a group.
type franzConsumer struct {
	r        *run
	client   *kgo.Client
	count    *franzCounter
	from     map[int]int64
	again    bool
	assigned atomic.Int64 // partitions it has by its group
	ctx      context.Context
	halt     context.CancelFunc
	index    map[string]int // of a topic
}

func (r *run) franzConsumer(i int, from map[int]int64) (*franzConsumer, error) {
	w := &r.Workload
	c := &franzConsumer{r: r, from: from, again: w.Kind == workload.Consume, index: map[string]int{},
		count: &franzCounter{meter: r.meter(w.Producers + i), fetches: w.Kind == workload.Consume}}
	for t, n := range r.cluster.names {
		c.index[n] = t
	}
	opts := append(r.franzOpts(c.count), kgo.FetchMaxBytes(int32(w.FetchMax)), kgo.FetchMaxPartitionBytes(int32(w.FetchMax)), kgo.FetchMinBytes(int32(w.FetchMin)),
		kgo.FetchMaxWait(fetchWait))
	if w.Groups > 0 {
		change := func(by int64) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
				for _, p := range parts {
					c.assigned.Add(by * int64(len(p)))
				}
			}
		}
		opts = append(opts, kgo.ConsumerGroup(r.groups[i%w.Groups]), kgo.ConsumeTopics(r.cluster.names...),
			kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)))
	} else {
		parts := map[string]map[int32]kgo.Offset{}
		for _, index := range w.Assign(i, w.Consumers, true) {
			topic, p := r.cluster.Name(index)
			if parts[topic] == nil {
				parts[topic] = map[int32]kgo.Offset{}
			}
			parts[topic][p] = kgo.NewOffset().At(from[index])
		}
		opts = append(opts, kgo.ConsumePartitions(parts))
	}
	var err error
	c.ctx, c.halt = context.WithCancel(context.Background())
	c.client, err = r.Client(opts...)
	return c, err
}

// Run reads until Stop.
func (c *franzConsumer) Run(context.Context) {
	defer c.client.Close()
	const pollMax = 10_000
	m := c.count.meter
	for {
		fetches := c.client.PollRecords(c.ctx, pollMax)
		if c.ctx.Err() != nil {
			return
		}
		now := time.Now().UnixNano()
		back := map[string]map[int32]kgo.EpochOffset{}
		m.Lock()
		fetches.EachError(func(_ string, _ int32, err error) { m.Fail(1, err) })
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			m.Count().Consumed.Records += int64(len(p.Records))
			for _, rec := range p.Records {
				for _, h := range rec.Headers {
					if h.Key == load.StampHeader && len(h.Value) == 8 {
						m.Latency(load.EndToEnd, now-int64(binary.BigEndian.Uint64(h.Value)), 1)
					}
				}
			}
			index := c.index[p.Topic]*c.r.Workload.Partitions + int(p.Partition)
			if n := len(p.Records); c.again && n > 0 && p.Records[n-1].Offset+1 >= c.r.ends[index] {
				if back[p.Topic] == nil {
					back[p.Topic] = map[int32]kgo.EpochOffset{}
				}
				back[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: c.from[index]}
			}
		})
		m.Unlock()
		if len(back) > 0 {
			c.client.SetOffsets(back)
		}
	}
}

// Stop ends Run, which waits for nothing.
func (c *franzConsumer) Stop()  { c.halt() }
func (c *franzConsumer) Hurry() { c.halt() }
