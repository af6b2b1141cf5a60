package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/perf"
	"github.com/penstock/penstock/segment"
)

// The arenas of a data directory lie in a directory of their own, usually in memory:
//
//	/dev/shm/penstock-<cluster id>/arena-<shard>
//	                              /owner         the data directory, one line
//	<data>/arena                                 that directory, one line
//
// The two lines point at each other. A process that dies leaves the arenas behind, and
// the next start replays them from where the line says, even if it puts its own
// somewhere else. A clean stop removes them. Arenas whose data directory no longer points
// back are nobody's: a start reports them, and deletes nothing.
const (
	sharedMemory = "/dev/shm"
	arenaPrefix  = "penstock-"
	arenaOwner   = "owner"
	arenaPointer = "arena"
)

// openArena chooses where the tails lie: memory if there is room for them, in a
// directory that belongs to this data directory alone.
func (s *server) openArena() error {
	data, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return err
	}
	last := readLine(filepath.Join(data, arenaPointer))
	if s.arenaDir, err = s.chooseArena(sharedMemory, data, arenaPrefix+s.meta.ClusterID()); err != nil {
		return err
	}
	if s.arenaDir != data {
		if err := s.claimArena(data); err != nil {
			return err
		}
		s.facts.Orphans = orphans(filepath.Dir(s.arenaDir), s.arenaDir)
	}
	s.arena = segment.NewOSFS(s.arenaDir)
	s.lastArenaDir, s.lastArena = s.arenaDir, s.arena
	if st, err := os.Stat(last); err == nil && st.IsDir() && last != s.arenaDir && !claimed(last, data) {
		s.lastArenaDir, s.lastArena = last, segment.NewOSFS(last)
	}
	s.facts.ArenaDir, s.facts.ArenaFS = s.arenaDir, perf.FileSystem(s.arenaDir)
	return nil
}

// chooseArena says where the arenas are to be, and refuses what has no room for them.
func (s *server) chooseArena(memory, data, own string) (dir string, err error) {
	need := s.cfg.Arena * int64(s.facts.Shards)
	root := data
	if s.cfg.ArenaDir == "auto" {
		free := room(memory, filepath.Join(memory, own))
		if free >= need+need/4 { // others use it too
			return filepath.Join(memory, own), nil
		}
		s.facts.ArenaNote = fmt.Sprintf("%s has %s free and the arenas want %s and a quarter more, so they lie in the data directory and cost the disk writes: make --arena smaller, or %s larger",
			memory, formatSize(max(0, free)), formatSize(need), memory)
	} else if root, err = filepath.Abs(s.cfg.ArenaDir); err != nil {
		return "", err
	}
	if dir = root; root != data {
		dir = filepath.Join(root, own)
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the arenas: %w; choose another with --arena-dir", err)
	}
	if free := room(root, dir); free < need {
		return "", fmt.Errorf("the arenas of %d shards need %s in %s, which has %s free: free space there, make --arena smaller, or choose another place with --arena-dir",
			s.facts.Shards, formatSize(need), root, formatSize(max(0, free)))
	}
	return dir, nil
}

// room is how many bytes root has free for the arenas in dir; what lies there of the last
// run counts.
func room(root, dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil {
		return -1
	}
	return int64(st.Bavail)*st.Bsize + arenaBytes(dir)
}

func arenaBytes(dir string) (n int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "arena-*"))
	for _, f := range files {
		var st unix.Stat_t
		if unix.Stat(f, &st) == nil {
			n += st.Blocks * 512
		}
	}
	return n
}

// claimArena makes the directory of the arenas ours until the process ends. A copy of a
// data directory has the same cluster id, and must not take the arenas of the original.
func (s *server) claimArena(data string) error {
	if err := os.MkdirAll(s.arenaDir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the arenas: %w; choose another with --arena-dir", err)
	}
	path := filepath.Join(s.arenaDir, arenaOwner)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("take the directory of the arenas: %w; choose another with --arena-dir", err)
	}
	if claimed(s.arenaDir, data) || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = f.Close()
		return fmt.Errorf("the arenas in %s belong to the data directory %s, of which %s seems to be a copy: choose another place with --arena-dir", s.arenaDir, readLine(path), data)
	}
	s.arenaLock = f
	return writeLine(path, data)
}

// claimed says whether the arenas in dir are of another data directory that knows them.
func claimed(dir, data string) bool {
	owner := readLine(filepath.Join(dir, arenaOwner))
	return owner != "" && owner != data && readLine(filepath.Join(owner, arenaPointer)) == dir
}

// keepArena is called when the last run's arenas have been replayed, and before there are
// new ones: the next start is to look for those.
func (s *server) keepArena() error {
	path := filepath.Join(s.cfg.Data, arenaPointer)
	if err := writeLine(path+".new", s.arenaDir); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dropLastArena removes what the last run left somewhere else, once nothing is lost with it.
func (s *server) dropLastArena() error {
	if s.lastArenaDir == s.arenaDir {
		return nil
	}
	s.facts.ArenaNote = fmt.Sprintf("the arenas of the last run were in %s; they have been replayed and removed", s.lastArenaDir)
	return removeArena(s.lastArenaDir)
}

// dropArena is the end of a clean stop: all that the arenas held is in the segments.
func (s *server) dropArena() error {
	return errors.Join(os.Remove(filepath.Join(s.cfg.Data, arenaPointer)), removeArena(s.arenaDir))
}

// removeArena removes the arenas in a directory, and the directory if it was made for them.
func removeArena(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "arena-*"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(dir), arenaPrefix) {
		files = append(files, filepath.Join(dir, arenaOwner), dir)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the arenas: %w", err)
		}
	}
	return nil
}

// orphan is a directory of arenas that nobody will use again.
type orphan struct {
	Dir   string `json:"dir"`
	Data  string `json:"data"` // the data directory that it was of
	Bytes int64  `json:"bytes"`
}

// orphans looks beside our own directory for those whose process is gone, and whose data
// directory is gone too or has its arenas elsewhere.
func orphans(root, own string) (out []orphan) {
	dirs, _ := filepath.Glob(filepath.Join(root, arenaPrefix+"*"))
	for _, dir := range dirs {
		owner := readLine(filepath.Join(dir, arenaOwner))
		if dir == own || owner == "" || readLine(filepath.Join(owner, arenaPointer)) == dir || locked(filepath.Join(dir, arenaOwner)) {
			continue
		}
		out = append(out, orphan{dir, owner, arenaBytes(dir)})
	}
	return out
}

// locked says whether a process holds the lock of a file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

// readLine returns the path that is the one line of a file, "" if there is none. The
// files are not synced: after a power cut there may be anything in them, and what they
// name does not matter any more.
func readLine(path string) string {
	b, _ := os.ReadFile(path)
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || len(rest) > 0 || !filepath.IsAbs(string(line)) || bytes.IndexByte(line, 0) >= 0 {
		return ""
	}
	return string(line)
}

func writeLine(path, line string) error { return os.WriteFile(path, []byte(line+"\n"), 0o600) }
