package segment

import (
	"errors"
	"time"

	"github.com/penstock/penstock/core"
)

// Config is what a store needs. The workers run jobs of this store; Host is called on
// the loop. Zero sizes take the defaults below.
type Config struct {
	Shard           core.ShardID
	FS              FS // the data directory
	Arena           FS // where the arena lives: tmpfs, or the data directory
	Env             core.Env
	ArenaBytes      int64
	ChunkBytes      int
	JournalBytes    int64
	CheckpointBytes int64
	IndexBytes      int64 // of index blocks in memory, beside those that grow
	FilesMax        int   // segments with open descriptors, beside those in use
	WarmBytes       int64 // of file data that the page cache is taken to hold
	Sync            core.Worker
	Write           core.Worker
	Flush           core.Worker // syncs, and removes files; nil: Write, which they then hold up
	Read            core.Worker
	Host            Host
}

const (
	arenaDefault      = 96 << 20
	chunkDefault      = 64 << 10
	journalDefault    = 512 << 20
	checkpointDefault = 64 << 20
	indexDefault      = 32 << 20
	filesDefault      = 4096
	warmDefault       = 256 << 20

	pendingMax   = 8 << 20 // bytes that wait for a group before reading stops
	backlogMax   = 8 << 20 // bytes of full chunks that wait for the writer, likewise
	strideChunks = 2       // full chunks of a log that make a write worth while
	tickEvery    = 100     // ms: what waits for something that nobody tells of is looked at this often
	idleEvery    = 1000    // ms: partial chunks are written after about this time
	retainEvery  = 30000   // ms: a log is looked at this often,
	retainStep   = 100     // with so many others
	flushMsMax   = 1 << 50 // no bound; times can be added to it
)

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

// LogConfig is the part of a topic's configuration that a log obeys; -1 is no limit.
type LogConfig struct {
	Durability     core.Durability
	SegmentBytes   int64
	SegmentMs      int64
	RetentionMs    int64
	RetentionBytes int64
	FlushMs        int64
	FlushMessages  int64
	Vital          bool // small, and appended to while the disk is full as well; see Store.spare
}

// Stats are counters of one store, a snapshot.
type Stats struct {
	Appended, Written    int64 // bytes, by appends and into segments
	Commits, Checkpoints int64
	Chunks, ChunksFree   int
	Logs                 int
	Pending              int64 // bytes that wait for a group commit
	Looked               int64 // logs looked at by ticks, checkpoints and a writer that is behind
	IndexBlocks          int   // in memory, beside those that grow
	Segments             int   // with a descriptor
	Full                 bool  // the disk is: appends are refused until a write succeeds
}

// Store keeps the logs of one shard. All methods are called on the loop.
type Store struct {
	cfg       Config
	arena     *arena
	j         *journal
	logs      []*Log // in the order of Open, so that a run can be repeated
	failed    error
	full      bool // the disk is: appends are refused, writes tried again
	retryAt   int64
	pressed   bool
	pending   int64
	sinceMark int64
	unsynced  []*Log // have spans for the next group
	writable  []*Log // have a stride of full chunks
	filled    []*Log // have had a full chunk since they were written
	dirtyLogs []*Log // have bytes that are not in their segment, or are not durable there
	markLogs  []*Log // changed since the latest checkpoint
	trims     []trim // for the next group
	sealing   []sealTask
	cache     cache
	slots     func() *indexSlots // of the cache
	heat      int64              // bytes of files written and read ahead
	warmJobs  warmJobs
	drops     []dropTask
	zombies   []dropTask // unlinked, and held by a reader
	dead      []*chunk   // of removed logs, until the writer is done
	flushDue  bool
	flushMs   int64 // the shortest bound of an interval log with something to flush; 0: none
	flushAt   int64 // when the first of them is due that the latest tick saw; 0: none
	idleAt    int64 // not before this
	idleSeen  int64 // Stats.Appended + Written when partial chunks were written last
	idleMoved bool  // they had changed then, so there is something to take back
	retainAt  int64
	group     syncJob
	write     writeJob
	flush     flushJob
	drop      dropJob
	ckSeq     uint64
	ckFailed  bool  // the latest one
	places    []int // in the checkpoint, free ones
	placesMax int
	gonePlace []int // of removed logs, for the next checkpoint
	retainPos int
	stopping  func(error)
	lastTry   bool // the shutdown has tried to write to a full disk
	stats     Stats
}

