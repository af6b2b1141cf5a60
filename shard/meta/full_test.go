package meta

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment/fakefs"
)

func remove(name string) core.Command { return core.Command{Kind: core.DeleteTopic, Topic: name} }

func shorten(name, ms string) core.Command {
	return core.Command{Kind: core.AlterTopic, Topic: name, Set: map[string]*string{"retention.ms": &ms}}
}

// On a full disk what may make room is done, durably, and the rest is refused; with room
// all goes on, without a new start.
func TestAFullDiskRefusesNewTopicsAndDeletesOldOnes(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 2)
	c.opt.PartitionsMax = 1 << 20
	const n = 200
	for i := range n {
		if r := c.Do(create(fmt.Sprint("t", i), 3)); r.Code != core.OK {
			t.Fatal(r.Text)
		}
	}
	fs.SetFull(0)
	refused := 0
	for i := range 3000 { // more than the reserve holds, if each took of it
		if r := c.Do(create(fmt.Sprint("new", i), 1)); r.Code == core.ErrDiskFull {
			refused++
		} else if r.Code != core.OK || refused > 0 {
			t.Fatalf("a topic on a full disk: %v, after %d refusals", r.Code, refused)
		}
	}
	if r := c.Do(core.Command{Kind: core.CreatePartitions, Topic: "t0", Partitions: 9}); refused == 0 || r.Code != core.ErrDiskFull {
		t.Fatalf("%d topics were refused; more partitions: %v", refused, r.Code)
	}
	for i := range n {
		if r := c.Do(shorten(fmt.Sprint("t", i), "1000")); r.Code != core.OK {
			t.Fatalf("settings of topic %d cannot be changed on a full disk: %s", i, r.Text)
		}
	}
	for i := range n - 1 {
		if r := c.Do(remove(fmt.Sprint("t", i))); r.Code != core.OK {
			t.Fatalf("topic %d cannot be deleted on a full disk: %s", i, r.Text)
		}
	}
	for seed := range uint64(10) {
		after := mustOpen(t, fs.Crash(rand.New(rand.NewPCG(seed, 1))), 2).Catalog().Load()
		last := after.Topic(fmt.Sprint("t", n-1))
		if after.Topic("t0") != nil || last == nil || last.Config.RetentionMs != 1000 {
			t.Fatalf("after a power cut: %v", last)
		}
	}
	fs.SetFull(-1)
	if r := c.Do(create("again", 1)); r.Code != core.OK {
		t.Fatalf("with room again: %s", r.Text)
	}
	if c = mustOpen(t, fs.Kill(), 2); c.Catalog().Load().Topic("again") == nil {
		t.Error("the topic is gone with the process")
	}
}

// A snapshot that finds no room leaves the events where they are.
func TestAFullDiskDoesNotEndTheCatalogWithASnapshot(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 1)
	if r := c.Do(create("t", 1000)); r.Code != core.OK {
		t.Fatal(r.Text)
	}
	for i := 0; c.file.end-c.file.base < rewriteMin-(100<<10); i++ {
		if r := c.Do(shorten("t", fmt.Sprint(1000+i))); r.Code != core.OK {
			t.Fatal(r.Text)
		}
	}
	fs.SetFull(0)
	done := 0
	for ; c.file.end-c.file.base <= rewriteMin && done < 1000; done++ {
		if r := c.Do(shorten("t", fmt.Sprint(9000+done))); r.Code != core.OK {
			t.Fatalf("after %d changes on a full disk: %s", done, r.Text)
		}
	}
	was := c.file.base
	if r := c.Do(remove("t")); r.Code != core.OK || c.file.base != was {
		t.Fatalf("after a snapshot found no room: %v %s", r.Code, r.Text)
	}
	fs.SetFull(-1)
	if r := c.Do(create("u", 1)); r.Code != core.OK || c.file.base == was {
		t.Errorf("with room again: %v %s; a snapshot was made: %v", r.Code, r.Text, c.file.base != was)
	}
	if got := mustOpen(t, fs.Kill(), 1).Catalog().Load(); got.Topic("t") != nil || got.Topic("u") == nil {
		t.Errorf("after a start there are %d topics", len(got.Topics))
	}
}

// Where no space can be kept ahead, the write itself finds the disk full: what it left is
// cut off, and the command after it is as durable as any.
func TestAWriteThatFindsTheDiskFullIsNoFailure(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 1)
	want := []string{"t0"}
	for i := range 5 {
		c.Do(create(fmt.Sprint("t", 2*i), 1))
		fs.FailNth(fakefs.OpWrite, 1, core.ErrDiskFull)
		if r := c.Do(create(fmt.Sprint("t", 2*i+1), 500)); r.Code != core.ErrDiskFull {
			t.Fatalf("%v %s", r.Code, r.Text)
		}
		if size, err := c.file.f.Size(); err != nil || size != c.file.end {
			t.Fatalf("the file has %d bytes, and its records %d: %v", size, c.file.end, err)
		}
	}
	if r := c.Do(create("last", 1)); r.Code != core.OK {
		t.Fatal(r.Text)
	}
	want = append(want, "t2", "t4", "t6", "t8", "last")
	for seed := range uint64(20) {
		got := mustOpen(t, fs.Crash(rand.New(rand.NewPCG(seed, 2))), 1).Catalog().Load()
		for _, name := range want {
			if got.Topic(name) == nil || len(got.Topics) != len(want) {
				t.Fatalf("of %d topics %d are left", len(want), len(got.Topics))
			}
		}
	}
}
