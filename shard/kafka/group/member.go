package group

import (
	"bytes"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// waiter is a request that has not been answered yet.
type waiter struct {
	ticket  session.Ticket
	version int16
	on      bool
}

// protocol is one way of assigning that a member offers, with its subscription for it.
type protocol struct {
	name     string
	metadata []byte
}

// member is one consumer of a group. It owns all its bytes.
type member struct {
	id         string
	instance   *string // of a static member (KIP-345)
	clientID   string
	clientHost string
	session    time.Duration // without a heartbeat for so long it is removed
	rebalance  time.Duration // it needs at most so long to come back to a rebalance
	protocols  []protocol    // in its order of preference
	assignment []byte        // of the present generation
	join       waiter        // its JoinGroup
	sync       waiter        // its SyncGroup
	fresh      bool          // it has not learned its id from a JoinGroup yet
	synced     bool          // it has sent its SyncGroup of this generation
	timer      timer
}

// bytes is what the member holds, for the limits.
func (m *member) bytes() int {
	n := len(m.id) + len(m.clientID) + len(m.clientHost)
	if m.instance != nil {
		n += len(*m.instance)
	}
	for i := range m.protocols {
		n += len(m.protocols[i].name) + len(m.protocols[i].metadata)
	}
	return n
}

// metadata is its subscription for the protocol; nil if it does not offer it.
func (m *member) metadata(name string) []byte {
	for i := range m.protocols {
		if m.protocols[i].name == name {
			return m.protocols[i].metadata
		}
	}
	return nil
}

// offers says whether the member supports the protocol.
func (m *member) offers(name string) bool {
	for i := range m.protocols {
		if m.protocols[i].name == name {
			return true
		}
	}
	return false
}

// matches says whether the protocols are what the member joined with, byte for byte.
func (m *member) matches(ps []protocol) bool {
	if len(ps) != len(m.protocols) {
		return false
	}
	for i := range ps {
		if ps[i].name != m.protocols[i].name || !bytes.Equal(ps[i].metadata, m.protocols[i].metadata) {
			return false
		}
	}
	return true
}

func (m *member) check() {
	core.Assert(m.id != "", "a member of a group has no id")
	core.Assert(!(m.join.on && m.sync.on), "a member waits for a join and a sync at once")
	core.Assert(m.timer.member == m, "a member's timer is another's")
}
