// Package fakefs is a file system in memory that can crash, tear, lose, refuse and fail
// on command. It keeps two states: what the operating system would show (live), and
// what is known to be on the disk (durable), and between them the writes and directory
// changes that a power cut may keep, lose, or (writes) tear at any 512-byte sector.
//
//	write --> live --Datasync--> durable          content and size of a file
//	create, rename, remove --> live --SyncDir--> durable      entries of a directory
//
// Stricter than a real file system: a file that was synced, in a directory that was
// not, may be gone; and what a failed Datasync covered is lost, though a second one
// reports success (as ext4 does it).
package fakefs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/penstock/penstock/segment"
)

// sector is the most that a disk writes atomically.
const sector = 512

// Op names a kind of call, for FailNth.
type Op string

// The calls that can be made to fail. OpAny is each of the others.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create" // an Open that makes the file
	OpWrite    Op = "write"  // WriteAt and WritevAt count as one each; half of it is done when it fails
	OpSync     Op = "sync"
	OpAllocate Op = "allocate"
	OpTruncate Op = "truncate"
	OpRead     Op = "read"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpSyncDir  Op = "syncdir"
	OpMap      Op = "map"
	OpAny      Op = "any"
)

// Ops lists every kind, for loops over them.
func Ops() []Op {
	return []Op{OpOpen, OpCreate, OpWrite, OpSync, OpAllocate, OpTruncate, OpRead, OpRename, OpRemove, OpMkdir, OpSyncDir, OpMap}
}

// ErrPowerCut is the answer to every call after the point set by CutAt.
var ErrPowerCut = errors.New("the power is off")

// FS implements segment.FS. Any goroutine may call it.
type FS struct {
	mu            sync.Mutex
	live, durable map[string]*inode // by path
	entries       []entryOp         // directory changes between durable and live
	dirs          map[string]bool
	leaving       map[string]bool // directories removed, and not durably
	maps          map[string][]byte
	boot          int
	space         int64 // bytes left; negative: no limit
	fail          struct {
		op  Op
		n   int // it is the nth call from now; 0: none
		err error
	}
	cut     int // calls left that change something; negative: no cut is planned
	changes int // calls so far that change something
	open    int // files that were opened and not closed
}

// entryOp is a change of directory entries: create (to), remove (from) or rename.
type entryOp struct {
	from, to string // "": none
	n        *inode
}

// New returns an empty file system.
func New() *FS {
	return &FS{live: map[string]*inode{}, durable: map[string]*inode{}, dirs: map[string]bool{".": true}, leaving: map[string]bool{}, maps: map[string][]byte{}, space: -1, cut: -1}
}

// FailNth makes the nth call (1 is the next) of the kind fail with err, once.
func (f *FS) FailNth(op Op, n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail.op, f.fail.n, f.fail.err = op, n, err
}

// Pending says whether a failure asked for by FailNth has not happened yet.
func (f *FS) Pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail.n > 0
}

// SetFull leaves bytes of free space; -1 is no limit.
func (f *FS) SetFull(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = bytes
}

// Changes counts the calls so far that change something: the points at which CutAt
// can cut.
func (f *FS) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// OpenFiles counts the files that were opened and not closed.
func (f *FS) OpenFiles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// CutAt turns the power off during the nth call from now that changes something (1 is
// the next): that call may have had part of its effect, and it and every later call
// return ErrPowerCut. Crash then makes an image of that moment.
func (f *FS) CutAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = n
}

// enter counts a call and says whether it fails before it has an effect. The call
// during which the power goes passes here, has its effect, and fails in leave.
func (f *FS) enter(op Op) error {
	if f.cut == 0 {
		return ErrPowerCut
	}
	if op != OpRead && op != OpOpen {
		f.changes++
		if f.cut > 0 {
			f.cut--
		}
	}
	if f.fail.n > 0 && (f.fail.op == op || f.fail.op == OpAny) {
		f.fail.n--
		if f.fail.n == 0 {
			return fmt.Errorf("%s: %w", op, f.fail.err)
		}
	}
	return nil
}

// leave is the result of a call that had its effect: the power may have gone with it.
func (f *FS) leave() error {
	if f.cut == 0 {
		return ErrPowerCut
	}
	return nil
}

