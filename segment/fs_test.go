package segment_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// The fake and the real file system give the same answers.
func TestFileSystemsAgree(t *testing.T) {
	t.Run("os", func(t *testing.T) { fsConversation(t, segment.NewOSFS(t.TempDir())) })
	t.Run("fake", func(t *testing.T) { fsConversation(t, fakefs.New()) })
}

// fsConversation is Long because it is one conversation: each step needs the one before.
func fsConversation(t *testing.T, f segment.FS) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Open("a/b/x", segment.Create); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create in a missing directory: %v", err)
	}
	must(f.MkdirAll("a/b"))
	must(f.MkdirAll("a/b"))
	if _, err := f.Open("a/b/x", segment.ReadWrite); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is missing: %v", err)
	}
	x, err := f.Open("a/b/x", segment.Create)
	must(err)
	if _, err := f.Open("a/b/x", segment.Create); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create twice: %v", err)
	}
	must(x.Allocate(0, 1<<20))
	var want []byte
	var bufs [][]byte
	for i := range 3000 { // more than one pwritev takes, some of them empty
		b := bytes.Repeat([]byte{byte(i)}, i%7)
		if i%1000 == 500 { // in bytes too
			b = bytes.Repeat([]byte{byte(i), byte(i >> 8), 3}, 100_000)
		}
		bufs = append(bufs, b)
		want = append(want, b...)
	}
	must(x.WritevAt(bufs, 100))
	want = append(make([]byte, 100), want...)
	if n, err := x.Size(); err != nil || n != int64(len(want)) {
		t.Errorf("size %d, %v; want %d: an allocation keeps the size", n, err, len(want))
	}
	got := make([]byte, len(want)+1)
	if n, err := x.ReadAt(got, 0); n != len(want) || err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Errorf("read back %d bytes, %v", n, err)
	}
	must(x.Writeback(0, 4096))
	must(x.WillNeed(0, 4096))
	must(x.Datasync())
	must(x.Truncate(10))
	must(x.Close())
	r, err := f.Open("a/b/x", segment.ReadOnly)
	must(err)
	if _, err := r.WriteAt(got, 0); err == nil {
		t.Error("wrote to a file opened for reading")
	}
	must(f.Rename("a/b/x", "a/b/y"))
	must(f.SyncDir("a/b"))
	names, err := f.ReadDir("a/b")
	if err != nil || !slices.Equal(names, []string{"y"}) {
		t.Errorf("names %v, %v", names, err)
	}
	if names, err := f.ReadDir("nowhere"); err != nil || len(names) != 0 {
		t.Errorf("a missing directory: %v, %v", names, err)
	}
	if f.Remove("a/b") == nil {
		t.Error("removed a directory that is not empty")
	}
	must(f.Remove("a/b/y"))
	must(f.Remove("a/b/y"))
	must(f.Remove("a/b"))
	must(f.MkdirAll("a/b")) // not taken for known
	if names, err := f.ReadDir("a"); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("names %v, %v", names, err)
	}
	must(f.MkdirAll("a/c/d", "a/b", "e", "a/c/f", "a/c/d"))
	names, err = f.ReadDir("a/c")
	if top, err2 := f.ReadDir("."); err != nil || err2 != nil || !slices.Equal(names, []string{"d", "f"}) || !slices.Equal(top, []string{"a", "e"}) {
		t.Errorf("many directories: %v, %v, %v, %v", names, top, err, err2)
	}
	mapConversation(t, f)
	if n, err := f.Free(); err != nil || n <= 0 {
		t.Errorf("free %d, %v", n, err)
	}
	if f.Boot() == "" {
		t.Error("no boot id")
	}
}

