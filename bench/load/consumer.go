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
}

// Run reads until Stop.
func (c *Consumer) Run(ctx context.Context) {
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
	read  int64 // records, for the rate
	share float64
	found int // of parts, the last that was looked for
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
}

func (c *Consumer) lane(conn net.Conn, parts []int) error {
	l := &fetchLane{c: c, conn: conn, buf: make([]byte, 256<<10)}
	n := min(c.InFlight, len(parts))
	for i := range n {
		s := &fetchSlot{}
		for k := i; k < len(parts); k += n {
			topic, partition := c.Route.Name(parts[k])
			s.parts = append(s.parts, cursor{parts[k], topic, partition, c.offset(parts[k])})
		}
		s.share = c.Rate * float64(len(s.parts)) / float64(len(c.Parts))
		l.slots = append(l.slots, s)
	}
	defer l.keep()
	return l.run()
}

func (c *Consumer) offset(index int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.From[index]
}

// keep writes back where the lane is, for the one that comes after it.
func (l *fetchLane) keep() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for _, s := range l.slots {
		for _, p := range s.parts {
			l.c.From[p.index] = p.next
		}
	}
}

func (l *fetchLane) run() error {
	began := time.Now()
	for _, s := range l.slots {
		if err := l.ask(s); err != nil {
			return err
		}
	}
	for at, flying := 0, len(l.slots); flying > 0; at = (at + 1) % len(l.slots) {
		s := l.slots[at]
		if err := l.answer(s); err != nil {
			if l.c.stop.Load() {
				return nil // an answer that waited for records is not missed
			}
			return err
		}
		if l.c.Rate > 0 {
			due := began.UnixNano() + int64(float64(s.read)/s.share*1e9)
			for !l.c.ending() && time.Now().UnixNano() < due {
				SleepUntil(min(due, time.Now().Add(stopLook).UnixNano()))
			}
			s.since = due
		}
		if l.c.ending() {
			flying--
			continue
		}
		if err := l.ask(s); err != nil {
			return err
		}
	}
	return nil
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
	if s.since == 0 || l.c.Rate == 0 {
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
			s.read += n
			c.next = last + 1
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
