package perf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// SyncTime is how long the disk takes to make 4 KiB durable.
type SyncTime struct {
	Median, Worst time.Duration
	Count         int
}

// ProbeSync writes 4 KiB and calls fdatasync, a few times over blocks that have been
// written before, in a file of its own below dir, as the journal does it. It stops after
// limit; one sync is always made.
func ProbeSync(dir string, limit time.Duration) (s SyncTime, err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".sync-probe"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return s, fmt.Errorf("measure the disk's sync time: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	var took []time.Duration
	begin := time.Now()
	for i := range 33 {
		block[0] = byte(i)
		t := time.Now()
		if _, err := f.WriteAt(block, 0); err != nil {
			return s, fmt.Errorf("measure the disk's sync time: %w", err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return s, fmt.Errorf("measure the disk's sync time: %w", err)
		}
		if i > 0 { // the first one also writes the file's metadata
			took = append(took, time.Since(t))
		}
		if i > 0 && time.Since(begin) > limit {
			break
		}
	}
	slices.Sort(took)
	return SyncTime{Median: took[len(took)/2], Worst: took[len(took)-1], Count: len(took)}, nil
}
