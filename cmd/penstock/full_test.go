package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk that fills up while clients are served: they are told, the log and /readyz say
// so, what was acknowledged is served, offsets are committed, topics deleted, and with room
// again all goes on.
func TestADiskThatFillsUpIsToldAndRecoversFrom(t *testing.T) {
	dir, arena := onDisk(t, 96<<20, ""), memoryDir(t)
	stuffing := filepath.Join(dir, "stuffing")
	p := launch(t, small(filepath.Join(dir, "data"), arena, "--shards", "1")...)
	f := p.ready()
	if err := os.WriteFile(stuffing, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f.Listeners[0].Address)
	for _, name := range []string{"demo", "other"} {
		if err := c.createTopic(name, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	b := oneBatch(strings.Repeat("x", 256<<10))
	next := int64(0)
	refused := func() error {
		base, err := c.produce("demo", 0, b)
		if err == nil {
			if base != next {
				t.Fatalf("offset %d; want %d", base, next)
			}
			next++
		}
		return err
	}
	var err error
	for err == nil && next < 1000 {
		err = refused()
	}
	if err == nil || !strings.Contains(err.Error(), "code 56") {
		t.Fatalf("after %d batches: %v", next, err)
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not in %s: %s", what, patience, p.said())
			}
		}
	}
	eventually("/readyz says so", func() bool {
		code, body := get("http://" + f.Admin + "/readyz")
		return code == 503 && strings.Contains(body, "is full") && strings.Contains(body, "retention")
	})
	eventually("the log says so", func() bool { return strings.Contains(p.said(), "the disk is full") })
	seen := int64(0)
	if _, err := c.read("demo", 0, func(offset int64, _ []byte) { seen++ }); err != nil || seen != next {
		t.Fatalf("%d of %d records: %v", seen, next, err)
	}
	makeRoom(t, c)
	if err := refused(); err == nil || !strings.Contains(err.Error(), "code 56") {
		t.Errorf("the disk is not full any more: %v", err)
	}
	if err := os.Remove(stuffing); err != nil {
		t.Fatal(err)
	}
	eventually("records are taken in", func() bool { return refused() == nil })
	eventually("/readyz", func() bool { code, _ := get("http://" + f.Admin + "/readyz"); return code == 200 })
	eventually("the log says that there is room", func() bool { return strings.Contains(p.said(), "has room again") })
	if err := c.createTopic("another", 1, nil); err != nil {
		t.Error(err)
	}
	p.signal(syscall.SIGTERM)
	if n := p.ended(); n != 0 {
		t.Errorf("exit code %d: %s", n, p.said())
	}
	c = connect(t, launch(t, small(filepath.Join(dir, "data"), arena, "--shards", "1")...).ready().Listeners[0].Address)
	isMade(t, c)
}

// makeRoom does what clients do on a full disk besides reading.
func makeRoom(t *testing.T, c *client) {
	t.Helper()
	for i := range int64(100) {
		if err := c.commit("readers", "demo", 0, i); err != nil {
			t.Fatalf("commit %d on a full disk: %v", i, err)
		}
	}
	if err := c.deleteTopic("other"); err != nil {
		t.Errorf("delete a topic on a full disk: %v", err)
	}
	if start, err := c.deleteRecords("demo", 0, 1); err != nil || start != 1 {
		t.Errorf("delete records on a full disk: the log starts at %d, %v", start, err)
	}
}

// isMade looks whether it lasted.
func isMade(t *testing.T, c *client) {
	t.Helper()
	if at, err := c.committed("readers", "demo", 0); err != nil || at != 99 {
		t.Errorf("after a start the group is at %d, %v", at, err)
	}
	topics, err := c.topics()
	if _, there := topics["other"]; err != nil || there || topics["another"] != 1 {
		t.Errorf("after a start the topics are %v, %v", topics, err)
	}
}
