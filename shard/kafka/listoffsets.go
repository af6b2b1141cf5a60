package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// ListOffsets (2), versions 1 to 11. The special timestamps are -1 latest, -2 earliest,
// -3 the largest timestamp (from 7), -4 the earliest that is local (from 8), which is
// the earliest, -5 the latest that is tiered (from 9) and -6 the earliest that is not
// yet uploaded (from 11): nothing is tiered, so both are -1. By time is exact. A partition
// that is named more than once is answered once, with INVALID_REQUEST, as in Kafka.
func (s *Session) onListOffsets(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrListOffsetsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	named := timesNamed(req)
	for i := range req.Topics {
		t := &req.Topics[i]
		topic := s.host.Catalog().Topic(t.Topic)
		out := &resp.Topics[i]
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, 0, len(t.Partitions)) // does not move: answers go there
		for k := range t.Partitions {
			in := &t.Partitions[k]
			times := named[listed{t.Topic, in.Partition}]
			if times == answered {
				continue
			}
			out.Partitions = append(out.Partitions, kmsg.NewListOffsetsResponseTopicPartition())
			p := &out.Partitions[len(out.Partitions)-1]
			p.Partition = in.Partition
			switch {
			case times > 1:
				p.ErrorCode = codec.InvalidRequest
				named[listed{t.Topic, in.Partition}] = answered
			case in.Timestamp < 0 && (in.Timestamp < -6 || sl.version < specialFrom[-in.Timestamp]):
				p.ErrorCode = codec.UnsupportedVersion
			default:
				if p.ErrorCode = partitionError(topic, in.Partition); p.ErrorCode == codec.NoError {
					s.listOffset(sl, topic.ID, in, p, fx)
				}
			}
		}
	}
	resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.ListOffsetsResponseTopic) bool { return len(t.Partitions) == 0 })
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// listed is a partition of a ListOffsets request.
type listed struct {
	topic string
	index int32
}

// answered stands for the times of a partition that has been refused already.
const answered = -1

// timesNamed counts how often a request names each partition.
func timesNamed(req *kmsg.ListOffsetsRequest) map[listed]int {
	named := map[listed]int{}
	for i := range req.Topics {
		t := &req.Topics[i]
		for k := range t.Partitions {
			named[listed{t.Topic, t.Partitions[k].Partition}]++
		}
	}
	return named
}

// partitionError says whether the topic has this partition.
func partitionError(t *core.Topic, index int32) int16 {
	if t == nil || index < 0 || int(index) >= len(t.Partitions) {
		return codec.UnknownTopicOrPartition
	}
	return codec.NoError
}

// specialFrom is the version in which a special timestamp came, by its negative.
var specialFrom = [...]int16{1: 1, 2: 1, 3: 7, 4: 8, 5: 9, 6: 11}

func (s *Session) listOffset(sl *slot, topic core.TopicID, in *kmsg.ListOffsetsRequestTopicPartition, p *kmsg.ListOffsetsResponseTopicPartition, fx *session.Effects) {
	ts := in.Timestamp
	q := session.Query{Partition: core.PartitionID{Topic: topic, Index: in.Partition}, Epoch: core.Epoch(in.CurrentLeaderEpoch), Kind: session.QueryBounds}
	switch {
	case ts == -3:
		q.Kind = session.QueryMaxTime
	case ts >= 0:
		q.Kind, q.Arg = session.QueryTime, ts
	}
	q.Ticket = s.expect(sl, func(c *session.Completion) {
		if p.ErrorCode = errnoOf(c); p.ErrorCode != codec.NoError {
			return
		}
		switch ts {
		case -1:
			p.Offset = int64(c.HighWatermark)
		case -2, -4:
			p.Offset = int64(c.LogStart)
		case -5, -6:
		default:
			p.Offset, p.Timestamp = int64(c.Base), c.Timestamp
			if p.Offset < 0 {
				p.Timestamp = -1
			}
		}
		if p.Offset >= 0 {
			p.LeaderEpoch = int32(c.Epoch)
		}
	})
	fx.Query = append(fx.Query, q)
}
