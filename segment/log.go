package segment

import (
	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// Log is one partition, on the loop of its shard.
//
//	start <= durable <= end
type Log struct {
	s                   *Store
	id                  core.PartitionID
	cfg                 LogConfig
	start, durable, end core.Offset
	segs                []*segfile // in order; the last one grows unless it is sealed
	chunks              []*chunk   // the tail: bytes that may not be in a file yet, in order
	pend                []span     // of these, what no journal group holds yet
	held                span       // journaled above a gap that only a segment sync closes
	mark                mark       // of the latest checkpoint
	bad                 error      // why it takes no appends
	gone                bool
	waiting             []func() // lookups that wait for a segment to be loaded
	since               int64    // Wall of the oldest record that is not durable (interval)
	full                int      // closed chunks not yet submitted
	inSync, inWrite     bool     // is on the store's list of the same name
	inDirty, inMark     bool
	head                [batch.HeaderSize]byte
}

// span is a run of whole batches in one segment.
type span struct {
	seg      *segfile
	pos, end core.FilePos
	base     core.Offset
	next     core.Offset
}

// ID names the partition.
func (l *Log) ID() core.PartitionID { return l.id }

// Start is the first offset that may be read.
func (l *Log) Start() core.Offset { return l.start }

// Durable is the offset below which everything survives a power cut.
func (l *Log) Durable() core.Offset { return l.durable }

// End is the offset of the next record.
func (l *Log) End() core.Offset { return l.end }

// Size is the log in bytes, headers of segments left out.
func (l *Log) Size() (n int64) {
	for _, g := range l.segs {
		n += int64(g.end) - segHeader
	}
	return n
}

// active is the segment that appends go to.
func (l *Log) active() *segfile {
	if n := len(l.segs); n > 0 && !l.segs[n-1].sealed {
		return l.segs[n-1]
	}
	g := &segfile{id: l.id, base: l.end, written: segHeader, submitted: segHeader, end: segHeader, loaded: true, made: l.s.cfg.Env.Wall()}
	l.segs = append(l.segs, g)
	return g
}

// roll seals the segment if size more bytes do not fit, or it is too old.
func (l *Log) roll(size int) *segfile {
	g := l.active()
	if g.end == segHeader {
		return g
	}
	full := int64(g.end)+int64(size) > l.cfg.SegmentBytes && l.cfg.SegmentBytes > 0
	old := l.cfg.SegmentMs > 0 && l.s.cfg.Env.Wall()-g.made >= l.cfg.SegmentMs
	if !full && !old {
		return g
	}
	g.sealed, g.closedAt = true, l.s.cfg.Env.Wall()
	if n := len(l.chunks); n > 0 && !l.chunks[n-1].closed {
		l.chunks[n-1].closed = true
		l.full++
	}
	return l.active()
}

// Append copies one valid batch into the tail, stamped; st.Base is l.End(). The error
// is a core.Code.
func (l *Log) Append(b []byte, st batch.Stamp) error {
	s := l.s
	switch {
	case s.failed != nil:
		return core.ErrStorage
	case l.bad != nil:
		return l.bad
	case s.full:
		return core.ErrDiskFull
	case len(b) > len(s.arena.chunks)/2*s.arena.chunkBytes:
		return core.ErrTooLarge
	}
	core.Assert(st.Base == l.end, "an append is stamped with another offset than the log end")
	h, err := batch.Parse(b)
	if err != nil || h.Size != len(b) {
		return core.ErrCorruptBatch
	}
	if !s.room(len(b)) {
		return core.ErrBusy
	}
	g := l.roll(len(b))
	pos := g.end
	copy(l.head[:], b)
	st.Apply(l.head[:], b[batch.HeaderSize:])
	l.store(g, l.head[:])
	l.store(g, b[batch.HeaderSize:])
	if st.AppendTime >= 0 {
		h.MaxTime = st.AppendTime
	}
	g.idx.add(uint32(st.Base-g.base), pos, h.MaxTime)
	l.end = st.Base + core.Offset(h.LastDelta) + 1
	l.appended(g, pos, st.Base)
	return nil
}

// store copies bytes into the tail's chunks.
func (l *Log) store(g *segfile, p []byte) {
	for len(p) > 0 {
		var c *chunk
		if n := len(l.chunks); n > 0 {
			c = l.chunks[n-1]
		}
		if c == nil || c.closed || c.seg != g {
			c = l.s.arena.lend(g, g.end)
			l.chunks = append(l.chunks, c)
		}
		n := c.fill(p)
		if c.closed {
			l.full++
		}
		g.end += core.FilePos(n)
		p = p[n:]
	}
}

// appended puts the log on the lists of those that have something to do.
func (l *Log) appended(g *segfile, pos core.FilePos, base core.Offset) {
	s := l.s
	size := int64(g.end - pos)
	s.stats.Appended += size
	s.sinceMark += size
	s.dirty(l)
	if l.cfg.Durability != core.Synced {
		if l.since == 0 {
			l.since = s.cfg.Env.Wall()
			if l.cfg.Durability == core.Interval && (s.flushMs == 0 || l.cfg.FlushMs < s.flushMs) {
				s.flushMs = l.cfg.FlushMs
			}
		}
		if l.full >= strideChunks {
			s.wantWrite(l)
		}
		if l.cfg.Durability == core.Interval && int64(l.end-l.durable) >= l.cfg.FlushMessages {
			s.flushDue = true
		}
		return
	}
	if n := len(l.pend); n > 0 && l.pend[n-1].seg == g && l.pend[n-1].end == pos {
		l.pend[n-1].end, l.pend[n-1].next = g.end, l.end
	} else {
		l.pend = append(l.pend, span{g, pos, g.end, base, l.end})
	}
	s.pending += size
	if !l.inSync {
		l.inSync = true
		s.unsynced = append(s.unsynced, l)
	}
	if l.full >= strideChunks {
		s.wantWrite(l)
	}
}

// needed says whether a chunk holds bytes that no journal group holds yet.
func (l *Log) needed(c *chunk) bool {
	for i := range l.pend {
		if p := &l.pend[i]; p.seg == c.seg && p.end > c.pos && p.pos < c.end() {
			return true
		}
	}
	return false
}

// reap returns the chunks at the front whose bytes are in the file.
func (l *Log) reap() {
	n := 0
	for n < len(l.chunks) {
		c := l.chunks[n]
		if !c.closed || c.written < c.len || l.needed(c) {
			break
		}
		l.s.arena.retire(c)
		n++
	}
	if n > 0 {
		l.chunks = append(l.chunks[:0], l.chunks[n:]...)
	}
}

// segAt is the index in segs of the segment that holds an offset; -1: below all.
func (l *Log) segAt(off core.Offset) int {
	lo, hi := 0, len(l.segs)
	for lo < hi {
		if m := (lo + hi) / 2; l.segs[m].base <= off {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

// Read appends held extents of whole batches to dst, from the batch that holds from, up
// to limit, a batch boundary, and at most max bytes; with first set at least one batch.
// With ready false loading has begun, and Host.Ready follows.
func (l *Log) Read(from, limit core.Offset, max int, first bool, dst []core.Extent) (ext []core.Extent, n int, ready bool, err error) {
	limit = min(limit, l.end)
	if from < l.start || from > l.end {
		return dst, 0, true, core.ErrOffsetRange
	}
	for i := l.segAt(from); i >= 0 && i < len(l.segs) && from < limit; i++ {
		g := l.segs[i]
		if !g.loaded || g.file == nil && g.written > segHeader {
			if n > 0 {
				return dst, n, true, nil
			}
			if l.bad != nil {
				return dst, 0, true, l.bad
			}
			l.s.load(l, g)
			return dst, 0, false, nil
		}
		at := g.idx.find(uint32(from - g.base))
		if at < 0 {
			return dst, n, true, nil
		}
		pos, stop := core.FilePos(g.idx.at(at).pos), g.end
		if i+1 >= len(l.segs) || limit < l.segs[i+1].base {
			stop = g.upTo(limit)
		}
		if room := core.FilePos(max - n); stop-pos > room {
			cut := g.idx.before(pos + room)
			if cut <= pos && first && n == 0 {
				cut = g.end
				if at+1 < g.idx.n {
					cut = core.FilePos(g.idx.at(at + 1).pos)
				}
			}
			stop = cut
		}
		if stop <= pos {
			return dst, n, true, nil
		}
		dst = l.extents(g, pos, stop, dst)
		n += int(stop - pos)
		if stop < g.end || i+1 >= len(l.segs) {
			break
		}
		from = l.segs[i+1].base
	}
	return dst, n, true, nil
}

// upTo is where the batches below a limit end.
func (g *segfile) upTo(limit core.Offset) core.FilePos {
	at := g.idx.find(uint32(limit - g.base))
	if at >= 0 && core.Offset(g.idx.at(at).delta)+g.base == limit {
		return core.FilePos(g.idx.at(at).pos)
	}
	if at+1 < g.idx.n {
		return core.FilePos(g.idx.at(at + 1).pos) // not a boundary: a whole batch more
	}
	return g.end
}

// extents appends [pos, stop): the file as far as it is written, then memory.
func (l *Log) extents(g *segfile, pos, stop core.FilePos, dst []core.Extent) []core.Extent {
	if pos < g.written {
		end := min(stop, g.written)
		g.pin.Hold()
		dst = append(dst, core.Extent{File: g.file, Pos: pos, Len: int(end - pos), Pin: &g.pin})
		pos = end
	}
	for _, c := range l.chunks {
		if pos >= stop {
			break
		}
		if c.seg != g || c.end() <= pos {
			continue
		}
		end := min(stop, c.end())
		c.pin.Hold()
		dst = append(dst, core.Extent{Mem: c.buf[pos-c.pos : end-c.pos], Len: int(end - pos), Pin: &c.pin})
		pos = end
	}
	core.Assert(pos >= stop, "the tail of a log has a hole")
	return dst
}
