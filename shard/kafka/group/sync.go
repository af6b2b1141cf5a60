package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// SyncGroup, versions 0 to 5. Members ask for their assignment; the leader brings all of
// them. Everyone is answered when the generation, assignments included, is durable. 3:
// static members. 5: the protocol that the client believes in is checked.

func (c *Coordinator) onSyncGroup(body []byte) {
	var req kmsg.SyncGroupRequest
	if !c.decode(&req, body) {
		return
	}
	g := c.lookup(req.Group)
	code := errNone
	switch {
	case req.Group == "":
		code = errInvalidGroupID
	case c.call.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		code = errInconsistentProtocol // they may not be left out (KIP-559)
	case g == nil:
		code = errUnknownMember
	default:
		code = g.syncRequested(&req)
	}
	if code != errNone {
		c.answer(&kmsg.SyncGroupResponse{ErrorCode: code})
	}
}

// syncRequested answers the sync, keeps it waiting, or returns why it is refused.
func (g *group) syncRequested(r *kmsg.SyncGroupRequest) int16 {
	if g.state == dead {
		return errCoordinatorNotAvailable
	}
	m, code := g.find(r.MemberID, r.InstanceID)
	switch {
	case code != errNone:
		return code
	case r.Generation != g.generation:
		return errIllegalGeneration
	case r.ProtocolType != nil && *r.ProtocolType != g.protocolType, r.Protocol != nil && g.protocol != "" && *r.Protocol != g.protocol:
		return errInconsistentProtocol
	case g.state == preparing:
		return errRebalanceInProgress
	}
	m.synced = true
	if g.allSynced() {
		g.c.timers.stop(&g.syncTimer)
	}
	if g.state == stable {
		g.c.answer(g.synced(m))
		return errNone
	}
	g.failSync(m, errRebalanceInProgress) // the same member asked before, on another connection
	m.sync = g.c.waiter()
	if m.id == g.leader && g.assigning != g.generation {
		g.assign(r.GroupAssignment)
	}
	return errNone
}

func (g *group) allSynced() bool {
	for _, m := range g.members {
		if !m.synced {
			return false
		}
	}
	return true
}

// assign makes the leader's assignments durable; members that it left out get an empty
// one. The group may have moved on when that is done. A leader that asks again meanwhile
// only waits again: what is on its way is what everybody will get.
func (g *group) assign(as []kmsg.SyncGroupRequestGroupAssignment) {
	assignments := make(map[string][]byte, len(as))
	for i := range as {
		assignments[as[i].MemberID] = clone(as[i].MemberAssignment)
	}
	generation := g.generation
	g.assigning = generation
	g.store(func(outcome core.Outcome, code core.Code) {
		if g.assigning == generation {
			g.assigning = 0
		}
		if g.state != completing || g.generation != generation {
			return
		}
		if outcome != core.Done {
			g.abandonSyncs(appendFailed(outcome, code, errUnknownServer))
			g.prepare()
			return
		}
		g.become(stable)
		for _, m := range g.members {
			m.assignment = assignments[m.id]
			if m.sync.on {
				g.c.reply(&m.sync, g.synced(m))
				g.alive(m)
			}
		}
	}, assignments)
}

// synced is the answer with the member's assignment.
func (g *group) synced(m *member) *kmsg.SyncGroupResponse {
	return &kmsg.SyncGroupResponse{ProtocolType: &g.protocolType, Protocol: &g.protocol, MemberAssignment: m.assignment}
}

// failSync answers a sync that waits with an error.
func (g *group) failSync(m *member, code int16) {
	if m.sync.on {
		g.c.reply(&m.sync, &kmsg.SyncGroupResponse{ErrorCode: code})
	}
}
