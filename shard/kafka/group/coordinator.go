package group

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// The API keys that are served.
const (
	keyOffsetCommit   = 8
	keyOffsetFetch    = 9
	keyJoinGroup      = 11
	keyHeartbeat      = 12
	keyLeaveGroup     = 13
	keySyncGroup      = 14
	keyDescribeGroups = 15
	keyListGroups     = 16
	keyDeleteGroups   = 42
	keyOffsetDelete   = 47
)

// Coordinator answers for the groups of one partition of __consumer_offsets. It lives
// on the shard that owns the partition.
//
// Invariant: list[i].index == i; once it is awake every image of the fold has a group.
type Coordinator struct {
	host      session.Host
	partition core.PartitionID
	opt       Options

	fold     fold              // what is durable
	awake    bool              // the groups have been made from the fold
	groups   map[string]*group // the live ones
	list     []*group
	promised int // ids that groups have promised
	timers   timers
	expiry   timer
	compact  compaction
	compacts int            // so far
	ops      map[uint32]*op // appends and queries that are under way
	slot     uint32         // of the last one
	revision int64          // of the catalog that offsets were last compared with

	// The rest is of one step.
	fx       *session.Effects
	now      time.Duration
	call     *session.Call
	client   []byte // client id of the call; borrowed
	from     []byte // its address; borrowed
	out      []byte // bodies of replies
	build    builder
	touched  []*group // may have nothing left
	deadline time.Duration

	heartbeat struct { // reused: there is one per member every three seconds
		request  kmsg.HeartbeatRequest
		response kmsg.HeartbeatResponse
	}
}

// op is one append that is under way, or the query of a compaction.
type op struct {
	group   *group           // nil: of a compaction
	keys    []topicPartition // whose offsets it writes
	meta    bool             // it writes the group's metadata
	compact int              // the compaction that waits for it; 0: none
	done    func(outcome core.Outcome, code core.Code)
}

// New makes the coordinator of p, empty. The shard calls Restore and Apply to bring it
// up to date, and Tick once after that, so that the timers of restored members start.
func New(h session.Host, p core.PartitionID, opt Options) session.Service {
	return newCoordinator(h, p, opt)
}

func newCoordinator(h session.Host, p core.PartitionID, opt Options) *Coordinator {
	c := &Coordinator{host: h, partition: p, opt: opt.withDefaults(), fold: newFold(), groups: map[string]*group{}, ops: map[uint32]*op{}}
	c.expiry.kind = expiryTimer
	return c
}

// Apply takes the next durable batch.
func (c *Coordinator) Apply(b []byte) {
	c.fold.apply(b)
	if c.awake {
		c.adopt()
	}
}

// adopt makes a group for each new image that has none: its append had been given up.
func (c *Coordinator) adopt() {
	for _, im := range c.fold.made {
		if c.groups[im.id] == nil && c.fold.byID[im.id] == im {
			c.newGroup(im.id)
		}
	}
	clear(c.fold.made)
	c.fold.made = c.fold.made[:0]
}

// Snapshot appends the fold to dst.
func (c *Coordinator) Snapshot(dst []byte) []byte { return c.fold.snapshot(dst) }

// Restore replaces the fold by a snapshot's. It comes before the first call.
func (c *Coordinator) Restore(blob []byte) error {
	core.Assert(!c.awake, "a group coordinator is restored while it serves")
	c.fold = newFold()
	err := c.fold.restore(blob)
	if err != nil {
		c.fold = newFold()
	}
	return err
}

// Call takes a request of a session; the body begins with client id and address.
func (c *Coordinator) Call(call *session.Call, fx *session.Effects) {
	c.begin(fx)
	c.call = call
	id, body, ok := shortString(call.Body)
	host, body, ok2 := shortString(body)
	if !ok || !ok2 {
		c.refuse(core.ErrInvalidRequest)
	} else {
		c.client, c.from = id, host
		c.route(body)
	}
	c.call, c.client, c.from = nil, nil, nil
	c.end()
}

