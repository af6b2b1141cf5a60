package segment_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// What a failed sync covered looks as if it were in the file, and a second sync of it
// reports success. Recovery writes again what it verified, so that its own sync counts.
func TestWhatAFailedSyncCoveredIsWrittenAgainByRecovery(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 90)), fakefs.New(), core.OS, 1)
	g.fill(0, 20, 900)
	for range 3 { // it is in the segment, and in no arena
		g.clock.now += 1100
		g.store.Tick()
		g.work(1000)
	}
	if st := g.store.Stats(); st.Written != st.Appended || st.ChunksFree != st.Chunks {
		t.Fatalf("%+v", st)
	}
	g.fs.FailNth(fakefs.OpSync, 1, errors.New("input/output error"))
	g.store.Checkpoint()
	g.store.Commit()
	g.work(1000)
	if g.failed == nil || g.fs.Pending() {
		t.Fatal("no sync has failed")
	}
	g.fs = g.fs.Kill()
	g.open()
	g.adopt(false)
	end := g.logs[0].End()
	g.fs = g.fs.Crash(g.r)
	g.open() // refuses a quarantined log
	if got := g.logs[0].End(); got != end {
		t.Errorf("a power cut after a recovery: the log ends at %d, want %d", got, end)
	}
}

// A log that becomes synced has an unsynced past. A group above it is durable when the
// past is, and not when the group is.
func TestDurableDoesNotMoveOverAnUnsyncedPast(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 91)), fakefs.New(), core.OS, 1)
	if err := g.append(0, 900); err != nil {
		t.Fatal(err)
	}
	synced := g.cfg
	synced.Durability = core.Synced
	g.store.SetConfig(g.logs[0], synced)
	if err := g.append(0, 900); err != nil {
		t.Fatal(err)
	}
	g.store.Commit()
	for g.q[0].step() {
	}
	if g.store.Stats().Commits != 1 || g.logs[0].Durable() != 0 {
		t.Fatalf("after %d commits and no sync of the segment, durable is %d", g.store.Stats().Commits, g.logs[0].Durable())
	}
	g.work(1000)
	if g.logs[0].Durable() != g.logs[0].End() {
		t.Fatalf("all is synced, and durable is %d of %d", g.logs[0].Durable(), g.logs[0].End())
	}
	g.fs = g.fs.Crash(g.r)
	g.open()
	g.adopt(true)
}

// An index file proves that its segment was synced, so it is written after that: a power
// cut at any call of a checkpoint puts no log in quarantine.
func TestAPowerCutAtACheckpointLeavesNoIndexOfWhatWasNotSynced(t *testing.T) {
	for n := 1; ; n++ {
		g := newRig(t, rand.New(rand.NewPCG(uint64(n), 92)), fakefs.New(), core.OS, 1)
		g.cfg.SegmentBytes = 8 << 10
		g.open()
		g.fill(0, 40, 900)
		g.clock.now += 1100
		g.store.Tick()
		g.work(1000)
		before := g.store.Stats().Checkpoints
		g.fs.CutAt(n)
		g.store.Checkpoint()
		g.store.Commit()
		g.work(1000)
		whole := g.failed == nil && g.store.Stats().Checkpoints > before
		g.fs = g.fs.Crash(g.r)
		g.open() // refuses a quarantined log
		g.check(0, g.logs[0].Start())
		if whole {
			if n < 5 {
				t.Fatalf("a checkpoint of %d calls", n)
			}
			return
		}
	}
}

// When logs in use have almost all chunks, all are written and taken back: nothing else
// would, and reading would stop for ever.
func TestLogsInUseThatHaveAllChunksGiveThemBack(t *testing.T) {
	const logs = 120 // of 127 chunks
	for _, d := range []core.Durability{core.Synced, core.OS} {
		g := newRig(t, rand.New(rand.NewPCG(1, 93)), fakefs.New(), d, logs)
		for i := range logs {
			if err := g.append(i, 200); err != nil {
				t.Fatal(err)
			}
		}
		if !g.store.Pressure() {
			t.Fatalf("%d of %d chunks are free, and reading goes on", g.store.Stats().ChunksFree, g.store.Stats().Chunks)
		}
		g.store.Commit()
		g.work(1000)
		if st := g.store.Stats(); st.ChunksFree != st.Chunks || g.relieved == 0 || g.store.Pressure() {
			t.Errorf("%v: %d of %d chunks are free, relieved %d times", d, st.ChunksFree, st.Chunks, g.relieved)
		}
	}
}

