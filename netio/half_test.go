package netio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// end closes the client's side for sending.
func end(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// restIs reads to the end of the connection.
func restIs(t *testing.T, c *net.TCPConn, want []byte) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came; want %d (%v)", len(got), len(want), err)
	}
}

// A client that has ended its side gets what is queued for it, and then the end.
func TestHalfClosedGetsWhatIsQueued(t *testing.T) {
	s := serve(t, Config{})
	for _, c := range []*net.TCPConn{s.dial(), s.narrow(16 << 10)} {
		for k := range 4 {
			if _, err := c.Write(ask(k, 2<<20, uint64(k))); err != nil {
				t.Fatal(err)
			}
		}
		end(t, c)
		for k := range 4 {
			if err := readRange(c, s, k, 2<<20, 64<<10); err != nil {
				t.Fatal(k, err)
			}
		}
		restIs(t, c, nil)
	}
	await(t, "they are closed", func() bool { return s.opens.Load() == 0 })
	s.do(func() {
		for _, err := range s.closed {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// It gets the answers that the handler still owes, and to questions that were kept while
// it was paused.
func TestHalfClosedGetsWhatIsOwed(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	if _, err := c.Write(append(frame(opLater), frame(opLater)...)); err != nil {
		t.Fatal(err)
	}
	end(t, c)
	p := s.dial()
	if _, err := p.Write(append(frame(opPause), frame(opEcho, 7, 8)...)); err != nil {
		t.Fatal(err)
	}
	end(t, p)
	halves := func(n int) func() bool {
		return func() (is bool) {
			s.do(func() { is = len(s.l.halves) == n })
			return is
		}
	}
	await(t, "both have ended their side", halves(2))
	s.do(s.later)
	s.do(s.later)
	restIs(t, c, []byte{1, 1})
	await(t, "the first is closed", halves(1))
	s.do(func() { s.l.Pause(s.paused[0], false) })
	restIs(t, p, frame(opEcho, 7, 8))
	await(t, "the second is closed", halves(0))
}

// It is closed at once if nothing is to come, or if its last question is not whole.
func TestHalfClosedWithNothingOwed(t *testing.T) {
	s := serve(t, Config{})
	for _, in := range [][]byte{nil, frame(opEcho, 1)[:3], frame(opCount, make([]byte, 1<<20)...)[:1<<19]} {
		c := s.dial()
		if _, err := c.Write(in); err != nil {
			t.Fatal(err)
		}
		end(t, c)
		restIs(t, c, nil)
	}
}

// One that is owed something for ever, and one that reads nothing, are closed; so is one
// that is gone altogether.
func TestHalfClosedDoesNotStay(t *testing.T) {
	s := serve(t, Config{Stalled: 200 * time.Millisecond})
	c := s.dial()
	if _, err := c.Write(frame(opLater)); err != nil {
		t.Fatal(err)
	}
	end(t, c)
	n := s.narrow(16 << 10)
	if _, err := n.Write(ask(0, 8<<20, 3)); err != nil {
		t.Fatal(err)
	}
	end(t, n)
	g := s.dial()
	if _, err := g.Write(frame(opLater)); err != nil {
		t.Fatal(err)
	}
	await(t, "all three are there", func() bool { return s.receives.Load() >= 3 })
	_ = g.Close()
	await(t, "all are closed", func() bool { return s.opens.Load() == 0 })
	s.do(func() {
		stalled := 0
		for _, err := range s.closed {
			if errors.Is(err, ErrStalled) {
				stalled++
			}
		}
		if stalled < 2 {
			t.Errorf("closed with %v", s.closed)
		}
	})
	restIs(t, c, nil)
}

// A reset while answers wait ends the connection at once.
func TestResetIsNotHalfClosed(t *testing.T) {
	s := serve(t, Config{})
	c := s.narrow(16 << 10)
	if _, err := c.Write(append(ask(0, 8<<20, 3), frame(opLater)...)); err != nil {
		t.Fatal(err)
	}
	await(t, "something is queued", func() bool { return s.pin.Held() })
	_ = c.SetLinger(0)
	_ = c.Close()
	await(t, "it is closed", func() bool { return s.opens.Load() == 0 })
}
