package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/codec/kafka"
)

// Route says where partitions are. An index is topic*partitions+partition.
type Route interface {
	// Name is the topic and the partition of an index.
	Name(index int) (topic string, partition int32)
	// Addr is where the leader of a partition listens.
	Addr(index int) (string, error)
	// Refresh asks again.
	Refresh(ctx context.Context) error
}

// Wire is what the connections of one client, a producer or a consumer, have in common.
type Wire struct {
	Dial     Dialer
	Route    Route
	Version  int16 // of its requests
	Parts    []int // indexes of its partitions
	InFlight int
	Meter    *Meter
	// Drain is how long what is in flight at the end is waited for.
	Drain time.Duration

	stop    atomic.Bool
	regroup atomic.Bool // a leader moved: the connections end and are made anew
	until   atomic.Int64
	stopped atomic.Int64 // when Stop was called
	hurried atomic.Bool
	mu      sync.Mutex
	conns   map[net.Conn]bool
}

// Stop makes Run end soon: nothing more is asked, and what is under way is waited for.
// What was due before and not sent counts as late until now.
func (w *Wire) Stop() {
	now := time.Now()
	w.stopped.Store(now.UnixNano())
	w.until.Store(now.Add(w.Drain).UnixNano())
	if w.hurried.Load() {
		w.until.Store(now.UnixNano())
	}
	w.stop.Store(true)
	w.deadlines()
}

// Hurry makes what Stop waits for, or would wait for, count as lost.
func (w *Wire) Hurry() {
	w.hurried.Store(true)
	w.until.Store(time.Now().UnixNano())
	w.deadlines()
}

// deadlines sets that of Stop on all connections, if it was called.
func (w *Wire) deadlines() {
	if !w.stop.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.SetDeadline(time.Unix(0, w.until.Load()))
	}
}

// deadline sets how long is waited for the other side. Stop may be called meanwhile, and
// its deadline must be the last to be set.
func (w *Wire) deadline(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(callTimeout))
	if w.stop.Load() {
		_ = c.SetDeadline(time.Unix(0, w.until.Load()))
	}
}

func (w *Wire) ending() bool { return w.stop.Load() || w.regroup.Load() }

func (w *Wire) fail(n int64, err error) {
	w.Meter.Lock()
	w.Meter.Fail(n, err)
	w.Meter.Unlock()
}

// connect calls lane with a connection.
func (w *Wire) connect(ctx context.Context, addr string, lane func(net.Conn) error) {
	c, err := w.Dial.Dial(ctx, addr)
	if err == nil {
		w.mu.Lock()
		if w.conns == nil {
			w.conns = map[net.Conn]bool{}
		}
		w.conns[c] = true
		w.mu.Unlock()
		err = lane(c)
		w.mu.Lock()
		delete(w.conns, c)
		w.mu.Unlock()
		_ = c.Close()
	}
	if err != nil {
		w.regroup.Store(true)
		w.fail(1, err)
	}
}

// run keeps one lane per broker, for the partitions that it leads, until done; after an
// error or when a leader moved, it asks where the partitions are and begins again.
func (w *Wire) run(ctx context.Context, done func() bool, lane func(c net.Conn, parts []int) error) {
	const backoffMin, backoffMax = 20 * time.Millisecond, time.Second
	backoff := backoffMin
	for {
		w.regroup.Store(false)
		began := time.Now()
		var wg sync.WaitGroup
		groups := map[string][]int{}
		for _, p := range w.Parts {
			addr, err := w.Route.Addr(p)
			if err != nil {
				w.fail(1, err)
				w.regroup.Store(true)
				break
			}
			groups[addr] = append(groups[addr], p)
		}
		for addr, parts := range groups {
			wg.Go(func() {
				w.connect(ctx, addr, func(c net.Conn) error { return lane(c, parts) })
			})
		}
		wg.Wait()
		if done() || ctx.Err() != nil {
			return
		}
		if backoff *= 2; time.Since(began) > backoffMax {
			backoff = backoffMin
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(backoff, backoffMax)):
		}
		if err := w.Route.Refresh(ctx); err != nil && ctx.Err() == nil {
			w.fail(1, err)
		}
	}
}

// Producer sends batches that were encoded before, each in a request of its own, to all
// its partitions in turn.
type Producer struct {
	Wire
	Acks    int16
	Batches []Encoded
	Next    int     // of Batches, the first to be sent
	Rate    float64 // records a second; 0: as fast as answers come
	Start   time.Time
	Limit   int64 // batches, all together; 0: until Stop

	next  atomic.Int64
	sent  atomic.Int64 // batches
	slots map[int]*slot
	over  atomic.Bool
}

