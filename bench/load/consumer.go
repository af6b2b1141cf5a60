package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
)

// Consumer reads its partitions, assigned by hand. On each connection its partitions are
// spread over InFlight requests, each of which is sent again when it is answered.
type Consumer struct {
	Wire
	Max, Min int           // bytes of an answer
	Wait     time.Duration // the broker waits for Min at most so long
	Again    bool          // at the end, begin at the start again
	Rate     float64       // records a second of all its partitions: the next request is due when so many would have been read
	Start    time.Time
	From     map[int]int64 // where to begin, by index; it is kept up to date
	Latency  bool          // of each answer
	read     map[int]int64 // records so far, by index, for the rate
}

// Run reads until Stop.
func (c *Consumer) Run(ctx context.Context) {
	c.read = map[int]int64{}
	if c.Start.IsZero() {
		c.Start = time.Now()
	}
	c.run(ctx, c.stop.Load, c.lane)
}

// fetchLane is one connection of a consumer.
type fetchLane struct {
	c     *Consumer
	conn  net.Conn
	corr  int32
	buf   []byte
	out   []byte
	slots []*fetchSlot
}

// fetchSlot is the partitions of one request.
type fetchSlot struct {
	parts []cursor
	first int // of parts in the next request, so that all have their turn at a full answer
	since int64
	// With a rate, a request is due when all that was read before should have been read,
	// from the start of the run and over all connections.
	read    int64   // records
	share   float64 // of the rate
	answers int64   // since the connection was made
	here    int64   // records of these
	found   int     // of parts, the last that was looked for
}

// find returns the cursor of a partition. Answers come mostly in the order of requests.
func (s *fetchSlot) find(topic string, partition int32) *cursor {
	for i := range s.parts {
		at := (s.found + 1 + i) % len(s.parts)
		if c := &s.parts[at]; c.partition == partition && c.topic == topic {
			s.found = at
			return c
		}
	}
	return nil
}

// cursor is one partition.
type cursor struct {
	index     int
	topic     string
	partition int32
	next      int64
	read      int64
}

func (c *Consumer) lane(conn net.Conn, parts []int) error {
	l := &fetchLane{c: c, conn: conn, buf: make([]byte, 256<<10)}
	n := min(c.InFlight, len(parts))
	for i := range n {
		s := &fetchSlot{}
		for k := i; k < len(parts); k += n {
			topic, partition := c.Route.Name(parts[k])
			next, read := c.offset(parts[k])
			s.parts = append(s.parts, cursor{index: parts[k], topic: topic, partition: partition, next: next, read: read})
			s.read += read
		}
		s.share = c.Rate * float64(len(s.parts)) / float64(len(c.Parts))
		l.slots = append(l.slots, s)
	}
	defer l.keep()
	return l.run()
}

func (c *Consumer) offset(index int) (next, read int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.From[index], c.read[index]
}

// keep writes back where the lane is, for the one that comes after it.
func (l *fetchLane) keep() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for _, s := range l.slots {
		for _, p := range s.parts {
			l.c.From[p.index], l.c.read[p.index] = p.next, p.read
		}
	}
}

func (l *fetchLane) run() error {
	for _, s := range l.slots {
		if l.await(s); l.c.ending() {
			return nil
		}
		if err := l.ask(s); err != nil {
			return err
		}
	}
	for at, flying := 0, len(l.slots); flying > 0; at = (at + 1) % len(l.slots) {
		s := l.slots[at]
		if err := l.answer(s); err != nil {
			if l.c.stop.Load() {
				l.late(s, true)
				return nil // without a rate, an answer that waited for records is not missed
			}
			return err
		}
		l.await(s)
		if l.c.ending() {
			l.late(s, false)
			flying--
			continue
		}
		if err := l.ask(s); err != nil {
			return err
		}
	}
	return nil
}

// due is when a slot should have read n records, with a rate.
func (l *fetchLane) due(s *fetchSlot, n int64) int64 {
	return l.c.Start.UnixNano() + int64(float64(n)/s.share*1e9)
}

// await sleeps until the next request of a slot is due, from when its latency counts, if
// there is a rate.
func (l *fetchLane) await(s *fetchSlot) {
	if l.c.Rate == 0 {
		return
	}
	s.since = l.due(s, s.read)
	for !l.c.ending() && time.Now().UnixNano() < s.since {
		SleepUntil(min(s.since, time.Now().Add(stopLook).UnixNano()))
	}
}

