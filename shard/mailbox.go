package shard

import (
	"sync/atomic"

	"github.com/penstock/penstock/core"
)

// A ring carries messages from one shard to one other: requests of the first, and the
// first's answers to requests of the second. It never drops:
//
//	asker:  no credit or no room --> parked, in order; the connections that wanted to
//	                                 send are paused until their last message has left
//	owner:  no room for an answer --> answers, in order; the message is its own memory
//
// An owner always takes what the ring holds, whether or not it can send itself, so two
// full rings cannot wait for each other.
const (
	ringMax      = 1024    // messages of one ring
	ringTotal    = 8192    // messages of all rings towards one shard, at least ringMin each
	ringMin      = 64      // a power of two
	creditBytes  = 8 << 20 // bodies under way to one peer; one larger body may go alone
	ringPollMax  = 256     // messages taken from one ring before the others have their turn
	inboxStepMax = 1 << 14 // steps of one turn; the rest follows in the next
)

// ring is a bounded queue with one producing and one consuming goroutine.
//
//	head <= tail <= head + len(slots)
type ring struct {
	slots []*message
	_     [40]byte
	head  atomic.Uint64 // next to take; written by the consumer
	_     [56]byte
	tail  atomic.Uint64 // next to fill; written by the producer
	_     [56]byte
	// starved says that the producer waits for room: whoever takes something then wakes it.
	starved atomic.Bool
}

func newRing(n int) *ring { return &ring{slots: make([]*message, n)} }

// push is for the producer. False means that the ring is full.
func (r *ring) push(m *message) bool {
	tail := r.tail.Load()
	if tail-r.head.Load() == uint64(len(r.slots)) {
		return false
	}
	r.slots[tail&uint64(len(r.slots)-1)] = m
	r.tail.Store(tail + 1)
	return true
}

// pop is for the consumer. Nil means that the ring is empty.
func (r *ring) pop() *message {
	head := r.head.Load()
	if head == r.tail.Load() {
		return nil
	}
	at := &r.slots[head&uint64(len(r.slots)-1)]
	m := *at
	*at = nil
	r.head.Store(head + 1)
	return m
}

func (r *ring) empty() bool { return r.head.Load() == r.tail.Load() }

// link is what a shard knows of one other.
type link struct {
	peer    *Shard
	out, in *ring
	answers list // of ours, that found the ring full
	parked  list // requests that found no room or no credit
	flying  int  // requests under way that hold a credit
	bytes   int  // of their bodies
	rung    bool // something was pushed in this turn
}

// Connect makes the rings between all shards. It is called once, before any of them
// runs; each loop's first turn follows when it does.
func Connect(shards []*Shard) {
	size := ringMax
	if n := shards[0].cfg.RingMax; n > 0 {
		size = n
	}
	for size > ringMin && size*len(shards) > ringTotal {
		size /= 2
	}
	rings := make([][]*ring, len(shards))
	for from := range shards {
		rings[from] = make([]*ring, len(shards))
		for to := range shards {
			if from != to {
				rings[from][to] = newRing(size)
			}
		}
	}
	for i, s := range shards {
		core.Assert(int(s.cfg.ID) == i, "shards are connected out of order")
		s.links = make([]*link, len(shards))
		for j, peer := range shards {
			if i != j {
				s.links[j] = &link{peer: peer, out: rings[i][j], in: rings[j][i]}
			}
		}
		s.cfg.Loop.Ring() // the first turn sets the timer
	}
}

// credited says whether a message holds a credit while it is away: waits and calls may
// be away for minutes and must not keep others from sending.
func credited(m *message) bool {
	return m.kind != kindWait && m.kind != kindCall
}

// room says whether a request may be sent now.
func (l *link) room(m *message) bool {
	if !credited(m) || l.flying == 0 {
		return true
	}
	return l.flying < len(l.out.slots) && l.bytes+len(m.body) <= creditBytes
}

// send passes a request to the owner of its partition. c is the connection to pause if
// it has to wait; nil for services.
func (s *Shard) send(to core.ShardID, m *message, c *conn) {
	l := s.links[to]
	s.own(m)
	s.stats.Crossed++
	if l.parked.head == nil && l.launch(m) {
		return
	}
	l.parked.push(m)
	s.parkedBytes += len(m.body)
	s.stats.Parked++
	if c != nil {
		c.parked++
		s.pause(c, pausedRing, true)
	}
}

// launch pushes a request if there is credit and room for it.
func (l *link) launch(m *message) bool {
	if !l.room(m) {
		return false
	}
	size, counts := len(m.body), credited(m)
	m.size = size
	if planted == lostMessage && m.home.stats.Crossed%128 == 127 {
		return true
	}
	if !l.out.push(m) {
		return false
	}
	l.rung = true
	if counts {
		l.flying++
		l.bytes += size
	}
	return true
}

// reply returns an answered message to the shard that asked.
func (s *Shard) reply(m *message) {
	l := s.links[m.home.cfg.ID]
	if l.answers.head == nil && l.out.push(m) {
		l.rung = true
		return
	}
	l.answers.push(m)
}

// flush pushes what found no room before: answers first, since others wait for them.
func (s *Shard) flush(l *link) {
	for l.answers.head != nil {
		m := l.answers.pop()
		if !l.out.push(m) {
			l.answers.pushFront(m)
			return
		}
		l.rung = true
	}
	for l.parked.head != nil {
		m := l.parked.pop()
		conn, size := m.conn, len(m.body) // not to be touched once it is sent
		if !l.launch(m) {
			l.parked.pushFront(m)
			return
		}
		s.parkedBytes -= size
		if c := s.conns.get(conn); c != nil && c.parked > 0 {
			if c.parked--; c.parked == 0 {
				s.pause(c, pausedRing, false)
			}
		}
	}
}

// poll takes what the other shards have sent. It reports whether something was left.
func (s *Shard) poll() (more bool) {
	for _, l := range s.links {
		if l == nil {
			continue
		}
		n := 0
		for ; n < ringPollMax; n++ {
			m := l.in.pop()
			if m == nil {
				break
			}
			s.take(l, m)
		}
		if n > 0 && l.in.starved.Load() && l.in.starved.Swap(false) {
			l.rung = true // the peer waits for this room
		}
		more = more || n == ringPollMax
		s.flush(l)
	}
	return more
}

// take handles one message from a ring.
func (s *Shard) take(l *link, m *message) {
	if m.home != s {
		core.Assert(!m.answered, "an answer came to a shard that did not ask")
		s.handle(m)
		return
	}
	if credited(m) && (planted != lostCredit || s.stats.Crossed%8 != 7) {
		l.flying--
		l.bytes -= m.size
	}
	s.inbox.push(m)
}

// bell wakes the peers that were sent something and are asleep, and tells those that
// we wait for to wake us.
func (s *Shard) bell() {
	for _, l := range s.links {
		if l == nil {
			continue
		}
		if l.answers.head != nil || l.parked.head != nil {
			l.out.starved.Store(true)
			s.flush(l) // room that came before the flag was seen
		}
		if l.rung {
			l.rung = false
			if planted != noDoorbell && l.peer.asleep.Load() && l.peer.asleep.Swap(false) {
				l.peer.cfg.Loop.Ring()
			}
		}
	}
}

// waiting says whether any ring holds something for this shard.
func (s *Shard) waiting() bool {
	for _, l := range s.links {
		if l != nil && !l.in.empty() {
			return true
		}
	}
	return false
}