// Over says whether Run has ended.
func (p *Producer) Over() bool { return p.over.Load() }

// slot is the schedule of one partition: its n-th batch is due at a fixed time, whoever
// sends it and whatever happened to those before.
type slot struct {
	part   int
	due    float64 // ns after Start
	period float64
}

// Run sends until Stop or the Limit, and returns when all answers are there.
func (p *Producer) Run(ctx context.Context) {
	defer p.over.Store(true)
	p.next.Store(int64(p.Next))
	p.slots = map[int]*slot{}
	mean := 0.0
	for i := range p.Batches {
		mean += float64(p.Batches[i].Records) / float64(len(p.Batches))
	}
	for i, part := range p.Parts {
		s := &slot{part: part}
		if p.Rate > 0 {
			each := mean / p.Rate * 1e9 // ns between two batches of the producer
			s.due, s.period = each*float64(i), each*float64(len(p.Parts))
		}
		p.slots[part] = s
	}
	p.run(ctx, func() bool { return p.stop.Load() || p.reached() }, p.lane)
	if p.Rate > 0 && p.stop.Load() {
		p.late()
	}
}

func (p *Producer) reached() bool { return p.Limit > 0 && p.sent.Load() >= p.Limit }

// lateMin is how long a batch must have waited to count as kept back.
const lateMin = 50 * time.Millisecond

// late counts what was due when it was stopped and has not been sent: its latency is at
// least what it has waited. To leave it out would hide the stall that kept it.
func (p *Producer) late() {
	end := float64(p.stopped.Load() - p.Start.UnixNano())
	p.Meter.Lock()
	defer p.Meter.Unlock()
	for _, s := range p.slots {
		// What became due in the last moment was not kept by a stall.
		for ; s.due <= end-float64(lateMin); s.due += s.period {
			n := int64(p.Batches[0].Records)
			p.Meter.Count().Unsent += n
			p.Meter.Latency(ProduceLatency, int64(end-s.due), 1)
		}
	}
}

func (p *Producer) lane(c net.Conn, parts []int) error {
	l := &produceLane{p: p, c: c, ring: make([]flight, p.InFlight)}
	for _, part := range parts {
		l.slots = append(l.slots, p.slots[part])
	}
	for i := len(l.slots)/2 - 1; i >= 0 && p.Rate > 0; i-- {
		l.sink(i)
	}
	if p.Acks == 0 {
		return l.unanswered()
	}
	if p.Rate > 0 {
		return l.paced()
	}
	return l.closed()
}

// flight is a request that waits for its answer.
type flight struct {
	since   int64 // ns: when it was due, or sent
	records int32
	size    int32
	codeAt  int32 // of the error code in the answer
}

// produceLane is one connection of a producer.
type produceLane struct {
	p     *Producer
	c     net.Conn
	slots []*slot // a heap by due if there is a rate, else in turn
	turn  int
	corr  int32
	out   []byte
	bufs  net.Buffers // large batches are not copied into out; heads is what stands between them
	heads []byte

	mu     sync.Mutex // of what follows, with a rate: then one goroutine sends and one reads
	space  sync.Cond
	ring   []flight
	head   int
	flying int
	ended  error // of the reader
	in     []byte
	end    int

	closing atomic.Bool // the reader is to end
}

// copyMax is the largest batch that is copied into one buffer with its neighbours.
const copyMax = 16 << 10

// outMax is what is written at once.
const outMax = 256 << 10

// put adds a request for a partition to what will be written.
func (l *produceLane) put(part int, since int64) flight {
	p := l.p
	e := &p.Batches[int(p.next.Add(1)-1)%len(p.Batches)]
	topic, partition := p.Route.Name(part)
	l.corr++
	p.sent.Add(1)
	at := len(l.heads)
	h := appendProduceHead(l.heads, p.Version, p.Acks, l.corr, topic, partition, len(e.Bytes))
	codeAt := produceCodeAt(p.Version, topic)
	if len(e.Bytes) <= copyMax || e.stamp > 0 {
		// In one piece; with what is to be stamped as a copy.
		l.out = append(l.out, h[at:]...)
		from := len(l.out)
		l.out = append(l.out, e.Bytes...)
		if e.stamp > 0 {
			e.stampCopy(l.out[from:], since)
		}
		l.out = append(l.out, produceTail(p.Version)...)
	} else {
		l.heads = h
		l.cut()
		l.bufs = append(l.bufs, h[at:], e.Bytes)
		l.out = append(l.out, produceTail(p.Version)...)
	}
	return flight{since: since, records: int32(e.Records), size: int32(len(e.Bytes)), codeAt: int32(codeAt)}
}

