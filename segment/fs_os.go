package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// iovMax is the most buffers that one pwritev takes (IOV_MAX).
const iovMax = 1024

// writeMax is the most bytes that one pwritev takes. On a virtual machine dd took 3.0 s
// of CPU for a new file of 1.6 GB in pieces of 1 MiB, and 0.30 in pieces of 128 to 512
// KiB; right after such a run 1 MiB took 0.2 too, so it is probably that long writes get
// long runs of pages, which the host had taken back.
const writeMax = 256 << 10

// osFS is the real file system below a root directory.
type osFS struct {
	root string
	// synced holds the directories whose entry in their parent this process knows to
	// be durable. One that exists may have been made just before a crash of the
	// process, or by another shard that has not synced it yet.
	synced sync.Map // path below root -> struct{}
}

// NewOSFS returns the real FS below root, a directory that exists.
func NewOSFS(root string) FS { return &osFS{root: root} }

func (o *osFS) path(name string) string { return filepath.Join(o.root, filepath.FromSlash(name)) }

// wrap names the cure of a full disk; everything else speaks for itself.
func wrap(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w (%w)", core.ErrDiskFull, err)
	}
	return err
}

func (o *osFS) Open(name string, mode Mode) (File, error) {
	flag := os.O_RDONLY
	switch mode {
	case ReadWrite:
		flag = os.O_RDWR
	case Create:
		flag = os.O_RDWR | os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(o.path(name), flag, 0o600)
	if err != nil {
		return nil, wrap(err)
	}
	return &osFile{f: f, fd: int(f.Fd())}, nil
}

func (o *osFS) MkdirAll(names ...string) error {
	var made, parents []string
	for _, name := range names {
		parent := ""
		for _, part := range strings.Split(filepath.ToSlash(filepath.Clean(name)), "/") {
			dir := filepath.Join(parent, part)
			if _, ok := o.synced.Load(dir); !ok {
				if err := os.Mkdir(o.path(dir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
					return wrap(err)
				}
				made, parents = append(made, dir), append(parents, parent)
			}
			parent = dir
		}
	}
	slices.Sort(parents)
	for _, dir := range slices.Compact(parents) {
		if err := o.SyncDir(dir); err != nil {
			return err
		}
	}
	for _, dir := range made {
		o.synced.Store(dir, struct{}{})
	}
	return nil
}

func (o *osFS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(o.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, err
}

func (o *osFS) Rename(from, to string) error {
	o.synced.Clear() // of a directory and all below it; renames are rare
	return wrap(os.Rename(o.path(from), o.path(to)))
}

func (o *osFS) Remove(name string) error {
	o.synced.Delete(filepath.Clean(filepath.FromSlash(name)))
	err := os.Remove(o.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (o *osFS) SyncDir(name string) error {
	d, err := os.Open(o.path(name))
	if err != nil {
		return err
	}
	return errors.Join(wrap(d.Sync()), d.Close())
}

func (o *osFS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(o.root, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (o *osFS) Boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // never equal to a real one: the arena is then not trusted
	}
	return strings.TrimSpace(string(b))
}

// Map populates the pages for writing, so that no store of a loop ever faults
// (MADV_POPULATE_WRITE; a populate for reading would cost a write-protect fault each).
// They are huge where the file system gives those to who asks (tmpfs mounted with
// huge=advise). A page that space was reserved for before is a small one, so space is
// reserved last.
func (o *osFS) Map(name string, size int64) (Mapping, bool, error) {
	f, err := os.OpenFile(o.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, wrap(err)
	}
	defer func() { _ = f.Close() }() // the mapping keeps the file
	st, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	fresh := st.Size() != size
	if fresh {
		if err := errors.Join(f.Truncate(0), f.Truncate(size)); err != nil {
			return nil, false, wrap(err)
		}
	}
	m, err := mmap.MapRegion(f, int(size), mmap.RDWR, 0, 0)
	if err != nil {
		return nil, false, fmt.Errorf("map %s: %w", o.path(name), err)
	}
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE) // small pages are only slower
	unpopulated := unix.Madvise(m, unix.MADV_POPULATE_WRITE)
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		err = fmt.Errorf("reserve %d bytes for %s: %w", size, o.path(name), wrap(err))
		if fresh {
			err = errors.Join(err, f.Truncate(0)) // what was populated takes no room
		}
		return nil, false, errors.Join(err, m.Unmap())
	}
	if unpopulated != nil { // before Linux 5.14
		for i := 0; i < len(m); i += os.Getpagesize() {
			b := m[i]
			m[i] = b // the store is the point: it faults the page in, writable
		}
	}
	return osMapping{m}, fresh, nil
}

type osMapping struct{ m mmap.MMap }

func (m osMapping) Bytes() []byte { return m.m }
func (m osMapping) Close() error  { return m.m.Unmap() }

// osFile is an open file of the real file system.
type osFile struct {
	f  *os.File
	fd int
}

func (f *osFile) Fd() int { return f.fd }

func (f *osFile) ReadAt(p []byte, pos int64) (int, error) { return f.f.ReadAt(p, pos) }

func (f *osFile) WriteAt(p []byte, pos int64) (int, error) {
	n, err := f.f.WriteAt(p, pos)
	return n, wrap(err)
}

// WritevAt makes its own iovecs, in memory that is used again: unix.Pwritev allocates
// them on every call with more than eight buffers, and a journal group has hundreds.
func (f *osFile) WritevAt(bufs [][]byte, pos int64) error {
	iov := iovecs.Get().(*[iovMax]unix.Iovec)
	defer iovecs.Put(iov)
	done := 0 // bytes of bufs[0] that are written
	for len(bufs) > 0 {
		count, room := 0, writeMax
		for i, b := range bufs[:min(len(bufs), iovMax)] {
			if i == 0 {
				b = b[done:]
			}
			if b = b[:min(len(b), room)]; len(b) > 0 {
				room -= len(b)
				iov[count].Base = unsafe.SliceData(b)
				iov[count].SetLen(len(b))
				count++
			}
		}
		n, err := f.pwritev(iov[:count], pos)
		clear(iov[:count]) // no pointer into a chunk stays behind
		if err != nil {
			return wrap(&fs.PathError{Op: "pwritev", Path: f.f.Name(), Err: err})
		}
		pos += int64(n)
		given := min(len(bufs), iovMax)
		for n += done; given > 0 && n >= len(bufs[0]); given-- {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		done = n
	}
	return nil
}

var iovecs = sync.Pool{New: func() any { return new([iovMax]unix.Iovec) }}

// pwritev writes at least one byte, unless there is none to write.
func (f *osFile) pwritev(iov []unix.Iovec, pos int64) (int, error) {
	for len(iov) > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(f.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)), uintptr(pos), 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.ErrShortWrite
		}
		return int(n), nil
	}
	return 0, nil
}

func (f *osFile) Datasync() error {
	for {
		err := unix.Fdatasync(f.fd)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return wrap(&fs.PathError{Op: "fdatasync", Path: f.f.Name(), Err: err})
		}
		return nil
	}
}