// FlipBit flips the lowest bit of the byte at pos of a file, on the disk and in memory.
func (f *FS) FlipBit(name string, pos int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[path.Clean(name)]
	if n == nil || pos >= int64(len(n.data)) {
		return &fs.PathError{Op: "flip", Path: name, Err: fs.ErrNotExist}
	}
	n.data[pos] ^= 1
	if pos < int64(len(n.disk)) {
		n.disk[pos] ^= 1
	}
	return nil
}

// Kill is the image after the death of the process: everything is kept, mapped memory
// too, and what was not durable is not more durable now. The original goes on unchanged.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.image(nil)
	clones := map[*inode]*inode{nil: nil}
	clone := func(n *inode) *inode {
		c, ok := clones[n]
		if !ok {
			c = n.clone()
			clones[n] = c
		}
		return c
	}
	for name, n := range f.live {
		g.live[name] = clone(n)
	}
	for name, n := range f.durable {
		g.durable[name] = clone(n)
	}
	for _, e := range f.entries {
		g.entries = append(g.entries, entryOp{e.from, e.to, clone(e.n)})
	}
	for name, m := range f.maps {
		g.maps[name] = slices.Clone(m)
	}
	for d := range f.leaving {
		g.leaving[d] = true
	}
	g.space = f.space
	return g
}

// Crash is an image after a power cut now: what was synced is there, and of the rest
// each entry and each sector is there or not, as r decides. Mapped memory is gone, and
// Boot is another. The original goes on unchanged.
func (f *FS) Crash(r *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	there := map[string]*inode{}
	for name, n := range f.durable {
		there[name] = n
	}
	keep := r.Float64() * 1.5 // a third of the images keep every entry
	for _, e := range f.entries {
		if r.Float64() < keep {
			e.apply(there)
		}
	}
	back := map[string]bool{}
	for _, d := range sorted(f.leaving) { // parents before what is in them
		back[d] = (f.dirs[path.Dir(d)] || back[path.Dir(d)]) && r.Float64() >= keep
	}
	files := map[string][]byte{}
	for _, name := range sorted(there) {
		if d := path.Dir(name); f.dirs[d] || back[d] {
			files[name] = there[name].afterPowerCut(r)
		}
	}
	g := f.image(files)
	g.boot = f.boot + 1
	for d, is := range back {
		if is {
			g.dirs[d] = true
		}
	}
	return g
}

// apply makes the change in a set of entries that may lack what it refers to.
func (e entryOp) apply(entries map[string]*inode) {
	if e.from != "" && (entries[e.from] == e.n || e.to == "") {
		delete(entries, e.from)
	}
	if e.to != "" {
		entries[e.to] = e.n
	}
}

// image makes a file system that holds the files, live and durable.
func (f *FS) image(files map[string][]byte) *FS {
	g := New()
	g.boot = f.boot
	for d := range f.dirs {
		g.dirs[d] = true
	}
	for name, data := range files {
		n := &inode{data: slices.Clone(data), disk: slices.Clone(data)}
		g.live[name], g.durable[name] = n, n
	}
	return g
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Open implements segment.FS.
func (f *FS) Open(name string, mode segment.Mode) (segment.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = path.Clean(name)
	op := OpOpen
	if mode == segment.Create {
		op = OpCreate
	}
	if err := f.enter(op); err != nil {
		return nil, err
	}
	n := f.live[name]
	switch {
	case mode == segment.Create && (n != nil || f.maps[name] != nil || f.dirs[name]):
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	case mode == segment.Create && !f.dirs[path.Dir(name)]:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	case mode == segment.Create:
		n = &inode{}
		f.change(entryOp{to: name, n: n})
	case n == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err := f.leave(); err != nil {
		return nil, err
	}
	f.open++
	return &file{fs: f, n: n, readOnly: mode == segment.ReadOnly}, nil
}

// change makes a change of entries live.
func (f *FS) change(e entryOp) {
	e.apply(f.live)
	f.entries = append(f.entries, e)
}

// MkdirAll implements segment.FS; directories are durable at once, as there.
func (f *FS) MkdirAll(names ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpMkdir); err != nil {
		return err
	}
	for _, name := range names {
		for d := path.Clean(name); d != "." && d != "/"; d = path.Dir(d) {
			if f.live[d] != nil {
				return &fs.PathError{Op: "mkdir", Path: d, Err: fs.ErrExist}
			}
			f.dirs[d] = true
			delete(f.leaving, d)
		}
	}
	return f.leave()
}

// ReadDir implements segment.FS.
func (f *FS) ReadDir(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpRead); err != nil {
		return nil, err
	}
	return f.list(path.Clean(name)), nil
}

