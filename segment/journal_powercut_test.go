//go:build powercut

package segment_test

import (
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/powercut"
)

// journalWorkload writes groups through the real file system and marks each as soon as
// its sync returned; early plants the mistake of marking it before.
func journalWorkload(t *testing.T, n int, early bool) func(*powercut.Rig, string) {
	return func(rig *powercut.Rig, dir string) {
		f := segment.NewOSFS(dir)
		if err := f.MkdirAll("shards/0"); err != nil {
			t.Fatal(err)
		}
		w, err := segment.OpenJournalWriter(f, "shards/0", 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		r := rand.New(rand.NewPCG(1, 1))
		for i := range int64(n) {
			b := segment.MakeBatch(core.Offset(i*2), 1, r.IntN(20000), r)
			if early {
				rig.Mark(i)
			}
			if _, ok, err := w.Write(0, core.Offset(i*2), b); err != nil || !ok {
				t.Fatalf("group %d: %v, %v", i, ok, err)
			}
			if !early {
				rig.Mark(i)
			}
		}
	}
}

// lost counts the images in which an acknowledged group is missing.
func lost(t *testing.T, rig *powercut.Rig, images int) (missing, torn int) {
	rig.Images(images, 7, func(dir string, at int) {
		acked := rig.Acked(at)
		next := int64(0)
		_, cut, err := segment.Replay(segment.NewOSFS(dir), "shards/0", 0, func(base core.Offset, _ []byte) {
			if base != core.Offset(next*2) {
				t.Errorf("cut at %d: group %d replayed; want %d", at, base/2, next)
			}
			next++
		})
		if err != nil {
			t.Errorf("cut at %d: %v", at, err)
		}
		if cut {
			torn++
		}
		if int(next) < len(acked) {
			missing++
		}
	})
	return missing, torn
}

func TestPowerCutsOfAJournal(t *testing.T) {
	rig := powercut.Record(t, 64<<20, journalWorkload(t, 300, false))
	writes, flushes, marks := rig.Counts()
	missing, torn := lost(t, rig, 200)
	t.Logf("%d writes, %d flushes, %d acknowledgements; 200 images: %d torn, %d with an acknowledged group missing", writes, flushes, marks, torn, missing)
	if missing > 0 || torn == 0 || flushes < marks {
		t.Errorf("want none missing, some torn, and a flush for each acknowledgement")
	}
}

func TestPowerCutsCatchAnEarlyAcknowledgement(t *testing.T) {
	rig := powercut.Record(t, 64<<20, journalWorkload(t, 100, true))
	missing, _ := lost(t, rig, 40)
	t.Logf("40 images: %d with an acknowledged group missing", missing)
	if missing == 0 {
		t.Error("the planted early acknowledgement was not caught")
	}
}
