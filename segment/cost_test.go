package segment_test

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// sinkFS takes writes and forgets them, and allocates nothing for them.
type sinkFS struct{ *fakefs.FS }

func (s sinkFS) Open(name string, mode segment.Mode) (segment.File, error) {
	f, err := s.FS.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return &sinkFile{File: f}, nil
}

type sinkFile struct {
	segment.File
	size int64
}

func (f *sinkFile) WriteAt(p []byte, pos int64) (int, error) {
	f.size = max(f.size, pos+int64(len(p)))
	return len(p), nil
}

func (f *sinkFile) WritevAt(bufs [][]byte, pos int64) error {
	for _, b := range bufs {
		pos += int64(len(b))
	}
	f.size = max(f.size, pos)
	return nil
}
func (f *sinkFile) Datasync() error            { return nil }
func (f *sinkFile) Truncate(int64) error       { return nil }
func (f *sinkFile) Allocate(_, _ int64) error  { return nil }
func (f *sinkFile) Writeback(_, _ int64) error { return nil }
func (f *sinkFile) Size() (int64, error)       { return f.size, nil }

// ring is a worker without allocations.
type ring struct {
	jobs [64]core.Job
	n    int
}

func (r *ring) Submit(j core.Job) { r.jobs[r.n] = j; r.n++ }

func (r *ring) run() (did bool) {
	for r.n > 0 {
		j := r.jobs[0]
		copy(r.jobs[:], r.jobs[1:r.n])
		r.n--
		j.Run()
		j.Done()
		did = true
	}
	return did
}

// A turn allocates nothing once it goes round: appends to many logs, the group commit,
// writes into segments, and reads of the tail.
func TestATurnAllocatesNothing(t *testing.T) {
	for _, d := range []core.Durability{core.Synced, core.Interval, core.OS} {
		fs := sinkFS{fakefs.New()}
		work := &ring{}
		c := &clock{}
		s, err := segment.OpenStore(segment.Config{FS: fs, Arena: fs, Env: c, ArenaBytes: 4 << 20, ChunkBytes: 16 << 10,
			JournalBytes: 32 << 20, CheckpointBytes: 1 << 40, Sync: work, Write: work, Read: work, Host: &quietHost{}})
		if err != nil {
			t.Fatal(err)
		}
		cfg := segment.LogConfig{Durability: d, SegmentBytes: 1 << 30, SegmentMs: -1, RetentionMs: -1, RetentionBytes: -1, FlushMs: 10, FlushMessages: 1 << 40}
		var logs [16]*segment.Log
		for i := range logs {
			logs[i] = s.Open(core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)}, cfg, nil)
		}
		b := makeBatch(rand.New(rand.NewPCG(1, 70)), 700, 3)
		ext := make([]core.Extent, 0, 8)
		failed := false
		turn := func() {
			for _, l := range logs {
				if l.Append(b, batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: -1}) != nil {
					failed = true
				}
			}
			s.Commit()
			for work.run() {
			}
			c.now += 3
			s.Tick()
			for work.run() {
			}
			for _, l := range logs {
				got, _, ready, err := l.Read(l.End()-1, l.End(), 1<<20, true, ext[:0])
				failed = failed || !ready || err != nil
				for i := range got {
					got[i].Release()
				}
			}
		}
		for range 2000 {
			turn()
		}
		if n := testing.AllocsPerRun(500, turn); n != 0 || failed {
			t.Errorf("%v: %v allocations per turn, failed %v", d, n, failed)
		}
		if st := s.Stats(); st.Written == 0 || d == core.Synced && st.Commits < 2000 {
			t.Errorf("%v: the turns did nothing: %+v", d, st)
		}
	}
}

// What ticks, checkpoints and removals look at follows from what has changed, not from
// how many logs there are.
func TestTheCostOfATickAndACheckpointFollowsWhatChanged(t *testing.T) {
	const logs, dirty = 10_000, 7
	fs := sinkFS{fakefs.New()}
	work := &ring{}
	c := &clock{}
	s, err := segment.OpenStore(segment.Config{FS: fs, Arena: fs, Env: c, ArenaBytes: 4 << 20, ChunkBytes: 4 << 10,
		JournalBytes: 32 << 20, CheckpointBytes: 64 << 10, Sync: work, Write: work, Read: work, Host: &quietHost{}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := segment.LogConfig{Durability: core.Synced, SegmentBytes: 1 << 30, SegmentMs: -1, RetentionMs: 1000, RetentionBytes: -1}
	var all []*segment.Log
	for i := range logs {
		all = append(all, s.Open(core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)}, cfg, nil))
	}
	b := makeBatch(rand.New(rand.NewPCG(1, 71)), 1000, 1)
	round := func() (looked, checkpoints int64) {
		before := s.Stats()
		for range 15 {
			for _, l := range all[:dirty] {
				if err := l.Append(b, batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: c.Wall()}); err != nil {
					t.Fatal(err)
				}
			}
			s.Commit()
			for work.run() {
			}
		}
		st := s.Stats()
		return st.Looked - before.Looked, st.Checkpoints - before.Checkpoints
	}
	if _, n := round(); n == 0 {
		t.Fatal("no checkpoint: the first one looks at all that were opened")
	}
	if looked, n := round(); n == 0 || looked > n*2*dirty {
		t.Errorf("%d checkpoints looked at %d logs; %d are dirty", n, looked, dirty)
	}
	before := s.Stats().Looked
	c.now += 100
	s.Tick()
	for work.run() {
	}
	if looked := s.Stats().Looked - before; looked > 100+3*dirty {
		t.Errorf("a tick looked at %d of %d logs", looked, logs)
	}
	before = s.Stats().Looked
	for range 310 { // retention has looked at every log after about half a minute
		c.now += 100
		s.Tick()
		for work.run() {
		}
	}
	if looked := s.Stats().Looked - before; looked < logs {
		t.Errorf("in 31 seconds %d of %d logs were looked at", looked, logs)
	}
	for _, l := range all {
		s.Remove(l)
	}
	if n := s.Stats().Logs; n != 0 {
		t.Errorf("%d logs are left", n)
	}
}

