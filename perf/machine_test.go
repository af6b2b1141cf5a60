package perf

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestRoomIsBesideTheCPUsAndOnlyGrows(t *testing.T) {
	before, n := runtime.GOMAXPROCS(0), CPUs()
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	Room(5)
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d threads, though the environment says how many", got)
	}
	t.Setenv("GOMAXPROCS", "")
	for _, calls := range []int{5, 2} {
		Room(calls)
		if got := runtime.GOMAXPROCS(0); got != max(before, n+5) || CPUs() != n {
			t.Errorf("room for %d: %d threads, %d CPUs; want %d, %d", calls, got, CPUs(), max(before, n+5), n)
		}
	}
}

func TestMemoryIsTheSmallestLimitOfTheCgroupsAboveTheProcess(t *testing.T) {
	const total = 64 << 30
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no cgroups":                 {nil, total},
		"no limit":                   {map[string]string{"proc/self/cgroup": "0::/user.slice", "sys/fs/cgroup/user.slice/memory.max": "max"}, total},
		"a namespace of its own":     {map[string]string{"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "1000"}, 1000},
		"a path of the host's":       {map[string]string{"proc/self/cgroup": "0::/kubepods/pod1/ab", "sys/fs/cgroup/memory.max": "1000"}, 1000},
		"a unit":                     {map[string]string{"proc/self/cgroup": "0::/system.slice/x.service", "sys/fs/cgroup/system.slice/x.service/memory.max": "2000", "sys/fs/cgroup/system.slice/memory.max": "max"}, 2000},
		"a slice above the unit":     {map[string]string{"proc/self/cgroup": "0::/a.slice/x.service", "sys/fs/cgroup/a.slice/x.service/memory.max": "2000", "sys/fs/cgroup/a.slice/memory.max": "1500"}, 1500},
		"another unit":               {map[string]string{"proc/self/cgroup": "0::/a.slice/x.service", "sys/fs/cgroup/a.slice/y.service/memory.max": "2000"}, total},
		"version 1":                  {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/a\n4:hugetlb,memory:/docker/ab\n0::/\n", "sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": "3000"}, 3000},
		"version 1 in a container":   {map[string]string{"proc/self/cgroup": "4:memory:/docker/ab", "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000"}, 3000},
		"version 1 without a limit":  {map[string]string{"proc/self/cgroup": "4:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, total},
		"both, the second elsewhere": {map[string]string{"proc/self/cgroup": "0::/x", "sys/fs/cgroup/unified/x/memory.max": "4000"}, 4000},
		"more than there is":         {map[string]string{"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "99999999999999"}, total},
		"nonsense":                   {map[string]string{"proc/self/cgroup": "0::/../..\n::\nx", "sys/fs/cgroup/memory.max": "-1"}, total},
	} {
		root := fstest.MapFS{}
		for f, s := range c.files {
			root[f] = &fstest.MapFile{Data: []byte(s + "\n")}
		}
		if got := memoryLimit(root, total); got != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
	if Memory() <= 0 {
		t.Error("this machine has no memory")
	}
}
