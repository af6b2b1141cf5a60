package sim

import (
	"encoding/binary"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

type opKind uint8

const (
	opAppend opKind = iota + 1
	opRead
	opWait
	opCancel
	opBounds
	opTrim
	opChange
	opCommit
	opFetchOffset
	opKinds
)

// op is one thing that a client asked for. Its number is its frame on the connection,
// and the slot of its ticket.
type op struct {
	number   int
	kind     opKind
	part     *part
	batch    *sent
	prod     *producer
	from     core.Offset
	max      int
	first    bool
	command  core.Command
	call     session.Call
	cancels  *op
	synced   bool // the topic was synced when it was asked
	reached  bool // the session has read it
	recalled bool // a cancel has been sent
	done     bool
	result   session.Completion // after done; without slices
	onAnswer func(*session.Completion)
}

// frameSize is an op's number on the wire.
const frameSize = 8

// client is one connection and the session behind it.
type client struct {
	w      *world
	link   *link
	shard  core.ShardID
	ops    map[uint32]*op // by slot, unanswered
	open   int            // read by the session, unanswered, waits apart
	waits  []*op
	due    time.Duration // the deadline that the session has set; 0: none
	closed bool
}

// openMax is how much a session takes on before it pauses.
const openMax = 8

// backlogMax is how many ops a client has under way at most while its session pauses.
const backlogMax = 40

// send puts an op on the connection.
func (c *client) send(o *op) {
	o.number = c.w.nextOp
	c.w.nextOp++
	c.w.outstanding++
	c.ops[uint32(o.number)] = o
	if o.part != nil {
		o.synced = c.w.isSynced(o.part)
	}
	c.link.in = binary.BigEndian.AppendUint64(c.link.in, uint64(o.number))
}

// Receive implements session.Session.
func (c *client) Receive(in []byte, fx *session.Effects) (used, need int, err error) {
	for len(in)-used >= frameSize && c.open < openMax {
		o := c.ops[uint32(binary.BigEndian.Uint64(in[used:]))]
		used += frameSize
		c.ask(o, fx)
	}
	if rest := len(in) - used; rest > 0 && rest < frameSize {
		need = frameSize
	}
	fx.Pause = c.open >= openMax
	return used, need, nil
}

// ask turns an op into an effect.
func (c *client) ask(o *op, fx *session.Effects) {
	t := session.Ticket{Conn: c.link.id, Shard: c.shard, Slot: uint32(o.number), Part: uint32(o.kind)}
	o.reached = true
	if o.kind != opWait && o.kind != opCancel {
		c.open++
	}
	switch o.kind {
	case opAppend:
		fx.Append = append(fx.Append, session.Append{Ticket: t, Partition: o.part.id, Batch: o.batch.bytes})
	case opRead:
		fx.Read = append(fx.Read, session.Read{Ticket: t, Partition: o.part.id, From: o.from, Epoch: -1, Max: o.max, First: o.first})
	case opWait:
		fx.Wait = append(fx.Wait, session.Wait{Ticket: t, Partition: o.part.id, From: o.from})
		c.waits = append(c.waits, o)
		if c.due == 0 {
			c.due = c.w.now + time.Duration(1+c.w.r.IntN(500))*time.Millisecond
			fx.Deadline = c.due
		}
	case opCancel:
		if !o.cancels.done {
			fx.Cancel = append(fx.Cancel, session.Ticket{Conn: c.link.id, Shard: c.shard, Slot: uint32(o.cancels.number), Part: uint32(opWait)})
		}
		c.answered(o) // has no answer of its own
	case opBounds:
		fx.Query = append(fx.Query, session.Query{Ticket: t, Partition: o.part.id, Kind: session.QueryBounds, Epoch: -1})
	case opTrim:
		fx.Query = append(fx.Query, session.Query{Ticket: t, Partition: o.part.id, Kind: session.QueryTrim, Epoch: -1, Arg: int64(o.from)})
	case opCommit, opFetchOffset:
		o.call.Ticket = t
		fx.Call = append(fx.Call, o.call)
	case opChange:
		fx.Change = append(fx.Change, session.Change{Ticket: t, Command: o.command})
	}
}

func (c *client) answered(o *op) {
	o.done = true
	delete(c.ops, uint32(o.number))
	c.w.outstanding--
}

// Complete implements session.Session.
func (c *client) Complete(a *session.Completion, fx *session.Effects) {
	w := c.w
	o := c.ops[a.Ticket.Slot]
	w.assert(!c.closed, "a completion came after Closed")
	w.assert(o != nil, "a completion came for no ticket, or a second time")
	w.assert(a.Ticket.Conn == c.link.id && a.Ticket.Part == uint32(o.kind), "a completion has another's ticket")
	c.answered(o)
	if o.kind == opWait {
		for i, x := range c.waits {
			if x == o {
				c.waits = append(c.waits[:i:i], c.waits[i+1:]...)
				break
			}
		}
	} else {
		c.open--
	}
	w.count(o.kind, a.Outcome)
	w.model.answer(o, a)
	for i := range a.Extents {
		fx.SendExtent(a.Extents[i])
	}
	o.result = *a
	o.result.Extents, o.result.Body = nil, nil
	if o.onAnswer != nil {
		o.onAnswer(a)
	}
	fx.Pause = c.open >= openMax
}

// Writable implements session.Session.
func (c *client) Writable(fx *session.Effects) { fx.Pause = c.open >= openMax }

// Tick implements session.Session: it gives up all waits, as a long poll does.
func (c *client) Tick(now time.Duration, fx *session.Effects) {
	c.w.assert(c.due != 0 && now >= c.due, "a tick came too early or uncalled for")
	c.due = 0
	for _, o := range c.waits {
		fx.Cancel = append(fx.Cancel, session.Ticket{Conn: c.link.id, Shard: c.shard, Slot: uint32(o.number), Part: uint32(opWait)})
	}
	fx.Pause = c.open >= openMax
}

// Closed implements session.Session.
func (c *client) Closed(*session.Effects) {
	c.closed = true
	c.w.outstanding -= len(c.ops)
}
