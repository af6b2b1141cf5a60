package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A start reports arenas that a killed broker left and whose data are gone, and those
// alone; it deletes nothing.
func TestArenasOfNobodyAreReported(t *testing.T) {
	arena := memoryDir(t)
	gone, moved, killed, live := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	dirs := map[string]string{}
	for _, dir := range []string{gone, moved, killed, live} {
		p := launch(t, small(dir, arena)...)
		dirs[dir] = p.ready().ArenaDir
		if dir != live {
			p.kill()
		}
	}
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(moved, arenaPointer)); err != nil { // as in a directory that was made anew
		t.Fatal(err)
	}
	f := launch(t, small(t.TempDir(), arena)...).ready()
	if len(f.Orphans) != 2 {
		t.Fatalf("%+v", f.Orphans)
	}
	for _, o := range f.Orphans {
		if o.Data != gone && o.Data != moved || dirs[o.Data] != o.Dir || o.Bytes < 2*8<<20 {
			t.Errorf("%+v", o)
		}
	}
	for _, dir := range dirs {
		if arenaBytes(dir) < 2*8<<20 {
			t.Errorf("%s is gone", dir)
		}
	}
}

// A copy of a data directory does not take the arenas of the original.
func TestACopyDoesNotTakeTheArenas(t *testing.T) {
	dir, arena, copied := t.TempDir(), memoryDir(t), t.TempDir()
	p := launch(t, small(dir, arena)...)
	p.ready()
	if out, err := exec.Command("cp", "-a", dir+"/.", copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused(t, 1, small(copied, arena), "belong to the data directory "+dir, copied, "copy", "--arena-dir")
	p.kill() // its arenas are still needed
	refused(t, 1, small(copied, arena), "belong to the data directory "+dir)
	launch(t, small(copied, memoryDir(t))...).ready()
	launch(t, small(dir, arena)...).ready()
}

// A data directory that has been moved keeps the arenas of the broker that was killed.
func TestAMovedDirectoryKeepsItsArenas(t *testing.T) {
	parent, arena := t.TempDir(), memoryDir(t)
	dir := filepath.Join(parent, "a")
	p := launch(t, small(dir, arena)...)
	c := connect(t, p.ready().Listeners[0].Address)
	if err := c.createTopic("t", 1, map[string]string{"penstock.durability": "os"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.produce("t", 0, oneBatch("x")); err != nil {
		t.Fatal(err)
	}
	p.kill()
	if err := os.Rename(dir, filepath.Join(parent, "b")); err != nil {
		t.Fatal(err)
	}
	c = connect(t, launch(t, small(filepath.Join(parent, "b"), arena)...).ready().Listeners[0].Address)
	n := 0
	if _, err := c.read("t", 0, func(int64, []byte) { n++ }); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
}

// Arenas that memory has no room for lie in the data directory, and the broker says so.
func TestArenasGoWhereThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	s := &server{cfg: &config{Data: dir, ArenaDir: "auto", Arena: 8 << 20}}
	s.facts.Shards = 2
	if got, err := s.chooseArena("/nowhere", dir, "penstock-x"); err != nil || got != dir || !strings.Contains(s.facts.ArenaNote, "/nowhere has 0 B free and the arenas want 16 MiB") {
		t.Errorf("%s, %v, %q", got, err, s.facts.ArenaNote)
	}
	s.facts.ArenaNote = ""
	memory := memoryDir(t)
	if got, err := s.chooseArena(memory, dir, "penstock-x"); err != nil || got != memory+"/penstock-x" || s.facts.ArenaNote != "" {
		t.Errorf("%s, %v, %q", got, err, s.facts.ArenaNote)
	}
	s.cfg.Arena = 1 << 55
	if got, err := s.chooseArena(memory, dir, "penstock-x"); err == nil || !strings.Contains(err.Error(), "need 67108864 GiB in "+dir) {
		t.Errorf("%s, %v", got, err)
	}
}

// What a power cut leaves of the line that names the arenas does not keep a broker from
// its start.
func TestDamagedNameOfTheArenas(t *testing.T) {
	for _, line := range []string{"", "\x00\x00\x00\x00\n", "/dev/shm/no newline", "relative\n", "/nowhere/at/all\n", "/\x00\n", "/etc/passwd\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, arenaPointer), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		p := launch(t, small(dir, memoryDir(t))...)
		f := p.ready()
		if readLine(filepath.Join(dir, arenaPointer)) != f.ArenaDir || f.ArenaNote != "" {
			t.Errorf("%q: %+v", line, f)
		}
		p.kill()
	}
}

// What a killed broker left in memory counts as room for the next start: it is used again.
func TestArenasOfTheLastRunCountAsRoom(t *testing.T) {
	memory := onDisk(t, 20<<20, "")
	dir := t.TempDir()
	p := launch(t, small(dir, memory)...) // 16 MiB of the 20
	p.ready()
	p.kill()
	p = launch(t, small(dir, memory)...)
	p.ready()
	p.kill()
	if err := os.RemoveAll(filepath.Join(dir, arenaPointer)); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, small(t.TempDir(), memory), "the arenas of 2 shards need 16 MiB in "+memory, "--arena-dir")
}

// Arenas in the data directory go with a clean stop.
func TestArenasInTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	p := launch(t, small(dir, dir)...)
	if f := p.ready(); f.ArenaDir != dir {
		t.Errorf("arenas in %s", f.ArenaDir)
	}
	p.signal(syscall.SIGTERM)
	p.ended()
	if left, _ := filepath.Glob(filepath.Join(dir, "arena*")); len(left) > 0 {
		t.Errorf("left: %s", strings.Join(left, " "))
	}
}
