package main

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard"
)

// A client of a per-core port is on a core that its broker stands for, and every such
// core has its share; those of the normal port are shared by all.
func TestConnectionsGoToTheLoopsOfTheirPort(t *testing.T) {
	loops := make([]*netio.Loop, 5)
	for i := range loops {
		loops[i] = new(netio.Loop)
	}
	for _, c := range []struct {
		core, brokers int
		want          []int
	}{
		{core.NormalView, 0, []int{0, 1, 2, 3, 4}},
		{core.NormalView, 3, []int{0, 1, 2, 3, 4}},
		{0, 5, []int{0}},
		{4, 5, []int{4}},
		{0, 3, []int{0, 3}},
		{1, 3, []int{1, 4}},
		{2, 3, []int{2}},
		{0, 1, []int{0, 1, 2, 3, 4}},
	} {
		next, got := spread(loops, c.core, c.brokers), map[int]int{}
		for range 3 * len(c.want) {
			got[slices.Index(loops, next())]++
		}
		for _, i := range c.want {
			if got[i] != 3 {
				t.Errorf("core %d of %d: loop %d got %d of %d connections; want 3", c.core, c.brokers, i, got[i], 3*len(c.want))
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("core %d of %d: connections went to %v; want %v", c.core, c.brokers, got, c.want)
		}
	}
}

// stillLoop is a loop without connections; the test gives the turns.
type stillLoop struct{ core.Loop }

func (stillLoop) Ring()               {}
func (stillLoop) Timer(time.Duration) {}

// heap is a worker whose jobs the test does.
type heap struct{ jobs []core.Job }

func (h *heap) Submit(j core.Job) { h.jobs = append(h.jobs, j) }

// stillShard is a shard with one partition, on files that fail as told.
func stillShard(t *testing.T, disk *fakefs.FS) (s *shard.Shard, turn func()) {
	t.Helper()
	var catalog atomic.Pointer[core.Catalog]
	catalog.Store(core.NewCatalog(1, 0, []*core.Topic{{ID: core.TopicID{1}, Name: "t", Partitions: []core.ShardID{0}, Config: core.DefaultTopicConfig()}}))
	work := new(heap)
	s, err := shard.New(shard.Config{Env: core.System{}, Loop: stillLoop{}, Cluster: &core.Cluster{Shards: 1}, Catalog: &catalog,
		Store:   segment.Config{FS: disk, Arena: disk, ArenaBytes: 4 << 20, JournalBytes: 8 << 20, Sync: work, Write: work, Read: work},
		Control: work})
	if err != nil {
		t.Fatal(err)
	}
	shard.Connect([]*shard.Shard{s})
	return s, func() {
		s.EndTurn()
		for len(work.jobs) > 0 {
			j := work.jobs[0]
			work.jobs = work.jobs[1:]
			j.Run()
			j.Done()
			s.EndTurn()
		}
	}
}

// A broker one of whose shards acknowledges nothing any more is not ready: whoever sends
// clients to it sends them elsewhere before it has ended.
func TestABrokerWithAFailedShardIsNotReady(t *testing.T) {
	files := fakefs.New()
	well, _ := stillShard(t, fakefs.New())
	ill, turn := stillShard(t, files)
	s := &server{disk: new(disk)}
	s.enter(phaseServing)
	s.running.Store(&running{shards: []*shard.Shard{well, ill}})
	if err := s.isReady(); err != nil {
		t.Fatalf("before anything failed: %v", err)
	}
	files.FailNth(fakefs.OpSync, 1, errors.New("input/output error"))
	ill.Stop(func(error) {}) // its checkpoint meets the error
	turn()
	if err := s.isReady(); err == nil || !strings.Contains(err.Error(), "shard 1") || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("the broker is not ready because of: %v", err)
	}
}