// OpenStore makes the arena and an empty journal; it blocks, and comes after Recover.
func OpenStore(c Config) (*Store, error) {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.ArenaBytes, arenaDefault)
	def(&c.JournalBytes, journalDefault)
	def(&c.CheckpointBytes, checkpointDefault)
	def(&c.IndexBytes, indexDefault)
	def(&c.WarmBytes, warmDefault)
	c.WarmBytes = max(c.WarmBytes, warmMin)
	if c.FilesMax == 0 {
		c.FilesMax = filesDefault
	}
	if c.ChunkBytes == 0 {
		c.ChunkBytes = chunkDefault
	}
	if c.JournalBytes < 2*c.ArenaBytes {
		c.JournalBytes = (2*c.ArenaBytes + journalPage - 1) &^ (journalPage - 1) // the largest group always finds room
	}
	if c.Flush == nil {
		c.Flush = c.Write
	}
	s := &Store{cfg: c, cache: newCache(c.IndexBytes, c.FilesMax)}
	s.slots = s.cache.slots
	s.group.s, s.write.s, s.flush.s, s.drop.s = s, s, s, s
	dir := shardDir(c.Shard)
	if err := c.FS.MkdirAll(dir); err != nil {
		return nil, err
	}
	ck, err := latestCheckpoint(c.FS, dir)
	if err != nil {
		return nil, err
	}
	s.ckSeq = ck.seq
	// The journal first: where the arena's id is, there was a journal.
	if s.j, err = openJournal(c.FS, dir, c.JournalBytes, ck.jseq); err != nil {
		return nil, err
	}
	id := newArenaID(c.Env, c.ArenaBytes, c.Arena.Boot())
	if s.arena, err = openArena(c.Arena, arenaName(c.Shard), c.ArenaBytes, c.ChunkBytes, id.id); err != nil {
		return nil, err
	}
	if err := writeArenaID(c.FS, dir, id); err != nil {
		return nil, err
	}
	now := s.mono()
	s.idleAt, s.retainAt = now+idleEvery, now+tickEvery
	return s, nil
}

func shardDir(id core.ShardID) string { return "shards/" + itoa(int(id)) }

// Open makes a log known; r is nil for a new partition. It does no I/O.
func (s *Store) Open(id core.PartitionID, c LogConfig, r *Recovered) *Log {
	l := &Log{s: s, id: id, cfg: c, at: len(s.logs), place: s.placesMax}
	if r != nil {
		l.start, l.kept, l.end, l.durable = r.Start, r.Start, r.End, r.End
		l.segs, l.mark, l.hint = r.segs, r.mark, r.hint
		if r.Quarantined != nil {
			l.bad, l.frozen = core.ErrQuarantined, true
		}
		for _, g := range l.segs {
			if g.closedAt == 0 { // its records are not younger than this
				g.closedAt = s.cfg.Env.Wall()
			}
			if g.reserved && !l.frozen {
				s.sealing = append(s.sealing, sealTask{l: l, g: g, space: true})
			}
		}
	}
	l.mark.id = id
	if n := len(s.places); n > 0 {
		l.place, s.places = s.places[n-1], s.places[:n-1]
	} else {
		s.placesMax++
	}
	s.logs = append(s.logs, l)
	s.remark(l)
	return l
}

// SetConfig changes what a log obeys, from now on. A log that becomes synced has its
// unsynced past flushed first: durable moves over it when that is done.
func (s *Store) SetConfig(l *Log, c LogConfig) {
	if c.Durability != l.cfg.Durability && l.durable < l.end {
		s.flushDue, l.since = true, 1
		s.Checkpoint() // recovery trusts it, not the flush
		s.dirty(l)
	}
	if c.Durability == core.Interval && l.since > 0 {
		s.flushWithin(c.FlushMs)
	}
	l.cfg = c
}

