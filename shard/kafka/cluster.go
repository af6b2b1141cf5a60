package kafka

import (
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// DescribeCluster (60), versions 0 to 2: the brokers of the listener's view. Controllers
// (endpoint type 2) are not behind this port.
func (s *Session) onDescribeCluster(sl *slot, h *codec.Header) {
	req := kmsg.NewPtrDescribeClusterRequest()
	if !s.decode(req, h) {
		return
	}
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ClusterID, resp.ControllerID, resp.ClusterAuthorizedOperations = s.host.Cluster().ID, int32(s.controller()), notAsked
	resp.EndpointType = 1
	if h.Version >= 1 && req.EndpointType != 1 {
		resp.ErrorCode, resp.ErrorMessage = codec.UnsupportedEndpointType, text("only brokers can be described")
		if req.EndpointType == 2 {
			resp.ErrorCode = codec.MismatchedEndpointType
		}
		resp.ClusterID, resp.ControllerID = "", -1
		s.answer(sl, resp)
		return
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	for _, b := range s.brokers() {
		n := kmsg.NewDescribeClusterResponseBroker()
		n.NodeID, n.Host, n.Port, n.Rack = int32(b.node), b.host, b.port, s.rack()
		resp.Brokers = append(resp.Brokers, n)
	}
	s.answer(sl, resp)
}

// limitMax bounds the partitions of one answer (max.request.partition.size.limit).
const limitMax = 2000

// DescribeTopicPartitions (75), version 0: topics by name, or all, in the order of their
// names, at most so many partitions, and a cursor to go on from.
func (s *Session) onDescribeTopicPartitions(sl *slot, h *codec.Header) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	if !s.decode(req, h) {
		return
	}
	var names []string
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	all := len(names) == 0
	if all {
		for _, t := range s.host.Catalog().Topics {
			names = append(names, t.Name)
		}
	}
	sort.Strings(names)
	left := max(min(int(req.ResponsePartitionLimit), limitMax), 1)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	for i, name := range names {
		first := 0
		if i > 0 && names[i-1] == name || req.Cursor != nil && name < req.Cursor.Topic {
			continue
		}
		if req.Cursor != nil && name == req.Cursor.Topic {
			first = max(int(req.Cursor.Partition), 0)
		}
		if left == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(first)}
			break
		}
		out, next := s.describePartitions(name, first, left)
		left -= len(out.Partitions)
		resp.Topics = append(resp.Topics, out)
		if next >= 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(next)}
			break
		}
	}
	s.answer(sl, resp)
}

// describePartitions describes at most limit partitions; next is the first that is left
// over, or -1.
func (s *Session) describePartitions(name string, first, limit int) (out kmsg.DescribeTopicPartitionsResponseTopic, next int) {
	out = kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.AuthorizedOperations = &name, topicOperations // always told
	t := s.host.Catalog().Topic(name)
	if t == nil {
		if out.ErrorCode = codec.UnknownTopicOrPartition; !validName(name) {
			out.ErrorCode = codec.InvalidTopicException
		}
		return out, -1
	}
	out.TopicID, out.IsInternal = t.ID, t.Internal
	for i := first; i < len(t.Partitions); i++ {
		if len(out.Partitions) == limit {
			return out, i
		}
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		nodes := []int32{int32(s.node(t.Partitions[i]))}
		p.Partition, p.LeaderID, p.LeaderEpoch = int32(i), nodes[0], int32(s.host.Catalog().Starts)
		p.Replicas, p.ISR = nodes, nodes
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		out.Partitions = append(out.Partitions, p)
	}
	return out, -1
}

// DescribeLogDirs (35), versions 1 to 5: the one data directory, with the size of each
// partition in it and, from 4 on, of its file system. A partition that cannot be read is
// left out, since it has no size that could be told; if that is so for all, the directory
// is KAFKA_STORAGE_ERROR. Nothing is cordoned, and no log lags or is a future one.
func (s *Session) onDescribeLogDirs(sl *slot, h *codec.Header, fx *session.Effects) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	if !s.decode(req, h) {
		return
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = s.opt.LogDir
	if s.opt.Disk != nil {
		dir.TotalBytes, dir.UsableBytes = s.opt.Disk()
	}
	sizes := 0
	// A partition is told by the broker that leads it, or its bytes would count once per core.
	ask := func(t *core.Topic, indexes []int32) {
		indexes = slices.DeleteFunc(indexes, func(i int32) bool { return s.node(t.Partitions[i]) != s.self() })
		if len(indexes) == 0 {
			return
		}
		out := kmsg.NewDescribeLogDirsResponseDirTopic()
		out.Topic = t.Name
		out.Partitions = make([]kmsg.DescribeLogDirsResponseDirTopicPartition, len(indexes))
		for i, index := range indexes {
			p := &out.Partitions[i]
			p.Partition, p.Size = index, -1
			ticket := s.expect(sl, func(c *session.Completion) {
				if c.Outcome == core.Done {
					p.Size = c.Size
					sizes++
				}
			})
			fx.Query = append(fx.Query, session.Query{Ticket: ticket, Kind: session.QuerySize, Epoch: -1,
				Partition: core.PartitionID{Topic: t.ID, Index: index}})
		}
		dir.Topics = append(dir.Topics, out)
	}
	if req.Topics == nil {
		for _, t := range s.host.Catalog().Topics {
			indexes := make([]int32, len(t.Partitions))
			for i := range indexes {
				indexes[i] = int32(i)
			}
			ask(t, indexes)
		}
	}
	for i := range req.Topics {
		t := s.host.Catalog().Topic(req.Topics[i].Topic)
		var have []int32
		for _, index := range req.Topics[i].Partitions {
			if partitionError(t, index) == codec.NoError {
				have = append(have, index)
			}
		}
		ask(t, have)
	}
	s.whenDone(sl, func(sl *slot) {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		if dir.Topics = withSizes(dir.Topics); sizes == 0 && len(sl.takers) > 0 {
			dir.ErrorCode = codec.KafkaStorageError
		}
		resp.Dirs = append(resp.Dirs, dir)
		s.answer(sl, resp)
	})
}

// withSizes leaves out the partitions without one.
func withSizes(topics []kmsg.DescribeLogDirsResponseDirTopic) []kmsg.DescribeLogDirsResponseDirTopic {
	for i := range topics {
		topics[i].Partitions = slices.DeleteFunc(topics[i].Partitions, func(p kmsg.DescribeLogDirsResponseDirTopicPartition) bool { return p.Size < 0 })
	}
	return slices.DeleteFunc(topics, func(t kmsg.DescribeLogDirsResponseDirTopic) bool { return len(t.Partitions) == 0 })
}
