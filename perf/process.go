package perf

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LookBroker is Look for a broker that runs here as process pid: the disk is that of the
// files it writes. Nothing is written among them; the sync time is measured in the
// directory for temporary files or in the current one, if one is on the same file
// system, and else is not told. 0 is no process.
func LookBroker(pid int) Fingerprint {
	f := Look("")
	root := os.DirFS("/")
	dir := dataDir(root, pid)
	if dir == "" {
		return f
	}
	f.FileSystem, f.Disk = diskOf(root, dir)
	for _, d := range []string{os.TempDir(), "."} {
		if !sameFileSystem(d, dir) {
			continue
		}
		if s, err := ProbeSync(d, syncProbe); err == nil {
			f.sync(s)
			break
		}
	}
	return f
}

func (f *Fingerprint) sync(s SyncTime) {
	f.SyncMs, f.SyncWorst = float64(s.Median.Microseconds())/1e3, float64(s.Worst.Microseconds())/1e3
}

func sameFileSystem(a, b string) bool {
	var sa, sb unix.Stat_t
	return unix.Stat(a, &sa) == nil && unix.Stat(b, &sb) == nil && sa.Dev == sb.Dev
}

// dataDir is the directory in which a process has most files open for writing, on a file
// system that is not in memory; "" if there is none or it may not be seen. Of several
// with as many files it is the first by name.
func dataDir(root fs.FS, pid int) string {
	proc := "proc/" + strconv.Itoa(pid)
	fds, err := fs.ReadDir(root, proc+"/fd")
	if err != nil {
		return ""
	}
	mounts := read(root, "proc/self/mountinfo")
	files := map[string]int{}
	for _, fd := range fds {
		target, err := fs.ReadLink(root, proc+"/fd/"+fd.Name())
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasSuffix(target, " (deleted)") || !writes(read(root, proc+"/fdinfo/"+fd.Name())) {
			continue
		}
		if m, ok := mountOf(mounts, path.Dir(target)); ok && !inMemory(m.kind) {
			files[path.Dir(target)]++
		}
	}
	best := ""
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		if files[dir] > files[best] {
			best = dir
		}
	}
	return best
}

// writes reads the octal flags of a descriptor: the lowest two bits are 1 or 2 where it
// was opened for writing.
func writes(fdinfo string) bool {
	var flags int
	_, err := fmt.Sscanf(field(fdinfo, "flags"), "%o", &flags)
	return err == nil && flags&(unix.O_WRONLY|unix.O_RDWR) != 0
}

// inMemory are the kinds of file systems that keep nothing on a disk.
func inMemory(kind string) bool {
	return slices.Contains([]string{"tmpfs", "ramfs", "devtmpfs", "devpts", "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "hugetlbfs"}, kind)
}
