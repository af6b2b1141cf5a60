package segment_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// content is the bytes of a file.
func content(t *testing.T, f segment.FS, name string) string {
	t.Helper()
	x, err := f.Open(name, segment.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return "missing"
	}
	if err != nil {
		t.Fatal(err)
	}
	n, _ := x.Size()
	b := make([]byte, n)
	_, _ = x.ReadAt(b, 0)
	return string(b)
}

// lived is a synced store of three partitions with a checkpoint behind it and
// acknowledged records after that; the last of them went to partition 0.
func lived(t *testing.T, seed uint64) *rig {
	g := newRig(t, rand.New(rand.NewPCG(seed, 40)), fakefs.New(), core.Synced, 3)
	for i := range 900 {
		if err := g.append(i%3, 400); err != nil && err != core.ErrBusy {
			t.Fatal(err)
		}
		if i%20 == 0 {
			g.store.Commit()
			g.work(10)
		}
	}
	g.store.Commit()
	g.work(100)
	for i := range 4 {
		if err := g.append(i%3, 300); err != nil {
			t.Fatal(err)
		}
		g.store.Commit()
		g.work(10)
	}
	if g.store.Stats().Checkpoints == 0 || g.failed != nil {
		t.Fatalf("%+v, %v", g.store.Stats(), g.failed)
	}
	return g
}

func flipAll(t *testing.T, f *fakefs.FS, name string, from, to, step int64) {
	t.Helper()
	for pos := from; pos < to; pos += step {
		if f.FlipBit(name, pos) != nil {
			break
		}
	}
}

// What the damage of a shared file may have cost: after the death of the process nothing,
// since the arena holds all; after a power cut the partitions that nothing speaks for
// are quarantined, in this start and in later ones, and the file is kept. Long because
// the ways of damage are in it.
func TestADamagedSharedFileQuarantinesWhatItConcernsAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, f *fakefs.FS)
		power  bool
		lost   []int // partitions in quarantine
		kept   string
	}{
		{"both headers of the journal, killed", func(t *testing.T, f *fakefs.FS) { flipAll(t, f, "shards/0/journal", 20, 4200, 4096) }, false, nil, "journal"},
		{"both headers of the journal, power cut", func(t *testing.T, f *fakefs.FS) { flipAll(t, f, "shards/0/journal", 20, 4200, 4096) }, true, []int{0, 1, 2}, "journal"},
		{"no journal, killed", func(t *testing.T, f *fakefs.FS) { _ = f.Remove("shards/0/journal") }, false, nil, ""},
		{"no journal, power cut", func(t *testing.T, f *fakefs.FS) { _ = f.Remove("shards/0/journal") }, true, []int{0, 1, 2}, ""},
		{"no arena, killed", func(t *testing.T, f *fakefs.FS) { _ = f.Remove("arena-0") }, false, nil, ""},
		// The last groups are of partitions 0, 1, 2, 0.
		{"the head of the group before two others, power cut", func(t *testing.T, f *fakefs.FS) {
			flipAll(t, f, "shards/0/journal", groupAt(t, f, 3)+9, groupAt(t, f, 3)+10, 1)
		}, true, []int{1}, "journal"},
		{"the data of the group before two others, power cut", func(t *testing.T, f *fakefs.FS) {
			flipAll(t, f, "shards/0/journal", groupAt(t, f, 3)+64+56+100, groupAt(t, f, 3)+64+56+101, 1)
		}, true, []int{1}, "journal"},
		{"the data of the group before two others, killed", func(t *testing.T, f *fakefs.FS) {
			flipAll(t, f, "shards/0/journal", groupAt(t, f, 3)+64+56+100, groupAt(t, f, 3)+64+56+101, 1)
		}, false, nil, "journal"},
		{"no checkpoints, power cut", func(t *testing.T, f *fakefs.FS) {
			_ = f.Remove("shards/0/checkpoint.a")
			_ = f.Remove("shards/0/checkpoint.b")
		}, true, nil, ""},
		{"the newest checkpoint, power cut", func(t *testing.T, f *fakefs.FS) { breakNewest(t, f) }, true, nil, "checkpoint"},
		{"the newest checkpoint, killed", func(t *testing.T, f *fakefs.FS) { breakNewest(t, f) }, false, nil, "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := lived(t, 1)
			if c.power {
				g.fs = g.fs.Crash(g.r)
			} else {
				g.fs = g.fs.Kill()
			}
			before := g.fs.Kill()
			c.damage(t, g.fs)
			for start := range 3 {
				rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
				if err != nil {
					t.Fatal(err)
				}
				if start == 0 {
					if len(rec.Report.Damaged) != 1 {
						t.Fatalf("damage reported: %+v", rec.Report.Damaged)
					}
					d := rec.Report.Damaged[0]
					if c.kept == "" != (d.Kept == "") || !strings.Contains(d.Kept, c.kept) {
						t.Fatalf("kept as %q", d.Kept)
					}
					if d.Kept != "" && content(t, g.fs, d.Kept) == "missing" {
						t.Fatal("the damaged file is gone")
					}
				} else if len(rec.Report.Damaged) != 0 {
					t.Fatalf("start %d reports %+v", start, rec.Report.Damaged[0].Err)
				}
				if len(rec.Report.Quarantined) != len(c.lost) {
					t.Fatalf("start %d: %v in quarantine, want %v", start, rec.Report.Quarantined, c.lost)
				}
				if len(c.lost) == 0 {
					for _, m := range g.model {
						if rec.Logs[m.id].End < m.durable {
							t.Fatalf("start %d: %v ends at %d, acknowledged %d", start, m.id, rec.Logs[m.id].End, m.durable)
						}
					}
				}
				g.fs = reopen(t, g, rec)
			}
			for _, m := range g.model { // nothing of a segment was touched
				name := "topics/" + m.id.String() + "/00000000000000000000.log"
				if len(c.lost) > 0 && content(t, before, name) != content(t, g.fs, name) {
					t.Fatalf("%s was changed", name)
				}
			}
		})
	}
}

