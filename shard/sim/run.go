package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// shardCounts is how many shards each start has.
var shardCounts = []int{4, 2, 3, 1}

const (
	generations   = 4
	topicsMax     = 7               // with that of the offsets
	partitionsMax = 6               // of one topic
	quietMax      = 300_000         // steps within which everything is answered
	restAfter     = 5 * time.Second // the store has tried a full disk again by then
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
	switch w.r.IntN(9) {
	case 0, 1, 2:
		if w.cutting = w.generation > 0; w.cutting {
			w.disk.CutAt(1 + w.r.IntN(60))
		}
	case 3:
		w.plan(60)
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
	w.heal()
	w.catalog.swept()
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
	w.plan(400)
	for i := range steps {
		if w.cutting && i == steps/2 {
			w.disk.CutAt(1 + w.r.IntN(80))
		}
		for range w.r.IntN(3) {
			w.act()
		}
		w.step()
		w.recede()
		if w.cutting && w.off() {
			w.stats.midJob++
			return false
		}
	}
	w.mishap.relief = 1
	w.recede()
	if w.cutting || how < 6 {
		return false
	}
	w.quiet()
	if how < 8 || w.failed {
		return false
	}
	return w.shutdown()
}

// quiet waits until everything that was asked has been answered, and checks that nothing
// is left over.
func (w *world) quiet() {
	w.settle()
	w.noneSleeps()
	w.ask()
	for n, until := 0, w.now+restAfter; w.step() || w.now < until; n++ { // what those have asked that have gone
		w.assert(n < quietMax, "the shards are never at rest")
	}
	w.atRest()
}

// settle waits until nothing but waits is unanswered, and the shards rest.
func (w *world) settle() {
	for n := 0; w.step() || w.outstanding > w.waiting(); n++ {
		if n > quietMax {
			w.failf("%d requests are never answered: %s", w.outstanding, w.unanswered())
		}
	}
}

// waiting counts the waits that the sessions have read.
func (w *world) waiting() (n int) {
	for _, c := range w.clients {
		n += len(c.waits)
	}
	return n
}

// noneSleeps checks that no wait is passed over.
func (w *world) noneSleeps() {
	for _, c := range w.clients {
		for _, o := range c.waits {
			if o.reached && !o.done && !o.recalled && !c.link.closing && !o.part.damaged && o.part.readable > o.from && !w.catalog.deleted(o.part.id.Topic) {
				w.failf("%v: a wait for more than %d sleeps, and the high watermark is %d", o.part, o.from, o.part.readable)
			}
		}
	}
}

// atRest checks that shards that have nothing to do hold nothing, and have taken in the
// same catalog.
func (w *world) atRest() {
	if w.failed {
		return
	}
	cat := w.catalog.now()
	for i, s := range w.shards {
		st := s.StatsNow()
		if st.Pending+st.HeldNow+st.Messages != 0 {
			w.failf("shard %d is at rest, with %d appends pending, %d held, and %d requests", i, st.Pending, st.HeldNow, st.Messages)
		}
		have := s.Catalog()
		for _, t := range cat.Topics {
			w.assert(have.TopicByID(t.ID) == t, "a shard has not taken in a change of the catalog")
		}
		w.assert(len(have.Topics) == len(cat.Topics), "a shard has not taken in a deletion")
	}
}

// ask takes back the waits and waits for all answers.
func (w *world) ask() {
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
			if err != nil && !w.failed && !w.excused(err) {
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
	w.heal()
	w.decay()
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
	w.tracef("crash after %d changes of the disk, power %v", w.disk.Changes(), power)
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
	w.heal()
	w.decay()
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
		if w.catalog.deleted(p.id.Topic) || p.damaged {
			continue
		}
		c := w.clients[w.r.IntN(len(w.clients))]
		b := w.await(c, &op{kind: opBounds, part: p})
		w.assert(b.Outcome == core.Done && b.HighWatermark == b.End, "after a start not all that is there can be read")
		start, end, found := b.LogStart, b.End, map[core.Offset]bool{}
		w.model.found = found
		for at := start; at < end; {
			r := w.await(c, &op{kind: opRead, part: p, from: at, max: 1 + w.r.IntN(30_000), first: true})
			if r.Code == core.ErrOffsetRange && p.retention && r.LogStart > at { // meanwhile
				at, start = r.LogStart, r.LogStart
				continue
			}
			w.assert(r.Outcome == core.Done, "an audit cannot read")
			at = w.model.next
		}
		w.model.found = nil
		w.model.audited(p, start, end, found, power)
		w.stats.audited += len(found)
		w.tracef("audited %v: %d to %d", p, start, end)
	}
	for _, g := range w.committers {
		r := w.await(w.clients[w.r.IntN(len(w.clients))], g.fetch())
		w.assert(r.Outcome == core.Done, "offsets cannot be fetched after a start")
	}
}
