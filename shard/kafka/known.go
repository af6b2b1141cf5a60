package kafka

import (
	"strings"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/shard/session"
)

// nameMax is how much is kept of what a client calls itself.
const nameMax = 128

// Client implements session.Known.
func (s *Session) Client() session.Client {
	return session.Client{ID: s.client, Software: s.software, Requests: s.requests}
}

// meet keeps the client id, which hardly ever changes.
func (s *Session) meet(id []byte) {
	if id = id[:min(len(id), nameMax)]; string(id) != s.client {
		s.client = string(id)
	}
}

func clip(name string) string { return strings.Clone(name[:min(len(name), nameMax)]) }

// count tells of a request that has ended.
func (s *Session) count(sl *slot, fx *session.Effects) {
	s.requests++
	kind := session.OtherRequest
	switch sl.key {
	case codec.Produce:
		kind = session.ProduceRequest
	case codec.Fetch:
		kind = session.FetchRequest
	}
	fx.Answered = append(fx.Answered, session.Answered{Kind: kind, Began: sl.began})
}

// fetchGoesOn follows the end of a wait for data, which is no part of what a Fetch takes.
func (s *Session) fetchGoesOn(sl *slot) {
	if s.fetch.waiting() {
		sl.began = s.host.Mono()
	}
}
