package netio

import (
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

func urgent(t *testing.T, fd int) {
	if err := unix.Sendto(fd, []byte{9}, unix.MSG_OOB, nil); err != nil {
		t.Error(err)
	}
}

// checkIdle looks at a loop that has nothing to do for a while. Others of the process, the
// collector among them, may use the processor meanwhile: it looks a few times.
func checkIdle(t *testing.T, s *server) {
	t.Helper()
	s.stats() // a turn of its own
	for range 20 {
		var before, after unix.Rusage
		turns := s.ends.Load()
		_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
		const window = 300 * time.Millisecond
		<-time.After(window) // that nothing happens can only be seen by waiting
		_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
		cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
		t.Logf("idle for %v: %v of CPU, %d turns", window, cpu, s.ends.Load()-turns)
		if s.ends.Load()-turns <= 1 && cpu <= window/10 {
			return
		}
	}
	t.Error("the loop is not at rest")
}

func TestIdleConnectionsCostNothing(t *testing.T) {
	s := serve(t, Config{})
	for range 1000 {
		s.dial()
	}
	await(t, "all are open", func() bool { return s.opens.Load() == 1000 })
	checkIdle(t, s)
}

// Whatever is published before a Ring is seen in the Wake that follows.
func TestRingIsNeverLost(t *testing.T) {
	s := serve(t, Config{})
	const workers, rounds = 8, 2000
	var posted, seen atomic.Int64
	s.do(func() { s.work = func() { seen.Store(posted.Load()) } })
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				n := posted.Add(1)
				s.l.Ring()
				if n%97 == 0 {
					await(t, "a ring is heard", func() bool { return seen.Load() >= n })
				}
			}
		})
	}
	wg.Wait()
	await(t, "the last ring is heard", func() bool { return seen.Load() == workers*rounds })
	t.Logf("%d rings, %d wakes", workers*rounds, s.wakes.Load())
}

func TestTimer(t *testing.T) {
	s := serve(t, Config{})
	var asked []time.Duration
	for k := range 20 {
		n := s.wakes.Load()
		s.do(func() {
			s.l.Timer(core.Mono() + time.Hour) // replaced
			at := core.Mono() + time.Duration(k)*time.Millisecond
			asked = append(asked, at)
			s.l.Timer(at)
		})
		await(t, "the timer", func() bool { return s.wakes.Load() > n })
	}
	s.do(func() {
		worst, late := time.Duration(0), 0
		for i := range s.wakeAt {
			if s.wakeAt[i] < asked[i] {
				t.Errorf("wake %d came %v early", i, asked[i]-s.wakeAt[i])
			}
			worst = max(worst, s.wakeAt[i]-asked[i])
			if s.wakeAt[i]-asked[i] > time.Second {
				late++
			}
		}
		t.Logf("20 timers, the latest %v late", worst)
		if late > 5 { // a busy machine makes some so
			t.Errorf("%d timers are late", late)
		}
		s.l.Timer(core.Mono() + 5*time.Millisecond)
		s.l.Timer(0) // none
	})
	n := s.wakes.Load()
	s.do(func() { s.l.Timer(core.Mono() + 30*time.Millisecond) })
	await(t, "the last timer", func() bool { return s.wakes.Load() > n })
	if s.wakes.Load() != n+1 {
		t.Error("a timer that was taken back woke the handler")
	}
}

// The server checks in every test that no EndTurn comes without a callback; here it is
// that each turn of callbacks gets one, while other goroutines ring and ask.
func TestEndTurn(t *testing.T) {
	s := serve(t, Config{})
	var wg sync.WaitGroup
	for range 8 {
		c := s.dial()
		wg.Go(func() {
			for range 300 {
				if _, err := c.Write(frame(opEcho, 1)); err != nil {
					t.Error(err)
				}
				s.l.Ring()
				if _, err := io.ReadFull(c, make([]byte, 6)); err != nil { // flushed, so the turn ended
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	await(t, "the loop rests", func() bool {
		idle := false
		s.do(func() { idle = s.ends.Load() > 0 })
		return idle
	})
	t.Logf("%d frames, %d wakes, %d turns", 8*300, s.wakes.Load(), s.ends.Load())
}

// What is asked of gnet while a turn runs comes to gnet together with the end of the turn:
// the loop must not sleep on it.
func TestATurnThatEndsWithAConnectionWaitingGoesOn(t *testing.T) {
	s := serve(t, Config{})
	for i := range 3 {
		s.do(func() {
			go func() {
				c, err := net.Dial("tcp", s.ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = c.Close() })
			}()
			for begin := time.Now(); s.l.asked.Load() == 0 && time.Since(begin) < patience; {
				runtime.Gosched()
			}
			<-time.After(20 * time.Millisecond) // until gnet has been told, which cannot be seen
		})
		await(t, "the connection is open", func() bool { return s.opens.Load() == int64(i+1) })
	}
}

// Do and Ring after the end neither block nor harm.
func TestAfterStop(t *testing.T) {
	s := serve(t, Config{})
	if err := s.l.Stop(); err != nil {
		t.Fatal(err)
	}
	s.l.Do(func() { t.Error("a function ran on a loop that has ended") })
	s.l.Ring()
	s.l.Stats()
	c, err := net.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); len(b) != 0 {
		t.Error("a loop that has ended answered")
	}
	_ = c.Close()
}

// A loop that was never started can be stopped.
func TestStopWithoutStart(t *testing.T) {
	l, err := NewLoop(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l.Ring()
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	l.Do(func() { t.Error("a function ran on a loop that has ended") })
}

// Goroutines that ring and ask while the loop ends.
func TestStopUnderLoad(t *testing.T) {
	s := serve(t, Config{})
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		c := s.dial()
		wg.Go(func() {
			for !stop.Load() {
				s.l.Ring()
				s.l.Do(func() { s.called = true })
				_, _ = c.Write(ask(0, 100_000, 1))
				runtime.Gosched()
			}
		})
	}
	await(t, "there is some load", func() bool { return s.ends.Load() > 50 })
	if err := s.l.Stop(); err != nil {
		t.Error(err)
	}
	stop.Store(true)
	wg.Wait()
}

// In steady state nothing is allocated per request.
func TestNoAllocations(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	for _, k := range []struct {
		name string
		ask  []byte
		size int
	}{
		{"echo", frame(opEcho, make([]byte, 100)...), 105},
		{"frame of 200 KiB", frame(opCount, make([]byte, 200<<10)...), 4},
		{"memory and files", ask(100, 200_000, 0), 200_004},
	} {
		t.Run(k.name, func(t *testing.T) {
			s := serve(t, Config{})
			c := s.dial()
			buf := make([]byte, k.size)
			once := func() {
				if _, err := c.Write(k.ask); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					t.Error(err)
				}
			}
			for range 200 {
				once()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const rounds = 3000
			for range rounds {
				once()
			}
			runtime.ReadMemStats(&after)
			n := after.Mallocs - before.Mallocs
			t.Logf("%d allocations, %d bytes in %d requests", n, after.TotalAlloc-before.TotalAlloc, rounds)
			if n > rounds/20 {
				t.Error("requests allocate")
			}
		})
	}
}
