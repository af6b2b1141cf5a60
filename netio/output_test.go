package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
)

// readRange reads an answer in pieces of at most chunk bytes and compares every byte.
func readRange(c net.Conn, s *server, pos, size, chunk int) error {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint32(head[:])); n != size {
		return errors.New("the size of another answer")
	}
	buf := make([]byte, chunk)
	for size > 0 {
		n, err := c.Read(buf[:min(chunk, size)])
		if err != nil {
			return err
		}
		if !bytes.Equal(buf[:n], s.content[pos:pos+n]) {
			return errors.New("other bytes")
		}
		pos, size = pos+n, size-n
	}
	return nil
}

// Answers of mixed pieces arrive whole and in order, however small the windows are and
// however the readers stumble; connections that are dropped midway leave nothing behind.
func TestOutputInOrder(t *testing.T) {
	s := serve(t, Config{})
	s.do(func() { s.sendBuffer = 64 << 10 })
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(k), 5))
			for range 6 {
				if !exchange(t, s, r, k%2 == 0) {
					return
				}
			}
		})
	}
	wg.Wait()
	st := s.stats()
	t.Logf("out %d MiB, %d sendmsg, %d sendfile, %d times full, %d turns", st.BytesOut>>20, st.Writevs, st.Sendfiles, st.Blocked, st.Turns)
	if st.Blocked == 0 || st.Sendfiles == 0 || st.Writevs == 0 {
		t.Error("the test did not reach all ways of sending")
	}
}

// exchange is one connection: some questions in flight, the answers read; one in three
// is dropped midway, half of these with a reset.
func exchange(t *testing.T, s *server, r *rand.Rand, slow bool) bool {
	chunk := 256 << 10
	var c *net.TCPConn
	if slow {
		chunk = 4 << 10
		c = s.narrow(16 << 10)
	} else {
		c = s.dial()
	}
	defer func() { _ = c.Close() }()
	type question struct{ pos, size int }
	var asked []question
	for range 4 + r.IntN(8) {
		size := r.IntN(1 << (1 + r.IntN(21)))
		q := question{r.IntN(contentSize - size), size}
		asked = append(asked, q)
		if _, err := c.Write(ask(q.pos, q.size, r.Uint64())); err != nil {
			t.Error(err)
			return false
		}
	}
	drop := -1
	if r.IntN(3) == 0 {
		drop = r.IntN(len(asked))
	}
	for i, q := range asked {
		if i == drop {
			_, _ = io.CopyN(io.Discard, c, int64(r.IntN(q.size+1)))
			if r.IntN(2) == 0 {
				_ = c.SetLinger(0)
			}
			return true
		}
		if err := readRange(c, s, q.pos, q.size, chunk); err != nil {
			t.Errorf("answer %d (%d bytes at %d): %v", i, q.size, q.pos, err)
			return false
		}
	}
	return true
}

