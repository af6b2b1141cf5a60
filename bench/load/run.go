package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Shape says how requests are put on a broker, whatever they ask.
type Shape struct {
	Addr     string
	Conns    int
	Depth    int     // requests in flight per connection
	Rate     float64 // requests a second of all connections together; 0: as fast as answers come
	Warmup   time.Duration
	Duration time.Duration // measured, after the warm-up
	// Mark, if set, is called at the beginning and at the end of what is measured, for
	// the caller to look at the server.
	Mark func()
}

// Stats is what a run measured.
type Stats struct {
	Requests int64
	Bytes    int64 // of records
	Total    int64 // of records too, with those before and after what is measured
	Elapsed  time.Duration
	// Latency in ns: of a request with its answer, from when it was due to be sent if
	// there was a Rate (so that a stall counts for all it delays), else from the send.
	Latency *hdrhistogram.Histogram
}

// PerSecond is requests and bytes per second.
func (s Stats) PerSecond() (requests, bytes float64) {
	sec := s.Elapsed.Seconds()
	return float64(s.Requests) / sec, float64(s.Bytes) / sec
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1000, 60_000_000_000, 3) }

// source makes the requests of one connection and reads their answers.
type source interface {
	// prepare returns the bytes of the next n requests, at most runMax; valid until the
	// next call.
	prepare(n int) []byte
	runMax() int
	// answer looks at the front of an answer and returns the bytes of records that it
	// carries or acknowledges. head holds at least headSize bytes, or all of it.
	answer(head []byte, size int) (int, error)
	headSize() int
}

// counter is what one connection counts; the others do not share its cache line.
type counter struct {
	requests, bytes atomic.Int64
	hist            *hdrhistogram.Histogram
	_               [64]byte
}

// run drives the connections of one Shape.
type run struct {
	Shape
	counters  []counter
	measuring atomic.Bool
	stop      atomic.Bool
	failed    chan error
}