func mapConversation(t *testing.T, f segment.FS) {
	for i, want := range []struct {
		size  int64
		fresh bool
		first byte
	}{{1 << 20, true, 0}, {1 << 20, false, 7}, {2 << 20, true, 0}} {
		m, fresh, err := f.Map("arena-0", want.size)
		if err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		if int64(len(b)) != want.size || fresh != want.fresh || b[len(b)-1] != want.first {
			t.Errorf("map %d: %d bytes, fresh %v, %d", i, len(b), fresh, b[len(b)-1])
		}
		b[len(b)-1] = 7
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if names, _ := f.ReadDir(""); !slices.Contains(names, "arena-0") {
		t.Errorf("the mapped file is not listed: %v", names)
	}
}

func TestALockedDirectoryIsRefusedWithTheHoldersPid(t *testing.T) {
	dir := t.TempDir()
	unlock, err := segment.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = segment.Lock(dir)
	if err == nil || !strings.Contains(err.Error(), "in use by another penstock (pid ") || !strings.Contains(err.Error(), dir) {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = segment.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = unlock()
}

func TestAFullDiskIsNamed(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err == nil {
		d, err := segment.NewOSFS("/dev").Open("full", segment.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt([]byte{1}, 0); !errors.Is(err, core.ErrDiskFull) {
			t.Errorf("a write to a full device: %v", err)
		}
		if err := d.WritevAt([][]byte{{1}}, 0); !errors.Is(err, core.ErrDiskFull) {
			t.Errorf("a gathered write to a full device: %v", err)
		}
	}
	f := fakefs.New()
	x, _ := f.Open("x", segment.Create)
	f.SetFull(10)
	if err := x.Allocate(0, 11); !errors.Is(err, core.ErrDiskFull) {
		t.Errorf("allocate: %v", err)
	}
	if n, err := x.WriteAt(make([]byte, 11), 0); n != 10 || !errors.Is(err, core.ErrDiskFull) {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := f.Remove("x"); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.Free(); n != 10 {
		t.Errorf("%d bytes free after the file is gone", n)
	}
}

// A power cut keeps what was synced, in every image; of the rest it shows old, new and
// torn content, and missing and present entries.
func TestThePowerCutOfTheFakeKeepsWhatWasSyncedAndTearsTheRest(t *testing.T) {
	f := fakefs.New()
	_ = f.MkdirAll("d")
	x, _ := f.Open("d/x", segment.Create)
	_, _ = x.WriteAt(bytes.Repeat([]byte{1}, 2048), 0)
	_ = x.Datasync()
	_ = f.SyncDir("d")
	_, _ = x.WriteAt(bytes.Repeat([]byte{2}, 2048), 1024)
	y, _ := f.Open("d/y", segment.Create)
	_ = y.Datasync()
	_ = f.Rename("d/y", "d/z")
	seen := map[string]bool{}
	for seed := range uint64(200) {
		g := f.Crash(rand.New(rand.NewPCG(seed, 0)))
		names, _ := g.ReadDir("d")
		seen[strings.Join(names, " ")] = true
		x, err := g.Open("d/x", segment.ReadOnly)
		if err != nil {
			t.Fatal("a synced file is missing")
		}
		b := make([]byte, 4096)
		n, _ := x.ReadAt(b, 0)
		if n < 2048 || !bytes.Equal(b[:1024], bytes.Repeat([]byte{1}, 1024)) {
			t.Fatal("synced bytes are missing")
		}
		twos := bytes.Count(b[1024:n], []byte{2})
		switch {
		case twos%512 != 0:
			t.Fatal("torn within a sector")
		case twos == 0:
			seen["lost"] = true
		case twos == 2048:
			seen["kept"] = true
		default:
			seen["torn"] = true
		}
	}
	for _, want := range []string{"x", "x y", "x z", "lost", "kept", "torn"} {
		if !seen[want] {
			t.Errorf("never seen: %q of %v", want, seen)
		}
	}
}

func TestASecondSyncOfTheFakeLies(t *testing.T) {
	f := fakefs.New()
	x, _ := f.Open("x", segment.Create)
	_ = f.SyncDir("")
	_, _ = x.WriteAt([]byte{1}, 0)
	f.FailNth(fakefs.OpSync, 1, errors.New("input/output error"))
	if x.Datasync() == nil || x.Datasync() != nil {
		t.Fatal("want a failure, then a lie")
	}
	g := f.Crash(rand.New(rand.NewPCG(1, 1)))
	y, err := g.Open("x", segment.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := y.Size(); n != 0 {
		t.Error("what the failed sync covered is on the disk")
	}
}

func TestAfterTheCutEveryCallFails(t *testing.T) {
	f := fakefs.New()
	x, _ := f.Open("x", segment.Create)
	f.CutAt(2)
	if _, err := x.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	if err := x.Datasync(); !errors.Is(err, fakefs.ErrPowerCut) {
		t.Errorf("the call of the cut: %v", err)
	}
	if _, err := f.ReadDir(""); !errors.Is(err, fakefs.ErrPowerCut) {
		t.Errorf("a call after it: %v", err)
	}
}
