package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ballastMax is how much memory is held between two measurements.
const ballastMax = 5 << 30

// Ballast is memory that is taken and touched by Hold, and given back by Release just
// before a measurement that fills the page cache. On a virtual machine whose host takes
// back what is free (balloon, free page reporting), a page costs ten times as much when
// it is first touched: without this, a produce would measure the host. On other machines
// it changes nothing.
type Ballast struct{ held []byte }

// Hold may fail; then the figures are those of cold memory.
func (b *Ballast) Hold() {
	if b.held != nil {
		return
	}
	n := min(ballastMax, field("/proc/meminfo", "MemAvailable:")<<10/2)
	b.held, _ = unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if b.held != nil {
		_ = unix.Madvise(b.held, unix.MADV_HUGEPAGE) // a hint
		_ = unix.Madvise(b.held, unix.MADV_POPULATE_WRITE)
	}
}

// Release gives back what Hold has taken, if it has.
func (b *Ballast) Release() {
	if b.held != nil {
		_ = unix.Munmap(b.held)
		b.held = nil
	}
}

// pageCache is what the kernel takes for putting bytes into new pages of a file, with
// nothing around it: a part of the cost of every produce that is not the broker's.
func (b *bench) pageCache() error {
	b.dir = filepath.Join(b.Dir, "penstock-bench-pages")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	const size, piece = 2 << 30, 256 << 10
	var warm []float64
	for range b.Rounds {
		b.ballast.Hold()
		b.ballast.Release()
		cpu, err := writeNew(filepath.Join(b.dir, "new"), size, piece)
		if err != nil {
			return err
		}
		warm = append(warm, cpu/(size/1e9))
	}
	time.Sleep(10 * time.Second) // the host takes back what is free
	cpu, err := writeNew(filepath.Join(b.dir, "new"), size, piece)
	if err != nil {
		return err
	}
	b.row(Row{Name: "writing new pages of a file in pieces of 256 KiB, nothing else", Unit: "CPU s/GB", Note: "the kernel's share of a produce in os; twice in synced"}, warm...)
	b.row(Row{Name: "the same in memory that was free for 10 s", Unit: "CPU s/GB", Note: "where it is much more, the host takes back free memory; the other figures avoid that"}, cpu/(size/1e9))
	return nil
}

// writeNew writes a file of n bytes, deletes it, and returns the CPU seconds of the writes.
func writeNew(path string, n, piece int) (float64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	b := make([]byte, piece)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return 0, err
	}
	for ; n > 0; n -= piece {
		if _, err := f.Write(b); err != nil {
			return 0, err
		}
	}
	err = unix.Getrusage(unix.RUSAGE_THREAD, &after)
	return seconds(after.Utime) + seconds(after.Stime) - seconds(before.Utime) - seconds(before.Stime), err
}

func seconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
