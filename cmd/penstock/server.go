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
	coresMax      = 8 // per-core ports
	chunkBytes    = 64 << 10
	probeLimit    = 50 * time.Millisecond
	spareFiles    = 512 // descriptors kept from connections, beside the open segments' share
	healthPatient = 5 * time.Second
)

// server is everything that runs between open and stop.
type server struct {
	cfg       *config
	log       *slog.Logger
	lines     *outlet // of the log
	facts     facts
	fs        segment.FS
	unlock    func() error
	meta      *meta.Controller
	changing  sync.Mutex // one command at a time, from whichever shard
	cluster   core.Cluster
	last      *core.Catalog // of the last run, before partitions were moved
	loops     []*netio.Loop
	shards    []*shard.Shard
	workers   []*shard.Worker
	listeners []*netio.Listener
	limit     *netio.Limit
	stopped   chan struct{} // closed when the listeners are
	admin     *admin.Server
	failed    chan error
	disk      *disk
	kafka     kafka.Options // of all sessions

	arena, lastArena       segment.FS // of this run, and of the last one if it did not stop
	arenaDir, lastArenaDir string
	arenaLock              *os.File // held until the process ends

	// What the admin port shows, which is up before all else.
	phase   atomic.Pointer[string]
	running atomic.Pointer[running] // nil until clients are served
}

// running is what does not change any more once clients are served.
type running struct {
	facts   facts
	loops   []*netio.Loop
	shards  []*shard.Shard
	catalog *atomic.Pointer[core.Catalog]
}

// Phases of a server, as /readyz and /v1/status name them.
const (
	phaseStarting   = "starting"
	phaseRecovering = "recovering the data"
	phaseServing    = "serving"
	phaseStopping   = "stopping"
)

func (s *server) enter(phase string) { s.phase.Store(&phase) }

// setCollector lets the heap, which is small (message bytes lie outside of it), grow
// before it is collected. The environment of the Go runtime comes first.
func setCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if m := perf.Memory(); m > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(m * 3 / 4)
	}
}

// open brings everything up, lowest first. On an error what was opened is left to the
// end of the process: nothing has been acknowledged.
func open(cfg *config, log logger) (*server, error) {
	begin := time.Now()
	s := &server{cfg: cfg, log: log.Logger, lines: log.out, facts: newFacts(), failed: make(chan error, 1)}
	setCollector()
	s.enter(phaseStarting)
	for _, step := range []func() error{s.takeData, s.openAdmin, s.tryPorts, s.openData, s.recover, s.ensureOffsets, s.layOut, s.startShards, s.listen} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s.facts.ReadyMs = time.Since(begin).Milliseconds()
	s.running.Store(&running{s.facts, s.loops, s.shards, s.meta.Catalog()})
	s.enter(phaseServing)
	return s, nil
}

// takeData makes the data directory ours.
func (s *server) takeData() error {
	s.facts.CPUs, s.facts.Shards = perf.CPUs(), s.cfg.Shards
	if s.facts.Shards == 0 {
		s.facts.Shards = s.facts.CPUs
	}
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; choose another with --data", err)
	}
	var err error
	if s.unlock, err = segment.Lock(s.cfg.Data); err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("the data directory cannot be written: %w; make it writable for this user, or choose another with --data", err)
	}
	return err
}

// openData reads the catalog, and measures the disk.
func (s *server) openData() error {
	dir := s.cfg.Data
	s.fs = segment.NewOSFS(dir)
	free, err := s.fs.Free()
	if err != nil {
		return err
	}
	if s.disk, err = newDisk(dir); err != nil {
		return err
	}
	go s.disk.watch()
	name := perf.FileSystem(dir)
	s.facts.Data = dataFacts{dir, name, free, dataNote(name)}
	sync, err := perf.ProbeSync(dir, probeLimit)
	if err != nil {
		return fmt.Errorf("%w; free space in %s, or choose another directory with --data", err, dir)
	}
	def, err := core.ParseTopicConfig(core.DefaultTopicConfig(), s.cfg.Topic)
	if err != nil {
		return err
	}
	s.facts.Durability = durabilityFacts{def.Durability.String(), millis(sync.Median), millis(sync.Worst), sync.Count}
	s.facts.Arena, s.facts.Journal = s.cfg.Arena, s.cfg.Journal
	s.meta, err = meta.Open(s.fs, meta.Options{Env: core.System{}, Shards: s.facts.Shards, Partitions: s.cfg.NumPartitions, Defaults: def, PartitionsMax: s.cfg.Partitions})
	if err != nil {
		return err
	}
	s.facts.Cluster = s.meta.ClusterID()
	return s.openArena()
}

