package main

import "time"

// sparing bounds how often something is logged: clients could fill a disk with lines. It
// belongs to one goroutine.
type sparing struct {
	until time.Duration // end of the present second
	left  int           // lines that may still be written in it
	held  int           // that were not written since the last one that was
}

const linesPerSecond = 10

// allow says whether to write a line, and how many were left out before it.
func (s *sparing) allow(now time.Duration) (leftOut int, ok bool) {
	if now >= s.until {
		s.until, s.left = now+time.Second, linesPerSecond
	}
	if s.left == 0 {
		s.held++
		return 0, false
	}
	s.left--
	leftOut, s.held = s.held, 0
	return leftOut, true
}
