package segment_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

const minute = int64(60_000)

// appendAt appends a batch that carries a time.
func (g *rig) appendAt(i, size int, ts int64) {
	g.t.Helper()
	m, l := g.model[i], g.logs[i]
	b := makeBatch(g.r, size, 1)
	st := batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: ts}
	if err := l.Append(b, st); err != nil {
		g.t.Fatal(err)
	}
	st.Apply(b[:batch.HeaderSize], b[batch.HeaderSize:])
	m.batches, m.bases = append(m.batches, b), append(m.bases, st.Base)
	g.store.Commit()
	g.work(20)
}

// pass lets time go by, with ticks at the end of it.
func (g *rig) pass(ms int64) {
	g.clock.now += ms
	for range 5 {
		g.clock.now += 200
		g.store.Tick()
		g.work(1000)
	}
}

func retaining(t *testing.T, retainMs, retainBytes, segmentMs int64) *rig {
	g := newRig(t, rand.New(rand.NewPCG(1, 60)), fakefs.New(), core.Synced, 1)
	g.cfg.RetentionMs, g.cfg.RetentionBytes, g.cfg.SegmentMs = retainMs, retainBytes, segmentMs
	g.open()
	return g
}

func (g *rig) restart(kill bool) {
	g.t.Helper()
	if !kill {
		g.stop()
	}
	g.fs = g.fs.Kill()
	g.open()
	g.adopt(false)
}

// A record goes when it is older than the topic keeps it, whatever starts lay between,
// and with it the last segment of a log that nobody writes to any more.
func TestRetentionByTimeGoesOnAcrossRestarts(t *testing.T) {
	for _, kill := range []bool{false, true} {
		g := retaining(t, 60*minute, -1, -1)
		for range 30 {
			g.appendAt(0, 4000, g.clock.Wall())
		}
		g.pass(30 * minute)
		half := g.logs[0].End()
		for range 30 {
			g.appendAt(0, 4000, g.clock.Wall())
		}
		g.restart(kill)
		g.pass(29 * minute)
		if s := g.logs[0].Start(); s != 0 {
			t.Fatalf("kill %v: after 59 minutes the log starts at %d", kill, s)
		}
		g.restart(kill)
		g.pass(5 * minute)
		if s := g.logs[0].Start(); s < half-10 || s > half {
			t.Fatalf("kill %v: after 64 minutes the log starts at %d, want about %d", kill, s, half)
		}
		g.check(0, g.logs[0].Start())
		g.restart(kill)
		g.pass(30 * minute)
		l := g.logs[0]
		if l.Start() != l.End() || l.Size() != 0 {
			t.Fatalf("kill %v: after 94 minutes the log holds %d to %d", kill, l.Start(), l.End())
		}
		if logs := segmentsOf(t, g.fs, "topics/"+l.ID().String()); len(logs) > 0 {
			t.Fatalf("kill %v: %v are left", kill, logs)
		}
		g.restart(kill)
		g.appendAt(0, 4000, g.clock.Wall())
		g.restart(kill)
		if l := g.logs[0]; l.End() != l.Start()+1 {
			t.Fatalf("kill %v: after one append the log holds %d to %d", kill, l.Start(), l.End())
		}
		g.check(0, g.logs[0].Start())
	}
}

// A timestamp of the future keeps a segment no longer than its last write does, also
// after a restart; a clock that goes back deletes nothing.
func TestRetentionByTimeTrustsNoClientsClock(t *testing.T) {
	g := retaining(t, 60*minute, -1, -1)
	for range 30 {
		g.appendAt(0, 4000, g.clock.Wall()+1_000_000*minute)
	}
	g.pass(-20 * minute)
	g.restart(false)
	g.pass(70 * minute)
	if s := g.logs[0].Start(); s != 0 {
		t.Fatalf("the log starts at %d, too early", s)
	}
	g.restart(true)
	g.pass(20 * minute)
	if l := g.logs[0]; l.Start() != l.End() {
		t.Fatalf("the log starts at %d of %d", l.Start(), l.End())
	}
}

