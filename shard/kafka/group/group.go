package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// state is where a group stands; see the chart in doc.go.
type state uint8

const (
	empty      state = iota // no members; it may have offsets
	preparing               // members join
	completing              // they have joined; the leader's assignment is not durable yet
	stable
	dead // its tombstones are on their way
)

// String is the name that DescribeGroups and ListGroups show.
func (s state) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

// group is one consumer group, live.
//
// Invariant: members and byID hold the same; no members in empty and dead, some in
// completing and stable, with a leader that is one of them and a protocol that all of
// them offer; nobody waits for a join in completing and stable (but a static member
// whose new id is being made durable), nor for a sync outside of completing.
type group struct {
	c     *Coordinator
	id    string
	index int // in Coordinator.list

	state        state
	before       state // the one before
	since        int64 // ms, of the last change of state
	generation   int32 // grows with every completed join; 0 at first
	protocolType string
	protocol     string // chosen for this generation
	leader       string // member id
	members      []*member
	byID         map[string]*member
	promised     map[string]*timer // ids that clients were told to come back with (KIP-394)

	joinTimer timer
	extend    time.Duration // of the initial delay: how much is left to extend it by; 0: this is no initial one
	step      time.Duration // of the initial delay
	company   bool          // someone joined in this step of the initial delay
	syncTimer timer
	ops       []*op // appends under way
	assigning int32 // the generation whose assignments are being made durable; 0: none
}

func newGroup(c *Coordinator, id string) *group {
	g := &group{c: c, id: id, since: c.host.Wall(), byID: map[string]*member{}}
	g.joinTimer = timer{kind: joinTimer, group: g}
	g.syncTimer = timer{kind: syncTimer, group: g}
	return g
}

// restore brings back the last stable generation, as a start does. Metadata that
// cannot be read leaves the group empty; its offsets are not touched.
func (g *group) restore(im *image) {
	if im.meta == nil {
		return
	}
	v, err := readGroupValue(im.meta)
	if err != nil {
		return
	}
	g.protocolType, g.generation = v.ProtocolType, v.Generation
	if v.CurrentStateTimestamp > 0 {
		g.since = v.CurrentStateTimestamp
	}
	if v.Protocol == nil || v.Leader == nil || len(v.Members) == 0 {
		return
	}
	g.protocol, g.leader = *v.Protocol, *v.Leader
	for i := range v.Members {
		r := &v.Members[i]
		m := &member{
			id: r.MemberID, instance: r.InstanceID, clientID: r.ClientID, clientHost: r.ClientHost,
			session: millis(r.SessionTimeoutMillis), rebalance: millis(r.RebalanceTimeoutMillis),
			protocols:  []protocol{{g.protocol, clone(r.Subscription)}},
			assignment: clone(r.Assignment), synced: true,
		}
		if g.byID[m.id] != nil || m.id == "" {
			continue
		}
		g.add(m)
		g.alive(m)
	}
	if len(g.members) == 0 {
		g.protocol, g.leader = "", ""
		return
	}
	g.state = stable
	if g.byID[g.leader] == nil {
		g.leader = g.members[0].id
	}
}

// become changes the state.
func (g *group) become(s state) {
	g.before, g.state = g.state, s
	g.since = g.c.host.Wall()
}

// add takes a member in. The first one decides the protocol type and leads.
func (g *group) add(m *member) {
	m.timer.kind, m.timer.group, m.timer.member = sessionTimer, g, m
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
}