// A writer that is behind looks at the logs that have a full chunk, not at all that have
// something to write; and what they hold is written, though none has a stride.
func TestAWriterThatIsBehindLooksAtFullChunksOnly(t *testing.T) {
	const logs, full, chunk = 100, 40, 256 << 10
	g := newRig(t, rand.New(rand.NewPCG(1, 72)), fakefs.New(), core.OS, logs)
	g.tune = func(c *segment.Config) {
		c.ArenaBytes, c.ChunkBytes, c.JournalBytes, c.CheckpointBytes = 64<<20, chunk, 128<<20, 64<<20
	}
	g.cfg.SegmentBytes = 1 << 30
	g.open()
	for i := range logs {
		size := 100
		if i < full {
			size = chunk
		}
		if err := g.append(i, size); err != nil {
			t.Fatal(err)
		}
	}
	if !g.store.Pressure() {
		t.Fatal("10 MiB of full chunks wait, and reading goes on")
	}
	before := g.store.Stats()
	g.store.Commit()
	g.work(1000)
	if after := g.store.Stats(); after.Written < full*(chunk-4096) || after.Looked-before.Looked > full {
		t.Errorf("%d bytes written; looked at %d logs, of which %d have a full chunk", after.Written, after.Looked-before.Looked, full)
	}
	if g.store.Pressure() {
		t.Error("all is written, and reading stops")
	}
}

// A log that is appended to keeps its chunk while an idle write is under way, so a round
// over many logs takes no second chunk for each, and reading goes on. One that nobody
// appends to any more gives it back.
func TestAnIdleWriteLeavesTheirChunksToLogsInUse(t *testing.T) {
	const logs = 100
	g := newRig(t, rand.New(rand.NewPCG(1, 73)), fakefs.New(), core.Synced, logs) // of 127 chunks
	round := func() {
		for i := range logs {
			if err := g.append(i, 200); err != nil {
				t.Fatal(err)
			}
		}
		g.store.Commit()
		for g.q[0].step() {
		}
	}
	for range 3 {
		round()
		g.clock.now += 1100
		g.store.Tick()
		if len(g.q[1].jobs) == 0 {
			t.Fatal("no idle write")
		}
		round()
		if g.store.Pressure() {
			t.Fatalf("%d of %d chunks are free, and reading stops", g.store.Stats().ChunksFree, g.store.Stats().Chunks)
		}
		g.work(1000)
	}
	for range 2 {
		g.clock.now += 1100
		g.store.Tick()
		g.work(1000)
	}
	if st := g.store.Stats(); st.ChunksFree != st.Chunks || st.Written != st.Appended {
		t.Errorf("two seconds after the last append %d of %d chunks are free, %d of %d bytes written", st.ChunksFree, st.Chunks, st.Written, st.Appended)
	}
}

// dirs counts how often a directory is made that was not there.
type dirs struct {
	*fakefs.FS
	made  map[string]bool
	calls int
}

func (d *dirs) MkdirAll(names ...string) error {
	fresh := false
	for _, n := range names {
		fresh = fresh || !d.made[n]
		d.made[n] = true
	}
	if fresh {
		d.calls++
	}
	return d.FS.MkdirAll(names...)
}

// The directories of many new partitions are made in one call: each call costs a sync.
func TestTheDirectoriesOfNewPartitionsAreMadeTogether(t *testing.T) {
	const logs = 50
	g := newRig(t, rand.New(rand.NewPCG(1, 74)), fakefs.New(), core.OS, logs)
	d := &dirs{FS: g.fs, made: map[string]bool{}}
	g.tune = func(c *segment.Config) { c.FS = d }
	g.open()
	before := d.calls
	for i := range logs {
		if err := g.append(i, 200); err != nil {
			t.Fatal(err)
		}
	}
	g.clock.now += 1100
	g.store.Tick()
	g.work(1000)
	if st := g.store.Stats(); st.Written != st.Appended || d.calls-before != 1 {
		t.Errorf("%d of %d bytes are written, after %d calls", st.Written, st.Appended, d.calls-before)
	}
}
