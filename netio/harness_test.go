package netio

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// The frames of the tests: length of the rest (4 bytes), operation, arguments.
const (
	opRange = 'R' // position (8), size (4), seed (8): size and that range of the content, in mixed pieces
	opEcho  = 'E' // anything: the frame itself
	opCount = 'C' // anything: the length of the frame (4)
	opPause = 'P' // pauses until the test resumes
	opBad   = 'B' // answers one byte, then fails
	opKill  = 'K' // answers, then closes at once
	opLater = 'L' // is owed one byte, which comes with the next call of later
)

var errBad = errors.New("a bad frame")

const contentSize = 8 << 20

type osFile struct{ *os.File }

func (f osFile) Fd() int { return int(f.File.Fd()) }

// noFile has no descriptor, as the simulator's files.
type noFile struct{ *os.File }

func (f noFile) Fd() int { return -1 }

// server is a handler that answers the frames above and checks what the loop promises.
type server struct {
	t       *testing.T
	l       *Loop
	ln      *Listener
	limit   *Limit
	files   []core.File
	content []byte
	pin     core.Pin
	seed    rand.PCG

	called     bool // since the last EndTurn
	inside     bool // in a call
	conns      map[core.ConnID]bool
	owed       map[core.ConnID]int
	wakeAt     []time.Duration
	work       func() // done in each Wake
	refuse     bool
	sendBuffer int // of the next connections
	paused     []core.ConnID
	drained    int
	closed     []error

	opens, ends, wakes, empty, receives atomic.Int64
}

func (s *server) enter() {
	if s.inside {
		s.t.Error("the handler was called within a call")
	}
	s.inside, s.called = true, true
}

func (s *server) Open(c core.ConnInfo) bool {
	s.enter()
	defer func() { s.inside = false }()
	if s.conns[c.ID] || c.ID == 0 {
		s.t.Error("a connection opened with the id of another")
	}
	if s.refuse {
		return false
	}
	if s.sendBuffer > 0 {
		_ = unix.SetsockoptInt(s.l.get(c.ID).fd, unix.SOL_SOCKET, unix.SO_SNDBUF, s.sendBuffer)
	}
	s.conns[c.ID] = true
	s.opens.Add(1)
	return true
}

func (s *server) Drained(id core.ConnID) {
	s.enter()
	s.drained++
	s.inside = false
}

func (s *server) Owes(id core.ConnID) bool { return s.owed[id] > 0 }

// later answers one question of each connection that is owed something.
func (s *server) later() {
	for id := range s.owed {
		s.l.Send(id, []byte{1})
		if s.owed[id]--; s.owed[id] == 0 {
			delete(s.owed, id)
		}
	}
}

func (s *server) Closed(id core.ConnID, err error) {
	s.enter()
	defer func() { s.inside = false }()
	if !s.conns[id] {
		s.t.Error("a connection closed that was not open")
	}
	delete(s.conns, id)
	delete(s.owed, id)
	s.closed = append(s.closed, err)
	s.opens.Add(-1)
}

func (s *server) Wake() {
	s.enter()
	s.wakes.Add(1)
	s.wakeAt = append(s.wakeAt, core.Mono())
	if s.work != nil {
		s.work()
	}
	s.inside = false
}

func (s *server) EndTurn() {
	if !s.called {
		s.empty.Add(1)
	}
	s.called = false
	s.ends.Add(1)
}

func (s *server) Receive(id core.ConnID, in []byte) (used, need int, err error) {
	s.enter()
	s.receives.Add(1)
	if !s.conns[id] {
		s.t.Error("bytes came for a connection that is not open")
	}
	for err == nil && len(in)-used >= 4 && s.l.Queued(id) <= s.l.cfg.OutMax {
		n := 4 + int(binary.BigEndian.Uint32(in[used:]))
		if n > len(in)-used {
			s.inside = false
			return used, n, nil
		}
		op := in[used+4]
		err = s.serve(id, in[used:used+n])
		used += n
		if op == opPause {
			break
		}
	}
	s.inside = false
	return used, 0, err
}

func (s *server) serve(id core.ConnID, frame []byte) error {
	switch frame[4] {
	case opRange:
		a := frame[5:]
		s.answer(id, int(binary.BigEndian.Uint64(a)), int(binary.BigEndian.Uint32(a[8:])), binary.BigEndian.Uint64(a[12:]))
	case opEcho:
		s.l.Send(id, frame)
	case opCount:
		s.l.Send(id, frame[:4])
	case opPause:
		s.l.Pause(id, true)
		s.paused = append(s.paused, id)
	case opBad:
		s.l.Send(id, []byte{1})
		return errBad
	case opLater:
		s.owed[id]++
	case opKill:
		s.l.Send(id, []byte{1})
		s.l.Close(id, true)
	}
	return nil
}