// reopen opens the store as a start does, lets it write a checkpoint, and stops it dead.
func reopen(t *testing.T, g *rig, rec *segment.Recovery) *fakefs.FS {
	t.Helper()
	for i := range g.q {
		g.q[i] = &queue{}
	}
	var err error
	if g.store, err = segment.OpenStore(g.config()); err != nil {
		t.Fatal(err)
	}
	g.logs = g.logs[:0]
	for _, m := range g.model {
		g.logs = append(g.logs, g.store.Open(m.id, g.cfg, rec.Logs[m.id]))
	}
	g.store.Shutdown(func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	g.work(1000)
	return g.fs.Kill()
}

// groupAt is the position of the nth group of the journal from its end.
func groupAt(t *testing.T, f *fakefs.FS, n int) int64 {
	t.Helper()
	b := content(t, f, "shards/0/journal")
	var at []int64
	for pos := 8192; pos+64 <= len(b); pos += 4096 {
		if b[pos:pos+4] == "PSJG" {
			at = append(at, int64(pos))
		}
	}
	slices.SortFunc(at, func(x, y int64) int { return strings.Compare(b[x+24:x+32], b[y+24:y+32]) })
	return at[len(at)-n]
}

// breakNewest damages the newer checkpoint of shard 0.
func breakNewest(t *testing.T, f *fakefs.FS) { breakCheckpoint(t, f, "shards/0/checkpoint.") }

func breakCheckpoint(t *testing.T, f *fakefs.FS, name string) {
	t.Helper()
	newest, at := "", byte(0)
	for _, n := range []string{name + "a", name + "b"} {
		if b := content(t, f, n); len(b) > 16 && b[16] >= at {
			newest, at = n, b[16]
		}
	}
	flipAll(t, f, newest, 40, 41, 1)
}

// Damage to a segment below what was ever synced quarantines its partition, and only
// that, in every later start too, and leaves every byte of it as it is; what is not
// part of a partition is kept and reported.
func TestDamageInASegmentQuarantinesItsPartitionForGood(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, g *rig, dir string, bases []string){
		"a segment header": func(t *testing.T, g *rig, dir string, bases []string) { flipAll(t, g.fs, dir+bases[0], 20, 21, 1) },
		"the header of the last segment": func(t *testing.T, g *rig, dir string, bases []string) {
			flipAll(t, g.fs, dir+bases[len(bases)-1], 20, 21, 1)
		},
		"the header of the last segment, and no index": func(t *testing.T, g *rig, dir string, bases []string) {
			for _, b := range bases {
				_ = g.fs.Remove(dir + strings.TrimSuffix(b, ".log") + ".index")
			}
			flipAll(t, g.fs, dir+bases[len(bases)-1], 20, 21, 1)
		},
		"a short segment": func(t *testing.T, g *rig, dir string, bases []string) {
			x, _ := g.fs.Open(dir+bases[1], segment.ReadWrite)
			_ = x.Truncate(6000)
		},
		"a missing segment": func(t *testing.T, g *rig, dir string, bases []string) { _ = g.fs.Remove(dir + bases[1]) },
		"no segments": func(t *testing.T, g *rig, dir string, bases []string) {
			for _, b := range bases {
				_ = g.fs.Remove(dir + b)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := lived(t, 2)
			rec := stopAndRecover(t, g)
			if len(rec.Report.Quarantined) != 0 {
				t.Fatal(rec.Report.Quarantined)
			}
			g.fs = reopen(t, g, rec)
			dir := "topics/" + g.model[1].id.String() + "/"
			damage(t, g, dir, segmentsOf(t, g.fs, dir))
			_ = g.fs.MkdirAll("topics/not-a-topic/0")
			before := g.fs.Kill()
			for start := range 3 {
				rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
				if err != nil {
					t.Fatal(err)
				}
				if len(rec.Report.Quarantined) != 1 || rec.Report.Quarantined[0] != g.model[1].id || len(rec.Report.Unknown) != 1 {
					t.Fatalf("start %d: %+v", start, rec.Report)
				}
				for _, i := range []int{0, 2} {
					if l := rec.Logs[g.model[i].id]; l.Quarantined != nil || l.End != g.model[i].end() {
						t.Fatalf("start %d: partition %d ends at %d", start, i, l.End)
					}
				}
				g.fs = reopen(t, g, rec)
			}
			for _, b := range segmentsOf(t, before, dir) {
				if content(t, before, dir+b) != content(t, g.fs, dir+b) {
					t.Fatalf("%s was changed", b)
				}
			}
		})
	}
}

