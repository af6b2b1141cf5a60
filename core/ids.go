package core

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
)

// Offset is the position of a record in a partition: 0 is the first ever written.
type Offset int64

// FilePos is a byte position in a segment file, its header included.
type FilePos int64

// ShardID names a shard, counted from 0; there is one per core.
type ShardID uint16

// NodeID is a broker id as Kafka clients see it. Which ids exist depends on the view.
type NodeID int32

// Epoch is the leader epoch of a partition. On a single node it counts unclean starts.
type Epoch int32

// TopicID is the identity of a topic; its name is a label. The zero value means none.
type TopicID [16]byte

// PartitionID names one partition for ever: a topic that is deleted and created
// again has another TopicID.
type PartitionID struct {
	Topic TopicID
	Index int32
}

// NewTopicID returns a random version 4 UUID (RFC 9562) whose text does not begin
// with a dash, so that it can be typed as an argument, as Kafka does it.
func NewTopicID(env Env) TopicID {
	var id TopicID
	for {
		binary.BigEndian.PutUint64(id[:], env.Rand())
		binary.BigEndian.PutUint64(id[8:], env.Rand())
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// IsZero says whether id names no topic.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is Kafka's text form: unpadded URL-safe base64, 22 characters.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Hex is the form used in file names, 32 characters.
func (id TopicID) Hex() string { return hex.EncodeToString(id[:]) }

// ParseTopicHex reads what Hex wrote.
func ParseTopicHex(s string) (TopicID, error) {
	var id TopicID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, errors.New("not a topic id: want 32 hexadecimal digits")
	}
	copy(id[:], b)
	return id, nil
}

// MarshalText and UnmarshalText are the hexadecimal form, for the metadata log.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.Hex()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *TopicID) UnmarshalText(b []byte) error {
	v, err := ParseTopicHex(string(b))
	*id = v
	return err
}

// String is "<hex>/<index>".
func (p PartitionID) String() string {
	return p.Topic.Hex() + "/" + strconv.Itoa(int(p.Index))
}