// late counts what was due when it was stopped and has not been read, as that of a
// producer does: the answer that is waited for, and the requests behind it, each for as
// many records as those before on this connection brought.
func (l *fetchLane) late(s *fetchSlot, waiting bool) {
	if l.c.Rate == 0 || !l.c.stop.Load() {
		return
	}
	end, each := l.c.stopped.Load(), max(s.here/max(s.answers, 1), 1)
	n := s.read
	m := l.c.Meter
	m.Lock()
	defer m.Unlock()
	if waiting {
		m.Count().Unanswered += each
		m.Latency(FetchLatency, max(end-s.since, 0), 1)
		n += each
	}
	for due := l.due(s, n); s.answers > 0 && due <= end-int64(lateMin); due = l.due(s, n) {
		m.Count().Unsent += each
		m.Latency(FetchLatency, end-due, 1)
		n += each
	}
}

// ask sends the request of a slot.
func (l *fetchLane) ask(s *fetchSlot) error {
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(l.c.Version)
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = int32(l.c.Wait.Milliseconds()), int32(l.c.Min), int32(l.c.Max)
	q.SessionEpoch = -1
	for i := range s.parts {
		c := &s.parts[(s.first+i)%len(s.parts)]
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != c.topic {
			t := kmsg.NewFetchRequestTopic()
			t.Topic = c.topic
			q.Topics = append(q.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = c.partition, c.next, int32(l.c.Max)
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	s.first = (s.first + 1) % len(s.parts)
	l.corr++
	l.out = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(l.out[:0], q, l.corr)
	if l.c.Rate == 0 {
		s.since = time.Now().UnixNano()
	}
	l.c.deadline(l.conn)
	_, err := l.conn.Write(l.out)
	return err
}

// frameMax bounds an answer: what is asked for, or one batch that is larger.
const frameMax = 256 << 20

// answer reads the answer of a slot, and counts it.
func (l *fetchLane) answer(s *fetchSlot) error {
	l.c.deadline(l.conn)
	if _, err := io.ReadFull(l.conn, l.buf[:4]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(l.buf))
	if size < 5 || size > frameMax {
		return errFrame
	}
	if size > len(l.buf) {
		l.buf = make([]byte, size+size/4)
	}
	if _, err := io.ReadFull(l.conn, l.buf[:size]); err != nil {
		return err
	}
	now := time.Now().UnixNano()
	resp := kmsg.NewPtrFetchResponse()
	resp.SetVersion(l.c.Version)
	head := 4
	if resp.IsFlexible() {
		head++ // no tags: a broker has none to send here
	}
	if err := resp.ReadFrom(l.buf[head:size]); err != nil {
		return fmt.Errorf("read a fetch answer: %w", err)
	}
	m := l.c.Meter
	m.Lock()
	defer m.Unlock()
	c := m.Count()
	c.Consumed.Requests++
	s.answers++
	if l.c.Latency {
		m.Latency(FetchLatency, now-s.since, 1)
	}
	if resp.ErrorCode != 0 {
		m.Fail(1, kerr.ErrorForCode(resp.ErrorCode))
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			if err := l.partition(m, s, t.Topic, &t.Partitions[j], now); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition counts what came of one partition. The meter is locked.
func (l *fetchLane) partition(m *Meter, s *fetchSlot, topic string, p *kmsg.FetchResponseTopicPartition, now int64) error {
	c := s.find(topic, p.Partition)
	if c == nil {
		return fmt.Errorf("the broker answered for %s/%d, which was not asked for", topic, p.Partition)
	}
	if p.ErrorCode != 0 {
		m.Fail(1, kerr.ErrorForCode(p.ErrorCode))
		if moved(p.ErrorCode) {
			l.c.regroup.Store(true)
		}
		if p.ErrorCode == kerr.OffsetOutOfRange.Code {
			c.next = max(p.LogStartOffset, 0)
		}
		return nil
	}
	count := m.Count()
	for b := p.RecordBatches; ; {
		size := batch.Size(b)
		if size == 0 || size > len(b) {
			break // the end, or a part of a batch, which a broker may send
		}
		h, err := batch.Parse(b)
		if err != nil {
			return fmt.Errorf("a batch of %s/%d at %d: %w", topic, p.Partition, c.next, err)
		}
		if last := int64(h.Last()); last >= c.next {
			n := last - max(int64(h.Base), c.next) + 1
			count.Consumed.Records += n
			count.Consumed.Bytes += int64(size)
			s.read, s.here = s.read+n, s.here+n
			c.read, c.next = c.read+n, last+1
			if at := findStamp(b[batch.HeaderSize:size]); at > 0 && h.Compression() == batch.None {
				sent := int64(binary.BigEndian.Uint64(b[batch.HeaderSize+at:]))
				m.Latency(EndToEnd, now-sent, 1)
			}
		}
		b = b[size:]
	}
	if l.c.Again && c.next >= p.HighWatermark {
		c.next = max(p.LogStartOffset, 0)
	}
	return nil
}
