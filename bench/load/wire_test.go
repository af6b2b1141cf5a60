package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/codec/batch"
)

// fake is a broker that keeps what it is sent and gives it back. It can stall, refuse and
// hang up.
type fake struct {
	t    *testing.T
	l    net.Listener
	gate sync.RWMutex // held for writing, nothing is answered

	mu      sync.Mutex
	logs    map[int32][][]byte // batches by partition, with their offsets
	ends    map[int32]int64
	refuse  func(n int) int16 // error code of the n-th produce
	hangUp  int               // at the n-th produce; 0: never
	cut     atomic.Bool       // hang up at the next fetch
	n       int
	records int64
}

func newFake(t *testing.T) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, l: l, logs: map[int32][][]byte{}, ends: map[int32]int64{}}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	var head [4]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(b)))
		req.SetVersion(int16(binary.BigEndian.Uint16(b[2:])))
		skip := 10 + int(binary.BigEndian.Uint16(b[8:]))
		if req.IsFlexible() {
			skip++
		}
		if err := req.ReadFrom(b[skip:]); err != nil {
			f.t.Errorf("request: %v", err)
			return
		}
		var resp kmsg.Response
		switch q := req.(type) {
		case *kmsg.ProduceRequest:
			if resp = f.produce(q); resp == nil {
				return
			}
			if q.Acks == 0 {
				continue
			}
		case *kmsg.FetchRequest:
			resp = f.fetch(q)
			if f.cut.Swap(false) {
				return
			}
		}
		f.gate.RLock()
		out := append([]byte{0, 0, 0, 0}, b[4:8]...)
		if resp.IsFlexible() {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		_, err := c.Write(out)
		f.gate.RUnlock()
		if err != nil {
			return
		}
	}
}

func (f *fake) produce(q *kmsg.ProduceRequest) kmsg.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.n == f.hangUp {
		return nil
	}
	in := q.Topics[0].Partitions[0]
	resp := q.ResponseKind().(*kmsg.ProduceResponse)
	t, p := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
	t.Topic, p.Partition = q.Topics[0].Topic, in.Partition
	if f.refuse != nil {
		p.ErrorCode = f.refuse(f.n)
	}
	if p.ErrorCode == 0 {
		b := bytes.Clone(in.Records)
		h, err := batch.Valid(b)
		if err != nil {
			f.t.Errorf("batch: %v", err)
		}
		binary.BigEndian.PutUint64(b, uint64(f.ends[in.Partition]))
		f.ends[in.Partition] += int64(h.Count)
		f.records += int64(h.Count)
		f.logs[in.Partition] = append(f.logs[in.Partition], b)
	}
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	return resp
}

func (f *fake) fetch(q *kmsg.FetchRequest) kmsg.Response {
	resp := q.ResponseKind().(*kmsg.FetchResponse)
	for deadline := time.Now().Add(time.Duration(q.MaxWaitMillis) * time.Millisecond); ; {
		f.mu.Lock()
		t := kmsg.NewFetchResponseTopic()
		t.Topic = q.Topics[0].Topic
		size := 0
		for _, want := range q.Topics[0].Partitions {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.HighWatermark = want.Partition, f.ends[want.Partition]
			for _, b := range f.logs[want.Partition] {
				h, _ := batch.Parse(b)
				if int64(h.Last()) >= want.FetchOffset && (size == 0 || size+len(b) <= int(q.MaxBytes)) {
					p.RecordBatches = append(p.RecordBatches, b...)
					size += len(b)
				} else if int64(h.Last()) >= want.FetchOffset {
					p.RecordBatches = append(p.RecordBatches, b[:len(b)/2]...) // as a broker may
					break
				}
			}
			t.Partitions = append(t.Partitions, p)
		}
		f.mu.Unlock()
		if size >= int(q.MinBytes) || time.Now().After(deadline) {
			resp.Topics = append(resp.Topics, t)
			return resp
		}
		time.Sleep(time.Millisecond)
	}
}

