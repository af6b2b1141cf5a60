package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// groupRequests is one request of each group API, with everything in it that an error
// answer has to name.
func groupRequests() []kmsg.Request {
	member := "m"
	return []kmsg.Request{
		&kmsg.OffsetCommitRequest{Group: "g", Generation: 1, MemberID: member, Topics: []kmsg.OffsetCommitRequestTopic{
			{Topic: "t", TopicID: [16]byte{7}, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1}, {Partition: 3}}}}},
		&kmsg.OffsetFetchRequest{Group: "g", Topics: []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{1, 3}}},
			Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g"}, {Group: "h"}}},
		&kmsg.JoinGroupRequest{Group: "g", MemberID: member, ProtocolType: "consumer", SessionTimeoutMillis: 10000, Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range"}}},
		&kmsg.HeartbeatRequest{Group: "g", MemberID: member},
		&kmsg.LeaveGroupRequest{Group: "g", MemberID: member, Members: []kmsg.LeaveGroupRequestMember{{MemberID: member}}},
		&kmsg.SyncGroupRequest{Group: "g", MemberID: member},
		&kmsg.DescribeGroupsRequest{Groups: []string{"g", "h"}},
		&kmsg.ListGroupsRequest{},
		&kmsg.DeleteGroupsRequest{Groups: []string{"g", "h"}},
		&kmsg.OffsetDeleteRequest{Group: "g", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 1}}}}},
	}
}

// groupErrors is every error in an answer, with what it is about.
func groupErrors(resp kmsg.Response) (out []string) {
	say := func(code int16, about ...any) { out = append(out, fmt.Sprintln(append([]any{code}, about...)...)) }
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				say(p.ErrorCode, t.Topic+string(t.TopicID[:1]), p.Partition)
			}
		}
	case *kmsg.OffsetFetchResponse:
		if r.Version >= 2 && r.Version < 8 {
			say(r.ErrorCode)
		}
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				say(p.ErrorCode, t.Topic, p.Partition, p.Offset)
			}
		}
		for _, g := range r.Groups {
			say(g.ErrorCode, g.Group)
		}
	case *kmsg.JoinGroupResponse:
		say(r.ErrorCode, r.Generation, len(r.Members))
	case *kmsg.HeartbeatResponse:
		say(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		say(r.ErrorCode)
	case *kmsg.SyncGroupResponse:
		say(r.ErrorCode, len(r.MemberAssignment))
	case *kmsg.DescribeGroupsResponse:
		for _, g := range r.Groups {
			say(g.ErrorCode, g.Group)
		}
	case *kmsg.ListGroupsResponse:
		say(r.ErrorCode, len(r.Groups))
	case *kmsg.DeleteGroupsResponse:
		for _, g := range r.Groups {
			say(g.ErrorCode, g.Group)
		}
	case *kmsg.OffsetDeleteResponse:
		say(r.ErrorCode)
	}
	return out
}

// wantErrors is what groupErrors should say.
func wantErrors(key, v, code int16) []string {
	say := func(about ...any) string { return fmt.Sprintln(append([]any{code}, about...)...) }
	both := []string{say("g"), say("h")}
	switch key {
	case codec.OffsetCommit:
		name := "t\x00"
		if v >= 10 {
			name = "\x07"
		}
		return []string{say(name, 1), say(name, 3)}
	case codec.OffsetFetch:
		switch {
		case v < 2:
			return []string{say("t", 1, -1), say("t", 3, -1)}
		case v < 8:
			return []string{say()}
		}
		return both
	case codec.JoinGroup:
		return []string{say(-1, 0)}
	case codec.SyncGroup, codec.ListGroups:
		return []string{say(0)}
	case codec.DescribeGroups, codec.DeleteGroups:
		return both
	}
	return []string{say()}
}

func TestARefusingCoordinatorIsAWholeAnswerAtEveryVersionOfEveryGroupAPI(t *testing.T) {
	for _, c := range []struct {
		name string
		done session.Completion
		want int16
	}{
		{"loading", session.Completion{Outcome: core.Refused, Code: core.ErrCoordinatorLoading}, codec.CoordinatorLoadInProgress},
		{"not here", session.Completion{Outcome: core.Refused, Code: core.ErrNotCoordinator}, codec.NotCoordinator},
		{"moved", session.Completion{Outcome: core.Refused, Code: core.ErrNotLeader}, codec.NotCoordinator},
		{"stopping", session.Completion{Outcome: core.Refused, Code: core.ErrStopping}, codec.CoordinatorNotAvailable},
		{"quarantined", session.Completion{Outcome: core.Refused, Code: core.ErrQuarantined}, codec.CoordinatorNotAvailable},
		{"busy", session.Completion{Outcome: core.Refused, Code: core.ErrBusy}, codec.CoordinatorNotAvailable},
		{"unknown", session.Completion{Outcome: core.Unknown, Code: core.ErrStorage}, codec.CoordinatorNotAvailable},
		{"cancelled", session.Completion{Outcome: core.Cancelled}, codec.CoordinatorNotAvailable},
		{"garbage", session.Completion{Body: []byte{1}}, codec.UnknownServerError},
		{"no topic of the groups", session.Completion{}, codec.CoordinatorNotAvailable},
	} {
		for _, req := range groupRequests() {
			r := codec.Lookup(req.Key())
			for v := r.Min; v <= r.Max; v++ {
				if c.name == "garbage" && !slices.Contains([]int16{codec.DescribeGroups, codec.DeleteGroups, codec.ListGroups}, r.Key) && (r.Key != codec.OffsetFetch || v < 8) {
					continue // passed on as it is
				}
				f := newFake(t, normalListener, Options{})
				want := wantErrors(r.Key, v, c.want)
				if c.name != "no topic of the groups" {
					f.topic(offsetsName, 0)
				} else if r.Key == codec.ListGroups {
					want = []string{"0 0\n"} // there are none
				}
				f.service = func(*session.Call) session.Completion { return c.done }
				if got := groupErrors(f.ask(req, v)); !slices.Equal(got, want) {
					t.Errorf("%s, %s version %d: %q, want %q", c.name, r.Name, v, got, want)
				}
			}
		}
	}
}

func TestACoordinatorsAnswerIsPassedOnAsItIs(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic(offsetsName, 0)
	answer := kmsg.NewPtrJoinGroupResponse()
	answer.ErrorCode, answer.MemberID, answer.Protocol, answer.ProtocolType = 79, "m-1", text("range"), text("consumer")
	r := codec.Lookup(codec.JoinGroup)
	for v := r.Min; v <= r.Max; v++ {
		answer.SetVersion(v)
		f.service = func(c *session.Call) session.Completion {
			if c.Kind != codec.JoinGroup || c.Version != v || string(c.Body[:6]) != "\x00\x04test" {
				t.Errorf("version %d: the call is %+v", v, c)
			}
			return session.Completion{Body: answer.AppendTo(nil)}
		}
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group = "g"
		if got := f.ask(req, v).(*kmsg.JoinGroupResponse); got.ErrorCode != 79 || got.MemberID != "m-1" {
			t.Errorf("version %d: %+v", v, got)
		}
	}
}
