package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// DeleteTopics (20), versions 1 to 6; by name or, from 6, by id. Internal topics are
// not deleted.
func (s *Session) onDeleteTopics(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	if !s.decode(req, h) {
		return
	}
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = text(name)
		req.Topics = append(req.Topics, t)
	}
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(req.Topics))
	twice := repeated(len(req.Topics), func(i int) string {
		if t := req.Topics[i].Topic; t != nil {
			return *t
		}
		return string(req.Topics[i].TopicID[:])
	})
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = in.Topic, in.TopicID
		cmd := core.Command{Kind: core.DeleteTopic, ID: in.TopicID}
		switch {
		case in.Topic != nil && !cmd.ID.IsZero() || in.Topic == nil && cmd.ID.IsZero():
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text("a topic is named by its name or by its id")
			continue
		case in.Topic != nil && twice[*in.Topic] || in.Topic == nil && twice[string(in.TopicID[:])]:
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text(namedTwice)
			continue
		case in.Topic != nil:
			cmd.Topic = *in.Topic
			if t := s.host.Catalog().Topic(cmd.Topic); t != nil {
				out.TopicID = t.ID
			}
		default:
			if t := s.host.Catalog().TopicByID(cmd.ID); t != nil {
				out.Topic = text(t.Name)
			}
		}
		t := s.expect(sl, func(c *session.Completion) { out.ErrorCode, out.ErrorMessage = resultOf(c) })
		fx.Change = append(fx.Change, session.Change{Ticket: t, Command: cmd})
	}
	s.within(sl, req.TimeoutMillis)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// CreatePartitions (37), versions 0 to 3. The number can only grow. There is a result
// for every topic. An assignment may only say what is so anyway, for each new partition.
func (s *Session) onCreatePartitions(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(req.Topics))
	twice := repeated(len(req.Topics), func(i int) string { return req.Topics[i].Topic })
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = in.Topic
		if twice[in.Topic] {
			out.ErrorCode, out.ErrorMessage = codec.InvalidRequest, text(namedTwice)
			continue
		}
		if !s.assignableNew(in) {
			out.ErrorCode, out.ErrorMessage = codec.InvalidReplicaAssignment, text(notAssignable)
			continue
		}
		t := s.expect(sl, func(c *session.Completion) { out.ErrorCode, out.ErrorMessage = resultOf(c) })
		fx.Change = append(fx.Change, session.Change{Ticket: t, Command: core.Command{
			Kind: core.CreatePartitions, Topic: in.Topic, Partitions: in.Count, DryRun: req.ValidateOnly}})
	}
	s.within(sl, req.TimeoutMillis)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// assignableNew says whether there is no assignment, or one for each of the new partitions
// that says what is so anyway. A topic that does not exist, or a number that does not
// grow, is refused by the catalog's writer.
func (s *Session) assignableNew(in *kmsg.CreatePartitionsRequestTopic) bool {
	t := s.host.Catalog().Topic(in.Topic)
	if in.Assignment == nil || t == nil || int(in.Count) <= len(t.Partitions) {
		return true
	}
	for i := range in.Assignment {
		if !s.assignable(in.Assignment[i].Replicas) {
			return false
		}
	}
	return len(in.Assignment) == int(in.Count)-len(t.Partitions)
}

// DeleteRecords (21), versions 0 to 2. -1 is the high watermark. Of internal topics nothing
// is deleted.
func (s *Session) onDeleteRecords(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrDeleteRecordsRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrDeleteRecordsResponse()
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(in.Partitions))
		topic := s.host.Catalog().Topic(in.Topic)
		for k := range in.Partitions {
			p := &out.Partitions[k]
			p.Partition, p.LowWatermark = in.Partitions[k].Partition, -1
			switch {
			case partitionError(topic, p.Partition) != codec.NoError:
				p.ErrorCode = codec.UnknownTopicOrPartition
			case topic.Internal:
				p.ErrorCode = codec.InvalidTopicException
			default:
				t := s.expect(sl, func(c *session.Completion) {
					if p.ErrorCode = errnoOf(c); p.ErrorCode == codec.NoError {
						p.LowWatermark = int64(c.LogStart)
					}
				})
				fx.Query = append(fx.Query, session.Query{Ticket: t, Kind: session.QueryTrim, Epoch: -1, Arg: in.Partitions[k].Offset,
					Partition: core.PartitionID{Topic: topic.ID, Index: p.Partition}})
			}
		}
	}
	s.within(sl, req.TimeoutMillis)
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// OffsetForLeaderEpoch (23), versions 2 to 4. An epoch of the future is answered with -1
// and -1, without an error; one older than all that is known with where those begin.
func (s *Session) onOffsetForLeaderEpoch(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Topics = make([]kmsg.OffsetForLeaderEpochResponseTopic, len(req.Topics))
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		out.Topic = in.Topic
		out.Partitions = make([]kmsg.OffsetForLeaderEpochResponseTopicPartition, len(in.Partitions))
		topic := s.host.Catalog().Topic(in.Topic)
		for k := range in.Partitions {
			ask, p := &in.Partitions[k], &out.Partitions[k]
			p.Partition, p.LeaderEpoch, p.EndOffset = ask.Partition, -1, -1
			if p.ErrorCode = partitionError(topic, p.Partition); p.ErrorCode != codec.NoError {
				continue
			}
			t := s.expect(sl, func(c *session.Completion) {
				if p.ErrorCode = errnoOf(c); p.ErrorCode == codec.NoError {
					p.LeaderEpoch, p.EndOffset = int32(c.Epoch), int64(c.Base)
				}
			})
			fx.Query = append(fx.Query, session.Query{Ticket: t, Kind: session.QueryEpochEnd, Arg: int64(ask.LeaderEpoch),
				Epoch: core.Epoch(ask.CurrentLeaderEpoch), Partition: core.PartitionID{Topic: topic.ID, Index: p.Partition}})
		}
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}
