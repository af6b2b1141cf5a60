package core

import "sync/atomic"

// File is an open file that extents point into. Fd is for sendfile; ReadAt is for
// small ranges, and for the simulator, whose files have no descriptor (Fd is -1).
type File interface {
	Fd() int
	ReadAt(p []byte, pos int64) (int, error)
}

// Pin keeps alive what extents point at: the open file of a segment, or a chunk of
// the arena that must not be lent again. It is the one thing that two cores count
// on the same word: a message per fetch to the owner cost more than the atomic add.
type Pin struct{ held atomic.Int32 }

// Hold adds one holder. Only the owning shard calls it.
func (p *Pin) Hold() { p.held.Add(1) }

// Release takes one holder away. Any goroutine may call it, once per Hold.
func (p *Pin) Release() {
	Assert(p.held.Add(-1) >= 0, "a pin was released more often than it was held")
}

// Held says whether anyone still holds it. Once the owner has seen false and stops
// calling Hold, it stays false.
func (p *Pin) Held() bool { return p.held.Load() > 0 }

// Extent is a run of committed log bytes: memory of the arena if Mem is not nil,
// else Len bytes of File at Pos. Whoever has an extent owns one hold on its Pin and
// releases it exactly once; the bytes do not change before that.
type Extent struct {
	Mem  []byte
	File File
	Pos  FilePos
	Len  int
	Pin  *Pin
}

// Release gives the hold back. The extent must not be used after it.
func (e *Extent) Release() {
	if e.Pin != nil {
		e.Pin.Release()
		e.Pin = nil
	}
}
