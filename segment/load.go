package segment

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// loadJob opens a segment and, unless it is in memory, takes its index from the index
// file or makes it again. It runs on the read worker.
type loadJob struct {
	l    *Log
	g    *segfile
	next core.Offset // the offset after the segment
	// The log start: below it, data that were never synced may be missing after a power cut.
	start core.Offset
	only  bool      // the file: the index is in memory
	head  indexHead // what is known, and then what was found
	file  File
	idx   index
	made  bool // the index file was written or found
	err   error
}

// load begins to load a segment; Host.Ready follows.
func (s *Store) load(l *Log, g *segfile) {
	if g.loading {
		return
	}
	g.loading = true
	j := &loadJob{l: l, g: g, only: g.loaded, start: l.start, next: l.next(l.segAt(g.base)), head: indexHead{begun: g.made, sealed: g.closedAt}}
	s.cfg.Read.Submit(j)
}

// Run reads of the segment what does not change any more once it is sealed.
func (j *loadJob) Run() {
	g, fsys := j.g, j.l.s.cfg.FS
	if j.file, j.err = fsys.Open(segName(g.id, g.base), ReadOnly); j.err != nil || j.only {
		return
	}
	x, h, err := loadIndex(fsys, j.file, g.id, g.base, g.end)
	switch {
	case err == nil:
		j.idx, j.head, j.made = x, h, true
	case errors.Is(err, errIndex) || errors.Is(err, errNewerIndex) || errors.Is(err, fs.ErrNotExist):
		j.rebuild(errors.Is(err, errNewerIndex))
	default:
		j.err = err
	}
	if j.err == nil && (j.head.next > j.next || j.head.next < j.next && j.next > j.start) {
		j.err = &CorruptError{segName(g.id, g.base), g.end, fmt.Sprintf("it ends at offset %d, and what follows it begins at %d", j.head.next, j.next)}
	}
}

// rebuild makes the index from the segment, and the file from that.
func (j *loadJob) rebuild(keep bool) {
	g, fsys := j.g, j.l.s.cfg.FS
	x, next, err := buildIndex(j.file, g.id, g.base, g.end)
	if j.idx, j.err = x, err; err != nil {
		return
	}
	j.head = headOf(g, &x, next, j.head.begun, j.head.sealed)
	if !keep {
		j.made = writeIndex(fsys, j.head, &x) == nil // else it is made again some time
	}
}

// buildIndex walks a whole segment.
func buildIndex(f File, id core.PartitionID, base core.Offset, end core.FilePos) (x index, next core.Offset, err error) {
	pos, next, why, err := walk(f, segHeader, int64(end), base, false, func(h batch.Header, pos core.FilePos, head []byte) error {
		x.add(uint32(h.Base-base), pos, &h, head, nil)
		return nil
	})
	if err == nil && why == "" && x.n == 0 {
		why = "it holds no batch"
	}
	if err == nil && why != "" {
		err = &CorruptError{segName(id, base), pos, why}
	}
	return x, next, err
}

// headOf is the head of the index file of a sealed segment.
func headOf(g *segfile, x *index, next core.Offset, begun, sealed int64) indexHead {
	return indexHead{id: g.id, first: x.first, last: x.last, sum: x.tail().sum, base: g.base, next: next,
		length: g.end, maxTs: x.maxTs, begun: begun, sealed: sealed}
}

// Done hands the segment to its readers.
func (j *loadJob) Done() {
	g, l := j.g, j.l
	s := l.s
	g.loading = false
	switch {
	case j.err != nil || l.gone || g.file != nil:
		if j.file != nil {
			s.cache.closing = append(s.cache.closing, j.file)
		}
	default:
		g.file = j.file
		s.cache.opened(g)
	}
	if j.err == nil && !g.loaded && !l.gone {
		s.cache.adopt(g, j.idx)
		g.indexed = j.made
		g.learn(&j.head)
	}
	s.closeReleased()
	l.loaded(j.err)
}

// learn takes over what an index file says of its segment.
func (g *segfile) learn(h *indexHead) {
	g.known, g.maxTs, g.follow = true, h.maxTs, h.next
	if g.made == 0 {
		g.made = h.begun
	}
	if h.sealed > 0 {
		g.closedAt = h.sealed
	}
}

// loaded tells everybody who waits for a segment.
func (l *Log) loaded(err error) {
	var bad *CorruptError
	switch {
	case err == nil || l.gone:
	case errors.As(err, &bad):
		l.bad = core.ErrQuarantined
	default:
		l.bad = core.ErrStorage
	}
	waiting := l.waiting
	l.waiting = nil
	for _, again := range waiting {
		again()
	}
	if l.gone {
		return
	}
	if err != nil {
		l.s.cfg.Host.Failed(l, err)
	}
	l.s.cfg.Host.Ready(l)
}

