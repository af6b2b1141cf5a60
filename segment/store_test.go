package segment_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// queue is a worker whose jobs run when the test says so.
type queue struct{ jobs []core.Job }

func (q *queue) Submit(j core.Job) { q.jobs = append(q.jobs, j) }

func (q *queue) step() bool {
	if len(q.jobs) == 0 {
		return false
	}
	j := q.jobs[0]
	q.jobs = q.jobs[1:]
	j.Run()
	j.Done()
	return true
}

type clock struct{ now int64 }

func (c *clock) Mono() time.Duration { return time.Duration(c.now) * time.Millisecond }
func (c *clock) Wall() int64         { return 1_700_000_000_000 + c.now }
func (c *clock) Rand() uint64        { return rand.Uint64() }

// rig is one store on a fake disk, with a model of what each log holds.
type rig struct {
	t        *testing.T
	r        *rand.Rand
	fs       *fakefs.FS
	clock    *clock
	q        [4]*queue // syncs, writes, reads, flushes
	store    *segment.Store
	logs     []*segment.Log
	model    []*model
	cfg      segment.LogConfig
	failed   error
	relieved int
	tune     func(*segment.Config) // nil: as it is
}

type model struct {
	id      core.PartitionID
	start   core.Offset
	batches [][]byte // as stamped
	bases   []core.Offset
	durable core.Offset // acknowledged as durable
}

func (m *model) end() core.Offset {
	if len(m.bases) == 0 {
		return 0
	}
	h, _ := batch.Parse(m.batches[len(m.batches)-1])
	return h.Last() + 1
}

func (g *rig) Durable(l *segment.Log) {
	for i := range g.logs {
		if g.logs[i] == l {
			g.model[i].durable = l.Durable()
		}
	}
}
func (g *rig) Failed(_ *segment.Log, err error)           { g.failed = err }
func (g *rig) Ready(*segment.Log)                         {}
func (g *rig) Relieved()                                  { g.relieved++ }
func (g *rig) Snapshot(l *segment.Log, dst []byte) []byte { return fmt.Appendf(dst, "at %d", l.End()) }

func newRig(t *testing.T, r *rand.Rand, fs *fakefs.FS, d core.Durability, n int) *rig {
	g := &rig{t: t, r: r, fs: fs, clock: &clock{}}
	g.cfg = segment.LogConfig{Durability: d, SegmentBytes: 40 << 10, SegmentMs: -1, RetentionMs: -1, RetentionBytes: -1, FlushMs: 10, FlushMessages: 1 << 40}
	for i := range n {
		g.model = append(g.model, &model{id: core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)}})
	}
	g.open()
	return g
}

func (g *rig) config() segment.Config {
	c := segment.Config{FS: g.fs, Arena: g.fs, Env: g.clock, ArenaBytes: 512 << 10, ChunkBytes: 4096,
		JournalBytes: 2 << 20, CheckpointBytes: 256 << 10, Sync: g.q[0], Write: g.q[1], Read: g.q[2], Flush: g.q[3], Host: g}
	if g.tune != nil {
		g.tune(&c)
	}
	return c
}

func (g *rig) open() {
	g.t.Helper()
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
	if err != nil {
		g.t.Fatal(err)
	}
	for i := range g.q {
		g.q[i] = &queue{}
	}
	g.failed = nil
	g.store, err = segment.OpenStore(g.config())
	if err != nil {
		g.t.Fatal(err)
	}
	g.logs = g.logs[:0]
	for _, m := range g.model {
		x := rec.Logs[m.id]
		if x != nil && x.Quarantined != nil {
			g.t.Fatal(x.Quarantined)
		}
		g.logs = append(g.logs, g.store.Open(m.id, g.cfg, x))
	}
}

// adopt checks what recovery found against the model, and cuts the model to it.
func (g *rig) adopt(power bool) {
	g.t.Helper()
	for i, m := range g.model {
		l := g.logs[i]
		need := m.end()
		if power {
			need = m.durable
		}
		if l.End() < need || l.End() > m.end() {
			g.t.Fatalf("log %d: recovered to %d; want %d..%d (power %v)", i, l.End(), need, m.end(), power)
		}
		for len(m.bases) > 0 && m.end() > l.End() {
			m.bases, m.batches = m.bases[:len(m.bases)-1], m.batches[:len(m.batches)-1]
		}
		if m.end() != l.End() {
			g.t.Fatalf("log %d: recovered to %d, not a batch boundary", i, l.End())
		}
		if l.Start() < m.start && !power {
			g.t.Fatalf("log %d: start %d went back to %d", i, m.start, l.Start())
		}
		m.start, m.durable = l.Start(), l.Durable()
		g.check(i, m.start)
	}
}

func (g *rig) work(max int) {
	for range max {
		if !g.q[g.r.IntN(len(g.q))].step() && len(g.q[0].jobs)+len(g.q[1].jobs)+len(g.q[2].jobs)+len(g.q[3].jobs) == 0 {
			return
		}
	}
}

