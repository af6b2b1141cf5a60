package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/netio/admin"
	"github.com/penstock/penstock/perf"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/kafka"
	"github.com/penstock/penstock/shard/kafka/group"
	"github.com/penstock/penstock/shard/meta"
	"github.com/penstock/penstock/shard/session"
)

const (
	cleanMarker   = "clean" // written last by a clean shutdown, removed before the first write
	nodeID        = 1
	coreNodeBase  = 1001
	offsetsTopic  = "__consumer_offsets"
	offsetsParts  = 16
	chunkBytes    = 64 << 10
	probeLimit    = 50 * time.Millisecond
	spareFiles    = 512 // descriptors kept from connections, beside the open segments' share
	healthPatient = 5 * time.Second
)

// server is everything that runs between open and stop.
type server struct {
	cfg       *config
	log       *slog.Logger
	facts     facts
	fs        segment.FS
	arena     segment.FS
	unlock    func() error
	meta      *meta.Controller
	changing  sync.Mutex // one command at a time, from whichever shard
	cluster   core.Cluster
	loops     []*netio.Loop
	shards    []*shard.Shard
	workers   []*shard.Worker
	listeners []*netio.Listener
	admin     *admin.Server
	serving   atomic.Bool
	failed    chan error
	disk      *disk
}

// open brings everything up, lowest first. On an error what was opened is left to the
// end of the process: nothing has been acknowledged.
func open(cfg *config, log *slog.Logger) (*server, error) {
	begin := time.Now()
	s := &server{cfg: cfg, log: log, facts: newFacts(), failed: make(chan error, 1)}
	debug.SetGCPercent(400) // the heap is small; message bytes lie outside of it
	if m := perf.Memory(); m > 0 {
		debug.SetMemoryLimit(m * 3 / 4)
	}
	for _, step := range []func() error{s.openData, s.recover, s.ensureOffsets, s.layOut, s.startShards, s.listen} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s.serving.Store(true)
	s.facts.ReadyMs = time.Since(begin).Milliseconds()
	return s, nil
}

// openData takes the data directory, and measures its disk.
func (s *server) openData() error {
	dir := s.cfg.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; choose another with --data", err)
	}
	var err error
	if s.unlock, err = segment.Lock(dir); err != nil {
		return err
	}
	s.fs = segment.NewOSFS(dir)
	free, err := s.fs.Free()
	if err != nil {
		return err
	}
	if s.disk, err = newDisk(dir); err != nil {
		return err
	}
	s.facts.Data = dataFacts{dir, perf.FileSystem(dir), free}
	sync, err := perf.ProbeSync(dir, probeLimit)
	if err != nil {
		return fmt.Errorf("%w; free space in %s, or choose another directory with --data", err, dir)
	}
	def, err := core.ParseTopicConfig(core.DefaultTopicConfig(), s.cfg.Topic)
	if err != nil {
		return err
	}
	s.facts.Durability = durabilityFacts{def.Durability.String(), millis(sync.Median), millis(sync.Worst), sync.Count}
	shards := s.cfg.Shards
	if shards == 0 {
		shards = perf.CPUs()
	}
	s.facts.Shards, s.facts.CPUs = shards, perf.CPUs()
	s.facts.Arena, s.facts.Journal = s.cfg.Arena, s.cfg.Journal
	s.meta, err = meta.Open(s.fs, meta.Options{Env: core.System{}, Shards: shards, Partitions: s.cfg.NumPartitions, Defaults: def, PartitionsMax: s.cfg.Partitions})
	if err != nil {
		return err
	}
	s.facts.Cluster = s.meta.ClusterID()
	return s.openArena()
}

// openArena chooses where the tails lie: memory if there is room for them, in a
// directory that belongs to this data directory alone.
func (s *server) openArena() error {
	need := s.cfg.Arena * int64(s.facts.Shards)
	dir := s.cfg.ArenaDir
	if dir == "auto" {
		dir = "/dev/shm"
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) != nil || int64(st.Bavail)*st.Bsize < need+need/4 {
			dir = s.cfg.Data
		}
	}
	if dir != s.cfg.Data {
		dir = filepath.Join(dir, "penstock-"+s.meta.ClusterID())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the arenas: %w; choose another with --arena-dir", err)
	}
	s.arena = segment.NewOSFS(dir)
	s.facts.ArenaDir = perf.FileSystem(dir)
	return nil
}

// recover makes the files say what was acknowledged, before anything else reads them.
func (s *server) recover() error {
	clean := true
	if _, err := os.Stat(filepath.Join(s.cfg.Data, cleanMarker)); errors.Is(err, fs.ErrNotExist) {
		clean = s.meta.Catalog().Load().Revision == 0 // a new directory has nothing to lose
	}
	if err := errors.Join(s.fs.Remove(cleanMarker), s.fs.SyncDir(".")); err != nil {
		return err
	}
	if !clean {
		if err := s.meta.UncleanStart(); err != nil {
			return err
		}
	}
	s.facts.Recovery.Clean = clean
	moved, err := s.meta.Rebalance()
	if err != nil {
		return err
	}
	s.facts.Recovery.Moved = moved
	return nil
}

