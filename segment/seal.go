package segment

import "github.com/penstock/penstock/core"

// sealTask writes the index file of a segment that has ended; it is done by a flush,
// once all of the segment is synced.
type sealTask struct {
	l    *Log
	g    *segfile
	next core.Offset // the offset after it
	head indexHead
	idx  index // as it was handed over
	// space: only give back what was reserved; an earlier process wrote the segment.
	space    bool
	done, ok bool
}

// collectSeals hands over the segments that have ended. A job that syncs everything
// follows, so they are synced when their turn comes. A shutdown ends all of them.
func (s *Store) collectSeals() {
	j := &s.flush
	if s.stopping != nil && s.quiet() {
		for _, l := range s.logs {
			if n := len(l.segs); n > 0 && !l.segs[n-1].sealed && l.segs[n-1].end > segHeader {
				l.seal(l.segs[n-1])
			}
		}
	}
	rest := s.sealing[:0]
	for _, t := range s.sealing {
		switch g := t.g; {
		case t.l.gone || !g.loaded && !t.space: // deleted since
		case g.submitted < g.end || g.loading:
			rest = append(rest, t)
		default:
			g.jobs++
			if !t.space {
				t.idx, t.head = g.idx, headOf(g, &g.idx, t.next, g.made, g.closedAt)
			}
			j.seals = append(j.seals, t)
		}
	}
	clear(s.sealing[len(rest):])
	s.sealing = rest
}

// run gives back what was reserved beyond the end, and writes the index file. That one
// may fail: it is made again by whoever misses it.
func (t *sealTask) run(fsys FS) {
	t.done = true
	f := t.g.w.file
	if f == nil {
		var err error
		if f, err = fsys.Open(segName(t.g.id, t.g.base), ReadWrite); err != nil {
			return
		}
		defer func() { _ = f.Close() }()
	}
	_ = f.Truncate(int64(t.g.end))
	if t.space {
		return
	}
	for _, b := range t.idx.blocks {
		if b.slots == nil { // dropped: all are made again
			x, next, err := buildIndex(f, t.g.id, t.g.base, t.g.end)
			if err != nil || next != t.next || x.tail().sum != t.head.sum {
				return
			}
			t.idx = x
			break
		}
	}
	t.ok = writeIndex(fsys, t.head, &t.idx) == nil
}

// sealed takes a task back.
func (s *Store) sealed(t *sealTask) {
	t.g.jobs--
	switch {
	case t.l.gone:
	case !t.done:
		s.sealing = append(s.sealing, sealTask{l: t.l, g: t.g, next: t.next, space: t.space})
	case t.ok:
		t.g.indexed = true
		t.g.learn(&t.head)
	}
}

// collectMarks hands over the marks that have changed since the latest checkpoint.
func (s *Store) collectMarks() {
	ch := &s.flush.marks
	for _, at := range s.gonePlace {
		ch.set = append(ch.set, placedMark{at: at, gone: true})
		s.places = append(s.places, at)
	}
	s.gonePlace = s.gonePlace[:0]
	s.stats.Looked += int64(len(s.markLogs))
	for i, l := range s.markLogs {
		s.markLogs[i] = nil
		l.inMark = false
		if l.gone {
			continue
		}
		if l.frozen { // as recovery found it, so that the next one finds it too
			ch.set = append(ch.set, placedMark{at: l.place, mark: l.mark})
			continue
		}
		l.mark.start = l.start
		if l.mark.end != l.end || l.mark.blobAt != l.end {
			l.mark.end, l.mark.blobAt = l.end, l.end
			l.mark.blob = s.cfg.Host.Snapshot(l, nil)
			if n := len(l.segs); n > 0 {
				g := l.segs[n-1]
				l.mark.segment, l.mark.pos, l.mark.newest = g.base, g.end, g.newest()
			}
		}
		if len(l.segs) == 0 {
			l.mark.segment, l.mark.pos = 0, 0 // what it marked is gone: a file of it that comes back proves nothing
		}
		ch.set = append(ch.set, placedMark{at: l.place, mark: l.mark})
	}
	s.markLogs = s.markLogs[:0]
}

// placedMark is the mark of one log, at its place in the checkpoint.
type placedMark struct {
	at   int
	gone bool
	mark mark
}

// marksChange is what the loop hands over: only what has changed.
type marksChange struct{ set []placedMark }

// markTable is all marks of a store, on the flush worker.
type markTable struct {
	marks []placedMark
	buf   []byte
}

// apply takes changes in, whether the checkpoint that follows is written or not: the
// next one that is holds them too.
func (t *markTable) apply(ch *marksChange) {
	for _, m := range ch.set {
		for len(t.marks) <= m.at {
			t.marks = append(t.marks, placedMark{gone: true})
		}
		t.marks[m.at] = m
	}
	clear(ch.set)
	ch.set = ch.set[:0]
}

// write makes a checkpoint of all marks durable.
func (t *markTable) write(fsys FS, name string, seq, jseq uint64) error {
	t.buf = beginCheckpoint(t.buf[:0])
	n := 0
	for i := range t.marks {
		if !t.marks[i].gone {
			t.buf = appendMark(t.buf, &t.marks[i].mark)
			n++
		}
	}
	t.buf = endCheckpoint(t.buf, seq, jseq, n)
	return writeCheckpoint(fsys, name, t.buf)
}
