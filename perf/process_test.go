package perf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDataDirOfAProcess(t *testing.T) {
	root := fstest.MapFS{"proc/self/mountinfo": text(mounts + "40 27 0:5 / /dev rw - devtmpfs dev rw\n")}
	open := func(fd, target, flags string) {
		root["proc/7/fd/"+fd] = link(target)
		root["proc/7/fdinfo/"+fd] = text("pos:\t0\nflags:\t" + flags + "\nmnt_id:\t27\n")
	}
	if got := dataDir(root, 7); got != "" {
		t.Errorf("of no process: %q", got)
	}
	open("0", "/dev/null", "0100002")
	open("1", "socket:[123]", "02")
	open("2", "/dev/shm/arena/0", "0100002")
	open("3", "/dev/shm/arena/1", "0100002")
	open("4", "/opt/lib.so", "0100000")
	open("5", "/opt/other.so", "0100000")
	open("6", "/data/gone (deleted)", "0100002")
	open("7", "/var/log/broker.log", "0102001")
	if got := dataDir(root, 7); got != "/var/log" {
		t.Errorf("with a log alone: %q", got)
	}
	open("8", "/data/p-0/0.log", "0100002")
	open("9", "/data/p-0/0.index", "0100002")
	if got := dataDir(root, 7); got != "/data/p-0" {
		t.Errorf("with data: %q; want /data/p-0", got)
	}
}

func TestLookBrokerFindsTheDiskOfAProcess(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	f := LookBroker(os.Getpid())
	if FileSystem(dir) == "tmpfs" {
		t.Skip("temporary files are in memory here")
	}
	if !strings.Contains(f.FileSystem, " at ") || f.SyncWorst <= 0 {
		t.Errorf("%+v", f)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("something was left among the files of the process: %v", entries)
	}
	if f := LookBroker(0); f.FileSystem != "" || f.Kernel == "" {
		t.Errorf("without a process: %+v", f)
	}
}
