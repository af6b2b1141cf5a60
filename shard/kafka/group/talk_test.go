package group

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
)

// request makes the request that an event speaks of. Members are named by their short
// names, v= is the version (the newest by default).
//
//	c1 join g protocols=range:a,b;sticky:a member=c1/1 instance=i1 session=10s rebalance=60s type=consumer
//	c1 sync g gen=1 member=c1/1 assign=c1/1:x;c2/1:y protocol=range
//	c1 heartbeat g gen=1 member=c1/1
//	c1 leave g c1/1 instance:i2 c2/1@i2
//	c1 commit g gen=1 member=c1/1 a:0=5 a:1=7(text)
//	c1 fetch g a:0 a:1                            without partitions: all
//	c1 describe g h; c1 list states=stable types=classic; c1 delete g h; c1 forget g a:0
func (p *talker) request(w words) kmsg.Request {
	version := int16(w.num("v", 99))
	member, generation := p.id(w.str("member", "")), int32(w.num("gen", -1))
	switch w.verb {
	case "join":
		r := kmsg.NewPtrJoinGroupRequest()
		r.Group, r.MemberID, r.InstanceID = p.group(w), member, w.ptr("instance")
		r.ProtocolType = w.str("type", "consumer")
		r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = w.ms("session", 10*time.Second), w.ms("rebalance", time.Minute)
		for _, s := range strings.Split(w.str("protocols", "range:a"), ";") {
			name, topics := cut(s, ":")
			r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscribe(topics, w.str("owned", ""))})
		}
		return r
	case "sync":
		r := kmsg.NewPtrSyncGroupRequest()
		r.Group, r.MemberID, r.InstanceID, r.Generation = p.group(w), member, w.ptr("instance"), generation
		r.ProtocolType, r.Protocol = w.ptr("type"), w.ptr("protocol")
		if g := p.c.groups[r.Group]; version >= 5 && g != nil { // they may not be left out
			if r.ProtocolType == nil {
				r.ProtocolType = &g.protocolType
			}
			if r.Protocol == nil {
				r.Protocol = &g.protocol
			}
		}
		for _, s := range strings.Split(w.str("assign", ""), ";") {
			if name, text := cut(s, ":"); name != "" {
				r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: p.id(name), MemberAssignment: []byte(text)})
			}
		}
		return r
	case "heartbeat":
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID, r.InstanceID, r.Generation = p.group(w), member, w.ptr("instance"), generation
		return r
	case "leave":
		r := kmsg.NewPtrLeaveGroupRequest()
		r.Group = p.group(w)
		for _, s := range w.rest {
			id, instance := cut(s, "@")
			m := kmsg.LeaveGroupRequestMember{MemberID: p.id(id)}
			if instance != "" {
				m.InstanceID = &instance
			}
			r.Members = append(r.Members, m)
			r.MemberID = m.MemberID
		}
		return r
	}
	return p.offsetRequest(w, member, generation, version)
}

func (p *talker) offsetRequest(w words, member string, generation int32, version int16) kmsg.Request {
	switch w.verb {
	case "commit":
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.MemberID, r.InstanceID, r.Generation = p.group(w), member, w.ptr("instance"), generation
		r.RetentionTimeMillis = w.num("retention", -1)
		for _, s := range w.rest {
			tp, text := cut(s, "(")
			tp, offset := cut(tp, "=")
			topic, partition := p.topicPartition(tp)
			meta := strings.TrimSuffix(text, ")")
			if n, err := strconv.Atoi(meta); err == nil {
				meta = strings.Repeat("m", n)
			}
			n, _ := strconv.ParseInt(offset, 10, 64)
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = topic, p.topics[topic]
			t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: partition, Offset: n, LeaderEpoch: 7, Metadata: &meta})
			r.Topics = append(r.Topics, t)
		}
		return r
	case "fetch":
		return p.fetchRequest(w, version)
	case "describe":
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = append([]string{w.group}, w.rest...)
		return r
	case "list":
		r := kmsg.NewPtrListGroupsRequest()
		r.StatesFilter, r.TypesFilter = list(w.str("states", "")), list(w.str("types", ""))
		return r
	case "delete":
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = append([]string{w.group}, w.rest...)
		return r
	case "forget":
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group = w.group
		for _, s := range w.rest {
			topic, partition := p.topicPartition(s)
			r.Topics = append(r.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: partition}}})
		}
		return r
	}
	return nil
}

func (p *talker) fetchRequest(w words, version int16) kmsg.Request {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Group, r.RequireStable = w.group, true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = w.group
	for _, s := range w.rest {
		topic, partition := p.topicPartition(s)
		r.Topics = append(r.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: []int32{partition}})
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, TopicID: p.topics[topic], Partitions: []int32{partition}})
	}
	r.Groups = append(r.Groups, g)
	if also := w.str("also", ""); also != "" {
		g.Group = also
		r.Groups = append(r.Groups, g)
	}
	return r
}

func (p *talker) group(w words) string {
	if w.group == "(none)" {
		return ""
	}
	return w.group
}

func (p *talker) topicPartition(s string) (string, int32) {
	topic, n := cut(s, ":")
	i, err := strconv.Atoi(n)
	if err != nil {
		p.t.Fatalf("not a partition: %q", s)
	}
	return topic, int32(i)
}

