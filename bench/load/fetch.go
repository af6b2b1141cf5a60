package load

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

// fetchVersion is flexible and names topics.
const fetchVersion = 12

// Fetch is a load of Fetch requests, each for one partition of a topic that a Produce
// has filled, read from the start to the end again and again.
type Fetch struct {
	Shape
	Topic      string
	Partitions int
	MaxBytes   int // of one answer
	BatchSize  int // exactly, of the batches in the topic
	Records    int // in each of them
}

// Answer is the front of an answer with n bytes of records, without the length, up to
// the records; and what follows these. The floor sends it.
func (f Fetch) Answer(n int) (head, tail []byte) { return f.answer(0, 1<<62, n) }

func (f Fetch) answer(code int16, highWatermark core.Offset, n int) (head, tail []byte) {
	b := kafka.BeginResponse(nil, kafka.Fetch, fetchVersion, 0)
	var e kafka.FetchEncoder
	e.Begin(b, fetchVersion, 0, 0, 0, 1)
	e.Topic([]byte(f.Topic), core.TopicID{}, 1)
	e.Partition(&kafka.FetchResult{Error: code, HighWatermark: highWatermark, PreferredRead: -1, Leader: -1}, n)
	cut := e.Len()
	e.EndPartition()
	e.EndTopic()
	b = e.End(nil)
	return b[4:cut], b[cut:]
}

// Run puts the load on the broker.
func (f Fetch) Run() (Stats, error) {
	var sources []source
	for i := range f.Conns {
		sources = append(sources, newFetchSource(&f, i))
	}
	return f.do(sources)
}

type fetchSource struct {
	f           *Fetch
	frames      []byte
	size        int
	partitionAt int
	offsetAt    int
	correlation int32
	partition   int
	offsets     []int64 // to be asked next, of each partition
	codeAt      int     // in an answer; the high watermark follows
	lengthAt    int     // of the records' length

	// Answers may be read by another goroutine than the one that asks.
	ends     []atomic.Int64 // high watermark last seen
	answered int            // the partition of the next answer: they come in order
}

func newFetchSource(f *Fetch, i int) *fetchSource {
	frame := func(partition int32, offset int64) []byte {
		q := kmsg.NewPtrFetchRequest()
		q.SetVersion(fetchVersion)
		q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 500, 1, int32(f.MaxBytes)
		q.SessionEpoch = -1
		t := kmsg.NewFetchRequestTopic()
		t.Topic = f.Topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, int32(f.MaxBytes)
		t.Partitions = append(t.Partitions, p)
		q.Topics = append(q.Topics, t)
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-bench")).AppendRequest(nil, q, 0)
	}
	s := &fetchSource{f: f, partition: i % f.Partitions, answered: i % f.Partitions,
		offsets: make([]int64, f.Partitions), ends: make([]atomic.Int64, f.Partitions)}
	one := frame(0, 0)
	s.size, s.partitionAt, s.offsetAt = len(one), differ(one, frame(-1, 0)), differ(one, frame(0, -1))
	plain, _ := f.answer(0, 0, 0)
	failed, _ := f.answer(-1, 0, 0)
	s.codeAt, s.lengthAt = differ(plain, failed), len(plain)-1
	for range f.Depth {
		s.frames = append(s.frames, one...)
	}
	return s
}

func (s *fetchSource) runMax() int   { return s.f.Depth }
func (s *fetchSource) headSize() int { return s.lengthAt + 5 }

func (s *fetchSource) prepare(n int) []byte {
	for i := range n {
		b := s.frames[i*s.size:]
		p := s.partition
		s.partition = (p + s.f.Conns) % s.f.Partitions
		s.correlation++
		binary.BigEndian.PutUint32(b[8:], uint32(s.correlation))
		binary.BigEndian.PutUint32(b[s.partitionAt:], uint32(p))
		binary.BigEndian.PutUint64(b[s.offsetAt:], uint64(s.offsets[p]))
		// The answer will hold as many whole batches as fit, at least one: so the next
		// request need not wait for it.
		s.advance(p, max(s.f.MaxBytes/s.f.BatchSize, 1))
	}
	return s.frames[:n*s.size]
}

// advance moves a partition's next offset, round to the start at the end.
func (s *fetchSource) advance(p, batches int) {
	s.offsets[p] += int64(batches * s.f.Records)
	if s.offsets[p]+int64(batches*s.f.Records) > s.ends[p].Load() {
		s.offsets[p] = 0
	}
}

func (s *fetchSource) answer(head []byte, size int) (int, error) {
	if len(head) <= s.lengthAt {
		return 0, errFrame
	}
	p := s.answered
	s.answered = (p + s.f.Conns) % s.f.Partitions
	if code := int16(binary.BigEndian.Uint16(head[s.codeAt:])); code != 0 {
		return 0, fmt.Errorf("fetch: error %d", code)
	}
	s.ends[p].Store(int64(binary.BigEndian.Uint64(head[s.codeAt+2:])))
	n, _ := binary.Uvarint(head[s.lengthAt:])
	if n == 0 || int(n)-1 > size {
		return 0, errFrame
	}
	return int(n) - 1, nil
}

func now() int64 { return time.Now().UnixMilli() }

// Ignore sends one request per connection and reads no answer, for a time; then it calls
// done, and closes.
func (f Fetch) Ignore(d time.Duration, done func()) error {
	for i := range f.Conns {
		c, err := dial(f.Addr)
		if err != nil {
			return err
		}
		defer c.Close() // all of them together, at the end
		if _, err := c.Write(newFetchSource(&f, i).prepare(1)); err != nil {
			return err
		}
	}
	time.Sleep(d)
	done()
	return nil
}
