package segment

import (
	"errors"

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
	l     *Log
	ts    int64
	max   bool
	ext   []core.Extent
	limit core.Offset
	off   core.Offset
	found int64
	err   error
	done  func(core.Offset, int64, error)
}

// FindTime finds the base offset of the first batch below limit whose newest timestamp
// is ts or later, or with max set of the batch with the newest one; and that timestamp.
// The offset is -1 if there is none. The caller looks for the record in the batch.
func (l *Log) FindTime(ts int64, max bool, limit core.Offset, done func(off core.Offset, ts int64, err error)) {
	j := &findJob{l: l, ts: ts, max: max, limit: limit, off: -1, done: done}
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
		if j.ext, _, ready, err = l.Read(from, to, 1<<40, true, j.ext); err == nil && !ready {
			err = ErrNotReady
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

// ErrNotReady says that loading has begun: ask again after Host.Ready.
var ErrNotReady = errors.New("the segment is being loaded")

func (j *findJob) Run() {
	best := int64(-1) << 62
	var head [batch.HeaderSize]byte
	for pos := 0; ; {
		n, err := readStream(j.ext, head[:], pos)
		if n == 0 || err != nil {
			j.err = err
			return
		}
		h, err := batch.Parse(head[:n])
		if err != nil {
			j.err = err
			return
		}
		if h.MaxTime > best && (j.max || h.MaxTime >= j.ts) {
			best, j.off, j.found = h.MaxTime, h.Base, h.MaxTime
			if !j.max {
				return
			}
		}
		pos += h.Size
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
