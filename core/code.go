package core

// Code says why something was refused, in words of our own. Each protocol has one
// table that maps it to its wire code.
type Code uint8

// The reasons. OK is the zero value.
const (
	OK Code = iota
	ErrUnknownTopic
	ErrUnknownTopicID
	ErrUnknownPartition
	ErrTopicExists
	ErrInvalidTopic
	ErrInvalidPartitions
	ErrInvalidReplication
	ErrInvalidConfig
	ErrInvalidRequest
	ErrPolicy
	ErrTooLarge
	ErrCorruptBatch
	ErrInvalidRecord
	ErrInvalidTimestamp
	ErrUnsupportedCompression
	ErrOffsetRange
	ErrFencedLeaderEpoch
	ErrUnknownLeaderEpoch
	ErrNotLeader
	ErrSequence
	ErrProducerEpoch
	ErrUnknownProducer
	ErrStorage
	ErrQuarantined
	ErrDiskFull
	ErrBusy
	ErrStopping
	ErrTimeout
	ErrUnsupported
	ErrNotCoordinator
	ErrCoordinatorLoading
	codeMax
)

var codeText = [codeMax]string{
	OK:                        "ok",
	ErrUnknownTopic:           "there is no such topic",
	ErrUnknownTopicID:         "there is no topic with this id",
	ErrUnknownPartition:       "the topic has no such partition",
	ErrTopicExists:            "a topic of this name exists",
	ErrInvalidTopic:           "the topic name is not valid: 1 to 249 of a-z A-Z 0-9 . _ -, and not . or ..",
	ErrInvalidPartitions:      "the number of partitions is not valid",
	ErrInvalidReplication:     "this is a single node: the replication factor is 1, or -1 for the default",
	ErrInvalidConfig:          "the setting is unknown or its value is not valid",
	ErrInvalidRequest:         "the request is not valid",
	ErrPolicy:                 "the policy of the broker refuses this",
	ErrTooLarge:               "the batch is larger than the topic's max.message.bytes",
	ErrCorruptBatch:           "the batch is damaged or not well-formed",
	ErrInvalidRecord:          "a record is not valid for this topic",
	ErrInvalidTimestamp:       "a timestamp lies outside of what the topic allows",
	ErrUnsupportedCompression: "this compression is not supported at this version of the request",
	ErrOffsetRange:            "the offset lies outside of the log",
	ErrFencedLeaderEpoch:      "the leader epoch is older than the partition's",
	ErrUnknownLeaderEpoch:     "the leader epoch is newer than the partition's",
	ErrNotLeader:              "another shard owns this partition",
	ErrSequence:               "the sequence number does not follow the producer's last one",
	ErrProducerEpoch:          "a newer instance of this producer exists",
	ErrUnknownProducer:        "the producer id is not known",
	ErrStorage:                "the storage of this partition has failed; see the log of the broker",
	ErrQuarantined:            "the partition holds corrupted data and is quarantined; see the log of the broker",
	ErrDiskFull:               "the disk is full: free space in the data directory, or shorten the retention",
	ErrBusy:                   "too much is in flight; try again",
	ErrStopping:               "the broker is stopping",
	ErrTimeout:                "the request timed out",
	ErrUnsupported:            "this is not supported",
	ErrNotCoordinator:         "another shard coordinates this group",
	ErrCoordinatorLoading:     "the coordinator is still loading its state; try again",
}

// String is one sentence part for people.
func (c Code) String() string {
	if int(c) < len(codeText) {
		return codeText[c]
	}
	return "unknown reason"
}

// Error makes a Code usable as an error. OK is never returned as one.
func (c Code) Error() string { return c.String() }

// Outcome is how a request that carried a ticket ended. There are four ways, and
// every API of the shard knows all of them.
type Outcome uint8

const (
	// Done means that it took effect, as durably as its topic promises.
	Done Outcome = iota
	// Refused means that it had no effect; the Code says why.
	Refused
	// Unknown means that it may or may not have taken effect: a sync failed, or
	// (later) a peer did not answer.
	Unknown
	// Cancelled means that the asker took it back, or that its subject went away.
	Cancelled
)