func (f *fake) stored() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records
}

// way is a Route of one topic, all of it at one address, that Refresh may change.
type way struct {
	addr    atomic.Value
	refresh func()
}

func (w *way) Name(index int) (string, int32) { return "topic", int32(index) }
func (w *way) Addr(int) (string, error)       { return w.addr.Load().(string), nil }
func (w *way) Refresh(context.Context) error {
	if w.refresh != nil {
		w.refresh()
	}
	return nil
}

func producer(t *testing.T, f *fake, w *workload.Workload) *Producer {
	t.Helper()
	batches, err := Encode(w)
	if err != nil {
		t.Fatal(err)
	}
	r := &way{}
	r.addr.Store(f.l.Addr().String())
	return &Producer{Wire: Wire{Route: r, Version: 12, Parts: []int{0, 1, 2}, InFlight: 4, Meter: &Meter{}, Drain: patience}, Acks: -1, Batches: batches}
}

// patience is how long a test waits for what has to happen, on a machine that is busy.
const patience = 60 * time.Second

// play runs a client until the condition holds, and returns what it has counted.
func play(t *testing.T, run func(context.Context), stop func(), m *Meter, until func(*Taken) bool) *Taken {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); run(context.Background()) }()
	var got Taken
	for deadline := time.Now().Add(patience); !until(&got); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come: %+v", got)
		}
		m.Take(&got)
	}
	stop()
	<-done
	m.Take(&got)
	return &got
}

func records(n int64) func(*Taken) bool {
	return func(got *Taken) bool { return got.Produced.Records+got.Consumed.Records >= n }
}

func one() workload.Workload {
	w := workload.New(workload.Produce)
	w.RecordSize, w.BatchRecords = 50, 1
	return w
}

// A stall of the broker delays all that is due meanwhile, and all of that must show: in a
// closed loop only the requests in flight would.
func TestAStallOfTheBrokerShows(t *testing.T) {
	f, w := newFake(t), one()
	p := producer(t, f, &w)
	const rate, stall = 2000, 500 * time.Millisecond
	p.Rate, p.Start = rate, time.Now()
	stalled := make(chan struct{})
	go func() {
		defer close(stalled)
		for f.stored() < rate/4 {
			time.Sleep(time.Millisecond)
		}
		f.gate.Lock()
		time.Sleep(stall)
		f.gate.Unlock()
	}()
	got := play(t, p.Run, p.Stop, p.Meter, func(got *Taken) bool {
		select {
		case <-stalled:
			return got.Produced.Records >= rate*5/4
		default:
			return false
		}
	})
	h := got.Hist[ProduceLatency]
	// 4/5 of those due in the stall waited for more than a fifth of it.
	if n, want := late(h, stall/5), int64(rate*stall.Seconds()*4/5); n < want*9/10 {
		t.Errorf("%d of %d waited for more than %v in a stall of %v; %d were due", n, h.TotalCount(), stall/5, stall, want)
	}
	// A machine that does not keep the rate leaves some unsent, and those count too.
	if h.Max() < int64(stall)*9/10 || h.TotalCount() != got.Produced.Records+got.Unsent || f.stored() != got.Produced.Records || got.Sent != got.Produced.Records || got.Errors > 0 {
		t.Errorf("max %v, %d latencies, %d stored: %+v", time.Duration(h.Max()), h.TotalCount(), f.stored(), got.Counts)
	}
}

