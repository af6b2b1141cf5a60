package metrics

import (
	"strconv"
	"unicode/utf8"

	"github.com/penstock/penstock/cmd/penstock/status"
)

func (c *collector) topics(topics []status.Topic, node int) {
	c.gauge(kafkaBrokers, 1)
	for i := range topics {
		t := &topics[i]
		c.gauge(kafkaPartitions, float64(len(t.Partitions)), t.Name)
		var size, appended int64
		for k := range t.Partitions {
			p := &t.Partitions[k]
			size, appended = size+p.Bytes, appended+p.Appended
			index, served := strconv.Itoa(int(p.Index)), p.Bad == ""
			c.gauge(kafkaLeader, float64(node), t.Name, index)
			c.gauge(kafkaReplicas, 1, t.Name, index)
			c.gauge(kafkaPreferred, 1, t.Name, index)
			c.gauge(kafkaInSync, truth(served), t.Name, index)
			c.gauge(kafkaUnderReplicated, truth(!served), t.Name, index)
			if served {
				c.gauge(kafkaCurrent, float64(p.High), t.Name, index)
				c.gauge(kafkaOldest, float64(p.Start), t.Name, index)
			}
		}
		c.gauge(topicSize, float64(size), t.Name)
		c.counter(topicAppended, float64(appended), t.Name)
	}
}

func (c *collector) groups(groups []status.Group) {
	shown := map[string]bool{}
	for i := range groups {
		g := &groups[i]
		name := label(g.Name)
		if shown[name] { // two samples with the same labels would fail the scrape
			continue
		}
		shown[name] = true
		c.gauge(kafkaGroupMembers, float64(g.Members), name)
		for k := 0; k < len(g.Offsets); {
			topic := g.Offsets[k].Topic
			var offsets, lag int64
			for ; k < len(g.Offsets) && g.Offsets[k].Topic == topic; k++ {
				o := &g.Offsets[k]
				index := strconv.Itoa(int(o.Partition))
				c.gauge(kafkaGroupOffset, float64(o.Offset), name, topic, index)
				c.gauge(kafkaGroupLag, float64(o.Lag), name, topic, index)
				offsets, lag = offsets+o.Offset, lag+o.Lag
			}
			c.gauge(kafkaGroupOffsetSum, float64(offsets), name, topic)
			c.gauge(kafkaGroupLagSum, float64(lag), name, topic)
		}
	}
}

// label is a name that a client chose as the value of a label, which must be UTF-8.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}
