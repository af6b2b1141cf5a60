package sim

import (
	"fmt"
	"strconv"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/meta"
)

// catalog is the writer of the catalog, which each start opens anew on the same disk, and
// what the model knows of its topics.
type catalog struct {
	w    *world
	meta *meta.Controller // of the present start
	// What may be there after a start, though nobody was told so: names whose creation
	// was cut off.
	maybe map[string]bool
	fates []*fate // in order of creation
	byID  map[core.TopicID]*fate
}

// fate is what is known of one topic.
type fate struct {
	id          core.TopicID
	name        string
	partitions  int
	deleted     bool
	maybeGone   bool // a deletion was cut off
	maybeLarger bool // an addition of partitions was cut off
}

func newCatalog(w *world) *catalog {
	return &catalog{w: w, maybe: map[string]bool{}, byID: map[core.TopicID]*fate{}}
}

// now is the published catalog.
func (c *catalog) now() *core.Catalog { return c.meta.Catalog().Load() }

// open reads the catalog, counts an unclean start, and gives every partition an owner
// among shards: now and then by way of a start with another number of shards.
func (c *catalog) open(shards int, clean bool) error {
	w := c.w
	defaults := core.DefaultTopicConfig()
	defaults.SegmentBytes, defaults.RetentionMs = w.segmentBytes, -1
	opt := meta.Options{Env: env{w}, Shards: shards, Partitions: 1, Defaults: defaults, PartitionsMax: 1000}
	if w.generation > 1 && w.r.IntN(3) == 0 {
		opt.Shards = 1 + w.r.IntN(4)
		if err := c.reopen(opt); err != nil {
			return err
		}
		opt.Shards = shards
	}
	if err := c.reopen(opt); err != nil {
		return err
	}
	if !clean {
		if err := c.meta.UncleanStart(); err != nil {
			return err
		}
	}
	c.compare()
	if c.now().Topic(offsetsTopic) == nil {
		if r := c.do(core.Command{Kind: core.CreateTopic, Topic: offsetsTopic, Internal: true, Partitions: offsetsParts}); r.Code != core.OK {
			return r.Code
		}
	}
	return nil
}

func (c *catalog) reopen(opt meta.Options) error {
	m, err := meta.Open(c.w.disk, opt)
	if err != nil {
		return err
	}
	c.meta = m
	_, err = m.Rebalance()
	return err
}

// compare checks that a start has found the topics that are there, and no others.
func (c *catalog) compare() {
	w, cat := c.w, c.now()
	for _, f := range c.fates {
		t := cat.TopicByID(f.id)
		switch {
		case t == nil && f.maybeGone:
			f.deleted = true
		case t == nil && !f.deleted:
			w.failf("the topic %s is lost", f.name)
		case t != nil && f.deleted:
			w.failf("the topic %s was deleted and is there again", f.name)
		case t != nil && len(t.Partitions) != f.partitions && (!f.maybeLarger || len(t.Partitions) < f.partitions):
			w.failf("the topic %s has %d partitions; it had %d", f.name, len(t.Partitions), f.partitions)
		}
		f.maybeGone, f.maybeLarger = false, false
	}
	for _, t := range cat.Topics {
		if c.byID[t.ID] == nil && !c.maybe[t.Name] {
			w.failf("there is a topic %s, and nobody made it", t.Name)
		}
		c.know(t)
	}
	clear(c.maybe)
}

// know takes in a topic, or its new partitions.
func (c *catalog) know(t *core.Topic) {
	f := c.byID[t.ID]
	if f == nil {
		f = &fate{id: t.ID, name: t.Name}
		c.fates, c.byID[t.ID] = append(c.fates, f), f
	}
	c.w.model.add(t, f.partitions)
	f.partitions = len(t.Partitions)
}

// deleted says whether a topic has been deleted.
func (c *catalog) deleted(id core.TopicID) bool { return c.byID[id] != nil && c.byID[id].deleted }

