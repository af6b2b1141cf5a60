package segment_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// life is a workload that touches every kind of call: new segments, checkpoints, trims,
// retention, removal of a log, cold reads, a stop and a start.
func (g *rig) life() {
	for i := range 260 {
		if g.failed != nil {
			return
		}
		k := g.r.IntN(len(g.logs))
		switch {
		case i == 130:
			g.trim(0)
		case i%7 == 0:
			g.clock.now += 400
			g.store.Tick()
		case i%11 == 0 && g.logs[k].End() > g.logs[k].Start():
			g.peek(k)
		default:
			_ = g.append(k, 80+g.r.IntN(2500))
		}
		g.store.Commit()
		g.work(2)
	}
}

func (g *rig) trim(i int) {
	l, m := g.logs[i], g.model[i]
	to := l.Start() + (l.Durable()-l.Start())/2
	l.Trim(to, func(err error) {
		if err == nil {
			m.start = to
		}
	})
}

// peek reads somewhere, and takes no answer for one if the disk gave none.
func (g *rig) peek(i int) {
	l := g.logs[i]
	at := l.Start() + core.Offset(g.r.Int64N(int64(l.End()-l.Start())))
	for range 10 {
		ext, _, ready, err := l.Read(at, l.End(), 4000, true, nil)
		if err != nil {
			return
		}
		if ready {
			for i := range ext {
				ext[i].Release()
			}
			return
		}
		for g.q[2].step() {
		}
	}
}

// tryOpen starts the store as open does, if the disk lets it. A partition may have been
// found damaged only because a read failed.
func (g *rig) tryOpen() error {
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
	if err != nil {
		return err
	}
	for i := range g.q {
		g.q[i] = &queue{}
	}
	g.failed = nil
	if g.store, err = segment.OpenStore(g.config()); err != nil {
		return err
	}
	g.logs = g.logs[:0]
	for _, m := range g.model {
		x := rec.Logs[m.id]
		if x != nil && x.Quarantined != nil {
			return x.Quarantined
		}
		g.logs = append(g.logs, g.store.Open(m.id, g.cfg, x))
	}
	return nil
}

// The Nth call of every kind fails once, during life and then during the start after
// it: the broker refuses or stops, and after the next start everything acknowledged is
// there, byte for byte, whether the process died or the power went.
func TestTheNthFailureOfEveryCallLosesNothingAcknowledged(t *testing.T) {
	for _, op := range fakefs.Ops() {
		for _, durability := range []core.Durability{core.Synced, core.OS} {
			for n := 1; failNth(t, op, n, durability); n++ {
			}
		}
	}
}

// failNth says whether there was such a call.
func failNth(t *testing.T, op fakefs.Op, n int, durability core.Durability) bool {
	r := rand.New(rand.NewPCG(uint64(n), 80))
	g := newRig(t, r, fakefs.New(), durability, 3)
	g.tune = func(c *segment.Config) { c.ArenaBytes, c.JournalBytes = 256<<10, 512<<10 } // it is copied whole each time
	g.open()
	g.fill(1, 30, 900)
	if durability == core.Synced {
		g.stop() // else the arena alone holds what was appended
	}
	g.fs = g.fs.Kill()
	g.fs.FailNth(op, n, errors.New("input/output error"))
	if g.tryOpen() == nil {
		g.life()
	}
	pending := g.fs.Pending()
	g.fs.FailNth(op, 0, nil)
	power := durability == core.Synced && r.IntN(2) == 0
	if power {
		g.fs = g.fs.Crash(r)
	} else {
		g.fs = g.fs.Kill()
	}
	name := fmt.Sprintf("%s/%d, %s, power %v", op, n, durability, power)
	if err := g.tryOpen(); err != nil {
		t.Fatalf("%s: the start after it: %v", name, err)
	}
	g.adopt(power)
	if t.Failed() {
		t.Fatal(name)
	}
	return !pending
}

// When the arena is taken, appends are busy and reading stops; when readers and the disk
// let go, it goes on.
func TestAFullArenaIsBusyAndRecovers(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 81)), fakefs.New(), core.OS, 2)
	var held [][]core.Extent
	err := error(nil)
	for n := 0; err == nil && n < 10_000; n++ { // nobody writes: the workers stand still
		if err = g.append(n%2, 3000); err == nil {
			ext, _, _, _ := g.logs[n%2].Read(g.logs[n%2].End()-1, g.logs[n%2].End(), 1, true, nil)
			held = append(held, ext)
		}
	}
	if !errors.Is(err, core.ErrBusy) || !g.store.Pressure() {
		t.Fatalf("%v, pressure %v", err, g.store.Pressure())
	}
	for range 3 { // all is written, and the chunks are pinned still
		g.clock.now += 1100
		g.store.Tick()
		g.work(1000)
	}
	if err := g.append(0, 3000); !errors.Is(err, core.ErrBusy) || !g.store.Pressure() {
		t.Fatalf("with pinned chunks: %v, pressure %v", err, g.store.Pressure())
	}
	for _, ext := range held {
		bytesOf(t, ext)
	}
	g.clock.now += 1100
	g.store.Tick()
	g.work(1000)
	if err := g.append(0, 3000); err != nil || g.store.Pressure() {
		t.Fatalf("after release: %v, pressure %v", err, g.store.Pressure())
	}
	g.check(0, 0)
	g.check(1, 0)
}

