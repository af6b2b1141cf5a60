package kafka

import (
	"encoding/binary"

	"github.com/penstock/penstock/core"
)

// FetchResult is the answer for one partition of a Fetch, without its records.
type FetchResult struct {
	Index         int32
	Error         int16
	HighWatermark core.Offset // -1 with an error
	LastStable    core.Offset // -1 with an error
	LogStart      core.Offset // -1 with an error; from version 5
	Aborted       []AbortedTransaction
	ReadCommitted bool        // an absent list of aborted transactions is empty, not null
	PreferredRead core.NodeID // -1: none; from version 11
	// Where the leader is, with NOT_LEADER_OR_FOLLOWER, from version 16 (KIP-951).
	Leader core.NodeID // -1: not said
	Epoch  core.Epoch
}

// AbortedTransaction is one whose records a read_committed consumer drops. A list of
// them is sorted by First.
type AbortedTransaction struct {
	ProducerID int64
	First      core.Offset
}

// FetchEncoder writes the body of a Fetch response, versions 4 to 18, around records
// that it does not see:
//
//	e.Begin(dst, version, throttle, error, session, topics)
//	{ e.Topic(…, partitions); { e.Partition(&result, n); cut = e.Len(); e.EndPartition() }; e.EndTopic() }
//	dst = e.End(nodes)
//
// The n bytes of records of a partition go to the client at the cut: behind the bytes
// written so far and before the next one. The counts must be kept. It can be used again,
// and allocates nothing but what dst lacks.
type FetchEncoder struct {
	b       []byte
	version int16
	leader  core.NodeID // of the partition begun
	epoch   core.Epoch
}

// Begin starts a body behind dst, which holds the response header. Error and session
// are written from version 7 on.
func (e *FetchEncoder) Begin(dst []byte, version int16, throttleMs int32, err int16, session int32, topics int) {
	b := binary.BigEndian.AppendUint32(dst, uint32(throttleMs))
	if version >= 7 {
		b = binary.BigEndian.AppendUint16(b, uint16(err))
		b = binary.BigEndian.AppendUint32(b, uint32(session))
	}
	e.b, e.version = appendLength(b, version >= 12, topics), version
}

// Topic starts a topic: its name up to version 12, its id from 13 on.
func (e *FetchEncoder) Topic(name []byte, id core.TopicID, partitions int) {
	if e.version >= 13 {
		e.b = append(e.b, id[:]...)
	} else {
		e.b = appendString(e.b, e.version >= 12, name)
	}
	e.b = appendLength(e.b, e.version >= 12, partitions)
}

// Partition writes an answer up to and with the length of its records. With none, the
// length is 0 and never null: librdkafka takes null for a broken message set.
func (e *FetchEncoder) Partition(p *FetchResult, records int) {
	be := binary.BigEndian
	flexible := e.version >= 12
	b := be.AppendUint32(e.b, uint32(p.Index))
	b = be.AppendUint16(b, uint16(p.Error))
	b = be.AppendUint64(b, uint64(p.HighWatermark))
	b = be.AppendUint64(b, uint64(p.LastStable))
	if e.version >= 5 {
		b = be.AppendUint64(b, uint64(p.LogStart))
	}
	if len(p.Aborted) == 0 && !p.ReadCommitted {
		b = appendLength(b, flexible, -1)
	} else {
		b = appendLength(b, flexible, len(p.Aborted))
	}
	for i := range p.Aborted {
		b = be.AppendUint64(b, uint64(p.Aborted[i].ProducerID))
		b = be.AppendUint64(b, uint64(p.Aborted[i].First))
		if flexible {
			b = append(b, 0)
		}
	}
	if e.version >= 11 {
		b = be.AppendUint32(b, uint32(p.PreferredRead))
	}
	e.b = appendLength(b, flexible, records)
	e.leader, e.epoch = p.Leader, p.Epoch
}

// Len is the length of dst so far.
func (e *FetchEncoder) Len() int { return len(e.b) }

// EndPartition writes what follows the records.
func (e *FetchEncoder) EndPartition() {
	switch {
	case e.version < 12:
	case e.version >= 16 && e.leader >= 0:
		e.b = appendLeader(append(e.b, 1), 1, int32(e.leader), int32(e.epoch))
	default:
		e.b = append(e.b, 0)
	}
}

// EndTopic ends the topic.
func (e *FetchEncoder) EndTopic() {
	if e.version >= 12 {
		e.b = append(e.b, 0)
	}
}

// End ends the body and returns dst with it. The nodes are written from version 16 on.
func (e *FetchEncoder) End(nodes []Node) []byte {
	b := e.b
	switch {
	case e.version >= 16:
		b = appendNodes(b, nodes)
	case e.version >= 12:
		b = append(b, 0)
	}
	e.b = nil
	return b
}