// A client that asks for much and never reads holds a bounded amount of memory, and
// others are served meanwhile.
func TestNeverReading(t *testing.T) {
	s := serve(t, Config{})
	idle := s.dial()
	for range 64 { // 256 MiB are asked for
		if _, err := idle.Write(ask(0, 4<<20, 3)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the first answers are queued", func() bool { return s.stats().Blocked > 0 })
	other := s.dial()
	for k := range 50 {
		if _, err := other.Write(ask(k, 100_000, 4)); err != nil {
			t.Fatal(err)
		}
		if err := readRange(other, s, k, 100_000, 1<<16); err != nil {
			t.Fatal(err)
		}
	}
	if q := s.stats().Queued; q > 1<<20+4<<20+4 {
		t.Errorf("%d bytes are queued for a client that does not read", q)
	}
}

// A handler hears when the queue of a connection has room again, and the questions that
// waited for that are answered.
func TestDrained(t *testing.T) {
	s := serve(t, Config{OutMax: 100_000})
	c := s.dial()
	var all []byte
	for k := range 40 {
		all = append(all, ask(k, 300_000, 9)...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for k := range 40 {
		if err := readRange(c, s, k, 300_000, 1<<16); err != nil {
			t.Fatal(k, err)
		}
	}
	s.do(func() {
		if s.drained < 40 {
			t.Errorf("Drained was called %d times", s.drained)
		}
	})
}

// A peer that takes nothing while bytes wait is closed, so that its pins go.
func TestStalledReader(t *testing.T) {
	s := serve(t, Config{Stalled: 150 * time.Millisecond})
	c := s.dial()
	if _, err := c.Write(bytes.Repeat(ask(0, 4<<20, 3), 8)); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection is closed", func() (is bool) {
		s.do(func() { is = len(s.closed) > 0 })
		return is
	})
	if s.pin.Held() {
		t.Error("its pins are still held")
	}
	s.do(func() {
		if len(s.closed) != 1 || !errors.Is(s.closed[0], ErrStalled) {
			t.Errorf("closed with %v", s.closed)
		}
	})
}

// A reader that is slow, but reads, is not closed. One that the machine holds back for as
// long as a stall may last proves nothing, and is followed by another.
func TestSlowReaderStays(t *testing.T) {
	const stalled = 200 * time.Millisecond
	s := serve(t, Config{Stalled: stalled})
	for range 20 {
		gap, err := readSlowly(s)
		if err == nil {
			return
		}
		if gap < stalled/2 {
			t.Fatalf("it read every %v at least: %v", gap, err)
		}
		t.Logf("held back for %v: %v", gap, err)
	}
	t.Skip("this machine is too busy for a reader of one piece in 20 ms")
}

// readSlowly reads an answer in pieces, and tells the longest time between two of them.
func readSlowly(s *server) (gap time.Duration, err error) {
	const size = 6 << 20
	c := s.narrow(16 << 10)
	defer func() { _ = c.Close() }()
	last := core.Mono()
	if _, err := c.Write(ask(0, size, 3)); err != nil {
		return 0, err
	}
	buf := make([]byte, 128<<10)
	for at := -4; at < size && err == nil; {
		n := 0
		if at < 0 {
			n, err = io.ReadFull(c, buf[:4]) // the head
		} else {
			n, err = io.ReadFull(c, buf[:min(len(buf), size-at)])
		}
		if err == nil && at >= 0 && !bytes.Equal(buf[:n], s.content[at:at+n]) {
			s.t.Fatal("other bytes")
		}
		at += n
		<-time.After(20 * time.Millisecond) // the slowness that is tested
		gap, last = max(gap, core.Mono()-last), core.Mono()
	}
	return gap, err
}

// What is queued leaves before a connection closes; what is queued when it is
// killed does not.
func TestCloseAfterOutput(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	if _, err := c.Write(append(append(ask(5, 3<<20, 1), frame(opBad)...), make([]byte, 100_000)...)); err != nil {
		t.Fatal(err)
	}
	if err := readRange(c, s, 5, 3<<20, 1<<16); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) != 1 {
		t.Errorf("the end was %v, %v", rest, err)
	}
	s.do(func() {
		if len(s.closed) != 1 || s.closed[0] != errBad {
			t.Errorf("closed with %v", s.closed)
		}
	})
	k := s.dial()
	if _, err := k.Write(append(ask(0, 8<<20, 1), frame(opKill)...)); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, k); n > 4+8<<20 { // the byte that was queued when it was killed is not among them
		t.Errorf("%d bytes came", n)
	}
}

// A file that is shorter than its extent ends the connection, not the loop.
func TestShortFile(t *testing.T) {
	s := serve(t, Config{})
	for _, size := range []int{10_000, 1 << 20} {
		c := s.dial()
		if _, err := c.Write(ask(contentSize-size/2, 0, 0)); err != nil { // the connection is open
			t.Fatal(err)
		}
		if err := readRange(c, s, 0, 0, 1); err != nil {
			t.Fatal(err)
		}
		s.do(func() {
			for id := range s.conns {
				s.pin.Hold()
				s.l.SendExtent(id, extentOf(s, contentSize-size/2, size))
			}
		})
		if n, err := io.Copy(io.Discard, c); err == nil && n >= int64(size) {
			t.Errorf("%d bytes came", n)
		}
	}
	await(t, "both are closed", func() bool { return s.opens.Load() == 0 })
	s.do(func() {
		for _, err := range s.closed {
			if !errors.Is(err, ErrFileShort) {
				t.Errorf("closed with %v", err)
			}
		}
	})
}

// Answers of the turn in which the loop is stopped still leave.
func TestStopSendsTheLastAnswers(t *testing.T) {
	s := serve(t, Config{})
	var cs []*net.TCPConn
	for range 10 {
		c := s.dial()
		if _, err := c.Write(frame(opEcho)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	last := bytes.Repeat([]byte{9}, 50_000)
	s.do(func() {
		for id := range s.conns {
			s.l.Send(id, last)
		}
		s.l.killAll()
	})
	for _, c := range cs {
		restIs(t, c, last)
	}
}