func makeBatch(r *rand.Rand, size, count int) []byte {
	b := make([]byte, max(size, batch.HeaderSize))
	for i := batch.HeaderSize; i < len(b); i++ {
		b[i] = byte(r.Uint32())
	}
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	be.PutUint32(b[23:], uint32(count-1))
	be.PutUint64(b[43:], ^uint64(0))
	be.PutUint32(b[57:], uint32(count))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func (g *rig) append(i, size int) error {
	m, l := g.model[i], g.logs[i]
	b := makeBatch(g.r, size, 1+g.r.IntN(5))
	st := batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: -1}
	if g.r.IntN(4) == 0 {
		st.AppendTime = g.clock.Wall()
	}
	if err := l.Append(b, st); err != nil {
		return err
	}
	st.Apply(b[:batch.HeaderSize], b[batch.HeaderSize:])
	m.batches, m.bases = append(m.batches, b), append(m.bases, st.Base)
	return nil
}

func bytesOf(t *testing.T, ext []core.Extent) (b []byte) {
	t.Helper()
	for _, e := range ext {
		if e.Mem != nil {
			b = append(b, e.Mem...)
		} else {
			p := make([]byte, e.Len)
			if n, err := e.File.ReadAt(p, int64(e.Pos)); n < e.Len {
				t.Fatal(err)
			}
			b = append(b, p...)
		}
		e.Release()
	}
	return b
}

// check reads from an offset to the end and compares every byte.
func (g *rig) check(i int, from core.Offset) {
	g.t.Helper()
	m, l := g.model[i], g.logs[i]
	at := 0
	for at < len(m.bases) && (at+1 < len(m.bases) && m.bases[at+1] <= from) {
		at++
	}
	for from < l.End() {
		ext, n, ready, err := l.Read(from, l.End(), 1+g.r.IntN(8<<10), true, nil)
		if err != nil {
			g.t.Fatalf("log %d: read at %d: %v", i, from, err)
		}
		if !ready {
			for !g.q[2].step() {
				g.t.Fatal("not ready, and nothing is loading")
			}
			continue
		}
		got := bytesOf(g.t, ext)
		if n == 0 || len(got) != n {
			g.t.Fatalf("log %d: read at %d of %d: %d bytes, %d in extents", i, from, l.End(), n, len(got))
		}
		for len(got) > 0 {
			want := m.batches[at]
			if len(got) < len(want) || !bytes.Equal(got[:len(want)], want) {
				g.t.Fatalf("log %d: the batch at %d differs", i, m.bases[at])
			}
			got = got[len(want):]
			h, _ := batch.Parse(want)
			from = h.Last() + 1
			at++
		}
	}
}

func (g *rig) op() {
	i := g.r.IntN(len(g.logs))
	l, m := g.logs[i], g.model[i]
	switch k := g.r.IntN(20); {
	case k < 12:
		size := 80 + g.r.IntN(1000)
		if g.r.IntN(10) == 0 {
			size = 10000
		}
		if err := g.append(i, size); err != nil && err != core.ErrBusy && err != core.ErrDiskFull {
			g.t.Fatal(err)
		}
	case k < 14:
		g.work(1 + g.r.IntN(3))
	case k == 14:
		g.clock.now += int64(g.r.IntN(400))
		g.store.Tick()
	case k == 15 && l.End() > l.Start():
		g.check(i, l.Start()+core.Offset(g.r.Int64N(int64(l.End()-l.Start()))))
	case k == 16 && g.r.IntN(8) == 0 && l.Durable() > l.Start():
		to := l.Start() + core.Offset(g.r.Int64N(int64(l.Durable()-l.Start())))
		l.Trim(to, func(err error) {
			if err == nil {
				m.start = to
			}
		})
	default:
		g.store.Commit()
	}
}

// What was appended is read back byte for byte, after the death of the process all of
// it, and after a power cut all that was acknowledged as durable.
func TestLogAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		d := core.Durability(seed % 3)
		t.Run(fmt.Sprintf("%v/%d", d, seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			g := newRig(t, r, fakefs.New(), d, 1+int(seed%7))
			for range 6 {
				for range 100 + r.IntN(500) {
					g.op()
				}
				if g.failed != nil {
					t.Fatal(g.failed)
				}
				power := r.IntN(2) == 0
				if power {
					g.fs = g.fs.Crash(r)
				} else {
					g.fs = g.fs.Kill()
				}
				g.open()
				g.adopt(power)
			}
		})
	}
}

