package main

import (
	"testing"
	"time"
)

func TestLogIsSparing(t *testing.T) {
	var s sparing
	written := 0
	for i := range 1000 {
		if n, ok := s.allow(time.Duration(i)); ok {
			if written++; n != 0 {
				t.Errorf("line %d: %d left out", i, n)
			}
		}
	}
	if n, ok := s.allow(2 * time.Second); written != linesPerSecond || !ok || n != 1000-linesPerSecond {
		t.Errorf("%d written; then %d left out, %v", written, n, ok)
	}
	if n, ok := s.allow(2 * time.Second); !ok || n != 0 {
		t.Errorf("%d left out, %v", n, ok)
	}
}
