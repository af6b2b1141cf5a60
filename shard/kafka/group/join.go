package group

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// JoinGroup, versions 0 to 9. A member asks to be in the next generation and is answered
// when that begins. 1: its own rebalance timeout. 4: a member without an id gets one and
// must come back with it (KIP-394). 5: static members (KIP-345). 9: a static leader that
// comes back into a stable group is told to skip the assignment (KIP-814).

// joinRequest is a JoinGroup that passed the first checks.
type joinRequest struct {
	*kmsg.JoinGroupRequest
	session   time.Duration
	rebalance time.Duration
	protocols []protocol // owned
}

func (c *Coordinator) onJoinGroup(body []byte) {
	var req kmsg.JoinGroupRequest
	if !c.decode(&req, body) {
		return
	}
	r := joinRequest{JoinGroupRequest: &req, session: millis(req.SessionTimeoutMillis), rebalance: millis(req.RebalanceTimeoutMillis)}
	if c.call.Version == 0 || r.rebalance < 0 {
		r.rebalance = r.session
	}
	code := c.checkJoin(&r)
	if code != errNone {
		c.refuseJoin(code, req.MemberID)
		return
	}
	var g *group
	if req.MemberID == "" {
		g = c.lookupOrNew(req.Group)
	} else if g = c.lookup(req.Group); g == nil {
		c.refuseJoin(errUnknownMember, req.MemberID)
		return
	}
	if g == nil {
		c.refuseJoin(errGroupMaxSize, "")
		return
	}
	r.protocols = make([]protocol, len(req.Protocols))
	for i := range req.Protocols {
		r.protocols[i] = protocol{req.Protocols[i].Name, clone(req.Protocols[i].Metadata)}
	}
	if code := g.joinRequested(&r); code != errNone {
		c.refuseJoin(code, req.MemberID)
	}
}

// checkJoin is what can be said without the group.
func (c *Coordinator) checkJoin(r *joinRequest) int16 {
	if r.Group == "" {
		return errInvalidGroupID
	}
	if r.session < c.opt.SessionTimeoutMin || r.session > c.opt.SessionTimeoutMax {
		return errInvalidSessionTimeout
	}
	if len(r.Protocols) > protocolsMax {
		return errInvalidRequest
	}
	size := len(r.MemberID) + len(c.client) + len(c.from)
	if r.InstanceID != nil {
		size += len(*r.InstanceID)
	}
	for i := range r.Protocols {
		size += len(r.Protocols[i].Name) + len(r.Protocols[i].Metadata)
	}
	if size > c.opt.MemberBytesMax {
		return errInvalidRequest
	}
	return errNone
}

func (c *Coordinator) refuseJoin(code int16, memberID string) {
	c.answer(joinError(code, memberID))
}

func joinError(code int16, memberID string) *kmsg.JoinGroupResponse {
	return &kmsg.JoinGroupResponse{ErrorCode: code, Generation: -1, MemberID: memberID}
}

// joinRequested answers the join, keeps it waiting, or returns why it is refused.
func (g *group) joinRequested(r *joinRequest) int16 {
	switch {
	case g.state == dead:
		return errCoordinatorNotAvailable
	case !g.accepts(r):
		if m := g.byID[r.MemberID]; m != nil {
			g.removeAndRebalance(m)
		}
		g.breakPromise(r.MemberID)
		r.MemberID = ""
		return errGroupMaxSize
	case !g.supports(r.ProtocolType, r.protocols):
		return errInconsistentProtocol
	case !g.fits(r):
		return errGroupMaxSize
	case r.MemberID == "":
		return g.joinNew(r)
	case g.promised[r.MemberID] != nil:
		g.breakPromise(r.MemberID)
		g.addAndRebalance(r, r.MemberID)
		return errNone
	}
	m, code := g.find(r.MemberID, r.InstanceID)
	if code != errNone {
		return code
	}
	return g.rejoin(m, r)
}