func (c *Coordinator) route(body []byte) {
	switch c.call.Kind {
	case keyHeartbeat:
		c.onHeartbeat(body)
	case keyOffsetCommit:
		c.onOffsetCommit(body)
	case keyOffsetFetch:
		c.onOffsetFetch(body)
	case keyJoinGroup:
		c.onJoinGroup(body)
	case keySyncGroup:
		c.onSyncGroup(body)
	case keyLeaveGroup:
		c.onLeaveGroup(body)
	case keyDescribeGroups:
		c.onDescribeGroups(body)
	case keyListGroups:
		c.onListGroups(body)
	case keyDeleteGroups:
		c.onDeleteGroups(body)
	case keyOffsetDelete:
		c.onOffsetDelete(body)
	default:
		c.refuse(core.ErrUnsupported)
	}
}

// Complete takes the answer to an append or query of ours.
func (c *Coordinator) Complete(done *session.Completion, fx *session.Effects) {
	c.begin(fx)
	o := c.ops[done.Ticket.Slot]
	core.Assert(o != nil, "a group coordinator got a completion that it does not wait for")
	delete(c.ops, done.Ticket.Slot)
	if g := o.group; g != nil {
		g.forgetOp(o)
		c.touch(g)
		if done.Outcome != core.Done {
			c.compact.broken = true // what it left out because this was under way may not be there
		}
	}
	o.done(done.Outcome, done.Code)
	c.compactSettled(o)
	c.end()
}

// Tick fires what is due.
func (c *Coordinator) Tick(_ time.Duration, fx *session.Effects) {
	c.begin(fx)
	c.deadline = 0 // it is over: the shard is told the next one even if that is the same
	for t := c.timers.pop(c.now); t != nil; t = c.timers.pop(c.now) {
		if t.group != nil {
			c.touch(t.group)
		}
		switch t.kind {
		case sessionTimer:
			t.group.sessionExpired(t.member)
		case joinTimer:
			t.group.joinTimeUp()
		case syncTimer:
			t.group.syncTimeUp()
		case pendingTimer:
			t.group.promiseBroken(t.promise)
		case expiryTimer:
			c.expire()
		}
	}
	c.end()
}

// begin opens a step.
func (c *Coordinator) begin(fx *session.Effects) {
	c.fx, c.now = fx, c.host.Mono()
	c.out, c.touched = c.out[:0], c.touched[:0]
	c.build.reset()
	if !c.awake {
		c.wake()
	}
	if r := c.host.Catalog().Revision; r != c.revision {
		c.revision = r
		c.dropDeletedTopics(false)
	}
}

// end closes a step: groups that hold nothing any more go, and the shard learns when
// the next timer is due.
func (c *Coordinator) end() {
	for _, g := range c.touched {
		g.check()
		c.forgetIfNothing(g)
	}
	clear(c.touched)
	c.compactIfDue()
	next := c.timers.next()
	if next == 0 {
		next = -1
	}
	if next != c.deadline {
		c.deadline, c.fx.Deadline = next, next
	}
	c.check()
	c.fx = nil
}

// wake makes the live groups from the fold. Timers start now: time in which the broker
// was away is not held against the members.
func (c *Coordinator) wake() {
	c.awake = true
	for _, im := range c.fold.list {
		c.newGroup(im.id).restore(im)
	}
	c.fold.made = nil
	c.timers.set(&c.expiry, c.now+c.opt.ExpiryInterval)
	c.revision = -1 // compare with the catalog
}

// lookup finds a live group. The id is borrowed.
func (c *Coordinator) lookup(id string) *group {
	g := c.groups[id]
	if g != nil {
		c.touch(g)
	}
	return g
}

// lookupOrNew is lookup for requests that make a group; nil if there are too many.
func (c *Coordinator) lookupOrNew(id string) *group {
	if g := c.lookup(id); g != nil {
		return g
	}
	if len(c.list) >= c.opt.GroupsMax {
		return nil
	}
	g := c.newGroup(strings.Clone(id))
	c.touch(g)
	return g
}

