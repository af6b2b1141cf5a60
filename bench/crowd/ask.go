package crowd

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

// version of Produce and of Fetch: flexible, and topics are named.
const version = 12

// Produce sends batches to the partitions in turn, one in each request.
func (c *Crowd) Produce(a Amount, topic string, acks int16, batch []byte) (Stats, error) {
	frame := func(partition int32) []byte {
		q := kmsg.NewPtrProduceRequest()
		q.SetVersion(version)
		q.Acks, q.TimeoutMillis = acks, int32(patience.Milliseconds())
		t := kmsg.NewProduceRequestTopic()
		t.Topic = topic
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, batch
		t.Partitions = append(t.Partitions, p)
		q.Topics = append(q.Topics, t)
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-bench")).AppendRequest(nil, q, 0)
	}
	answer := func(code int16) []byte {
		var e kafka.ProduceEncoder
		e.Begin(kafka.BeginResponse(nil, kafka.Produce, version, 0), version, 1)
		e.Topic([]byte(topic), core.TopicID{}, 1)
		e.Partition(&kafka.ProduceResult{Error: code, AppendTime: -1, Leader: -1})
		e.EndTopic()
		return e.End(0, nil)[4:]
	}
	one := frame(0)
	p := &produce{frame: one, partitionAt: differ(one, frame(-1)), codeAt: differ(answer(0), answer(-1)), worth: len(batch)}
	return c.put(a, p)
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

type produce struct {
	frame       []byte
	correlation uint32
	partitionAt int
	codeAt      int // in an answer
	worth       int
}

func (p *produce) request(partition int32) []byte {
	p.correlation++
	binary.BigEndian.PutUint32(p.frame[8:], p.correlation)
	binary.BigEndian.PutUint32(p.frame[p.partitionAt:], uint32(partition))
	return p.frame
}

func (p *produce) head() int { return p.codeAt + 2 }

func (p *produce) answer(head []byte, _ int) (int, error) {
	if len(head) < p.codeAt+2 {
		return 0, errShort
	}
	if code := int16(binary.BigEndian.Uint16(head[p.codeAt:])); code != 0 {
		return 0, fmt.Errorf("produce: error %d", code)
	}
	return p.worth, nil
}

// Log is what a partition holds: the same in each.
type Log struct {
	Batches   int
	BatchSize int // exactly, in bytes
	Records   int // in each batch
}

// Fetch reads the partitions in turn, one batch in each request, from the start to the
// end and again.
func (c *Crowd) Fetch(a Amount, topic string, log Log) (Stats, error) {
	frame := func(partition int32, offset int64) []byte {
		q := kmsg.NewPtrFetchRequest()
		q.SetVersion(version)
		q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 500, 1, int32(log.BatchSize)
		q.SessionEpoch = -1
		t := kmsg.NewFetchRequestTopic()
		t.Topic = topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, int32(log.BatchSize)
		t.Partitions = append(t.Partitions, p)
		q.Topics = append(q.Topics, t)
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-bench")).AppendRequest(nil, q, 0)
	}
	answer := func(code int16) []byte {
		var e kafka.FetchEncoder
		e.Begin(kafka.BeginResponse(nil, kafka.Fetch, version, 0), version, 0, 0, 0, 1)
		e.Topic([]byte(topic), core.TopicID{}, 1)
		e.Partition(&kafka.FetchResult{Error: code, PreferredRead: -1, Leader: -1}, log.BatchSize)
		records := e.Len()
		e.EndPartition()
		e.EndTopic()
		return e.End(nil)[4:records]
	}
	one := frame(0, 0)
	f := &fetch{log: log, frame: one, partitionAt: differ(one, frame(-1, 0)), offsetAt: differ(one, frame(0, -1)),
		codeAt: differ(answer(0), answer(-1)), recordsAt: len(answer(0)), batches: map[int32]int{}}
	return c.put(a, f)
}

type fetch struct {
	log         Log
	frame       []byte
	correlation uint32
	partitionAt int
	offsetAt    int
	codeAt      int // in an answer
	recordsAt   int // where its records begin, if there are as many as asked for
	batches     map[int32]int
}

func (f *fetch) request(partition int32) []byte {
	f.correlation++
	at := f.batches[partition]
	f.batches[partition] = (at + 1) % f.log.Batches
	binary.BigEndian.PutUint32(f.frame[8:], f.correlation)
	binary.BigEndian.PutUint32(f.frame[f.partitionAt:], uint32(partition))
	binary.BigEndian.PutUint64(f.frame[f.offsetAt:], uint64(at*f.log.Records))
	return f.frame
}

func (f *fetch) head() int { return f.recordsAt }

func (f *fetch) answer(head []byte, size int) (int, error) {
	if len(head) < f.codeAt+2 {
		return 0, errShort
	}
	if code := int16(binary.BigEndian.Uint16(head[f.codeAt:])); code != 0 {
		return 0, fmt.Errorf("fetch: error %d", code)
	}
	if size < f.recordsAt+f.log.BatchSize {
		return 0, fmt.Errorf("fetch: an answer of %d bytes cannot hold a batch of %d", size, f.log.BatchSize)
	}
	return f.log.BatchSize, nil
}