// After the death of the process the newest time of a segment without an index is known
// without reading the segment: what the checkpoint says, and what was looked at above it.
func TestTheTimeOfASegmentIsKnownAfterAKill(t *testing.T) {
	g := retaining(t, 60*minute, -1, -1)
	g.cfg.SegmentBytes = 64 << 20
	g.open()
	for i := range 200 {
		g.appendAt(0, 4000, g.clock.Wall()+int64(i%7)*minute)
	}
	if g.store.Stats().Checkpoints == 0 {
		t.Fatal("no checkpoint")
	}
	for range 2 {
		g.fs = g.fs.Kill()
		w := &watched{FS: g.fs}
		g.tune = func(c *segment.Config) { c.FS = w }
		g.open()
		g.pass(20 * minute)
		if g.logs[0].Start() != 0 || w.bytes > 1000 {
			t.Fatalf("the log starts at %d; %d bytes of it were read", g.logs[0].Start(), w.bytes)
		}
	}
	g.pass(28 * minute)
	if l := g.logs[0]; l.Start() != l.End() {
		t.Fatalf("the log starts at %d of %d", l.Start(), l.End())
	}
}

// By size, the oldest segments go until the rest fits.
func TestRetentionBySize(t *testing.T) {
	g := retaining(t, -1, 100<<10, -1)
	for range 100 {
		g.appendAt(0, 4000, g.clock.Wall())
	}
	for range 2 {
		g.pass(minute)
		l := g.logs[0]
		if l.Size() < 100<<10 || l.Size() > 140<<10 {
			t.Fatalf("%d bytes are left", l.Size())
		}
		g.check(0, l.Start())
		g.restart(true)
	}
}

// A segment ends when it is as old as the topic says, and the space that was reserved
// beyond its end is given back.
func TestASegmentEndsByAgeAndGivesBackItsSpace(t *testing.T) {
	g := retaining(t, -1, -1, 10*minute)
	g.fs.SetFull(64 << 20)
	free := func() int64 { n, _ := g.fs.Free(); return n }
	start := free()
	for range 8 {
		g.appendAt(0, 1000, g.clock.Wall())
		g.pass(3 * minute)
	}
	dir := "topics/" + g.logs[0].ID().String()
	if n := len(segmentsOf(t, g.fs, dir)); n != 2 {
		t.Fatalf("%d segments, want 2", n)
	}
	reserved := start - free()
	g.stop()
	used := int64(0)
	names, _ := g.fs.ReadDir(dir)
	for _, n := range names {
		used += int64(len(content(t, g.fs, dir+"/"+n)))
	}
	names, _ = g.fs.ReadDir("shards/0")
	for _, n := range names {
		if !strings.HasPrefix(n, "journal") {
			used += int64(len(content(t, g.fs, "shards/0/"+n)))
		}
	}
	if got := start - free(); got > used || reserved < got {
		t.Errorf("%d bytes of disk are taken after the stop, %d before; the files have %d", got, reserved, used)
	}
}

// What a reader holds stays as it was until it lets go, whatever becomes of the log.
func TestHeldExtentsOutliveTheirLog(t *testing.T) {
	for name, end := range map[string]func(g *rig){
		"trimmed":   func(g *rig) { g.logs[0].Trim(g.logs[0].End(), func(error) {}) },
		"removed":   func(g *rig) { g.store.Remove(g.logs[0]) },
		"retention": func(g *rig) { g.cfg.RetentionMs = 1; g.store.SetConfig(g.logs[0], g.cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			g := retaining(t, -1, -1, -1)
			for range 60 {
				g.appendAt(0, 4000, g.clock.Wall())
			}
			var held [][]core.Extent
			for at := core.Offset(0); at < g.logs[0].End(); at += 7 {
				held = append(held, g.readAt(0, at, 9000))
			}
			end(g)
			for range 20 {
				g.pass(minute)
			}
			if name == "removed" {
				if _, _, _, err := g.logs[0].Read(0, 1, 1, true, nil); !errors.Is(err, core.ErrUnknownPartition) && !errors.Is(err, core.ErrOffsetRange) {
					t.Errorf("a removed log can be read: %v", err)
				}
			}
			for i, ext := range held {
				g.expect(0, core.Offset(7*i), bytesOf(t, ext)) // and released
			}
			for range 5 {
				g.pass(minute)
			}
			st := g.store.Stats()
			if st.ChunksFree < st.Chunks-2 {
				t.Errorf("%d of %d chunks are free", st.ChunksFree, st.Chunks)
			}
			if n := g.fs.OpenFiles(); n > 4 {
				t.Errorf("%d files are open", n)
			}
		})
	}
}
