package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka/group"
)

// FindCoordinator (10), versions 0 to 6; batched from 4, with an error per key. The
// coordinator is the node, in the view of the listener, of the shard that owns the
// group's partition. Transactions and share groups are refused.
func (s *Session) onFindCoordinator(sl *slot, h *codec.Header) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if h.Version < 4 {
		c := s.coordinator(req.CoordinatorKey, req.CoordinatorType)
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
		s.answer(sl, resp)
		return
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, s.coordinator(key, req.CoordinatorType))
	}
	s.answer(sl, resp)
}

func (s *Session) coordinator(key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	switch {
	case kind == 1:
		c.ErrorCode, c.ErrorMessage = codec.TransactionalIDNotAuthorized, text(refusedTransactional)
		return c
	case kind != 0:
		c.ErrorCode, c.ErrorMessage = codec.InvalidRequest, text("this kind of coordinator is not supported")
		return c
	}
	_, owner, ok := s.groupPartition(key)
	if !ok {
		c.ErrorCode, c.ErrorMessage = codec.CoordinatorNotAvailable, text("the topic "+s.opt.OffsetsTopic+" does not exist yet")
		return c
	}
	node := s.node(owner)
	for _, b := range s.brokers() {
		if b.node == node {
			c.NodeID, c.Host, c.Port = int32(node), b.host, b.port
			return c
		}
	}
	c.ErrorCode = codec.CoordinatorNotAvailable
	return c
}

// groupPartition is the partition of the offsets topic that coordinates a group.
func (s *Session) groupPartition(id string) (core.PartitionID, core.ShardID, bool) {
	t := s.host.Catalog().Topic(s.opt.OffsetsTopic)
	if t == nil || len(t.Partitions) == 0 {
		return core.PartitionID{}, 0, false
	}
	n := group.Partition(id, int32(len(t.Partitions)))
	return core.PartitionID{Topic: t.ID, Index: n}, t.Partitions[n], true
}
