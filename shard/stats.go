package shard

import (
	"time"

	"github.com/penstock/penstock/segment"
)

// statsEvery is how often a shard publishes what it counted.
const statsEvery = time.Second

// Stats is what a shard counted since it started, and what it holds now.
type Stats struct {
	At          time.Duration // Env.Mono
	Appends     int64         // batches
	AppendBytes int64
	Repeats     int64 // batches that an idempotent producer sent again
	Reads       int64 // answered with bytes
	ReadBytes   int64
	Refused     int64
	Crossed     int64  // requests sent to other shards
	Parked      int64  // of these: had to wait for room
	Held        int64  // appends of other shards that waited for the store
	Pressed     int64  // connections paused because of the store
	Failed      string // why the store acknowledges nothing any more; "": it works
	Quarantined int    // partitions
	Partitions  int
	Conns       int
	Pending     int // appends that are not yet durable
	HeldNow     int
	Messages    int // requests under way, wherever they are
	CatalogRev  int64
	Store       segment.Stats
}

// Stats returns the numbers of at most about a second ago: a shard has a turn for them
// after its last one. Any goroutine may call it.
func (s *Shard) Stats() *Stats { return s.published.Load() }

func (s *Shard) publish() {
	s.stats.At = s.clock.mono
	st := s.StatsNow()
	s.published.Store(&st)
}

// StatsNow returns the numbers of this moment. It is called on the loop.
func (s *Shard) StatsNow() Stats {
	st := s.stats
	st.Partitions, st.Conns, st.Pending, st.HeldNow, st.Messages = len(s.parts), s.conns.count, s.pendings, s.held.count, s.messages
	st.CatalogRev, st.Store = s.catalog.Revision, s.store.Stats()
	return st
}
