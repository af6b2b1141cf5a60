package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// refused starts a broker that must not start: it ends with a code, and its one message
// names the cause and what to do.
func refused(t *testing.T, exit int, args []string, want ...string) {
	t.Helper()
	p := launch(t, args...)
	if code := p.ended(); code != exit {
		t.Errorf("exit code %d; want %d", code, exit)
	}
	p.mu.Lock()
	said := p.errs.String()
	p.mu.Unlock()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not in %q", w, said)
		}
	}
	if strings.Count(said, "\n") != 1 || strings.Contains(said, "goroutine") {
		t.Errorf("more than one line: %s", said)
	}
}

func TestStartRefusedWithCauseAndRemedy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	free := freePorts(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	arena := memoryDir(t)
	config := write(t, "data: x\nshard: 3\n")
	for name, c := range map[string]struct {
		exit int
		args []string
		want []string
	}{
		"the Kafka port is taken": {1, small(t.TempDir(), arena, "--kafka", addr),
			[]string{"the port of " + addr + " is taken", "ss -ltnp", "--kafka"}},
		"a core's port is taken": {1, small(t.TempDir(), arena, "--core-ports", "on", "--core-port", port, "--shards", "1"),
			[]string{"the port of " + addr + " is taken", "--core-port", "--core-ports off"}},
		"the admin port is taken": {1, small(t.TempDir(), arena, "--admin", addr),
			[]string{"the port of " + addr + " is taken", "--admin"}},
		"the address is not of this machine": {1, small(t.TempDir(), arena, "--insecure", "--kafka", "192.0.2.1:9092"),
			[]string{"listen on 192.0.2.1:9092", "cannot assign", "--kafka"}},
		"the data directory is a file": {1, small(file, arena),
			[]string{"make the data directory", file, "--data"}},
		"others could reach the port": {cli.ExitConfig, small(t.TempDir(), arena, "--kafka", "0.0.0.0:9092"),
			[]string{"0.0.0.0:9092", "nobody is authenticated", "127.0.0.1", "--insecure"}},
		"an unknown key in the file": {cli.ExitConfig, small(t.TempDir(), arena, "--config", config),
			[]string{config + ":2", `"shard"`, "did you mean shards?"}},
		"no file": {cli.ExitConfig, small(t.TempDir(), arena, "--config", file+".yaml"),
			[]string{"read the configuration", file + ".yaml", "no such file"}},
		"an unknown flag": {cli.ExitUsage, small(t.TempDir(), arena, "--shard", "3"),
			[]string{"--shard", "did you mean --shards?", "penstock serve --help lists"}},
		"an unknown command": {cli.ExitUsage, []string{"server"},
			[]string{`"penstock server"`, "did you mean serve?", "penstock --help"}},
		"a value out of range": {cli.ExitConfig, small(t.TempDir(), arena, "--shards", "1000"),
			[]string{"--shards is a whole number", "from 0 to 256"}},
		"an advertised host that nobody can reach": {cli.ExitConfig, small(t.TempDir(), arena, "--advertised", "http://x"),
			[]string{"--advertised is a host, or host:port,", `"http://x"`}},
		"a port wanted twice": {1, small(t.TempDir(), arena, "--core-ports", "on", "--core-port", free, "--kafka", "127.0.0.1:"+free, "--shards", "1"),
			[]string{"127.0.0.1:" + free + " is wanted twice", "--core-port"}},
		"a congestion control that the kernel has not": {1, small(t.TempDir(), arena, "--congestion-control", "nosuch"),
			[]string{"congestion_control nosuch", "tcp_available_congestion_control"}},
		"an unknown setting": {cli.ExitUsage, small(t.TempDir(), arena, "--set", "num.partition=3"),
			[]string{`"num.partition"`, "did you mean num.partitions?", "penstock serve --help"}},
		"a flag as a setting": {cli.ExitUsage, small(t.TempDir(), arena, "--set", "shards=3"),
			[]string{"shards is a flag: --shards"}},
		"help for nothing": {cli.ExitUsage, []string{"help", "serv"},
			[]string{`"serv"`, "did you mean serve?"}},
		"a flag of another command": {cli.ExitUsage, []string{"--shards", "3"},
			[]string{"unknown flag: --shards; penstock --help"}},
		"no data directory": {cli.ExitConfig, small("", arena),
			[]string{"--data is a directory"}},
		"no room for the arenas": {1, small(t.TempDir(), arena, "--arena", "64GiB", "--shards", "256"),
			[]string{"need 16384 GiB in " + arena, "free", "--arena smaller", "--arena-dir"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.exit, c.args, c.want...) })
	}
}

