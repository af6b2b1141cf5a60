package kafka

import "github.com/penstock/penstock/core"

// ProduceRequest is a Produce request, versions 3 to 13 (topic ids from 13). It is
// decoded into again and again; what it holds aliases the body last decoded.
type ProduceRequest struct {
	Version         int16
	TransactionalID []byte // nil is null
	Acks            int16  // -1 all, 1, 0: no answer; others are INVALID_REQUIRED_ACKS
	TimeoutMs       int32
	Topics          []ProduceTopic

	partitions []ProducePartition // of all topics
}

// ProduceTopic is one topic of a ProduceRequest.
type ProduceTopic struct {
	Name       []byte       // up to version 12
	ID         core.TopicID // from version 13
	Partitions []ProducePartition
}

// ProducePartition is one partition of a ProduceTopic.
type ProducePartition struct {
	Index   int32
	Records []byte // nil is null; to be judged by batch.CheckProduce
}

// The least bytes that a topic and a partition take.
func produceWidths(flexible, ids bool) (topic, partition int) {
	switch {
	case ids:
		return 16 + 1 + 1, 4 + 1 + 1
	case flexible:
		return 1 + 1 + 1, 4 + 1 + 1
	}
	return 2 + 4, 4 + 4
}

// Decode reads a body. It allocates only to grow, and not more than the body can hold.
// Bytes behind the last field are ignored, as Kafka does. On an error the request is
// not to be used.
func (q *ProduceRequest) Decode(version int16, body []byte) error {
	r := reader{b: body}
	flexible, ids := version >= 9, version >= 13
	topicMin, partitionMin := produceWidths(flexible, ids)
	q.Version = version
	q.Topics, q.partitions = recycle(q.Topics), recycle(q.partitions)
	q.TransactionalID = r.string(flexible, true)
	q.Acks = r.int16()
	q.TimeoutMs = r.int32()
	for n := r.count(flexible, topicMin); n > 0 && !r.bad; n-- {
		var t ProduceTopic
		if ids {
			t.ID = r.topicID()
		} else {
			t.Name = r.string(flexible, false)
		}
		first := len(q.partitions)
		for m := r.count(flexible, partitionMin); m > 0 && !r.bad; m-- {
			p := ProducePartition{Index: r.int32(), Records: r.bytes(flexible, true)}
			if flexible {
				r.skipTags()
			}
			q.partitions = append(q.partitions, p)
		}
		if flexible {
			r.skipTags()
		}
		// Only the length counts here: the array may still move.
		t.Partitions = q.partitions[first:]
		q.Topics = append(q.Topics, t)
	}
	if flexible {
		r.skipTags()
	}
	if r.bad {
		return &BodyError{Key: Produce, Version: version, Pos: len(body), Field: "Produce"}
	}
	first := 0
	for i := range q.Topics {
		end := first + len(q.Topics[i].Partitions)
		q.Topics[i].Partitions = q.partitions[first:end:end]
		first = end
	}
	return nil
}

// recycle empties a slice for the next request. It keeps the memory, unless one large
// request grew it and this one used little of it; and no references of the old one.
func recycle[T any](s []T) []T {
	const keepMax = 1024
	if cap(s) > keepMax && len(s) < cap(s)/8 {
		return nil
	}
	clear(s)
	return s[:0]
}