// A shutdown leaves everything durable, whatever the mode: a power cut after it loses nothing.
func TestShutdownLosesNothing(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := newRig(t, r, fakefs.New(), core.Durability(seed%3), 3)
		for range 300 {
			g.op()
		}
		var err error
		stopped := false
		g.store.Shutdown(func(e error) { err, stopped = e, true })
		g.work(10000)
		if !stopped || err != nil {
			t.Fatalf("seed %d: stopped %v, %v", seed, stopped, err)
		}
		for _, m := range g.model {
			m.durable = m.end()
		}
		g.fs = g.fs.Crash(r)
		g.open()
		g.adopt(true)
	}
}

// A power cut at any call that changes something, recovery included, loses nothing durable.
func TestPowerCutAnywhere(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := newRig(t, r, fakefs.New(), core.Durability(seed%2), 3)
		g.fs.CutAt(1 + r.IntN(200))
		for i := 0; i < 1500 && g.failed == nil; i++ {
			k := r.IntN(3)
			if g.append(k, 80+r.IntN(600)) == nil && r.IntN(3) == 0 {
				g.store.Commit()
			}
			if r.IntN(5) == 0 {
				g.clock.now += 100
				g.store.Tick()
			}
			g.work(r.IntN(3))
		}
		g.fs = g.fs.Crash(r)
		again := g.fs.Crash(r) // recovery itself is cut once
		again.CutAt(1 + r.IntN(30))
		_, _ = segment.Recover(segment.RecoverConfig{FS: again, Arena: again})
		g.fs = again.Crash(r)
		g.open()
		g.adopt(true)
	}
}

// A full disk refuses appends, keeps what was taken, and goes on when there is room.
func TestDiskFull(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	g := newRig(t, r, fakefs.New(), core.OS, 2)
	g.fs.SetFull(30 << 10)
	refused := false
	for range 2000 {
		if err := g.append(r.IntN(2), 700); errors.Is(err, core.ErrDiskFull) {
			refused = true
			break
		}
		g.store.Commit()
		g.work(5)
	}
	if !refused || g.failed != nil {
		t.Fatalf("refused %v, failed %v", refused, g.failed)
	}
	g.check(0, 0)
	g.fs.SetFull(-1)
	for range 5 {
		g.clock.now += 1100
		g.store.Tick()
		g.work(100)
	}
	if err := g.append(0, 700); err != nil {
		t.Fatal(err)
	}
	g.check(0, 0)
}

// A flipped bit that the journal covers is repaired; a segment below the mark that is
// missing quarantines its partition, and the other is served.
func TestMissingBelowTheMark(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	g := newRig(t, r, fakefs.New(), core.Synced, 2)
	for i := range 40 {
		if err := g.append(i%2, 500); err != nil {
			t.Fatal(err)
		}
		g.store.Commit()
		g.work(20)
	}
	for range 3 {
		g.clock.now += 1100
		g.store.Tick()
		g.work(100)
	}
	name := fmt.Sprintf("topics/%s/0/%020d.log", g.model[0].id.Topic.Hex(), 0)
	if err := g.fs.FlipBit(name, 4096+1700); err != nil {
		t.Fatal(err)
	}
	g.fs = g.fs.Kill()
	g.open()
	g.adopt(false)
	if err := g.fs.Remove(name); err != nil {
		t.Fatal(err)
	}
	g.fs = g.fs.Kill()
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
	if err != nil || len(rec.Report.Quarantined) != 1 || rec.Logs[g.model[0].id].Quarantined == nil || rec.Logs[g.model[1].id].End != g.model[1].end() {
		t.Fatalf("%v, %+v", err, rec)
	}
}

// An append in steady state allocates nothing.
func TestAppendAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	g := newRig(t, r, fakefs.New(), core.OS, 1)
	b := makeBatch(r, 100, 1)
	l := g.logs[0]
	if n := testing.AllocsPerRun(300, func() {
		if err := l.Append(b, batch.Stamp{Base: l.End(), AppendTime: -1}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per append", n)
	}
}

// By time: the first batch that reaches a timestamp, and the one with the newest, also
// when batches straddle chunks and after a restart.
func TestFindTime(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(1, 7)), fakefs.New(), core.Synced, 1)
	find := func(ts int64, max bool) (off core.Offset) {
		err := error(core.ErrBusy)
		g.logs[0].FindTime(ts, max, g.logs[0].End(), func(o core.Offset, _ int64, e error) { off, err = o, e })
		for g.q[2].step() {
		}
		if err != nil {
			t.Fatal(err)
		}
		return off
	}
	for i := range 100 {
		l := g.logs[0]
		if err := l.Append(makeBatch(g.r, 900, 1), batch.Stamp{Base: l.End(), AppendTime: int64(1000 + i)}); err != nil {
			t.Fatal(err)
		}
		g.store.Commit()
		g.work(3)
	}
	for range 2 {
		if a, b, c, d := find(0, false), find(1057, false), find(0, true), find(2000, false); a != 0 || b != 57 || c != 99 || d != -1 {
			t.Fatalf("found %d %d %d %d", a, b, c, d)
		}
		g.fs = g.fs.Kill()
		g.open()
	}
}
