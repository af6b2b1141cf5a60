package netio

import (
	"io"
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// only is the one connection that the handler has.
func (s *server) only() (id core.ConnID) {
	s.t.Helper()
	s.do(func() {
		if len(s.conns) != 1 {
			s.t.Errorf("%d connections are open; want 1", len(s.conns))
		}
		for id = range s.conns {
		}
	})
	return id
}

// What comes late for a connection that is closed does not reach the one that has its
// slot, and what it pins is let go.
func TestAClosedConnectionsSlotIsNotItsName(t *testing.T) {
	s := serve(t, Config{})
	first := s.dial()
	if err := echo(first); err != nil {
		t.Fatal(err)
	}
	was := s.only()
	_ = first.Close()
	await(t, "it is closed", func() bool { return s.opens.Load() == 0 })
	second := s.dial()
	if err := echo(second); err != nil {
		t.Fatal(err)
	}
	is := s.only()
	if is.Slot() != was.Slot() || is == was {
		t.Fatalf("the second connection is %x, the first was %x; want the same slot and another generation", is, was)
	}
	s.do(func() {
		for _, size := range []int{100, 1 << 20} {
			s.pin.Hold()
			s.l.SendExtent(was, core.Extent{Mem: s.content[:size], Len: size, Pin: &s.pin})
			s.pin.Hold()
			s.l.SendExtent(was, extentOf(s, 0, size))
		}
		if s.pin.Held() {
			t.Error("what was to be sent to a closed connection is still held")
		}
		s.l.Send(was, []byte("of another"))
		s.l.Pause(was, true)
		s.l.writable(uint64(was))
		if n := s.l.Queued(was) + s.l.Queued(is); n != 0 {
			t.Errorf("%d bytes are queued", n)
		}
		s.l.Close(was, false)
		s.l.Close(was, true)
	})
	if err := echo(second); err != nil {
		t.Error("the connection that has the slot: ", err)
	}
	end(t, second)
	restIs(t, second, nil)
}

// The generations of a slot begin again at 1: 0 would name none.
func TestGenerationsWrap(t *testing.T) {
	s := serve(t, Config{})
	for i := range 3 {
		c := s.dial()
		if err := echo(c); err != nil {
			t.Fatal(err)
		}
		id := s.only()
		if want := []uint32{1, math.MaxUint32, 1}[i]; id.Slot() != 0 || id.Gen() != want {
			t.Errorf("connection %d has slot %d and generation %d; want 0 and %d", i, id.Slot(), id.Gen(), want)
		}
		_ = c.Close()
		await(t, "it is closed", func() bool { return s.opens.Load() == 0 })
		s.do(func() {
			if i == 0 {
				s.l.gens[0] = math.MaxUint32
			}
		})
	}
}

// A connection is closed while the kernel still holds what its client has sent: the
// client reads the last answer and then the end, and is not reset.
func TestCloseReadsWhatTheClientHasSent(t *testing.T) {
	s := serve(t, Config{InMax: 8 << 10, ReadBuffer: 4 << 10})
	c := s.dial()
	const rest = 40 << 10
	if _, err := c.Write(append(frame(opPause), make([]byte, rest)...)); err != nil {
		t.Fatal(err)
	}
	unread := 0
	await(t, "the client's bytes are here, and the loop reads no more", func() (all bool) {
		s.do(func() {
			for id := range s.conns {
				k := s.l.get(id)
				n, err := unix.IoctlGetInt(k.fd, unix.SIOCINQ)
				unread, all = n, err == nil && k.deaf && len(k.in)-k.head+n == rest
			}
		})
		return all
	})
	if unread == 0 {
		t.Fatal("the loop has read everything: nothing is left to drain")
	}
	s.do(func() {
		for id := range s.conns {
			s.l.Send(id, []byte("last"))
			s.l.Close(id, false)
		}
	})
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "last" {
		t.Errorf("with %d bytes unread the client got %q, %v", unread, got, err)
	}
}

// domainOf is the family of a listener's socket.
func domainOf(t *testing.T, addr string) (domain int) {
	t.Helper()
	l, err := Listen(addr, 0, nil, nil)
	if err != nil {
		t.Skipf("NOT PROVEN HERE: %v", err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	raw, err := l.ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return domain
}

// 0.0.0.0 is every address of IPv4, and not of IPv6: who opens a port to the one network
// has not opened it to the other.
func TestAnyAddressOfIPv4IsNoneOfIPv6(t *testing.T) {
	if domainOf(t, "[::]:0") != unix.AF_INET6 {
		t.Skip("NOT PROVEN HERE: there is no IPv6, so no listener could be of it")
	}
	for _, addr := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		if d := domainOf(t, addr); d != unix.AF_INET {
			t.Errorf("%s: the socket is of family %d; want %d", addr, d, unix.AF_INET)
		}
	}
}
