package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// DeleteGroups, versions 0 to 3: groups without members go with all their offsets.
// OffsetDelete, version 0: offsets of topics that no member reads. Both are answered
// when the tombstones are durable.

func (c *Coordinator) onDeleteGroups(body []byte) {
	var req kmsg.DeleteGroupsRequest
	if !c.decode(&req, body) {
		return
	}
	resp := &kmsg.DeleteGroupsResponse{Groups: make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))}
	w, open := c.waiter(), 1
	settle := func(i int, code int16) {
		resp.Groups[i].ErrorCode = code
		if open--; open == 0 {
			c.reply(&w, resp)
		}
	}
	open += len(req.Groups)
	for i, id := range req.Groups {
		resp.Groups[i].Group = id
		if code := c.lookup(id).mayDelete(); code != errNone {
			settle(i, code)
			continue
		}
		c.groups[id].delete(func(outcome core.Outcome, code core.Code) {
			settle(i, appendFailed(outcome, code, errUnknownServer))
		})
	}
	if open--; open == 0 {
		c.reply(&w, resp)
	}
}

func (g *group) mayDelete() int16 {
	switch {
	case g == nil:
		return errGroupNotFound
	case g.state == dead:
		return errCoordinatorNotAvailable
	case g.state != empty:
		return errNonEmptyGroup
	}
	return errNone
}

// delete writes the tombstones of all that the group has, and what is on its way to it.
// Until they are durable the group is dead and asks everybody to come again.
func (g *group) delete(done func(core.Outcome, core.Code)) {
	g.become(dead)
	for id := range g.promised {
		g.breakPromise(id)
	}
	g.bury(g.allKeys(), true, func(outcome core.Outcome, code core.Code) {
		if outcome != core.Done {
			g.become(empty)
		}
		done(outcome, code)
	})
}

// bury appends tombstones for offsets, and for the group behind them if all is set, in as
// many batches as it takes. done comes once, with the worst outcome.
func (g *group) bury(keys []topicPartition, all bool, done func(core.Outcome, core.Code)) {
	c, b := g.c, &g.c.build
	open, worst, why := 1, core.Done, core.OK
	settle := func(outcome core.Outcome, code core.Code) {
		if outcome != core.Done {
			worst, why = outcome, code
		}
		if open--; open == 0 {
			done(worst, why)
		}
	}
	for len(keys) > 0 || all {
		n := 0
		b.begin(c.host.Wall())
		for n < len(keys) && b.Size() < c.opt.CompactBatch {
			c.addOffset(g.id, keys[n], nil)
			n++
		}
		last := all && n == len(keys)
		if last {
			b.key = appendGroupKey(b.key[:0], g.id)
			b.add(b.key, nil)
			all = false
		}
		open++
		c.append(&op{group: g, keys: keys[:n:n], meta: last, done: settle})
		keys = keys[n:]
	}
	settle(core.Done, core.OK)
}

// allKeys is every offset that the group has or is about to have.
func (g *group) allKeys() []topicPartition {
	var keys []topicPartition
	im := g.c.fold.byID[g.id]
	if im != nil {
		for i := range im.offsets {
			keys = append(keys, im.offsets[i].topicPartition)
		}
	}
	for _, o := range g.ops {
		for _, tp := range o.keys {
			if im != nil {
				if _, ok := im.at[tp]; ok {
					continue
				}
			}
			keys = append(keys, tp)
		}
	}
	return keys
}

func (c *Coordinator) onOffsetDelete(body []byte) {
	var req kmsg.OffsetDeleteRequest
	if !c.decode(&req, body) {
		return
	}
	g := c.lookup(req.Group)
	if code := g.mayDeleteOffsets(); code != errNone {
		c.answer(&kmsg.OffsetDeleteResponse{ErrorCode: code})
		return
	}
	read, _ := g.subscribed()
	resp := &kmsg.OffsetDeleteResponse{}
	var keys []topicPartition
	c.build.begin(c.host.Wall())
	for i := range req.Topics {
		t := kmsg.OffsetDeleteResponseTopic{Topic: req.Topics[i].Topic}
		topic := c.host.Catalog().Topic(t.Topic)
		for k := range req.Topics[i].Partitions {
			p := kmsg.OffsetDeleteResponseTopicPartition{Partition: req.Topics[i].Partitions[k].Partition}
			tp := topicPartition{t.Topic, p.Partition}
			switch {
			case topic == nil || p.Partition < 0 || int(p.Partition) >= len(topic.Partitions):
				p.ErrorCode = errUnknownTopicOrPartition
			case read[t.Topic]:
				p.ErrorCode = errGroupSubscribed
			case g.has(tp):
				keys = append(keys, tp)
				c.addOffset(g.id, tp, nil)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	if len(keys) == 0 {
		c.answer(resp)
		return
	}
	w := c.waiter()
	c.append(&op{group: g, keys: keys, done: func(outcome core.Outcome, code core.Code) {
		if e := appendFailed(outcome, code, errUnknownServer); e != errNone {
			resp.ErrorCode, resp.Topics = e, nil
		}
		c.reply(&w, resp)
	}})
}

func (g *group) mayDeleteOffsets() int16 {
	switch {
	case g == nil:
		return errGroupNotFound
	case g.state == dead:
		return errCoordinatorNotAvailable
	case g.state != empty && g.protocolType != consumerType:
		return errNonEmptyGroup
	}
	return errNone
}

// has says whether the group has an offset for tp, or is about to.
func (g *group) has(tp topicPartition) bool {
	if im := g.c.fold.byID[g.id]; im != nil {
		if _, ok := im.at[tp]; ok {
			return true
		}
	}
	for _, o := range g.ops {
		for _, k := range o.keys {
			if k == tp {
				return true
			}
		}
	}
	return false
}