// remove takes a member out, and answers what it waits for.
func (g *group) remove(m *member) {
	g.failJoin(m, errUnknownMember)
	g.failSync(m, errUnknownMember)
	g.c.timers.stop(&m.timer)
	delete(g.byID, m.id)
	for i := range g.members {
		if g.members[i] == m {
			g.members = append(g.members[:i], g.members[i+1:]...)
			break
		}
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// alive starts the member's session timer anew.
func (g *group) alive(m *member) { g.c.timers.set(&m.timer, g.c.now+m.session) }

// static finds the member with this instance id.
func (g *group) static(instance string) *member {
	for _, m := range g.members {
		if m.instance != nil && *m.instance == instance {
			return m
		}
	}
	return nil
}

// find finds the member that a request names, as Kafka validates it: an instance id
// must be known and belong to the member id, else a newer process has taken it over.
func (g *group) find(id string, instance *string) (*member, int16) {
	if instance != nil {
		m := g.static(*instance)
		if m == nil {
			return nil, errUnknownMember
		}
		if m.id != id {
			return nil, errFencedInstance
		}
		return m, errNone
	}
	if m := g.byID[id]; m != nil {
		return m, errNone
	}
	return nil, errUnknownMember
}

// prepare begins a rebalance.
func (g *group) prepare() {
	if g.state == completing {
		g.abandonSyncs(errRebalanceInProgress)
	}
	g.c.timers.stop(&g.syncTimer)
	first := g.state == empty
	g.become(preparing)
	g.extend, g.step, g.company = 0, 0, false
	if !first {
		g.completeJoinOr(g.rebalanceTimeout())
		return
	}
	g.step = g.c.opt.InitialRebalanceDelay
	g.extend = max(g.rebalanceTimeout()-g.step, 0)
	if g.step <= 0 {
		g.completeJoin()
		return
	}
	g.c.timers.set(&g.joinTimer, g.c.now+g.step)
}

// rebalance begins a rebalance, or goes on with the one under way.
func (g *group) rebalance() {
	if g.state == preparing {
		g.maybeCompleteJoin()
		return
	}
	g.prepare()
}

// maybeCompleteJoin completes the join phase if everyone is there. The first rebalance
// of a group waits for its delay: others may be about to come.
func (g *group) maybeCompleteJoin() {
	if g.state == preparing && g.before != empty && g.allJoined() {
		g.completeJoin()
	}
}

func (g *group) completeJoinOr(wait time.Duration) {
	if g.allJoined() {
		g.completeJoin()
		return
	}
	g.c.timers.set(&g.joinTimer, g.c.now+wait)
}

// allJoined says whether all members wait for the join to complete, and nobody has been
// promised an id that it has not come back with.
func (g *group) allJoined() bool {
	for _, m := range g.members {
		if !m.join.on {
			return false
		}
	}
	return len(g.promised) == 0
}

// rebalanceTimeout is the longest that a member asks for.
func (g *group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// joinTimeUp ends the waiting for joins, or extends the initial delay: as long as new
// members come, and not longer than the rebalance timeout.
func (g *group) joinTimeUp() {
	if g.state != preparing {
		return
	}
	if g.company && g.extend > 0 {
		g.company = false
		wait := min(g.c.opt.InitialRebalanceDelay, g.extend)
		g.extend = max(g.extend-g.step, 0)
		g.step = wait
		g.c.timers.set(&g.joinTimer, g.c.now+wait)
		return
	}
	g.completeJoin()
}

// completeJoin ends the join phase: whoever has not come back is out, unless it is
// static, and the next generation begins.
func (g *group) completeJoin() {
	g.c.timers.stop(&g.joinTimer)
	for i := 0; i < len(g.members); {
		if m := g.members[i]; !m.join.on && m.instance == nil {
			g.remove(m)
			continue
		}
		i++
	}
	if len(g.members) == 0 {
		g.becomeEmpty()
		return
	}
	if !g.electLeader() {
		// Only static members are left, and none has come back: wait until one does
		// or the last one's session ends.
		g.c.timers.set(&g.joinTimer, g.c.now+g.rebalanceTimeout())
		return
	}
	g.generation = nextGeneration(g.generation)
	g.protocol = g.vote()
	g.become(completing)
	for _, m := range g.members {
		m.fresh, m.synced = false, false
		g.alive(m)
		if m.join.on {
			g.c.reply(&m.join, g.joined(m, m.id == g.leader))
		}
	}
	g.c.timers.set(&g.syncTimer, g.c.now+g.rebalanceTimeout())
}

// becomeEmpty makes the end of the last generation durable.
func (g *group) becomeEmpty() {
	g.generation = nextGeneration(g.generation)
	g.protocol, g.leader = "", ""
	g.become(empty)
	g.store(func(core.Outcome, core.Code) {}, nil)
}

// nextGeneration never goes to what clients use for "none".
func nextGeneration(n int32) int32 {
	if n >= 1<<31-1 {
		return 1
	}
	return n + 1
}

// electLeader keeps a leader that has come back, else takes the first who has.
func (g *group) electLeader() bool {
	if m := g.byID[g.leader]; m != nil && m.join.on {
		return true
	}
	for _, m := range g.members {
		if m.join.on {
			g.leader = m.id
			return true
		}
	}
	return false
}

// supports says whether someone with these protocols can be in the group: it shares
// the type and at least one protocol that all others offer.
func (g *group) supports(protocolType string, ps []protocol) bool {
	if len(g.members) == 0 {
		return protocolType != "" && len(ps) > 0
	}
	if protocolType != g.protocolType {
		return false
	}
	for i := range ps {
		if g.allOffer(ps[i].name) {
			return true
		}
	}
	return false
}

func (g *group) allOffer(name string) bool {
	for _, m := range g.members {
		if !m.offers(name) {
			return false
		}
	}
	return true
}

// vote is the protocol that most members prefer among those that all offer; of equals
// the one that was voted for first.
func (g *group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.members {
		for i := range m.protocols {
			if name := m.protocols[i].name; g.allOffer(name) {
				votes[name]++
				break
			}
		}
	}
	for _, m := range g.members { // in order, so that the choice does not depend on the map's
		for i := range m.protocols {
			if name := m.protocols[i].name; votes[name] > votes[best] {
				best = name
			}
		}
	}
	return best
}

// abandonSyncs answers everyone who waits for an assignment with an error.
func (g *group) abandonSyncs(code int16) {
	for _, m := range g.members {
		m.assignment = nil
		if m.sync.on {
			g.failSync(m, code)
			g.alive(m)
		}
	}
}

// sessionExpired removes a member that has been silent for too long. One that waits
// for an answer of ours is not silent, but for one that joined without an id: it may
// be gone for good.
func (g *group) sessionExpired(m *member) {
	if g.byID[m.id] != m || !m.fresh && (m.join.on || m.sync.on) {
		return
	}
	g.removeAndRebalance(m)
}

func (g *group) removeAndRebalance(m *member) {
	g.remove(m)
	switch g.state {
	case stable, completing:
		g.prepare()
	case preparing:
		g.maybeCompleteJoin()
	}
}

// syncTimeUp removes who has joined and never asked for its assignment.
func (g *group) syncTimeUp() {
	if g.state != completing && g.state != stable {
		return
	}
	late := false
	for i := 0; i < len(g.members); {
		if m := g.members[i]; !m.synced {
			late = true
			g.remove(m)
			continue
		}
		i++
	}
	if late {
		g.prepare()
	}
}

// store appends the group's metadata with the given assignments; nil: those it has.
func (g *group) store(done func(core.Outcome, core.Code), assignments map[string][]byte) {
	of := func(m *member) []byte { return m.assignment }
	if assignments != nil {
		of = func(m *member) []byte { return assignments[m.id] }
	}
	b := &g.c.build
	b.begin(g.c.host.Wall())
	b.key = appendGroupKey(b.key[:0], g.id)
	b.value = appendGroupValue(b.value[:0], g, of)
	b.add(b.key, b.value)
	g.c.append(&op{group: g, meta: true, done: done})
}

func (g *group) forgetOp(o *op) {
	for i := range g.ops {
		if g.ops[i] == o {
			g.ops = append(g.ops[:i], g.ops[i+1:]...)
			return
		}
	}
}

func (g *group) stopTimers() {
	g.c.timers.stop(&g.joinTimer)
	g.c.timers.stop(&g.syncTimer)
}

// subscribed says whether a member reads the topic. known is false if the members'
// subscriptions are not those of consumers, or cannot be read.
func (g *group) subscribed() (topics map[string]bool, known bool) {
	if g.protocolType != consumerType {
		return nil, false
	}
	topics = map[string]bool{}
	for _, m := range g.members {
		names, ok := subscription(m.metadata(g.protocol))
		if !ok {
			return nil, false
		}
		for _, t := range names {
			topics[t] = true
		}
	}
	return topics, true
}

// consumerType is the protocol type whose subscriptions Kafka brokers read.
const consumerType = "consumer"

// subscription is the topics of a consumer's subscription.
func subscription(metadata []byte) ([]string, bool) {
	var v kmsg.ConsumerMemberMetadata
	if safely(func() error { return v.ReadFrom(metadata) }) != nil {
		return nil, false
	}
	return v.Topics, true
}

func (g *group) check() {
	core.Assert(len(g.members) == len(g.byID), "the members of a group are not those of its index")
	core.Assert((g.state != empty && g.state != dead) || len(g.members) == 0, "an empty group has members")
	if g.state != completing && g.state != stable {
		return
	}
	core.Assert(len(g.members) > 0, "a group that is not empty has no members")
	core.Assert(g.byID[g.leader] != nil, "the leader of a group is not a member")
	if !core.Invariants {
		return
	}
	for _, m := range g.members {
		m.check()
		core.Assert(m.offers(g.protocol), "a member does not offer the protocol of its group")
		core.Assert(m.timer.due > 0 || m.join.on || m.sync.on, "nobody watches whether a member is alive")
		core.Assert(g.state == completing || !m.sync.on, "a member waits for an assignment that is there")
	}
}

func millis(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

func clone(b []byte) []byte { return append([]byte{}, b...) }
