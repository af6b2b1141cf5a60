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

// producer appends numbered batches to one partition, idempotently: at most five are
// under way; when one fails it waits for the others and sends again, one at a time, from
// the oldest on.
type producer struct {
	w        *world
	part     *part
	client   *client // what is under way goes by one connection, in order
	pid      int64   // -1: not idempotent; then nothing is sent again
	epoch    int16
	sequence int32
	open     []*sent // not acknowledged, in order
	flying   int
	stalled  bool
	last     *sent // the newest acknowledged
	fails    int   // of the oldest, in a row
	retired  bool
}

const flyingMax = 5

// step sends one more batch, or one again, if it may.
func (p *producer) step(c *client) {
	w := p.w
	if p.flying > 0 {
		c = p.client
	}
	p.client = c
	switch {
	case p.retired || len(c.link.in) > backlogMax*frameSize:
	case p.pid < 0:
		if p.flying < flyingMax {
			p.launch(c, p.make())
		}
	case p.stalled:
		if p.flying > 0 {
			return
		}
		if len(p.open) == 0 {
			p.stalled = false
			return
		}
		p.launch(c, p.open[0])
	case p.flying == 0 && p.last != nil && w.r.IntN(6) == 0:
		p.launch(c, p.last) // the acknowledgement might have been lost
	case p.flying < flyingMax:
		b := p.make()
		p.open = append(p.open, b)
		p.launch(c, b)
	}
}

func (p *producer) make() *sent {
	w := p.w
	count := int32(1 + w.r.IntN(4))
	size := w.r.IntN(600)
	if w.r.IntN(20) == 0 {
		size = w.r.IntN(20_000)
	}
	b := build(w.r, len(w.model.sent), p.part, p.pid, p.epoch, p.sequence, count, size)
	w.model.sent = append(w.model.sent, b)
	if p.pid >= 0 {
		p.sequence = int32((int64(p.sequence) + int64(count)) & (1<<31 - 1))
	}
	return b
}

func (p *producer) launch(c *client, b *sent) {
	p.flying++
	generation := p.w.generation
	c.send(&op{kind: opAppend, part: p.part, batch: b, prod: p, onAnswer: func(a *session.Completion) {
		if generation == p.w.generation {
			p.answer(b, a)
		}
	}})
}

// answer decides what is sent next.
func (p *producer) answer(b *sent, a *session.Completion) {
	w := p.w
	p.flying--
	if p.pid < 0 {
		b.abandoned = true
		b.refused = a.Outcome == core.Refused
		return
	}
	if a.Outcome == core.Done {
		p.fails, p.last = 0, b
		if len(p.open) > 0 && p.open[0] == b {
			p.open = p.open[1:]
		}
		return
	}
	probe := p.stalled && p.flying == 0
	p.stalled = true
	if len(p.open) == 0 || p.open[0] != b || !probe {
		return
	}
	switch {
	case a.Code == core.ErrUnknownTopicID:
		p.retired = true
	case a.Code == core.ErrSequence:
		// Right only if the partition has lost what came before, or what told of it.
		if !p.part.mayLose && !p.part.mayForget {
			w.failf("%v: the sequence of producer %d broke at batch %d, sequence %d, and nothing was lost", p.part, p.pid, b.number, b.sequence)
		}
		p.bump()
	case a.Code == core.ErrProducerEpoch:
		w.failf("a producer was fenced by nobody")
	}
}

// bump begins a new epoch after the partition has lost batches.
func (p *producer) bump() {
	p.epoch++
	p.sequence, p.stalled, p.last = 0, false, nil
	for _, b := range p.open {
		b.abandoned = true
	}
	p.open = nil
}

// dropped is the answer of an op whose connection has gone.
func (p *producer) dropped(o *op) {
	p.flying--
	p.stalled = p.pid >= 0
	o.batch.abandoned = p.pid < 0
}

// cutOff is what a crash does to a producer: no answer comes any more.
func (p *producer) cutOff() {
	p.flying = 0
	p.stalled = true
}
