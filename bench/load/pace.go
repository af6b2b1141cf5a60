package load

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// soon is the partition whose batch is due, or nil. Without a rate one always is.
func (l *produceLane) soon() *slot {
	if l.p.Rate == 0 {
		return l.slots[l.turn]
	}
	if s := l.slots[0]; s.due <= float64(time.Now().UnixNano()-l.p.Start.UnixNano()) {
		return s
	}
	return nil
}

// since is from when the latency of the partition's next batch counts.
func (l *produceLane) since(s *slot) int64 {
	if l.p.Rate == 0 {
		return time.Now().UnixNano()
	}
	return l.p.Start.UnixNano() + int64(s.due)
}

// advance goes on to the next batch.
func (l *produceLane) advance(s *slot) {
	if l.p.Rate == 0 {
		l.turn = (l.turn + 1) % len(l.slots)
		return
	}
	s.due += s.period
	l.sink(0)
}

// sink restores the heap below i.
func (l *produceLane) sink(i int) {
	h := l.slots
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(h) && h[c].due < h[least].due {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// wait sleeps until the next batch is due, and not so long that a Stop would wait for it.
func (l *produceLane) wait() {
	if l.p.Rate > 0 {
		SleepUntil(min(l.since(l.slots[0]), time.Now().Add(stopLook).UnixNano()))
	}
}

const stopLook = 20 * time.Millisecond

// SleepUntil sleeps until a time in ns. The runtime's timers wake up to 1 ms late when a
// process has nothing else to do, which would count as latency: the last part of the time
// is slept in the kernel, which is late by some 60 us.
func SleepUntil(ns int64) {
	const coarse = 1500 * time.Microsecond
	d := time.Duration(ns - time.Now().UnixNano())
	if d > 2*coarse {
		time.Sleep(d - coarse)
		d = time.Duration(ns - time.Now().UnixNano())
	}
	if d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // interrupted early, the caller looks at the time again
	}
}

// paced sends each batch when it is due, whether answers come or not, up to InFlight; then
// it waits for room, and what was due meanwhile counts from when it was due.
func (l *produceLane) paced() error {
	l.space.L = &l.mu
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := l.readAll()
		l.mu.Lock()
		l.ended = err
		l.mu.Unlock()
		l.space.Signal()
	}()
	err := l.sendPaced()
	if err == nil {
		err = l.drain()
	}
	if errors.Is(err, errReader) {
		err = nil // its own error says more
	}
	// The reader waits for answers that may never come: this ends it.
	l.closing.Store(true)
	_ = l.c.SetReadDeadline(time.Now())
	<-done
	if err == nil && !errors.Is(l.ended, errDone) {
		err = l.ended
	}
	if err != nil {
		return l.lost(err)
	}
	return nil
}

var (
	errDone   = errors.New("nothing more is in flight")
	errReader = errors.New("reading failed")
)

// readAll reads until it is told to end by a deadline, when nothing is in flight.
func (l *produceLane) readAll() error {
	for {
		err := l.read()
		if err == nil {
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			l.mu.Lock()
			idle := l.flying == 0
			l.mu.Unlock()
			switch {
			case idle && l.closing.Load():
				return errDone
			case idle:
				continue // nobody owes an answer
			}
			return os.ErrDeadlineExceeded
		}
		return err
	}
}

func (l *produceLane) sendPaced() error {
	for !l.p.ending() && !l.p.reached() {
		n, records := 0, int64(0)
		for s := l.soon(); s != nil && l.room(n); s = l.soon() {
			l.mu.Lock()
			full := l.flying == len(l.ring)
			l.mu.Unlock()
			if full {
				break
			}
			f := l.put(s.part, l.since(s))
			l.advance(s)
			l.mu.Lock()
			l.ring[(l.head+l.flying)%len(l.ring)] = f
			l.flying++
			l.mu.Unlock()
			n++
			records += int64(f.records)
		}
		if n > 0 {
			if err := l.write(records); err != nil {
				return err
			}
			continue
		}
		l.mu.Lock()
		for l.flying == len(l.ring) && l.ended == nil && !l.p.ending() {
			l.space.Wait()
		}
		ended := l.ended
		l.mu.Unlock()
		if ended != nil {
			return errReader
		}
		if l.soon() == nil {
			l.wait()
		}
	}
	return nil
}

// drain waits for the answers that are owed.
func (l *produceLane) drain() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.flying > 0 && l.ended == nil {
		l.space.Wait()
	}
	if l.ended != nil {
		return errReader
	}
	return nil
}
