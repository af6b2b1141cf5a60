package segment

import "github.com/penstock/penstock/core"

// A range of a file is warm if this process wrote or read it not long ago: then the
// page cache holds it, and sendfile does not wait. Long ago is counted in bytes, not in
// time: Config.WarmBytes written or read ahead by the store since then. Of what is not
// warm the kernel is asked, a MiB at a time, if it can tell; else it is read ahead.
//
// The unit is a stride of 256 KiB, with the time of the latest use of any of it. So the
// older part of a stride that is filled slowly may be taken for warm when it is not: a
// stall of one read of 256 KiB at worst.
const (
	warmStride = 256 << 10
	warmStep   = 1 << 20 // read ahead and waited for at a time
	warmAhead  = 2 << 20 // and begun behind that
	warmMin    = 8 << 20 // what was read ahead must still be warm when its reader comes
)

// heat is when the strides of a segment were used last, in strides; 0: never.
type heat []uint32

// warmed says that [pos, end) of a file has just been written or read.
func (s *Store) warmed(g *segfile, pos, end core.FilePos) {
	s.heat += int64(end - pos)
	now := uint32(s.heat/warmStride) + 1
	last := int((end - 1) / warmStride)
	for len(g.heat) <= last {
		g.heat = append(g.heat, 0)
	}
	for i := int(pos / warmStride); i <= last; i++ {
		g.heat[i] = now
	}
}

// warm is how far [pos, stop) can be sent at once: up to the first batch that begins or
// ends in a cold stride of the file. miss is an index block that must be loaded first.
func (s *Store) warm(g *segfile, pos, stop core.FilePos) (until core.FilePos, miss *indexBlock) {
	now, budget := uint32(s.heat/warmStride)+1, uint32(s.cfg.WarmBytes/warmStride)
	end := min(stop, g.written)
	for at := pos; at < end; {
		i := int(at / warmStride)
		if i < len(g.heat) && g.heat[i] != 0 && now-g.heat[i] <= budget {
			at = core.FilePos(i+1) * warmStride
			continue
		}
		from, to := core.FilePos(i)*warmStride, min(core.FilePos(i)*warmStride+warmStep, g.written)
		if g.file.Resident(int64(from), int64(to-from)) {
			s.warmed(g, from, to)
			at = to
			continue
		}
		if at == pos {
			return pos, nil
		}
		return g.idx.floor(at)
	}
	return stop, nil
}

// warmUp reads ahead from pos, at least to the end of the first batch.
func (s *Store) warmUp(l *Log, g *segfile, pos, next core.FilePos) {
	if g.warming {
		return
	}
	g.warming = true
	g.jobs++
	g.pin.Hold()
	j := s.warmJobs.get()
	end := (max(next, pos+warmStep) + warmStride - 1) / warmStride * warmStride // whole strides
	*j = warmJob{l: l, g: g, pos: pos / warmStride * warmStride, end: min(end, g.written), file: g.file, buf: j.buf}
	s.cfg.Read.Submit(j)
}

// warmJob makes a range of a file resident, on the read worker.
type warmJob struct {
	l        *Log
	g        *segfile
	file     File
	pos, end core.FilePos
	buf      []byte
}

// Run reads the range, since nothing else says when it is there, and lets the kernel
// begin with what a reader in order wants next.
func (j *warmJob) Run() {
	_ = j.file.WillNeed(int64(j.pos), int64(j.end-j.pos)+warmAhead) // a hint
	if j.buf == nil {
		j.buf = make([]byte, warmStride)
	}
	for at := j.pos; at < j.end; {
		n, err := j.file.ReadAt(j.buf[:min(len(j.buf), int(j.end-at))], int64(at))
		if n == 0 || err != nil && n < warmStride {
			return
		}
		at += core.FilePos(n)
	}
}

// Done marks the range as warm even if reading it failed: the reader then finds out.
func (j *warmJob) Done() {
	l, g, s := j.l, j.g, j.l.s
	g.warming = false
	g.jobs--
	g.pin.Release()
	s.warmed(g, j.pos, j.end)
	j.l, j.g, j.file = nil, nil, nil
	s.warmJobs.put(j)
	if l.gone {
		return
	}
	s.cfg.Host.Ready(l)
}

// warmJobs are used again.
type warmJobs []*warmJob

func (w *warmJobs) get() *warmJob {
	if n := len(*w); n > 0 {
		j := (*w)[n-1]
		*w = (*w)[:n-1]
		return j
	}
	return new(warmJob)
}

func (w *warmJobs) put(j *warmJob) { *w = append(*w, j) }