func segmentsOf(t *testing.T, f segment.FS, dir string) (logs []string) {
	names, err := f.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			logs = append(logs, n)
		}
	}
	return logs
}

// stopAndRecover stops a store in good order and recovers what it left.
func stopAndRecover(t *testing.T, g *rig) *segment.Recovery {
	t.Helper()
	g.store.Shutdown(func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	g.work(10000)
	g.fs = g.fs.Kill()
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Clean: true})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// A format that this program does not know is refused with the remedy, and nothing is
// changed; the same bytes with a checksum that does not match are damage.
func TestAFormatNewerThanThisProgramIsRefused(t *testing.T) {
	for _, c := range []struct{ file, word string }{
		{"shards/0/journal", "use that version"}, {"shards/0/checkpoint.", "use the newer program"}, {".log", "use the newer one"}, {"arena-0", "use the newer one"},
	} {
		t.Run(c.file, func(t *testing.T) {
			g := lived(t, 3)
			g.fs = g.fs.Kill()
			segment.MakeNewer(t, g.fs, c.file, g.model[0].id)
			_, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Fatalf("%v", err)
			}
		})
	}
}

// What was never synced and does not check out is a torn tail: it is cut, with what
// follows it, and the log goes on there.
func TestATornTailIsCutAndTheLogGoesOn(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(4, 40)), fakefs.New(), core.OS, 1)
	for range 30 {
		if err := g.append(0, 3000); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // idle: all is in the files, and nothing is synced
		g.clock.now += 1100
		g.store.Tick()
		g.work(100)
	}
	g.fs = g.fs.Kill()
	dir := "topics/" + g.model[0].id.String() + "/"
	logs := segmentsOf(t, g.fs, dir)
	if len(logs) != 3 {
		t.Fatal(logs)
	}
	x, _ := g.fs.Open(dir+logs[1], segment.ReadWrite)
	_ = x.Truncate(4096 + 3*3000 + 1700) // in the fourth batch of the second segment
	if err := g.fs.Remove("arena-0"); err != nil {
		t.Fatal(err)
	}
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
	if err != nil || rec.Report.Torn != 1 || len(rec.Report.Quarantined) > 0 {
		t.Fatalf("%v, %+v", err, rec.Report)
	}
	first := 12 // batches of a segment of 40 KiB
	if got, want := rec.Logs[g.model[0].id].End, g.model[0].bases[first+3]; got != want {
		t.Fatalf("the log ends at %d, want %d", got, want)
	}
	if left := segmentsOf(t, g.fs, dir); len(left) != 2 {
		t.Fatalf("%v are left", left)
	}
	g.fs = reopen(t, g, rec)
	m := g.model[0]
	m.batches, m.bases = m.batches[:first+3], m.bases[:first+3]
	g.open()
	g.adopt(false)
	for range 5 {
		if err := g.append(0, 3000); err != nil {
			t.Fatal(err)
		}
	}
	g.fs = g.fs.Kill()
	g.open()
	g.adopt(false)
}

