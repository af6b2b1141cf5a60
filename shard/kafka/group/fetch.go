package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// OffsetFetch, versions 1 to 10. What is not committed, of groups known or not, is
// offset -1 without an error. 2: no topics means all of them. 5: leader epochs. 7:
// require_stable, which never has to wait, since there are no transactions. 8: several
// groups. 9: member id and epoch, which mean nothing to a classic group. 10: topics by
// id.

// fetched is one answered partition of any version.
type fetched struct {
	offset   int64
	epoch    int32
	metadata string
}

var nothingFetched = fetched{offset: -1, epoch: -1}

func (c *Coordinator) onOffsetFetch(body []byte) {
	var req kmsg.OffsetFetchRequest
	if !c.decode(&req, body) {
		return
	}
	resp := &kmsg.OffsetFetchResponse{}
	if c.call.Version < 8 {
		c.fetchOne(&req, resp)
	} else {
		for i := range req.Groups {
			resp.Groups = append(resp.Groups, c.fetchGroup(&req.Groups[i]))
		}
	}
	c.answer(resp)
}

// fetchOne answers the versions before 8.
func (c *Coordinator) fetchOne(r *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) {
	if g := c.lookup(r.Group); g != nil && g.state == dead {
		resp.ErrorCode = errCoordinatorNotAvailable
		for i := range r.Topics { // version 1 has no other place for it
			t := kmsg.OffsetFetchResponseTopic{Topic: r.Topics[i].Topic}
			for _, p := range r.Topics[i].Partitions {
				none := ""
				t.Partitions = append(t.Partitions, kmsg.OffsetFetchResponseTopicPartition{Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: &none, ErrorCode: resp.ErrorCode})
			}
			resp.Topics = append(resp.Topics, t)
		}
		return
	}
	im := c.fold.byID[r.Group]
	if r.Topics == nil && c.call.Version >= 2 {
		c.allTopics(im, func(topic *core.Topic, partitions []int32) {
			r.Topics = append(r.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic.Name, Partitions: partitions})
		})
	}
	for i := range r.Topics {
		q := &r.Topics[i]
		t := kmsg.OffsetFetchResponseTopic{Topic: q.Topic, Partitions: make([]kmsg.OffsetFetchResponseTopicPartition, len(q.Partitions))}
		topic := c.host.Catalog().Topic(q.Topic)
		for k, p := range q.Partitions {
			f := offsetOf(im, topic, p)
			t.Partitions[k] = kmsg.OffsetFetchResponseTopicPartition{Partition: p, Offset: f.offset, LeaderEpoch: f.epoch, Metadata: &f.metadata}
		}
		resp.Topics = append(resp.Topics, t)
	}
}

// fetchGroup answers one group, from version 8 on.
func (c *Coordinator) fetchGroup(r *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.OffsetFetchResponseGroup{Group: r.Group}
	if g := c.lookup(r.Group); g != nil && g.state == dead {
		resp.ErrorCode = errCoordinatorNotAvailable
		return resp
	}
	catalog, im := c.host.Catalog(), c.fold.byID[r.Group]
	if r.Topics == nil {
		c.allTopics(im, func(topic *core.Topic, partitions []int32) {
			r.Topics = append(r.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic.Name, TopicID: topic.ID, Partitions: partitions})
		})
	}
	for i := range r.Topics {
		q := &r.Topics[i]
		t := kmsg.OffsetFetchResponseGroupTopic{Topic: q.Topic, TopicID: q.TopicID, Partitions: make([]kmsg.OffsetFetchResponseGroupTopicPartition, len(q.Partitions))}
		topic, code := catalog.Topic(q.Topic), errNone
		if c.call.Version >= 10 {
			if topic = catalog.TopicByID(q.TopicID); topic == nil {
				code = errUnknownTopicID
			}
		}
		for k, p := range q.Partitions {
			f := offsetOf(im, topic, p)
			t.Partitions[k] = kmsg.OffsetFetchResponseGroupTopicPartition{Partition: p, Offset: f.offset, LeaderEpoch: f.epoch, Metadata: &f.metadata, ErrorCode: code}
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// offsetOf is what the group has committed for a partition of the topic as it is now: an
// offset of a deleted topic of the same name is not one.
func offsetOf(im *image, topic *core.Topic, partition int32) *fetched {
	if im == nil || topic == nil {
		f := nothingFetched
		return &f
	}
	i, ok := im.at[topicPartition{topic.Name, partition}]
	if !ok || !im.offsets[i].of(topic) {
		f := nothingFetched
		return &f
	}
	e := &im.offsets[i]
	return &fetched{offset: int64(e.offset), epoch: int32(e.epoch), metadata: e.metadata}
}

// of says whether the offset was committed for this topic, and not for a deleted one of
// the same name.
func (c *committed) of(topic *core.Topic) bool { return c.topicID.IsZero() || c.topicID == topic.ID }

// allTopics calls fn for each topic that the group has offsets of, with the partitions.
func (c *Coordinator) allTopics(im *image, fn func(topic *core.Topic, partitions []int32)) {
	if im == nil {
		return
	}
	var order []*core.Topic
	partitions := map[*core.Topic][]int32{}
	for i := range im.offsets {
		e := &im.offsets[i]
		topic := c.host.Catalog().Topic(e.topic)
		if topic == nil || !e.of(topic) {
			continue
		}
		if partitions[topic] == nil {
			order = append(order, topic)
		}
		partitions[topic] = append(partitions[topic], e.partition)
	}
	for _, topic := range order {
		fn(topic, partitions[topic])
	}
}
