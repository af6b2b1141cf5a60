package kafka

import (
	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

// Leader hints (KIP-951): an answer that says "not the leader" also says who is, in the
// view of the listener, so that the client need not ask for metadata. Produce has them
// from version 10 on with NOT_LEADER_OR_FOLLOWER, Fetch from 16 on also with
// FENCED_LEADER_EPOCH, which a client gets that knows the epoch before an unclean start.
// Any core serves any partition, so the first error is seen only while the broker stops.

// hint is the leader of a partition and its epoch; the leader's address is added to nodes
// unless it is there. The leader is -1 if there is no such partition any more.
func (s *Session) hint(id core.PartitionID, nodes []codec.Node) (core.NodeID, core.Epoch, []codec.Node) {
	c := s.host.Catalog()
	owner, ok := c.Owner(id)
	if !ok {
		return -1, -1, nodes
	}
	node := s.node(owner)
	for i := range nodes {
		if nodes[i].ID == int32(node) {
			return node, c.Starts, nodes
		}
	}
	for _, b := range s.brokers() {
		if b.node == node {
			nodes = append(nodes, codec.Node{ID: int32(node), Host: b.host, Port: b.port, Rack: s.host.Cluster().Rack})
		}
	}
	return node, c.Starts, nodes
}

// produceHints adds the hints to the answers of a Produce.
func (s *Session) produceHints(p *produceState) (nodes []codec.Node) {
	at, from := 0, 0
	for i := range p.topics {
		t := &p.topics[i]
		topic := s.host.Catalog().TopicByID(t.id)
		if t.name > from {
			topic = s.host.Catalog().TopicByName(p.names[from:t.name])
		}
		from = t.name
		for range t.partitions {
			if out := &p.parts[at]; out.Error == codec.NotLeaderOrFollower && topic != nil {
				out.Leader, out.Epoch, nodes = s.hint(core.PartitionID{Topic: topic.ID, Index: out.Index}, nodes)
			}
			at++
		}
	}
	return nodes
}
