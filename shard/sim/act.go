package sim

import (
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// act lets a client ask for something, or something happen to it.
func (w *world) act() {
	if len(w.clients) == 0 {
		w.connect()
	}
	c := w.clients[w.r.IntN(len(w.clients))]
	if len(c.link.in) > backlogMax*frameSize {
		return // the session is paused; a client has so much under way
	}
	if len(w.model.parts) == 0 || len(w.catalog.now().Topics) < topicsMax && w.r.IntN(150) == 0 {
		c.send(&op{kind: opChange, command: w.newTopic()})
		return
	}
	p := w.model.parts[w.r.IntN(len(w.model.parts))]
	if _, ok := w.shards[c.shard].Catalog().Owner(p.id); !ok && !w.catalog.deleted(p.id.Topic) {
		return // its session has not heard of it yet
	}
	switch n := w.r.IntN(1000); {
	case n < 570:
		w.produce(c, p)
	case n < 780:
		c.send(&op{kind: opRead, part: p, from: w.someOffset(p), max: 1 + w.r.IntN(8000), first: w.r.IntN(4) > 0})
	case n < 850:
		c.send(&op{kind: opWait, part: p, from: p.seen + core.Offset(w.r.IntN(3))})
	case n < 870:
		if len(c.waits) > 0 {
			c.send(&op{kind: opCancel, cancels: c.waits[w.r.IntN(len(c.waits))]})
		}
	case n < 910:
		c.send(&op{kind: opBounds, part: p})
	case n < 922:
		if p.seen > 0 {
			to := core.Offset(w.r.Int64N(int64(p.seen) + 1))
			p.startMax = max(p.startMax, to)
			c.send(&op{kind: opTrim, part: p, from: to})
		}
	case n < 960:
		if g := w.committers[w.r.IntN(len(w.committers))]; w.r.IntN(3) == 0 {
			c.send(g.fetch())
		} else {
			g.commit(c)
		}
	case n < 970:
		w.change(c, p)
	case n < 975:
		c.link.closing = true
	case n < 985 && len(w.clients) < 12:
		w.connect()
	case n < 990:
		w.lapse()
	}
}

// change asks for a change of the topic of p.
func (w *world) change(c *client, p *part) {
	switch w.r.IntN(4) {
	case 0:
		if w.r.IntN(3) == 0 {
			c.send(&op{kind: opChange, command: core.Command{Kind: core.DeleteTopic, Topic: p.topic}})
		}
	case 1:
		if t := w.catalog.now().Topic(p.topic); t != nil && len(t.Partitions) < partitionsMax {
			n := int32(len(t.Partitions) + 1 + w.r.IntN(2))
			c.send(&op{kind: opChange, command: core.Command{Kind: core.CreatePartitions, Topic: p.topic, Partitions: n}})
		}
	default:
		d := core.Durability(w.r.IntN(3)).String()
		w.altering[p.topic]++
		c.send(&op{kind: opChange, onAnswer: func(*session.Completion) { w.altering[p.topic]-- },
			command: core.Command{Kind: core.AlterTopic, Topic: p.topic, Set: map[string]*string{durabilityKey: &d, "flush.ms": nil}}})
	}
}

// lapse lets time pass in which nobody does anything, as when the process is stopped, or
// sets the wall clock.
func (w *world) lapse() {
	if w.r.IntN(3) > 0 {
		w.pass(time.Duration(w.r.IntN(40_000)) * time.Millisecond)
		return
	}
	by := int64(w.r.IntN(20_000)) - 10_000
	w.skew += by
	w.skewed += max(by, -by)
	w.tracef("the wall clock is set to %d", w.wall())
}

// someOffset is mostly one that can be read.
func (w *world) someOffset(p *part) core.Offset {
	switch w.r.IntN(10) {
	case 0:
		return 0
	case 1:
		return p.seen + core.Offset(w.r.IntN(4))
	case 2:
		return p.trimmed
	case 3, 4, 5:
		return max(p.trimmed, p.seen-core.Offset(w.r.IntN(10)))
	}
	return core.Offset(w.r.Int64N(int64(p.seen) + 1))
}
