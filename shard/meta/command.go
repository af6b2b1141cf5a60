package meta

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/penstock/penstock/core"
)

// Do decides one command and, if it is accepted, makes it durable and publishes the new
// catalog before it returns.
func (c *Controller) Do(cmd core.Command) core.CommandResult {
	switch cmd.Kind {
	case core.CreateTopic:
		return c.createTopic(&cmd)
	case core.DeleteTopic:
		return c.deleteTopic(&cmd)
	case core.CreatePartitions:
		return c.createPartitions(&cmd)
	case core.AlterTopic:
		return c.alterTopic(&cmd)
	case core.AllocateProducerID:
		return c.allocateProducerID()
	}
	return refuse(core.ErrUnsupported, "unknown command")
}

func refuse(code core.Code, format string, args ...any) core.CommandResult {
	return core.CommandResult{Code: code, Text: fmt.Sprintf(format, args...)}
}

// unwritten refuses what could not be made durable.
func unwritten(err error) core.CommandResult {
	if errors.Is(err, core.ErrDiskFull) {
		return refuse(core.ErrDiskFull, "%s", err)
	}
	return refuse(core.ErrStorage, "%s", err)
}

// ValidTopicName is Kafka's rule (Topic.validate).
func ValidTopicName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 249 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '_' || b == '-') {
			return false
		}
	}
	return true
}

func (c *Controller) createTopic(cmd *core.Command) core.CommandResult {
	if !ValidTopicName(cmd.Topic) {
		return refuse(core.ErrInvalidTopic, "%q: %s", cmd.Topic, core.ErrInvalidTopic)
	}
	if _, ok := c.state.names[cmd.Topic]; ok {
		return refuse(core.ErrTopicExists, "the topic %s exists", cmd.Topic)
	}
	n := cmd.Partitions
	if n == -1 {
		n = c.opt.Partitions
	}
	if n < 1 {
		return refuse(core.ErrInvalidPartitions, "a topic has at least one partition, not %d", n)
	}
	if r := c.room(int(n)); r.Code != core.OK {
		return r
	}
	t := &topic{Name: cmd.Topic, Internal: cmd.Internal, Set: map[string]string{},
		Owners: c.place(nil, int(n)), Created: c.opt.Env.Wall()}
	for k, v := range cmd.Set {
		if v != nil {
			t.Set[k] = *v
		}
	}
	return c.put(core.NewTopicID(c.opt.Env), t, cmd.DryRun)
}

// put validates the settings of a topic, and stores it unless it is a dry run.
func (c *Controller) put(id core.TopicID, t *topic, dry bool) core.CommandResult {
	built, err := buildTopic(id, t, c.opt.Defaults)
	if err != nil {
		return refuse(core.ErrInvalidConfig, "%s", err)
	}
	if !dry {
		if err := c.commit(&event{Put: map[core.TopicID]*topic{id: t}}); err != nil {
			return unwritten(err)
		}
	}
	return core.CommandResult{Topic: built}
}

func (c *Controller) room(more int) core.CommandResult {
	have := 0
	for _, t := range c.state.Topics {
		have += len(t.Owners)
	}
	if have+more > c.opt.PartitionsMax {
		return refuse(core.ErrPolicy, "the broker holds %d partitions; %d more would exceed its limit of %d (partitions_max)", have, more, c.opt.PartitionsMax)
	}
	return core.CommandResult{}
}

func (c *Controller) deleteTopic(cmd *core.Command) core.CommandResult {
	id := cmd.ID
	if id.IsZero() {
		var ok bool
		if id, ok = c.state.names[cmd.Topic]; !ok {
			return refuse(core.ErrUnknownTopic, "there is no topic %s", cmd.Topic)
		}
	}
	t := c.state.Topics[id]
	if t == nil {
		return refuse(core.ErrUnknownTopicID, "there is no topic with the id %s", id)
	}
	if t.Internal {
		return refuse(core.ErrPolicy, "the topic %s belongs to the broker", t.Name)
	}
	if cmd.DryRun {
		return core.CommandResult{}
	}
	e := &event{Delete: map[core.TopicID]tombstone{id: {t.Name, c.opt.Env.Wall()}}}
	if err := c.commit(e); err != nil {
		return unwritten(err)
	}
	return core.CommandResult{}
}

// change returns a copy of the topic that may be altered.
func (c *Controller) change(name string) (core.TopicID, *topic, core.CommandResult) {
	id, ok := c.state.names[name]
	if !ok {
		return id, nil, refuse(core.ErrUnknownTopic, "there is no topic %s", name)
	}
	t := *c.state.Topics[id]
	t.Set = maps.Clone(t.Set)
	if t.Set == nil {
		t.Set = map[string]string{}
	}
	return id, &t, core.CommandResult{}
}

