package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// OffsetCommit, versions 2 to 10. Answered when the offsets are durable; errors are per
// partition, and one bad partition does not stop the others. 2 to 4: retention of the
// client's choice. 6: leader epochs. 7: static members. 9: an unknown group that a
// member speaks of is GROUP_ID_NOT_FOUND. 10: topics by id.

func (c *Coordinator) onOffsetCommit(body []byte) {
	req := kmsg.OffsetCommitRequest{RetentionTimeMillis: -1}
	if !c.decode(&req, body) {
		return
	}
	resp := &kmsg.OffsetCommitResponse{Topics: make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))}
	for i := range req.Topics {
		t := &req.Topics[i]
		resp.Topics[i] = kmsg.OffsetCommitResponseTopic{Topic: t.Topic, TopicID: t.TopicID,
			Partitions: make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))}
		for k := range t.Partitions {
			resp.Topics[i].Partitions[k].Partition = t.Partitions[k].Partition
		}
	}
	g, code := c.committer(&req)
	if code != errNone {
		for i := range req.Topics {
			for k := range req.Topics[i].Partitions {
				_, resp.Topics[i].Partitions[k].ErrorCode = c.commitTopic(&req.Topics[i], req.Topics[i].Partitions[k].Partition)
			}
		}
		setCommitErrors(resp, code)
		c.answer(resp)
		return
	}
	keys := c.buildCommit(g, &req, resp)
	if len(keys) == 0 {
		c.answer(resp)
		return
	}
	w := c.waiter()
	c.append(&op{group: g, keys: keys, done: func(outcome core.Outcome, code core.Code) {
		setCommitErrors(resp, appendFailed(outcome, code, errInvalidCommitSize))
		c.reply(&w, resp)
	}})
}

// committer finds the group of a commit and says whether the asker may commit.
func (c *Coordinator) committer(r *kmsg.OffsetCommitRequest) (*group, int16) {
	g := c.lookup(r.Group)
	if g == nil {
		switch {
		case r.Generation >= 0 && c.call.Version >= 9:
			return nil, errGroupNotFound
		case r.Generation >= 0:
			return nil, errIllegalGeneration
		}
		// Nobody manages this group: its reader keeps its offsets here and assigns
		// partitions itself.
		if g = c.lookupOrNew(r.Group); g == nil {
			return nil, errCoordinatorNotAvailable
		}
	}
	return g, g.mayCommit(r)
}

func (g *group) mayCommit(r *kmsg.OffsetCommitRequest) int16 {
	switch {
	case g.state == dead:
		return errCoordinatorNotAvailable
	case r.Generation < 0 && g.state == empty:
		return errNone
	case r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil:
		return errUnknownMember // the group has members, and they decide
	}
	m, code := g.find(r.MemberID, r.InstanceID)
	switch {
	case code != errNone:
		return code
	case r.Generation != g.generation:
		return errIllegalGeneration
	case g.state == completing:
		// It knows the generation, but not yet what it is to read: it must not commit
		// what the next owner may be reading.
		return errRebalanceInProgress
	}
	g.alive(m)
	return errNone
}

// buildCommit builds the batch of the offsets that can be committed, and puts the errors
// of the others into the answer.
func (c *Coordinator) buildCommit(g *group, r *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) []topicPartition {
	now := c.host.Wall()
	var keys []topicPartition
	b := &c.build
	for i := range r.Topics {
		t := &r.Topics[i]
		for k := range t.Partitions {
			p := &t.Partitions[k]
			topic, unknown := c.commitTopic(t, p.Partition)
			code := &resp.Topics[i].Partitions[k].ErrorCode
			switch {
			case unknown != errNone:
				*code = unknown
				continue
			case p.Metadata != nil && len(*p.Metadata) > c.opt.OffsetMetadataMax:
				*code = errOffsetMetadataTooLarge
				continue
			}
			o := committed{offset: core.Offset(p.Offset), epoch: core.Epoch(p.LeaderEpoch), time: now, expires: -1, topicID: topic.ID}
			if c.call.Version < 6 {
				o.epoch = -1
			}
			if p.Metadata != nil {
				o.metadata = *p.Metadata
			}
			if c.call.Version <= 4 && r.RetentionTimeMillis >= 0 {
				o.expires = now + r.RetentionTimeMillis
			}
			if len(keys) == 0 {
				b.begin(now)
				keys = make([]topicPartition, 0, len(t.Partitions))
			}
			tp := topicPartition{topic.Name, p.Partition}
			keys = append(keys, tp)
			c.addOffset(g.id, tp, &o)
		}
	}
	return keys
}

// commitTopic finds the topic of a partition, or says why there is none. That comes before
// what is wrong with the asker, as in Kafka.
func (c *Coordinator) commitTopic(t *kmsg.OffsetCommitRequestTopic, partition int32) (*core.Topic, int16) {
	topic, unknown := c.host.Catalog().Topic(t.Topic), errUnknownTopicOrPartition
	if c.call.Version >= 10 {
		topic, unknown = c.host.Catalog().TopicByID(t.TopicID), errUnknownTopicID
	}
	switch {
	case topic == nil:
		return nil, unknown
	case partition < 0 || int(partition) >= len(topic.Partitions):
		return nil, errUnknownTopicOrPartition
	}
	return topic, errNone
}

// addOffset adds an offset's record to the batch; nil: its tombstone.
func (c *Coordinator) addOffset(group string, tp topicPartition, o *committed) {
	b := &c.build
	b.key = appendOffsetKey(b.key[:0], group, tp)
	if o == nil {
		b.add(b.key, nil)
		return
	}
	b.value = appendCommitted(b.value[:0], o)
	b.add(b.key, b.value)
}

// setCommitErrors sets a code on the partitions without an error.
func setCommitErrors(resp *kmsg.OffsetCommitResponse, code int16) {
	if code == errNone {
		return
	}
	for i := range resp.Topics {
		ps := resp.Topics[i].Partitions
		for k := range ps {
			if ps[k].ErrorCode == errNone {
				ps[k].ErrorCode = code
			}
		}
	}
}
