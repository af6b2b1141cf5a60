package sim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard/session"
)

// shardCounts is how many shards each start has.
var shardCounts = []int{4, 2, 3, 1}

const (
	generations = 4
	topicsMax   = 6
	quietMax    = 300_000 // steps within which everything is answered
)

// Run runs one seed. The error is a broken promise.
func Run(seed uint64) (t totals, trace uint64, err error) {
	w := newWorld(seed)
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("seed %d, start %d, step %d: %s", seed, w.generation, w.steps, f.text)
		}
		t, trace = w.stats, w.trace.sum
	}()
	clean := false
	for g := range generations {
		for !w.tryStart(shardCounts[g%len(shardCounts)], clean) {
			w.crash()
			clean = false
		}
		w.audit()
		if clean = w.live(); !clean {
			w.crash()
		}
	}
	for !w.tryStart(2, clean) {
		w.crash()
		clean = false
	}
	w.audit()
	return
}

// tryStart starts a broker; now and then the disk goes while it recovers.
func (w *world) tryStart(shards int, clean bool) (ok bool) {
	if w.cutting = w.generation > 0 && w.r.IntN(3) == 0; w.cutting {
		w.disk.CutAt(1 + w.r.IntN(60))
	}
	ok = w.start(shards, clean)
	if !ok {
		w.stats.inRecovery++
		w.tracef("cut off while starting")
		return false
	}
	if w.cutting && w.off() {
		return false
	}
	w.disk.CutAt(-1)
	w.cutting = false
	return true
}

// live lets clients work for a while. It returns true if the broker was stopped in good
// order at the end.
func (w *world) live() (clean bool) {
	how := w.r.IntN(10)
	if how < 4 {
		w.cutting = true
	}
	steps := 200 + w.r.IntN(1500)
	if w.r.IntN(8) == 0 {
		w.stats.syncErrors++
		w.disk.FailNth(fakefs.OpSync, 1+w.r.IntN(60), errors.New("input/output error"))
	}
	for i := range steps {
		if w.cutting && i == steps/2 {
			w.disk.CutAt(1 + w.r.IntN(80))
		}
		for range w.r.IntN(3) {
			w.act()
		}
		w.step()
		if w.cutting && w.off() {
			w.stats.midJob++
			return false
		}
	}
	if w.cutting || how < 6 {
		return false
	}
	w.quiet()
	if how < 8 || w.failed {
		return false
	}
	return w.shutdown()
}

// quiet waits until everything that was asked has been answered.
func (w *world) quiet() {
	for _, c := range w.clients {
		for _, o := range slices.Clone(c.waits) {
			c.send(&op{kind: opCancel, cancels: o})
		}
	}
	for n := 0; w.outstanding > 0; n++ {
		if n > quietMax {
			w.failf("%d requests are never answered: %s", w.outstanding, w.unanswered())
		}
		w.step()
		for _, c := range w.clients {
			// A wait may have been read by its session only after the cancel was sent.
			for _, o := range c.waits {
				if !o.recalled && w.outstanding > 0 {
					o.recalled = true
					c.send(&op{kind: opCancel, cancels: o})
				}
			}
		}
	}
}

func (w *world) unanswered() (s string) {
	for i, c := range w.clients {
		for _, slot := range slices.Sorted(maps.Keys(c.ops)) {
			o := c.ops[slot]
			s += fmt.Sprintf("\n client %d of shard %d (paused %v): op %d kind %d %v reached %v", i, c.shard, c.link.paused, o.number, o.kind, o.part, o.reached)
		}
	}
	return s
}

// shutdown stops all shards as SIGTERM does. It returns false if a sync failed.
func (w *world) shutdown() bool {
	left, good := len(w.shards), true
	for _, s := range w.shards {
		s.Stop(func(err error) {
			if err != nil && !w.failed {
				w.failf("stop: %v", err)
			}
			good = good && err == nil
			left--
		})
		s.EndTurn()
	}
	for n := 0; left > 0; n++ {
		if n > quietMax {
			w.failf("%d shards never stop", left)
		}
		w.step()
	}
	if !good {
		return false
	}
	w.end()
	w.stats.stops++
	w.tracef("stopped")
	w.disk, w.memory = w.disk.Kill(), w.memory.Kill()
	for _, p := range w.prods {
		p.cutOff()
	}
	return true
}

