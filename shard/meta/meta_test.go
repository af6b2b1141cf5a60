package meta

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

func options(shards int) Options {
	return Options{Env: core.System{}, Shards: shards, Partitions: 1, Defaults: core.DefaultTopicConfig(), PartitionsMax: 1000}
}

func mustOpen(t *testing.T, fs segment.FS, shards int) *Controller {
	t.Helper()
	c, err := Open(fs, options(shards))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(name string, partitions int32) core.Command {
	return core.Command{Kind: core.CreateTopic, Topic: name, Partitions: partitions}
}

func TestAcknowledgedCommandsSurviveAPowerCutAfterAnyOfThem(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		fs := fakefs.New()
		c := mustOpen(t, fs, 2)
		want := map[string]core.TopicID{}
		for i := range r.IntN(30) {
			name := fmt.Sprint("t", r.IntN(10))
			if id, ok := want[name]; ok && r.IntN(2) == 0 {
				if res := c.Do(core.Command{Kind: core.DeleteTopic, ID: id}); res.Code != core.OK {
					t.Fatal(res.Text)
				}
				delete(want, name)
			} else if !ok {
				want[name] = c.Do(create(name, int32(i%3+1))).Topic.ID
			}
		}
		cluster, revision := c.ClusterID(), c.Catalog().Load().Revision
		c = mustOpen(t, fs.Crash(r), 2)
		got := c.Catalog().Load()
		if c.ClusterID() != cluster || got.Revision != revision || len(got.Topics) != len(want) {
			t.Fatalf("seed %d: revision %d and %d topics, want %d and %d", seed, got.Revision, len(got.Topics), revision, len(want))
		}
		for name, id := range want {
			if got.Topic(name) == nil || got.Topic(name).ID != id {
				t.Fatalf("seed %d: topic %s is missing or another", seed, name)
			}
		}
	}
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	fs := fakefs.New()
	seen := map[int64]bool{}
	for restart := range 3 {
		c := mustOpen(t, fs, 1)
		for range producerBlock + 5 {
			id := c.Do(core.Command{Kind: core.AllocateProducerID}).ProducerID
			if seen[id] {
				t.Fatalf("start %d gave producer id %d again", restart, id)
			}
			seen[id] = true
		}
	}
}

func TestPartitionsAreEvenAfterEveryChangeOfTheShardCount(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 4)
	for i := range 7 {
		c.Do(create(fmt.Sprint("t", i), 5))
	}
	for _, shards := range []int{2, 3, 1, 4} {
		c = mustOpen(t, fs, shards)
		if _, err := c.Rebalance(); err != nil {
			t.Fatal(err)
		}
		load := make([]int, shards)
		for _, topic := range c.Catalog().Load().Topics {
			for _, s := range topic.Partitions {
				load[s]++ // out of range if an owner does not exist
			}
		}
		for _, n := range load {
			if n < 35/shards || n > 35/shards+1 {
				t.Errorf("%d shards: %v", shards, load)
			}
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	c := mustOpen(t, fakefs.New(), 1)
	c.Do(create("there", 2))
	bad := "compact"
	for _, tc := range []struct {
		cmd  core.Command
		code core.Code
		text string
	}{
		{create("there", 1), core.ErrTopicExists, "exists"},
		{create("a/b", 1), core.ErrInvalidTopic, "a-z"},
		{create("..", 1), core.ErrInvalidTopic, "a-z"},
		{create("x", 0), core.ErrInvalidPartitions, "at least one"},
		{create("x", 5000), core.ErrPolicy, "limit of 1000"},
		{core.Command{Kind: core.CreatePartitions, Topic: "there", Partitions: 2}, core.ErrInvalidPartitions, "only grow"},
		{core.Command{Kind: core.AlterTopic, Topic: "there", Set: map[string]*string{"cleanup.policy": &bad}}, core.ErrInvalidConfig, "only delete"},
		{core.Command{Kind: core.DeleteTopic, Topic: "nope"}, core.ErrUnknownTopic, "nope"},
	} {
		r := c.Do(tc.cmd)
		if r.Code != tc.code || !strings.Contains(r.Text, tc.text) {
			t.Errorf("%+v: %v %q", tc.cmd, r.Code, r.Text)
		}
	}
	dry := create("dry", 1)
	dry.DryRun = true
	if r := c.Do(dry); r.Code != core.OK || c.Catalog().Load().Topic("dry") != nil {
		t.Error("a dry run changed something, or was refused")
	}
}

func TestDamageInTheMiddleIsRefusedAndATornTailIsCut(t *testing.T) {
	base := fakefs.New()
	c := mustOpen(t, base, 1)
	for i := range 5 {
		c.Do(create(fmt.Sprint("t", i), 1))
	}
	flipped := func(pos int64) error {
		fs := base.Kill()
		f, err := fs.Open(fileName, segment.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], pos); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], pos); err != nil {
			t.Fatal(err)
		}
		_, err = Open(fs, options(1))
		return err
	}
	var corrupt *CorruptError
	if err := flipped(c.file.base + 20); !errors.As(err, &corrupt) {
		t.Errorf("damage before good records: %v", err)
	}
	if err := flipped(c.file.end - 3); err != nil {
		t.Errorf("damage in the last record is a torn write: %v", err)
	}
}

