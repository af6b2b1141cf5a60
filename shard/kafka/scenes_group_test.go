package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
)

// groupScenes are the scenes of the group APIs.
var groupScenes = map[int16]func(*recorder){
	codec.FindCoordinator: func(r *recorder) {
		find := func(what string, kind int8, keys ...string) {
			r.say(what, &kmsg.FindCoordinatorRequest{CoordinatorKey: keys[0], CoordinatorKeys: keys, CoordinatorType: kind})
		}
		find("of groups", 0, "g", "h")
		if r.version >= 1 {
			find("of a transaction", 1, "tx")
		}
	},
	codec.JoinGroup: func(r *recorder) {
		join := joinOf("g", "")
		resp := r.say("without an id", join).(*kmsg.JoinGroupResponse)
		if r.version >= 4 {
			join.MemberID = resp.MemberID
			r.say("and again with the one it was given", join)
		}
		r.say("with an id that nobody has", joinOf("g", "who"))
		join = joinOf("g", "")
		join.SessionTimeoutMillis = 1
		r.say("with a session timeout that is too short", join)
		r.say("a group without a name", joinOf("", ""))
		join = joinOf("g", "")
		join.Protocols[0].Name = "other"
		r.say("with a protocol that nobody shares", join)
	},
	codec.SyncGroup: func(r *recorder) {
		member, generation := r.member("g")
		sync := &kmsg.SyncGroupRequest{Group: "g", MemberID: member, Generation: generation, ProtocolType: text("consumer"), Protocol: text("range"),
			GroupAssignment: []kmsg.SyncGroupRequestGroupAssignment{{MemberID: member, MemberAssignment: []byte("all of it")}}}
		r.say("the leader's", sync)
		sync.Generation = 9
		r.say("of another generation", sync)
		r.say("of nobody", &kmsg.SyncGroupRequest{Group: "g", MemberID: "who", Generation: generation, ProtocolType: text("consumer"), Protocol: text("range")})
		if r.version >= 5 {
			sync.Generation, sync.Protocol = generation, text("other")
			r.say("of another protocol", sync)
			sync.Protocol = nil
			r.say("without a protocol", sync)
		}
	},
	codec.Heartbeat: func(r *recorder) {
		member, generation := r.helper().join("g", "all")
		r.say("of a member", &kmsg.HeartbeatRequest{Group: "g", MemberID: member, Generation: generation})
		r.say("of another generation", &kmsg.HeartbeatRequest{Group: "g", MemberID: member, Generation: 7})
		r.say("of nobody", &kmsg.HeartbeatRequest{Group: "g", MemberID: "who", Generation: generation})
		r.say("of a group that is not there", &kmsg.HeartbeatRequest{Group: "nowhere", MemberID: member, Generation: generation})
	},
	codec.LeaveGroup: func(r *recorder) {
		member, _ := r.helper().join("g", "all")
		leave := func(what string, ids ...string) {
			req := &kmsg.LeaveGroupRequest{Group: "g", MemberID: ids[0]}
			for _, id := range ids {
				req.Members = append(req.Members, kmsg.LeaveGroupRequestMember{MemberID: id, Reason: text("enough")})
			}
			r.say(what, req)
		}
		leave("nobody", "who")
		leave("a member", member, "who")
	},
	codec.OffsetCommit: func(r *recorder) {
		id := r.topic("t", 2)
		commit := &kmsg.OffsetCommitRequest{Group: "g", Generation: -1, RetentionTimeMillis: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: id,
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1, Offset: 7, LeaderEpoch: 0, Metadata: text("so far")}, {Partition: 9, Offset: 1}}}}}
		r.say("of a reader without a group, to a partition that is there and one that is not", commit)
		commit.Generation, commit.MemberID = 5, "who"
		r.say("of a member that is none", commit)
		commit.Group = "nowhere"
		r.say("to a group that is not there", commit)
		commit.Generation, commit.MemberID, commit.Topics[0].Topic, commit.Topics[0].TopicID = -1, "", "nowhere", [16]byte{9}
		r.say("of a topic that is not there", commit)
	},
	codec.OffsetFetch: func(r *recorder) {
		id := r.topic("t", 2)
		r.helper().commit("g", "", -1, 7)
		ask := func(group string) *kmsg.OffsetFetchRequest {
			return &kmsg.OffsetFetchRequest{Group: group, Topics: []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}},
				Groups: []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: id, Partitions: []int32{0, 1}}}}}}
		}
		r.say("one that is there, and one that is not", ask("g"))
		r.say("of a group that is not there", ask("nowhere"))
		if r.version >= 2 {
			all := ask("g")
			all.Topics, all.Groups[0].Topics = nil, nil
			r.say("all", all)
		}
	},
	codec.OffsetDelete: func(r *recorder) {
		r.topic("t", 2)
		r.helper().commit("g", "", -1, 7)
		topics := []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
		r.say("one that is there, and one that is not", &kmsg.OffsetDeleteRequest{Group: "g", Topics: topics})
		r.say("of a group that is not there", &kmsg.OffsetDeleteRequest{Group: "nowhere", Topics: topics})
	},
	codec.DescribeGroups: func(r *recorder) {
		r.helper().join("g", "all")
		r.say("one that is there, and one that is not", &kmsg.DescribeGroupsRequest{Groups: []string{"g", "nowhere"}, IncludeAuthorizedOperations: true})
	},
	codec.ListGroups: func(r *recorder) {
		r.helper().join("g", "all")
		r.say("all", &kmsg.ListGroupsRequest{})
		if r.version >= 4 {
			r.say("those that are empty", &kmsg.ListGroupsRequest{StatesFilter: []string{"EMPTY"}})
		}
	},
	codec.DeleteGroups: func(r *recorder) {
		r.topic("t", 1)
		r.helper().join("g", "all")
		r.helper().commit("h", "", -1, 7)
		r.say("one with members, one without, and one that is not there", &kmsg.DeleteGroupsRequest{Groups: []string{"g", "h", "nowhere"}})
	},
}

func joinOf(group, member string) *kmsg.JoinGroupRequest {
	subscription := kmsg.ConsumerMemberMetadata{Topics: []string{"t"}}
	return &kmsg.JoinGroupRequest{Group: group, MemberID: member, ProtocolType: "consumer", SessionTimeoutMillis: 10000, RebalanceTimeoutMillis: 60000,
		Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription.AppendTo(nil)}}, Reason: text("a test")}
}

// member joins a group, and does not sync.
func (r *recorder) member(group string) (id string, generation int32) {
	c := r.helper()
	id = c.ask(joinOf(group, ""), 9).(*kmsg.JoinGroupResponse).MemberID
	j := c.ask(joinOf(group, id), 9).(*kmsg.JoinGroupResponse)
	return j.MemberID, j.Generation
}
