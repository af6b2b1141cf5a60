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
)

// Frames of all sizes come out as they went in, however they are cut on the way.
func TestFramesHoweverCut(t *testing.T) {
	s := serve(t, Config{InMax: 8 << 10})
	var wg sync.WaitGroup
	for k := range 4 {
		c := s.dial()
		r := rand.New(rand.NewPCG(uint64(k), 8))
		var in []byte
		for range 40 {
			body := make([]byte, r.IntN(1<<(1+r.IntN(19))))
			_, _ = rand.NewChaCha8([32]byte{byte(len(body))}).Read(body)
			in = append(in, frame(opEcho, body...)...)
		}
		wg.Go(func() {
			for p := in; len(p) > 0; {
				n, err := c.Write(p[:min(len(p), 1+r.IntN(1<<(1+r.IntN(18))))])
				if err != nil {
					t.Error(err)
					return
				}
				p = p[n:]
			}
		})
		wg.Go(func() {
			out := make([]byte, len(in))
			if _, err := io.ReadFull(c, out); err != nil || !bytes.Equal(in, out) {
				t.Errorf("connection %d: other bytes came back (%v)", k, err)
			}
		})
	}
	wg.Wait()
}

// A large frame is read into one buffer in place; the handler is not asked in between.
func TestFrameInPlace(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	body := make([]byte, 9<<20)
	before := s.receives.Load()
	if _, err := c.Write(frame(opCount, body...)); err != nil {
		t.Fatal(err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil || binary.BigEndian.Uint32(head[:]) != uint32(len(body)+1) {
		t.Fatal(head, err)
	}
	if n := s.receives.Load() - before; n > 4 {
		t.Errorf("Receive was called %d times for one frame", n)
	}
}

// A frame above FrameMax is refused before anything is set aside for it.
func TestFrameTooLarge(t *testing.T) {
	s := serve(t, Config{FrameMax: 1 << 20})
	c := s.dial()
	if _, err := c.Write(binary.BigEndian.AppendUint32(nil, 256<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection is closed", func() bool { return s.opens.Load() == 0 })
	s.do(func() {
		if len(s.closed) != 1 || s.closed[0] != ErrFrameTooLarge {
			t.Errorf("closed with %v", s.closed)
		}
	})
}

// Promises of large frames cost nothing: memory is taken for the bytes that are there,
// and never more than HeldMax.
func TestUnfinishedFramesBounded(t *testing.T) {
	s := serve(t, Config{FrameMax: 8 << 20, HeldMax: 32 << 20})
	before := rss(t)
	var cs []*net.TCPConn
	for range 40 { // promise 8 MiB and send 1: 320 MiB promised
		c := s.dial()
		cs = append(cs, c)
		go func() {
			_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, 8<<20-4), opCount))
			_, _ = c.Write(make([]byte, 1<<20))
		}()
	}
	await(t, "the later frames wait for room", func() bool { return s.stats().Pauses >= 36 })
	if st := s.stats(); st.Held > 32<<20+40*128<<10 {
		t.Errorf("%d bytes are held", st.Held)
	}
	if n := rss(t) - before; n > 64<<20 {
		t.Errorf("resident memory grew by %d bytes", n)
	}
	other := s.dial() // small frames go on
	if _, err := other.Write(frame(opEcho, 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	for _, c := range cs[:36] { // whoever goes makes room
		_ = c.Close()
	}
	for _, c := range cs[36:] {
		go func() { _, _ = c.Write(make([]byte, 8<<20-5-1<<20)) }()
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
}

// Where HeldMax is less than a frame, frames are put together one at a time, and each of
// them is: none waits for ever, whatever small frames keep meanwhile.
func TestLargeFramesOneAtATime(t *testing.T) {
	const size = 4 << 20
	s := serve(t, Config{FrameMax: size, HeldMax: 1 << 10})
	small := s.dial() // keeps more than HeldMax all the time
	if _, err := small.Write(frame(opCount, make([]byte, 50<<10)...)[:48<<10]); err != nil {
		t.Fatal(err)
	}
	await(t, "the small frame is kept", func() bool { return s.stats().Held > 1<<10 })
	done := make(chan error, 5)
	for range cap(done) {
		c := s.dial()
		go func() {
			if _, err := c.Write(frame(opCount, make([]byte, size-5)...)); err != nil {
				done <- err
				return
			}
			_, err := io.ReadFull(c, make([]byte, 4))
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if h := s.stats().Held; h > 2*size {
			t.Errorf("%d bytes are held", h)
		}
	}
	_ = small.Close()
	await(t, "nothing is held any more", func() bool { return s.stats().Held == 0 })
	s.do(func() {
		if s.l.large != 0 {
			t.Errorf("%d large frames are counted", s.l.large)
		}
	})
}

// Frames that do not grow are closed if others wait for their room.
func TestStalledFrame(t *testing.T) {
	s := serve(t, Config{FrameMax: 8 << 20, HeldMax: 16 << 20, Stalled: 100 * time.Millisecond})
	for range 2 {
		if _, err := s.dial().Write(binary.BigEndian.AppendUint32(nil, 8<<20-4)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "they have their room", func() bool { return s.receives.Load() >= 2 })
	c := s.dial()
	go func() { _, _ = c.Write(frame(opCount, make([]byte, 7<<20)...)) }()
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if n := s.stats().Stalled; n == 0 {
		t.Error("no frame was closed")
	}
}

// A paused connection keeps a bounded number of bytes and offers them on resume.
func TestPauseBounded(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	body := bytes.Repeat([]byte{7}, 1000)
	in := frame(opPause)
	const frames = 40_000
	var want []byte
	for range 100 {
		want = append(want, frame(opEcho, body...)...)
	}
	done := make(chan error, 1)
	go func() {
		for p := range frames / 100 {
			if p == 0 {
				if _, err := c.Write(in); err != nil {
					done <- err
					return
				}
			}
			if _, err := c.Write(want); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	await(t, "reading stops", func() bool { return s.stats().Pauses > 0 })
	st := s.stats()
	if st.BytesIn > 256<<10 || st.Held > 256<<10 {
		t.Errorf("while paused %d bytes were read and %d are held", st.BytesIn, st.Held)
	}
	s.do(func() { s.l.Pause(s.paused[0], false) })
	got := make([]byte, len(want))
	for k := range frames / 100 {
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			t.Fatal("other bytes", k, err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A client that sends without end and reads nothing is stopped, and holds a bounded
// amount of memory.
func TestPipeliningWithoutReading(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	go func() {
		p := bytes.Repeat(frame(opEcho, make([]byte, 1000)...), 256)
		for {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	await(t, "reading stops", func() bool { return s.stats().Pauses > 0 })
	at := s.stats()
	if at.Held > 256<<10 || at.Queued > 2<<20 {
		t.Errorf("%d bytes are held and %d queued", at.Held, at.Queued)
	}
	other := s.dial()
	for range 100 {
		if _, err := other.Write(frame(opEcho, 5)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(other, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	if now := s.stats(); now.BytesIn-at.BytesIn > 100_000 {
		t.Errorf("reading went on: %d bytes", now.BytesIn-at.BytesIn)
	}
}

// An urgent byte is a level for epoll that a read does not take away.
func TestUrgentByte(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { urgent(t, int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(frame(opEcho, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { urgent(t, int(fd)) }); err != nil {
		t.Fatal(err)
	}
	checkIdle(t, s)
}

// A reset while a connection is paused and deaf is noticed.
func TestResetWhileDeaf(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	go func() { _, _ = c.Write(append(frame(opPause), make([]byte, 8<<20)...)) }()
	await(t, "reading stops", func() bool { return s.stats().Pauses > 0 })
	_ = c.SetLinger(0)
	_ = c.Close()
	await(t, "it is closed", func() bool { return s.opens.Load() == 0 })
}

// The peer's end of a connection is no error; ids are never used twice.
func TestOpenAndClose(t *testing.T) {
	s := serve(t, Config{})
	for range 50 {
		c := s.dial()
		if _, err := c.Write(frame(opEcho, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	await(t, "all are closed", func() bool { return s.opens.Load() == 0 })
	s.do(func() {
		if err := errors.Join(s.closed...); err != nil || len(s.closed) != 50 {
			t.Errorf("%d closed, with %v", len(s.closed), err)
		}
		s.refuse = true
	})
	if b, err := io.ReadAll(s.dial()); err != nil || len(b) != 0 {
		t.Errorf("a refused connection got %v, %v", b, err)
	}
}

// What came during a pause is offered when it ends, also if the peer sends nothing more.
func TestPauseOfAFewBytes(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	if _, err := c.Write(append(frame(opPause), frame(opEcho, 1, 2, 3)...)); err != nil {
		t.Fatal(err)
	}
	await(t, "the echo is kept", func() bool { return s.stats().Held > 0 })
	s.do(func() { s.l.Pause(s.paused[0], false) })
	got := make([]byte, len(frame(opEcho, 1, 2, 3)))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, frame(opEcho, 1, 2, 3)) {
		t.Error(got, err)
	}
}