// What a stall keeps back until the end counts too, with the time it had waited.
func TestAStallUntilTheEndShows(t *testing.T) {
	f, w := newFake(t), one()
	p := producer(t, f, &w)
	p.Rate, p.Start, p.Drain = 1000, time.Now(), 100*time.Millisecond
	f.gate.Lock()
	defer f.gate.Unlock()
	began := time.Now()
	got := play(t, p.Run, p.Stop, p.Meter, func(got *Taken) bool { return time.Since(began) > 500*time.Millisecond && got.Sent >= 4 })
	h := got.Hist[ProduceLatency]
	if got.Produced.Records != 0 || got.Unsent < 300 || got.Unanswered != 4 || h.TotalCount() != got.Unsent+got.Unanswered {
		t.Errorf("%+v, %d latencies", got.Counts, h.TotalCount())
	}
	if p50 := time.Duration(h.ValueAtPercentile(50)); p50 < 150*time.Millisecond || h.Max() < int64(450*time.Millisecond) {
		t.Errorf("half waited for %v, the longest for %v", p50, time.Duration(h.Max()))
	}
}

// filled is a fake with so many records, one per batch, and one that reads them at a rate.
func filled(t *testing.T, n int, rate float64) (*fake, *Consumer) {
	f, w := newFake(t), one()
	p := producer(t, f, &w)
	if err := p.Fill(context.Background(), int64(n), func(int64) {}); err != nil {
		t.Fatal(err)
	}
	return f, &Consumer{Wire: Wire{Route: p.Route, Version: 12, Parts: p.Parts, InFlight: 1, Meter: &Meter{}, Drain: 100 * time.Millisecond}, Max: 2000, Min: 1,
		Wait: 100 * time.Millisecond, From: map[int]int64{}, Again: true, Latency: true, Rate: rate, Start: time.Now()}
}

// late is how many latencies are longer than d.
func late(h *hdrhistogram.Histogram, d time.Duration) (n int64) {
	for _, b := range h.Distribution() {
		if b.From > int64(d) {
			n += b.Count
		}
	}
	return n
}

// A consumer with a rate counts from when it should have asked: a stall, and the time
// without a connection, delay all requests that were due meanwhile.
func TestAStallShowsToAConsumerWithARate(t *testing.T) {
	for _, hangUp := range []bool{false, true} {
		const rate, stall = 2000, 500 * time.Millisecond
		f, c := filled(t, 1000, rate)
		stalled := make(chan struct{})
		c.Route.(*way).refresh = func() { // after a connection was lost
			if hangUp {
				time.Sleep(stall)
			}
		}
		go func() {
			defer close(stalled)
			time.Sleep(200 * time.Millisecond)
			if f.cut.Store(hangUp); !hangUp {
				f.gate.Lock()
				time.Sleep(stall)
				f.gate.Unlock()
			}
		}()
		var behind int64
		got := play(t, c.Run, c.Stop, c.Meter, func(got *Taken) bool {
			<-stalled
			behind = got.Consumed.Records
			return time.Since(c.Start) > 2*time.Second && float64(behind) >= rate*0.95*time.Since(c.Start).Seconds()
		})
		h := got.Hist[FetchLatency]
		each := float64(got.Consumed.Records) / float64(got.Consumed.Requests)
		if n, want := late(h, stall/5), rate*stall.Seconds()*4/5/each; float64(n) < want*0.7 || h.Max() < int64(stall)*9/10 || h.TotalCount() < got.Consumed.Requests {
			t.Errorf("hung up: %v: %d of %d waited for more than %v in a stall of %v; %.0f were due; the longest waited for %v", hangUp, n, h.TotalCount(), stall/5, stall, want, time.Duration(h.Max()))
		}
	}
}

// And what has not been answered at the end counts for as long as it has waited.
func TestAStallUntilTheEndShowsToAConsumerWithARate(t *testing.T) {
	f, c := filled(t, 1000, 2000)
	stalled := time.Time{}
	got := play(t, c.Run, c.Stop, c.Meter, func(got *Taken) bool {
		if stalled.IsZero() && got.Consumed.Requests > 10 {
			f.gate.Lock()
			stalled = time.Now()
		}
		return !stalled.IsZero() && time.Since(stalled) > 500*time.Millisecond
	})
	f.gate.Unlock()
	h := got.Hist[FetchLatency]
	if n := late(h, 100*time.Millisecond); got.Unanswered == 0 || got.Unsent < 300 || n < 5 || h.Max() < int64(400*time.Millisecond) {
		t.Errorf("%+v: %d of %d waited for more than 100 ms, the longest for %v", got.Counts, n, h.TotalCount(), time.Duration(h.Max()))
	}
}

