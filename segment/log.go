package segment

import (
	"math"

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
	kept                core.Offset // the start that survives a power cut
	segs                []*segfile  // in order; the last one grows unless it is sealed
	chunks              []*chunk    // the tail: bytes that may not be in a file yet, in order
	pend                []span      // of these, what no journal group holds yet
	held                span        // journaled above a gap that only a segment sync closes
	mark                mark        // of the latest checkpoint
	hint                mark        // where recovery began
	at, place           int         // in the store's list, and in its checkpoint
	bad                 error       // why it takes no appends
	gone, frozen        bool        // removed; found in quarantine
	waiting             []func()    // lookups that wait for a segment to be loaded
	since               int64       // mono of the oldest record that is not durable (interval)
	full                int         // closed chunks not yet submitted
	fresh               bool        // was appended to since the last idle write
	inSync, inDirty     bool        // is on the store's list of the same name
	inMark, inFilled    bool
	inWrite             bool
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

// roll seals the segment if size more bytes or their offsets do not fit, or it is too old.
func (l *Log) roll(size int, lastDelta int32) *segfile {
	g := l.active()
	if g.end == segHeader {
		return g
	}
	full := int64(g.end)+int64(size) > l.cfg.SegmentBytes && l.cfg.SegmentBytes > 0 ||
		int64(g.end)+int64(size) > math.MaxUint32 || int64(l.end-g.base)+int64(lastDelta) > math.MaxUint32
	old := l.cfg.SegmentMs > 0 && l.s.cfg.Env.Wall()-g.made >= l.cfg.SegmentMs
	if !full && !old {
		return g
	}
	l.seal(g)
	return l.active()
}

// seal ends a segment. Its index is written after its last sync.
func (l *Log) seal(g *segfile) {
	g.sealed, g.closedAt = true, l.s.cfg.Env.Wall()
	l.s.sealing = append(l.s.sealing, sealTask{l: l, g: g, next: l.end})
	if n := len(l.chunks); n > 0 && !l.chunks[n-1].closed {
		l.s.arena.close(l.chunks[n-1])
		l.full++
	}
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
	case s.full && !(l.cfg.Vital && s.spare(len(b))):
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
	g := l.roll(len(b), h.LastDelta)
	pos := g.end
	copy(l.head[:], b)
	st.Apply(l.head[:], b[batch.HeaderSize:])
	l.store(g, l.head[:])
	l.store(g, b[batch.HeaderSize:])
	if st.AppendTime >= 0 {
		h.MaxTime = st.AppendTime
	}
	h.Epoch = st.Epoch
	if full := g.idx.add(uint32(st.Base-g.base), pos, &h, l.head[:], s.slots); full != nil {
		s.cache.keep(g, full)
	}
	l.end = st.Base + core.Offset(h.LastDelta) + 1
	l.appended(g, pos, st.Base)
	return nil
}

// spare says whether an append finds room while the disk is full. The journal and the
// arena were taken whole at the start, so they are there whatever the disk does, and what
// others have appended to them is bounded: a vital log goes on in what is left. An eighth
// of the journal stays free, so that no group has to wait for a checkpoint, which would
// wait for the disk.
func (s *Store) spare(size int) bool {
	return s.j.used()+s.pending <= s.cfg.JournalBytes/8*7 && !s.group.blocked && s.room(size)
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
	l.fresh = true
	if l.full > 0 {
		s.wantWrite(l)
	}
	if l.cfg.Durability != core.Synced {
		if l.since == 0 {
			l.since = max(s.mono(), 1)
			if l.cfg.Durability == core.Interval {
				s.flushWithin(l.cfg.FlushMs)
			}
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
