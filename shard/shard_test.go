package shard

import (
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard/session"
)

func (r *rig) append(f *fake, p core.PartitionID, b []byte) *session.Completion {
	r.do(f, func(fx *session.Effects) {
		fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(1), Partition: p, Batch: b})
	})
	r.pump()
	return &f.last
}

func (r *rig) read(f *fake, p core.PartitionID, from core.Offset) *session.Completion {
	r.do(f, func(fx *session.Effects) {
		fx.Read = append(fx.Read, session.Read{Ticket: f.ticket(2), Partition: p, From: from, Epoch: -1, Max: 1 << 20, First: true})
	})
	r.pump()
	return &f.last
}

func (r *rig) query(f *fake, q session.Query) *session.Completion {
	q.Ticket = f.ticket(3)
	r.do(f, func(fx *session.Effects) { fx.Query = append(fx.Query, q) })
	r.pump()
	return &f.last
}

func (f *fake) wait(p core.PartitionID, from core.Offset, slot uint32) func(*session.Effects) {
	return func(fx *session.Effects) {
		fx.Wait = append(fx.Wait, session.Wait{Ticket: f.ticket(slot), Partition: p, From: from})
	}
}

func want(t *testing.T, got *session.Completion, outcome core.Outcome, code core.Code, base core.Offset) {
	t.Helper()
	if got.Outcome != outcome || got.Code != code || got.Base != base {
		t.Errorf("outcome %d, %v, base %d; want %d, %v, base %d", got.Outcome, got.Code, got.Base, outcome, code, base)
	}
}

func TestASyncedAppendIsAnsweredAndReadableAfterTheSyncOnly(t *testing.T) {
	tp := topic("t", core.Synced)
	for _, where := range []int{0, 1} {
		r := newRig(t, 2, tp)
		f := r.open(0, 1)
		for _, w := range r.workers {
			w.stuck = true
		}
		r.append(f, part(tp, where), makeBatch(-1, -1, -1, 3, 100))
		if f.count != 0 {
			t.Error("acknowledged before the sync")
		}
		c := r.read(f, part(tp, where), 0)
		if c.Bytes != 0 || c.HighWatermark != 0 || c.End != 3 {
			t.Errorf("read before the sync: %+v", c)
		}
		want(t, r.read(f, part(tp, where), 3), core.Done, core.OK, 0) // between high watermark and end: empty
		want(t, r.read(f, part(tp, where), 4), core.Refused, core.ErrOffsetRange, 0)
		for _, w := range r.workers {
			w.stuck = false
		}
		r.pump()
		if f.count != 4 || f.last.HighWatermark != 3 || f.last.Epoch != 5 || f.last.Timestamp != -1 {
			t.Errorf("after the sync: %d answers, %+v", f.count, f.last)
		}
		if c := r.read(f, part(tp, where), 1); c.Bytes != batch.HeaderSize+100 || len(f.bytes) != c.Bytes {
			t.Errorf("read after the sync: %+v", c)
		}
	}
}

func TestARepeatIsAnsweredLikeItsOriginalAndNotBeforeIt(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	f := r.open(0, 1)
	for _, w := range r.workers {
		w.stuck = true
	}
	p := part(tp, 0)
	r.append(f, p, makeBatch(7, 0, 0, 2, 10))
	r.append(f, p, makeBatch(7, 0, 0, 2, 10))
	if f.count != 0 {
		t.Fatal("a repeat was acknowledged before the original was durable")
	}
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if len(f.answers) != 2 || f.answers[0].Base != 0 || f.answers[1].Base != 0 {
		t.Fatalf("%+v", f.answers)
	}
	want(t, r.append(f, p, makeBatch(7, 0, 2, 1, 10)), core.Done, core.OK, 2)
	want(t, r.append(f, p, makeBatch(7, 0, 0, 2, 10)), core.Done, core.OK, 0)
	want(t, r.append(f, p, makeBatch(7, 0, 9, 1, 10)), core.Refused, core.ErrSequence, 0)
}