// Allocate keeps the file's size: the size is where the data ends.
func (f *osFile) Allocate(pos, n int64) error {
	err := unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, pos, n)
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return nil // no reservation here: a full disk is found by the write
	}
	if err != nil {
		return wrap(&fs.PathError{Op: "fallocate", Path: f.f.Name(), Err: err})
	}
	return nil
}

func (f *osFile) Writeback(pos, n int64) error {
	return unix.SyncFileRange(f.fd, pos, n, unix.SYNC_FILE_RANGE_WRITE)
}

func (f *osFile) WillNeed(pos, n int64) error {
	return unix.Fadvise(f.fd, pos, n, unix.FADV_WILLNEED)
}

// Resident asks cachestat(2), which older kernels than 6.5 do not have.
func (f *osFile) Resident(pos, n int64) bool {
	var st unix.Cachestat_t
	if noCachestat.Load() {
		return false
	}
	page := int64(os.Getpagesize())
	switch err := unix.Cachestat(uint(f.fd), &unix.CachestatRange{Off: uint64(pos), Len: uint64(n)}, &st, 0); err {
	case nil:
		return int64(st.Cache) >= (pos+n+page-1)/page-pos/page
	case unix.ENOSYS, unix.EPERM: // seccomp filters that do not know the call
		noCachestat.Store(true)
	}
	return false
}

var noCachestat atomic.Bool

func (f *osFile) Truncate(size int64) error { return wrap(f.f.Truncate(size)) }

func (f *osFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *osFile) Close() error { return f.f.Close() }

// Lock takes a data directory for this process. The kernel gives it back when the
// process ends, however it ends.
func Lock(root string) (unlock func() error, err error) {
	path := filepath.Join(root, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, wrap(err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		pid := make([]byte, 16)
		n, _ := f.ReadAt(pid, 0)
		_ = f.Close()
		return nil, fmt.Errorf("the data directory %s is in use by another penstock (pid %s): stop it, or choose another directory", root, strings.TrimSpace(string(pid[:n])))
	}
	if err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(wrap(err), f.Close())
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, errors.Join(wrap(err), f.Close())
	}
	return f.Close, nil
}