// blockJob loads the slots of one index block: from the index file, or else from the
// segment. It runs on the read worker.
type blockJob struct {
	l     *Log
	g     *segfile
	b     *indexBlock
	i     int
	end   core.FilePos // of the block
	sum   uint32       // before it
	file  File
	named bool // the index file is there
	slots *indexSlots
	err   error
}

// loadBlock begins to load a block; Host.Ready follows.
func (s *Store) loadBlock(l *Log, g *segfile, b *indexBlock) {
	if g.loading {
		return
	}
	g.loading = true
	g.jobs++
	g.pin.Hold()
	i := g.idx.blockOf(b.delta)
	j := &blockJob{l: l, g: g, b: b, i: i, end: g.idx.end(i, g.end), file: g.file, named: g.sealed && g.indexed}
	if i > 0 {
		j.sum = g.idx.blocks[i-1].sum
	}
	s.cfg.Read.Submit(j)
}

// Run reads nothing of the index that the loop changes: the block is full, or the
// segment is sealed.
func (j *blockJob) Run() {
	g := j.g
	if j.named {
		s, err := loadSlots(j.l.s.cfg.FS, g.id, g.base, g.end, j.i)
		if err == nil && s[0] == (indexSlot{j.b.delta, j.b.pos}) {
			j.slots = s
			return
		}
	}
	x := index{}
	x.blocks = append(x.blocks, &indexBlock{n: blockBatches, sum: j.sum})
	pos, _, why, err := walk(j.file, core.FilePos(j.b.pos), int64(j.end), g.base+core.Offset(j.b.delta), false, func(h batch.Header, pos core.FilePos, head []byte) error {
		x.add(uint32(h.Base-g.base), pos, &h, head, nil)
		return nil
	})
	if err == nil && why == "" && (len(x.blocks) != 2 || x.tail().n != j.b.n || x.tail().sum != j.b.sum) {
		why = "its batches are not those of its index"
	}
	if err == nil && why != "" {
		err = &CorruptError{segName(g.id, g.base), pos, why}
	}
	if j.err = err; err == nil {
		j.slots = x.tail().slots
	}
}

// Done puts the slots into the cache.
func (j *blockJob) Done() {
	g := j.g
	g.loading = false
	g.jobs--
	g.pin.Release()
	if j.err == nil && j.b.slots == nil && !j.l.gone {
		j.b.slots = j.slots
		j.l.s.cache.keep(g, j.b)
	}
	j.l.loaded(j.err)
}

// Scan calls fn with each batch from the one that holds from, in order. It blocks, and
// is for the time between Open and serving.
func (l *Log) Scan(from core.Offset, fn func(b []byte) error) error {
	for i := max(l.segAt(from), 0); i < len(l.segs); i++ {
		g := l.segs[i]
		f, err := l.s.cfg.FS.Open(segName(g.id, g.base), ReadOnly)
		if err != nil {
			return err
		}
		pos, next, err := l.near(f, g, from)
		why := ""
		if err == nil {
			pos, _, why, err = walk(f, pos, int64(g.end), next, true, func(h batch.Header, _ core.FilePos, b []byte) error {
				if h.Last() < from {
					return nil
				}
				return fn(b)
			})
		}
		if err == nil && why != "" {
			err = &CorruptError{segName(g.id, g.base), pos, why}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// near is a batch boundary of a segment before an offset: that of the mark that recovery
// began at, which is where a fold goes on, or the beginning of an index block.
func (l *Log) near(f File, g *segfile, from core.Offset) (core.FilePos, core.Offset, error) {
	pos, next := core.FilePos(segHeader), g.base
	if l.hint.id == l.id && l.hint.segment == g.base && l.hint.end <= from && segHeader < l.hint.pos && l.hint.pos <= g.end {
		pos, next = l.hint.pos, l.hint.end
	}
	if from <= next {
		return pos, next, nil
	}
	x, _, err := loadIndex(l.s.cfg.FS, f, g.id, g.base, g.end)
	if err != nil {
		if errors.Is(err, errIndex) || errors.Is(err, errNewerIndex) || errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return pos, next, err
	}
	i := x.blockOf(uint32(min(from-g.base, 1<<32-1)))
	if at := g.base + core.Offset(x.blocks[i].delta); at > next {
		pos, next = core.FilePos(x.blocks[i].pos), at
	}
	return pos, next, nil
}