func TestLogAppendTimeNeverGoesBack(t *testing.T) {
	tp := topic("t", core.OS)
	tp.Config.LogAppendTime = true
	r := newRig(t, 1, tp)
	f := r.open(0, 1)
	r.now = 5 * time.Second
	first := r.append(f, part(tp, 0), makeBatch(-1, -1, -1, 1, 10)).Timestamp
	r.now = 2 * time.Second // the wall clock was set back
	second := r.append(f, part(tp, 0), makeBatch(-1, -1, -1, 1, 10)).Timestamp
	if first != 1_005_000 || second != first {
		t.Errorf("append times %d, %d", first, second)
	}
}

func TestAWaitEndsOnceWhateverEndsIt(t *testing.T) {
	tp := topic("t", core.Synced)
	for _, where := range []int{0, 1} {
		r := newRig(t, 2, tp)
		f, g := r.open(0, 1), r.open(0, 2)
		p := part(tp, where)
		r.do(f, f.wait(p, 0, 10))
		r.do(f, f.wait(p, 2, 11))
		r.pump()
		if f.count != 0 {
			t.Fatal("a wait ended with nothing to read")
		}
		r.append(g, p, makeBatch(-1, -1, -1, 1, 10))
		if f.count != 1 || f.last.Ticket.Slot != 10 || f.last.HighWatermark != 1 {
			t.Fatalf("after an append: %+v", f.answers)
		}
		r.do(f, func(fx *session.Effects) { fx.Cancel = append(fx.Cancel, f.ticket(11), f.ticket(10)) })
		r.pump()
		if f.count != 2 || f.last.Ticket.Slot != 11 || f.last.Outcome != core.Cancelled {
			t.Fatalf("after a cancel: %+v", f.answers)
		}
		r.do(f, f.wait(p, 0, 12)) // there is something already
		r.pump()
		if f.count != 3 || f.last.Outcome != core.Done {
			t.Fatalf("a wait for what is there: %+v", f.answers)
		}
		// A connection that closes takes its waits with it.
		r.do(f, f.wait(p, 100, 13))
		r.shards[0].Closed(f.id, nil)
		r.shards[0].EndTurn()
		r.pump()
		if n := r.shards[where].parts[p].waits.count; n != 0 || !f.closed || f.count != 3 {
			t.Errorf("%d waits are left, %d answers", n, f.count)
		}
	}
}

func TestAPartitionThatGoesAwayEndsItsWaits(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 3, tp)
	f, g := r.open(0, 1), r.open(1, 1)
	for i := range 3 {
		r.do(f, f.wait(part(tp, i), 0, uint32(10+i)))
	}
	r.pump()
	r.do(g, func(fx *session.Effects) {
		fx.Change = append(fx.Change, session.Change{Ticket: g.ticket(1), Command: core.Command{Kind: core.DeleteTopic, Topic: "t"}})
	})
	r.pump()
	if g.count != 1 || g.last.Outcome != core.Done || g.last.Result == nil {
		t.Fatalf("the deletion: %+v", g.last)
	}
	if f.count != 3 {
		t.Fatalf("%d of 3 waits have ended", f.count)
	}
	for _, a := range f.answers {
		if a.Outcome != core.Refused || a.Code != core.ErrUnknownTopicID {
			t.Errorf("a wait ended with %d, %v", a.Outcome, a.Code)
		}
	}
	for i, s := range r.shards {
		if s.Catalog().Topic("t") != nil || len(s.parts) != 0 {
			t.Errorf("shard %d has not taken the deletion in", i)
		}
	}
	want(t, r.append(f, part(tp, 2), makeBatch(-1, -1, -1, 1, 1)), core.Refused, core.ErrUnknownTopicID, 0)
	r.do(g, func(fx *session.Effects) {
		fx.Change = append(fx.Change, session.Change{Ticket: g.ticket(1), Command: core.Command{Kind: core.CreateTopic, Topic: "t"}})
	})
	r.pump()
	want(t, r.append(f, part(r.shards[0].Catalog().Topic("t"), 2), makeBatch(-1, -1, -1, 1, 1)), core.Done, core.OK, 0)
}

