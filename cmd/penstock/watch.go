package main

import (
	"time"

	"github.com/penstock/penstock/shard"
)

// refusals is how many clients the listeners have turned away.
type refusals struct {
	Refused   int64 `json:"refused"`   // closed at once: too many connections, or no descriptor for one more
	Exhausted int64 `json:"exhausted"` // how often there was no descriptor, or no memory for a socket
}

func (s *server) refusals() (r refusals) {
	for _, l := range s.listeners {
		r.Refused += l.Refused()
		r.Exhausted += l.Exhausted()
	}
	return r
}

// watchEvery is how often the log may say that clients are refused, or that the disk is full.
const watchEvery = 2 * time.Second

// watch says in the log what clients are told without it, and what to do, until stopped is
// closed.
func (s *server) watch(stopped <-chan struct{}) {
	var told refusals
	var full bool
	for {
		select {
		case <-stopped:
			return
		case <-time.After(watchEvery):
		}
		told = s.tellRefusals(told)
		full = s.tellFull(full)
	}
}

// tellRefusals says that clients were refused since the last time, which it returns.
func (s *server) tellRefusals(told refusals) refusals {
	r := s.refusals()
	if r.Refused == told.Refused {
		return told
	}
	why, remedy := "as many connections as connections_max and the limit of open files allow", "raise --connections-max, or the limit of open files (ulimit -n, LimitNOFILE=)"
	if r.Exhausted > told.Exhausted {
		why, remedy = "no file descriptor was left", "raise the limit of open files (ulimit -n, LimitNOFILE=, fs.file-max)"
	}
	s.log.Warn("clients are refused: "+why, "refused", r.Refused-told.Refused, "open", s.limit.Open(), "max", s.limit.Max(), "remedy", remedy)
	return r
}

// tellFull says once that the disk is full, and once that it is not any more.
func (s *server) tellFull(was bool) bool {
	full := diskFull(s.shards)
	switch {
	case full && !was:
		s.log.Error("the disk is full: no records are taken in; what was acknowledged is served, offsets are committed, topics and records can be deleted", "dir", s.disk.dir, "remedy", fullRemedy)
	case was && !full:
		s.log.Info("the disk has room again: records are taken in", "dir", s.disk.dir)
	}
	return full
}

const fullRemedy = "free space on that file system, or shorten retention (retention.bytes, retention.ms); it is tried again by itself"

// diskFull says that a shard could not write for want of space, and has not since.
func diskFull(shards []*shard.Shard) bool {
	for _, sh := range shards {
		if sh.Stats().Store.Full {
			return true
		}
	}
	return false
}