func (c *Coordinator) newGroup(id string) *group {
	g := newGroup(c, id)
	g.index = len(c.list)
	c.list = append(c.list, g)
	c.groups[id] = g
	return g
}

func (c *Coordinator) touch(g *group) { c.touched = append(c.touched, g) }

// forgetIfNothing forgets a group of which nothing is durable, live or under way.
func (c *Coordinator) forgetIfNothing(g *group) {
	if g.state != empty && g.state != dead || len(g.members) > 0 || len(g.promised) > 0 || len(g.ops) > 0 || c.groups[g.id] != g {
		return
	}
	if c.fold.byID[g.id] != nil {
		return
	}
	g.stopTimers()
	last := c.list[len(c.list)-1]
	c.list[g.index] = last
	last.index = g.index
	c.list[len(c.list)-1] = nil
	c.list = c.list[:len(c.list)-1]
	delete(c.groups, g.id)
}

// append asks for the batch that has been built to be appended. done comes exactly once:
// in a later step, or now if the batch is larger than the log takes.
func (c *Coordinator) append(o *op) {
	b := c.build.finish()
	if len(b) > c.batchMax() {
		o.done(core.Refused, core.ErrTooLarge)
		return
	}
	if o.group != nil {
		o.group.ops = append(o.group.ops, o)
	}
	c.fx.Append = append(c.fx.Append, session.Append{Ticket: c.ticket(o), Partition: c.partition, Batch: b})
}

// ticket registers an op.
func (c *Coordinator) ticket(o *op) session.Ticket {
	c.slot++
	core.Assert(c.ops[c.slot] == nil, "a group coordinator has too much under way")
	c.ops[c.slot] = o
	return session.Ticket{Shard: c.host.Shard(), Slot: c.slot}
}

// batchMax is the largest batch that the partition takes.
func (c *Coordinator) batchMax() int {
	if t := c.host.Catalog().TopicByID(c.partition.Topic); t != nil && t.Config.MaxMessageBytes > 0 {
		return int(t.Config.MaxMessageBytes)
	}
	return 1 << 20
}

// waiter is the call of this step, to be answered later.
func (c *Coordinator) waiter() waiter {
	return waiter{ticket: c.call.Ticket, version: c.call.Version, on: true}
}

// reply answers w, and marks it as answered.
func (c *Coordinator) reply(w *waiter, resp kmsg.Response) {
	core.Assert(w.on, "a group coordinator answers a request twice")
	w.on = false
	resp.SetVersion(w.version)
	from := len(c.out)
	c.out = resp.AppendTo(c.out)
	c.fx.Reply = append(c.fx.Reply, session.Reply{Ticket: w.ticket, Body: c.out[from:len(c.out):len(c.out)]})
}

// answer replies to the call of this step.
func (c *Coordinator) answer(resp kmsg.Response) {
	w := c.waiter()
	c.reply(&w, resp)
}

// refuse answers the call of this step without a body.
func (c *Coordinator) refuse(code core.Code) {
	c.fx.Reply = append(c.fx.Reply, session.Reply{Ticket: c.call.Ticket, Outcome: core.Refused, Code: code})
}

// decode reads a request; false if it cannot be read, and then it has been refused.
func (c *Coordinator) decode(req kmsg.Request, body []byte) bool {
	req.SetVersion(c.call.Version)
	if safely(func() error { return req.ReadFrom(body) }) != nil {
		c.refuse(core.ErrInvalidRequest)
		return false
	}
	return true
}

// shortString reads a u16 length and so many bytes.
func shortString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b)-2 < n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

func (c *Coordinator) check() {
	c.fold.check()
	if !core.Invariants {
		return
	}
	core.Assert(len(c.list) == len(c.groups), "the groups of a coordinator are not those of its list")
	promised := 0
	for i, g := range c.list {
		core.Assert(g.index == i && c.groups[g.id] == g, "a group is not where it says")
		promised += len(g.promised)
		g.check()
	}
	core.Assert(promised == c.promised, "the ids that groups have promised are not counted right")
	c.timers.check()
}
