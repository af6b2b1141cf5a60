package perf

import (
	"io/fs"
	"os"
	"strings"
)

// Container names the sign by which this process seems to run in a container, "" if
// there is none.
func Container() string { return container(os.DirFS("/"), os.LookupEnv) }

// What container managers leave behind: files that they make, variables that they set,
// and the cgroup of process 1 where its namespace does not hide it. A machine that was
// made from an image of a container shows the files too, and counts as one: so does
// systemd-detect-virt.
var (
	containerFiles = []string{"/.dockerenv", "/run/.containerenv", "/run/systemd/container"}
	containerVars  = []string{"KUBERNETES_SERVICE_HOST", "container"}
	containerPaths = []string{"docker", "kubepods", "libpod", "containerd", "/lxc", "/machine.slice/machine-"}
)

func container(root fs.FS, env func(string) (string, bool)) string {
	for _, f := range containerFiles {
		if _, err := fs.Stat(root, f[1:]); err == nil {
			return f
		}
	}
	for _, v := range containerVars {
		if s, ok := env(v); ok && s != "" {
			return v + "=" + s
		}
	}
	b, err := fs.ReadFile(root, "proc/1/environ") // for root alone
	if err == nil {
		for _, kv := range strings.Split(string(b), "\x00") {
			if s, ok := strings.CutPrefix(kv, "container="); ok && s != "" {
				return kv + " of process 1"
			}
		}
	}
	b, err = fs.ReadFile(root, "proc/1/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":")
		if _, path, _ = strings.Cut(path, ":"); path == "" {
			continue
		}
		for _, p := range containerPaths {
			if strings.Contains(path, p) {
				return "cgroup " + path
			}
		}
	}
	return ""
}
