package perf

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// syncProbe is how long Look may spend on the disk's sync time.
const syncProbe = 500 * time.Millisecond

// Look takes the fingerprint of this machine, and of the disk below dir if one is given:
// then it also writes and syncs a small file there. What cannot be told stays empty.
func Look(dir string) Fingerprint {
	f := look(os.DirFS("/"))
	f.Host, _ = os.Hostname()
	f.CPUs, f.Memory, f.Kernel, f.Go = CPUs(), Memory(), Kernel(), runtime.Version()+" "+runtime.GOARCH
	f.Container = Container()
	if dir == "" {
		return f
	}
	if abs, err := filepath.Abs(dir); err == nil {
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		}
		f.FileSystem, f.Disk = diskOf(os.DirFS("/"), abs)
	}
	if f.FileSystem == "" {
		f.FileSystem = FileSystem(dir)
	}
	if s, err := ProbeSync(dir, syncProbe); err == nil {
		f.sync(s)
	}
	return f
}

// look reads what the kernel shows in files.
func look(root fs.FS) (f Fingerprint) {
	cpuinfo := read(root, "proc/cpuinfo")
	f.CPU = cpuModel(root, cpuinfo)
	f.OS = osName(read(root, "etc/os-release"))
	f.NUMA = count(root, "sys/devices/system/node", "node")
	f.Governor = governors(root)
	f.Congestion = read(root, "proc/sys/net/ipv4/tcp_congestion_control")
	f.Hypervisor = hypervisor(root, cpuinfo)
	f.Mitigated = mitigations(root)
	return f
}

// read is a file without the space around it, "" if there is none.
func read(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), " \t\n\x00")
}