// crash ends the broker: the process is killed, or the power fails.
func (w *world) crash() {
	w.stats.batches = len(w.model.sent)
	w.end()
	power := w.r.IntN(2) == 0
	w.tracef("crash, power %v", power)
	if power {
		w.stats.cuts++
		w.disk, w.memory = w.disk.Crash(w.r), w.memory.Crash(w.r)
		for _, p := range w.model.parts {
			p.mayLose = p.mayLose || !p.alwaysSynced
		}
	} else {
		w.stats.kills++
		w.disk, w.memory = w.disk.Kill(), w.memory.Kill()
	}
	w.powerSinceAudit = w.powerSinceAudit || power
	for _, p := range w.prods {
		p.cutOff()
	}
}

// end sums up what the shards counted.
func (w *world) end() {
	for _, s := range w.shards {
		if s == nil {
			continue
		}
		st := s.StatsNow()
		w.stats.shard.count(&st)
	}
	w.shards = nil
}

// await runs the broker until an op is answered.
func (w *world) await(c *client, o *op) *session.Completion {
	c.send(o)
	for n := 0; !o.done; n++ {
		if n > quietMax {
			w.failf("an audit is never answered: %s", w.unanswered())
		}
		w.step()
	}
	return &o.result
}

// audit reads everything after a restart.
func (w *world) audit() {
	power := w.powerSinceAudit
	w.powerSinceAudit, w.auditing = false, true
	defer func() { w.auditing = false }()
	for _, p := range w.model.parts {
		if w.catalog.deleted[p.id.Topic] {
			continue
		}
		c := w.clients[w.r.IntN(len(w.clients))]
		b := w.await(c, &op{kind: opBounds, part: p})
		w.assert(b.Outcome == core.Done && b.HighWatermark == b.End, "after a start not all that is there can be read")
		start, end, found := b.LogStart, b.End, map[core.Offset]bool{}
		w.model.found = found
		for at := start; at < end; {
			r := w.await(c, &op{kind: opRead, part: p, from: at, max: 1 + w.r.IntN(30_000), first: true})
			w.assert(r.Outcome == core.Done, "an audit cannot read")
			at = w.model.next
		}
		w.model.found = nil
		w.model.audited(p, start, end, found, power)
		w.stats.audited += len(found)
		w.tracef("audited %v: %d to %d", p, start, end)
	}
}

// act lets a client ask for something.
func (w *world) act() {
	if len(w.clients) == 0 {
		w.connect()
	}
	c := w.clients[w.r.IntN(len(w.clients))]
	cat := w.catalog.now.Load()
	if len(c.link.in) > backlogMax*frameSize {
		return // the session is paused; a client has so much under way
	}
	if len(w.model.parts) == 0 || len(cat.Topics) < topicsMax && w.r.IntN(150) == 0 {
		c.send(&op{kind: opChange, command: core.Command{Kind: core.CreateTopic, Topic: topicName(w.r.IntN(2 * topicsMax)), Partitions: int32(1 + w.r.IntN(4))}})
		return
	}
	if len(w.model.parts) == 0 {
		return
	}
	p := w.model.parts[w.r.IntN(len(w.model.parts))]
	if w.shards[c.shard].Catalog().TopicByID(p.id.Topic) == nil && !w.catalog.deleted[p.id.Topic] {
		return // its session has not heard of it yet
	}
	switch n := w.r.IntN(1000); {
	case n < 600:
		w.produce(c, p)
	case n < 820:
		c.send(&op{kind: opRead, part: p, from: w.someOffset(p), max: w.r.IntN(8000), first: w.r.IntN(4) > 0})
	case n < 900:
		c.send(&op{kind: opWait, part: p, from: p.seen + core.Offset(w.r.IntN(3))})
	case n < 920:
		if len(c.waits) > 0 {
			c.send(&op{kind: opCancel, cancels: c.waits[w.r.IntN(len(c.waits))]})
		}
	case n < 960:
		c.send(&op{kind: opBounds, part: p})
	case n < 972:
		if p.seen > 0 {
			to := core.Offset(w.r.Int64N(int64(p.seen) + 1))
			p.startMax = max(p.startMax, to)
			c.send(&op{kind: opTrim, part: p, from: to})
		}
	case n < 975:
		if w.r.IntN(3) == 0 {
			c.send(&op{kind: opChange, command: core.Command{Kind: core.DeleteTopic, Topic: p.topic}})
		}
	case n < 980:
		d := core.Durability(w.r.IntN(3)).String()
		w.altering[p.topic]++
		c.send(&op{kind: opChange, onAnswer: func(*session.Completion) { w.altering[p.topic]-- }, command: core.Command{Kind: core.AlterTopic, Topic: p.topic, Set: map[string]*string{"penstock.durability": &d}}})
	case n < 985:
		c.link.closing = true
	case n < 995 && len(w.clients) < 12:
		w.connect()
	}
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
