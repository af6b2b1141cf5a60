package segment_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// An arena that memory has no room for is refused, not found out by a store, and takes no
// room then; one that has room has all of it.
func TestAnArenaHasItsRoomOrTakesNone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT PROVEN HERE: only root mounts a small file system")
	}
	for _, options := range []string{"size=8m,huge=never", "size=8m,huge=advise"} {
		dir := t.TempDir()
		if err := unix.Mount("penstock-test", dir, "tmpfs", 0, options); err != nil {
			t.Skipf("NOT PROVEN HERE: mount %s: %v", options, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		f := segment.NewOSFS(dir)
		if _, _, err := f.Map("arena", 16<<20); !errors.Is(err, core.ErrDiskFull) {
			t.Errorf("%s: 16 MiB of 8: %v", options, err)
		}
		if st, err := os.Stat(filepath.Join(dir, "arena")); err != nil || st.Size() != 0 {
			t.Errorf("%s: after a refusal: %v, %v", options, st, err)
		}
		m, fresh, err := f.Map("arena", 6<<20)
		if err != nil || !fresh {
			t.Fatalf("%s: 6 MiB of 8: fresh %v, %v", options, fresh, err)
		}
		if free, err := f.Free(); err != nil || free > 2<<20 {
			t.Errorf("%s: %d bytes are free beside 6 MiB of 8, %v", options, free, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