// do is shard.Config.Change. What it has answered survives a power cut at once, even
// before any client has heard of it.
func (c *catalog) do(cmd core.Command) core.CommandResult {
	t := c.now().Topic(cmd.Topic)
	if cmd.Kind == core.AlterTopic && t != nil && *cmd.Set[durabilityKey] != core.Synced.String() {
		c.w.model.neverMoreAlwaysSynced(t.ID) // whether or not it is done
	}
	r := c.meta.Do(cmd)
	c.w.tracef("catalog: kind %d of %s: %s, now %s", cmd.Kind, cmd.Topic, r.Code, c.durability(cmd.Topic))
	switch {
	case r.Code == core.ErrStorage:
		c.unsure(cmd, t)
	case r.Code != core.OK:
	case cmd.Kind == core.DeleteTopic:
		c.byID[t.ID].deleted = true
	case r.Topic != nil:
		c.know(r.Topic)
	}
	return r
}

// unsure notes a command that may or may not be durable.
func (c *catalog) unsure(cmd core.Command, t *core.Topic) {
	if cmd.Kind == core.CreateTopic {
		c.maybe[cmd.Topic] = true
	}
	if t == nil || c.byID[t.ID] == nil {
		return
	}
	switch f := c.byID[t.ID]; cmd.Kind {
	case core.DeleteTopic:
		f.maybeGone = true
	case core.CreatePartitions:
		f.maybeLarger = true
	}
}

// gone is shard.Config.Gone.
func (c *catalog) gone(id core.ShardID, topics []core.TopicID) {
	before := c.now().Revision
	err := c.meta.Gone(id, topics)
	if c.now().Revision > before {
		c.w.stats.forgotten++
	}
	c.w.tracef("shard %d has nothing left of %d topics: %v", id, len(topics), err)
}

// swept checks that a topic whose tombstone is forgotten has left no file behind: nothing
// would ever remove it.
func (c *catalog) swept() {
	for _, f := range c.fates {
		if !f.deleted || c.meta.IsDeleted(f.id) {
			continue
		}
		dir := "topics/" + f.id.Hex()
		parts, err := c.w.disk.ReadDir(dir)
		for i := 0; i < f.partitions && err == nil; i++ {
			var files []string
			files, err = c.w.disk.ReadDir(dir + "/" + strconv.Itoa(i))
			parts = append(parts, files...)
		}
		if err == nil && len(parts) > 0 {
			c.w.failf("the topic %s is forgotten, and %v is left", f.name, parts)
		}
	}
}

func (c *catalog) durability(name string) string {
	if t := c.now().Topic(name); t != nil {
		return t.Config.Durability.String()
	}
	return "gone"
}

// known says whether the catalog has this partition.
func (c *catalog) known(p core.PartitionID) bool {
	_, ok := c.now().Owner(p)
	return ok
}

const durabilityKey = "penstock.durability"

// newTopic is a command that makes a topic of some kind.
func (w *world) newTopic() core.Command {
	set := map[string]*string{}
	put := func(key, value string) { set[key] = &value }
	switch w.r.IntN(4) {
	case 0:
		put(durabilityKey, "os")
	case 1:
		put(durabilityKey, "interval")
		put("flush.ms", strconv.Itoa(1+w.r.IntN(100)))
	}
	if w.r.IntN(4) == 0 {
		put("message.timestamp.type", "LogAppendTime")
	}
	switch w.r.IntN(6) {
	case 0:
		put("retention.bytes", strconv.Itoa(32<<10+w.r.IntN(128<<10)))
	case 1:
		put("retention.ms", strconv.Itoa(1000+w.r.IntN(60_000)))
	}
	if w.r.IntN(4) == 0 {
		put("segment.ms", strconv.Itoa(100+w.r.IntN(30_000)))
	}
	return core.Command{Kind: core.CreateTopic, Topic: fmt.Sprintf("topic-%d", w.r.IntN(2*topicsMax)), Partitions: int32(1 + w.r.IntN(4)), Set: set}
}
