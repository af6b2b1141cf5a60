package segment

import (
	"time"

	"github.com/penstock/penstock/core"
)

// Config is what a store needs. The workers run jobs of this store; Host is called on
// the loop.
type Config struct {
	Shard           core.ShardID
	FS              FS // the data directory
	Arena           FS // where the arena lives: tmpfs, or the data directory
	Env             core.Env
	ArenaBytes      int64
	ChunkBytes      int
	JournalBytes    int64
	CheckpointBytes int64
	Sync            core.Worker
	Write           core.Worker
	Read            core.Worker
	Host            Host
}

// Host is called back by the store, always on the loop.
type Host interface {
	// Durable says that l.Durable() moved; once per log and commit.
	Durable(l *Log)
	// Failed says that storage failed for good; l is nil for the whole store: nothing is
	// acknowledged any more.
	Failed(l *Log, err error)
	// Ready says that a Read or FindTime that was not ready can be tried again.
	Ready(l *Log)
	// Snapshot appends the fold of l as of l.End() to dst, for a checkpoint.
	Snapshot(l *Log, dst []byte) []byte
	// Relieved says that Pressure went back to false.
	Relieved()
}

// LogConfig is the part of a topic's configuration that a log obeys.
type LogConfig struct {
	Durability                                                                   core.Durability
	SegmentBytes, SegmentMs, RetentionMs, RetentionBytes, FlushMs, FlushMessages int64
}

// Stats are counters of one store, a snapshot.
type Stats struct {
	Appended, Journaled, Written int64 // bytes
	Commits, Checkpoints         int64
	ChunksFree, Chunks, Logs     int
	Pending                      int64 // bytes not yet in a group
}

// Store keeps the logs of one shard. All methods are called on the loop.
type Store struct {
	cfg Config
}

// OpenStore makes the arena and an empty journal; it blocks, and comes after Recover.
func OpenStore(c Config) (*Store, error) { return &Store{cfg: c}, nil }

// Open makes a log known; r is nil for a new partition. It does no I/O.
func (s *Store) Open(id core.PartitionID, c LogConfig, r *Recovered) *Log {
	return &Log{s: s, id: id, cfg: c}
}

// SetConfig changes what a log obeys, from now on.
func (s *Store) SetConfig(l *Log, c LogConfig) { l.cfg = c }

// Remove forgets a log whose topic was deleted, and deletes its files in a job.
func (s *Store) Remove(l *Log) {}

// Commit ends a turn: it starts what is due.
func (s *Store) Commit() {}

// Tick does what depends on time; see NextTick.
func (s *Store) Tick() {}

// NextTick is how long from now Tick wants to be called.
func (s *Store) NextTick() time.Duration { return 100 * time.Millisecond }

// Pressure says to stop reading from producers.
func (s *Store) Pressure() bool { return false }

// Shutdown writes and syncs everything, then calls done on the loop.
func (s *Store) Shutdown(done func(error)) { done(nil) }

// Stats is a snapshot.
func (s *Store) Stats() Stats { return Stats{} }
