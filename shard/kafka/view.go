package kafka

import (
	"github.com/penstock/penstock/core"
)

// broker is a node as this connection is shown it.
type broker struct {
	node core.NodeID
	host string
	port int32
}

// listener is where the client came in.
func (s *Session) listener() *core.Listener {
	return &s.host.Cluster().Listeners[s.info.Listener]
}

// cores says how many brokers the per-core view has; 0 if this is the normal one.
func (s *Session) cores() int {
	if s.listener().Core == core.NormalView {
		return 0
	}
	return s.host.Cluster().Brokers
}

// self is the node that the client has reached.
func (s *Session) self() core.NodeID {
	if l := s.listener(); l.Core != core.NormalView {
		return s.host.Cluster().CoreBase + core.NodeID(l.Core)
	}
	return s.host.Cluster().Node
}

// node is the broker that stands for a shard.
func (s *Session) node(owner core.ShardID) core.NodeID {
	if n := s.cores(); n > 0 {
		return s.host.Cluster().CoreBase + core.NodeID(int(owner)%n)
	}
	return s.host.Cluster().Node
}

// controller is a node of this view: any of them serves any request.
func (s *Session) controller() core.NodeID { return s.node(0) }

// brokers lists the nodes of this view.
func (s *Session) brokers() []broker {
	c := s.host.Cluster()
	n := s.cores()
	if n == 0 {
		l := s.listener()
		return []broker{{c.Node, s.address(l), l.Port}}
	}
	var out []broker
	for i := range n {
		if l := c.CorePort(i); l != nil {
			out = append(out, broker{c.CoreBase + core.NodeID(i), s.address(l), l.Port})
		}
	}
	return out
}

// address is the host to show: what is configured, else the address of ours that this
// client has reached, so that it is one that it can reach again.
func (s *Session) address(l *core.Listener) string {
	if l.Advertised != "" {
		return l.Advertised
	}
	return s.info.Local.Addr().Unmap().WithZone("").String()
}

func (s *Session) rack() *string {
	if r := s.host.Cluster().Rack; r != "" {
		return &r
	}
	return nil
}

// validName is Kafka's rule for topic names (Topic.validate).
func validName(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 249 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '_' || b == '-') {
			return false
		}
	}
	return true
}

func text(s string) *string { return &s }