// While more waits for the writer than backlogMax, reading stops. When the disk turns out
// to be full then, reading goes on, so that clients are told; with space again, all does.
func TestAFullDiskWithABacklogRefusesAndIsRead(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 86)), fakefs.New(), core.OS, 2)
	g.tune = func(c *segment.Config) {
		c.ArenaBytes, c.ChunkBytes, c.JournalBytes, c.CheckpointBytes = 32<<20, 64<<10, 64<<20, 64<<20
	}
	g.open()
	fill := func(n int) {
		for i := range n {
			if err := g.append(i%2, 100<<10); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(20)
	if g.store.Pressure() {
		t.Fatal("2 MiB wait for the writer, and reading stops")
	}
	fill(80)
	if !g.store.Pressure() {
		t.Fatal("10 MiB wait for the writer, and reading goes on")
	}
	g.fs.SetFull(0)
	g.store.Commit()
	g.work(1000)
	if g.store.Stats().Written > 0 || g.failed != nil {
		t.Fatalf("%d bytes written to a full disk, failed %v", g.store.Stats().Written, g.failed)
	}
	if g.relieved != 1 || g.store.Pressure() {
		t.Fatalf("on a full disk nobody is told so: relieved %d times", g.relieved)
	}
	if err := g.append(0, 100); !errors.Is(err, core.ErrDiskFull) {
		t.Fatalf("appended to a full disk: %v", err)
	}
	g.fs.SetFull(-1)
	g.clock.now += 1100
	g.store.Tick()
	g.work(1000)
	if err := g.append(0, 100); err != nil || g.store.Pressure() {
		t.Fatalf("with space again: %v, pressure %v", err, g.store.Pressure())
	}
	if g.store.Stats().Written < 10_000_000 {
		t.Fatalf("with space again %d bytes are written", g.store.Stats().Written)
	}
	g.check(0, 0)
	g.check(1, 0)
}

// When the disk is full, and so the journal cannot be released and the arena not be
// written, reading goes on, so that clients are told; a shutdown tries once more and ends.
func TestAFullDiskStopsNeitherReadingNorAShutdown(t *testing.T) {
	for _, d := range []core.Durability{core.Synced, core.OS} {
		for _, space := range []bool{false, true} {
			g := newRig(t, rand.New(rand.NewPCG(1, 87)), fakefs.New(), d, 2)
			g.fill(0, 20, 900)
			g.fs.SetFull(0)
			err := error(nil)
			for n := 0; err == nil && n < 10_000; n++ { // the writer stands still until nothing more goes in
				err = g.append(n%2, 3000)
				g.store.Commit()
				for g.q[0].step() {
				}
			}
			if !errors.Is(err, core.ErrBusy) || !g.store.Pressure() {
				t.Fatalf("%v: %v, pressure %v", d, err, g.store.Pressure())
			}
			g.work(1000)
			if g.failed != nil || g.relieved == 0 || g.store.Pressure() || !g.store.Stats().Full {
				t.Fatalf("%v: failed %v, relieved %d times, pressure %v", d, g.failed, g.relieved, g.store.Pressure())
			}
			if err := g.append(0, 100); !errors.Is(err, core.ErrDiskFull) {
				t.Fatalf("%v: appended to a full disk: %v", d, err)
			}
			if space {
				g.fs.SetFull(-1)
			}
			ended := 0
			g.store.Shutdown(func(err error) {
				if ended++; errors.Is(err, core.ErrDiskFull) == space {
					t.Errorf("%v, space %v: stopped with %v", d, space, err)
				}
			})
			g.work(1000)
			if ended != 1 {
				t.Fatalf("%v, space %v: the shutdown ended %d times", d, space, ended)
			}
			g.fs = g.fs.Kill()
			g.fs.SetFull(-1)
			g.open()
			g.adopt(false)
		}
	}
}

// A batch that would never fit into the arena beside another is refused for good.
func TestABatchOfMoreThanHalfTheArenaIsTooLarge(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 82)), fakefs.New(), core.Synced, 1)
	if err := g.append(0, 300<<10); !errors.Is(err, core.ErrTooLarge) {
		t.Fatal(err)
	}
	if err := g.append(0, 200<<10); err != nil {
		t.Fatal(err)
	}
	g.store.Commit()
	g.work(100)
	if g.logs[0].Durable() != g.logs[0].End() {
		t.Fatal("the batch of less than half is not durable")
	}
	g.check(0, 0)
}

// A thousand partitions come back after the death of the process and after a power cut.
func TestAThousandPartitionsComeBack(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 83)), fakefs.New(), core.Synced, 1000)
	g.tune = func(c *segment.Config) { c.ArenaBytes, c.JournalBytes = 8<<20, 16<<20 }
	g.open()
	for i := range 3000 {
		if err := g.append(i%1000, 200); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			g.store.Commit()
			g.work(20)
		}
	}
	g.store.Commit()
	g.work(1000)
	g.fs = g.fs.Kill()
	g.open()
	g.adopt(false)
	g.fs = g.fs.Crash(g.r)
	g.open()
	g.adopt(true)
}

// The journal of a shard that there will be no more gives back its space, when what it
// held is in the segments.
func TestTheJournalOfAShardThatIsGoneGivesBackItsSpace(t *testing.T) {
	for _, shards := range []int{0, 1, 2} {
		g := newRig(t, rand.New(rand.NewPCG(1, 84)), fakefs.New(), core.Synced, 1)
		g.tune = func(c *segment.Config) { c.Shard = 1 }
		g.open()
		g.fill(0, 50, 1000)
		g.fs = g.fs.Crash(g.r)
		for range 2 {
			rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Shards: shards})
			if err != nil || len(rec.Report.Damaged) > 0 || rec.Logs[g.model[0].id].End != g.model[0].end() {
				t.Fatalf("%v, %+v", err, rec)
			}
			if n := len(content(t, g.fs, "shards/1/journal")); (n == 8192) != (shards == 1) {
				t.Errorf("of %d shards: the journal of shard 1 has %d bytes", shards, n)
			}
		}
		g.open() // it may come back
		g.adopt(false)
		g.fill(0, 5, 1000)
	}
}
