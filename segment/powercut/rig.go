//go:build powercut

package powercut

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	sector   = 512      // the most that a disk writes atomically
	loseAll  = 4        // one image in so many loses everything that was not flushed
	pieceLen = 64 << 10 // zeroed pieces of an image are left out of its file
)

// Rig holds what was recorded.
type Rig struct {
	t    *testing.T
	dir  string // scratch
	base []byte // the disk when recording began
	work []byte // the image that is made

	mu  sync.Mutex
	img []byte
	log []event
	on  bool
}

// event is one entry of the log: a write, a flush (data nil) or a mark.
type event struct {
	pos  int64
	data []byte
	mark bool
	id   int64
}

// Record runs a workload in a directory on a fresh ext4 of the given size and records
// what reaches the disk. If the workload runs in this process it may not map files of
// that directory: a page fault would wait for the server, and the server for the
// collector. Another process may.
func Record(t *testing.T, size int64, workload func(r *Rig, dir string)) *Rig {
	t.Helper()
	r := &Rig{t: t, img: make([]byte, size)}
	r.record(true, workload)
	return r
}

// RecordOn is Record on a disk that there is already, such as one of Cut. Recording
// begins after the mount: a superblock of ext4 that is torn by sectors is not what is
// tested here.
func RecordOn(t *testing.T, disk []byte, workload func(r *Rig, dir string)) *Rig {
	t.Helper()
	r := &Rig{t: t, img: disk}
	r.record(false, workload)
	return r
}

func (r *Rig) record(format bool, workload func(r *Rig, dir string)) {
	t := r.t
	t.Helper()
	Need(t)
	scratch := "" // the default
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		scratch = "/dev/shm"
	}
	var err error
	if r.dir, err = os.MkdirTemp(scratch, "powercut-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(r.dir) })
	served, mounted := filepath.Join(r.dir, "served"), filepath.Join(r.dir, "mounted")
	for _, d := range []string{served, mounted} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	srv, err := fs.Mount(served, &root{r: r}, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "powercut", MaxWrite: 1 << 20}})
	if err != nil {
		t.Skipf("\n\n*** POWER CUT: NOT PROVEN HERE: mount of a FUSE file system: %v ***\n", err)
	}
	defer r.undo(srv.Unmount)
	disk := filepath.Join(served, "disk")
	loop, err := run("losetup", "--find", "--show", disk)
	if err != nil {
		t.Skipf("\n\n*** POWER CUT: NOT PROVEN HERE: no loop device: %v ***\n", err)
	}
	defer r.must("losetup", "--detach", loop)
	if format {
		r.must("mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", loop)
	}
	r.must("mount", loop, mounted)
	defer r.unmount(mounted)
	r.must("sync", "-f", mounted)
	r.mu.Lock()
	r.base, r.on = append([]byte(nil), r.img...), true
	r.mu.Unlock()
	workload(r, mounted)
	r.mu.Lock()
	r.on = false
	r.mu.Unlock()
}

// Need skips a test, loudly, where the rig cannot work.
func Need(t *testing.T) {
	t.Helper()
	if why := missing(); why != "" {
		t.Skipf("\n\n*** POWER CUT: NOT PROVEN HERE: %s ***\n", why)
	}
}

func missing() string {
	if os.Geteuid() != 0 {
		return "not root"
	}
	for _, f := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(f); err != nil {
			return err.Error()
		}
	}
	for _, c := range []string{"losetup", "mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(c); err != nil {
			return err.Error()
		}
	}
	return ""
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// unmount fails the test if a file is still open, and takes the mount away all the same:
// a dead one would stay on the machine.
func (r *Rig) unmount(dir string) {
	if out, err := run("umount", dir); err != nil {
		r.t.Errorf("umount: %v: %s: close every file before the workload or the check returns", err, out)
		_, _ = run("umount", "--lazy", dir)
	}
}

func (r *Rig) undo(fn func() error) {
	if err := fn(); err != nil {
		r.t.Errorf("undo: %v", err)
	}
}