// answer sends a range in pieces of random kind and size.
func (s *server) answer(id core.ConnID, pos, size int, seed uint64) {
	s.seed.Seed(seed, 1)
	r := rand.New(&s.seed)
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(size))
	s.l.Send(id, head[:])
	for size > 0 {
		n := 1 + r.IntN(1<<(1+r.IntN(20)))
		n = min(n, size)
		switch k := r.IntN(4); k {
		case 0:
			s.l.Send(id, s.content[pos:pos+min(n, 20_000)])
			n = min(n, 20_000)
		case 1:
			s.pin.Hold()
			s.l.SendExtent(id, core.Extent{Mem: s.content[pos : pos+n], Len: n, Pin: &s.pin})
		default:
			s.pin.Hold()
			s.l.SendExtent(id, core.Extent{File: s.files[k-2], Pos: core.FilePos(pos), Len: n, Pin: &s.pin})
		}
		pos, size = pos+n, size-n
	}
}

// serve starts a loop, a handler and a listener, and checks at the end that nothing is
// left of either.
func serve(t *testing.T, cfg Config) *server {
	t.Helper()
	s := &server{t: t, content: make([]byte, contentSize), conns: map[core.ConnID]bool{}, owed: map[core.ConnID]int{}, limit: NewLimit(5000)}
	_, _ = rand.NewChaCha8([32]byte{7}).Read(s.content)
	f, err := os.Create(filepath.Join(t.TempDir(), "content"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(s.content); err != nil {
		t.Fatal(err)
	}
	s.files = []core.File{osFile{f}, noFile{f}}
	before := descriptors(t)
	if cfg.OnError == nil {
		cfg.OnError = func(err error) {
			for _, e := range []error{errBad, ErrFrameTooLarge, ErrStalled, ErrFileShort} {
				if errors.Is(err, e) {
					return
				}
			}
			t.Error(err)
		}
	}
	if s.l, err = NewLoop(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.l.Start(s); err != nil {
		t.Fatal(err)
	}
	if s.ln, err = Listen("127.0.0.1:0", 3, func() *Loop { return s.l }, s.limit); err != nil {
		t.Fatal(err)
	}
	s.ln.Start()
	t.Cleanup(func() { s.stop(before); _ = f.Close() })
	return s
}

func (s *server) stop(before int) {
	t := s.t
	if err := s.ln.Close(); err != nil {
		t.Error(err)
	}
	if err := s.l.Stop(); err != nil {
		t.Error(err)
	}
	if s.called {
		t.Error("no EndTurn came after the last callback")
	}
	if n := s.empty.Load(); n > 0 {
		t.Errorf("EndTurn came %d times without a callback before it", n)
	}
	if s.pin.Held() {
		t.Error("a pin is still held")
	}
	if n := s.limit.Open(); n != 0 || len(s.conns) != 0 {
		t.Errorf("connections left: %d of the limit, %d of the handler", n, len(s.conns))
	}
	st := *s.l.shown.Load()
	if st.Queued != 0 || st.Held != 0 || st.Connections != 0 {
		t.Errorf("left: queued %d, held %d, connections %d", st.Queued, st.Held, st.Connections)
	}
	await(t, "all descriptors are closed", func() bool { return descriptors(t) <= before })
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range d { // Go's own epoll and event descriptors come with its first use
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && (strings.HasPrefix(to, "socket") || strings.HasPrefix(to, "anon_inode:[timerfd")) {
			n++
		}
	}
	return n
}

// patience is how long a test waits for what has to happen, on a machine that is busy.
const patience = 60 * time.Second

// await polls a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(100 * time.Microsecond) // others need the core more than this loop does
	}
}

// do runs fn on the loop; as for any callback an EndTurn follows.
func (s *server) do(fn func()) { s.l.Do(func() { s.called = true; fn() }) }

// stats are fresh.
func (s *server) stats() Stats {
	s.do(s.l.publish)
	return *s.l.shown.Load()
}

// narrow makes a client whose windows are small. Its segments are small too: else the
// kernel waits for timers whenever a segment of the loopback (64 KiB) does not fit.
func (s *server) narrow(buffer int) *net.TCPConn {
	s.t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400)
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
		})
	}}
	return s.dialWith(&d)
}

func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	return s.dialWith(&net.Dialer{})
}

func (s *server) dialWith(d *net.Dialer) *net.TCPConn {
	s.t.Helper()
	c, err := d.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(2 * patience)) // of all that a test does with it
	s.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func frame(op byte, args ...byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(1+len(args))), op), args...)
}

func ask(pos, size int, seed uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(pos))
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	return frame(opRange, binary.BigEndian.AppendUint64(b, seed)...)
}

// rss is the resident memory of this process in bytes.
func rss(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	n := 0
	for _, c := range f[1] {
		n = 10*n + int(c-'0')
	}
	return n * os.Getpagesize()
}

func extentOf(s *server, pos, size int) core.Extent {
	return core.Extent{File: s.files[0], Pos: core.FilePos(pos), Len: size, Pin: &s.pin}
}
