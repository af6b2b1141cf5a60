package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/core"
)

// client is a consumer of the model, as far as it knows itself.
type client struct {
	name     string
	instance *string
	id       string
	gen      int32
	leader   bool
	members  []string
	join     uint32 // requests that are out
	sync     uint32
}

// model plays random clients against a coordinator, with a log that waits, refuses and
// loses, and restarts, and checks every answer:
//
//   - in one generation of one run all joins are told the same leader, and only that one
//     is given members;
//   - all assignments of a generation come from one sync of its leader, for ever;
//   - no heartbeat and no commit is OK for a generation older than the last one that has
//     been given out as stable;
//   - what has been committed is read back, until something newer is;
//   - every request is answered once.
type model struct {
	*world
	rt      *rapid.T
	clients []*client
	run     int
	leaders map[string]string // run and generation -> leader
	given   map[int32]string  // generation -> mark of the leader's sync
	stable  int32
	marks   int
	issued  int64 // offset of the last commit that was sent
	acked   int64 // … and answered
	commits map[uint32]int64
	beats   map[uint32]int32
}

func TestRandomMembersDropsAndRestartsKeepTheInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		opt := Options{InitialRebalanceDelay: time.Duration(rapid.IntRange(0, 1).Draw(rt, "delay")) * time.Second, CompactMin: 600, CompactBatch: 200}
		m := &model{world: newWorld(t, opt), rt: rt, leaders: map[string]string{}, given: map[int32]string{}, commits: map[uint32]int64{}, beats: map[uint32]int32{}}
		for i := 0; i < 4; i++ {
			c := &client{name: fmt.Sprint("c", i)}
			if i >= 2 {
				name := fmt.Sprint("i", i)
				c.instance = &name
			}
			m.clients = append(m.clients, c)
		}
		for n := rapid.IntRange(20, 300).Draw(rt, "steps"); n > 0; n-- {
			m.act()
			m.hear()
			m.forgotten()
		}
		m.finish()
	})
}

func (m *model) act() {
	c := m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(m.rt, "client")]
	switch rapid.SampledFrom([]string{"settle", "settle", "join", "join", "sync", "sync", "sync", "heartbeat", "heartbeat", "commit", "leave", "drop", "advance", "advance", "hold", "release", "one", "fail", "restart", "snapshot", "fetch"}).Draw(m.rt, "act") {
	case "settle":
		m.settle()
	case "join":
		m.joinGroup(c)
	case "sync":
		m.syncGroup(c)
	case "heartbeat":
		r := kmsg.NewPtrHeartbeatRequest()
		r.SetVersion(4)
		r.Group, r.MemberID, r.Generation, r.InstanceID = "g", c.id, c.gen, c.instance
		m.beats[m.ask(c.name, r)] = c.gen
	case "commit":
		m.commit(c)
	case "leave":
		r := kmsg.NewPtrLeaveGroupRequest()
		r.SetVersion(5)
		r.Group = "g"
		r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{MemberID: c.id, InstanceID: c.instance})
		m.ask(c.name, r)
		*c = client{name: c.name, instance: c.instance}
	case "drop":
		*c = client{name: c.name, instance: c.instance}
	case "advance":
		m.advance(time.Duration(rapid.IntRange(1, 12000).Draw(m.rt, "ms")) * time.Millisecond)
	case "hold":
		m.hold = true
	case "release":
		m.hold = false
		m.release()
	case "one":
		if len(m.queue) > 0 {
			m.releaseOne()
		}
	case "fail":
		m.fail(core.Refused, core.ErrBusy)
		m.end = 0
		if n := len(m.log); n > 0 {
			m.end = m.log[n-1].last + 1
		}
	case "restart":
		m.restart(nil)
	case "snapshot":
		m.restart(m.c.Snapshot(nil))
	case "fetch":
		m.fetch()
	}
}

// settle has everybody join and sync, as clients that nothing happens to.
func (m *model) settle() {
	m.hold = false
	m.release()
	for _, c := range m.clients {
		m.joinGroup(c)
		m.hear()
	}
	for i := 0; i < 3; i++ {
		m.advance(time.Second)
		m.hear()
	}
	for _, c := range m.clients {
		m.syncGroup(c)
	}
	m.hear()
}

// forgotten begins anew when the group is gone with all its records: the generations of
// its successor are counted from 1, and no member id of it is known any more.
func (m *model) forgotten() {
	if m.c.groups["g"] == nil && m.c.fold.byID["g"] == nil {
		m.run++
		m.stable, m.given = 0, map[int32]string{}
	}
}

func (m *model) restart(blob []byte) {
	m.hear()
	m.run++
	m.boot(blob)
	for _, c := range m.clients {
		c.join, c.sync = 0, 0
	}
}

func (m *model) joinGroup(c *client) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.SetVersion(int16(rapid.IntRange(3, 9).Draw(m.rt, "version")))
	r.Group, r.MemberID, r.ProtocolType = "g", c.id, "consumer"
	if c.instance != nil {
		r.SetVersion(9)
		r.InstanceID = c.instance
	}
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 10000, 15000
	topics := rapid.SampledFrom([]string{"a", "a", "a", "a,b"}).Draw(m.rt, "topics")
	r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: "range", Metadata: subscribe(topics, "")})
	c.join = m.ask(c.name, r)
}

