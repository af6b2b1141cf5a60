package segment

import (
	"slices"

	"github.com/penstock/penstock/core"
)

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
	case to <= l.start:
		done(nil)
		return
	}
	l.start = to
	s.remark(l)
	s.trims = append(s.trims, trim{l, to, done})
}

// unlinkBelow deletes the segments below a durable log start. A segment that is still
// being written stays until the next look.
func (s *Store) unlinkBelow(l *Log, to core.Offset) {
	n := 0
	for n+1 < len(l.segs) && l.segs[n+1].base <= to {
		g := l.segs[n]
		if !g.sealed || g.written < g.end || g.loading || l.gone {
			break
		}
		s.drops = append(s.drops, dropTask{id: l.id, seg: g})
		n++
	}
	if n > 0 {
		l.segs = append([]*segfile(nil), l.segs[n:]...)
	}
}

// Remove forgets a log whose topic was deleted, and deletes its files in a job.
func (s *Store) Remove(l *Log) {
	if l.gone {
		return
	}
	l.gone, l.bad = true, core.ErrUnknownPartition
	s.logs = slices.DeleteFunc(s.logs, func(o *Log) bool { return o == l })
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
		s.drops = append(s.drops, dropTask{id: l.id, seg: g})
	}
	s.drops = append(s.drops, dropTask{id: l.id})
}

// retain deletes by size and by time. A timestamp in the future counts as the time of
// the last write at most, so no client's clock decides.
func (s *Store) retain(now int64) {
	for _, l := range s.logs {
		to := l.start
		size := l.Size()
		for i := 0; i+1 < len(l.segs); i++ {
			g := l.segs[i]
			newest := min(g.idx.maxTs, max(g.closedAt, g.made))
			old := l.cfg.RetentionMs >= 0 && g.loaded && g.closedAt > 0 && now-newest > l.cfg.RetentionMs
			big := l.cfg.RetentionBytes >= 0 && size-(int64(g.end)-segHeader) >= l.cfg.RetentionBytes
			if !g.sealed || g.written < g.end || !old && !big {
				break
			}
			size -= int64(g.end) - segHeader
			to = l.segs[i+1].base
		}
		if to > l.start {
			l.Trim(to, func(error) {})
		} else if len(l.segs) > 1 && l.segs[1].base <= l.start {
			s.unlinkBelow(l, l.start)
		}
	}
}
