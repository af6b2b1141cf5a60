package segment_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// now is a worker that runs each job at once; Done follows when drain says so, as on a
// loop.
type nowWorker struct{ done []core.Job }

func (w *nowWorker) Submit(j core.Job) {
	j.Run()
	w.done = append(w.done, j)
}

func (w *nowWorker) drain() {
	for len(w.done) > 0 {
		j := w.done[0]
		w.done = w.done[1:]
		j.Done()
	}
}

type quietHost struct{ failed error }

func (h *quietHost) Durable(*segment.Log)                       {}
func (h *quietHost) Failed(_ *segment.Log, err error)           { h.failed = err }
func (h *quietHost) Ready(*segment.Log)                         {}
func (h *quietHost) Relieved()                                  {}
func (h *quietHost) Snapshot(_ *segment.Log, dst []byte) []byte { return dst }
func realStore(b *testing.B, fs, arena segment.FS, id core.ShardID, w *nowWorker, h *quietHost) *segment.Store {
	s, err := segment.OpenStore(segment.Config{Shard: id, FS: fs, Arena: arena, Env: &clock{}, Sync: w, Write: w, Read: w, Host: h})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// A start after the death of the process: partitions, of two shards, that hold so much
// each. The page cache is warm. Run it with -benchtime=1x; it writes 10 GB.
func BenchmarkStartAfterKill(b *testing.B) {
	for _, c := range []struct {
		parts, each int
		segment     int64
	}{{1000, 10 << 20, 1 << 30}, {1000, 2 << 20, 256 << 10}} {
		b.Run(fmt.Sprintf("%dx%dMiB/segment=%dKiB", c.parts, c.each>>20, c.segment>>10), func(b *testing.B) {
			startAfterKill(b, c.parts, c.each, c.segment)
		})
	}
}

func startAfterKill(b *testing.B, parts, each int, segmentBytes int64) {
	shm, err := os.MkdirTemp("/dev/shm", "seg-")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(shm) })
	fs, arena := segment.NewOSFS(b.TempDir()), segment.NewOSFS(shm)
	cfg := segment.LogConfig{Durability: core.Synced, SegmentBytes: segmentBytes, SegmentMs: -1, RetentionMs: -1, RetentionBytes: -1}
	id := func(i int) core.PartitionID { return core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)} }
	record := makeBatch(rand.New(rand.NewPCG(1, 1)), 16<<10, 16)
	for i := range 2 {
		w, h := &nowWorker{}, &quietHost{}
		s := realStore(b, fs, arena, core.ShardID(i), w, h)
		var logs []*segment.Log
		for k := i; k < parts; k += 2 {
			logs = append(logs, s.Open(id(k), cfg, nil))
		}
		for range each / len(record) {
			for n, l := range logs {
				if err := l.Append(record, batch.Stamp{Base: l.End(), Epoch: 1, AppendTime: -1}); err != nil {
					b.Fatal(err, h.failed)
				}
				if n%64 == 0 {
					s.Commit()
					w.drain()
				}
			}
		}
		s.Commit()
		w.drain()
		if h.failed != nil {
			b.Fatal(h.failed)
		}
	}
	b.ResetTimer()
	for range b.N {
		rec, err := segment.Recover(segment.RecoverConfig{FS: fs, Arena: arena, Shards: 2})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(rec.Report.Duration.Seconds()*1000, "recover-ms")
		b.ReportMetric(float64(rec.Report.Bytes>>20), "replayed-MiB")
		for i := range 2 {
			s := realStore(b, fs, arena, core.ShardID(i), &nowWorker{}, &quietHost{})
			for k := i; k < parts; k += 2 {
				r := rec.Logs[id(k)]
				if r == nil || r.Quarantined != nil || r.End == 0 {
					b.Fatalf("%+v", r)
				}
				if err := s.Open(id(k), cfg, r).Scan(r.BlobAt, func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
