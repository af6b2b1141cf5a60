package core

import (
	"net/netip"
	"time"
)

// ConnID names one connection of a loop: a slot in its table and a generation, so
// that an id of a closed connection never names a later one. Zero names none.
type ConnID uint64

// MakeConnID joins slot and generation (which is never 0).
func MakeConnID(slot, gen uint32) ConnID { return ConnID(gen)<<32 | ConnID(slot) }

// Slot is the index into the loop's table.
func (c ConnID) Slot() uint32 { return uint32(c) }

// Gen is the generation of the slot.
func (c ConnID) Gen() uint32 { return uint32(c >> 32) }

// ConnInfo is what is known of a connection when it opens.
type ConnInfo struct {
	ID       ConnID
	Listener int            // index of the listener that accepted it; which protocol and view that means is the shard's business
	Local    netip.AddrPort // the address the client reached us at
	Remote   netip.AddrPort
}

// Loop is what a shard asks of the event loop that it runs on. All methods but Ring
// are called on the loop only. Bytes and extents of one connection leave in the order
// of the calls; they are sent at the end of the turn at the latest.
type Loop interface {
	// Send queues a copy of p.
	Send(id ConnID, p []byte)
	// SendExtent queues log bytes and takes over the extent's hold.
	SendExtent(id ConnID, e Extent)
	// Queued is how many bytes wait to be sent.
	Queued(id ConnID) int
	// Pause stops or resumes Receive for this connection. Bytes that have already
	// been read are kept, within a bound, and offered again on resume, not before
	// the present call has returned.
	Pause(id ConnID, paused bool)
	// Close closes after what is queued has been sent, or at once if kill is set.
	// Handler.Closed follows, not before the present call has returned.
	Close(id ConnID, kill bool)
	// Timer asks for one Handler.Wake at or soon after the given time of Env.Mono;
	// a later call replaces an earlier one; 0 means none.
	Timer(at time.Duration)
	// Ring asks for a Handler.Wake soon. Any goroutine may call it. It never blocks,
	// and many calls may lead to one Wake.
	Ring()
}

// Handler is what the loop calls; the shard is one. All calls come from the loop's
// goroutine, one at a time.
type Handler interface {
	// Open announces a connection. False refuses it: it is closed without a byte.
	Open(c ConnInfo) bool
	// Receive offers all bytes read and not yet used. The handler says how many it
	// has used up, and, if a frame is incomplete, how many bytes of `in` beyond used
	// must be there before it makes sense to call again (need; 0 means any number):
	// the loop then reads the rest of the frame in place. A non-nil error closes the
	// connection after what is queued. `in` is borrowed until the call returns.
	Receive(id ConnID, in []byte) (used, need int, err error)
	// Drained says that the output queue, after having been over its budget, has
	// room again.
	Drained(id ConnID)
	// Owes says whether answers of this connection are still to come. It is asked when
	// the peer has ended its side, and then after each turn, until it is false and the
	// output is sent: the connection closes. It changes nothing.
	Owes(id ConnID) bool
	// Closed is the last call for a connection; err is nil when the peer closed.
	Closed(id ConnID, err error)
	// Wake follows a Ring, or the time set by Timer.
	Wake()
	// EndTurn comes once after each turn of the loop in which any other call was made.
	EndTurn()
}
