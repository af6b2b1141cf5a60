package segment_test

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// What a start costs that finds a journal of 512 MiB which has gone round, of which
// 64 MiB are to be replayed; the page cache is warm.
func BenchmarkReplayOfAFullRing(b *testing.B) {
	fs := segment.NewOSFS(b.TempDir())
	if err := fs.MkdirAll("shards/0"); err != nil {
		b.Fatal(err)
	}
	w, err := segment.OpenJournalWriter(fs, "shards/0", 512<<20)
	if err != nil {
		b.Fatal(err)
	}
	record := segment.MakeBatch(0, 1, 250<<10, rand.New(rand.NewPCG(1, 1)))
	var last []uint64
	for range 2200 {
		seq, ok, err := w.Write(0, 0, record)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
		if last = append(last, seq); len(last) > 256 {
			w.Release(last[0])
			last = last[1:]
		}
	}
	b.ResetTimer()
	for range b.N {
		n, _, err := segment.Replay(fs, "shards/0", last[0]-1, func(core.Offset, []byte) {})
		if err != nil || n < 256 {
			b.Fatal(n, err)
		}
	}
}
