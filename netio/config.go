package netio

import (
	"errors"
	"time"
)

// Config bounds a loop. Zero values mean the defaults.
type Config struct {
	ReadBuffer int           // bytes that one read of the loop takes; rounded up to a power of two (64 KiB)
	OutMax     int           // bytes queued at which a connection is not read any more (1 MiB)
	InMax      int           // bytes kept of a connection that is paused, before its reading stops (64 KiB)
	FrameMax   int           // the largest frame that is put together (100 MiB)
	HeldMax    int           // input kept of all connections of the loop; above it large frames wait, and are put together one at a time (256 MiB)
	Stalled    time.Duration // a peer that takes nothing for so long while bytes wait is closed (30 s)
	Congestion string        // TCP congestion control; "" leaves the system's
	OnError    func(error)   // for the log: why connections were closed by us, and what else fails; called on the loop
}

func (c *Config) defaults() {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&c.ReadBuffer, 64<<10)
	set(&c.OutMax, 1<<20)
	set(&c.InMax, 64<<10)
	set(&c.FrameMax, 100<<20)
	set(&c.HeldMax, 256<<20)
	if c.Stalled <= 0 {
		c.Stalled = 30 * time.Second
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
}

// Why a connection was closed by the loop itself; Handler.Closed gets it.
var (
	ErrFrameTooLarge = errors.New("the frame is larger than the limit")
	ErrStalled       = errors.New("the peer took or sent nothing for too long while bytes waited")
	ErrFileShort     = errors.New("a file is shorter than what was to be sent of it")
	ErrStopped       = errors.New("the loop has stopped")
)
