package segment_test

import (
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/v1 anew")

// goldenDir is a data directory as a process left it that was killed: version 1 of every
// format of this package. A program of any later version reads it.
const goldenDir = "testdata/v1"

// goldenBatches is what it holds: partition 0 with a segment that has ended, a
// checkpoint in the one that grows, journaled records above it, and records only in the
// arena; partition 1 with a log start within.
func goldenBatches(part int) (all [][]byte) {
	r := rand.New(rand.NewPCG(uint64(part), 90))
	for range 24 {
		all = append(all, makeBatch(r, 1500, 3))
	}
	return all
}

func goldenConfig(f segment.FS, work *nowWorker) segment.Config {
	return segment.Config{FS: f, Arena: f, Env: &clock{}, ArenaBytes: 40 << 10, ChunkBytes: 4096, JournalBytes: 128 << 10,
		CheckpointBytes: 20 << 10, Sync: work, Write: work, Read: work, Host: &quietHost{}}
}

func makeGolden(t *testing.T) {
	f, work := fakefs.New(), &nowWorker{}
	s, err := segment.OpenStore(goldenConfig(f, work))
	if err != nil {
		t.Fatal(err)
	}
	cfg := segment.LogConfig{Durability: core.Synced, SegmentBytes: 20 << 10, SegmentMs: -1, RetentionMs: -1, RetentionBytes: -1}
	var logs []*segment.Log
	for i := range 2 {
		logs = append(logs, s.Open(core.PartitionID{Topic: core.TopicID{0xab, 1}, Index: int32(i)}, cfg, nil))
	}
	for n := range 24 {
		for i, l := range logs {
			st := batch.Stamp{Base: l.End(), Epoch: core.Epoch(1 + n/12), AppendTime: -1}
			if err := l.Append(goldenBatches(i)[n], st); err != nil {
				t.Fatal(err)
			}
		}
		if n == 15 {
			logs[1].Trim(7, func(error) {})
		}
		if n < 23 { // the last ones are in the arena only
			s.Commit()
			work.drain()
		}
	}
	if err := os.RemoveAll(goldenDir); err != nil {
		t.Fatal(err)
	}
	eachFile(t, f, ".", func(name string, b []byte) {
		name = filepath.Join(goldenDir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	})
}

// eachFile calls fn with every file, the arena included.
func eachFile(t *testing.T, f segment.FS, dir string, fn func(name string, b []byte)) {
	names, err := f.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		name := strings.TrimPrefix(dir+"/"+n, "./")
		if strings.HasPrefix(name, "arena-") {
			m, _, err := f.Map(name, 40<<10)
			if err != nil {
				t.Fatal(err)
			}
			fn(name, m.Bytes())
		} else if _, err := f.Open(name, segment.ReadOnly); errors.Is(err, fs.ErrNotExist) {
			eachFile(t, f, name, fn)
		} else {
			fn(name, []byte(content(t, f, name)))
		}
	}
}

// loadGolden puts the golden files onto a fake disk.
func loadGolden(t *testing.T) *fakefs.FS {
	t.Helper()
	f := fakefs.New()
	err := filepath.WalkDir(goldenDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(goldenDir, path)
		name = filepath.ToSlash(name)
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "arena-") {
			m, _, err := f.Map(name, int64(len(b)))
			copy(m.Bytes(), b)
			return err
		}
		if err := f.MkdirAll(filepath.ToSlash(filepath.Dir(name))); err != nil {
			return err
		}
		x, err := f.Open(name, segment.Create)
		if err != nil {
			return err
		}
		_, err = x.WriteAt(b, 0)
		return errors.Join(err, x.Datasync(), x.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestADataDirectoryOfVersionOneIsRead(t *testing.T) {
	if *rewrite {
		makeGolden(t)
	}
	f, work := loadGolden(t), &nowWorker{}
	for name, least := range map[string]int{"shards/0/journal": 16 << 10, "shards/0/arena": 100, "topics/ab010000000000000000000000000000/0/00000000000000000000.index": 128} {
		if len(content(t, f, name)) < least {
			t.Errorf("%s is not among the golden files", name)
		}
	}
	rec, err := segment.Recover(segment.RecoverConfig{FS: f, Arena: f})
	if err != nil || len(rec.Report.Damaged)+len(rec.Report.Quarantined)+len(rec.Report.Unknown) > 0 || rec.Report.Torn > 0 || rec.Report.Bytes == 0 {
		t.Fatalf("%v, %+v", err, rec)
	}
	s, err := segment.OpenStore(goldenConfig(f, work))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		id := core.PartitionID{Topic: core.TopicID{0xab, 1}, Index: int32(i)}
		l := s.Open(id, segment.LogConfig{SegmentBytes: 1 << 20, RetentionMs: -1, RetentionBytes: -1}, rec.Logs[id])
		if l.Start() != core.Offset(7*i) || l.End() != 72 {
			t.Errorf("partition %d holds %d to %d", i, l.Start(), l.End())
		}
		var got []byte
		if err := l.Scan(l.Start(), func(b []byte) error { got = append(got, b...); return nil }); err != nil {
			t.Fatal(err)
		}
		var want []byte
		for n, b := range goldenBatches(i) {
			batch.Stamp{Base: core.Offset(3 * n), Epoch: core.Epoch(1 + n/12), AppendTime: -1}.Apply(b[:batch.HeaderSize], b[batch.HeaderSize:])
			if core.Offset(3*n+2) >= l.Start() {
				want = append(want, b...)
			}
		}
		if string(got) != string(want) {
			t.Errorf("partition %d holds other bytes", i)
		}
	}
}

// What is written is what is drawn: the golden files are made of the same bytes that
// the code makes of their content, and docs/format.md names its constants.
func TestTheFormatsAreAsDrawn(t *testing.T) {
	f := loadGolden(t)
	segment.CheckDrawn(t, f, core.PartitionID{Topic: core.TopicID{0xab, 1}})
	doc, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range segment.DrawnRows() {
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/format.md does not say: %s", row)
		}
	}
}
