package sim

import (
	"math"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

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
	skipped  bool // its first batch found no room, so a later one may have been its first
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
	case p.flying == 0 && p.last != nil && len(p.open) == 0 && w.r.IntN(20) == 0:
		p.bump() // as a client does that has begun anew
	case p.flying == 0 && p.last != nil && p.epoch > 0 && w.r.IntN(10) == 0:
		p.haunt(c)
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
	b := build(w.r, w.wall(), len(w.model.sent), p.part, p.pid, p.epoch, p.sequence, count, size)
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

// haunt sends what the producer's former self would send: it is fenced off, unless the
// partition may have forgotten whom.
func (p *producer) haunt(c *client) {
	w := p.w
	next := p.sequence // it would fit if nobody looked at the epoch
	if p.part.mayLose || p.part.mayForget {
		next = 1<<20 + 16*int32(len(w.model.sent)) // and fits nowhere
	}
	b := build(w.r, w.wall(), len(w.model.sent), p.part, p.pid, p.epoch-1, next, 1, 100)
	b.abandoned = true
	w.model.sent = append(w.model.sent, b)
	c.send(&op{kind: opAppend, part: p.part, batch: b, onAnswer: func(a *session.Completion) {
		b.refused = a.Outcome == core.Refused
		if a.Outcome == core.Done && !p.part.mayLose && !p.part.mayForget && !p.part.damaged {
			w.failf("%v: producer %d wrote in epoch %d after it had begun epoch %d", p.part, p.pid, p.epoch-1, p.epoch)
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
	if a.Outcome == core.Refused && p.last == nil && a.Code == core.ErrStorage {
		p.skipped = true
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
		if !p.part.mayLose && !p.part.mayForget && !p.skipped && !p.part.damaged {
			w.failf("%v: the sequence of producer %d broke at batch %d, sequence %d, and nothing was lost", p.part, p.pid, b.number, b.sequence)
		}
		p.bump()
	case a.Code == core.ErrProducerEpoch && !p.part.damaged:
		w.failf("a producer was fenced by nobody")
	}
}

// bump begins a new epoch.
func (p *producer) bump() {
	p.epoch++
	p.sequence, p.stalled, p.last, p.skipped = 0, false, nil, false
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

// produce lets one of the partition's producers go on.
func (w *world) produce(c *client, p *part) {
	var mine []*producer
	for _, x := range w.prods {
		if x.part == p && !x.retired {
			mine = append(mine, x)
		}
	}
	if len(mine) < 3 && w.r.IntN(10) == 0 || len(mine) == 0 {
		x := &producer{w: w, part: p, pid: int64(len(w.prods))}
		switch w.r.IntN(4) {
		case 0:
			x.pid = -1
		case 1:
			x.sequence = math.MaxInt32 - int32(w.r.IntN(20)) // its state has expired long ago
		}
		w.prods = append(w.prods, x)
		mine = append(mine, x)
	}
	mine[w.r.IntN(len(mine))].step(c)
}
