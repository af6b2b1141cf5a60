package perf

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// CPUs is how many CPUs this process may use: the affinity mask, and a cgroup's quota,
// which the Go runtime has taken into GOMAXPROCS.
func CPUs() int { return runtime.GOMAXPROCS(0) }

// Kernel is the release of the running kernel, "" if it cannot be told.
func Kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Memory is the machine's memory in bytes, or the cgroup's limit if that is smaller.
func Memory() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	total := int64(si.Totalram) * int64(si.Unit)
	for _, f := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if n, ok := readInt(f); ok && n > 0 && n < total {
			total = n
		}
	}
	return total
}

func readInt(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	var n int64
	for _, c := range strings.TrimSpace(string(b)) {
		if c < '0' || c > '9' || n > 1<<60 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
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
