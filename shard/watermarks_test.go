package shard

import (
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// bounds asks for the positions of a partition.
func (r *rig) bounds(f *fake, p core.PartitionID) *session.Completion {
	return r.query(f, session.Query{Partition: p, Kind: session.QueryBounds, Epoch: -1})
}

// reconfigured publishes a topic with other settings, and lets every shard take it in.
func (r *rig) reconfigured(was *core.Topic, change func(*core.TopicConfig)) *core.Topic {
	next := *was
	change(&next.Config)
	old := r.catalog.Load()
	topics := []*core.Topic{&next}
	for _, t := range old.Topics {
		if t.Name != was.Name {
			topics = append(topics, t)
		}
	}
	r.catalog.Store(core.NewCatalog(old.Revision+1, old.Starts, topics))
	for _, s := range r.shards {
		s.turn()
		s.adopt()
		s.EndTurn()
	}
	r.pump()
	return &next
}

// While the disk of the journal does not answer, retention deletes what no group commit
// has made durable: it is gone for good, and nobody waits for it any more.
func TestTheHighWatermarkFollowsTheLogStart(t *testing.T) {
	tp := topic("t", core.Synced)
	tp.Config.RetentionMs, tp.Config.SegmentMs = 5000, 1000
	r := newRig(t, 1, tp)
	f, p := r.open(0, 1), part(tp, 0)
	r.workers[0].stuck = true
	for range 3 {
		r.append(f, p, stamped(r.wall()))
		r.pass(2 * time.Second)
	}
	if f.count != 0 {
		t.Fatal("acknowledged without a sync")
	}
	r.pass(70 * time.Second)
	c := r.bounds(f, p)
	if c.LogStart == 0 || c.HighWatermark < c.LogStart || c.End < c.HighWatermark {
		t.Errorf("the log starts at %d, its high watermark is %d, its end %d", c.LogStart, c.HighWatermark, c.End)
	}
	want(t, r.read(f, p, c.LogStart), core.Done, core.OK, 0)
	want(t, r.read(f, p, c.LogStart-1), core.Refused, core.ErrOffsetRange, 0)
	r.workers[0].stuck = false
	r.pump()
	if last := f.answers[len(f.answers)-1]; len(f.answers) != 6 || last.Outcome != core.Done || last.HighWatermark != 3 {
		t.Errorf("after the sync: %d answers, the last %+v", len(f.answers), last)
	}
}

// A repeat of something durable stands behind the appends that came before it and still
// wait: what is acknowledged of a partition is always a prefix of what was sent.
func TestARepeatDoesNotOvertakeWhatWaitsForItsSync(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	for _, where := range []int{0, 1} {
		p := part(tp, where)
		want(t, r.append(f, p, makeBatch(7, 0, 0, 2, 10)), core.Done, core.OK, 0)
		for _, w := range r.workers {
			w.stuck = true
		}
		f.answers = nil
		send := func(slot uint32, b []byte) {
			r.do(f, func(fx *session.Effects) {
				fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(slot), Partition: p, Batch: b})
			})
			r.pump()
		}
		send(1, makeBatch(7, 0, 2, 3, 10)) // the first
		send(2, makeBatch(7, 0, 2, 3, 10)) // the same again
		send(3, makeBatch(7, 0, 0, 2, 10)) // the one that is durable, again
		if len(f.answers) != 0 {
			t.Fatalf("shard %d: answered before the sync: %+v", where, f.answers)
		}
		for _, w := range r.workers {
			w.stuck = false
		}
		r.pump()
		base := []core.Offset{2, 2, 0}
		if len(f.answers) != 3 {
			t.Fatalf("shard %d: %d answers", where, len(f.answers))
		}
		for i, a := range f.answers {
			if a.Ticket.Slot != uint32(i+1) || a.Outcome != core.Done || a.Base != base[i] {
				t.Errorf("shard %d: answer %d is to append %d: outcome %d, base %d", where, i+1, a.Ticket.Slot, a.Outcome, a.Base)
			}
		}
	}
}

// What could be read when a topic becomes synced can still be read, though no sync holds
// it yet; what is appended from then on is shown with its group commit, and not before.
func TestATopicThatBecomesSyncedTakesNothingBackAndShowsNothingEarly(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 1, tp)
	f, p := r.open(0, 1), part(tp, 0)
	for i := range core.Offset(3) {
		want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, i)
	}
	for _, w := range r.workers {
		w.stuck = true
	}
	tp = r.reconfigured(tp, func(c *core.TopicConfig) { c.Durability = core.Synced })
	before := f.count
	r.append(f, p, makeBatch(-1, -1, -1, 1, 100))
	if f.count != before {
		t.Fatal("acknowledged without a sync")
	}
	if c := r.bounds(f, p); c.HighWatermark != 3 || c.LastStable != 3 || c.End != 4 {
		t.Errorf("before the sync the high watermark is %d, the last stable offset %d, the end %d; want 3, 3, 4", c.HighWatermark, c.LastStable, c.End)
	}
	if c := r.read(f, p, 2); c.Bytes == 0 {
		t.Errorf("what could be read cannot any more: %+v", c)
	}
	if c := r.read(f, p, 3); c.Outcome != core.Done || c.Bytes != 0 {
		t.Errorf("read before its sync: %+v", c)
	}
	r.do(f, f.wait(p, 2, 10))
	r.do(f, f.wait(p, 3, 11))
	r.pump()
	if f.last.Ticket.Slot != 10 {
		t.Errorf("a wait for what is there has not ended: %+v", f.last)
	}
	// The group commit alone is not enough: what was appended before is in no group.
	r.workers[0].stuck = false
	r.pump()
	if c := r.bounds(f, p); c.HighWatermark != 3 {
		t.Errorf("above a gap that no sync holds the high watermark is %d", c.HighWatermark)
	}
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if c := r.bounds(f, p); c.HighWatermark != 4 {
		t.Errorf("after the sync the high watermark is %d", c.HighWatermark)
	}
	var waited bool
	for _, a := range f.answers {
		waited = waited || a.Ticket.Slot == 11 && a.Outcome == core.Done && a.HighWatermark == 4
	}
	if !waited || r.afterPowerCut(p) != 4 {
		t.Errorf("the wait has ended: %v; a power cut leaves %d", waited, r.afterPowerCut(p))
	}
	r.reconfigured(tp, func(c *core.TopicConfig) { c.Durability = core.OS })
	r.workers[0].stuck = true
	want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 4)
	if c := r.read(f, p, 4); c.Bytes == 0 || c.HighWatermark != 5 {
		t.Errorf("in an os topic what is acknowledged cannot be read: %+v", c)
	}
}