func (f *FS) list(dir string) []string {
	seen := map[string]bool{}
	add := func(p string) {
		if p != "." && path.Dir(p) == dir {
			seen[path.Base(p)] = true
		}
	}
	for n := range f.live {
		add(n)
	}
	for n := range f.maps {
		add(n)
	}
	for d := range f.dirs {
		add(d)
	}
	return sorted(seen)
}

// Rename implements segment.FS. It is atomic in every image.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpRename); err != nil {
		return err
	}
	from, to = path.Clean(from), path.Clean(to)
	if f.dirs[from] {
		return f.renameDir(from, to)
	}
	n := f.live[from]
	if n == nil || !f.dirs[path.Dir(to)] {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	f.change(entryOp{from: from, to: to, n: n})
	return f.leave()
}

// renameDir moves a directory, durably: the fake has no lost or half-moved directories.
func (f *FS) renameDir(from, to string) error {
	if f.dirs[to] && len(f.list(to)) > 0 {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	move := func(name string) string {
		if name == from || strings.HasPrefix(name, from+"/") {
			return to + name[len(from):]
		}
		return name
	}
	f.live, f.durable, f.dirs, f.maps = renamed(f.live, move), renamed(f.durable, move), renamed(f.dirs, move), renamed(f.maps, move)
	for i, e := range f.entries {
		f.entries[i].from, f.entries[i].to = move(e.from), move(e.to)
	}
	return f.leave()
}

func renamed[V any](m map[string]V, move func(string) string) map[string]V {
	out := make(map[string]V, len(m))
	for name, v := range m {
		out[move(name)] = v
	}
	return out
}

// Remove implements segment.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpRemove); err != nil {
		return err
	}
	name = path.Clean(name)
	delete(f.maps, name)
	switch n := f.live[name]; {
	case n != nil:
		if f.space >= 0 {
			f.space += max(int64(len(n.data)), n.reserved)
		}
		f.change(entryOp{from: name, n: n})
	case f.dirs[name]:
		if len(f.list(name)) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
		delete(f.dirs, name)
		f.leaving[name] = true
	}
	return f.leave()
}

// SyncDir implements segment.FS.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpSyncDir); err != nil {
		return err
	}
	if err := f.leave(); err != nil {
		return err // the power went before it was done
	}
	dir := path.Clean(name)
	if !f.dirs[dir] {
		return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrNotExist}
	}
	rest := f.entries[:0]
	for _, e := range f.entries {
		if e.from != "" && path.Dir(e.from) == dir || e.to != "" && path.Dir(e.to) == dir {
			e.apply(f.durable)
		} else {
			rest = append(rest, e)
		}
	}
	f.entries = rest
	for d := range f.leaving {
		if path.Dir(d) == dir {
			f.gone(d)
		}
	}
	return nil
}

// gone is the removal of a directory made durable, and with it that of all in it.
func (f *FS) gone(dir string) {
	under := func(name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
	maps.DeleteFunc(f.leaving, func(d string, _ bool) bool { return under(d) })
	maps.DeleteFunc(f.durable, func(name string, _ *inode) bool { return under(name) })
	f.entries = slices.DeleteFunc(f.entries, func(e entryOp) bool { return under(e.from) || under(e.to) })
}

// Free implements segment.FS.
func (f *FS) Free() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.space < 0 {
		return 1 << 40, nil
	}
	return f.space, nil
}

// Boot implements segment.FS.
func (f *FS) Boot() string { return fmt.Sprintf("boot-%d", f.boot) }

// Map implements segment.FS. Stores into the memory are seen by Kill, and not by Crash.
func (f *FS) Map(name string, size int64) (segment.Mapping, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(OpMap); err != nil {
		return nil, false, err
	}
	name = path.Clean(name)
	m, ok := f.maps[name]
	fresh := !ok || int64(len(m)) != size
	if fresh {
		m = make([]byte, size)
		f.maps[name] = m
	}
	return mapping{m}, fresh, f.leave()
}

type mapping struct{ b []byte }

func (m mapping) Bytes() []byte { return m.b }
func (m mapping) Close() error  { return nil }
