package shard

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// Owes implements core.Handler: whether a connection waits for an answer that its session
// will give.
func (s *Shard) Owes(id core.ConnID) bool {
	if c := s.conns.get(id); c != nil {
		if o, ok := c.session.(session.Owing); ok {
			return o.Owes()
		}
	}
	return false
}
