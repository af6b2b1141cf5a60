package main

import (
	"io"
	"sync/atomic"
	"time"
)

// outlet writes the lines of the log from a goroutine of its own: loops log too, and a
// reader that has stopped reading (a full pipe, a terminal that is held) must not stop
// them. Lines that find no room are dropped and counted.
type outlet struct {
	lines   chan line
	dropped atomic.Int64
}

// line is one line of the log, or a question whether all before it are out.
type line struct {
	text []byte
	out  chan struct{} // closed when it is its turn
}

const (
	outletMax      = 1024            // lines that may wait
	outletPatience = 2 * time.Second // how long the end of the process waits for the reader
)

// newOutlet never ends: the process does.
func newOutlet(w io.Writer) *outlet {
	o := &outlet{lines: make(chan line, outletMax)}
	go func() {
		for l := range o.lines {
			if l.out != nil {
				close(l.out)
				continue
			}
			_, _ = w.Write(l.text) // whoever reads it may be gone
		}
	}()
	return o
}

// Write takes one line. Any goroutine.
func (o *outlet) Write(text []byte) (int, error) {
	select {
	case o.lines <- line{text: append([]byte(nil), text...)}:
	default:
		o.dropped.Add(1)
	}
	return len(text), nil
}

// flush waits until what has been written so far is out, or for outletPatience.
func (o *outlet) flush() {
	out, patience := make(chan struct{}), time.After(outletPatience)
	select {
	case o.lines <- line{out: out}:
	case <-patience:
		return
	}
	select {
	case <-out:
	case <-patience:
	}
}