func TestRefusals(t *testing.T) {
	tp, in := topic("t", core.Synced), topic("in", core.Synced)
	in.Internal = true
	r := newRig(t, 2, tp, in)
	f := r.open(0, 1)
	b := makeBatch(-1, -1, -1, 1, 1)
	want(t, r.append(f, part(in, 0), b), core.Refused, core.ErrInvalidTopic, 0)
	want(t, r.append(f, part(in, 1), b), core.Refused, core.ErrInvalidTopic, 0)
	want(t, r.append(f, part(tp, 7), b), core.Refused, core.ErrUnknownPartition, 0)
	want(t, r.append(f, core.PartitionID{}, b), core.Refused, core.ErrUnknownTopicID, 0)
	for _, c := range []struct {
		epoch core.Epoch
		code  core.Code
	}{{4, core.ErrFencedLeaderEpoch}, {6, core.ErrUnknownLeaderEpoch}, {5, core.OK}, {-1, core.OK}} {
		if got := r.query(f, session.Query{Partition: part(tp, 1), Kind: session.QueryBounds, Epoch: c.epoch}); got.Code != c.code {
			t.Errorf("epoch %d: %v; want %v", c.epoch, got.Code, c.code)
		}
	}
	r.do(f, func(fx *session.Effects) {
		fx.Call = append(fx.Call, session.Call{Ticket: f.ticket(1), Partition: part(tp, 1)})
	})
	r.pump()
	want(t, &f.last, core.Refused, core.ErrNotCoordinator, 0)
}

func TestTrimEpochEndAndTimeAnswer(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	for _, where := range []int{0, 1} {
		p := part(tp, where)
		for range 5 {
			r.append(f, p, makeBatch(-1, -1, -1, 2, 10))
		}
		if c := r.query(f, session.Query{Partition: p, Kind: session.QueryEpochEnd, Epoch: -1, Arg: 5}); c.Epoch != 5 || c.Base != 10 {
			t.Errorf("epoch end: %d at %d", c.Epoch, c.Base)
		}
		if c := r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: 4}); c.Outcome != core.Done || c.LogStart != 4 {
			t.Errorf("trim: %+v", c)
		}
		want(t, r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: 11}), core.Refused, core.ErrOffsetRange, 0)
		want(t, r.read(f, p, 3), core.Refused, core.ErrOffsetRange, 0)
		if c := r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: -1}); c.LogStart != 10 {
			t.Errorf("trim of everything: %+v", c)
		}
		if c := r.query(f, session.Query{Partition: p, Kind: session.QuerySize, Epoch: -1}); c.Outcome != core.Done {
			t.Errorf("size: %+v", c)
		}
	}
}

func TestAFailedSyncIsUnknownAndFinal(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	p := part(tp, 1)
	want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 10)), core.Done, core.OK, 0)
	r.disk.FailNth(fakefs.OpSync, 1, errors.New("input/output error"))
	want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 10)), core.Unknown, core.ErrStorage, 1)
	want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 10)), core.Refused, core.ErrStorage, 0)
	if c := r.read(f, p, 0); c.Bytes == 0 || c.HighWatermark != 1 {
		t.Errorf("what was acknowledged cannot be read: %+v", c)
	}
	if len(r.failures) == 0 || r.shards[1].StatsNow().Failed == "" {
		t.Error("nobody was told")
	}
}

