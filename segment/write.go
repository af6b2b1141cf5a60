package segment

import (
	"errors"

	"github.com/penstock/penstock/core"
)

// writeJob writes chunks into segments, and on demand syncs segments and writes the
// checkpoint. One is under way at a time.
type writeJob struct {
	s      *Store
	flying bool
	idle   bool // partial chunks too, at the next start

	tasks []writeTask
	bufs  [][]byte
	dirs  []string // of Run
	syncs []*segfile
	durs  []committed
	seals []sealTask
	check bool        // write the checkpoint,
	marks marksChange // with these changes
	table markTable   // of Run
	ckSeq uint64
	jseq  uint64 // groups up to this one are covered by the checkpoint
	drop  []dropTask

	done  int   // tasks that succeeded
	err   error // of a write: tried again if the disk is full
	fatal error // of a sync
}

// writeTask writes bufs[from:to] at pos of a segment.
type writeTask struct {
	l        *Log
	g        *segfile
	pos, end core.FilePos
	from, to int
	last     bool // the segment is sealed, and this is its end
}

// dropTask deletes a segment file of a log, or with seg nil its directory.
type dropTask struct {
	id     core.PartitionID
	seg    *segfile
	closed bool
}

// Run touches the files, in the order that makes each step safe: data, sync, checkpoint.
func (j *writeJob) Run() {
	fs := j.s.cfg.FS
	j.table.apply(&j.marks)
	for i, d := range j.drop {
		name := partitionDir(d.id)
		if d.seg != nil {
			name = segName(d.id, d.seg.base)
		}
		_ = fs.Remove(name) // what stays is below the log start: the next start removes it
		if d.seg != nil {
			_ = fs.Remove(indexName(d.id, d.seg.base))
			if !d.seg.pin.Held() { // nobody takes a new hold: it is in no log any more
				d.seg.close()
				j.drop[i].closed = true
			}
		}
	}
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
	for _, g := range j.syncs {
		if g.w.file != nil {
			_ = g.w.file.Writeback(0, int64(g.submitted)) // only a hint
		}
	}
	for _, g := range j.syncs {
		if j.fatal = g.sync(fs); j.fatal != nil {
			return
		}
	}
	for i := range j.seals {
		j.seals[i].run(fs)
	}
	if j.check {
		j.err = j.table.write(fs, checkpointName(shardDir(j.s.cfg.Shard), j.ckSeq), j.ckSeq, j.jseq)
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

// Done lets readers see the files, frees chunks and moves durable.
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
	s.settle(j)
	if j.fatal == nil && j.err == nil {
		for _, g := range j.syncs {
			g.unsynced = false
		}
		for _, d := range j.durs {
			if !d.l.gone {
				d.l.moveDurable(d.next)
			}
		}
		if j.check {
			s.j.release(j.jseq)
			s.ckSeq, s.ckFailed = j.ckSeq, false
			s.stats.Checkpoints++
		}
	} else if j.check {
		s.ckFailed = true
	}
	for i := range j.seals {
		s.sealed(&j.seals[i])
	}
	for _, d := range j.drop {
		if d.seg != nil && !d.closed {
			s.zombies = append(s.zombies, d) // a reader holds it: closed later
		}
	}
	clear(j.tasks)
	clear(j.bufs)
	clear(j.seals)
	j.tasks, j.bufs, j.syncs, j.durs, j.drop, j.seals, j.check = j.tasks[:0], j.bufs[:0], j.syncs[:0], j.durs[:0], j.drop[:0], j.seals[:0], false
	s.closeReleased()
	s.Commit()
}

// settle decides what an error means: a full disk is waited for, all others are final.
func (s *Store) settle(j *writeJob) {
	switch {
	case j.fatal != nil:
		s.fail(j.fatal)
	case errors.Is(j.err, core.ErrDiskFull):
		s.full, s.retryAt = true, s.mono()+idleEvery
	case j.err != nil:
		s.fail(j.err)
	case j.done > 0 || j.check:
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

// startWrite starts the writer if something is due and it is free.
func (s *Store) startWrite() {
	j := &s.write
	if j.flying {
		return
	}
	j.done, j.err, j.fatal = 0, nil, nil
	j.drop = append(j.drop, s.drops...)
	s.drops = s.drops[:0]
	last := s.full && s.stopping != nil && !s.lastTry
	retry := !s.full || s.mono() >= s.retryAt || last
	s.lastTry = s.lastTry || last
	check := retry && (s.full || s.sinceMark >= s.cfg.CheckpointBytes || s.group.blocked || s.stopping != nil && s.quiet())
	switch {
	case check:
		s.startCheckpoint()
	case s.flushDue && retry:
		s.flushDue, s.flushMs = false, 0
		s.sweepDirty(func(l *Log) bool { return l.cfg.Durability != core.Synced || l.since > 0 || l.held.next > 0 })
	case j.idle && retry, s.low() && retry:
		s.gatherIdle()
	case retry && s.behind():
		s.gatherFilled()
	case retry:
		s.gatherStrides()
	}
	if len(j.tasks) == 0 && len(j.syncs) == 0 && !j.check && len(j.drop) == 0 {
		return
	}
	j.flying = true
	s.cfg.Write.Submit(j)
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

// sweepDirty writes and syncs the dirty logs that pick chooses.
func (s *Store) sweepDirty(pick func(*Log) bool) {
	j := &s.write
	s.stats.Looked += int64(len(s.dirtyLogs))
	for _, l := range s.dirtyLogs {
		if l.gone || !pick(l) {
			continue
		}
		s.gather(l, true)
		j.syncs = l.toSync(j.syncs)
		l.since = 0
		j.durs = append(j.durs, committed{l: l, next: l.end})
	}
}

// toSync appends the segments with writes since their last sync: they are the latest.
func (l *Log) toSync(dst []*segfile) []*segfile {
	for i := len(l.segs) - 1; i >= 0; i-- {
		g := l.segs[i]
		if g.unsynced {
			dst = append(dst, g)
		} else if g.sealed && g.written == g.end {
			break
		}
	}
	return dst
}

// startCheckpoint writes and syncs everything appended up to now, then the checkpoint.
// Groups up to the latest one hold nothing that is above the marks.
func (s *Store) startCheckpoint() {
	j := &s.write
	s.sinceMark, s.flushDue, s.flushMs = 0, false, 0
	s.sweepDirty(func(*Log) bool { return true })
	s.collectSeals()
	s.collectMarks()
	j.check = true
	j.ckSeq, j.jseq = s.ckSeq+1, s.j.sequence
}