// accepts says whether the group has room. While members join, those who wait count:
// the ones that come back last are the ones to go if the limit has been lowered.
func (g *group) accepts(r *joinRequest) bool {
	room := g.c.opt.MembersMax
	m := g.byID[r.MemberID]
	switch g.state {
	case preparing:
		if m != nil && m.join.on {
			return true
		}
		waiting := 0
		for _, k := range g.members {
			if k.join.on {
				waiting++
			}
		}
		if waiting >= room {
			return false
		}
	case completing, stable:
		if m == nil && len(g.members) >= room {
			return false
		}
	}
	if m != nil || g.promised[r.MemberID] != nil {
		return true
	}
	return len(g.promised) < room
}

// fits says whether the group's metadata record can still be written with this member.
func (g *group) fits(r *joinRequest) bool {
	size := 0
	for _, p := range r.protocols {
		size += len(p.metadata)
	}
	for _, m := range g.members {
		if m.id != r.MemberID {
			size += m.bytes()
		}
	}
	return size < g.c.batchMax()
}

// joinNew takes someone without an id.
func (g *group) joinNew(r *joinRequest) int16 {
	id := g.c.newMemberID(r.InstanceID)
	switch {
	case r.InstanceID != nil:
		if old := g.static(*r.InstanceID); old != nil {
			g.replaceStatic(old, id, r)
			return errNone
		}
		g.addAndRebalance(r, id)
	case g.c.call.Version >= 4 && g.c.promised >= g.c.opt.PromisedMax:
		return errCoordinatorNotAvailable // they come again
	case g.c.call.Version >= 4:
		t := &timer{kind: pendingTimer, group: g, promise: id}
		if g.promised == nil {
			g.promised = map[string]*timer{}
		}
		g.promised[id] = t
		g.c.promised++
		g.c.timers.set(t, g.c.now+r.session)
		g.c.refuseJoin(errMemberIDRequired, id)
	default:
		g.addAndRebalance(r, id)
	}
	return errNone
}

