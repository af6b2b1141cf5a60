package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

// produceVersion is flexible, as what new clients speak, and names topics, so that the
// floor and a broker can be sent the same bytes.
const produceVersion = 12

// Produce is a load of Produce requests, each with one batch for one partition.
type Produce struct {
	Shape
	Topic      string
	Partitions int
	Acks       int16 // 1 or -1
	RecordSize int   // value bytes of a record
	BatchSize  int   // at least; the batch is as many records as reach it
	Random     bool  // partitions at random, not in turn
}

// Batch returns the batch that is sent, and its number of records.
func (p Produce) Batch() ([]byte, int) {
	rnd := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, p.RecordSize)
	for i := range value {
		value[i] = byte(rnd.Uint32())
	}
	var w batch.Builder
	for w.Count() == 0 || w.Size()+p.RecordSize <= p.BatchSize {
		w.Add(now(), nil, value)
	}
	n := w.Count()
	return w.Finish(), n
}

// Answer is what a broker answers to each request if all is well, without the length:
// correlation id first. The floor sends it.
func (p Produce) Answer() []byte { return p.answer(0) }

func (p Produce) answer(code int16) []byte {
	b := kafka.BeginResponse(nil, kafka.Produce, produceVersion, 0)
	var e kafka.ProduceEncoder
	e.Begin(b, produceVersion, 1)
	e.Topic([]byte(p.Topic), core.TopicID{}, 1)
	e.Partition(&kafka.ProduceResult{Error: code, AppendTime: -1, Leader: -1})
	e.EndTopic()
	return e.End(0, nil)[4:]
}

// Run puts the load on the broker.
func (p Produce) Run() (Stats, error) {
	var sources []source
	for i := range p.Conns {
		sources = append(sources, newProduceSource(&p, i))
	}
	return p.do(sources)
}

type produceSource struct {
	p           *Produce
	frames      []byte // runMax frames, one behind the other
	size        int    // of one
	partitionAt int    // in a frame
	correlation int32
	partition   int32 // of the next request
	batch       int
	head        int // bytes of an answer up to its error code
	rnd         *rand.Rand
}

func newProduceSource(p *Produce, i int) *produceSource {
	b, _ := p.Batch()
	frame := func(partition int32) []byte {
		q := kmsg.NewPtrProduceRequest()
		q.SetVersion(produceVersion)
		q.Acks, q.TimeoutMillis = p.Acks, 30_000
		t := kmsg.NewProduceRequestTopic()
		t.Topic = p.Topic
		tp := kmsg.NewProduceRequestTopicPartition()
		tp.Partition, tp.Records = partition, b
		t.Partitions = append(t.Partitions, tp)
		q.Topics = append(q.Topics, t)
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-bench")).AppendRequest(nil, q, 0)
	}
	s := &produceSource{p: p, batch: len(b), partition: int32(i % p.Partitions), rnd: rand.New(rand.NewPCG(2, uint64(i)))}
	one := frame(0)
	s.size = len(one)
	s.partitionAt = differ(one, frame(-1))
	s.head = differ(p.answer(0), p.answer(-1)) + 2
	for len(s.frames) == 0 || len(s.frames)+s.size <= 256<<10 && len(s.frames) < p.Depth*s.size {
		s.frames = append(s.frames, one...)
	}
	return s
}

// differ is where two encodings begin to differ: where the value is that differs.
func differ(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

func (s *produceSource) runMax() int   { return len(s.frames) / s.size }
func (s *produceSource) headSize() int { return s.head }

func (s *produceSource) prepare(n int) []byte {
	for i := range n {
		f := s.frames[i*s.size:]
		s.correlation++
		binary.BigEndian.PutUint32(f[8:], uint32(s.correlation))
		binary.BigEndian.PutUint32(f[s.partitionAt:], uint32(s.partition))
		if s.p.Random {
			s.partition = s.rnd.Int32N(int32(s.p.Partitions))
		} else {
			s.partition = (s.partition + int32(s.p.Conns)) % int32(s.p.Partitions)
		}
	}
	return s.frames[:n*s.size]
}

func (s *produceSource) answer(head []byte, _ int) (int, error) {
	if len(head) < s.head {
		return 0, errFrame
	}
	if code := int16(binary.BigEndian.Uint16(head[s.head-2:])); code != 0 {
		return 0, fmt.Errorf("produce: error %d", code)
	}
	return s.batch, nil
}

// Fill sends n requests over one connection, one partition after the other, and waits
// for all answers.
func (p Produce) Fill(n int) error {
	c, err := dial(p.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	p.Conns = 1
	src := newProduceSource(&p, 0)
	in := &answers{c: c, src: src, buf: make([]byte, 64<<10)}
	for sent, answered := 0, 0; answered < n; {
		for sent < n && sent-answered < p.Depth {
			k := min(n-sent, p.Depth-(sent-answered), src.runMax())
			if _, err := c.Write(src.prepare(k)); err != nil {
				return err
			}
			sent += k
		}
		k, err := in.read(func(int) {})
		if err != nil {
			return err
		}
		answered += k
	}
	return nil
}