// Where the log is JSON, a start that fails is an event too.
func TestStartRefusedInTheLog(t *testing.T) {
	p := launch(t, small(filepath.Join(os.DevNull, "x"), memoryDir(t))...)
	p.ended()
	var e struct{ Level, Error string }
	if len(p.lines) != 1 || json.Unmarshal([]byte(p.lines[0]), &e) != nil || e.Level != "ERROR" || !strings.Contains(e.Error, "make the data directory") {
		t.Errorf("%q", p.lines)
	}
}

// Data in memory are not durable, and the banner does not let one believe it.
func TestDataInMemoryIsSaid(t *testing.T) {
	if f := launch(t, small(onDisk(t, 64<<20, ""), memoryDir(t))...).ready(); !strings.Contains(f.Data.Note, "in memory") {
		t.Errorf("%+v", f.Data)
	}
	for name, said := range map[string]bool{"ext4": false, "xfs": false, "btrfs": true, "overlayfs": true} {
		if (dataNote(name) != "") != said {
			t.Errorf("%s: %q", name, dataNote(name))
		}
	}
}

func TestStartRefusedInADirectoryInUse(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	p := launch(t, small(dir, arena)...)
	p.ready()
	refused(t, 1, small(dir, arena), "the data directory "+dir+" is in use", "pid "+strconv.Itoa(p.cmd.Process.Pid), "stop it, or choose another")
}

func TestStartRefusedByANewerFormat(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	p := launch(t, small(dir, arena)...)
	c := connect(t, p.ready().Listeners[0].Address)
	if err := c.createTopic("t", 1, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.produce("t", 0, oneBatch("x")); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	p.ended()
	logs, err := filepath.Glob(filepath.Join(dir, "topics/*/*/*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, name := range logs {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 44) // the version follows the magic; the checksum comes last
		if _, err := f.ReadAt(head, 0); err != nil {
			t.Fatal(err)
		}
		head[8] = 99
		binary.LittleEndian.PutUint32(head[40:], crc32.Checksum(head[:40], crc32.MakeTable(crc32.Castagnoli)))
		if _, err := f.WriteAt(head, 0); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	if err := os.Remove(filepath.Join(dir, cleanMarker)); err != nil { // nothing is trusted then
		t.Fatal(err)
	}
	refused(t, 1, small(dir, arena), "format version 99", "newer", "use the newer one")
}

// onDisk gives a file system of a size in bytes, or skips.
func onDisk(t *testing.T, size int, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT PROVEN HERE: only root mounts a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("penstock-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("NOT PROVEN HERE: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if options == "ro" {
		if err := unix.Mount("penstock-test", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStartRefusedOnAFullDisk(t *testing.T) {
	arena := memoryDir(t)
	for _, size := range []int{8 << 10, 64 << 10, 1 << 20} {
		t.Run(formatSize(int64(size)), func(t *testing.T) {
			dir := filepath.Join(onDisk(t, size, ""), "data")
			refused(t, 1, small(dir, arena), "the disk is full", "free space", dir)
		})
	}
}

func TestStartRefusedWithoutTheRightToWrite(t *testing.T) {
	arena := memoryDir(t)
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		refused(t, 1, small(dir, arena), "cannot be written", "permission denied", "--data")
		return
	}
	dir := onDisk(t, 1<<20, "ro")
	refused(t, 1, small(dir, arena), "cannot be written", "read-only file system", dir, "--data")
}
