package segment_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// watched is a file system that counts the bytes read of segments, and where.
type watched struct {
	*fakefs.FS
	bytes    int64
	reads    []string
	resident bool
}

func (w *watched) Open(name string, mode segment.Mode) (segment.File, error) {
	f, err := w.FS.Open(name, mode)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &watchedFile{f, w}, nil
}

type watchedFile struct {
	segment.File
	w *watched
}

func (f *watchedFile) Resident(int64, int64) bool { return f.w.resident }

func (f *watchedFile) ReadAt(p []byte, pos int64) (int, error) {
	f.w.bytes += int64(len(p))
	f.w.reads = append(f.w.reads, fmt.Sprintf("%d+%d", pos, len(p)))
	return f.File.ReadAt(p, pos)
}

// fill appends batches of a size and lets the workers keep up.
func (g *rig) fill(i, n, size int) {
	g.t.Helper()
	for range n {
		err := g.append(i, size)
		for tries := 0; err == core.ErrBusy && tries < 100; tries++ {
			g.clock.now += 1100
			g.store.Tick()
			g.work(100)
			err = g.append(i, size)
		}
		if err != nil {
			g.t.Fatal(err)
		}
		if g.r.IntN(20) == 0 {
			g.store.Commit()
			g.work(10)
		}
	}
	g.store.Commit()
	g.work(100)
}

func (g *rig) stop() {
	g.t.Helper()
	stopped := false
	g.store.Shutdown(func(err error) {
		if err != nil {
			g.t.Fatal(err)
		}
		stopped = true
	})
	g.work(10000)
	if !stopped {
		g.t.Fatal("the store did not stop")
	}
}

// An index file is used if it fits its segment, and is otherwise made again, the same
// byte for byte; what is read is right in any case. Long because the ways of damage are
// in it.
func TestAnIndexFileIsUsedOrMadeAgain(t *testing.T) {
	flip := func(pos int64) func(*testing.T, *fakefs.FS, []string) {
		return func(t *testing.T, f *fakefs.FS, names []string) {
			for _, n := range names {
				if err := f.FlipBit(n, pos); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, f *fakefs.FS, names []string)
		walks  bool
	}{
		{"as it was", func(*testing.T, *fakefs.FS, []string) {}, false},
		{"missing", func(t *testing.T, f *fakefs.FS, names []string) {
			for _, n := range names {
				_ = f.Remove(n)
			}
		}, true},
		{"cut off", func(t *testing.T, f *fakefs.FS, names []string) {
			for _, n := range names {
				x, _ := f.Open(n, segment.ReadWrite)
				_ = x.Truncate(150)
			}
		}, true},
		{"damaged magic", flip(3), true},
		{"damaged base", flip(48), true},
		{"damaged length", flip(64), true},
		{"damaged block", flip(130), true},
		{"damaged slot", flip(128 + 32 + 9), true},
		{"that of another segment", func(t *testing.T, f *fakefs.FS, names []string) {
			b := content(t, f, names[0])
			for _, n := range names[1:] {
				x, _ := f.Open(n, segment.ReadWrite)
				_, _ = x.WriteAt([]byte(b), 0)
				_ = x.Truncate(int64(len(b)))
			}
			_ = f.Remove(names[0])
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, rand.New(rand.NewPCG(1, 50)), fakefs.New(), core.Synced, 1)
			g.cfg.SegmentBytes = 400 << 10
			g.open()
			g.fill(0, 1000, 1000)
			g.stop()
			g.fs = g.fs.Kill()
			dir := "topics/" + g.model[0].id.String()
			var names []string
			all, _ := g.fs.ReadDir(dir)
			for _, n := range all {
				if strings.HasSuffix(n, ".index") {
					names = append(names, dir+"/"+n)
				}
			}
			if len(names) != 3 {
				t.Fatalf("index files: %v", names)
			}
			before := g.fs.Kill()
			c.damage(t, g.fs, names)
			w := &watched{FS: g.fs}
			g.tune = func(c *segment.Config) { c.FS = w }
			g.open()
			if w.bytes > 300<<10 {
				t.Errorf("the start read %d bytes of segments", w.bytes)
			}
			w.reads = nil
			for at := core.Offset(0); at < g.logs[0].End(); at += g.logs[0].End() / 7 {
				ext := g.readAt(0, at, 1)
				for i := range ext {
					ext[i].Release()
				}
			}
			walked := slices.ContainsFunc(w.reads, func(r string) bool { return strings.HasPrefix(r, "4096+2") })
			if walked != c.walks {
				t.Errorf("walked %v: %v", walked, w.reads)
			}
			g.check(0, 0)
			g.stop()
			for _, n := range names {
				if timeless(content(t, before, n)) != timeless(content(t, g.fs, n)) {
					t.Errorf("%s is not what it was", n)
				}
			}
		})
	}
}

