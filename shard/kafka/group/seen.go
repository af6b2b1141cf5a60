package group

import "github.com/penstock/penstock/core"

// Seen is what a group looks like from outside at one moment.
type Seen struct {
	Name    string
	State   string // as ListGroups shows it
	Members int
	Offsets []SeenOffset // in no order that means anything
}

// SeenOffset is what a group has committed of one partition of a topic that exists.
type SeenOffset struct {
	Topic     core.TopicID
	Name      string
	Partition int32
	Offset    core.Offset
}

// Seen appends the groups of this coordinator to dst. It changes nothing, and is called
// on the loop, between steps.
func (c *Coordinator) Seen(dst []Seen) []Seen {
	catalog := c.host.Catalog()
	for _, g := range c.list {
		if g.state == dead {
			continue
		}
		s := Seen{Name: g.id, State: g.state.String(), Members: len(g.members)}
		if im := c.fold.byID[g.id]; im != nil {
			for i := range im.offsets {
				e := &im.offsets[i]
				if t := catalog.Topic(e.topic); t != nil && e.of(t) && int(e.partition) < len(t.Partitions) {
					s.Offsets = append(s.Offsets, SeenOffset{t.ID, t.Name, e.partition, e.offset})
				}
			}
		}
		dst = append(dst, s)
	}
	return dst
}