// The rate is that of the schedule, whatever the number of partitions. A machine that is
// busy at the end of a run seems slower, so there are some.
func TestARateIsKept(t *testing.T) {
	rate := 0.0
	for tries := 0; tries < 10 && rate < 5000*0.8; tries++ {
		f, w := newFake(t), one()
		w.BatchRecords = 10
		p := producer(t, f, &w)
		p.Rate, p.Start = 5000, time.Now()
		got := play(t, p.Run, p.Stop, p.Meter, records(5000))
		took := time.Since(p.Start).Seconds()
		if rate = float64(got.Produced.Records) / took; rate > 5000*1.03 {
			t.Errorf("%.0f records/s in %.2f s", rate, took)
		}
		f.mu.Lock()
		for i := range int32(3) {
			if d := f.ends[i] - f.ends[0]; d > 10 || d < -10 {
				t.Errorf("partitions are not sent to in turn: %v", f.ends)
			}
		}
		f.mu.Unlock()
	}
	if rate < 5000*0.8 {
		t.Errorf("%.0f records/s", rate)
	}
}

func TestEveryRecordIsCountedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte("one\n\nthree\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int16{3, 7, 8, 9, 12} {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			if version != 12 && codec != "none" {
				continue
			}
			f, w := newFake(t), one()
			w.Compression, w.BatchRecords, w.BatchSize, w.RecordSize, w.Keys = codec, 0, 40<<10, 1000, "sequential"
			p := producer(t, f, &w)
			p.Version = version
			got := play(t, p.Run, p.Stop, p.Meter, records(2000))
			if got.Errors > 0 || got.Produced.Records != f.stored() || got.Sent != f.stored() {
				t.Errorf("version %d, %s: %d stored, %+v %v", version, codec, f.stored(), got.Counts, got.Why)
			}
			n, size := 0, int64(0)
			for _, part := range f.logs {
				for _, b := range part {
					h, _ := batch.Parse(b)
					size += int64(len(b))
					err := batch.Records(b, h, 1<<20, func(batch.Record) error { n++; return nil })
					if err != nil {
						t.Fatal(codec, err)
					}
				}
			}
			if int64(n) != f.stored() || size != got.Produced.Bytes {
				t.Errorf("%s: %d records and %d bytes in the log, %+v", codec, n, size, got.Produced)
			}
		}
	}
	f, w := newFake(t), one()
	w.Payload = file
	p := producer(t, f, &w)
	if err := p.Fill(context.Background(), 100, func(int64) {}); err != nil || f.stored() != 100 {
		t.Errorf("%d stored: %v", f.stored(), err)
	}
}

func TestWithoutAcknowledgementsWhatIsWrittenCounts(t *testing.T) {
	f, w := newFake(t), one()
	p := producer(t, f, &w)
	p.Acks = 0
	got := play(t, p.Run, p.Stop, p.Meter, records(1000))
	for deadline := time.Now().Add(patience); f.stored() < got.Produced.Records; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d arrived", f.stored(), got.Produced.Records)
		}
	}
}

