package perf

import (
	"io/fs"
	"reflect"
	"testing"
	"testing/fstest"
)

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
func link(s string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(s), Mode: fs.ModeSymlink | 0o777}
}

func TestLookReadsAMachine(t *testing.T) {
	got := look(fstest.MapFS{
		"proc/cpuinfo":                                              text("processor\t: 0\nmodel name\t: Example(R)  9000   @ 3.00GHz\nflags\t\t: fpu hypervisor lm\n\nprocessor\t: 1\nmodel name\t: Other\n"),
		"etc/os-release":                                            text("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
		"sys/devices/system/node/node0":                             &fstest.MapFile{Mode: fs.ModeDir | 0o755},
		"sys/devices/system/node/node1":                             &fstest.MapFile{Mode: fs.ModeDir | 0o755},
		"sys/devices/system/node/nodes":                             text(""),
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":      text("performance\n"),
		"sys/devices/system/cpu/cpu1/cpufreq/scaling_governor":      text("powersave\n"),
		"sys/devices/system/cpu/cpu10/cpufreq/scaling_governor":     text("performance\n"),
		"proc/sys/net/ipv4/tcp_congestion_control":                  text("cubic\n"),
		"sys/class/dmi/id/sys_vendor":                               text("QEMU\n"),
		"sys/class/dmi/id/product_name":                             text("Standard PC\n"),
		"sys/devices/system/cpu/vulnerabilities/meltdown":           text("Not affected\n"),
		"sys/devices/system/cpu/vulnerabilities/spectre_v2":         text("Mitigation: IBRS\n"),
		"sys/devices/system/cpu/vulnerabilities/gather_data":        text("Vulnerable\n"),
		"sys/devices/system/cpu/vulnerabilities/unreadable/nothing": text(""),
	})
	want := Fingerprint{CPU: "Example(R) 9000 @ 3.00GHz", OS: "Debian GNU/Linux 12 (bookworm)", NUMA: 2, Governor: "performance, powersave",
		Congestion: "cubic", Hypervisor: "QEMU Standard PC", Mitigated: []string{"gather_data: Vulnerable", "spectre_v2: Mitigation: IBRS"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := look(fstest.MapFS{}); !reflect.DeepEqual(got, Fingerprint{}) {
		t.Errorf("of nothing: %+v; want all empty", got)
	}
}

func TestCPUModelsWhereTheKernelNamesNone(t *testing.T) {
	const arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
	for name, c := range map[string]struct {
		root fstest.MapFS
		want string
	}{
		"ARM server":       {fstest.MapFS{"proc/cpuinfo": text(arm)}, "(ARM implementer 0x41, part 0xd0c)"},
		"ARM board":        {fstest.MapFS{"proc/cpuinfo": text(arm), "proc/device-tree/model": text("Board 5\x00")}, "Board 5 (ARM implementer 0x41, part 0xd0c)"},
		"POWER":            {fstest.MapFS{"proc/cpuinfo": text("cpu\t\t: POWER9, altivec supported\n")}, "POWER9, altivec supported"},
		"a device tree":    {fstest.MapFS{"proc/device-tree/model": text("riscv,board\x00")}, "riscv,board"},
		"nothing to go by": {fstest.MapFS{}, ""},
	} {
		if got := look(c.root).CPU; got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

func TestHypervisors(t *testing.T) {
	guest := text("flags : fpu hypervisor\n")
	for name, c := range map[string]struct {
		root fstest.MapFS
		want string
	}{
		"Xen":             {fstest.MapFS{"sys/hypervisor/type": text("xen\n")}, "xen"},
		"hidden":          {fstest.MapFS{"proc/cpuinfo": guest}, "one that does not say its name"},
		"a plain machine": {fstest.MapFS{"proc/cpuinfo": text("flags : fpu\n"), "sys/class/dmi/id/sys_vendor": text("Example Inc.\n")}, ""},
	} {
		if got := look(c.root).Hypervisor; got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

const mounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:2 / / rw,relatime - ext4 /dev/sda2 rw,discard
28 27 0:25 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=1024k
30 27 259:0 / /data rw,noatime shared:7 - xfs /dev/nvme0n1 rw,attr2
31 30 0:44 / /data/with\040space rw - btrfs /dev/nvme1n1 rw,ssd
32 27 254:1 / /vol rw - ext4 /dev/mapper/vg-a rw
33 27 0:50 / /net rw - nfs4 server:/x rw,vers=4.2
34 27 8:2 /old /srv rw - ext4 /dev/sda2 rw
35 34 0:60 / /srv rw - tmpfs tmpfs rw
broken line
`

func TestDiskOfADirectory(t *testing.T) {
	root := fstest.MapFS{
		"proc/self/mountinfo":                              text(mounts),
		"sys/dev/block/8:2":                                link("../../devices/pci/block/sda/sda2"),
		"sys/devices/pci/block/sda/sda2/partition":         text("2\n"),
		"sys/devices/pci/block/sda/queue/rotational":       text("1\n"),
		"sys/devices/pci/block/sda/device/vendor":          text("ATA     \n"),
		"sys/devices/pci/block/sda/device/model":           text("Example 4T\n"),
		"sys/devices/pci/block/sda/size":                   text("7812500000\n"),
		"sys/dev/block/259:0":                              link("../../devices/nvme/nvme0/nvme0n1"),
		"sys/devices/nvme/nvme0/nvme0n1/device/model":      text("Example 990\n"),
		"sys/devices/nvme/nvme0/nvme0n1/queue/rotational":  text("0\n"),
		"sys/devices/nvme/nvme0/nvme0n1/queue/write_cache": text("write back\n"),
		"sys/class/block/nvme1n1":                          link("../../devices/nvme/nvme1/nvme1n1"),
		"sys/devices/nvme/nvme1/nvme1n1/queue/rotational":  text("0\n"),
		"sys/dev/block/254:1":                              link("../../devices/virtual/block/dm-1"),
		"sys/devices/virtual/block/dm-1/slaves/sda3":       text(""),
	}
	for dir, want := range map[string][2]string{
		"/home/x":            {"ext4 (rw,relatime,discard) at /", "sda2 of sda (ATA Example 4T, says it rotates, 4000 GB)"},
		"/data":              {"xfs (rw,noatime,attr2) at /data", "nvme0n1 (Example 990, solid state, write back)"},
		"/database":          {"ext4 (rw,relatime,discard) at /", "sda2 of sda (ATA Example 4T, says it rotates, 4000 GB)"},
		"/data/with space/x": {"btrfs (rw,ssd) at /data/with space", "nvme1n1 (solid state)"},
		"/dev/shm/penstock":  {"tmpfs (rw,nosuid,size=1024k) at /dev/shm", ""},
		"/vol/d":             {"ext4 (rw) at /vol", "dm-1 over sda3"},
		"/net/d":             {"nfs4 (rw,vers=4.2) at /net", ""},
		"/srv/d":             {"tmpfs (rw) at /srv", ""},
	} {
		if fs, disk := diskOf(root, dir); fs != want[0] || disk != want[1] {
			t.Errorf("%s: %q, %q; want %q", dir, fs, disk, want)
		}
	}
	if fs, disk := diskOf(fstest.MapFS{}, "/"); fs != "" || disk != "" {
		t.Errorf("without mountinfo: %q, %q", fs, disk)
	}
}

func TestLookAtThisMachine(t *testing.T) {
	f := Look(t.TempDir())
	if f.CPUs < 1 || f.Memory <= 0 || f.Kernel == "" || f.Go == "" || f.FileSystem == "" || f.SyncMs <= 0 && f.SyncWorst <= 0 {
		t.Errorf("too little is known: %+v", f)
	}
	if f := Look(""); f.FileSystem != "" || f.Disk != "" || f.SyncMs != 0 {
		t.Errorf("a disk without a directory: %+v", f)
	}
	t.Logf("%+v", f)
}
