package shard

import (
	"time"

	"github.com/penstock/penstock/segment"
)

// statsEvery is how often a shard publishes what it counted.
const statsEvery = time.Second

// Stats is what a shard counted since it started, and what it holds now. The names in
// JSON are part of what the admin port shows; times are nanoseconds.
type Stats struct {
	At          time.Duration `json:"at_ns"`    // Env.Mono
	Requests    int64         `json:"requests"` // of clients of this shard, that have ended
	Produce     Latency       `json:"-"`        // of these
	Fetch       Latency       `json:"-"`        // of these; without the wait for data
	Sync        Latency       `json:"-"`        // of group commits: writing and syncing the journal
	Appends     int64         `json:"appends"`  // batches
	AppendBytes int64         `json:"append_bytes"`
	Repeats     int64         `json:"repeats"` // batches that an idempotent producer sent again
	Reads       int64         `json:"reads"`   // answered with bytes
	ReadBytes   int64         `json:"read_bytes"`
	Refused     int64         `json:"refused"`
	Crossed     int64         `json:"crossed"`          // requests sent to other shards
	Parked      int64         `json:"parked"`           // of these: had to wait for room
	Held        int64         `json:"held"`             // appends of other shards that waited for the store
	Pressed     int64         `json:"pressed"`          // connections paused because of the store
	Failed      string        `json:"failed,omitempty"` // why the store acknowledges nothing any more; "": it works
	Quarantined int           `json:"quarantined"`      // partitions
	Partitions  int           `json:"partitions"`
	Conns       int           `json:"connections"`
	Pending     int           `json:"pending_appends"` // appends that are not yet durable
	HeldNow     int           `json:"held_now"`
	Messages    int           `json:"requests_under_way"` // requests under way, wherever they are
	CatalogRev  int64         `json:"catalog_revision"`
	Store       segment.Stats `json:"-"` // shown by whoever shows the rest
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
