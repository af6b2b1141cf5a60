package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// LeaveGroup, versions 0 to 5. Members go at once and the rest rebalance. 3: several
// members in one request, also by instance id alone, which is how an operator removes
// static members. The answer waits if the group's end has to be made durable.

func (c *Coordinator) onLeaveGroup(body []byte) {
	var req kmsg.LeaveGroupRequest
	if !c.decode(&req, body) {
		return
	}
	if c.call.Version < 3 {
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	resp := &kmsg.LeaveGroupResponse{}
	g := c.lookup(req.Group)
	switch {
	case req.Group == "":
		resp.ErrorCode = errInvalidGroupID
	case g != nil && g.state == dead:
		resp.ErrorCode = errCoordinatorNotAvailable
	default:
		g.leave(req.Members, resp)
	}
	if c.call.Version < 3 && resp.ErrorCode == errNone {
		resp.ErrorCode = resp.Members[0].ErrorCode
	}
	if g == nil || !g.ending() {
		c.answer(resp)
		return
	}
	w := c.waiter()
	last := g.ops[len(g.ops)-1]
	done := last.done
	last.done = func(outcome core.Outcome, code core.Code) {
		done(outcome, code)
		if e := appendFailed(outcome, code, errUnknownServer); e != errNone {
			resp.ErrorCode, resp.Members = e, nil
		}
		c.reply(&w, resp)
	}
}

// ending says whether the group has just become empty and the record that says so is
// under way, last of all.
func (g *group) ending() bool {
	return g.state == empty && len(g.ops) > 0 && g.ops[len(g.ops)-1].meta
}

// leave removes members; a nil group has none.
func (g *group) leave(members []kmsg.LeaveGroupRequestMember, resp *kmsg.LeaveGroupResponse) {
	had := 0
	if g != nil {
		had = len(g.members)
	}
	for i := range members {
		r := &members[i]
		code := errUnknownMember
		if g != nil {
			code = g.leaveOne(r)
		}
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{MemberID: r.MemberID, InstanceID: r.InstanceID, ErrorCode: code})
	}
	switch {
	case g == nil:
	case g.state == preparing:
		g.maybeCompleteJoin()
	case len(g.members) < had:
		g.prepare()
	}
}

func (g *group) leaveOne(r *kmsg.LeaveGroupRequestMember) int16 {
	if r.MemberID == "" {
		if r.InstanceID == nil {
			return errUnknownMember
		}
		m := g.static(*r.InstanceID)
		if m == nil {
			return errUnknownMember
		}
		g.remove(m)
		return errNone
	}
	if g.promised[r.MemberID] != nil {
		g.breakPromise(r.MemberID)
		return errNone
	}
	m, code := g.find(r.MemberID, r.InstanceID)
	if code == errNone {
		g.remove(m)
	}
	return code
}