func (r *Rig) must(name string, args ...string) {
	r.t.Helper()
	if out, err := run(name, args...); err != nil {
		r.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// Mark puts an acknowledgement into the log: the workload calls it at the moment at
// which a client could have learned that id is safe. Any goroutine may call it.
func (r *Rig) Mark(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, event{mark: true, id: id})
}

// Acked returns the ids marked before a position of the log, in order.
func (r *Rig) Acked(at int) []int64 {
	var ids []int64
	for _, e := range r.log[:at] {
		if e.mark {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// Counts says how many writes, flushes and marks were recorded.
func (r *Rig) Counts() (writes, flushes, marks int) {
	for _, e := range r.log {
		switch {
		case e.mark:
			marks++
		case e.data == nil:
			flushes++
		default:
			writes++
		}
	}
	return writes, flushes, marks
}

// Cut makes one image, cut at a random position in the later half of the log.
func (r *Rig) Cut(seed uint64) (disk []byte, at int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	at = len(r.log)/2 + rng.IntN(len(r.log)-len(r.log)/2)
	return append([]byte(nil), r.image(at, rng)...), at
}

// Images makes n images, each cut at a random position of the log, mounts each, and
// calls check with the directory and the position. Images cut between a mark and the
// next write are as likely as others.
func (r *Rig) Images(n int, seed uint64, check func(dir string, at int)) {
	r.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range n {
		at := 1 + rng.IntN(len(r.log))
		r.mount(r.image(at, rng), func(dir string) { check(dir, at) })
	}
}

func (r *Rig) mount(image []byte, check func(dir string)) {
	file, mounted := filepath.Join(r.dir, "image"), filepath.Join(r.dir, "mounted")
	if err := writeSparse(file, image); err != nil {
		r.t.Fatal(err)
	}
	r.must("mount", "-o", "loop", file, mounted)
	defer r.unmount(mounted) // also when check ends the test
	check(mounted)
}

// writeSparse writes a new file and leaves its zeroes to the file system: most of a disk
// is empty.
func writeSparse(file string, image []byte) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(int64(len(image))); err != nil {
		return err
	}
	zero := make([]byte, pieceLen)
	for at := 0; at < len(image); at += pieceLen {
		piece := image[at:min(at+pieceLen, len(image))]
		if bytes.Equal(piece, zero[:len(piece)]) {
			continue
		}
		if _, err := f.WriteAt(piece, int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// image is the disk after a power cut before log[at]: everything before the last flush,
// and of the rest each write whole, not at all, or some of its sectors. Some images lose
// all of the rest, which so many independent writes would hardly ever do. The image is
// valid until the next one is made.
func (r *Rig) image(at int, rng *rand.Rand) []byte {
	r.work = append(r.work[:0], r.base...)
	img := r.work
	all := rng.IntN(loseAll) == 0
	flushed := 0
	for i, e := range r.log[:at] {
		if e.data == nil && !e.mark {
			flushed = i
		}
	}
	for i, e := range r.log[:at] {
		if e.mark || e.data == nil {
			continue
		}
		fate := rng.IntN(3)
		if i >= flushed && all {
			continue
		}
		if i < flushed || fate == 0 {
			copy(img[e.pos:], e.data)
			continue
		}
		for o := 0; fate == 2 && o < len(e.data); o += sector {
			if rng.IntN(2) == 0 {
				copy(img[e.pos+int64(o):], e.data[o:min(o+sector, len(e.data))])
			}
		}
	}
	return img
}

// root and disk are the served file system.
type root struct {
	fs.Inode
	r *Rig
}

func (d *root) OnAdd(ctx context.Context) {
	d.AddChild("disk", d.NewPersistentInode(ctx, &disk{r: d.r}, fs.StableAttr{Ino: 2}), false)
}

type disk struct {
	fs.Inode
	r *Rig
}

// Getattr implements fs.NodeGetattrer.
func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, o *fuse.AttrOut) syscall.Errno {
	o.Mode, o.Size = 0o600, uint64(len(d.r.img))
	return 0
}

// Setattr implements fs.NodeSetattrer.
func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, o *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, o)
}

// Open implements fs.NodeOpener.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

// Read implements fs.NodeReader.
func (d *disk) Read(_ context.Context, _ fs.FileHandle, b []byte, pos int64) (fuse.ReadResult, syscall.Errno) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	n := 0
	if pos < int64(len(d.r.img)) {
		n = copy(b, d.r.img[pos:])
	}
	return fuse.ReadResultData(b[:n]), 0
}

// Write implements fs.NodeWriter.
func (d *disk) Write(_ context.Context, _ fs.FileHandle, b []byte, pos int64) (uint32, syscall.Errno) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	if pos+int64(len(b)) > int64(len(d.r.img)) {
		return 0, syscall.ENOSPC
	}
	copy(d.r.img[pos:], b)
	if d.r.on {
		d.r.log = append(d.r.log, event{pos: pos, data: append([]byte{}, b...)})
	}
	return uint32(len(b)), 0
}

// Fsync implements fs.NodeFsyncer: it is what a flush of the loop device becomes.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	if d.r.on {
		d.r.log = append(d.r.log, event{})
	}
	return 0
}
