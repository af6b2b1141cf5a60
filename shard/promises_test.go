package shard

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/shard/session"
)

// afterPowerCut is where a partition ends if the power fails now: the least of some images.
func (r *rig) afterPowerCut(p core.PartitionID) core.Offset { return r.leastOf(20, p) }

// leastOf is that of so many images.
func (r *rig) leastOf(images uint64, p core.PartitionID) core.Offset {
	end := core.Offset(math.MaxInt64)
	for seed := range images {
		rnd := rand.New(rand.NewPCG(seed, 1))
		rec, err := segment.Recover(segment.RecoverConfig{FS: r.disk.Crash(rnd), Arena: r.memory.Crash(rnd), Shards: len(r.shards)})
		if err != nil {
			r.t.Fatal(err)
		}
		if got := rec.Logs[p]; got == nil {
			end = 0
		} else {
			end = min(end, got.End)
		}
	}
	return end
}

func TestAPowerCutTakesFromAnIntervalTopicNoMoreThanItsBounds(t *testing.T) {
	for name, c := range map[string]struct {
		ms, messages int64
		pass         time.Duration
		least        core.Offset // of 40 records must be left then
	}{
		"by time":   {200, math.MaxInt64, 200*time.Millisecond + 2*100*time.Millisecond, 40},
		"by number": {math.MaxInt64, 10, 0, 31},
	} {
		for _, step := range []int64{0, -3600_000, 3600_000} { // the wall clock is set meanwhile
			tp := topic("t", core.Interval)
			tp.Config.FlushMs, tp.Config.FlushMessages = c.ms, c.messages
			r := newRig(t, 1, tp)
			f, p := r.open(0, 1), part(tp, 0)
			for i := range core.Offset(40) {
				want(t, r.append(f, p, makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, i)
			}
			r.skew += step
			r.pass(c.pass)
			if got := r.afterPowerCut(p); got < c.least {
				t.Errorf("%s, clock set by %d ms: of 40 records %d are left", name, step, got)
			}
		}
	}
}

func TestAGroupCommitAcknowledgesWhatItHeldAndNothingThatCameAfter(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	f, p, disk := r.open(0, 1), part(tp, 0), r.workers[0]
	disk.stuck = true
	one := makeBatch(-1, -1, -1, 1, 100)
	r.append(f, p, one) // its group is under way
	r.append(f, p, one)
	r.append(f, p, one)
	if len(disk.todo) != 1 || f.count != 0 {
		t.Fatalf("%d groups under way, %d answers", len(disk.todo), f.count)
	}
	j := disk.todo[0]
	disk.todo = disk.todo[:0]
	j.Run()
	disk.finished = append(disk.finished, j)
	disk.loop.rung = true
	r.pump()
	if f.count != 1 || f.last.Base != 0 || f.last.HighWatermark != 1 {
		t.Errorf("after the first group %d answers, the last %+v", f.count, f.last)
	}
	c := r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: 2})
	want(t, c, core.Refused, core.ErrOffsetRange, 0) // only what can be read can be deleted
	disk.stuck = false
	r.pump()
	if f.count != 4 || f.last.HighWatermark != 3 {
		t.Errorf("after the second group %d answers, the last %+v", f.count, f.last)
	}
}

func TestAStalledDiskOfOneShardStopsNoOther(t *testing.T) {
	synced, memory := topic("synced", core.Synced), topic("os", core.OS)
	r := newRig(t, 2, synced, memory)
	near, far := r.open(0, 1), r.open(1, 1)
	for _, tp := range []*core.Topic{synced, memory} {
		want(t, r.append(near, part(tp, 0), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	}
	for _, w := range r.workers[:4] { // of shard 0
		w.stuck = true
	}
	before := near.count
	r.append(near, part(synced, 0), makeBatch(-1, -1, -1, 1, 100))
	if near.count != before {
		t.Fatal("acknowledged without its disk")
	}
	// What needs no sync of that disk goes on, on this shard and from the other.
	want(t, r.append(near, part(memory, 0), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 1)
	want(t, r.append(near, part(synced, 1), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	want(t, r.append(far, part(synced, 1), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 1)
	if c := r.read(far, part(synced, 0), 0); c.Outcome != core.Done || c.Bytes == 0 {
		t.Errorf("what is in memory cannot be read: %+v", c)
	}
	for _, w := range r.workers[:4] {
		w.stuck = false
	}
	r.pump()
	if want := before + 3; near.count != want {
		t.Errorf("%d answers; want %d", near.count, want)
	}
}

func TestAFullDiskRefusesAppendsAndNothingElseUntilThereIsRoom(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	f, p := r.open(0, 1), part(tp, 1)
	b := makeBatch(-1, -1, -1, 1, 1<<20)
	want(t, r.append(f, p, b), core.Done, core.OK, 0)
	r.pass(3 * time.Second)
	r.disk.SetFull(0)
	acked := core.Offset(1)
	for n := 0; ; n++ { // what the journal and the arena hold is accepted
		r.append(f, p, b)
		r.pass(200 * time.Millisecond)
		if f.last.Outcome == core.Refused {
			break
		}
		if acked++; n > 100 {
			t.Fatal("no append is ever refused")
		}
	}
	if f.last.Code != core.ErrDiskFull {
		t.Errorf("refused with %v", f.last.Code)
	}
	for from := range acked {
		if c := r.read(f, p, from); c.Outcome != core.Done || c.Bytes == 0 {
			t.Fatalf("offset %d of %d cannot be read while the disk is full: %+v", from, acked, c)
		}
	}
	if c := r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: 1}); c.Outcome != core.Done || c.LogStart != 1 {
		t.Errorf("records cannot be deleted while the disk is full: %+v", c)
	}
	if len(r.failures) > 0 {
		t.Errorf("a full disk was taken for a failed one: %v", r.failures)
	}
	r.disk.SetFull(-1)
	r.pass(2 * time.Second)
	want(t, r.append(f, p, b), core.Done, core.OK, acked)
	if end := r.afterPowerCut(p); end != acked+1 {
		t.Errorf("after a power cut the log ends at %d, want %d", end, acked+1)
	}
}
