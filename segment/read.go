package segment

import "github.com/penstock/penstock/core"

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
// With ready false an index is being loaded or a cold range of a file is being read
// ahead, and Host.Ready follows: the loop never waits for a disk in sendfile.
func (l *Log) Read(from, limit core.Offset, max int, first bool, dst []core.Extent) (ext []core.Extent, n int, ready bool, err error) {
	limit = min(limit, l.end)
	if from < l.start || from > l.end {
		return dst, 0, true, core.ErrOffsetRange
	}
	for i := l.segAt(from); i >= 0 && i < len(l.segs) && from < limit; i++ {
		g := l.segs[i]
		if !l.usable(g) {
			if n > 0 {
				return dst, n, true, nil
			}
			if l.bad != nil {
				return dst, 0, true, l.bad
			}
			l.s.load(l, g)
			return dst, 0, false, nil
		}
		pos, next, stop, miss := l.span(i, from, limit, max-n, first && n == 0)
		if miss != nil {
			if n == 0 {
				l.s.loadBlock(l, g, miss)
			}
			return dst, n, n > 0, nil
		}
		if stop <= pos {
			return dst, n, true, nil
		}
		if stop, miss = l.s.warm(g, pos, stop); miss != nil || stop < next {
			if n == 0 && miss != nil {
				l.s.loadBlock(l, g, miss)
			} else if n == 0 {
				l.s.warmUp(l, g, pos, next)
			}
			return dst, n, n > 0, nil
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

// usable says that the index of a segment is there, and its file if it has one.
func (l *Log) usable(g *segfile) bool {
	if !g.loaded || g.file == nil && g.written > segHeader {
		return false
	}
	if g.file != nil {
		l.s.cache.segs.use(g, &g.node)
	}
	return true
}

// next is the offset after the last of segment i.
func (l *Log) next(i int) core.Offset {
	if i+1 < len(l.segs) {
		return l.segs[i+1].base
	}
	return l.end
}

// span is what a read of segment i gives: from pos to stop, with the end of its first
// batch. miss is an index block that must be loaded first.
func (l *Log) span(i int, from, limit core.Offset, room int, first bool) (pos, next, stop core.FilePos, miss *indexBlock) {
	g, c := l.segs[i], &l.s.cache
	at, next, ok, miss := g.idx.seek(uint32(from - g.base))
	if !ok {
		return 0, 0, 0, miss
	}
	c.touch(g.idx.blocks[g.idx.blockOf(uint32(from-g.base))])
	if next == 0 {
		next = g.end
	}
	pos, stop = core.FilePos(at.pos), g.end
	if limit < l.next(i) {
		at, after, ok, miss := g.idx.seek(uint32(limit - g.base))
		switch {
		case miss != nil:
			return 0, 0, 0, miss
		case ok && core.Offset(at.delta)+g.base == limit:
			stop = core.FilePos(at.pos)
		case after != 0: // not a boundary: a whole batch more
			stop = after
		}
	}
	if most := pos + core.FilePos(room); stop > most {
		if stop, miss = g.idx.floor(most); miss != nil {
			return 0, 0, 0, miss
		}
		if stop <= pos && first {
			stop = next
		}
	}
	return pos, next, stop, nil
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
