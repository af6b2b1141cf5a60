package segment

import (
	"errors"

	"github.com/penstock/penstock/core"
)

// writeJob writes chunks into segments. One is under way at a time; a flushJob may be
// beside it.
type writeJob struct {
	s      *Store
	flying bool
	idle   bool // partial chunks too, at the next start

	tasks []writeTask
	bufs  [][]byte
	dirs  []string // of Run

	done int   // tasks that succeeded
	err  error // of a write: tried again if the disk is full
}

// writeTask writes bufs[from:to] at pos of a segment.
type writeTask struct {
	l        *Log
	g        *segfile
	pos, end core.FilePos
	from, to int
	last     bool // the segment is sealed, and this is its end
}

// Run implements core.Job.
func (j *writeJob) Run() {
	fs := j.s.cfg.FS
	if j.err = j.makeDirs(fs); j.err != nil {
		return
	}
	for _, t := range j.tasks {
		if j.err = t.g.write(fs, j.bufs[t.from:t.to], t.pos, int64(t.end-t.pos)); j.err != nil {
			return
		}
		if t.last {
			_ = t.g.w.file.Truncate(int64(t.end)) // gives back what was reserved beyond
		}
		j.done++
	}
}

// makeDirs makes the directories of all new segments in one go.
func (j *writeJob) makeDirs(fs FS) error {
	j.dirs = j.dirs[:0]
	for i := range j.tasks {
		if g := j.tasks[i].g; !g.w.made {
			j.dirs = append(j.dirs, partitionDir(g.id))
		}
	}
	if len(j.dirs) == 0 {
		return nil
	}
	return fs.MkdirAll(j.dirs...)
}

// Done lets readers see the files and frees chunks. A flush that waits for these writes
// comes next.
func (j *writeJob) Done() {
	s := j.s
	j.flying = false
	for i, t := range j.tasks {
		if i < j.done {
			t.l.wrote(t)
		} else {
			t.g.submitted = t.g.written
			s.dirty(t.l)
		}
	}
	for _, c := range s.dead {
		s.arena.retire(c)
	}
	s.dead = s.dead[:0]
	s.settle(j.err, j.done > 0)
	clear(j.tasks)
	clear(j.bufs)
	j.tasks, j.bufs = j.tasks[:0], j.bufs[:0]
	if s.flush.collected {
		s.flush.start(j.err == nil && s.failed == nil)
	}
	s.closeReleased()
	s.Commit()
}

// settle decides what an error of a write means: a full disk is waited for, all others
// are final. room says that there is room again.
func (s *Store) settle(err error, room bool) {
	switch {
	case errors.Is(err, core.ErrDiskFull):
		s.full, s.retryAt = true, s.mono()+idleEvery
	case err != nil:
		s.fail(err)
	case room:
		s.full = false
	}
}

// wrote notes that a task's bytes are in the file.
func (l *Log) wrote(t writeTask) {
	g := t.g
	g.written = t.end
	if g.file == nil && !l.gone {
		g.file = g.w.file
	}
	if !l.gone {
		l.s.cache.opened(g)
	}
	l.s.warmed(g, t.pos, t.end)
	for _, c := range l.chunks {
		if c.seg == g && c.pos < t.end {
			c.written = min(c.len, int(t.end-c.pos))
		}
	}
	l.s.stats.Written += int64(t.end - t.pos)
	if !l.gone {
		l.reap()
	}
}

// startWrite starts the writer if something is due and it is free. What is to be flushed
// is written first. A flush that is under way holds back the next one, and the removal of
// files, which it may have open.
func (s *Store) startWrite() {
	j, free := &s.write, !s.flush.collected && !s.flush.flying
	if j.flying {
		return
	}
	j.done, j.err = 0, nil
	if free {
		s.drop.start()
	}
	last := free && s.full && s.stopping != nil && !s.lastTry
	retry := !s.full || s.mono() >= s.retryAt || last
	s.lastTry = s.lastTry || last
	check := free && retry && (s.full || s.sinceMark >= s.cfg.CheckpointBytes || s.group.blocked || s.stopping != nil && s.quiet())
	switch {
	case check:
		s.startCheckpoint()
	case free && s.flushDue && retry:
		s.flushDue, s.flushMs = false, 0
		s.sweepDirty(func(l *Log) bool { return l.cfg.Durability != core.Synced || l.since > 0 || l.held.next > 0 })
	case j.idle && retry, s.low() && retry:
		s.gatherIdle()
	case retry && s.behind():
		s.gatherFilled()
	case retry:
		s.gatherStrides()
	}
	switch {
	case len(j.tasks) > 0:
		j.flying = true
		s.cfg.Write.Submit(j)
	case s.flush.collected:
		s.flush.start(true)
	}
}

// quiet says that no group commit is due or under way: the last checkpoint covers all.
func (s *Store) quiet() bool {
	return !s.group.flying && len(s.unsynced) == 0 && len(s.trims) == 0 && (len(s.markLogs) > 0 || s.ckFailed)
}

// gatherStrides hands over the logs for which a write is worth while.
func (s *Store) gatherStrides() {
	for i, l := range s.writable {
		s.writable[i] = nil
		l.inWrite = false
		s.gather(l, false)
	}
	s.writable = s.writable[:0]
}

// gatherFilled hands over single chunks too.
func (s *Store) gatherFilled() {
	s.stats.Looked += int64(len(s.filled))
	for i, l := range s.filled {
		s.filled[i] = nil
		l.inFilled = false
		s.gather(l, false)
	}
	s.filled = s.filled[:0]
}

// gather hands the unwritten bytes of a log to the writer: full chunks, or all.
func (s *Store) gather(l *Log, all bool) {
	j := &s.write
	l.full = 0
	var t *writeTask
	for _, c := range l.chunks {
		from := max(c.pos, c.seg.submitted)
		if from >= c.end() || !all && !c.closed {
			continue
		}
		if t == nil || t.g != c.seg {
			j.tasks = append(j.tasks, writeTask{l: l, g: c.seg, pos: from, end: from, from: len(j.bufs), to: len(j.bufs)})
			t = &j.tasks[len(j.tasks)-1]
		}
		j.bufs = append(j.bufs, c.buf[from-c.pos:c.len])
		t.end, t.to = c.end(), len(j.bufs)
		c.seg.submitted, c.seg.unsynced = c.end(), true
		t.last = c.seg.sealed && t.end == c.seg.end
	}
}

// gatherIdle writes everything, and takes back the chunks of logs that nobody has
// appended to since the last time; when memory is low, those of all logs. A log that is
// appended to keeps its chunk: else a round over many logs takes a second chunk for each
// while the first waits for the writer, and reading stops until that is done.
func (s *Store) gatherIdle() {
	s.write.idle = false
	low := s.low()
	rest := s.dirtyLogs[:0]
	for _, l := range s.dirtyLogs {
		if l.gone {
			l.inDirty = false
			continue
		}
		s.gather(l, true)
		if n := len(l.chunks); n > 0 && (!l.fresh || low) {
			s.arena.close(l.chunks[n-1])
			l.reap()
		}
		l.fresh = false
		if len(l.chunks) == 0 && l.durable == l.end && len(l.toSync(nil)) == 0 {
			l.inDirty = false
			continue
		}
		rest = append(rest, l)
	}
	s.dirtyLogs = rest
	s.gatherStrides() // nothing is left of them; that empties the lists
	s.gatherFilled()
}
