package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// addresses asks the broker at addr where the brokers are.
func addresses(t *testing.T, addr string) map[int32]string {
	t.Helper()
	c, err := dialKafka(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	b, err := c.brokers()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An advertised address is what clients are told, in both views.
func TestAdvertisedAsSet(t *testing.T) {
	for _, set := range []string{"broker.example:19092", "broker.example"} {
		p := launch(t, small(t.TempDir(), memoryDir(t), "--advertised", set, "--core-ports", "on", "--core-port", freePorts(t, 2))...)
		f := p.ready()
		_, port, _ := splitHostPort(f.Listeners[0].Address)
		want := "broker.example:19092"
		if set == "broker.example" {
			want = joinHostPort(set, int(port))
		}
		if b := addresses(t, f.Listeners[0].Address); len(b) != 1 || b[nodeID] != want {
			t.Errorf("%s: the normal port says %v", set, b)
		}
		if f.Listeners[0].Advertised != want {
			t.Errorf("%s: shown as %s", set, f.Listeners[0].Advertised)
		}
		for i := range 2 {
			b := addresses(t, f.Listeners[1+i].Address)
			for k := range int32(2) {
				_, port, _ := splitHostPort(f.Listeners[1+k].Address)
				if b[coreNodeBase+k] != joinHostPort("broker.example", int(port)) || len(b) != 2 {
					t.Errorf("%s: a core's port says %v", set, b)
				}
			}
		}
	}
}

// inNetwork marks the run of a test in a network of its own.
const inNetwork = "RUN_IN_NETWORK"

// Without one, clients are told the address at which they have reached the broker: two
// clients of one port, through two addresses, are told each its own. This needs a
// listener on all addresses, and so a network that nobody else is in.
func TestAdvertisedAsConnected(t *testing.T) {
	if os.Getenv(inNetwork) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAdvertisedAsConnected$", "-test.v")
		cmd.Env = append(os.Environ(), inNetwork+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil && (len(out) == 0 || strings.Contains(string(out), "no loopback")) {
			t.Skipf("NOT PROVEN HERE: no network of its own: %v %s", err, out)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("no loopback: %v %s", err, out)
	}
	p := launch(t, small(t.TempDir(), memoryDir(t), "--insecure", "--kafka", "0.0.0.0:9092", "--core-ports", "on", "--core-port", "9192")...)
	f := p.ready()
	if !strings.Contains(f.Security, "INSECURE") {
		t.Errorf("security: %s", f.Security)
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.1.2.3"} {
		if b := addresses(t, host+":9092"); len(b) != 1 || b[nodeID] != host+":9092" {
			t.Errorf("the normal port at %s says %v", host, b)
		}
		if b := addresses(t, host+":9193"); len(b) != 2 || b[coreNodeBase] != host+":9192" || b[coreNodeBase+1] != host+":9193" {
			t.Errorf("a core's port at %s says %v", host, b)
		}
	}
}
