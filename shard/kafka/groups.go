package kafka

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// The group APIs (8, 9, 11 to 16, 42, 47) are answered by the coordinator that lives
// with the partition of the group. A request that names one group is passed on as it is;
// one that names several is split into one per group, of the same version, and the
// answers are merged. What a coordinator refuses becomes the error of the API.
func (s *Session) onGroup(sl *slot, h *codec.Header, fx *session.Effects) {
	req, resp := kmsg.RequestForKey(h.Key), kmsg.ResponseForKey(h.Key)
	if req == nil || resp == nil || !s.decode(req, h) {
		return
	}
	resp.SetVersion(h.Version)
	switch q := req.(type) {
	case *kmsg.OffsetFetchRequest:
		if h.Version >= 8 {
			s.splitOffsetFetch(sl, h, q, fx)
			return
		}
		failFetch(q, resp.(*kmsg.OffsetFetchResponse))
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.DescribeGroupsRequest:
		s.splitDescribe(sl, h, q, fx)
	case *kmsg.DeleteGroupsRequest:
		s.splitDelete(sl, h, q, fx)
	case *kmsg.ListGroupsRequest:
		s.listGroups(sl, h, fx)
	case *kmsg.OffsetCommitRequest:
		s.failCommits(q, resp.(*kmsg.OffsetCommitResponse))
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.JoinGroupRequest:
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.HeartbeatRequest:
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.LeaveGroupRequest:
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.SyncGroupRequest:
		s.pass(sl, h, q.Group, resp, fx)
	case *kmsg.OffsetDeleteRequest:
		s.pass(sl, h, q.Group, resp, fx)
	default:
		s.fault = codec.ErrUnserved
	}
}

// failCommits prepares the error answer of an OffsetCommit, which has only errors per
// partition.
func (s *Session) failCommits(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	for i := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		for k := range req.Topics[i].Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition = req.Topics[i].Partitions[k].Partition
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
}

// failFetch prepares the error answer of an OffsetFetch before version 2, which has only
// errors per partition.
func failFetch(req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) {
	if req.Version >= 2 {
		return
	}
	for i := range req.Topics {
		t := kmsg.NewOffsetFetchResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, index := range req.Topics[i].Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.Metadata = index, -1, text("")
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
}

// groupCode is the error of a group API when the coordinator did not answer.
func groupCode(c *session.Completion) int16 {
	if c.Outcome == core.Done {
		return codec.NoError
	}
	if c.Outcome == core.Refused {
		switch c.Code {
		case core.ErrCoordinatorLoading, core.ErrNotCoordinator, core.ErrInvalidRequest:
			return codec.Errno(c.Code)
		case core.ErrNotLeader:
			return codec.NotCoordinator
		}
	}
	return codec.CoordinatorNotAvailable
}

// pass sends the request of one group on; failed is its answer if that does not work.
func (s *Session) pass(sl *slot, h *codec.Header, group string, failed kmsg.Response, fx *session.Effects) {
	s.call(sl, h, group, h.Body, fx, func(code int16, body []byte) {
		if code != codec.NoError {
			failGroup(failed, code)
			s.answer(sl, failed)
			return
		}
		sl.out = append(codec.BeginResponse(sl.out[:0], sl.key, sl.version, sl.correlation), body...)
		codec.EndResponse(sl.out, 0, 0)
		sl.done = true
	})
	s.whenDone(sl, func(*slot) {})
}

func failGroup(resp kmsg.Response, code int16) {
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		for i := range r.Topics {
			for k := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[k].ErrorCode = code
			}
		}
	case *kmsg.OffsetFetchResponse:
		r.ErrorCode = code
		for i := range r.Topics {
			for k := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[k].ErrorCode = code
			}
		}
	case *kmsg.JoinGroupResponse:
		r.ErrorCode, r.Generation = code, -1
	case *kmsg.HeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		r.ErrorCode = code
	case *kmsg.SyncGroupResponse:
		r.ErrorCode = code
	case *kmsg.OffsetDeleteResponse:
		r.ErrorCode = code
	}
}

// call asks the coordinator of a group. take is given its answer, or an error code.
func (s *Session) call(sl *slot, h *codec.Header, group string, body []byte, fx *session.Effects, take func(code int16, body []byte)) {
	p, _, ok := s.groupPartition(group)
	if !ok {
		take(codec.CoordinatorNotAvailable, nil)
		return
	}
	s.callPartition(sl, h, p, body, fx, take)
}

