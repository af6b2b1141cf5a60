package group

import "github.com/penstock/penstock/core"

// expire runs every ExpiryInterval. An offset is kept for the retention time, counted
// from when the group became empty, or a later commit (an operator's); for readers without a group, and for topics that
// the members of a stable group do not read any more, from the commit (KIP-211). A group
// that has nothing left goes.
func (c *Coordinator) expire() {
	c.timers.set(&c.expiry, c.now+c.opt.ExpiryInterval)
	c.dropDeletedTopics(true)
	now := c.host.Wall()
	for _, g := range c.list {
		if len(g.ops) > 0 || g.state == dead || len(g.promised) > 0 {
			continue // what is on its way is newer than what we could decide on
		}
		im := c.fold.byID[g.id]
		keys := g.expired(im, now)
		left := 0
		if im != nil {
			left = len(im.offsets) - len(keys)
		}
		switch {
		case g.state == empty && left == 0 && im != nil:
			g.delete(func(core.Outcome, core.Code) {})
			c.touch(g)
		case len(keys) > 0:
			g.bury(keys, false, func(core.Outcome, core.Code) {})
		}
	}
}

// expired is which offsets have been kept for long enough.
func (g *group) expired(im *image, now int64) []topicPartition {
	if im == nil {
		return nil
	}
	retention := g.c.opt.OffsetsRetention.Milliseconds()
	var read map[string]bool
	since := int64(-1)
	switch {
	case g.protocolType == "": // nobody manages it
	case g.state == empty:
		since = g.since
	case g.state == stable:
		topics, known := g.subscribed()
		if !known {
			return nil
		}
		read = topics
	default:
		return nil
	}
	var keys []topicPartition
	for i := range im.offsets {
		e := &im.offsets[i]
		if read[e.topic] {
			continue
		}
		from := max(e.time, since)
		if e.expires >= 0 && now >= e.expires || e.expires < 0 && now-from >= retention {
			keys = append(keys, e.topicPartition)
		}
	}
	return keys
}

// dropDeletedTopics follows a change of the catalog: offsets of topics that are gone go
// too, also if another topic has the name now. What is under way, or fails, is made up
// for by a later change or check; until then such offsets are not shown (offsetOf). Unless all is set, offsets are
// looked at only if their topics say that there is cause.
func (c *Coordinator) dropDeletedTopics(all bool) {
	catalog := c.host.Catalog()
	stale := false
	for _, use := range c.fold.topics {
		now := catalog.Topic(use.name)
		if use.stale(now) {
			stale = true
			use.id, use.mixed = core.TopicID{}, false
			if now != nil {
				use.id = now.ID
			}
		}
	}
	if !stale && !all {
		return
	}
	for _, im := range c.fold.list {
		g := c.groups[im.id]
		if g.state == dead {
			continue
		}
		var keys []topicPartition
		var busy map[topicPartition]bool
		for i := range im.offsets {
			e := &im.offsets[i]
			if t := catalog.Topic(e.topic); t != nil && e.of(t) {
				continue
			}
			if keys == nil {
				busy = g.writes()
			}
			if !busy[e.topicPartition] {
				keys = append(keys, e.topicPartition)
			}
		}
		g.bury(keys, false, func(core.Outcome, core.Code) {})
	}
}
