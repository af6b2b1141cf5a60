package meta

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// files makes a segment file of a partition of the topic, durably, or removes it.
func files(t *testing.T, fs segment.FS, id core.TopicID, there bool) {
	t.Helper()
	dir := "topics/" + id.Hex() + "/0"
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !there {
		must(fs.Remove(dir + "/0.log"))
		return
	}
	must(fs.MkdirAll(dir))
	f, err := fs.Open(dir+"/0.log", segment.Create)
	must(err)
	must(f.Close())
	must(fs.SyncDir(dir))
}

func TestATombstoneIsForgottenWhenEveryShardHasNothingLeftAndNoFileIs(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 3)
	id := c.Do(create("t", 1)).Topic.ID
	files(t, fs, id, true)
	c.Do(core.Command{Kind: core.DeleteTopic, ID: id})
	gone := func(shard core.ShardID) {
		if err := c.Gone(shard, []core.TopicID{id}); err != nil {
			t.Fatal(err)
		}
	}
	gone(0)
	gone(0)
	gone(1)
	files(t, fs, id, false)
	if !c.IsDeleted(id) {
		t.Fatal("forgotten before the last shard had nothing left")
	}
	gone(2)
	if c.IsDeleted(id) || mustOpen(t, fs.Crash(rand.New(rand.NewPCG(1, 1))), 3).IsDeleted(id) {
		t.Error("not forgotten, or not durably")
	}
	if names, _ := fs.ReadDir("topics"); len(names) > 0 {
		t.Errorf("directories are left: %v", names)
	}

	// A file that could not be removed keeps the tombstone, until a start finds none.
	id = c.Do(create("t", 1)).Topic.ID
	files(t, fs, id, true)
	c.Do(core.Command{Kind: core.DeleteTopic, ID: id})
	for i := range core.ShardID(3) {
		gone(i)
	}
	if !c.IsDeleted(id) {
		t.Fatal("forgotten while a file was left")
	}
	c = mustOpen(t, fs.Kill(), 3)
	files(t, c.file.fs, id, false)
	if err := c.Sweep(); err != nil || c.IsDeleted(id) {
		t.Errorf("not forgotten at the start: %v", err)
	}
}

func TestNoCrashWhileForgettingLeavesFilesWithoutATombstone(t *testing.T) {
	for cut := 1; ; cut++ {
		fs := fakefs.New()
		c := mustOpen(t, fs, 1)
		var ids []core.TopicID
		for i := range 3 {
			ids = append(ids, c.Do(create(fmt.Sprint("t", i), 1)).Topic.ID)
			files(t, fs, ids[i], true)
			c.Do(core.Command{Kind: core.DeleteTopic, ID: ids[i]})
			files(t, fs, ids[i], false)
		}
		fs.CutAt(cut)
		if c.Sweep() == nil {
			if cut < 5 {
				t.Fatal("nothing was cut off")
			}
			return
		}
		for seed := range uint64(30) {
			after := fs.Crash(rand.New(rand.NewPCG(seed, uint64(cut))))
			c := mustOpen(t, after, 1)
			for _, id := range ids {
				left, _ := after.ReadDir("topics/" + id.Hex() + "/0")
				if len(left) > 0 && !c.IsDeleted(id) {
					t.Fatalf("cut %d, seed %d: a file of a forgotten topic is back", cut, seed)
				}
			}
		}
	}
}