// newMemberID is the instance or client id with a random UUID behind it, as Kafka's.
func (c *Coordinator) newMemberID(instance *string) string {
	name := string(c.client)
	if instance != nil {
		name = *instance
	}
	hi, lo := c.host.Rand()&^(0xf<<12)|4<<12, c.host.Rand()&^(3<<62)|2<<62
	return fmt.Sprintf("%s-%08x-%04x-%04x-%04x-%012x", name, hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

// promiseBroken is the end of the time in which a client should have come back with the
// id that it was given.
func (g *group) promiseBroken(id string) {
	g.breakPromise(id)
	g.maybeCompleteJoin()
}

func (g *group) breakPromise(id string) {
	if t := g.promised[id]; t != nil {
		g.c.timers.stop(t)
		delete(g.promised, id)
		g.c.promised--
	}
}

// addAndRebalance takes a new member in.
func (g *group) addAndRebalance(r *joinRequest, id string) {
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	if g.state == preparing && g.before == empty {
		g.company = true
	}
	m := &member{id: id, instance: r.InstanceID, clientID: string(g.c.client), clientHost: string(g.c.from), fresh: true}
	g.add(m)
	m.update(r)
	m.join = g.c.waiter()
	g.c.timers.set(&m.timer, g.c.now+newMemberMax)
	g.rebalance()
}

// update takes what a join says about its member.
func (m *member) update(r *joinRequest) {
	m.session, m.rebalance, m.protocols = r.session, r.rebalance, r.protocols
}

// rejoin takes a member that is known by its id.
func (g *group) rejoin(m *member, r *joinRequest) int16 {
	same := m.matches(r.protocols)
	if g.state == completing && same || g.state == stable && same && m.id != g.leader {
		// It may not have seen our answer: it is told again, and nobody is disturbed.
		// A leader that joins a stable group wants a new assignment.
		g.c.answer(g.joined(m, g.state == completing && m.id == g.leader))
		return errNone
	}
	if g.state == empty {
		return errUnknownMember
	}
	g.failJoin(m, errRebalanceInProgress)
	m.update(r)
	m.join = g.c.waiter()
	g.rebalance()
	return errNone
}

// replaceStatic gives a static member that has restarted its new id. If the group is
// stable and it subscribes as before, it goes on where it was: only its id changes.
func (g *group) replaceStatic(m *member, id string, r *joinRequest) {
	leader, old := g.leader, *m
	g.failJoin(m, errFencedInstance)
	g.failSync(m, errFencedInstance)
	g.rename(m, id)
	m.update(r)
	m.join = g.c.waiter()
	g.alive(m)
	switch g.state {
	case stable:
		if g.vote() != g.protocol || !g.sameTopics(old.metadata(g.protocol), m.metadata(g.protocol)) {
			g.prepare()
			return
		}
		g.store(func(outcome core.Outcome, code core.Code) { g.replaced(m, id, &old, leader, outcome, code) }, nil)
	case completing:
		// The leader may be assigning to the old id at this moment.
		g.prepare()
	default:
		g.maybeCompleteJoin()
	}
}

// replaced answers a static member whose new id is durable, or takes it back. A leader
// learns its new id from version 9 on only: older clients would assign, and must not
// believe that they lead.
func (g *group) replaced(m *member, id string, old *member, leader string, outcome core.Outcome, code core.Code) {
	if g.byID[id] != m || !m.join.on || g.state != stable {
		return // the group has moved on, and so has the answer
	}
	if outcome != core.Done {
		w := m.join
		m.join.on = false
		g.rename(m, old.id)
		m.session, m.rebalance, m.protocols = old.session, old.rebalance, old.protocols
		g.alive(m)
		g.c.reply(&w, joinError(appendFailed(outcome, code, errUnknownServer), ""))
		return
	}
	g.alive(m)
	if m.join.version < 9 {
		resp := g.joined(m, false)
		resp.LeaderID = leader
		g.c.reply(&m.join, resp)
		return
	}
	leads := g.leader == m.id
	resp := g.joined(m, leads)
	resp.SkipAssignment = leads
	g.c.reply(&m.join, resp)
}

// rename gives a member another id, in its place.
func (g *group) rename(m *member, id string) {
	delete(g.byID, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.byID[id] = m
}

// sameTopics says whether two subscriptions of consumers name the same topics, in any
// order. What else they carry, such as owned partitions, changes with every start.
// Subscriptions of other types are not compared.
func (g *group) sameTopics(a, b []byte) bool {
	if g.protocolType != consumerType {
		return true
	}
	at, aok := subscription(a)
	bt, bok := subscription(b)
	if !aok || !bok {
		return true
	}
	set := map[string]bool{}
	for _, t := range at {
		set[t] = true
	}
	for _, t := range bt {
		if !set[t] {
			return false
		}
		delete(set, t)
	}
	return len(set) == 0
}

// joined is the answer to a join that is in the present generation.
func (g *group) joined(m *member, withMembers bool) *kmsg.JoinGroupResponse {
	resp := &kmsg.JoinGroupResponse{Generation: g.generation, ProtocolType: &g.protocolType, Protocol: &g.protocol,
		LeaderID: g.leader, MemberID: m.id}
	if withMembers {
		resp.Members = make([]kmsg.JoinGroupResponseMember, len(g.members))
		for i, k := range g.members {
			resp.Members[i] = kmsg.JoinGroupResponseMember{MemberID: k.id, InstanceID: k.instance, ProtocolMetadata: k.metadata(g.protocol)}
		}
	}
	return resp
}

// failJoin answers a join that waits with an error.
func (g *group) failJoin(m *member, code int16) {
	if m.join.on {
		id := m.id
		if code == errUnknownMember {
			id = ""
		}
		g.c.reply(&m.join, joinError(code, strings.Clone(id)))
	}
}
