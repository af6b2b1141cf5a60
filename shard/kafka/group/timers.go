package group

import (
	"time"

	"github.com/penstock/penstock/core"
)

// timerKind says what a timer is for.
type timerKind uint8

const (
	sessionTimer timerKind = iota // a member's heartbeats have stopped
	joinTimer                     // the members of a rebalance have had their time to join
	syncTimer                     // … and to sync
	pendingTimer                  // nobody came back with an id that was promised
	expiryTimer                   // look for offsets that have expired
)

// timer is one deadline of a member, a group or the coordinator, embedded in it. A
// heartbeat moves the deadline later, many thousand times a second; so only `due` moves
// then, and the heap is put right when the old time comes.
//
// Invariant: due == 0 (off) and not in the heap, or in the heap at `at` <= due.
type timer struct {
	at, due time.Duration
	pos     int // in the heap, counted from 1; 0: not in it
	kind    timerKind
	group   *group
	member  *member
	promise string // pendingTimer: the member id
}

// timers is a binary heap of timers by `at`.
type timers struct{ heap []*timer }

// set makes t fire at due.
func (h *timers) set(t *timer, due time.Duration) {
	t.due = due
	switch {
	case t.pos == 0:
		t.at = due
		h.heap = append(h.heap, t)
		t.pos = len(h.heap)
		h.up(t.pos)
	case due < t.at:
		t.at = due
		h.up(t.pos)
	}
}

// stop takes t out.
func (h *timers) stop(t *timer) {
	t.due = 0
	if t.pos == 0 {
		return
	}
	i, n := t.pos, len(h.heap)
	last := h.heap[n-1]
	h.heap[n-1] = nil
	h.heap = h.heap[:n-1]
	t.pos = 0
	if i < n {
		h.heap[i-1] = last
		last.pos = i
		h.down(i)
		h.up(i)
	}
}

// pop returns a timer that is due, off already, or nil.
func (h *timers) pop(now time.Duration) *timer {
	for len(h.heap) > 0 && h.heap[0].at <= now {
		t := h.heap[0]
		if t.due <= now {
			h.stop(t)
			return t
		}
		t.at = t.due
		h.down(1)
	}
	return nil
}

// next is when pop should be called, at the earliest time that can matter; 0: never.
func (h *timers) next() time.Duration {
	if len(h.heap) == 0 {
		return 0
	}
	return h.heap[0].at
}

func (h *timers) up(i int) {
	for ; i > 1 && h.heap[i-1].at < h.heap[i/2-1].at; i /= 2 {
		h.swap(i, i/2)
	}
}

func (h *timers) down(i int) {
	for {
		least := i
		for _, k := range [2]int{2 * i, 2*i + 1} {
			if k <= len(h.heap) && h.heap[k-1].at < h.heap[least-1].at {
				least = k
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h *timers) swap(i, k int) {
	a, b := h.heap[i-1], h.heap[k-1]
	h.heap[i-1], h.heap[k-1] = b, a
	a.pos, b.pos = k, i
}

func (h *timers) check() {
	for i, t := range h.heap {
		core.Assert(t.pos == i+1 && t.due >= t.at, "a timer of a group is not where it says")
		core.Assert(i == 0 || h.heap[(i+1)/2-1].at <= t.at, "the timers of a coordinator are not a heap")
	}
}