// timeless is an index file without its CRC and the times that a segment does not hold.
func timeless(s string) string {
	if len(s) < 128 {
		return s
	}
	return s[:12] + s[16:80] + s[96:]
}

// readAt reads until it is ready.
func (g *rig) readAt(i int, from core.Offset, max int) []core.Extent {
	g.t.Helper()
	for {
		ext, _, ready, err := g.logs[i].Read(from, g.logs[i].End(), max, true, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		if ready {
			return ext
		}
		if !g.q[2].step() {
			g.t.Fatal("not ready, and nothing is loading")
		}
	}
}

// However many batches a log holds, and however many segments are read, the index
// blocks in memory and the open files are few, and reads are right.
func TestIndexesAndDescriptorsAreBounded(t *testing.T) {
	const logs, blocks, files = 5, 64, 8
	for _, segmentBytes := range []int64{60 << 10, 1 << 30} {
		g := newRig(t, rand.New(rand.NewPCG(1, 51)), fakefs.New(), core.OS, logs)
		g.cfg.SegmentBytes = segmentBytes
		g.tune = func(c *segment.Config) { c.IndexBytes, c.FilesMax = 1, files }
		g.open()
		for i := range logs {
			g.fill(i, 5000, 70)
		}
		for restart := range 2 {
			for range 300 {
				i := g.r.IntN(logs)
				at := core.Offset(g.r.Int64N(int64(g.logs[i].End())))
				h := bytesOf(t, g.readAt(i, at, 1+g.r.IntN(4000)))
				g.expect(i, at, h)
				g.work(20)
			}
			st := g.store.Stats()
			if st.IndexBlocks > blocks || restart == 1 && segmentBytes > 1<<20 && st.IndexBlocks < blocks/2 {
				t.Errorf("segments of %d: %d index blocks in memory", segmentBytes, st.IndexBlocks)
			}
			if n := g.fs.OpenFiles(); n > 2*(files+logs)+10 {
				t.Errorf("segments of %d: %d open files, %d segments", segmentBytes, n, st.Segments)
			}
			g.fs = g.fs.Kill()
			g.open()
		}
	}
}

// expect checks that b is whole batches from the one that holds an offset.
func (g *rig) expect(i int, from core.Offset, b []byte) {
	g.t.Helper()
	m := g.model[i]
	at := 0
	for at+1 < len(m.bases) && m.bases[at+1] <= from {
		at++
	}
	for len(b) > 0 {
		want := string(m.batches[at])
		if len(b) < len(want) || string(b[:len(want)]) != want {
			g.t.Fatalf("log %d: read at %d: the batch at %d differs", i, from, m.bases[at])
		}
		b = b[len(want):]
		at++
	}
}

// A file range that was neither written nor read lately is read ahead, beside the loop,
// before it is handed out; what was just written is handed out at once.
func TestAColdRangeIsReadAheadBesideTheLoop(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 52)), fakefs.New(), core.OS, 1)
	g.cfg.SegmentBytes = 64 << 20
	w := &watched{FS: g.fs}
	g.tune = func(c *segment.Config) { c.FS, c.WarmBytes = w, 1 }
	g.open()
	g.fill(0, 1500, 2000)
	for range 4 { // idle: all is in the file
		g.clock.now += 1100
		g.store.Tick()
		g.work(100)
	}
	l := g.logs[0]
	if _, _, ready, err := l.Read(l.End()-1, l.End(), 1, true, nil); !ready || err != nil || len(w.reads) > 0 {
		t.Fatalf("the tail: ready %v, %v, %v", ready, err, w.reads)
	}
	g.fill(0, 4200, 2000) // 8 MiB more: what was first is cold
	if _, _, ready, err := l.Read(0, l.End(), 1<<20, true, nil); ready || err != nil {
		t.Fatalf("the beginning: ready %v, %v", ready, err)
	}
	for g.q[2].step() {
	}
	if w.bytes < 1<<20 {
		t.Fatalf("%d bytes read ahead: %v", w.bytes, w.reads)
	}
	ext, n, ready, err := l.Read(0, l.End(), 1<<20, true, nil)
	if !ready || err != nil || n < 1000<<10 {
		t.Fatalf("after reading ahead: %d bytes, ready %v, %v", n, ready, err)
	}
	g.expect(0, 0, bytesOf(t, ext))
	ext, n, ready, _ = l.Read(0, l.End(), 8<<20, true, nil)
	if !ready || n > 1600<<10 {
		t.Fatalf("a longer read gave %d bytes, ready %v: what lies behind is cold", n, ready)
	}
	g.expect(0, 0, bytesOf(t, ext))
	w.resident = true // a kernel that can tell
	ext, n, ready, _ = l.Read(0, l.End(), 4<<20, true, nil)
	if !ready || n < 3900<<10 {
		t.Fatalf("of what is resident a read gave %d bytes, ready %v", n, ready)
	}
	g.expect(0, 0, bytesOf(t, ext))
}