// A directory that belongs to no topic that is known stays as it is; one whose topic has
// a tombstone goes.
func TestUnknownDirectoriesStayAndDeletedTopicsGo(t *testing.T) {
	g := lived(t, 5)
	g.fs = g.fs.Kill()
	before := g.fs.Kill()
	known := func(id core.PartitionID) bool { return id == g.model[0].id }
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Topics: known})
	if err != nil || len(rec.Report.Unknown) != 2 || len(rec.Logs) != 1 {
		t.Fatalf("%v, %+v", err, rec.Report)
	}
	for _, m := range g.model[1:] {
		dir := "topics/" + m.id.String() + "/"
		for _, b := range segmentsOf(t, before, dir) {
			if old := content(t, before, dir+b); !strings.HasPrefix(content(t, g.fs, dir+b), old) {
				t.Errorf("%s of a topic that is not known was changed", b)
			}
		}
	}
	rec, err = segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Deleted: func(core.TopicID) bool { return true }})
	if err != nil || len(rec.Logs) != 0 {
		t.Fatalf("%v, %+v", err, rec.Report)
	}
	for _, m := range g.model {
		if names, _ := g.fs.ReadDir("topics/" + m.id.String()); len(names) > 0 {
			t.Errorf("of a deleted topic are left: %v", names)
		}
	}
}

// The mark of a topic that the catalog has forgotten, tombstone and all, goes when there
// is no directory of it; while there is one, the mark stays, and so does that of a known
// partition whose directory has vanished.
func TestTheMarkOfAForgottenTopicGoesWithItsDirectory(t *testing.T) {
	g := lived(t, 5)
	g.stop()
	g.fs = g.fs.Kill()
	recover := func(fsys segment.FS, known bool) []core.PartitionID {
		t.Helper()
		c := segment.RecoverConfig{FS: fsys, Arena: fsys, Topics: func(core.PartitionID) bool { return known }}
		if _, err := segment.Recover(c); err != nil {
			t.Fatal(err)
		}
		return segment.MarksOf(t, fsys, "shards")
	}
	if got := recover(g.fs, false); len(got) != len(g.model) {
		t.Errorf("with a directory that nobody knows: %d marks", len(got))
	}
	top := g.model[0].id.Topic
	for _, m := range g.model {
		dir := "topics/" + m.id.String()
		names, _ := g.fs.ReadDir(dir)
		for _, n := range names {
			_ = g.fs.Remove(dir + "/" + n)
		}
	}
	if gone, err := segment.RemoveEmpty(g.fs, top); err != nil || !gone {
		t.Fatal(gone, err)
	}
	if got := recover(g.fs.Kill(), true); len(got) != len(g.model) {
		t.Errorf("of known partitions that have vanished: %d marks", len(got))
	}
	if got := recover(g.fs, false); len(got) != 0 {
		t.Errorf("of a topic that is gone and forgotten: %d marks", len(got))
	}
}

// unsynced is a file system in which the process dies at its first sync of a file.
type unsynced struct{ *fakefs.FS }

func (u unsynced) Open(name string, mode segment.Mode) (segment.File, error) {
	f, err := u.FS.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ segment.File }

func (unsyncedFile) Datasync() error { return errors.New("killed") }

// What a recovery cuts stays cut, also if it dies before it has synced that, and the
// next one finds nothing to cut.
func TestWhatAnInterruptedRecoveryCutDoesNotComeBack(t *testing.T) {
	g := newRig(t, rand.New(rand.NewPCG(6, 40)), fakefs.New(), core.OS, 1)
	g.cfg.SegmentBytes = 1 << 20
	g.open()
	g.fill(0, 20, 1000)
	g.stop()
	g.fs = g.fs.Kill()
	g.open() // a mark at the end of the segment
	name := "topics/" + g.model[0].id.String() + "/00000000000000000000.log"
	whole := int64(len(content(t, g.fs, name)))
	x, _ := g.fs.Open(name, segment.ReadWrite)
	if _, err := x.WriteAt(make([]byte, 3000), whole); err != nil || x.Datasync() != nil {
		t.Fatal(err)
	}
	g.fs = g.fs.Kill()
	if _, err := segment.Recover(segment.RecoverConfig{FS: unsynced{g.fs}, Arena: g.fs}); err == nil {
		t.Fatal("the recovery did not die")
	}
	if n := int64(len(content(t, g.fs, name))); n != whole {
		t.Fatalf("%d bytes after the cut, want %d", n, whole)
	}
	if _, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs}); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		image := g.fs.Crash(rand.New(rand.NewPCG(seed, 41)))
		if n := int64(len(content(t, image, name))); n != whole {
			t.Fatalf("after a power cut %d bytes, want %d", n, whole)
		}
	}
}