// describeAnswer is an answer in words.
func (p *talker) describeAnswer(a *answered) string {
	if a.code != 0 {
		return "refused: " + a.code.String()
	}
	var s string
	switch r := p.decodeAnswer(a).(type) {
	case *kmsg.JoinGroupResponse:
		s = fmt.Sprintf("join: %s member=%s", errorName(r.ErrorCode), p.name(r.MemberID))
		if r.ErrorCode == 0 {
			s += fmt.Sprintf(" gen=%d leader=%s protocol=%s", r.Generation, p.name(r.LeaderID), *r.Protocol)
			if r.SkipAssignment {
				s += " skip-assignment"
			}
			for _, m := range r.Members {
				topics, _ := subscription(m.ProtocolMetadata)
				s += fmt.Sprintf(" %s:%s", p.name(m.MemberID), strings.Join(topics, ","))
			}
		}
	case *kmsg.SyncGroupResponse:
		s = fmt.Sprintf("sync: %s %q", errorName(r.ErrorCode), r.MemberAssignment)
	case *kmsg.HeartbeatResponse:
		s = "heartbeat: " + errorName(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		s = "leave: " + errorName(r.ErrorCode)
		for _, m := range r.Members {
			id := p.name(m.MemberID)
			if m.InstanceID != nil {
				id += "@" + *m.InstanceID
			}
			s += fmt.Sprintf(" %s:%s", id, errorName(m.ErrorCode))
		}
	case *kmsg.DescribeGroupsResponse:
		s = "describe:"
		for _, g := range r.Groups {
			s += fmt.Sprintf(" %s %s %s type=%q protocol=%q", g.Group, errorName(g.ErrorCode), g.State, g.ProtocolType, g.Protocol)
			for _, m := range g.Members {
				s += fmt.Sprintf(" %s(%s %s %q)", p.name(m.MemberID), m.ClientID, m.ClientHost, quoted(m.MemberAssignment))
			}
		}
	default:
		s = p.describeOffsets(r)
	}
	return s
}

func (p *talker) describeOffsets(resp kmsg.Response) string {
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		say("commit:")
		for _, t := range r.Topics {
			for _, k := range t.Partitions {
				say("%s:%d %s", p.topicName(t.Topic, t.TopicID), k.Partition, errorName(k.ErrorCode))
			}
		}
	case *kmsg.OffsetFetchResponse:
		say("fetch: %s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, k := range t.Partitions {
				say("%s:%d=%d %s %q", t.Topic, k.Partition, k.Offset, errorName(k.ErrorCode), quoted([]byte(*k.Metadata)))
			}
		}
		for _, g := range r.Groups {
			say("%s %s", g.Group, errorName(g.ErrorCode))
			for _, t := range g.Topics {
				for _, k := range t.Partitions {
					say("%s:%d=%d epoch=%d %s %q", p.topicName(t.Topic, t.TopicID), k.Partition, k.Offset, k.LeaderEpoch, errorName(k.ErrorCode), quoted([]byte(*k.Metadata)))
				}
			}
		}
	case *kmsg.ListGroupsResponse:
		say("list: %s", errorName(r.ErrorCode))
		for _, g := range r.Groups {
			say("%s(%s %s %s)", g.Group, g.ProtocolType, g.GroupState, g.GroupType)
		}
	case *kmsg.DeleteGroupsResponse:
		say("delete:")
		for _, g := range r.Groups {
			say("%s %s", g.Group, errorName(g.ErrorCode))
		}
	case *kmsg.OffsetDeleteResponse:
		say("forget: %s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, k := range t.Partitions {
				say("%s:%d %s", t.Topic, k.Partition, errorName(k.ErrorCode))
			}
		}
	}
	return strings.Join(parts, " ")
}

func (p *talker) topicName(name string, id [16]byte) string {
	if name != "" {
		return name
	}
	for n, i := range p.topics {
		if i == id {
			return n + "#"
		}
	}
	return "?"
}

// subscribe is a consumer's subscription; owned makes it differ, as sticky assignors do.
func subscribe(topics, owned string) []byte {
	m := kmsg.ConsumerMemberMetadata{Topics: list(topics), UserData: []byte(owned)}
	return m.AppendTo(nil)
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// visit calls fn for each record of a batch.
func visit(t *testing.T, b []byte, fn func(key, value []byte)) {
	h, err := batch.Valid(b)
	if err == nil {
		err = records(b, h, fn)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func errorName(code int16) string {
	name, ok := map[int16]string{
		errNone: "ok", errUnknownServer: "UNKNOWN_SERVER_ERROR", errUnknownTopicOrPartition: "UNKNOWN_TOPIC_OR_PARTITION",
		errOffsetMetadataTooLarge: "OFFSET_METADATA_TOO_LARGE", errCoordinatorNotAvailable: "COORDINATOR_NOT_AVAILABLE",
		errNotCoordinator: "NOT_COORDINATOR", errIllegalGeneration: "ILLEGAL_GENERATION", errInconsistentProtocol: "INCONSISTENT_GROUP_PROTOCOL",
		errInvalidGroupID: "INVALID_GROUP_ID", errUnknownMember: "UNKNOWN_MEMBER_ID", errInvalidSessionTimeout: "INVALID_SESSION_TIMEOUT",
		errRebalanceInProgress: "REBALANCE_IN_PROGRESS", errInvalidCommitSize: "INVALID_COMMIT_OFFSET_SIZE", errInvalidRequest: "INVALID_REQUEST",
		errNonEmptyGroup: "NON_EMPTY_GROUP", errGroupNotFound: "GROUP_ID_NOT_FOUND", errMemberIDRequired: "MEMBER_ID_REQUIRED",
		errGroupMaxSize: "GROUP_MAX_SIZE_REACHED", errFencedInstance: "FENCED_INSTANCE_ID", errGroupSubscribed: "GROUP_SUBSCRIBED_TO_TOPIC",
		errUnknownTopicID: "UNKNOWN_TOPIC_ID",
	}[code]
	if !ok {
		return strconv.Itoa(int(code))
	}
	return name
}

func sorted(s []string) []string { sort.Strings(s); return s }