func (m *model) syncGroup(c *client) {
	r := kmsg.NewPtrSyncGroupRequest()
	r.SetVersion(5)
	r.Group, r.MemberID, r.Generation, r.InstanceID = "g", c.id, c.gen, c.instance
	if c.leader {
		m.marks++
		for _, id := range c.members {
			r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: fmt.Appendf(nil, "%d", m.marks)})
		}
	}
	c.sync = m.ask(c.name, r)
}

func (m *model) commit(c *client) {
	m.issued++
	r := kmsg.NewPtrOffsetCommitRequest()
	r.SetVersion(9)
	r.Group, r.MemberID, r.Generation, r.InstanceID = "g", c.id, c.gen, c.instance
	if c.gen == 0 {
		r.MemberID, r.Generation, r.InstanceID = "", -1, nil
	}
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "a"
	t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Offset: m.issued})
	r.Topics = append(r.Topics, t)
	slot := m.ask(c.name, r)
	m.commits[slot] = m.issued
	m.beats[slot] = r.Generation
}

func (m *model) fetch() {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.SetVersion(9)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "g"
	g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: "a", Partitions: []int32{0}})
	r.Groups = append(r.Groups, g)
	m.hear()
	resp := m.answerTo(m.ask("reader", r)).(*kmsg.OffsetFetchResponse)
	got := resp.Groups[0].Topics[0].Partitions[0].Offset
	if got < m.acked && !(got == -1 && m.acked == 0) || got > m.issued {
		m.rt.Fatalf("the offset is %d; %d has been acknowledged, %d was the last one sent", got, m.acked, m.issued)
	}
}

// hear takes the answers.
func (m *model) hear() {
	answers := m.answers
	m.answers = nil
	for i := range answers {
		a := &answers[i]
		var c *client
		for _, k := range m.clients {
			if k.name == a.who {
				c = k
			}
		}
		slot := a.ticket.Slot
		switch r := m.decodeAnswer(a).(type) {
		case *kmsg.JoinGroupResponse:
			m.joined(c, r, c.join == slot)
		case *kmsg.SyncGroupResponse:
			m.synced(c, r, c.sync == slot)
		case *kmsg.HeartbeatResponse:
			if r.ErrorCode == errNone && m.beats[slot] < m.stable {
				m.rt.Fatalf("a heartbeat of generation %d is OK; generation %d is stable", m.beats[slot], m.stable)
			}
			c.unknown(r.ErrorCode)
		case *kmsg.OffsetCommitResponse:
			if code := r.Topics[0].Partitions[0].ErrorCode; code == errNone {
				m.acked = max(m.acked, m.commits[slot])
			}
		}
	}
}

func (c *client) unknown(code int16) {
	if code == errUnknownMember || code == errFencedInstance {
		*c = client{name: c.name, instance: c.instance}
	}
}

func (m *model) joined(c *client, r *kmsg.JoinGroupResponse, mine bool) {
	if r.ErrorCode == errNone && !r.SkipAssignment && r.LeaderID == r.MemberID {
		key := fmt.Sprint(m.run, "/", r.Generation)
		if old, ok := m.leaders[key]; ok && old != r.LeaderID {
			m.rt.Fatalf("generation %d has two leaders: %s and %s", r.Generation, old, r.LeaderID)
		}
		m.leaders[key] = r.LeaderID
	}
	if r.ErrorCode == errNone && len(r.Members) > 0 != (r.LeaderID == r.MemberID) {
		m.rt.Fatalf("member %s of a group that %s leads was given %d members", r.MemberID, r.LeaderID, len(r.Members))
	}
	if !mine {
		return
	}
	c.join = 0
	switch r.ErrorCode {
	case errMemberIDRequired:
		c.id = r.MemberID
		m.joinGroup(c)
	case errNone:
		c.id, c.gen, c.leader, c.members = r.MemberID, r.Generation, r.LeaderID == r.MemberID && !r.SkipAssignment, nil
		for _, k := range r.Members {
			c.members = append(c.members, k.MemberID)
		}
	default:
		c.unknown(r.ErrorCode)
	}
}

func (m *model) synced(c *client, r *kmsg.SyncGroupResponse, mine bool) {
	if !mine {
		return
	}
	c.sync = 0
	if r.ErrorCode != errNone {
		c.unknown(r.ErrorCode)
		return
	}
	mark := string(r.MemberAssignment)
	if old := m.given[c.gen]; mark != "" && old != "" && old != mark {
		m.rt.Fatalf("generation %d has assignments of two syncs: %s and %s", c.gen, old, mark)
	}
	if mark != "" {
		m.given[c.gen] = mark
	}
	if c.gen < m.stable {
		m.rt.Fatalf("generation %d is stable after %d was", c.gen, m.stable)
	}
	m.stable = c.gen
}

// finish lets everything end: nobody is left without an answer.
func (m *model) finish() {
	m.hold = false
	m.release()
	m.hear()
	for i := 0; i < 5; i++ {
		m.advance(10 * time.Minute)
		m.hear()
	}
	for slot, a := range m.calls {
		m.rt.Fatalf("request %d, %s of %s, has not been answered", slot, kmsg.NameForKey(a.key), a.who)
	}
	m.fetch()
	if len(m.c.list) > 0 && m.c.list[0].state != empty {
		m.rt.Fatal("all members are gone, and the group is ", m.c.list[0].state)
	}
}