// cut moves what out holds into bufs. Its memory stays in use until it is written, so
// another piece begins behind it.
func (l *produceLane) cut() {
	if len(l.out) > 0 {
		l.bufs = append(l.bufs, l.out)
		l.out = l.out[len(l.out):]
	}
}

func (l *produceLane) pending() int {
	n := len(l.out)
	for _, b := range l.bufs {
		n += len(b)
	}
	return n
}

// write sends what put added, so many records.
func (l *produceLane) write(records int64) error {
	l.p.Meter.Lock()
	l.p.Meter.Count().Sent += records
	l.p.Meter.Unlock()
	l.p.deadline(l.c)
	var err error
	if len(l.bufs) == 0 {
		_, err = l.c.Write(l.out)
	} else {
		l.cut()
		b := l.bufs // WriteTo uses it up
		_, err = b.WriteTo(l.c)
	}
	l.out, l.bufs, l.heads = l.out[:0], l.bufs[:0], l.heads[:0]
	return err
}

func (l *produceLane) room(n int) bool {
	return n < l.p.InFlight && (n == 0 || l.pending() < outMax) && !l.p.reached()
}

// closed keeps InFlight requests under way. An answer makes room for the next.
func (l *produceLane) closed() error {
	for {
		n, records := 0, int64(0)
		now := time.Now().UnixNano()
		for !l.p.ending() && l.flying < len(l.ring) && l.room(n) {
			f := l.put(l.slots[l.turn].part, now)
			l.turn = (l.turn + 1) % len(l.slots)
			l.ring[(l.head+l.flying)%len(l.ring)] = f
			l.flying++
			n++
			records += int64(f.records)
		}
		if n > 0 {
			if err := l.write(records); err != nil {
				return l.lost(err)
			}
		}
		if l.flying == 0 {
			return nil
		}
		if err := l.read(); err != nil {
			return l.lost(err)
		}
	}
}

// lost counts what is in flight on a connection that ended.
func (l *produceLane) lost(err error) error {
	now := time.Now().UnixNano()
	m := l.p.Meter
	m.Lock()
	defer m.Unlock()
	for ; l.flying > 0; l.flying-- {
		f := l.ring[l.head]
		l.head = (l.head + 1) % len(l.ring)
		m.Fail(1, err)
		m.Count().Unanswered += int64(f.records)
		if l.p.Rate > 0 {
			m.Latency(ProduceLatency, now-f.since, 1)
		}
	}
	return err
}

// unanswered sends without acknowledgements: what is written counts.
func (l *produceLane) unanswered() error {
	for !l.p.ending() {
		n, records, size := 0, int64(0), int64(0)
		for s := l.soon(); s != nil && l.room(n); s = l.soon() {
			f := l.put(s.part, l.since(s))
			l.advance(s)
			n++
			records += int64(f.records)
			size += int64(f.size)
		}
		if n == 0 {
			if l.p.reached() {
				return nil
			}
			l.wait()
			continue
		}
		if err := l.write(records); err != nil {
			return err
		}
		l.p.Meter.Lock()
		l.p.Meter.Count().Produced.add(&Flow{int64(n), records, size})
		l.p.Meter.Unlock()
	}
	return nil
}

// read takes what has come, waiting for it, and counts whole answers.
func (l *produceLane) read() error {
	if l.in == nil {
		l.in = make([]byte, 64<<10)
	}
	l.p.deadline(l.c)
	if l.closing.Load() {
		_ = l.c.SetReadDeadline(time.Now())
	}
	n, err := l.c.Read(l.in[l.end:])
	if err != nil {
		return err
	}
	l.end += n
	at, m := 0, l.p.Meter
	now := time.Now().UnixNano()
	m.Lock()
	defer m.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.end-at >= 4 {
		size := int(binary.BigEndian.Uint32(l.in[at:]))
		if size < 10 || size > len(l.in)-4 || l.flying == 0 {
			return errFrame
		}
		if l.end-at < 4+size {
			break
		}
		if err := l.answered(m, l.in[at+4:at+4+size], now); err != nil {
			return err
		}
		at += 4 + size
	}
	l.end = copy(l.in, l.in[at:l.end])
	l.space.Signal()
	return nil
}

