package shard

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// stamped is a batch of one record with this timestamp.
func stamped(ms int64) []byte {
	be := binary.BigEndian
	b := makeBatch(-1, -1, -1, 1, 100)
	be.PutUint64(b[27:], uint64(ms))
	be.PutUint64(b[35:], uint64(ms))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// wall is the clock that the shards see.
func (r *rig) wall() int64 { return rigEnv{r}.Wall() }

// restarts are the ways to go on, by name.
var restarts = map[string]func(*rig){
	"goes on": func(*rig) {},
	"is killed": func(r *rig) {
		r.disk, r.memory = r.disk.Kill(), r.memory.Kill()
		r.start(len(r.shards))
		r.pump()
	},
	"is stopped": func(r *rig) {
		left := len(r.shards)
		for _, s := range r.shards {
			s.Stop(func(err error) {
				if err != nil {
					r.t.Error(err)
				}
				left--
			})
			s.EndTurn()
		}
		for n := 0; left > 0; n++ {
			r.pass(100 * time.Millisecond)
			if n > 100 {
				r.t.Fatal("the shards never stop")
			}
		}
		r.disk, r.memory = r.disk.Kill(), r.memory.Kill()
		r.start(len(r.shards))
		r.pump()
	},
}

// logStart asks a fresh connection's worth of bounds: connections end with a restart.
func (r *rig) logStart(slot int, p core.PartitionID) core.Offset {
	return r.query(r.open(0, slot), session.Query{Partition: p, Kind: session.QueryBounds, Epoch: -1}).LogStart
}

func TestWhatIsOlderThanRetentionGoesAndNothingElse(t *testing.T) {
	const keep, roll = 120 * time.Second, 10 * time.Second
	for name, restart := range restarts {
		t.Run("a broker that "+name, func(t *testing.T) {
			tp := topic("t", core.Synced)
			tp.Config.RetentionMs, tp.Config.SegmentMs = keep.Milliseconds(), roll.Milliseconds()
			r := newRig(t, 2, tp)
			f, p := r.open(0, 1), part(tp, 1)
			want(t, r.append(f, p, stamped(r.wall())), core.Done, core.OK, 0)
			r.pass(2 * roll)
			want(t, r.append(f, p, stamped(r.wall()+365*24*3600*1000)), core.Done, core.OK, 1) // a client whose clock is wrong
			r.pass(2 * roll)
			restart(r)
			f = r.open(0, 2)
			want(t, r.append(f, p, stamped(r.wall())), core.Done, core.OK, 2)
			r.pass(2 * roll)
			if at := r.logStart(3, p); at != 0 { // 60 s have gone by
				t.Fatalf("the log begins at %d after a minute", at)
			}
			restart(r)
			r.pass(keep - 6*roll + 35*time.Second) // the first is older than that, the second is not
			if at := r.logStart(4, p); at != 1 {
				t.Errorf("after %v the log begins at %d; only the first batch is older than %v", r.now, at, keep)
			}
			r.pass(keep)
			if at := r.logStart(5, p); at != 3 {
				t.Errorf("after %v the log begins at %d; all of it is older than %v", r.now, at, keep)
			}
			f = r.open(0, 6)
			want(t, r.append(f, p, stamped(r.wall())), core.Done, core.OK, 3)
		})
	}
}

func TestAClockThatIsSetBackDeletesNothing(t *testing.T) {
	tp := topic("t", core.Synced)
	tp.Config.RetentionMs, tp.Config.SegmentMs = 3600_000, 1000
	r := newRig(t, 1, tp)
	f, p := r.open(0, 1), part(tp, 0)
	r.skew = 1_700_000_000_000
	for i := range core.Offset(4) {
		want(t, r.append(f, p, stamped(r.wall())), core.Done, core.OK, i)
		r.pass(2 * time.Second)
		r.skew -= 365 * 24 * 3600_000
	}
	r.pass(70 * time.Second)
	if at := r.logStart(2, p); at != 0 {
		t.Errorf("the log begins at %d", at)
	}
}

func TestATurnLooksAtWhatIsDirtyOnly(t *testing.T) {
	const n, turns = 10_000, 20
	r, tp := manyPartitions(t, n)
	f := r.open(0, 1)
	data := makeBatch(-1, -1, -1, 1, 1<<20)
	looked := func() int64 { return r.shards[0].store.Stats().Looked }
	for range turns / 2 { // the first checkpoint makes the marks of all
		r.append(f, part(tp, 5), data)
	}
	r.pass(10 * time.Second)
	before, made := looked(), r.shards[0].store.Stats().Checkpoints
	for range turns {
		r.append(f, part(tp, 5), data)
	}
	made = r.shards[0].store.Stats().Checkpoints - made
	if got := looked() - before; made == 0 || got == 0 || got > 20*turns {
		t.Errorf("%d turns with one dirty partition, and %d checkpoints, looked at %d of %d", turns, made, got, n)
	}
	r.pass(3 * time.Second) // what was dirty is written
	before = looked()
	r.pass(10 * time.Second)
	if got := looked() - before; got == 0 || got > n {
		t.Errorf("the ticks of 10 idle seconds looked at %d partitions of %d", got, n)
	}
}

func TestAfterItsStoreIsClosedAShardTouchesNothing(t *testing.T) {
	tp := topic("t", core.Synced)
	tp.Config.RetentionMs, tp.Config.SegmentMs = 1000, 100
	r := newRig(t, 2, tp)
	f, p := r.open(0, 1), part(tp, 0)
	for i := range core.Offset(3) {
		want(t, r.append(f, p, stamped(r.wall())), core.Done, core.OK, i)
		r.pass(200 * time.Millisecond)
	}
	r.stalled[1] = true // the other one takes its time
	closed := false
	r.shards[0].Stop(func(err error) { closed = err == nil })
	for range 20 {
		r.pass(100 * time.Millisecond)
	}
	if !closed {
		t.Fatal("the shard does not stop")
	}
	log, changes := r.shards[0].parts[p].log, r.disk.Changes()
	r.pass(90 * time.Second)
	if log.Start() != 0 || r.disk.Changes() != changes {
		t.Errorf("after it was closed the log begins at %d, and the disk was changed %d times", log.Start(), r.disk.Changes()-changes)
	}
}
