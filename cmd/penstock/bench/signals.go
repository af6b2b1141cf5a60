package bench

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// signals are what ends a run early. The first ends the measurement: what was measured is
// reported and what was made is deleted. The second waits for nothing that is under way.
// The third ends the process, which says what it leaves behind.
type signals struct {
	ctx   context.Context // until the first
	hurry chan struct{}   // closed by the second
	stop  func()
	from  chan os.Signal
	say   func(string)
	exit  func(code int)

	mu    sync.Mutex
	first os.Signal
	left  string
}

// catch begins to take the signals.
func catch(parent context.Context, say func(string)) *signals {
	if parent == nil {
		parent = context.Background()
	}
	s := &signals{hurry: make(chan struct{}), from: make(chan os.Signal, 4), say: say, exit: os.Exit}
	s.ctx, s.stop = context.WithCancel(parent)
	signal.Notify(s.from, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it; else the terminal has gone
		signal.Notify(s.from, syscall.SIGHUP)
	}
	go s.take()
	return s
}

func (s *signals) take() {
	n := 0
	for sig := range s.from {
		switch n++; n {
		case 1:
			s.mu.Lock()
			s.first = sig
			s.mu.Unlock()
			s.stop()
		case 2:
			s.say("in a hurry: what is under way is given up, and what was made is deleted; once more leaves it")
			close(s.hurry)
		default:
			s.mu.Lock()
			left := s.left
			s.mu.Unlock()
			if left != "" {
				s.say(left)
			}
			s.exit(code(sig))
		}
	}
}

// release ends catch.
func (s *signals) release() {
	signal.Stop(s.from)
	close(s.from)
	s.stop()
}

// made keeps what would be left if the process ended here.
func (s *signals) made(left string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = left
}

// code is what a shell gives a process that ended by a signal.
func code(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return cli.ExitInterrupted
}

// ended is err with the exit code of the signal that it came of, if one did.
func (s *signals) ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return &cli.Error{Code: code(s.first), Err: err}
}
