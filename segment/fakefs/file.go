package fakefs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"

	"github.com/penstock/penstock/core"
)

// inode is the content of one file.
type inode struct {
	data     []byte  // live
	disk     []byte  // durable
	pending  []write // what turns disk into data, in order
	reserved int64   // allocated up to here
}

// write is one change of content; with data nil it sets the size to pos.
type write struct {
	pos  int64
	data []byte
}

func (n *inode) clone() *inode {
	c := *n
	c.data, c.disk, c.pending = slices.Clone(n.data), slices.Clone(n.disk), slices.Clone(n.pending)
	return &c
}

func grow(b []byte, n int64) []byte {
	if int64(len(b)) < n {
		b = append(b, make([]byte, n-int64(len(b)))...)
	}
	return b
}

func (w write) apply(b []byte) []byte {
	if w.data == nil {
		if int64(len(b)) > w.pos {
			clear(b[w.pos:]) // what grows over it later is zero
		}
		return grow(b, w.pos)[:w.pos]
	}
	b = grow(b, w.pos+int64(len(w.data)))
	copy(b[w.pos:], w.data)
	return b
}

// afterPowerCut applies a random part of the pending writes to what is durable: all of
// a write, nothing of it, or some of its sectors.
func (n *inode) afterPowerCut(r *rand.Rand) []byte {
	out := slices.Clone(n.disk)
	keep := r.Float64()*1.4 - 0.2 // some images keep everything, some nothing
	for _, w := range n.pending {
		fate := r.Float64()
		switch {
		case fate < keep:
			out = w.apply(out)
		case w.data != nil && r.IntN(2) == 0:
			out = w.tear(out, r)
		}
	}
	return out
}

func (w write) tear(b []byte, r *rand.Rand) []byte {
	for at := 0; at < len(w.data); {
		pos := w.pos + int64(at)
		end := min(len(w.data), at+sector-int(pos%sector))
		if r.IntN(2) == 0 {
			b = write{pos, w.data[at:end]}.apply(b)
		}
		at = end
	}
	return b
}

// file is one open file.
type file struct {
	fs       *FS
	n        *inode
	readOnly bool
	closed   bool
}

func (f *file) Fd() int { return -1 }

func (f *file) ReadAt(p []byte, pos int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.enter(OpRead); err != nil {
		return 0, err
	}
	if f.closed {
		return 0, fs.ErrClosed
	}
	if pos >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[pos:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

var errReadOnly = errors.New("the file is open for reading only")

func (f *file) WriteAt(p []byte, pos int64) (int, error) {
	one := [1][]byte{p}
	n, err := f.write(one[:], pos)
	return int(n), err
}

func (f *file) WritevAt(bufs [][]byte, pos int64) error {
	_, err := f.write(bufs, pos)
	return err
}

func (f *file) write(bufs [][]byte, pos int64) (n int64, err error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if f.readOnly {
		return 0, errReadOnly
	}
	err = f.fs.enter(OpWrite)
	if errors.Is(err, ErrPowerCut) {
		return 0, err
	}
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	room := int64(total)
	if err != nil {
		room /= 2 // a failed write may have written part
	}
	if more := pos + room - max(int64(len(f.n.data)), f.n.reserved); f.fs.space >= 0 && more > 0 {
		if more > f.fs.space {
			room = max(room-(more-f.fs.space), 0) // a hole before it takes space too
			more, err = f.fs.space, errors.Join(err, core.ErrDiskFull)
		}
		f.fs.space -= more
	}
	for _, b := range bufs {
		b = b[:min(int64(len(b)), room-n)]
		if len(b) == 0 {
			continue
		}
		w := write{pos + n, slices.Clone(b)}
		f.n.data = w.apply(f.n.data)
		f.n.pending = append(f.n.pending, w)
		n += int64(len(b))
	}
	if err == nil {
		err = f.fs.leave()
	}
	return n, err
}

// Datasync that fails drops what it covered: it stays visible, and never reaches the disk.
func (f *file) Datasync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.enter(OpSync)
	if errors.Is(err, ErrPowerCut) {
		return err
	}
	if err != nil {
		f.n.pending = nil
		return err
	}
	if err := f.fs.leave(); err != nil {
		return err // the power went before it was done
	}
	for _, w := range f.n.pending {
		f.n.disk = w.apply(f.n.disk)
	}
	f.n.pending = nil
	return nil
}

func (f *file) Allocate(pos, n int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.enter(OpAllocate); err != nil {
		return err
	}
	if more := pos + n - max(int64(len(f.n.data)), f.n.reserved); more > 0 {
		if f.fs.space >= 0 && more > f.fs.space {
			return core.ErrDiskFull
		}
		if f.fs.space >= 0 {
			f.fs.space -= more
		}
		f.n.reserved = pos + n
	}
	return f.fs.leave()
}

func (f *file) Writeback(int64, int64) error { return nil }
func (f *file) WillNeed(int64, int64) error  { return nil }

// Resident never knows, as on kernels that cannot tell: so what reads ahead is exercised.
func (f *file) Resident(int64, int64) bool { return false }

func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.readOnly {
		return errReadOnly
	}
	if err := f.fs.enter(OpTruncate); err != nil {
		return err
	}
	w := write{pos: size}
	had := max(int64(len(f.n.data)), f.n.reserved)
	f.n.data = w.apply(f.n.data)
	f.n.pending = append(f.n.pending, w)
	f.n.reserved = min(f.n.reserved, size)
	if f.fs.space >= 0 {
		f.fs.space += max(had-size, 0)
	}
	return f.fs.leave()
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.fs.open--
	return nil
}
