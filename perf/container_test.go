package perf

import (
	"testing"
	"testing/fstest"
)

func TestContainersByTheSignsTheyShow(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		env  map[string]string
		want string
	}{
		"a plain machine":       {fstest.MapFS{"proc/1/cgroup": file("0::/init.scope\n"), "proc/1/environ": file("HOME=/\x00TERM=linux\x00")}, map[string]string{"HOME": "/root"}, ""},
		"nothing to read":       {fstest.MapFS{}, nil, ""},
		"a host that runs some": {fstest.MapFS{"proc/1/cgroup": file("12:pids:/\n1:name=systemd:/init.scope\n0::/\n"), "var/lib/docker/x": file("")}, map[string]string{"DOCKER_HOST": "x", "CONTAINER_NAME": "y", "container": ""}, ""},
		"a name that contains one of the words, of a controller": {fstest.MapFS{"proc/1/cgroup": file("3:docker:/\n")}, nil, ""},
		"Docker":                 {fstest.MapFS{".dockerenv": file("")}, nil, "/.dockerenv"},
		"Podman":                 {fstest.MapFS{"run/.containerenv": file("")}, nil, "/run/.containerenv"},
		"systemd inside":         {fstest.MapFS{"run/systemd/container": file("lxc\n")}, nil, "/run/systemd/container"},
		"systemd-nspawn":         {fstest.MapFS{"proc/1/environ": file("A=b\x00container=systemd-nspawn\x00")}, nil, "container=systemd-nspawn of process 1"},
		"a variable of systemd":  {fstest.MapFS{}, map[string]string{"container": "podman"}, "container=podman"},
		"Kubernetes":             {fstest.MapFS{}, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "KUBERNETES_SERVICE_HOST=10.0.0.1"},
		"a cgroup of Docker":     {fstest.MapFS{"proc/1/cgroup": file("12:pids:/docker/ab12\n")}, nil, "cgroup /docker/ab12"},
		"a cgroup of Kubernetes": {fstest.MapFS{"proc/1/cgroup": file("0::/kubepods.slice/pod7\n")}, nil, "cgroup /kubepods.slice/pod7"},
		"a cgroup of LXC":        {fstest.MapFS{"proc/1/cgroup": file("4:memory:/lxc/one\n")}, nil, "cgroup /lxc/one"},
	} {
		env := func(k string) (string, bool) { s, ok := c.env[k]; return s, ok }
		if got := container(c.root, env); got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}
