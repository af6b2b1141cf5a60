package segment

import (
	"errors"
	"math"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// loadJob opens a segment that this process did not write and makes its index, on the
// read worker.
type loadJob struct {
	l    *Log
	g    *segfile
	file File
	idx  index
	err  error
}

// load begins to load a segment; Host.Ready follows.
func (s *Store) load(l *Log, g *segfile) {
	if g.loading {
		return
	}
	g.loading = true
	s.cfg.Read.Submit(&loadJob{l: l, g: g})
}

func (j *loadJob) Run() {
	g := j.g
	f, err := j.l.s.cfg.FS.Open(segName(g.id, g.base), ReadOnly)
	if err != nil {
		j.err = err
		return
	}
	j.file = f
	pos, _, why, err := walk(f, segHeader, int64(g.end), g.base, false, func(h batch.Header, pos core.FilePos, _ []byte) error {
		j.idx.add(uint32(h.Base-g.base), pos, h.MaxTime)
		return nil
	})
	switch {
	case err != nil:
		j.err = err
	case why != "":
		j.err = &CorruptError{segName(g.id, g.base), pos, why}
	}
}

func (j *loadJob) Done() {
	g, l := j.g, j.l
	g.loading = false
	var bad *CorruptError
	switch {
	case j.err == nil:
		g.file, g.idx, g.loaded = j.file, j.idx, true
	case errors.As(j.err, &bad):
		l.bad = core.ErrQuarantined
	default:
		l.bad = core.ErrStorage
	}
	if j.err != nil && j.file != nil {
		_ = j.file.Close()
	}
	waiting := l.waiting
	l.waiting = nil
	for _, again := range waiting {
		again()
	}
	if l.gone {
		return
	}
	if j.err != nil {
		l.s.cfg.Host.Failed(l, j.err)
	}
	l.s.cfg.Host.Ready(l)
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
		pos, _, why, err := walk(f, segHeader, int64(g.end), g.base, true, func(h batch.Header, _ core.FilePos, b []byte) error {
			if h.Last() < from {
				return nil
			}
			return fn(b)
		})
		if err == nil && why != "" {
			err = &CorruptError{segName(g.id, g.base), pos, why}
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// findJob looks for a batch by time, on the read worker. Extents were taken by the loop.
type findJob struct {
	ts    int64
	max   bool
	ext   []core.Extent
	off   core.Offset
	found int64
	err   error
	done  func(core.Offset, int64, error)
}

// FindTime finds the first record below limit, a batch boundary, whose timestamp is ts or
// later, or with max set the one with the newest timestamp. The offset is -1 if there is
// none. done is called on the loop, perhaps before FindTime returns.
func (l *Log) FindTime(ts int64, max bool, limit core.Offset, done func(off core.Offset, ts int64, err error)) {
	j := &findJob{ts: ts, max: max, off: -1, found: -1, done: done}
	limit = min(limit, l.end)
	for i := l.firstSeg(); i < len(l.segs); i++ {
		g := l.segs[i]
		from, to := core.Offset(0), limit
		if from = g.base; from < l.start {
			from = l.start
		}
		if i+1 < len(l.segs) && l.segs[i+1].base < to {
			to = l.segs[i+1].base
		}
		if from >= to || g.loaded && !max && g.idx.maxTs < ts {
			continue
		}
		var ready bool
		var err error
		j.ext, _, ready, err = l.Read(from, to, 1<<40, true, j.ext)
		if err == nil && !ready {
			for _, e := range j.ext {
				e.Release()
			}
			l.waiting = append(l.waiting, func() { l.FindTime(ts, max, limit, done) })
			return
		}
		if err != nil {
			for _, e := range j.ext {
				e.Release()
			}
			done(-1, -1, err)
			return
		}
	}
	l.s.cfg.Read.Submit(j)
}

// firstSeg is the index of the segment that holds the log start.
func (l *Log) firstSeg() int { return max(l.segAt(l.start), 0) }

func (j *findJob) Run() {
	best, bestAt, bestSize := int64(math.MinInt64), -1, 0
	var head [batch.HeaderSize]byte
	for pos := 0; ; {
		n, err := readStream(j.ext, head[:], pos)
		if n == 0 || err != nil {
			j.err = err
			break
		}
		h, err := batch.Parse(head[:n])
		if err != nil {
			j.err = err
			return
		}
		if j.max && h.MaxTime > best {
			best, bestAt, bestSize = h.MaxTime, pos, h.Size
		}
		if !j.max && h.MaxTime >= j.ts && j.look(h, pos) {
			return
		}
		pos += h.Size
	}
	if j.err == nil && bestAt >= 0 {
		j.newest(bestAt, bestSize)
	}
}

// unpackMax bounds what a lookup by time decompresses of one batch.
const unpackMax = 64 << 20

// look finds the record in a batch whose header promises one. A batch whose records
// cannot be read answers with its base: never later than the record that is meant.
func (j *findJob) look(h batch.Header, pos int) bool {
	b := make([]byte, h.Size)
	if _, err := readStream(j.ext, b, pos); err != nil {
		j.err = err
		return true
	}
	off, at, ok, err := batch.FirstAtOrAfter(b, j.ts, unpackMax)
	if err != nil {
		off, at, ok = h.Base, h.MaxTime, true
	}
	if ok {
		j.off, j.found = off, at
	}
	return ok
}

func (j *findJob) newest(pos, size int) {
	b := make([]byte, size)
	if _, j.err = readStream(j.ext, b, pos); j.err != nil {
		return
	}
	h, _ := batch.Parse(b)
	var err error
	if j.off, j.found, err = batch.MaxTimestamp(b, unpackMax); err != nil {
		j.off, j.found = h.Base, h.MaxTime
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

func (j *findJob) Done() {
	for _, e := range j.ext {
		e.Release()
	}
	j.done(j.off, j.found, j.err)
}