func TestAFailedSyncIsFinal(t *testing.T) {
	{
		fs := fakefs.New()
		c := mustOpen(t, fs, 1)
		c.Do(create("a", 1))
		c.file.f = failing{c.file.f}
		if r := c.Do(create("b", 1)); r.Code != core.ErrStorage {
			t.Fatalf("a command whose sync failed was answered %v", r.Code)
		}
		if r := c.Do(create("c", 1)); r.Code != core.ErrStorage || c.Catalog().Load().Topic("c") != nil {
			t.Fatalf("after a failed sync a command was answered %v", r.Code)
		}
	}
}

// failing is a file whose sync fails once and then lies.
type failing struct{ segment.File }

func (failing) Datasync() error { return errors.New("input/output error") }

func TestTheFileIsRewrittenWhenEventsOutweighIt(t *testing.T) {
	fs := fakefs.New()
	c := mustOpen(t, fs, 1)
	c.Do(create("t", 1))
	v := strings.Repeat("9", 15)
	for range 9000 {
		if r := c.Do(core.Command{Kind: core.AlterTopic, Topic: "t", Set: map[string]*string{"retention.ms": &v}}); r.Code != core.OK {
			t.Fatal(r.Text)
		}
	}
	if c.file.end > 2*rewriteMin {
		t.Errorf("the file has %d bytes", c.file.end)
	}
	rev := c.Catalog().Load().Revision
	if got := mustOpen(t, fs, 1).Catalog().Load().Revision; got != rev {
		t.Errorf("revision %d after the rewrite, want %d", got, rev)
	}
}

// Two clients that append at the same time both have what they asked for: the writer
// edits the list that is there, not the one that a client has read.
func TestListsAreEditedAsTheyAreWhenTheCommandIsDecided(t *testing.T) {
	for _, c := range []struct {
		list string
		edit core.ListEdit
		want string
	}{
		{"delete", core.ListEdit{Elements: "compact"}, "delete,compact"},
		{"delete", core.ListEdit{Elements: "delete"}, "delete"},
		{"", core.ListEdit{Elements: " a, b ,,a"}, "a,b"},
		{"delete , compact", core.ListEdit{Elements: "compact", Remove: true}, "delete"},
		{"delete", core.ListEdit{Elements: "x", Remove: true}, "delete"},
		{"delete", core.ListEdit{Elements: "delete", Remove: true}, ""},
	} {
		if got := editList(c.list, c.edit); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	c := mustOpen(t, fakefs.New(), 1)
	c.Do(create("t", 1))
	alter := func(e core.ListEdit) core.CommandResult {
		return c.Do(core.Command{Kind: core.AlterTopic, Topic: "t", Edit: map[string]core.ListEdit{"cleanup.policy": e}})
	}
	if r := alter(core.ListEdit{Elements: "delete"}); r.Code != core.OK || r.Topic.Set["cleanup.policy"] != "delete" {
		t.Errorf("%+v", r)
	}
	for _, e := range []core.ListEdit{{Elements: "compact"}, {Elements: "delete", Remove: true}} {
		if r := alter(e); r.Code != core.ErrInvalidConfig {
			t.Errorf("%+v: %+v", e, r)
		}
	}
}

func TestATopicThatIsMadeAgainHasAnotherIdAndNoLowerEpoch(t *testing.T) {
	c := mustOpen(t, fakefs.New(), 1)
	was, epoch := c.Do(create("t", 1)).Topic.ID, c.Catalog().Load().Starts
	c.Do(core.Command{Kind: core.DeleteTopic, Topic: "t"})
	if r := c.Do(create("t", 1)); r.Code != core.OK || r.Topic.ID == was || c.Catalog().Load().Starts < epoch {
		t.Errorf("%+v; it was %v at epoch %d", r, was, epoch)
	}
}

func TestAnInternalTopicIsNotTrimmedByAgeOrSizeAndNotAltered(t *testing.T) {
	o := options(1)
	o.Defaults.RetentionMs, o.Defaults.RetentionBytes = 1000, 1<<20
	fs := fakefs.New()
	c, err := Open(fs, o)
	if err != nil {
		t.Fatal(err)
	}
	own := create("own", 1)
	own.Internal = true
	c.Do(own)
	c.Do(create("other", 1))
	v := "5"
	if r := c.Do(core.Command{Kind: core.AlterTopic, Topic: "own", Set: map[string]*string{"retention.ms": &v}}); r.Code != core.ErrPolicy {
		t.Errorf("%+v", r)
	}
	for range 2 { // the second time from the file
		a, b := c.Catalog().Load().Topic("own").Config, c.Catalog().Load().Topic("other").Config
		if a.RetentionMs != -1 || a.RetentionBytes != -1 || b.RetentionMs != 1000 || b.RetentionBytes != 1<<20 {
			t.Errorf("%+v\n%+v", a, b)
		}
		if c, err = Open(fs, o); err != nil {
			t.Fatal(err)
		}
	}
}
