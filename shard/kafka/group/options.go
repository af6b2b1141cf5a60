package group

import (
	"math"
	"time"
)

// Options are the settings of a coordinator, with Kafka's names in the comments. A zero
// field means the default, but for InitialRebalanceDelay, where zero means none.
type Options struct {
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms; DefaultInitialRebalanceDelay is Kafka's
	SessionTimeoutMin     time.Duration // group.min.session.timeout.ms: 6 s
	SessionTimeoutMax     time.Duration // group.max.session.timeout.ms: 30 min
	MembersMax            int           // group.max.size: DefaultMembersMax
	MemberBytesMax        int           // subscriptions, names and addresses of one member: 1 MiB (Kafka: no limit)
	GroupsMax             int           // groups of one partition: 100,000 (Kafka: no limit)
	PromisedMax           int           // member ids given out and not come back, of one partition: 10,000 (Kafka: no limit)
	OffsetMetadataMax     int           // offset.metadata.max.bytes: 4096
	OffsetsRetention      time.Duration // offsets.retention.minutes: 7 days
	ExpiryInterval        time.Duration // offsets.retention.check.interval.ms: 10 min
	CompactMin            int64         // bytes written since the last compaction before another one is thought of: 4 MiB
	CompactBatch          int           // bytes of a batch of a compaction: 256 KiB
}

// DefaultInitialRebalanceDelay is how long the first members of an empty group wait for
// company: without it n consumers that start together rebalance n times.
const DefaultInitialRebalanceDelay = 3 * time.Second

// DefaultMembersMax is Kafka's: no limit but that a group's metadata is one record, which
// has to fit into a batch of the partition.
const DefaultMembersMax = math.MaxInt32

// newMemberMax is how long a member that does not know its id yet may wait in its first
// JoinGroup: it cannot heartbeat, and nobody tells the coordinator that it has gone.
const newMemberMax = 5 * time.Minute

// protocolsMax bounds the protocols of one JoinGroup; real clients send one to five.
const protocolsMax = 256

func (o Options) withDefaults() Options {
	setDuration(&o.SessionTimeoutMin, 6*time.Second)
	setDuration(&o.SessionTimeoutMax, 30*time.Minute)
	setInt(&o.MembersMax, DefaultMembersMax)
	setInt(&o.MemberBytesMax, 1<<20)
	setInt(&o.GroupsMax, 100_000)
	setInt(&o.PromisedMax, 10_000)
	setInt(&o.OffsetMetadataMax, 4096)
	setDuration(&o.OffsetsRetention, 7*24*time.Hour)
	setDuration(&o.ExpiryInterval, 10*time.Minute)
	setInt(&o.CompactBatch, 256<<10)
	if o.CompactMin == 0 {
		o.CompactMin = 4 << 20
	}
	return o
}

func setDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func setInt(n *int, def int) {
	if *n == 0 {
		*n = def
	}
}
