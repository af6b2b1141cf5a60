package group

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// The records are those of Kafka's __consumer_offsets, so that its tools read them:
//
//	key   int16 version 1 | group | topic | partition        offset
//	value version 4: offset, leader epoch, metadata, commit time, tag 0 topic id
//	      version 1 with the expire time of old clients' retention, version 3 without id
//	key   int16 version 2 | group                            group metadata
//	value version 3: protocol type, generation, protocol, leader, time, members
//
// A null value is a tombstone.
const (
	offsetKeyVersion  = 1
	groupKeyVersion   = 2
	groupValueVersion = 3
)

var errForeign = errors.New("not a record of a group coordinator that is understood")

// keyVersion is the version of a key, which tells the kinds of records apart, or of a
// value; -1: there is none.
func keyVersion(key []byte) int16 {
	if len(key) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(key))
}

func appendOffsetKey(dst []byte, group string, tp topicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: tp.topic, Partition: tp.partition}
	return k.AppendTo(dst)
}

func appendGroupKey(dst []byte, group string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: group}
	return k.AppendTo(dst)
}

func appendCommitted(dst []byte, c *committed) []byte {
	v := kmsg.OffsetCommitValue{Version: 3, Offset: int64(c.offset), LeaderEpoch: int32(c.epoch), Metadata: c.metadata, CommitTimestamp: c.time}
	switch {
	case c.expires >= 0:
		v.Version, v.ExpireTimestamp = 1, c.expires
	case !c.topicID.IsZero():
		v.Version, v.TopicID = 4, c.topicID
	}
	return v.AppendTo(dst)
}

// readCommitted owns what it returns.
func readCommitted(value []byte) (committed, error) {
	switch v := keyVersion(value); {
	case v == 4:
		return readTagged(value[2:])
	case v < 0 || v > 4:
		return committed{}, errForeign
	}
	var v kmsg.OffsetCommitValue
	if err := safely(func() error { return v.UnsafeReadFrom(value) }); err != nil {
		return committed{}, err
	}
	c := committed{offset: core.Offset(v.Offset), epoch: core.Epoch(v.LeaderEpoch), metadata: strings.Clone(v.Metadata),
		time: v.CommitTimestamp, expires: -1}
	if v.Version == 1 {
		c.expires = max(v.ExpireTimestamp, -1)
	}
	if v.Version < 3 {
		c.epoch = -1
	}
	return c, nil
}

// readTagged reads version 4, which kmsg does not read here: it trusts the count of tags,
// and would take most of a minute for a damaged one.
func readTagged(b []byte) (committed, error) {
	be := binary.BigEndian
	c := committed{expires: -1}
	if len(b) < 12 {
		return c, errForeign
	}
	c.offset, c.epoch = core.Offset(be.Uint64(b)), core.Epoch(be.Uint32(b[8:]))
	r := reader{b: b[12:]}
	c.metadata = string(r.take(r.uvarint() - 1))
	if stamp := r.take(8); !r.bad {
		c.time = int64(be.Uint64(stamp))
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		tag := r.uvarint()
		if v := r.take(r.uvarint()); tag == 0 && copy(c.topicID[:], v) < len(c.topicID) {
			r.bad = true
		}
	}
	if r.bad || len(r.b) > 0 {
		return committed{}, errForeign
	}
	return c, nil
}

// appendGroupValue writes the group as it is, with the assignment that of gives each
// member.
func appendGroupValue(dst []byte, g *group, of func(*member) []byte) []byte {
	v := kmsg.GroupMetadataValue{Version: groupValueVersion, ProtocolType: g.protocolType, Generation: g.generation,
		CurrentStateTimestamp: g.since}
	if len(g.members) > 0 {
		v.Protocol, v.Leader = &g.protocol, &g.leader
	}
	for _, m := range g.members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMillis: int32(m.rebalance.Milliseconds()), SessionTimeoutMillis: int32(m.session.Milliseconds()),
			Subscription: m.metadata(g.protocol), Assignment: of(m),
		})
	}
	return v.AppendTo(dst)
}

// readGroupValue owns what it returns, but for the subscriptions and assignments.
func readGroupValue(value []byte) (*kmsg.GroupMetadataValue, error) {
	// Version 4 has tags, for which see readTagged, and is written by nobody yet.
	if v := keyVersion(value); v < 0 || v > groupValueVersion {
		return nil, errForeign
	}
	v := new(kmsg.GroupMetadataValue)
	if err := safely(func() error { return v.ReadFrom(value) }); err != nil {
		return nil, err
	}
	return v, nil
}

// safely runs one call of a codec. kmsg is not ours and reads what peers sent: what it
// cannot read is an error, and never the end of the process.
func safely(codec func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errForeign
		}
	}()
	return codec()
}
