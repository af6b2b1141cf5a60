package segment

import "github.com/penstock/penstock/core"

// syncJob is the group commit: one group of the journal, with the chunks as source.
// One is under way at a time; what is appended meanwhile makes the next.
type syncJob struct {
	s       *Store
	g       group
	logs    []committed
	chunks  []*chunk
	trims   []trim
	flying  bool
	ready   bool // collected, but the ring had no room
	blocked bool
}

// committed is what a group makes durable of one log.
type committed struct {
	l          *Log
	base, next core.Offset
}

// trim is a new log start on its way to the journal.
type trim struct {
	l    *Log
	to   core.Offset
	done func(error)
}

func (j *syncJob) Run() { j.g.Run() }

// Done moves durable, once per log.
func (j *syncJob) Done() {
	s := j.s
	j.flying, j.ready = false, false
	for _, c := range j.chunks {
		c.refs--
	}
	err := j.g.err
	if err != nil {
		s.fail(err)
	} else {
		s.stats.Commits++
	}
	for _, c := range j.logs {
		if err == nil {
			c.l.journaled(c.base, c.next)
		}
		c.l.reap()
	}
	for _, t := range j.trims {
		if err == nil {
			t.l.kept = max(t.l.kept, t.to)
			s.unlinkBelow(t.l, t.to)
		}
		if t.done != nil {
			t.done(err)
		}
	}
	s.arena.sweep()
	clear(j.chunks)
	j.chunks, j.logs, j.trims = j.chunks[:0], j.logs[:0], j.trims[:0]
	s.Commit()
}

// journaled moves durable over [base, next), unless there is a gap before it: a log
// that has just become synced. The segment sync that closes the gap then moves it.
func (l *Log) journaled(base, next core.Offset) {
	if l.gone {
		return
	}
	if base > l.durable {
		if l.held.next == 0 {
			l.held.base = base
		}
		l.held.next = next
		l.s.flushDue = true
		l.s.dirty(l)
		return
	}
	l.moveDurable(next)
}

func (l *Log) moveDurable(to core.Offset) {
	if l.held.next > 0 && to >= l.held.base {
		to = max(to, l.held.next)
		l.held = span{}
	}
	if to <= l.durable {
		return
	}
	l.durable = to
	core.Assert(l.durable <= l.end, "durable is beyond the log end")
	l.s.cfg.Host.Durable(l)
}

// commitGroup starts a group commit if something waits and none is under way.
func (s *Store) commitGroup() {
	j := &s.group
	if j.flying || len(s.unsynced) == 0 && len(s.trims) == 0 && !j.ready {
		return
	}
	if !j.ready {
		s.collect()
	}
	if j.blocked = !s.j.reserve(&j.g); j.blocked {
		return // until a checkpoint frees the ring
	}
	j.flying = true
	s.cfg.Sync.Submit(j)
}

// collect makes a group of everything that waits.
func (s *Store) collect() {
	j := &s.group
	j.g.reset()
	taken, size := 0, int64(0)
	for i, l := range s.unsynced {
		if size > s.cfg.JournalBytes/8 {
			break // the ring never has room for more than it is; the rest is the next group
		}
		taken++
		s.unsynced[i] = nil
		l.inSync = false
		if l.gone || len(l.pend) == 0 {
			l.pend = l.pend[:0]
			continue
		}
		for _, p := range l.pend {
			j.add(l, p)
			size += int64(p.end - p.pos)
		}
		j.logs = append(j.logs, committed{l, l.pend[0].base, l.pend[len(l.pend)-1].next})
		clear(l.pend)
		l.pend = l.pend[:0]
	}
	n := copy(s.unsynced, s.unsynced[taken:])
	clear(s.unsynced[n:])
	s.unsynced = s.unsynced[:n]
	s.pending = max(s.pending-size, 0)
	for _, t := range s.trims {
		j.g.entries = append(j.g.entries, entry{kind: entryTrim, partition: t.l.id, base: t.to})
		j.trims = append(j.trims, t)
	}
	clear(s.trims)
	s.trims = s.trims[:0]
	j.ready = true
}

// add puts one span into the group, straight from the chunks.
func (j *syncJob) add(l *Log, p span) {
	j.g.entries = append(j.g.entries, entry{kind: entryData, partition: l.id, segment: p.seg.base, pos: p.pos, base: p.base, size: int64(p.end - p.pos)})
	pos := p.pos
	for _, c := range l.chunks {
		if c.seg != p.seg || c.end() <= pos || c.pos >= p.end {
			continue
		}
		end := min(c.end(), p.end)
		j.g.bufs = append(j.g.bufs, c.buf[pos-c.pos:end-c.pos])
		c.refs++
		j.chunks = append(j.chunks, c)
		pos = end
	}
	core.Assert(pos == p.end, "a span of the group is not in the arena")
}