// dirty puts a log on the list of those with bytes to write or to sync.
func (s *Store) dirty(l *Log) {
	if !l.inDirty {
		l.inDirty = true
		s.dirtyLogs = append(s.dirtyLogs, l)
	}
	s.remark(l)
}

func (s *Store) remark(l *Log) {
	if !l.inMark {
		l.inMark = true
		s.markLogs = append(s.markLogs, l)
	}
}

// wantWrite puts a log with full chunks on the lists that the writer looks at.
func (s *Store) wantWrite(l *Log) {
	if !l.inFilled {
		l.inFilled = true
		s.filled = append(s.filled, l)
	}
	if l.full >= strideChunks && !l.inWrite {
		l.inWrite = true
		s.writable = append(s.writable, l)
	}
}

// room says whether an append of this size finds its chunks.
func (s *Store) room(size int) bool {
	need := size/s.arena.chunkBytes + 2
	if len(s.arena.free) < need {
		s.arena.sweep()
	}
	return len(s.arena.free) >= need
}

// low says that less than a tenth of the pool is free.
func (s *Store) low() bool { return len(s.arena.free) < len(s.arena.chunks)/10+1 }

// behind says that more is waiting for the writer than it takes from memory that the
// processor still has in its cache: a larger backlog makes nothing faster.
func (s *Store) behind() bool { return s.arena.backlog > backlogMax }

// Commit ends a turn: it starts what is due and has no job under way.
func (s *Store) Commit() {
	if s.failed != nil {
		s.finish()
		return
	}
	s.commitGroup()
	s.startWrite()
	if was := s.pressed; was && !s.Pressure() {
		s.cfg.Host.Relieved()
	}
	s.finish()
}

// Tick does what depends on time; see NextTick.
func (s *Store) Tick() {
	if s.failed != nil {
		s.arena.sweep()
		return
	}
	now := s.mono()
	if s.full && now >= s.retryAt {
		s.flushDue = true
	}
	s.tickFlush(now)
	if s.unsettled() && now >= s.idleAt {
		seen := s.stats.Appended + s.stats.Written
		s.idleAt, s.idleMoved, s.idleSeen = now+idleEvery, seen != s.idleSeen, seen
		s.write.idle = true
	}
	if now >= s.retainAt {
		n, pause := s.retainPace()
		s.retainAt = now + pause
		s.retain(s.cfg.Env.Wall(), n)
	}
	rest := s.zombies[:0]
	for _, d := range s.zombies {
		if d.seg.pin.Held() {
			rest = append(rest, d)
		} else {
			s.drops = append(s.drops, d)
		}
	}
	s.zombies = rest
	s.arena.sweep()
	s.Commit()
}

// unsettled says that partial chunks may have to be written or taken back: the last time
// that was done something had changed, or it has since.
func (s *Store) unsettled() bool {
	return s.idleMoved || s.stats.Appended+s.stats.Written != s.idleSeen
}

// tickFlush finds out whether an interval log has to be flushed, or when the next one has.
func (s *Store) tickFlush(now int64) {
	if s.flushMs == 0 || s.flushDue {
		return
	}
	s.flushMs, s.flushAt = 0, 0
	for _, l := range s.dirtyLogs {
		s.stats.Looked++
		if l.cfg.Durability != core.Interval || l.since == 0 || l.gone {
			continue
		}
		at := l.since + min(l.cfg.FlushMs, flushMsMax)
		if at <= now {
			s.flushDue = true
			return
		}
		if s.flushAt == 0 || at < s.flushAt {
			s.flushAt = at
		}
		s.flushWithin(l.cfg.FlushMs)
	}
}

// flushWithin says that a log has something to flush, and its bound.
func (s *Store) flushWithin(ms int64) {
	ms = min(ms, flushMsMax)
	if s.flushMs == 0 || ms < s.flushMs {
		s.flushMs = ms
	}
}