// recover makes the files say what was acknowledged, before anything else reads them.
func (s *server) recover() error {
	s.enter(phaseRecovering)
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
	s.last = s.meta.Catalog().Load()
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
	if s.cluster.Brokers = s.corePorts(); s.cluster.Brokers > 0 {
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
	rec, err := segment.Recover(segment.RecoverConfig{FS: s.fs, Arena: s.lastArena, Shards: s.facts.Shards, Topics: known, Deleted: s.meta.IsDeleted, Clean: s.facts.Recovery.Clean, Owners: s.lastOwners})
	if err != nil {
		return fmt.Errorf("recover the data in %s: %w", s.cfg.Data, err)
	}
	s.facts.Recovery.take(rec)
	s.kafka = kafka.Options{FrameMax: s.cfg.RequestMax, FetchMax: s.cfg.FetchMax, IdleMax: time.Duration(s.cfg.IdleMs) * time.Millisecond,
		AutoCreate: s.cfg.AutoCreate, OffsetsTopic: offsetsTopic, Defaults: s.topicDefaults(), Broker: s.cfg.Broker, LogDir: s.disk.dir, Disk: s.disk.space}
	if err := s.meta.Sweep(); err != nil {
		return fmt.Errorf("forget deleted topics: %w", err)
	}
	if err := s.keepArena(); err != nil {
		return err
	}
	for i := range s.facts.Shards {
		if err := s.startShard(core.ShardID(i), rec); err != nil {
			return err
		}
	}
	if err := s.dropLastArena(); err != nil {
		return err
	}
	shard.Connect(s.shards)
	for i, l := range s.loops {
		if err := l.Start(s.shards[i]); err != nil {
			return err
		}
	}
	return nil
}

// lastOwners is who wrote to which partition in the last run.
func (s *server) lastOwners() map[core.PartitionID]core.ShardID {
	owners := map[core.PartitionID]core.ShardID{}
	for _, t := range s.last.Topics {
		for i, owner := range t.Partitions {
			owners[core.PartitionID{Topic: t.ID, Index: int32(i)}] = owner
		}
	}
	return owners
}

// heldMax is what one of the loops may keep of unfinished requests: an eighth of the
// memory is for those of all loops, and no loop needs more than half a GiB. A loop that
// gets less than the largest request still puts one together at a time (netio), so the
// bound of all is the eighth, or one request per loop if that is more.
func heldMax(memory int64, loops int) int {
	const most = 512 << 20
	if memory <= 0 {
		return 0 // unknown: netio's default
	}
	return int(min(max(memory/8/int64(loops), 1), most))
}

func (s *server) startShard(id core.ShardID, rec *segment.Recovery) error {
	var lines sparing
	loop, err := netio.NewLoop(netio.Config{FrameMax: s.cfg.RequestMax + 4, HeldMax: heldMax(perf.Memory(), s.facts.Shards), Congestion: s.cfg.Congestion, OnError: func(err error) {
		if n, ok := lines.allow(core.Mono()); ok {
			s.log.Warn("a connection was closed", "shard", id, "reason", err.Error(), "left_out", n)
		}
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
			JournalBytes: s.cfg.Journal, CheckpointBytes: s.cfg.Checkpoint, FilesMax: segmentsMax(s.facts.Shards), Sync: worker(), Write: worker(), Flush: worker(), Read: worker()},
		Control: worker(), Change: s.change, Gone: s.gone, Sessions: s.newSession, Services: s.newService, OnFailure: s.storageFailed,
	})
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w; %d shards want %s each for a journal: --journal makes them smaller, --data puts them elsewhere", err, s.facts.Shards, formatSize(s.cfg.Journal))
	} else if err != nil {
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
	return kafka.New(h, c, s.kafka)
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
