package segment

import "github.com/penstock/penstock/core"

// flushJob syncs segments, and on demand writes the checkpoint. It runs beside the
// writer: a sync takes as long as the disk likes, and what is appended meanwhile must
// find room. What it covers is collected on the loop and written by a writeJob first.
// One is collected or under way at a time.
type flushJob struct {
	s         *Store
	collected bool // waits for the writeJob
	flying    bool

	syncs []syncTask
	durs  []committed
	seals []sealTask
	check bool        // write the checkpoint,
	marks marksChange // with these changes
	table markTable   // of Run
	ckSeq uint64
	jseq  uint64 // groups up to this one are covered by the checkpoint
	full  bool   // the disk was full when it was collected

	err   error // of the checkpoint: tried again if the disk is full
	fatal error // of a sync
}

// syncTask makes a segment durable up to end at least.
type syncTask struct {
	g   *segfile
	end core.FilePos
}

// start hands over what was collected. Without ok, some of it could not be written: all
// is collected again some time.
func (f *flushJob) start(ok bool) {
	s := f.s
	f.collected = false
	if !ok {
		s.ckFailed = s.ckFailed || f.check
		f.clear()
		return
	}
	for _, t := range f.syncs {
		t.g.unsynced = false // until the writer writes to it again
		t.g.pin.Hold()       // its descriptor stays
	}
	f.flying, f.err, f.fatal = true, nil, nil
	s.cfg.Flush.Submit(f)
}

// Run touches the files, in the order that makes each step safe: sync, index, checkpoint.
func (f *flushJob) Run() {
	fs := f.s.cfg.FS
	f.table.apply(&f.marks)
	for _, t := range f.syncs {
		_ = t.g.w.file.Writeback(0, int64(t.end)) // only a hint
	}
	for _, t := range f.syncs {
		if f.fatal = t.g.sync(fs); f.fatal != nil {
			return
		}
	}
	for i := range f.seals {
		f.seals[i].run(fs)
	}
	if f.check {
		f.err = f.table.write(fs, checkpointName(shardDir(f.s.cfg.Shard), f.ckSeq), f.ckSeq, f.jseq)
	}
}

// Done moves durable and releases the journal.
func (f *flushJob) Done() {
	s := f.s
	f.flying = false
	for _, t := range f.syncs {
		t.g.pin.Release()
	}
	if f.fatal != nil {
		s.fail(f.fatal)
	} else {
		s.settle(f.err, f.check && f.full)
	}
	switch {
	case f.fatal == nil && f.err == nil:
		for _, d := range f.durs {
			if !d.l.gone {
				d.l.moveDurable(d.next)
			}
		}
		if f.check {
			s.j.release(f.jseq)
			s.ckSeq, s.ckFailed = f.ckSeq, false
			s.stats.Checkpoints++
		}
	case f.check:
		s.ckFailed = true
	}
	f.clear()
	s.closeReleased()
	s.Commit()
}

// clear takes back what was collected, but for marks that no table holds yet.
func (f *flushJob) clear() {
	for i := range f.seals {
		f.s.sealed(&f.seals[i])
	}
	clear(f.syncs)
	clear(f.durs)
	clear(f.seals)
	f.syncs, f.durs, f.seals, f.check = f.syncs[:0], f.durs[:0], f.seals[:0], false
}

// sweepDirty writes and syncs the dirty logs that pick chooses.
func (s *Store) sweepDirty(pick func(*Log) bool) {
	f := &s.flush
	s.stats.Looked += int64(len(s.dirtyLogs))
	for _, l := range s.dirtyLogs {
		if l.gone || !pick(l) {
			continue
		}
		s.gather(l, true)
		f.syncs = l.toSync(f.syncs)
		l.since = 0
		f.durs = append(f.durs, committed{l: l, next: l.end})
	}
	f.collected = len(f.durs) > 0
	f.full = s.full
}

// toSync appends the segments with writes since their last sync: they are the latest.
func (l *Log) toSync(dst []syncTask) []syncTask {
	for i := len(l.segs) - 1; i >= 0; i-- {
		g := l.segs[i]
		if g.unsynced {
			dst = append(dst, syncTask{g, g.submitted})
		} else if g.sealed && g.written == g.end {
			break
		}
	}
	return dst
}

// startCheckpoint writes and syncs everything appended up to now, then the checkpoint.
// Groups up to the latest one hold nothing that is above the marks.
func (s *Store) startCheckpoint() {
	f := &s.flush
	s.sinceMark, s.flushDue, s.flushMs = 0, false, 0
	s.sweepDirty(func(*Log) bool { return true })
	s.collectSeals()
	s.collectMarks()
	f.collected, f.check = true, true
	f.ckSeq, f.jseq = s.ckSeq+1, s.j.sequence
}
