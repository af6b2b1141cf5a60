package segment

import "github.com/penstock/penstock/core"

// Trim moves the log start to an offset up to the log end. It moves now; done is called
// when that is durable. Segments wholly below it are then deleted.
func (l *Log) Trim(to core.Offset, done func(error)) {
	s := l.s
	switch {
	case s.failed != nil:
		done(core.ErrStorage)
		return
	case to > l.end:
		done(core.ErrOffsetRange)
		return
	case to <= l.kept:
		done(nil)
		return
	}
	if to > l.start {
		l.start = to
		s.remark(l)
	}
	s.trims = append(s.trims, trim{l, l.start, done}) // one that is under way may be above it
}

// unlinkBelow deletes the segments below a durable log start. A segment that is still
// being written or looked at stays until the next look.
func (s *Store) unlinkBelow(l *Log, to core.Offset) {
	n := 0
	for n < len(l.segs) && l.next(n) <= to {
		g := l.segs[n]
		if !g.sealed || g.written < g.end || g.loading || g.jobs > 0 || l.gone {
			break
		}
		s.discard(l, g)
		n++
	}
	if n > 0 {
		l.segs = append([]*segfile(nil), l.segs[n:]...)
		s.remark(l) // a mark of what is gone may be in a checkpoint that failed, and in no sync
	}
}

// discard hands a segment that is in no log any more over for deletion.
func (s *Store) discard(l *Log, g *segfile) {
	s.cache.segs.drop(&g.node)
	if g.jobs == 0 {
		s.cache.forget(g)
	}
	s.drops = append(s.drops, dropTask{id: l.id, seg: g})
}

// Remove forgets a log whose topic was deleted, and deletes its files in a job.
func (s *Store) Remove(l *Log) {
	if l.gone {
		return
	}
	l.gone, l.bad = true, core.ErrUnknownPartition
	last := len(s.logs) - 1
	s.logs[l.at] = s.logs[last]
	s.logs[l.at].at = l.at
	s.logs[last] = nil
	s.logs = s.logs[:last]
	s.gonePlace = append(s.gonePlace, l.place)
	for i := range l.pend {
		s.pending -= int64(l.pend[i].end - l.pend[i].pos)
	}
	l.pend = l.pend[:0]
	for _, c := range l.chunks {
		if s.write.flying {
			s.dead = append(s.dead, c) // the writer may be reading it
		} else {
			s.arena.retire(c)
		}
	}
	l.chunks = l.chunks[:0]
	for _, g := range l.segs {
		s.discard(l, g)
	}
	s.drops = append(s.drops, dropTask{id: l.id})
}

// retain deletes by size and by time. Each call looks at n logs; see retainPace.
func (s *Store) retain(now int64, n int) {
	for ; n > 0; n-- {
		s.retainPos++
		if s.retainPos >= len(s.logs) {
			s.retainPos = 0
		}
		s.stats.Looked++
		s.retainLog(s.logs[s.retainPos], now)
	}
}

// retainLog moves the log start over segments that are too old or too much. What may be
// damaged is left alone.
func (s *Store) retainLog(l *Log, now int64) {
	if l.bad != nil {
		return
	}
	to, size := l.start, l.Size()
	for i, g := range l.segs {
		if g.written < g.end || g.end == segHeader {
			break
		}
		own := int64(g.end) - segHeader
		if l.next(i) <= l.start { // goes below
			size -= own
			continue
		}
		big := l.cfg.RetentionBytes >= 0 && size-own >= l.cfg.RetentionBytes && i+1 < len(l.segs)
		if !big && l.cfg.RetentionMs >= 0 && !g.loaded && !g.known {
			s.load(l, g) // its times will be known at the next look
			break
		}
		if !big && !l.old(g, now) {
			break
		}
		if !g.sealed {
			if l.durable < l.end {
				break
			}
			l.seal(g)
		}
		size -= own
		to = l.next(i)
	}
	if to > l.start {
		l.Trim(to, func(error) {})
	} else if len(l.segs) > 0 && l.next(0) <= l.kept {
		s.unlinkBelow(l, l.kept)
	}
}

// old says that all records of a segment are older than the topic keeps them. A
// timestamp in the future counts as the time of the last write at most, so no client's
// clock keeps a segment for ever; the segment that grows is written until now.
func (l *Log) old(g *segfile, now int64) bool {
	last := now
	if g.sealed {
		last = g.closedAt
	}
	return l.cfg.RetentionMs >= 0 && now-min(g.newest(), last) > l.cfg.RetentionMs
}