// layOut settles what clients of each view are shown.
func (s *server) layOut() error {
	n := s.facts.Shards
	s.cluster = core.Cluster{ID: s.meta.ClusterID(), Node: nodeID, CoreBase: coreNodeBase, Shards: n}
	if h, err := os.Hostname(); err == nil {
		s.cluster.Rack = h
	}
	host, port := s.cfg.Advertised, int32(0)
	if h, p, ok := splitHostPort(s.cfg.Advertised); ok {
		host, port = h, p
	}
	s.cluster.Listeners = []core.Listener{{Protocol: "kafka", Bind: s.cfg.Kafka, Core: core.NormalView, Advertised: host, Port: port}}
	if s.cfg.CorePorts == "on" || s.cfg.CorePorts == "auto" && !perf.InContainer() {
		s.cluster.Brokers = min(n, 8)
		bindHost, _, _ := splitHostPort(s.cfg.Kafka)
		for i := range s.cluster.Brokers {
			s.cluster.Listeners = append(s.cluster.Listeners, core.Listener{Protocol: "kafka", Bind: joinHostPort(bindHost, s.cfg.CorePort+i), Core: i, Advertised: host, Port: int32(s.cfg.CorePort + i)})
		}
	}
	return nil
}

// startShards recovers the logs and opens a shard on a loop of its own per core.
func (s *server) startShards() error {
	catalog := s.meta.Catalog()
	known := func(p core.PartitionID) bool { _, ok := catalog.Load().Owner(p); return ok }
	rec, err := segment.Recover(segment.RecoverConfig{FS: s.fs, Arena: s.arena, Shards: s.facts.Shards, Topics: known, Deleted: s.meta.IsDeleted, Clean: s.facts.Recovery.Clean})
	if err != nil {
		return fmt.Errorf("recover the data in %s: %w", s.cfg.Data, err)
	}
	s.facts.Recovery.take(rec)
	if err := s.meta.Sweep(); err != nil {
		return fmt.Errorf("forget deleted topics: %w", err)
	}
	for i := range s.facts.Shards {
		if err := s.startShard(core.ShardID(i), rec); err != nil {
			return err
		}
	}
	shard.Connect(s.shards)
	for i, l := range s.loops {
		if err := l.Start(s.shards[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) startShard(id core.ShardID, rec *segment.Recovery) error {
	loop, err := netio.NewLoop(netio.Config{FrameMax: s.cfg.RequestMax + 4, Congestion: s.cfg.Congestion, OnError: func(err error) {
		s.log.Warn("a connection was closed", "shard", id, "reason", err.Error())
	}})
	if err != nil {
		return err
	}
	worker := func() core.Worker {
		w := shard.NewWorker(loop.Ring)
		s.workers = append(s.workers, w)
		return w
	}
	sh, err := shard.New(shard.Config{
		ID: id, Env: core.System{}, Loop: loop, Cluster: &s.cluster, Catalog: s.meta.Catalog(), Recovery: rec,
		Store: segment.Config{FS: s.fs, Arena: s.arena, ArenaBytes: s.cfg.Arena, ChunkBytes: chunkBytes,
			JournalBytes: s.cfg.Journal, CheckpointBytes: s.cfg.Checkpoint, Sync: worker(), Write: worker(), Read: worker()},
		Control: worker(), Change: s.change, Gone: s.gone, Sessions: s.newSession, Services: s.newService, OnFailure: s.storageFailed,
	})
	if err != nil {
		return err
	}
	s.loops, s.shards = append(s.loops, loop), append(s.shards, sh)
	return nil
}

func (s *server) change(cmd core.Command) core.CommandResult {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.meta.Do(cmd)
}

// gone lets the catalog forget deleted topics of which nothing is left.
func (s *server) gone(id core.ShardID, topics []core.TopicID) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.meta.Gone(id, topics); err != nil {
		s.log.Warn("deleted topics are not forgotten yet", "error", err.Error())
	}
}

func (s *server) storageFailed(p core.PartitionID, err error) {
	if (p != core.PartitionID{}) {
		s.log.Error("a partition cannot be written", "partition", p.String(), "error", err.Error())
		return
	}
	select {
	case s.failed <- err:
	default: // one is enough
	}
}

func (s *server) newSession(h session.Host, c core.ConnInfo) session.Session {
	return kafka.New(h, c, kafka.Options{FrameMax: s.cfg.RequestMax, FetchMax: s.cfg.FetchMax, IdleMax: time.Duration(s.cfg.IdleMs) * time.Millisecond,
		AutoCreate: s.cfg.AutoCreate, OffsetsTopic: offsetsTopic, Defaults: s.topicDefaults(), Broker: s.brokerSettings(), LogDir: s.disk.dir, Disk: s.disk.space})
}

func (s *server) newService(h session.Host, t *core.Topic, p core.PartitionID) session.Service {
	if t.Name != offsetsTopic {
		return nil
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	return group.New(h, p, group.Options{InitialRebalanceDelay: ms(s.cfg.RebalanceMs), SessionTimeoutMin: ms(s.cfg.SessionMinMs), SessionTimeoutMax: ms(s.cfg.SessionMaxMs),
		MembersMax: min(s.cfg.GroupSizeMax, math.MaxInt32), OffsetsRetention: time.Duration(s.cfg.OffsetsMin) * time.Minute})
}

// ensureOffsets makes the internal topic of the groups at the first start.
func (s *server) ensureOffsets() error {
	if s.meta.Catalog().Load().Topic(offsetsTopic) != nil {
		return nil
	}
	r := s.meta.Do(core.Command{Kind: core.CreateTopic, Topic: offsetsTopic, Internal: true, Partitions: offsetsParts})
	if r.Code != core.OK {
		return fmt.Errorf("make the topic %s: %s", offsetsTopic, r.Text)
	}
	return nil
}
