package segment_test

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// What an append of a batch of 1 KiB costs the loop, group commit and writes included,
// with files that take everything at once.
func BenchmarkAppend(b *testing.B) {
	fs := sinkFS{fakefs.New()}
	work := &ring{}
	s, err := segment.OpenStore(segment.Config{FS: fs, Arena: fs, Env: &clock{}, ArenaBytes: 32 << 20,
		JournalBytes: 256 << 20, Sync: work, Write: work, Read: work, Host: &quietHost{}})
	if err != nil {
		b.Fatal(err)
	}
	cfg := segment.LogConfig{Durability: core.Synced, SegmentBytes: 1 << 30, SegmentMs: -1, RetentionMs: -1, RetentionBytes: -1}
	var logs [16]*segment.Log
	for i := range logs {
		logs[i] = s.Open(core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)}, cfg, nil)
	}
	record := makeBatch(rand.New(rand.NewPCG(1, 1)), 1024, 1)
	b.SetBytes(1024)
	for i := range b.N {
		l := logs[i%16]
		if err := l.Append(record, batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: -1}); err != nil {
			b.Fatal(err)
		}
		if i%256 == 255 {
			s.Commit()
			for work.run() {
			}
		}
	}
}
