package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/core"
)

// catalogWriter is the single writer of the catalog. What it has decided is durable at
// once: its own file has its own tests.
type catalogWriter struct {
	w       *world
	now     atomic.Pointer[core.Catalog]
	deleted map[core.TopicID]bool
	made    int
}

func newCatalogWriter(w *world) *catalogWriter {
	c := &catalogWriter{w: w, deleted: map[core.TopicID]bool{}}
	c.now.Store(core.NewCatalog(0, 0, nil))
	return c
}

// publish makes the next catalog out of the present one.
func (c *catalogWriter) publish(starts core.Epoch, topics []*core.Topic) {
	c.now.Store(core.NewCatalog(c.now.Load().Revision+1, starts, topics))
}

// do is shard.Config.Change.
func (c *catalogWriter) do(cmd core.Command) core.CommandResult {
	cat := c.now.Load()
	topics := slices.Clone(cat.Topics)
	defer func() { c.w.tracef("catalog: kind %d of %s, now %s", cmd.Kind, cmd.Topic, c.durability(cmd.Topic)) }()
	t := cat.Topic(cmd.Topic)
	switch cmd.Kind {
	case core.CreateTopic:
		if t != nil {
			return core.CommandResult{Code: core.ErrTopicExists}
		}
		t = c.create(cmd.Topic, int(cmd.Partitions))
		topics = append(topics, t)
	case core.DeleteTopic:
		if t == nil {
			return core.CommandResult{Code: core.ErrUnknownTopic}
		}
		c.deleted[t.ID] = true
		topics = slices.DeleteFunc(topics, func(o *core.Topic) bool { return o == t })
	case core.AlterTopic:
		if t == nil {
			return core.CommandResult{Code: core.ErrUnknownTopic}
		}
		next := *t
		next.Config.Durability = durabilityOf(*cmd.Set["penstock.durability"])
		for _, p := range c.w.model.parts {
			if p.id.Topic == t.ID && next.Config.Durability != core.Synced {
				p.alwaysSynced = false
			}
		}
		topics[slices.Index(topics, t)] = &next
		t = &next
	}
	c.publish(cat.Starts, topics)
	return core.CommandResult{Topic: t}
}

func (c *catalogWriter) durability(name string) string {
	if t := c.now.Load().Topic(name); t != nil {
		return t.Config.Durability.String()
	}
	return "gone"
}

func durabilityOf(s string) core.Durability {
	for _, d := range []core.Durability{core.Synced, core.Interval, core.OS} {
		if d.String() == s {
			return d
		}
	}
	panic("no durability " + s)
}

func (c *catalogWriter) create(name string, partitions int) *core.Topic {
	r := c.w.r
	c.made++
	t := &core.Topic{Name: name, Config: core.DefaultTopicConfig()}
	binary.BigEndian.PutUint64(t.ID[:], uint64(c.made))
	binary.BigEndian.PutUint64(t.ID[8:], r.Uint64())
	t.Config.SegmentBytes = int64(8<<10 + r.IntN(64<<10))
	t.Config.LogAppendTime = r.IntN(4) == 0
	t.Config.RetentionMs = -1
	switch r.IntN(4) {
	case 0:
		t.Config.Durability = core.OS
	case 1:
		t.Config.Durability, t.Config.FlushMs = core.Interval, int64(1+r.IntN(100))
	}
	if r.IntN(4) == 0 {
		t.Config.RetentionBytes = int64(32<<10 + r.IntN(128<<10))
	}
	for range partitions {
		t.Partitions = append(t.Partitions, core.ShardID(r.IntN(len(c.w.shards))))
	}
	c.w.model.add(t)
	return t
}

// restart gives every partition an owner among shards, and counts an unclean start.
func (c *catalogWriter) restart(shards int, clean bool) {
	cat := c.now.Load()
	starts := cat.Starts
	if !clean {
		starts++
	}
	var topics []*core.Topic
	for _, t := range cat.Topics {
		next := *t
		next.Partitions = slices.Clone(t.Partitions)
		for i := range next.Partitions {
			next.Partitions[i] = core.ShardID(c.w.r.IntN(shards))
		}
		topics = append(topics, &next)
	}
	c.publish(starts, topics)
}

// known says whether the catalog has this partition.
func (c *catalogWriter) known(p core.PartitionID) bool {
	_, ok := c.now.Load().Owner(p)
	return ok
}

func topicName(i int) string { return fmt.Sprintf("topic-%d", i) }