func (c *Controller) createPartitions(cmd *core.Command) core.CommandResult {
	id, t, r := c.change(cmd.Topic)
	if t == nil {
		return r
	}
	if t.Internal {
		return refuse(core.ErrPolicy, "the topic %s belongs to the broker", t.Name)
	}
	if int(cmd.Partitions) <= len(t.Owners) {
		return refuse(core.ErrInvalidPartitions, "the topic %s has %d partitions; their number can only grow, not become %d", t.Name, len(t.Owners), cmd.Partitions)
	}
	more := int(cmd.Partitions) - len(t.Owners)
	if r := c.room(more); r.Code != core.OK {
		return r
	}
	t.Owners = c.place(t.Owners, more)
	return c.put(id, t, cmd.DryRun)
}

func (c *Controller) alterTopic(cmd *core.Command) core.CommandResult {
	id, t, r := c.change(cmd.Topic)
	if t == nil {
		return r
	}
	if t.Internal {
		return refuse(core.ErrPolicy, "the topic %s belongs to the broker", t.Name)
	}
	if cmd.Replace {
		t.Set = map[string]string{}
	}
	for k, v := range cmd.Set {
		if v == nil {
			delete(t.Set, k)
		} else {
			t.Set[k] = *v
		}
	}
	for k, e := range cmd.Edit {
		list, ok := t.Set[k]
		if !ok {
			list = c.opt.Defaults.Value(k)
		}
		t.Set[k] = editList(list, e)
	}
	return c.put(id, t, cmd.DryRun)
}

// editList is the list with the edit made; an empty one has no elements.
func editList(list string, e core.ListEdit) string {
	var have []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			have = append(have, s)
		}
	}
	for s := range strings.SplitSeq(e.Elements, ",") {
		s = strings.TrimSpace(s)
		at := slices.Index(have, s)
		switch {
		case at >= 0 && e.Remove:
			have = slices.Delete(have, at, at+1)
		case at < 0 && !e.Remove && s != "":
			have = append(have, s)
		}
	}
	return strings.Join(have, ",")
}

// allocateProducerID gives an id that was never given before, also across crashes: a
// block of them is reserved durably first.
func (c *Controller) allocateProducerID() core.CommandResult {
	if c.nextPID == c.state.Producers {
		n := c.state.Producers + producerBlock
		if err := c.commit(&event{Producers: &n}); err != nil {
			return unwritten(err)
		}
	}
	c.nextPID++
	return core.CommandResult{ProducerID: c.nextPID - 1}
}

// load is the number of partitions of each shard.
func (c *Controller) load() []int {
	n := make([]int, c.opt.Shards)
	for _, t := range c.state.Topics {
		for _, s := range t.Owners {
			if int(s) < len(n) {
				n[s]++
			}
		}
	}
	return n
}

// place appends n owners to owners, each the shard with the fewest partitions.
func (c *Controller) place(owners []core.ShardID, n int) []core.ShardID {
	out, load := slices.Clone(owners), c.load()
	for range n {
		at := slices.Index(load, slices.Min(load))
		load[at]++
		out = append(out, core.ShardID(at))
	}
	return out
}

// Rebalance gives every partition an owner that exists and evens the shards out, moving
// as few as it can. It is called before any shard serves: the bytes of a partition do
// not lie with its owner, so a move is only an entry in the catalog. It returns how many
// moved.
func (c *Controller) Rebalance() (moved int, err error) {
	load, total := c.load(), 0
	for _, t := range c.state.Topics {
		total += len(t.Owners)
	}
	limit := (total + c.opt.Shards - 1) / c.opt.Shards
	owners := map[core.TopicID][]core.ShardID{}
	for _, id := range c.sortedIDs() {
		next := slices.Clone(c.state.Topics[id].Owners)
		changed := false
		for i, s := range next {
			gone := int(s) >= c.opt.Shards
			if !gone && load[s] <= limit {
				continue
			}
			at := slices.Index(load, slices.Min(load))
			if !gone {
				load[s]--
			}
			load[at]++
			next[i] = core.ShardID(at)
			moved, changed = moved+1, true
		}
		if changed {
			owners[id] = next
		}
	}
	if moved == 0 {
		return 0, nil
	}
	return moved, c.commit(&event{Owners: owners})
}

func (c *Controller) sortedIDs() []core.TopicID {
	ids := slices.Collect(maps.Keys(c.state.Topics))
	sort.Slice(ids, func(i, j int) bool { return c.state.Topics[ids[i]].Name < c.state.Topics[ids[j]].Name })
	return ids
}
