package kafka

import (
	"encoding/binary"

	"github.com/penstock/penstock/core"
)

// ProduceResult is the answer for one partition of a Produce.
type ProduceResult struct {
	Index      int32
	Error      int16
	Base       core.Offset // -1 with an error
	AppendTime int64       // ms; -1 with CreateTime, always
	LogStart   core.Offset // -1 with an error; from version 5
	Message    string      // with an error, for people; from version 8; empty is null
	Records    []RecordError
	// Where the leader is, with NOT_LEADER_OR_FOLLOWER, from version 10 (KIP-951).
	Leader core.NodeID // -1: not said
	Epoch  core.Epoch
}

// RecordError says which record of a batch was refused; from version 8 (KIP-467).
type RecordError struct {
	Index   int32 // in the batch
	Message string
}

// ProduceEncoder writes the body of a Produce response, versions 3 to 13:
//
//	e.Begin(dst, version, topics); { e.Topic(…, partitions); { e.Partition(&result) }; e.EndTopic() }; dst = e.End(throttle, nodes)
//
// The counts must be kept. It can be used again, and allocates nothing but what dst
// lacks.
type ProduceEncoder struct {
	b       []byte
	version int16
}

// Begin starts a body behind dst, which holds the response header.
func (e *ProduceEncoder) Begin(dst []byte, version int16, topics int) {
	e.b, e.version = appendLength(dst, version >= 9, topics), version
}

// Topic starts a topic: its name up to version 12, its id from 13 on.
func (e *ProduceEncoder) Topic(name []byte, id core.TopicID, partitions int) {
	if e.version >= 13 {
		e.b = append(e.b, id[:]...)
	} else {
		e.b = appendString(e.b, e.version >= 9, name)
	}
	e.b = appendLength(e.b, e.version >= 9, partitions)
}

// Partition adds one answer.
func (e *ProduceEncoder) Partition(p *ProduceResult) {
	be := binary.BigEndian
	flexible := e.version >= 9
	b := be.AppendUint32(e.b, uint32(p.Index))
	b = be.AppendUint16(b, uint16(p.Error))
	b = be.AppendUint64(b, uint64(p.Base))
	b = be.AppendUint64(b, uint64(p.AppendTime))
	if e.version >= 5 {
		b = be.AppendUint64(b, uint64(p.LogStart))
	}
	if e.version >= 8 {
		b = appendLength(b, flexible, len(p.Records))
		for i := range p.Records {
			b = be.AppendUint32(b, uint32(p.Records[i].Index))
			b = appendText(b, flexible, p.Records[i].Message)
			if flexible {
				b = append(b, 0)
			}
		}
		b = appendText(b, flexible, p.Message)
	}
	switch {
	case !flexible:
	case e.version >= 10 && p.Leader >= 0:
		b = appendLeader(append(b, 1), 0, int32(p.Leader), int32(p.Epoch))
	default:
		b = append(b, 0)
	}
	e.b = b
}

// EndTopic ends the topic.
func (e *ProduceEncoder) EndTopic() {
	if e.version >= 9 {
		e.b = append(e.b, 0)
	}
}

// End ends the body and returns dst with it. The nodes are written from version 10 on.
func (e *ProduceEncoder) End(throttleMs int32, nodes []Node) []byte {
	b := binary.BigEndian.AppendUint32(e.b, uint32(throttleMs))
	switch {
	case e.version >= 10:
		b = appendNodes(b, nodes)
	case e.version >= 9:
		b = append(b, 0)
	}
	e.b = nil
	return b
}