// Refusals are counted and not taken for records; when the leader moved, the producer
// follows; when a connection ends, it makes another.
func TestErrorsAreCountedAndLeadersFollowed(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		old, next, w := newFake(t), newFake(t), one()
		old.refuse = func(n int) int16 {
			if n > 100 {
				return kerr.NotLeaderForPartition.Code
			}
			return 0
		}
		next.hangUp = 50
		next.refuse = func(n int) int16 {
			if n%100 == 0 {
				return kerr.MessageTooLarge.Code
			}
			return 0
		}
		p := producer(t, old, &w)
		p.Rate, p.Start = rate, time.Now()
		r := p.Route.(*way)
		r.refresh = func() { r.addr.Store(next.l.Addr().String()) }
		got := play(t, p.Run, p.Stop, p.Meter, records(1000))
		if got.Produced.Records != old.stored()+next.stored() {
			t.Errorf("rate %v: %d and %d stored, %+v", rate, old.stored(), next.stored(), got.Counts)
		}
		moved, large := got.Why[kerr.NotLeaderForPartition.Error()], got.Why[kerr.MessageTooLarge.Error()]
		if moved < 1 || moved > 4 || large < 5 || got.Errors <= moved+large || old.stored() != 100 {
			t.Errorf("rate %v: %d errors %v, %d before it moved", rate, got.Errors, got.Why, old.stored())
		}
	}
}

// All that is sent arrives once, with the time from the intended send.
func TestAConsumerReadsAllOfIt(t *testing.T) {
	f := newFake(t)
	w := workload.New(workload.EndToEnd)
	w.RecordSize, w.BatchRecords, w.Keys = 100, 3, "random"
	p := producer(t, f, &w)
	p.Rate, p.Start = 3000, time.Now()
	c := &Consumer{Wire: Wire{Route: p.Route, Version: 12, Parts: p.Parts, InFlight: 1, Meter: &Meter{}, Drain: time.Second}, Max: 4000, Min: 1,
		Wait: 100 * time.Millisecond, From: map[int]int64{}}
	done := make(chan *Taken)
	go func() {
		done <- play(t, p.Run, p.Stop, p.Meter, records(3000))
	}()
	var sent *Taken
	got := play(t, c.Run, c.Stop, c.Meter, func(got *Taken) bool {
		select {
		case sent = <-done:
		default:
		}
		return sent != nil && got.Consumed.Records >= sent.Produced.Records
	})
	if got.Consumed.Records != sent.Produced.Records || got.Consumed.Bytes != sent.Produced.Bytes || got.Hist[EndToEnd].TotalCount() != sent.Produced.Requests || got.Errors > 0 {
		t.Errorf("sent %+v, read %+v, %d latencies", sent.Counts, got.Counts, got.Hist[EndToEnd].TotalCount())
	}
	if most := time.Duration(got.Hist[EndToEnd].Max()); most > patience || got.Hist[EndToEnd].Min() <= 0 {
		t.Errorf("up to %v", most)
	}
	// And again from the start, over three requests in flight, at a rate.
	for _, rate := range []float64{0, 20_000} {
		c = &Consumer{Wire: Wire{Route: p.Route, Version: 4, Parts: p.Parts, InFlight: 3, Meter: &Meter{}, Drain: time.Second}, Max: 4000, Min: 1, Wait: 100 * time.Millisecond,
			From: map[int]int64{}, Again: true, Latency: true, Rate: rate}
		began := time.Now()
		got = play(t, c.Run, c.Stop, c.Meter, records(3*sent.Produced.Records))
		if h := got.Hist[FetchLatency]; h == nil || h.TotalCount() != got.Consumed.Requests || got.Errors > 0 {
			t.Errorf("%+v", got.Counts)
		}
		if r := float64(got.Consumed.Records) / time.Since(began).Seconds(); rate > 0 && r > rate*1.2 {
			t.Errorf("%.0f records/s at a rate of %v", r, rate)
		}
	}
}

func TestACongestionControlThatIsNotThereIsRefused(t *testing.T) {
	f := newFake(t)
	if _, err := Dialer("none-such").Dial(context.Background(), f.l.Addr().String()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("none-such")) {
		t.Error(err)
	}
	if c, err := Dialer("").Dial(context.Background(), f.l.Addr().String()); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	if _, err := NewRecords(&workload.Workload{Payload: "/nowhere/at-all"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
