package core

import "sort"

// Catalog is everything that commands decide: topics, their configuration, and
// which shard owns each partition. It is immutable; every change makes a new one,
// published behind an atomic pointer by its single writer (shard/meta).
type Catalog struct {
	Revision int64    // of the last command applied; grows by one each
	Starts   Epoch    // unclean starts so far: the leader epoch of new batches
	Topics   []*Topic // sorted by name
	byName   map[string]*Topic
	byID     map[TopicID]*Topic
}

// Topic is one topic of a catalog. It is immutable.
type Topic struct {
	ID         TopicID
	Name       string
	Internal   bool              // served by the broker itself; clients may read it, not write it
	Partitions []ShardID         // the owner of each partition
	Set        map[string]string // configuration that was set explicitly, by key
	Config     TopicConfig       // Set over the defaults of the broker
	Created    int64             // milliseconds since 1970-01-01 UTC
}

// TopicConfig is the configuration of a topic that the broker honours. Field names
// follow Kafka's keys; times are milliseconds, -1 means no limit.
type TopicConfig struct {
	RetentionMs          int64
	RetentionBytes       int64
	SegmentBytes         int64
	SegmentMs            int64
	MaxMessageBytes      int32
	LogAppendTime        bool // message.timestamp.type
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	Durability           Durability
	FlushMessages        int64 // interval: at most so many records are not yet durable
	FlushMs              int64 // interval: at most so old
}

// Durability is what an acknowledgement of a topic is worth.
type Durability uint8

const (
	// Synced acknowledges after the shard's group commit: it survives a power cut.
	Synced Durability = iota
	// Interval acknowledges at once and syncs within FlushMs and FlushMessages.
	Interval
	// OS acknowledges at once: it survives the death of the process, and leaves the
	// rest to the operating system, as Kafka does by default.
	OS
)

// String is the value of penstock.durability.
func (d Durability) String() string {
	switch d {
	case Synced:
		return "synced"
	case Interval:
		return "interval"
	}
	return "os"
}

// NewCatalog sorts topics and indexes them. It keeps the slice.
func NewCatalog(revision int64, starts Epoch, topics []*Topic) *Catalog {
	sort.Slice(topics, func(i, j int) bool { return topics[i].Name < topics[j].Name })
	c := &Catalog{Revision: revision, Starts: starts, Topics: topics,
		byName: make(map[string]*Topic, len(topics)), byID: make(map[TopicID]*Topic, len(topics))}
	for _, t := range topics {
		c.byName[t.Name] = t
		c.byID[t.ID] = t
	}
	return c
}

// Topic returns the topic of this name, or nil.
func (c *Catalog) Topic(name string) *Topic { return c.byName[name] }

// TopicByName is Topic for a name in a borrowed buffer; it does not allocate.
func (c *Catalog) TopicByName(name []byte) *Topic { return c.byName[string(name)] }

// TopicByID returns the topic with this id, or nil.
func (c *Catalog) TopicByID(id TopicID) *Topic { return c.byID[id] }

// Owner returns the shard that owns p. ok is false if there is no such partition.
func (c *Catalog) Owner(p PartitionID) (owner ShardID, ok bool) {
	t := c.byID[p.Topic]
	if t == nil || p.Index < 0 || int(p.Index) >= len(t.Partitions) {
		return 0, false
	}
	return t.Partitions[p.Index], true
}
