package shard

import (
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// turns is how many turns all loops have had.
func (r *rig) turns() (n int) {
	for _, l := range r.loops {
		n += l.turns
	}
	return n
}

// interval is a topic whose records are durable within a bound.
func interval(name string, bound time.Duration) *core.Topic {
	t := topic(name, core.Interval)
	t.Config.FlushMs = bound.Milliseconds()
	return t
}

func TestABrokerThatNobodyAsksAnythingSleeps(t *testing.T) {
	topics := []*core.Topic{topic("s", core.Synced), topic("o", core.OS), interval("i", 5*time.Second)}
	r := newRig(t, 2, topics...)
	for i, tp := range topics { // what has been written must not keep it awake
		f := r.open(0, i)
		for p := range 2 {
			want(t, r.append(f, part(tp, p), makeBatch(-1, -1, -1, 1, 100_000)), core.Done, core.OK, 0)
		}
	}
	for _, s := range r.shards { // what a checkpoint has written is taken back as well
		s.store.Checkpoint()
		s.EndTurn()
	}
	r.pass(20 * time.Second)
	for i, s := range r.shards {
		if st := s.StatsNow().Store; st.ChunksFree != st.Chunks {
			t.Errorf("shard %d has %d of %d chunks free after 20 s", i, st.ChunksFree, st.Chunks)
		}
	}
	before := r.turns()
	r.pass(5 * time.Minute)
	if n := r.turns() - before; n == 0 || n > 2*11 {
		t.Errorf("2 shards had %d turns in 5 minutes; each looks after retention every 30 s", n)
	}
}

func TestThePaceOfRetentionIsThatOfTheLogsNotOfTheTicks(t *testing.T) {
	for _, n := range []int{1, 100, 1000, 20_000} {
		r, _ := manyPartitions(t, n)
		r.pass(time.Second)
		s := r.shards[0].store
		before, turns := s.Stats().Looked, r.turns()
		r.pass(time.Minute)
		if got := int(s.Stats().Looked - before); got < 2*n-n/10 || got > 2*n+n/10+200 {
			t.Errorf("of %d logs %d were looked at in a minute", n, got)
		}
		if got, most := r.turns()-turns, 3+2*max(1, n/100)+60; got > most { // 60 for the numbers
			t.Errorf("%d logs: %d turns in a minute; want %d at most", n, got, most)
		}
	}
}

func TestTheNumbersOfAnIdleShardAreThoseAfterItsLastTurn(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	want(t, r.append(f, part(tp, 1), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	r.pass(10 * time.Second)
	for range 3 { // the first turn shows its own; nothing but the numbers wants one after the last
		r.read(f, part(tp, 1), 0)
		r.pass(100 * time.Millisecond)
	}
	r.pass(statsEvery)
	for i, s := range r.shards {
		shown, is := *s.Stats(), s.StatsNow()
		if shown.At = is.At; shown != is {
			t.Errorf("shard %d shows %+v, but has %+v", i, shown, is)
		}
	}
}

func TestAFailureIsShownInTheTurnThatMeetsIt(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	f := r.open(0, 1)
	r.disk.CutAt(1)
	r.do(f, func(fx *session.Effects) {
		fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(1), Partition: part(tp, 0), Batch: makeBatch(-1, -1, -1, 1, 100)})
	})
	r.pump()
	if r.shards[0].Stats().Failed == "" {
		t.Error("the store has failed, and nobody is told")
	}
}

func TestAnIntervalLogIsFlushedWhenItIsDueAlsoByAShardThatSlept(t *testing.T) {
	const step = 10 * time.Millisecond // of the rig's clock
	for _, bound := range []time.Duration{step, 50 * time.Millisecond, 700 * time.Millisecond, 20 * time.Second} {
		tp := interval("t", bound)
		r := newRig(t, 1, tp)
		f, p := r.open(0, 1), part(tp, 0)
		r.pass(47 * time.Second)
		log := r.shards[0].parts[p].log
		for i := range core.Offset(2) {
			before := r.turns()
			want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, i)
			if r.pass(bound - step); log.Durable() != i && bound > step {
				t.Errorf("%v: flushed early", bound)
			}
			if r.pass(2 * step); log.Durable() != i+1 {
				t.Errorf("%v: not flushed after %v", bound, bound+step)
			}
			if n := r.turns() - before; n > 16 {
				t.Errorf("%v: %d turns for one flush", bound, n)
			}
			r.pass(3 * time.Second)
		}
	}
}

func TestAShorterBoundHoldsForWhatIsThereAlready(t *testing.T) {
	tp := interval("t", time.Hour)
	r := newRig(t, 1, tp)
	f, p := r.open(0, 1), part(tp, 0)
	want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	r.pass(50 * time.Second) // no other tick is due
	shorter := *tp
	shorter.Config.FlushMs = 200
	r.catalog.Store(core.NewCatalog(2, 5, []*core.Topic{&shorter}))
	r.shards[0].adopt()
	r.shards[0].EndTurn()
	if r.pass(300 * time.Millisecond); r.shards[0].parts[p].log.Durable() != 1 {
		t.Error("not flushed")
	}
}
