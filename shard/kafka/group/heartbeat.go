package group

import "github.com/penstock/penstock/core"

// Heartbeat, versions 0 to 4. It keeps a member alive, also while it is told to rejoin.
// 3: static members.

func (c *Coordinator) onHeartbeat(body []byte) {
	req := &c.heartbeat.request
	req.SetVersion(c.call.Version)
	if safely(func() error { return req.UnsafeReadFrom(body) }) != nil {
		c.refuse(core.ErrInvalidRequest)
		return
	}
	g := c.lookup(req.Group)
	resp := &c.heartbeat.response
	switch {
	case req.Group == "":
		resp.ErrorCode = errInvalidGroupID
	case g == nil:
		resp.ErrorCode = errUnknownMember
	default:
		resp.ErrorCode = g.heartbeat(req.MemberID, req.InstanceID, req.Generation)
	}
	c.answer(resp)
}

func (g *group) heartbeat(id string, instance *string, generation int32) int16 {
	if g.state == dead {
		return errCoordinatorNotAvailable
	}
	m, code := g.find(id, instance)
	if code != errNone {
		return code
	}
	if generation != g.generation {
		return errIllegalGeneration
	}
	g.alive(m)
	if g.state == preparing {
		return errRebalanceInProgress
	}
	return errNone
}