// A checkpoint that fails leaves its marks to the next one. By then the segment of a mark
// may be trimmed and deleted, without ever having been synced; a power cut that brings it
// back finds it short, and that is no damage.
func TestAMarkOfAFailedCheckpointDoesNotOutliveItsSegment(t *testing.T) {
	for seed := range uint64(60) {
		g := newRig(t, rand.New(rand.NewPCG(seed, 93)), fakefs.New(), core.Synced, 2)
		g.cfg.RetentionMs = 5000
		g.open()
		g.must(g.append(0, 900), g.append(0, 900))
		g.store.Commit()
		for range 2 { // durable by the journal, and in a file that is not synced
			g.clock.now += 1100
			g.store.Tick()
			g.work(1000)
		}
		g.fs.SetFull(0)
		g.must(g.append(1, 900))
		g.clock.now += 40_000 // retention trims all of log 0
		g.store.Checkpoint()
		g.store.Tick()
		if g.logs[0].Start() != g.logs[0].End() {
			t.Fatal("retention has not trimmed")
		}
		for g.q[1].step() { // the checkpoint: log 1 has no room
		}
		if !g.store.Stats().Full {
			t.Fatal("the disk is not full")
		}
		for g.q[0].step() { // the trim is durable
		}
		g.fs.SetFull(-1)
		g.clock.now += 2000
		g.store.Tick()
		g.work(1000)
		if g.store.Stats().Checkpoints == 0 {
			t.Fatal("no checkpoint")
		}
		g.fs = g.fs.Crash(g.r)
		g.open() // refuses a quarantined log
	}
}

func (g *rig) must(errs ...error) {
	g.t.Helper()
	if err := errors.Join(errs...); err != nil {
		g.t.Fatal(err)
	}
}

// A sync takes as long as the disk likes. Beside it the writer goes on, and what it
// writes to a segment meanwhile is left to the next checkpoint; files are removed after.
func TestTheWriterGoesOnBesideACheckpoint(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 94)), fakefs.New(), core.OS, 2)
	g.must(g.append(0, 900), g.append(1, 900))
	first := g.logs[0].End()
	g.store.Checkpoint()
	g.store.Commit()
	for g.q[1].step() {
	}
	if len(g.q[3].jobs) != 1 {
		t.Fatalf("%d flushes wait, want 1", len(g.q[3].jobs))
	}
	flush := g.q[3].jobs[0]
	flush.Run()
	written := g.store.Stats().Written
	for range 20 {
		g.must(g.append(0, 900))
	}
	g.clock.now += 1100
	g.store.Tick() // writes all of it, so the next checkpoint has nothing to write
	g.store.Remove(g.logs[1])
	g.store.Checkpoint()
	g.store.Commit()
	for g.q[1].step() {
	}
	if got := g.store.Stats().Written; got == written {
		t.Error("the writer waits for a sync")
	}
	if _, err := g.fs.Open("topics/"+g.model[1].id.Topic.Hex()+"/1/00000000000000000000.log", segment.ReadOnly); err != nil {
		t.Errorf("a file was removed that may be synced: %v", err)
	}
	if len(g.q[3].jobs) != 1 {
		t.Errorf("%d flushes at once", len(g.q[3].jobs))
	}
	g.q[3].jobs = nil
	flush.Done()
	if st, at := g.store.Stats(), g.logs[0].Durable(); st.Checkpoints != 1 || at != first {
		t.Errorf("%d checkpoints, and durable is %d; want 1 and %d", st.Checkpoints, at, first)
	}
	g.work(1000)
	if st := g.store.Stats(); st.Checkpoints != 2 || g.logs[0].Durable() != g.logs[0].End() {
		t.Errorf("%d checkpoints, and %d of %d is durable", st.Checkpoints, g.logs[0].Durable(), g.logs[0].End())
	}
	g.model, g.logs = g.model[:1], g.logs[:1]
	g.fs = g.fs.Crash(g.r)
	g.open()
	if g.logs[0].End() != g.model[0].end() {
		t.Errorf("a power cut after the second checkpoint: the log ends at %d, want %d", g.logs[0].End(), g.model[0].end())
	}
	g.check(0, 0)
}

// To remove files takes as long as they are large. Beside it the writer goes on.
func TestTheWriterGoesOnBesideARemoval(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 95)), fakefs.New(), core.OS, 2)
	g.must(g.append(0, 900), g.append(1, 900))
	g.clock.now += 1100
	g.store.Tick() // writes it
	g.work(1000)
	name := "topics/" + g.model[1].id.Topic.Hex() + "/1/00000000000000000000.log"
	g.store.Remove(g.logs[1])
	g.store.Commit()
	if len(g.q[3].jobs) != 1 {
		t.Fatalf("%d jobs wait beside the writer, want the removal", len(g.q[3].jobs))
	}
	written := g.store.Stats().Written
	for range 20 {
		g.must(g.append(0, 900))
	}
	g.clock.now += 1100
	g.store.Tick()
	for g.q[1].step() {
	}
	if got := g.store.Stats().Written; got == written {
		t.Error("the writer waits for a removal")
	}
	if _, err := g.fs.Open(name, segment.ReadOnly); err != nil {
		t.Errorf("the file was not there to be removed: %v", err)
	}
	g.work(1000)
	if _, err := g.fs.Open(name, segment.ReadOnly); err == nil {
		t.Error("the file stays")
	}
	g.model, g.logs = g.model[:1], g.logs[:1]
}