func TestStopRefusesWhatIsNewAndFinishesWhatIsInFlight(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	for _, w := range r.workers {
		w.stuck = true
	}
	r.append(f, part(tp, 1), makeBatch(-1, -1, -1, 1, 10))
	r.do(f, f.wait(part(tp, 0), 0, 9))
	stopped := 0
	for _, s := range r.shards {
		s.Stop(func(err error) {
			if err != nil {
				t.Error(err)
			}
			stopped++
		})
		s.EndTurn()
	}
	r.pump()
	if f.count != 1 || f.last.Ticket.Slot != 9 || f.last.Code != core.ErrStopping {
		t.Fatalf("the wait: %+v", f.answers)
	}
	want(t, r.append(f, part(tp, 0), makeBatch(-1, -1, -1, 1, 10)), core.Refused, core.ErrStopping, 0)
	if stopped != 0 {
		t.Fatal("stopped with an append in flight")
	}
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if stopped != 2 {
		t.Fatalf("%d of 2 shards have stopped", stopped)
	}
	want(t, &f.last, core.Done, core.OK, 0)
	if r.shards[0].Open(core.ConnInfo{ID: core.MakeConnID(9, 1)}) {
		t.Error("a connection was accepted")
	}
}

func TestDeadlinesComeOnceAndInTime(t *testing.T) {
	r := newRig(t, 1)
	f, g := r.open(0, 1), r.open(0, 2)
	r.do(f, func(fx *session.Effects) { fx.Deadline = 40 * time.Millisecond })
	r.do(g, func(fx *session.Effects) { fx.Deadline = 60 * time.Millisecond })
	r.do(g, func(fx *session.Effects) { fx.Deadline = -1 })
	r.pass(30 * time.Millisecond)
	if f.ticks != 0 {
		t.Error("a tick came too early")
	}
	r.pass(time.Second)
	if f.ticks != 1 || g.ticks != 0 {
		t.Errorf("%d and %d ticks; want 1 and 0", f.ticks, g.ticks)
	}
}

func TestTimesAreFoundToTheRecordFromAnyShard(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	var w batch.Builder
	for _, where := range []int{0, 1} {
		p := part(tp, where)
		for i := range int64(4) {
			w.Reset()
			for k := range int64(3) {
				w.Add(1000+i*100+k*10, nil, []byte("value"))
			}
			want(t, r.append(f, p, w.Finish()), core.Done, core.OK, core.Offset(i*3))
		}
		for _, c := range []struct {
			kind session.QueryKind
			arg  int64
			base core.Offset
			ts   int64
		}{{session.QueryTime, 0, 0, 1000}, {session.QueryTime, 1105, 4, 1110}, {session.QueryTime, 1320, 11, 1320},
			{session.QueryTime, 1321, -1, -1}, {session.QueryMaxTime, 0, 11, 1320}} {
			got := r.query(f, session.Query{Partition: p, Kind: c.kind, Epoch: -1, Arg: c.arg})
			if got.Outcome != core.Done || got.Base != c.base || got.Timestamp != c.ts {
				t.Errorf("kind %d of %d: offset %d, time %d; want %d, %d", c.kind, c.arg, got.Base, got.Timestamp, c.base, c.ts)
			}
		}
	}
}

func TestAfterAStallWhatWasSentMeanwhileCountsBeforeDeadlines(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	alive, gone := r.open(0, 1), r.open(0, 2)
	wake := func(f *fake) func(*session.Effects) {
		return func(fx *session.Effects) { fx.Deadline = r.now + 30*time.Second }
	}
	r.do(alive, wake(alive))
	r.do(gone, wake(gone))
	r.pass(time.Second)
	r.now += 2 * time.Minute // the process is stopped
	r.pump()                 // the timer comes before what is in the sockets
	if alive.ticks+gone.ticks != 0 {
		t.Fatal("a deadline that passed in the stall was kept at once")
	}
	r.do(alive, wake(alive))
	r.pass(2 * stallGrace)
	if alive.ticks != 0 || gone.ticks != 1 {
		t.Errorf("after the stall: %d ticks of the one that spoke, %d of the one that did not", alive.ticks, gone.ticks)
	}
	r.pass(30 * time.Second)
	if alive.ticks != 1 {
		t.Errorf("%d ticks after its next deadline", alive.ticks)
	}
}
