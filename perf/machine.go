package perf

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPUs is how many CPUs this process may use: the affinity mask, and a cgroup's quota,
// which the Go runtime had taken into GOMAXPROCS when the process began.
func CPUs() int { return cpus }

var cpus = runtime.GOMAXPROCS(0)

// Room lets the Go runtime keep this many threads in system calls beside one per CPU that
// runs. With fewer, its monitor polls every 20 us to take their places away from them,
// whoever comes out of a call waits for one, and while all are taken nobody waits for the
// network. The environment's GOMAXPROCS comes first.
func Room(calls int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), cpus+calls))
	}
}

// Kernel is the release of the running kernel, "" if it cannot be told.
func Kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Memory is the machine's memory in bytes, or a limit of this process's cgroups if that
// is smaller.
func Memory() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return memoryLimit(os.DirFS("/"), int64(si.Totalram)*int64(si.Unit))
}

// memoryLimit is the smallest of total and the limits of the process's cgroup and of all
// above it. In a namespace of its own a cgroup's path is that of the host or "/", and its
// files lie at the mount; so what is not found is looked for further up.
//
//	version 2: 0::/system.slice/x.service    /sys/fs/cgroup/system.slice/x.service/memory.max
//	version 1: 4:memory:/docker/ab12         /sys/fs/cgroup/memory/docker/ab12/memory.limit_in_bytes
func memoryLimit(root fs.FS, total int64) int64 {
	lower := func(mount, cgroup, file string) {
		for at := path.Join("/", cgroup); ; at = path.Dir(at) {
			if n, ok := readInt(root, path.Join(mount, at, file)); ok && n > 0 && n < total {
				total = n
			}
			if at == "/" {
				return
			}
		}
	}
	const mount, limit, limit1 = "sys/fs/cgroup", "memory.max", "memory.limit_in_bytes"
	lower(mount, "/", limit)
	lower(mount+"/memory", "/", limit1)
	b, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, cgroup, _ := strings.Cut(rest, ":")
		switch {
		case id == "0" && controllers == "":
			lower(mount, cgroup, limit)
			lower(mount+"/unified", cgroup, limit)
		case slices.Contains(strings.Split(controllers, ","), "memory"):
			lower(mount+"/memory", cgroup, limit1)
		}
	}
	return total
}

// readInt reads a file that is a number; others, as "max", are none.
func readInt(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// FileSystem names the type of the file system that holds path, or its magic number.
func FileSystem(path string) string {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return "unknown file system"
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return "unknown file system"
}
