package main

import (
	"errors"
	"fmt"
	"time"
)

// stop drains, syncs, and writes the clean marker last.
func (s *server) stop() error {
	s.enter(phaseStopping)
	for _, l := range s.listeners {
		if err := l.Close(); err != nil {
			s.log.Warn("close a listener", "error", err.Error())
		}
	}
	close(s.stopped)
	done := make(chan error, len(s.shards))
	for i, sh := range s.shards {
		s.loops[i].Do(func() { sh.Stop(func(err error) { done <- err }) })
	}
	var errs []error
	for range s.shards {
		errs = append(errs, <-done)
	}
	for _, l := range s.loops {
		errs = append(errs, l.Stop())
	}
	for _, w := range s.workers {
		w.Stop()
	}
	errs = append(errs, s.meta.Close())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.markClean(); err != nil {
		return err
	}
	if err := s.dropArena(); err != nil {
		s.log.Warn("the arenas stay behind; they hold nothing", "error", err.Error())
	}
	return errors.Join(s.admin.Close(), s.unlock())
}

// markClean is the last write: a start that finds it has nothing to verify.
func (s *server) markClean() error {
	f, err := s.fs.Open(cleanMarker, createMode)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(fmt.Sprintf("penstock %s stopped at %s\n", version, time.Now().UTC().Format(time.RFC3339))), 0)
	return errors.Join(err, f.Datasync(), f.Close(), s.fs.SyncDir("."))
}

// abandon ends a server whose storage has failed: nothing more is written.
func (s *server) abandon() error {
	s.enter(phaseStopping)
	for _, l := range s.listeners {
		_ = l.Close() // the process ends
	}
	return s.admin.Close()
}