// retainPace is how many logs to look at, and how long until the next ones: a round takes
// about retainEvery however many there are, and a few are looked at all at once, since
// a processor that is left alone for long sleeps best.
func (s *Store) retainPace() (n int, pause int64) {
	total := len(s.logs)
	if total <= retainStep {
		return total, retainEvery
	}
	pause = max(int64(retainStep)*retainEvery/int64(total), tickEvery)
	return int((int64(total)*pause + retainEvery - 1) / retainEvery), pause
}

// NextTick is how long from now Tick wants to be called, if nothing happens until then.
// It is asked in every turn, and the earliest answer counts: so it follows from what
// there is to do, and a store with nothing to do asks for the next look of retention.
func (s *Store) NextTick() time.Duration {
	if s.failed != nil {
		return retainEvery * time.Millisecond
	}
	now := s.mono()
	at := s.retainAt
	if s.unsettled() {
		at = min(at, now+idleEvery)
	}
	if s.flushMs > 0 && !s.flushDue {
		at = min(at, now+s.flushMs)
		if s.flushAt > 0 {
			at = min(at, s.flushAt)
		}
	}
	if len(s.zombies) > 0 {
		at = min(at, now+tickEvery)
	}
	if s.full {
		at = min(at, max(s.retryAt, now+tickEvery)) // a retry may be under way
	}
	return time.Duration(max(at-now, 0)) * time.Millisecond
}

// Checkpoint asks for a checkpoint although little has been appended since the last one.
func (s *Store) Checkpoint() { s.sinceMark = max(s.sinceMark, s.cfg.CheckpointBytes) }

// Pressure says to stop reading from producers: Relieved follows. While the disk is full
// appends are refused, and clients must be read to be told.
func (s *Store) Pressure() bool {
	if s.low() {
		s.arena.sweep()
	}
	p := s.failed == nil && !s.full && (s.pending > pendingMax || s.behind() || s.low() || s.group.blocked)
	s.pressed = p
	return p
}

// fail is final: what is not durable now will never be acknowledged.
func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = err
		trims := s.trims
		s.trims = nil
		if g := &s.group; g.ready && !g.flying { // it found no room in the journal, and never will
			trims = append(g.trims, trims...)
			g.trims = nil
		}
		for _, t := range trims {
			t.done(err)
		}
		s.cfg.Host.Failed(nil, err)
	}
}

// Shutdown writes and syncs everything, then calls done on the loop.
func (s *Store) Shutdown(done func(error)) {
	s.stopping = done
	s.Commit()
}

// errStopped is why a store takes nothing after its shutdown: what it did then would be
// in a journal that nobody reads after a clean stop.
var errStopped = errors.New("the store has been shut down")

// mono is the clock of timers in ms: a wall clock that is set back stops none of them.
func (s *Store) mono() int64 { return s.cfg.Env.Mono().Milliseconds() }

// finish ends a shutdown once nothing is left to do.
func (s *Store) finish() {
	if s.stopping == nil || s.group.flying || s.write.flying || s.flush.collected || s.flush.flying || s.drop.flying {
		return
	}
	if s.failed == nil && !s.full && (len(s.unsynced) > 0 || len(s.trims) > 0 || len(s.markLogs) > 0 || s.ckFailed) {
		return
	}
	done, err := s.stopping, s.failed
	if err == nil && s.full {
		err = core.ErrDiskFull
	}
	s.stopping = nil
	if s.failed == nil {
		s.failed = errStopped
	}
	done(errors.Join(err, s.close()))
}

func (s *Store) close() error {
	for _, l := range s.logs {
		l.closeFiles()
	}
	return s.j.close() // the arena stays mapped: readers may hold its chunks
}

// closeFiles leaves open what a reader still holds: the process ends.
func (l *Log) closeFiles() {
	for _, g := range l.segs {
		if !g.pin.Held() && g.jobs == 0 && !g.loading {
			g.close()
		}
	}
}

// Stats is a snapshot.
func (s *Store) Stats() Stats {
	st := s.stats
	st.Chunks, st.ChunksFree, st.Logs, st.Pending = len(s.arena.chunks), len(s.arena.free), len(s.logs), s.pending
	st.Full = s.full
	st.IndexBlocks, st.Segments = s.cache.blocks.count, s.cache.segs.count
	return st
}
