package meta

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment/fakefs"
)

func TestAnEventWhoseSyncFailedLeavesNoGapForThoseAfterARestart(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		fs := fakefs.New()
		c := mustOpen(t, fs, 1)
		fs.FailNth(fakefs.OpSync, 1, errors.New("input/output error"))
		if res := c.Do(create("lost", 1)); res.Code != core.ErrStorage {
			t.Fatalf("a command whose sync failed was answered %v", res.Code)
		}
		after := fs.Kill() // the page cache shows the event, and the disk will never have it
		c = mustOpen(t, after, 1)
		if res := c.Do(create("kept", 1)); res.Code != core.OK {
			t.Fatal(res.Text)
		}
		if c = mustOpen(t, after.Crash(r), 1); c.Catalog().Load().Topic("kept") == nil {
			t.Fatalf("seed %d: an acknowledged topic is lost", seed)
		}
	}
}

func TestARestartAfterARewriteWasCutOffKeepsWhatFollows(t *testing.T) {
	for cut := 1; ; cut++ {
		fs := fakefs.New()
		c := mustOpen(t, fs, 1)
		c.Do(create("before", 1)) // so that the next start writes the file anew
		fs.CutAt(cut)
		_, err := Open(fs, options(1))
		for seed := range uint64(10) {
			after := fs.Kill() // only the process dies
			if res := mustOpen(t, after, 1).Do(create("kept", 1)); res.Code != core.OK {
				t.Fatal(res.Text)
			}
			cat := mustOpen(t, after.Crash(rand.New(rand.NewPCG(seed, uint64(cut)))), 1).Catalog().Load()
			if cat.Topic("before") == nil || cat.Topic("kept") == nil {
				t.Fatalf("cut %d, seed %d: an acknowledged topic is lost", cut, seed)
			}
		}
		if err == nil {
			return
		}
	}
}
