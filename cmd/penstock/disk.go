package main

import (
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// disk is the directory of the data and the room on its file system, for
// DescribeLogDirs. The loops read it; a goroutine of its own asks the file system, which
// may block.
type disk struct {
	dir           string // absolute
	total, usable atomic.Int64
}

// diskEvery is how old the numbers may be.
const diskEvery = 5 * time.Second

func newDisk(dir string) (*disk, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &disk{dir: abs}
	d.look()
	return d, nil
}

// watch keeps the numbers fresh for as long as the process lives.
func (d *disk) watch() {
	for range time.Tick(diskEvery) {
		d.look()
	}
}

// look asks the file system. If it does not answer, both are unknown (-1).
func (d *disk) look() {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		d.total.Store(-1)
		d.usable.Store(-1)
		return
	}
	d.total.Store(int64(st.Blocks) * st.Frsize)
	d.usable.Store(int64(st.Bavail) * st.Frsize)
}

// space is the size of the file system, and what of it can still be used.
func (d *disk) space() (total, usable int64) { return d.total.Load(), d.usable.Load() }
