package group

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeGroups, versions 0 to 6: an unknown group is Dead without an error, and from 6
// on GROUP_ID_NOT_FOUND. ListGroups, versions 0 to 5: 4 shows states and filters by
// them, 5 by types, in any case of letters.

// operations are what anyone may do to a group while there is no authorizer: read,
// delete, describe, describe and alter its settings (bits of Kafka's AclOperation).
const operations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// noOperations means that nobody asked.
const noOperations = -1 << 31

func (c *Coordinator) onDescribeGroups(body []byte) {
	var req kmsg.DescribeGroupsRequest
	if !c.decode(&req, body) {
		return
	}
	resp := &kmsg.DescribeGroupsResponse{}
	for _, id := range req.Groups {
		d := c.describe(id)
		d.AuthorizedOperations = noOperations
		if req.IncludeAuthorizedOperations && d.ErrorCode == errNone {
			d.AuthorizedOperations = operations
		}
		resp.Groups = append(resp.Groups, d)
	}
	c.answer(resp)
}

func (c *Coordinator) describe(id string) kmsg.DescribeGroupsResponseGroup {
	d := kmsg.DescribeGroupsResponseGroup{Group: id, State: dead.String()}
	g := c.lookup(id)
	if g == nil || g.state == dead {
		if c.call.Version >= 6 {
			text := "Group " + id + " not found."
			d.ErrorCode, d.ErrorMessage = errGroupNotFound, &text
		}
		return d
	}
	d.State, d.ProtocolType = g.state.String(), g.protocolType
	if g.state == stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.members {
		k := kmsg.DescribeGroupsResponseGroupMember{MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost}
		if g.state == stable {
			k.ProtocolMetadata, k.MemberAssignment = m.metadata(g.protocol), m.assignment
		}
		d.Members = append(d.Members, k)
	}
	return d
}

func (c *Coordinator) onListGroups(body []byte) {
	var req kmsg.ListGroupsRequest
	if !c.decode(&req, body) {
		return
	}
	resp := &kmsg.ListGroupsResponse{}
	for _, g := range c.list {
		if g.state == dead || !oneOf(g.state.String(), req.StatesFilter) || !oneOf(groupType, req.TypesFilter) {
			continue
		}
		resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{Group: g.id, ProtocolType: g.protocolType, GroupState: g.state.String(), GroupType: groupType})
	}
	c.answer(resp)
}

// groupType is the type of all our groups.
const groupType = "classic"

// oneOf says whether the filter lets s pass; an empty filter lets all.
func oneOf(s string, filter []string) bool {
	for _, f := range filter {
		if strings.EqualFold(s, f) {
			return true
		}
	}
	return len(filter) == 0
}
