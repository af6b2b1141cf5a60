package crowd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Amount is how much is asked for.
type Amount struct {
	InFlight int   // requests, on all connections together
	Warm     int64 // bytes of records before what is measured
	Bytes    int64 // measured
	// Mark, if set, is called at the beginning and at the end of what is measured.
	Mark func()
}

// Stats is what a run measured.
type Stats struct {
	Requests, Bytes int64
	Elapsed         time.Duration
	CPU             float64 // seconds of this process, which is the load
}

// asker makes requests and judges their answers.
type asker interface {
	// request is the next one to a partition, valid until the next call.
	request(partition int32) []byte
	// head is how many bytes of an answer, behind its length, answer wants to see.
	head() int
	// answer returns the bytes of records that an answer of size bytes counts for. head
	// is shorter if something is wrong.
	answer(head []byte, size int) (int, error)
}

// run is one load under way.
type run struct {
	*Crowd
	Amount
	ask      asker
	begun    bool // the warm-up is through
	over     bool // what is to be measured has come
	flying   int
	requests int64
	bytes    int64
	stats    Stats
	at       time.Time
	cpu      float64
}

// put puts a load on the crowd, and returns when all answers have come.
func (c *Crowd) put(a Amount, ask asker) (Stats, error) {
	r := &run{Crowd: c, Amount: a, ask: ask}
	err := r.step()
	for err == nil && (r.flying > 0 || !r.over) {
		err = r.wait()
	}
	return r.stats, err
}

// step sends as many requests as may be in flight, unless all has been measured.
func (r *run) step() error {
	for !r.over && r.flying < r.InFlight {
		i := r.next
		r.next = (i + 1) % len(r.conns)
		c := &r.conns[i]
		t := &r.targets[c.target]
		p := t.Partitions[r.turns[c.target]]
		r.turns[c.target] = (r.turns[c.target] + 1) % len(t.Partitions)
		if err := r.send(i, r.ask.request(p)); err != nil {
			return err
		}
		c.owed++
		r.flying++
	}
	return nil
}

// send writes a request, or keeps what the socket does not take.
func (r *run) send(i int, b []byte) error {
	c := &r.conns[i]
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return nil
	}
	n, err := write(c.fd, b)
	if err != nil {
		return err
	}
	if n < len(b) {
		c.out = append(c.out, b[n:]...)
		return r.listen(unix.EPOLL_CTL_MOD, i, unix.EPOLLIN|unix.EPOLLOUT)
	}
	return nil
}

func write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, fmt.Errorf("send: %w", err)
		}
	}
}

// wait takes what has come, and answers it with new requests.
func (r *run) wait() error {
	n, err := unix.EpollWait(r.epoll, r.events, int(patience.Milliseconds()))
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("no answer for %v; %d are owed", patience, r.flying)
	}
	for _, e := range r.events[:n] {
		i := int(e.Fd)
		if e.Events&unix.EPOLLOUT != 0 {
			if err := r.flush(i); err != nil {
				return err
			}
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			if err := r.read(&r.conns[i]); err != nil {
				return err
			}
		}
	}
	r.phase()
	return r.step()
}

// flush writes what is left of a request.
func (r *run) flush(i int) error {
	c := &r.conns[i]
	n, err := write(c.fd, c.out)
	if err != nil {
		return err
	}
	if n < len(c.out) {
		c.out = c.out[:copy(c.out, c.out[n:])]
		return nil
	}
	c.out = nil // ten thousand of them would be much
	return r.listen(unix.EPOLL_CTL_MOD, i, unix.EPOLLIN)
}

// read takes the answers that a connection has: the head of each is looked at, and what
// follows is dropped by the kernel.
func (r *run) read(c *conn) error {
	for {
		b, flags := r.scratch, unix.MSG_DONTWAIT
		want := 4 + r.ask.head()
		if c.skip > 0 {
			b, flags = b[:min(c.skip, len(b))], flags|unix.MSG_TRUNC
		} else {
			b = b[:want-len(c.head)]
		}
		n, _, err := unix.Recvfrom(c.fd, b, flags)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		case n == 0:
			return fmt.Errorf("the broker closed a connection: %w", io.ErrUnexpectedEOF)
		}
		if c.skip > 0 {
			if c.skip -= n; c.skip == 0 {
				r.answered(c)
			}
		} else if c.head = append(c.head, b[:n]...); len(c.head) == want || r.short(c) {
			if err := r.look(c); err != nil {
				return err
			}
		}
		if c.owed == 0 {
			return nil // saves the call that would say so
		}
	}
}

var errShort = errors.New("the answer is shorter than its head")

// short says that an answer will not be as long as one that is well.
func (r *run) short(c *conn) bool {
	return len(c.head) >= 4 && int(binary.BigEndian.Uint32(c.head)) < r.ask.head()
}

// look looks at the head of an answer.
func (r *run) look(c *conn) error {
	size := int(binary.BigEndian.Uint32(c.head))
	var err error
	if c.worth, err = r.ask.answer(c.head[4:], size); err != nil {
		return err
	}
	if size < len(c.head)-4 {
		return errShort
	}
	c.skip = size - (len(c.head) - 4)
	c.head = c.head[:0]
	if c.skip == 0 {
		r.answered(c)
	}
	return nil
}

func (r *run) answered(c *conn) {
	c.owed--
	r.flying--
	r.requests++
	r.bytes += int64(c.worth)
}

// phase begins and ends what is measured.
func (r *run) phase() {
	if !r.begun && r.bytes >= r.Warm {
		r.begun = true
		r.mark()
		r.stats.Requests, r.stats.Bytes = -r.requests, -r.bytes
		r.at, r.cpu = time.Now(), processCPU()
	}
	if r.begun && !r.over && r.stats.Bytes+r.bytes >= r.Bytes {
		r.over = true
		r.mark()
		r.stats.Requests += r.requests
		r.stats.Bytes += r.bytes
		r.stats.Elapsed, r.stats.CPU = time.Since(r.at), processCPU()-r.cpu
	}
}

func (r *run) mark() {
	if r.Mark != nil {
		r.Mark()
	}
}

func processCPU() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