func (s *Session) callPartition(sl *slot, h *codec.Header, p core.PartitionID, body []byte, fx *session.Effects, take func(code int16, body []byte)) {
	t := s.expect(sl, func(c *session.Completion) { take(groupCode(c), c.Body) })
	fx.Call = append(fx.Call, session.Call{Ticket: t, Partition: p, Kind: h.Key, Version: h.Version, Body: s.callBody(h, body)})
}

// callBody is what a coordinator is sent: client id, client address, request body.
func (s *Session) callBody(h *codec.Header, body []byte) []byte {
	addr := "/" + s.info.Remote.Addr().Unmap().String()
	b := make([]byte, 0, 4+len(h.ClientID)+len(addr)+len(body))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.ClientID))), h.ClientID...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(addr))), addr...)
	return append(b, body...)
}

// readAnswer decodes an answer of a coordinator, unless there is none. One that cannot be
// read is an error, and never one that says nothing.
func readAnswer(code int16, resp kmsg.Response, version int16, body []byte) int16 {
	if code != codec.NoError {
		return code
	}
	resp.SetVersion(version)
	if resp.ReadFrom(append([]byte(nil), body...)) != nil { // the bytes are borrowed
		return codec.UnknownServerError
	}
	return codec.NoError
}

func (s *Session) splitOffsetFetch(sl *slot, h *codec.Header, req *kmsg.OffsetFetchRequest, fx *session.Effects) {
	whole := map[string]bool{} // asked for all that there is
	req.Groups = slices.DeleteFunc(req.Groups, func(g kmsg.OffsetFetchRequestGroup) bool {
		again := g.Topics == nil && whole[g.Group]
		whole[g.Group] = whole[g.Group] || g.Topics == nil
		return again
	})
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	for i := range req.Groups {
		one := *req
		one.Groups = req.Groups[i : i+1]
		out := &resp.Groups[i]
		*out = kmsg.NewOffsetFetchResponseGroup()
		out.Group = req.Groups[i].Group
		s.call(sl, h, out.Group, one.AppendTo(nil), fx, func(code int16, body []byte) {
			var r kmsg.OffsetFetchResponse
			if out.ErrorCode = readAnswer(code, &r, sl.version, body); code == codec.NoError && len(r.Groups) == 1 {
				*out = r.Groups[0]
			}
		})
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

func (s *Session) splitDescribe(sl *slot, h *codec.Header, req *kmsg.DescribeGroupsRequest, fx *session.Effects) {
	req.Groups = once(req.Groups, func(g *string) string { return *g })
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
	for i := range req.Groups {
		one := *req
		one.Groups = req.Groups[i : i+1]
		out := &resp.Groups[i]
		*out = kmsg.NewDescribeGroupsResponseGroup()
		out.Group, out.AuthorizedOperations = req.Groups[i], notAsked
		s.call(sl, h, out.Group, one.AppendTo(nil), fx, func(code int16, body []byte) {
			var r kmsg.DescribeGroupsResponse
			if out.ErrorCode = readAnswer(code, &r, sl.version, body); code == codec.NoError && len(r.Groups) == 1 {
				*out = r.Groups[0]
			}
		})
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

func (s *Session) splitDelete(sl *slot, h *codec.Header, req *kmsg.DeleteGroupsRequest, fx *session.Effects) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	for i := range req.Groups {
		one := *req
		one.Groups = req.Groups[i : i+1]
		out := &resp.Groups[i]
		*out = kmsg.NewDeleteGroupsResponseGroup()
		out.Group = req.Groups[i]
		s.call(sl, h, out.Group, one.AppendTo(nil), fx, func(code int16, body []byte) {
			var r kmsg.DeleteGroupsResponse
			if out.ErrorCode = readAnswer(code, &r, sl.version, body); code == codec.NoError && len(r.Groups) == 1 {
				*out = r.Groups[0]
			}
		})
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}

// listGroups asks every coordinator. One that cannot answer makes the answer an error:
// a list that lacks groups must not look whole.
func (s *Session) listGroups(sl *slot, h *codec.Header, fx *session.Effects) {
	resp := kmsg.NewPtrListGroupsResponse()
	if t := s.host.Catalog().Topic(s.opt.OffsetsTopic); t != nil {
		for i := range t.Partitions {
			s.callPartition(sl, h, core.PartitionID{Topic: t.ID, Index: int32(i)}, h.Body, fx, func(code int16, body []byte) {
				var r kmsg.ListGroupsResponse
				if code = readAnswer(code, &r, sl.version, body); code == codec.NoError {
					code = r.ErrorCode
				}
				if code != codec.NoError {
					resp.ErrorCode = code
					return
				}
				resp.Groups = append(resp.Groups, r.Groups...)
			})
		}
	}
	s.whenDone(sl, func(sl *slot) { s.answer(sl, resp) })
}