// A damaged journal concerns what its shard owned, also a partition of which nothing but
// the journal knew; what another shard owned is served.
func TestADamagedJournalConcernsWhatItsShardOwned(t *testing.T) {
	g := lived(t, 7)
	g.fs = g.fs.Crash(g.r)
	fresh := core.PartitionID{Topic: core.TopicID{1}, Index: 9}
	flipAll(t, g.fs, "shards/0/journal", 20, 4200, 4096)
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Owners: func() map[core.PartitionID]core.ShardID {
		return map[core.PartitionID]core.ShardID{g.model[0].id: 0, g.model[1].id: 1, g.model[2].id: 1, fresh: 0}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[core.PartitionID]bool{g.model[0].id: true, g.model[1].id: false, g.model[2].id: false, fresh: true} {
		if l := rec.Logs[id]; l == nil || (l.Quarantined != nil) != want {
			t.Errorf("partition %d: %+v; want quarantine %v", id.Index, l, want)
		}
	}
}

// After a clean stop a journal holds nothing: damage to it is reported, and costs nothing.
func TestAfterACleanStopADamagedJournalCostsNothing(t *testing.T) {
	for _, missing := range []bool{false, true} {
		g := lived(t, 8)
		g.stop()
		g.fs = g.fs.Crash(g.r)
		if missing {
			_ = g.fs.Remove("shards/0/journal")
		} else {
			flipAll(t, g.fs, "shards/0/journal", 20, 4200, 4096)
		}
		rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs, Clean: true})
		if err != nil || len(rec.Report.Quarantined) > 0 || (len(rec.Report.Damaged) == 0) != missing {
			t.Fatalf("missing %v: %v, %+v", missing, err, rec)
		}
		for _, m := range g.model {
			if rec.Logs[m.id].End != m.end() {
				t.Errorf("missing %v: %v ends at %d", missing, m.id, rec.Logs[m.id].End)
			}
		}
		g.fs = reopen(t, g, rec)
		for range 2 {
			g.open()
			g.adopt(false)
			g.fill(0, 20, 500)
			g.fs = g.fs.Kill()
		}
	}
}

// The checkpoint of the last recovery is told from one that a crash tore: a start went on
// after it had been written. Then it is damage, and the one before it serves.
func TestADamagedCheckpointOfRecoveryIsNotTakenForTorn(t *testing.T) {
	g := lived(t, 9)
	for range 3 {
		g.fs = g.fs.Kill()
		g.open()
		g.adopt(false)
		g.fill(1, 10, 500)
	}
	g.fs = g.fs.Crash(g.r)
	torn := g.fs.Kill()
	breakCheckpoint(t, g.fs, "shards/checkpoint.")
	rec, err := segment.Recover(segment.RecoverConfig{FS: g.fs, Arena: g.fs})
	if err != nil || len(rec.Report.Damaged) != 1 || !strings.HasPrefix(rec.Report.Damaged[0].Kept, "shards/checkpoint.") || len(rec.Report.Quarantined) > 0 {
		t.Fatalf("%v, %+v", err, rec)
	}
	for _, m := range g.model {
		if end := rec.Logs[m.id].End; end < m.durable {
			t.Errorf("%v ends at %d; acknowledged %d", m.id, end, m.durable)
		}
	}
	// A recovery that is cut off while it writes its checkpoint tears the other one.
	for cut := 1; cut < 200; cut++ {
		f := torn.Kill()
		f.CutAt(cut)
		_, err := segment.Recover(segment.RecoverConfig{FS: f, Arena: f})
		f = f.Crash(rand.New(rand.NewPCG(uint64(cut), 42)))
		rec, again := segment.Recover(segment.RecoverConfig{FS: f, Arena: f})
		if again != nil || len(rec.Report.Damaged)+len(rec.Report.Quarantined) > 0 {
			t.Fatalf("cut %d: %v, %+v", cut, again, rec.Report)
		}
		if err == nil {
			break
		}
	}
}