// answered counts one answer. Meter and lane are locked.
func (l *produceLane) answered(m *Meter, b []byte, now int64) error {
	f := &l.ring[l.head]
	if int(f.codeAt)+2 > len(b) {
		return errFrame
	}
	l.head = (l.head + 1) % len(l.ring)
	l.flying--
	c := m.Count()
	if code := int16(binary.BigEndian.Uint16(b[f.codeAt:])); code != 0 {
		m.Fail(1, kerr.ErrorForCode(code))
		if moved(code) {
			l.p.regroup.Store(true)
		}
		return nil
	}
	c.Produced.add(&Flow{1, int64(f.records), int64(f.size)})
	m.Latency(ProduceLatency, now-f.since, 1)
	return nil
}

// moved says that a partition is elsewhere, or will be.
func moved(code int16) bool {
	switch code {
	case kerr.NotLeaderForPartition.Code, kerr.LeaderNotAvailable.Code, kerr.UnknownTopicOrPartition.Code, kerr.FencedLeaderEpoch.Code,
		kerr.UnknownLeaderEpoch.Code, kerr.KafkaStorageError.Code, kerr.ReplicaNotAvailable.Code:
		return true
	}
	return false
}

// flexible says whether a Produce of this version has compact fields and tags.
func flexible(version int16) bool { return version >= 9 }

const clientID = "penstock-bench"

// appendProduceHead is a Produce request up to its batch. Topics are named, which ends
// with version 12.
func appendProduceHead(b []byte, version, acks int16, corr int32, topic string, partition int32, size int) []byte {
	be, from := binary.BigEndian, len(b)
	b = append(b, 0, 0, 0, 0)
	b = be.AppendUint16(b, uint16(kafka.Produce))
	b = be.AppendUint16(b, uint16(version))
	b = be.AppendUint32(b, uint32(corr))
	b = be.AppendUint16(b, uint16(len(clientID)))
	b = append(b, clientID...)
	if flexible(version) {
		b = append(b, 0, 0) // tags; no transactional id
	} else {
		b = append(b, 0xff, 0xff) // no transactional id
	}
	b = be.AppendUint16(b, uint16(acks))
	b = be.AppendUint32(b, uint32(callTimeout.Milliseconds()))
	if flexible(version) {
		b = append(b, 2)
		b = binary.AppendUvarint(b, uint64(len(topic)+1))
		b = append(b, topic...)
		b = append(b, 2)
		b = be.AppendUint32(b, uint32(partition))
		b = binary.AppendUvarint(b, uint64(size+1))
	} else {
		b = be.AppendUint32(b, 1)
		b = be.AppendUint16(b, uint16(len(topic)))
		b = append(b, topic...)
		b = be.AppendUint32(b, 1)
		b = be.AppendUint32(b, uint32(partition))
		b = be.AppendUint32(b, uint32(size))
	}
	be.PutUint32(b[from:], uint32(len(b)-from-4+size+len(produceTail(version))))
	return b
}

var threeTags = []byte{0, 0, 0} // of the partition, the topic and the request

func produceTail(version int16) []byte {
	if flexible(version) {
		return threeTags
	}
	return nil
}

// produceCodeAt is where an answer for one partition has its error code.
func produceCodeAt(version int16, topic string) int {
	if flexible(version) {
		return 4 + 1 + 1 + len(binary.AppendUvarint(nil, uint64(len(topic)+1))) + len(topic) + 1 + 4
	}
	return 4 + 4 + 2 + len(topic) + 4 + 4
}

// Fill is Run for a number of batches, with those sent again that were refused. It calls
// progress with the batches that are there.
func (p *Producer) Fill(ctx context.Context, batches int64, progress func(done int64)) error {
	var done int64
	for done < batches && ctx.Err() == nil {
		p.Limit, p.Rate = batches-done, 0
		p.sent.Store(0)
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		tick := time.NewTicker(200 * time.Millisecond)
		var got Taken
		for going := true; going; {
			select {
			case <-ended:
				going = false
			case <-ctx.Done():
				p.Stop()
				<-ended
				going = false
			case <-tick.C:
			}
			got = Taken{Why: got.Why}
			p.Meter.Take(&got)
			done += got.Produced.Requests
			progress(done)
		}
		tick.Stop()
		if done == 0 && len(got.Why) > 0 && ctx.Err() == nil {
			for why := range got.Why {
				return fmt.Errorf("nothing could be written: %s", why)
			}
		}
	}
	return ctx.Err()
}
