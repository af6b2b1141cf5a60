package netio

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
)

// server answers each frame (4-byte length, then 12 bytes: position and size) with the
// size and that range of a file, as bytes, memory extents and file extents mixed.
type server struct {
	t     *testing.T
	l     *Loop
	file  *file
	all   []byte
	pin   core.Pin
	wakes atomic.Int64
	open  atomic.Int64
	turn  int // calls since the last EndTurn
}

type file struct{ *os.File }

func (f *file) Fd() int { return int(f.File.Fd()) }

func (s *server) Open(core.ConnInfo) bool   { s.turn++; s.open.Add(1); return true }
func (s *server) Drained(core.ConnID)       { s.turn++ }
func (s *server) Closed(core.ConnID, error) { s.turn++; s.open.Add(-1) }
func (s *server) Wake()                     { s.turn++; s.wakes.Add(1) }
func (s *server) EndTurn()                  { s.turn = 0 }
func (s *server) Receive(id core.ConnID, in []byte) (int, int, error) {
	s.turn++
	if len(in) < 4 {
		return 0, 4, nil
	}
	n := int(binary.BigEndian.Uint32(in))
	if len(in) < 4+n {
		return 0, 4 + n, nil
	}
	if n == 12 {
		s.answer(id, int(binary.BigEndian.Uint64(in[4:])), int(binary.BigEndian.Uint32(in[12:])))
	} else {
		s.l.Send(id, in[:4]) // a large frame: only its length comes back
	}
	return 4 + n, 0, nil
}

func (s *server) answer(id core.ConnID, pos, size int) {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(size))
	s.l.Send(id, head[:])
	for k := 0; size > 0; k++ {
		n := min(size, 1+(pos*7+k*13001)%150_000)
		switch k % 3 {
		case 0:
			s.pin.Hold()
			s.l.SendExtent(id, core.Extent{File: s.file, Pos: core.FilePos(pos), Len: n, Pin: &s.pin})
		case 1:
			s.pin.Hold()
			s.l.SendExtent(id, core.Extent{Mem: s.all[pos : pos+n], Len: n, Pin: &s.pin})
		case 2:
			s.l.Send(id, s.all[pos:pos+n])
		}
		pos, size = pos+n, size-n
	}
}

func start(t *testing.T, cfg Config) (*server, string) {
	t.Helper()
	s := &server{t: t, all: make([]byte, 4<<20)}
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(s.all)
	f, err := os.Create(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(s.all); err != nil {
		t.Fatal(err)
	}
	s.file = &file{f}
	if s.l, err = NewLoop(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.l.Start(s); err != nil {
		t.Fatal(err)
	}
	ln, err := Listen("127.0.0.1:0", 0, func() *Loop { return s.l }, NewLimit(1000))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ln.Close()
		if err := s.l.Stop(); err != nil {
			t.Error(err)
		}
		if s.pin.Held() || s.open.Load() != 0 {
			t.Errorf("after the end: pins held %v, connections %d", s.pin.Held(), s.open.Load())
		}
	})
	return s, ln.Addr().String()
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func ask(pos, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, 12)
	b = binary.BigEndian.AppendUint64(b, uint64(pos))
	return binary.BigEndian.AppendUint32(b, uint32(size))
}

func expect(t *testing.T, s *server, c io.Reader, pos, size int) {
	t.Helper()
	got := make([]byte, 4+size)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if int(binary.BigEndian.Uint32(got)) != size || !bytes.Equal(got[4:], s.all[pos:pos+size]) {
		t.Fatalf("other bytes came back for %d bytes at %d", size, pos)
	}
}

func TestBytesMemoryAndFilesLeaveInOrder(t *testing.T) {
	s, addr := start(t, Config{})
	c := dial(t, addr)
	defer c.Close()
	if err := c.SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	type q struct{ pos, size int }
	var asked []q
	for range 60 {
		size := r.IntN(1 << (4 + r.IntN(18)))
		asked = append(asked, q{r.IntN(len(s.all) - size), size})
	}
	go func() { // pipelined, and written a few bytes at a time
		var b []byte
		for _, a := range asked {
			b = append(b, ask(a.pos, a.size)...)
		}
		for len(b) > 0 {
			n := min(len(b), 1+len(b)%23)
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
	}()
	for _, a := range asked {
		expect(t, s, c, a.pos, a.size)
	}
}

func TestALargeFrameIsPutTogetherAndATooLargeOneCloses(t *testing.T) {
	_, addr := start(t, Config{FrameMax: 8 << 20})
	c := dial(t, addr)
	defer c.Close()
	frame := make([]byte, 4+5<<20)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	for range 3 {
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		var back [4]byte
		if _, err := io.ReadFull(c, back[:]); err != nil || !bytes.Equal(back[:], frame[:4]) {
			t.Fatal(err, back)
		}
	}
	binary.BigEndian.PutUint32(frame, 256<<20)
	_, _ = c.Write(frame[:1000])
	if n, err := c.Read(frame); err == nil || n > 0 {
		t.Fatalf("a frame of 256 MiB was taken: %d bytes, %v", n, err)
	}
}

func TestAReaderThatTakesNothingIsClosedAndOthersAreServed(t *testing.T) {
	s, addr := start(t, Config{Stalled: 300 * time.Millisecond})
	mute, other := dial(t, addr), dial(t, addr)
	defer mute.Close()
	defer other.Close()
	for range 64 { // far more than a socket holds
		if _, err := mute.Write(ask(0, 4<<20-1)); err != nil {
			break
		}
	}
	for i := range 50 {
		if _, err := other.Write(ask(i*1000, 20_000)); err != nil {
			t.Fatal(err)
		}
		expect(t, s, other, i*1000, 20_000)
	}
	for deadline := time.Now().Add(10 * time.Second); s.open.Load() != 1; {
		if time.Now().After(deadline) {
			t.Fatal("the mute reader is still there")
		}
		if _, err := other.Write(ask(0, 10)); err != nil {
			t.Fatal(err)
		}
		expect(t, s, other, 0, 10)
	}
}

func TestNoRingIsLostAndTheTimerComes(t *testing.T) {
	s, _ := start(t, Config{})
	for range 200 {
		before := s.wakes.Load()
		s.l.Ring()
		for deadline := time.Now().Add(5 * time.Second); s.wakes.Load() == before; {
			if time.Now().After(deadline) {
				t.Fatal("a ring was lost")
			}
		}
	}
	before := s.wakes.Load()
	begin := core.Mono()
	s.l.Do(func() { s.l.Timer(begin + 30*time.Millisecond) })
	for s.wakes.Load() <= before+1 { // one wake belongs to Do
		if core.Mono()-begin > 5*time.Second {
			t.Fatal("the timer did not come")
		}
	}
	if took := core.Mono() - begin; took < 30*time.Millisecond {
		t.Errorf("the timer came after %v", took)
	}
}

func TestDroppedConnectionsLeaveNothingBehind(t *testing.T) {
	s, addr := start(t, Config{})
	for i := range 100 {
		c := dial(t, addr)
		if _, err := c.Write(ask(i, 3<<20)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := c.SetLinger(0); err != nil { // RST
				t.Fatal(err)
			}
		}
		_ = c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); s.open.Load() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still open", s.open.Load())
		}
	}
}
