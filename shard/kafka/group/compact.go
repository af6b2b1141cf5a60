package group

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// compaction keeps the partition bounded. When much more has been written than lives, it
// appends all that lives once more, a batch at a time, and has the log trimmed below
// where it began:
//
//	logStart                       floor                      end
//	   |  dead and living records    |  living records, new ones  |
//	   '------- trimmed at the end --'
//
// A record whose key has a newer one under way is left out: the newer one lies above the
// floor. The trim waits for those. If one fails, the compaction ends without a trim, and a
// later one begins anew. Walks go backwards: the lists fill a gap with their last element, which
// then has been visited.
type compaction struct {
	on     bool
	broken bool        // something under way has failed since it began
	floor  core.Offset // where it began
	number int         // of this compaction; from 1
	awaits int         // ops under way for which records were left out
	held   bool        // all is written: the trim waits for them
	group  int         // the next one to write, counting down; -1: none is left
	image  *image      // that one, …
	offset int         // … and how many of its offsets are to be written
}

// compactGrowth is how many times what lives must have been written.
const compactGrowth = 4

// compactIfDue begins a compaction.
func (c *Coordinator) compactIfDue() {
	if c.compact.on || c.fold.foreign > 0 || c.fold.written < c.opt.CompactMin || c.fold.written < compactGrowth*c.fold.bytes {
		return
	}
	c.compacts++
	c.compact = compaction{on: true, floor: c.fold.next, group: len(c.fold.list) - 1, number: c.compacts}
	c.compactOn()
}

// compactOn appends the next batch, or asks for the trim.
func (c *Coordinator) compactOn() {
	k := &c.compact
	b := &c.build
	b.begin(c.host.Wall())
	for k.group >= 0 && b.Size() < c.opt.CompactBatch {
		c.compactGroup()
	}
	switch {
	case b.Count() > 0:
		c.append(&op{done: c.compacted})
	case k.broken || k.floor == 0:
		c.compactEnd()
	case k.awaits > 0:
		k.held = true
	default:
		c.fx.Query = append(c.fx.Query, session.Query{
			Ticket:    c.ticket(&op{done: func(core.Outcome, core.Code) { c.compactEnd() }}),
			Partition: c.partition, Kind: session.QueryTrim, Epoch: -1, Arg: int64(k.floor),
		})
	}
}

// compacted follows the append of a batch.
func (c *Coordinator) compacted(outcome core.Outcome, _ core.Code) {
	if outcome != core.Done || c.compact.broken {
		c.compactEnd()
		return
	}
	c.compactOn()
}

// compactEnd ends the compaction. The count of what has been written begins anew in any
// case, so that a disk that refuses is not asked again and again.
func (c *Coordinator) compactEnd() {
	c.compact = compaction{}
	c.fold.written = c.fold.bytes
}

// compactGroup writes some or all of the group at the cursor.
func (c *Coordinator) compactGroup() {
	k, b := &c.compact, &c.build
	if k.group >= len(c.fold.list) { // the list has become shorter
		k.group = len(c.fold.list) - 1
		k.image = nil
		return
	}
	im := c.fold.list[k.group]
	if im != k.image {
		k.image, k.offset = im, len(im.offsets)
		if im.meta != nil && !c.groups[im.id].writesMeta() {
			b.key = appendGroupKey(b.key[:0], im.id)
			b.add(b.key, im.meta)
		}
	}
	k.offset = min(k.offset, len(im.offsets))
	c.compactAwaits(c.groups[im.id])
	busy := c.groups[im.id].writes()
	for k.offset > 0 && b.Size() < c.opt.CompactBatch {
		k.offset--
		if e := &im.offsets[k.offset]; !busy[e.topicPartition] {
			c.addOffset(im.id, e.topicPartition, &e.committed)
		}
	}
	if k.offset == 0 {
		k.group--
		k.image = nil
	}
}

// compactAwaits has the trim wait for what the group has under way.
func (c *Coordinator) compactAwaits(g *group) {
	for _, o := range g.ops {
		if o.compact != c.compact.number {
			o.compact = c.compact.number
			c.compact.awaits++
		}
	}
}

// compactSettled notes the end of an op.
func (c *Coordinator) compactSettled(o *op) {
	if k := &c.compact; k.on && o.compact == k.number {
		if k.awaits--; k.awaits == 0 && k.held {
			k.held = false
			c.compactOn()
		}
	}
}

// writesMeta says whether metadata of the group is under way.
func (g *group) writesMeta() bool {
	for _, o := range g.ops {
		if o.meta {
			return true
		}
	}
	return false
}

// writes is the offsets of the group that are under way; nil: none.
func (g *group) writes() map[topicPartition]bool {
	var keys map[topicPartition]bool
	for _, o := range g.ops {
		for _, tp := range o.keys {
			if keys == nil {
				keys = map[topicPartition]bool{}
			}
			keys[tp] = true
		}
	}
	return keys
}
