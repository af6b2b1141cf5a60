package segment_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// hintFS notes which ranges of segments are to be written back.
type hintFS struct {
	*fakefs.FS
	ranges *[][2]int64
}

func (h hintFS) Open(name string, mode segment.Mode) (segment.File, error) {
	f, err := h.FS.Open(name, mode)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return hintFile{f, h.ranges}, nil
}

type hintFile struct {
	segment.File
	ranges *[][2]int64
}

func (h hintFile) Writeback(pos, n int64) error {
	*h.ranges = append(*h.ranges, [2]int64{pos, pos + n})
	return h.File.Writeback(pos, n)
}

// The disk is put to work while a segment grows, in pieces of a MiB and more, each byte
// once: a checkpoint, of which there is none here, finds little to do.
func TestTheDiskIsPutToWorkWhileASegmentGrows(t *testing.T) {
	var ranges [][2]int64
	fs := hintFS{fakefs.New(), &ranges}
	work := &ring{}
	s, err := segment.OpenStore(segment.Config{FS: fs, Arena: fs, Env: &clock{}, ArenaBytes: 4 << 20, ChunkBytes: 16 << 10,
		JournalBytes: 32 << 20, CheckpointBytes: 1 << 40, Sync: work, Write: work, Read: work, Host: &quietHost{}})
	if err != nil {
		t.Fatal(err)
	}
	l := s.Open(core.PartitionID{Topic: core.TopicID{1}}, segment.LogConfig{Durability: core.OS, SegmentBytes: 1 << 30, SegmentMs: -1,
		RetentionMs: -1, RetentionBytes: -1, FlushMs: -1, FlushMessages: 1 << 40}, nil)
	b := makeBatch(rand.New(rand.NewPCG(1, 71)), 64<<10, 3)
	const size = 8 << 20
	for range size / len(b) {
		if err := l.Append(b, batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: -1}); err != nil {
			t.Fatal(err)
		}
		s.Commit()
		work.run()
	}
	at := int64(0)
	for _, r := range ranges {
		if r[0] != at || r[1]-r[0] < 1<<20 {
			t.Errorf("from %d to %d, after %d", r[0], r[1], at)
		}
		at = r[1]
	}
	if at < size-2<<20 {
		t.Errorf("of %d bytes %d are written back: %v", size, at, ranges)
	}
	if n := s.Stats().Checkpoints; n != 0 {
		t.Errorf("%d checkpoints", n)
	}
}