// cpuModel is the model's name on x86; on ARM, whose kernels do not name it, the board's
// name with the numbers of implementer and part.
func cpuModel(root fs.FS, cpuinfo string) string {
	for _, key := range []string{"model name", "cpu model", "cpu"} {
		if v := field(cpuinfo, key); v != "" {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	board := read(root, "proc/device-tree/model")
	if imp, part := field(cpuinfo, "CPU implementer"), field(cpuinfo, "CPU part"); imp != "" {
		return strings.TrimSpace(board + " (ARM implementer " + imp + ", part " + part + ")")
	}
	return board
}

// field is the value of the first line "key : value".
func field(text, key string) string {
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func osName(release string) string {
	for line := range strings.Lines(release) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

// count is how many entries of a directory are a prefix and a number.
func count(root fs.FS, dir, prefix string) (n int) {
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if s, ok := strings.CutPrefix(e.Name(), prefix); ok && s != "" && strings.Trim(s, "0123456789") == "" {
			n++
		}
	}
	return n
}

// governors are the frequency governors of the CPUs, usually one for all.
func governors(root fs.FS) string {
	paths, err := fs.Glob(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
	if err != nil {
		return ""
	}
	var names []string
	for _, p := range paths {
		if g := read(root, p); g != "" {
			names = append(names, g)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func hypervisor(root fs.FS, cpuinfo string) string {
	guest := slices.Contains(strings.Fields(field(cpuinfo, "flags")), "hypervisor")
	kind := read(root, "sys/hypervisor/type")
	vendor, product := read(root, "sys/class/dmi/id/sys_vendor"), read(root, "sys/class/dmi/id/product_name")
	switch machine := strings.TrimSpace(vendor + " " + product); {
	case kind != "":
		return kind
	case guest && machine != "":
		return machine
	case guest:
		return "one that does not say its name"
	}
	return ""
}

// mitigations are the weaknesses that the kernel works around, or does not.
func mitigations(root fs.FS) (out []string) {
	const dir = "sys/devices/system/cpu/vulnerabilities"
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if s := read(root, path.Join(dir, e.Name())); s != "" && s != "Not affected" {
			out = append(out, e.Name()+": "+s)
		}
	}
	return out
}

// mount is one line of mountinfo.
type mount struct {
	device, at, options, kind, source, super string
}

// diskOf says which file system holds a path, which is absolute and without links, and
// which disk is below it.
func diskOf(root fs.FS, dir string) (fileSystem, disk string) {
	m, ok := mountOf(read(root, "proc/self/mountinfo"), dir)
	if !ok {
		return "", ""
	}
	options := m.options
	for _, o := range strings.Split(m.super, ",") {
		if o != "" && !slices.Contains(strings.Split(options, ","), o) {
			options += "," + o
		}
	}
	return m.kind + " (" + options + ") at " + m.at, diskName(root, m)
}

// mountOf finds the mount that holds dir: the one with the longest path, and of two at
// the same place the later, which hides the other.
func mountOf(mountinfo, dir string) (best mount, ok bool) {
	for line := range strings.Lines(mountinfo) {
		left, right, found := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !found || len(l) < 6 || len(r) < 2 {
			continue
		}
		m := mount{device: l[2], at: unescape(l[4]), options: l[5], kind: r[0], source: unescape(r[1])}
		if len(r) > 2 {
			m.super = r[2]
		}
		if holds(m.at, dir) && len(m.at) >= len(best.at) {
			best, ok = m, true
		}
	}
	return best, ok
}

func holds(at, dir string) bool {
	return at == "/" || dir == at || strings.HasPrefix(dir, at+"/")
}

// unescape undoes mountinfo's \040 for a space and the like.
func unescape(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(c)}) + s[i+4:]
		}
	}
	return s
}

// diskName is the block device of a mount with what is known of it: "nvme0n1p2 of nvme0n1
// (Example 990, solid state, 1000 GB)". File systems in memory and of a network have none.
func diskName(root fs.FS, m mount) string {
	name, dir := blockDevice(root, m)
	if name == "" {
		return ""
	}
	if s := below(root, dir); s != "" {
		return name + " over " + s
	}
	if read(root, path.Join(dir, "partition")) != "" {
		dir = path.Dir(dir)
		return name + " of " + describe(root, path.Base(dir), dir)
	}
	return describe(root, name, dir)
}

// blockDevice finds a mount's device below /sys, by its number or, where the file system
// has a number of its own (btrfs), by its source.
func blockDevice(root fs.FS, m mount) (name, dir string) {
	for _, link := range []string{"sys/dev/block/" + m.device, "sys/class/block/" + path.Base(m.source)} {
		target, err := fs.ReadLink(root, link)
		if err != nil {
			continue
		}
		dir := path.Join(path.Dir(link), target)
		return path.Base(dir), dir
	}
	if m.device != "" && strings.HasPrefix(m.source, "/dev/") {
		return path.Base(m.source), ""
	}
	return "", ""
}

// below are the disks under a device of the device mapper or a RAID.
func below(root fs.FS, dir string) string {
	entries, err := fs.ReadDir(root, path.Join(dir, "slaves"))
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, ", ")
}

func describe(root fs.FS, name, dir string) string {
	if dir == "" {
		return name
	}
	var parts []string
	if s := strings.TrimSpace(read(root, path.Join(dir, "device/vendor")) + " " + read(root, path.Join(dir, "device/model"))); s != "" && !strings.HasPrefix(s, "0x") {
		parts = append(parts, s)
	} else if s := read(root, path.Join(dir, "device/model")); s != "" {
		parts = append(parts, s)
	} else if strings.HasPrefix(name, "vd") {
		parts = append(parts, "virtio")
	}
	switch read(root, path.Join(dir, "queue/rotational")) {
	case "0":
		parts = append(parts, "solid state")
	case "1":
		parts = append(parts, "says it rotates")
	}
	if cache := read(root, path.Join(dir, "queue/write_cache")); cache != "" {
		parts = append(parts, cache)
	}
	if n, err := strconv.ParseInt(read(root, path.Join(dir, "size")), 10, 64); err == nil && n > 0 {
		parts = append(parts, strconv.FormatInt(n*512/1e9, 10)+" GB")
	}
	if len(parts) == 0 {
		return name
	}
	return name + " (" + strings.Join(parts, ", ") + ")"
}
