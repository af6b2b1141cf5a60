package segment

import (
	"math"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// findJob looks for a record by time, on the read worker, in pieces that the loop has
// picked by the newest times of segments and of their index blocks.
type findJob struct {
	l      *Log
	ts     int64
	max    bool
	limit  core.Offset
	start  core.Offset // of the log
	at     core.Offset // where the search by time goes on
	pieces []findPiece
	off    core.Offset
	found  int64
	err    error
	done   func(core.Offset, int64, error)
}

// findPiece is the batches of one index block.
type findPiece struct {
	ext []core.Extent
}

// FindTime finds the first record below limit, a batch boundary, whose timestamp is ts or
// later, or with max set the one with the newest timestamp. The offset is -1 if there is
// none. done is called on the loop, perhaps before FindTime returns.
func (l *Log) FindTime(ts int64, max bool, limit core.Offset, done func(off core.Offset, ts int64, err error)) {
	j := &findJob{l: l, ts: ts, max: max, limit: min(limit, l.end), at: l.start, off: -1, found: -1, done: done}
	j.resume()
}

// resume picks the next pieces, waits for an index that it needs, or ends.
func (j *findJob) resume() {
	l := j.l
	if l.gone {
		j.done(-1, -1, core.ErrUnknownPartition)
		return
	}
	if l.bad != nil {
		j.done(-1, -1, l.bad)
		return
	}
	j.start = l.start
	j.at = max(j.at, j.start)
	pick := j.pickFirst
	if j.max {
		pick = j.pickNewest
	}
	if missing := pick(); missing != nil {
		j.release()
		l.waiting = append(l.waiting, j.resume)
		l.s.load(l, missing)
		return
	}
	if len(j.pieces) == 0 {
		j.done(-1, -1, nil)
		return
	}
	l.s.cfg.Read.Submit(j)
}

// pickFirst takes the next index block that has a record of the time or later.
func (j *findJob) pickFirst() (missing *segfile) {
	l := j.l
	for i := max(l.segAt(j.at), 0); i < len(l.segs); i++ {
		g := l.segs[i]
		if g.base >= j.limit {
			break
		}
		if (g.loaded || g.known) && g.newest() < j.ts {
			continue
		}
		if !l.usable(g) {
			return g
		}
		for b := max(g.idx.blockOf(relative(j.at, g.base)), 0); b < len(g.idx.blocks); b++ {
			k := g.idx.blocks[b]
			if g.base+core.Offset(k.delta) >= j.limit {
				break
			}
			if k.maxTs >= j.ts {
				j.take(g, b)
				j.at = j.after(i, b)
				return nil
			}
		}
	}
	return nil
}

// relative is an offset in a segment, 0 for one before it.
func relative(off, base core.Offset) uint32 {
	return uint32(min(max(off-base, 0), math.MaxUint32))
}

// after is the offset after a block of segment i.
func (j *findJob) after(i, b int) core.Offset {
	g := j.l.segs[i]
	if b+1 < len(g.idx.blocks) {
		return g.base + core.Offset(g.idx.blocks[b+1].delta)
	}
	return j.l.next(i)
}

// pickNewest takes the block with the newest time of those that lie between log start
// and limit as a whole, and the two at most that lie there in part.
func (j *findJob) pickNewest() (missing *segfile) {
	l := j.l
	best, bestSeg, bestBlock := int64(math.MinInt64), -1, -1
	for i := l.firstSeg(); i < len(l.segs) && l.segs[i].base < j.limit; i++ {
		g := l.segs[i]
		whole := g.base >= l.start && l.next(i) <= j.limit
		if whole && (g.loaded || g.known) {
			if g.newest() > best {
				best, bestSeg, bestBlock = g.newest(), i, -1
			}
			continue
		}
		if !l.usable(g) {
			return g
		}
		for b, k := range g.idx.blocks {
			from, to := g.base+core.Offset(k.delta), j.after(i, b)
			switch {
			case to <= l.start || from >= j.limit:
			case from < l.start || to > j.limit:
				j.take(g, b)
			case k.maxTs > best:
				best, bestSeg, bestBlock = k.maxTs, i, b
			}
		}
	}
	if bestSeg < 0 {
		return nil
	}
	g := l.segs[bestSeg]
	if !l.usable(g) {
		return g
	}
	for b, k := range g.idx.blocks {
		if bestBlock < 0 && k.maxTs == best {
			bestBlock = b
		}
	}
	if bestBlock >= 0 {
		j.take(g, bestBlock)
	}
	return nil
}

// take holds a block for the job.
func (j *findJob) take(g *segfile, b int) {
	j.pieces = append(j.pieces, findPiece{j.l.extents(g, core.FilePos(g.idx.blocks[b].pos), g.idx.end(b, g.end), nil)})
}

// Run implements core.Job.
func (j *findJob) Run() {
	var best findBest
	for i := range j.pieces {
		if j.err = j.scan(&j.pieces[i], &best); j.err != nil || j.off >= 0 {
			return
		}
	}
	if best.size > 0 {
		j.newest(&best)
	}
}

// findBest is the batch with the newest time so far.
type findBest struct {
	piece     *findPiece
	pos, size int
	h         batch.Header
}

// scan reads the headers of a piece.
func (j *findJob) scan(p *findPiece, best *findBest) error {
	var head [batch.HeaderSize]byte
	for pos := 0; ; {
		n, err := readStream(p.ext, head[:], pos)
		if n == 0 || err != nil {
			return err
		}
		h, err := batch.Parse(head[:n])
		if err != nil {
			return err
		}
		if h.Base >= j.limit {
			return nil
		}
		switch {
		case h.Last() < j.start: // deleted since
		case j.max && (best.size == 0 || h.MaxTime > best.h.MaxTime || h.MaxTime == best.h.MaxTime && h.Base < best.h.Base):
			*best = findBest{p, pos, h.Size, h}
		case !j.max && h.MaxTime >= j.ts:
			if ok, err := j.look(p, h, pos); ok || err != nil {
				return err
			}
		}
		pos += h.Size
	}
}

// unpackMax bounds what a lookup by time decompresses of one batch.
const unpackMax = 64 << 20

// look finds the record in a batch whose header promises one. A batch whose records
// cannot be read answers with its base: never later than the record that is meant.
func (j *findJob) look(p *findPiece, h batch.Header, pos int) (bool, error) {
	b := make([]byte, h.Size)
	if _, err := readStream(p.ext, b, pos); err != nil {
		return false, err
	}
	off, at, ok, err := batch.FirstAtOrAfter(b, j.ts, unpackMax)
	if err != nil {
		off, at, ok = h.Base, h.MaxTime, true
	}
	if ok {
		j.off, j.found = off, at
	}
	return ok, nil
}

func (j *findJob) newest(best *findBest) {
	b := make([]byte, best.size)
	if _, j.err = readStream(best.piece.ext, b, best.pos); j.err != nil {
		return
	}
	var err error
	if j.off, j.found, err = batch.MaxTimestamp(b, unpackMax); err != nil {
		j.off, j.found = best.h.Base, best.h.MaxTime
	}
}

// readStream reads at a position of the extents taken as one stream of bytes.
func readStream(ext []core.Extent, p []byte, pos int) (n int, err error) {
	for _, e := range ext {
		if pos >= e.Len {
			pos -= e.Len
			continue
		}
		part := p[n:min(len(p), n+e.Len-pos)]
		if e.Mem != nil {
			copy(part, e.Mem[pos:])
		} else if got, err := e.File.ReadAt(part, int64(e.Pos)+int64(pos)); got < len(part) {
			return n, err
		}
		if n += len(part); n == len(p) {
			break
		}
		pos = 0
	}
	return n, nil
}

// release gives the pieces back.
func (j *findJob) release() {
	for _, p := range j.pieces {
		for i := range p.ext {
			p.ext[i].Release()
		}
	}
	clear(j.pieces)
	j.pieces = j.pieces[:0]
}

// Done ends the search, or goes on behind the block that did not have the record.
func (j *findJob) Done() {
	j.release()
	if j.err == nil && j.off < 0 && !j.max {
		j.resume()
		return
	}
	if j.off >= 0 {
		j.off = max(j.off, j.l.start)
	}
	j.done(j.off, j.found, j.err)
}

// firstSeg is the index of the segment that holds the log start.
func (l *Log) firstSeg() int { return max(l.segAt(l.start), 0) }