// do runs the shape with one source per connection.
func (s Shape) do(sources []source) (Stats, error) {
	r := &run{Shape: s, counters: make([]counter, len(sources)), failed: make(chan error, 2*len(sources))}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range sources {
		c, err := dial(s.Addr)
		if err != nil {
			return Stats{}, err
		}
		conns = append(conns, c)
		r.counters[i].hist = newHistogram()
	}
	var wg sync.WaitGroup
	for i := range sources {
		wg.Go(func() {
			if err := r.drive(conns[i], sources[i], i); err != nil {
				r.failed <- err
			}
		})
	}
	stats, err := r.measure()
	r.stop.Store(true)
	if err != nil {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	wg.Wait()
	for i := range r.counters {
		stats.Latency.Merge(r.counters[i].hist)
		stats.Total += r.counters[i].bytes.Load()
	}
	select {
	case err = <-r.failed:
	default:
	}
	return stats, err
}

// measure waits, and takes the counts between the marks.
func (r *run) measure() (Stats, error) {
	stats := Stats{Latency: newHistogram()}
	if err := r.wait(r.Warmup); err != nil {
		return stats, err
	}
	mark := func() (n, b int64, at time.Time) {
		if r.Mark != nil {
			r.Mark()
		}
		for i := range r.counters {
			n += r.counters[i].requests.Load()
			b += r.counters[i].bytes.Load()
		}
		return n, b, time.Now()
	}
	n0, b0, t0 := mark()
	r.measuring.Store(true)
	err := r.wait(r.Duration)
	r.measuring.Store(false)
	n1, b1, t1 := mark()
	stats.Requests, stats.Bytes, stats.Elapsed = n1-n0, b1-b0, t1.Sub(t0)
	return stats, err
}

func (r *run) wait(d time.Duration) error {
	select {
	case err := <-r.failed:
		return err
	case <-time.After(d):
		return nil
	}
}

func (r *run) drive(c net.Conn, src source, i int) error {
	if r.Rate > 0 {
		return r.paced(c, src, i)
	}
	return r.closed(c, src, i)
}

// closed keeps Depth requests in flight.
func (r *run) closed(c net.Conn, src source, i int) error {
	in := &answers{c: c, src: src, buf: make([]byte, 256<<10)}
	sent := make([]int64, r.Depth) // ring of send times
	head, inflight := 0, 0
	for !r.stop.Load() {
		for inflight < r.Depth {
			n := min(r.Depth-inflight, src.runMax())
			b := src.prepare(n)
			now := time.Now().UnixNano()
			for range n {
				sent[(head+inflight)%r.Depth] = now
				inflight++
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		n, err := in.read(func(size int) {
			r.count(i, size, sent[head])
			head = (head + 1) % r.Depth
		})
		if err != nil {
			return err
		}
		inflight -= n
	}
	for inflight > 0 { // so that the broker is not left with answers nobody reads
		n, err := in.read(func(int) {})
		if err != nil {
			return err
		}
		inflight -= n
	}
	return nil
}

func (r *run) count(i, size int, since int64) {
	k := &r.counters[i]
	k.requests.Add(1)
	k.bytes.Add(int64(size))
	if r.measuring.Load() {
		_ = k.hist.RecordValue(time.Now().UnixNano() - since)
	}
}

// paced sends at fixed times, whether answers come or not, up to Depth in flight; then
// it waits, and what was due meanwhile counts from when it was due.
func (r *run) paced(c net.Conn, src source, i int) error {
	due := make(chan int64, r.Depth) // of the requests in flight
	done := make(chan error, 1)
	go func() {
		in := &answers{c: c, src: src, buf: make([]byte, 256<<10)}
		for {
			closed := false
			_, err := in.read(func(size int) {
				at, ok := <-due
				if closed = closed || !ok || at == 0; !closed {
					r.count(i, size, at)
				}
			})
			if err != nil || closed {
				_ = c.SetWriteDeadline(time.Now()) // nobody would read the answer
				done <- err
				return
			}
		}
	}()
	period := float64(time.Second) * float64(r.Conns) / r.Rate
	start := time.Now().UnixNano() + int64(period*float64(i)/float64(r.Conns))
	for n := 0; !r.stop.Load(); n++ {
		at := start + int64(period*float64(n))
		if d := time.Duration(at - time.Now().UnixNano()); d > 0 {
			time.Sleep(d)
		}
		select {
		case due <- at:
		case err := <-done:
			return err
		}
		if _, err := c.Write(src.prepare(1)); err != nil {
			return err
		}
	}
	// One more request, whose answer ends the reader.
	select {
	case due <- 0:
	case err := <-done:
		return err
	}
	if _, err := c.Write(src.prepare(1)); err != nil {
		return err
	}
	return <-done
}

// answers cuts answers out of a connection.
type answers struct {
	c    net.Conn
	src  source
	buf  []byte
	end  int // bytes in buf
	skip int // bytes of the answer before that are still to come
	size int // what that answer counts for
}

var errFrame = errors.New("the answer is shorter than its header")

// read reads once, and calls done for each answer that is now complete; it reads again
// until there is one.
func (a *answers) read(done func(size int)) (n int, err error) {
	for n == 0 {
		if err := a.c.SetReadDeadline(time.Now().Add(callTimeout)); err != nil {
			return n, err
		}
		m, err := a.c.Read(a.buf[a.end:])
		if err != nil {
			return n, err
		}
		a.end += m
		at := 0
		for {
			if a.skip > 0 {
				k := min(a.skip, a.end-at)
				at += k
				if a.skip -= k; a.skip > 0 {
					break
				}
				done(a.size)
				n++
			}
			used, err := a.next(a.buf[at:a.end])
			if err != nil {
				return n, err
			}
			if used == 0 {
				break
			}
			at += used
		}
		a.end = copy(a.buf, a.buf[at:a.end])
	}
	return n, nil
}

// next looks at the head of the answer that begins b, and returns the bytes used up, all
// of the head; skip is then the rest, at least one byte.
func (a *answers) next(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	size := int(binary.BigEndian.Uint32(b))
	head := min(size, a.src.headSize())
	if len(b) < 4+head {
		return 0, nil
	}
	if size < 5 {
		return 0, errFrame
	}
	n, err := a.src.answer(b[4:4+head], size)
	if err != nil {
		return 0, fmt.Errorf("answer: %w", err)
	}
	a.size = n
	used := 4 + head
	if head == size {
		used--
	}
	a.skip = 4 + size - used
	return used, nil
}
