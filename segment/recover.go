package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// RecoverConfig says where to recover, and what the catalog knows.
type RecoverConfig struct {
	FS, Arena FS
	Shards    int                         // that there will be; the journals of others give back their space; 0: not known
	Topics    func(core.PartitionID) bool // known to the catalog
	Deleted   func(core.TopicID) bool     // has a tombstone
	Clean     bool                        // the clean-shutdown marker was there: journals and arenas hold nothing
	// Owners says which shard owned which partition when the journals were written. It is
	// asked for if one of them is damaged; nil: any shard may have owned any partition.
	Owners func() map[core.PartitionID]core.ShardID
}

// Recovery is what Recover found.
type Recovery struct {
	Logs   map[core.PartitionID]*Recovered
	Report Report
}

// Report is for people: what recovery did.
type Report struct {
	Partitions  int
	Bytes       int64 // of journal and arena data replayed
	Torn        int   // partitions whose torn tail was cut
	Quarantined []core.PartitionID
	Unknown     []string // directories of no known topic, kept
	Damaged     []Damage // files that all partitions of a shard share
	Duration    time.Duration
}

// Damage is a journal or a checkpoint that is damaged or missing. It concerns the
// partitions that are quarantined for it, which may be none: the arena of the same boot,
// or the other checkpoint, may have known it all.
type Damage struct {
	Err  *CorruptError
	Kept string // where the file is now; "": it is missing, or as it was
}

// Recovered is one partition as found.
type Recovered struct {
	Start, End  core.Offset
	Blob        []byte
	BlobAt      core.Offset
	Quarantined *CorruptError
	segs        []*segfile
	mark        mark // as found
	hint        mark // where the search began: a batch boundary
}

// CorruptError is data that was durable and is damaged.
type CorruptError struct {
	File string
	Pos  core.FilePos
	Why  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.File, e.Pos, e.Why)
}

// Recover brings the data directory to a state from which stores can be opened, once per
// process and before any of them: checkpoints, then what the journals and the arenas
// hold is written where it belongs, then each partition is verified above its mark.
func Recover(c RecoverConfig) (*Recovery, error) {
	began := core.Mono()
	r := &recovery{c: c, out: &Recovery{Logs: map[core.PartitionID]*Recovered{}},
		marks: map[core.PartitionID]mark{}, durable: map[core.PartitionID]place{}, sure: map[core.PartitionID]core.Offset{},
		files: map[place]File{}, unsynced: map[place]bool{}, unsyncedDirs: map[core.PartitionID]bool{}, strict: map[core.PartitionID]bool{}, doubt: map[core.PartitionID]string{}}
	steps := []func() error{r.readCheckpoints, r.begin, r.replayAll, r.closeFiles, r.markDoubts, r.verifyAll, r.syncAll, r.writeMarks, r.complete, r.retire}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("recovery: %w", err)
		}
	}
	r.out.Report.Partitions = len(r.out.Logs)
	r.out.Report.Duration = core.Mono() - began
	return r.out, nil
}

// recovery is the work under way. marks say what checkpoints cover, durable what the
// journals prove to have been synced: damage below either is corruption.
type recovery struct {
	c       RecoverConfig
	out     *Recovery
	shards  []*recoveredShard
	seq     uint64
	marks   map[core.PartitionID]mark
	durable map[core.PartitionID]place
	sure    map[core.PartitionID]core.Offset // the same as an offset
	files   map[place]File
	// unsynced are the segments that recovery has written to.
	unsynced     map[place]bool
	unsyncedDirs map[core.PartitionID]bool
	// strict are partitions whose durable end may be further on than marks and durable
	// say: nothing of theirs is taken for a torn tail. doubt are those that may have lost
	// what was acknowledged, and why.
	strict      map[core.PartitionID]bool
	interrupted bool // the last recovery was: what it cut may come back with a power cut
	strictAll   bool
	doubt       map[core.PartitionID]string
	every       map[core.PartitionID]core.ShardID // Owners, once it was asked for
	// generation is the highest of the journals; kept in the checkpoint of recovery. A
	// recovery and the start after it raise it by two.
	generation uint64
}

// recoveredShard is what a shard of the last run left.
type recoveredShard struct {
	id    core.ShardID
	ck    checkpoint
	aside []string // files to be kept under other names
}

// place is a position in a segment of a partition.
type place struct {
	id      core.PartitionID
	segment core.Offset
	pos     core.FilePos
}

type named interface {
	comparable
	String() string
}

// sortedKeys is the keys of a map in one order, so that a run can be repeated.
func sortedKeys[K named, V any](m map[K]V) []K {
	keys := slices.Collect(maps.Keys(m))
	sortBy(keys, func(k K) string { return k.String() })
	return keys
}

// String is for the order, and for people.
func (p place) String() string { return segName(p.id, p.segment) }

func (p place) before(q place) bool {
	return p.segment < q.segment || p.segment == q.segment && p.pos < q.pos
}

func (m *mark) place() place { return place{m.id, m.segment, m.pos} }

// readCheckpoints merges those of all shards, also of shards that no longer exist, with
// that of the last recovery. Partitions move, so the one that is further on counts.
func (r *recovery) readCheckpoints() error {
	if err := r.c.FS.MkdirAll("shards"); err != nil {
		return err
	}
	names, err := r.c.FS.ReadDir("shards")
	if err != nil {
		return err
	}
	last, err := latestCheckpoint(r.c.FS, "shards")
	if err != nil {
		return err
	}
	r.seq = last.seq
	r.merge(last.marks)
	for _, n := range names {
		id, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			continue
		}
		s := &recoveredShard{id: core.ShardID(id)}
		if s.ck, err = latestCheckpoint(r.c.FS, shardDir(s.id)); err != nil {
			return err
		}
		r.shards = append(r.shards, s)
		r.merge(s.ck.marks)
		if h, err := readJournalHeader(r.c.FS, shardDir(s.id)); err == nil {
			r.generation = max(r.generation, h.generation)
		}
	}
	if len(last.bad) > 0 && r.generation > last.jseq+2 {
		// Not torn by a crash: a recovery that had written it went on after that.
		bad := &CorruptError{last.bad[0], 0, "it does not check out"}
		r.strictAll = true
		r.report(bad)
		return r.keepAside("shards", last.bad)
	}
	return nil
}

func (r *recovery) merge(marks []mark) {
	for _, m := range marks {
		old, ok := r.marks[m.id]
		if !ok {
			r.marks[m.id] = m
			continue
		}
		start := max(m.start, old.start)
		if m.place().before(old.place()) || m.end < old.end {
			m = old
		}
		m.start = start
		r.marks[m.id] = m
	}
}

// recovering is there while a recovery changes files: what one that is cut off itself has
// cut looks as if it had always been so, and is not yet.
const recovering = "shards/recovering"

func (r *recovery) begin() error {
	f, err := r.c.FS.Open(recovering, ReadOnly)
	switch {
	case err == nil:
		r.interrupted = true
		return f.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case r.c.Clean:
		return nil // nothing is cut
	}
	if f, err = r.c.FS.Open(recovering, Create); err != nil {
		return err
	}
	return errors.Join(f.Close(), r.c.FS.SyncDir("shards"))
}

// complete comes when all is synced. That the removal is durable does not matter.
func (r *recovery) complete() error { return r.c.FS.Remove(recovering) }

// replayAll handles the power cut, after which the journals hold what was acknowledged,
// and the death of the process alone, after which the arenas hold what was appended.
func (r *recovery) replayAll() error {
	if r.c.Clean {
		return nil // the last thing that a clean stop did was a checkpoint of everything
	}
	for _, s := range r.shards {
		held, err := r.replayArenaOf(s.id)
		if err != nil {
			return err
		}
		if err := r.replayJournalOf(s, held); err != nil {
			return err
		}
	}
	return nil
}

// replayJournalOf replays the journal of a shard. held says that its arena is there: with
// the segments, that holds all that was appended, whatever became of the journal.
func (r *recovery) replayJournalOf(s *recoveredShard, held bool) error {
	dir := shardDir(s.id)
	var rep journalReport
	seen := map[core.PartitionID]int{} // the gaps before the latest entry
	err := replayJournal(r.c.FS, dir, s.ck.jseq, &rep, func(e entry, data []byte) error {
		if e.kind == entryTrim {
			m := r.marks[e.partition]
			m.id, m.start = e.partition, max(m.start, e.base)
			r.marks[e.partition] = m
			return nil
		}
		seen[e.partition] = rep.Gaps
		end := place{e.partition, e.segment, e.pos + core.FilePos(e.size)}
		r.extend(e, end, data, rep.Damage != nil || rep.Stale)
		return r.write(e.partition, e.segment, e.pos, data)
	})
	lost := rep.Gaps > 0
	var bad *CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s.ck.jseq == 0 && !r.hadJournal(dir) {
			return nil
		}
		rep.Damage, lost = &CorruptError{dir + "/journal", 0, "it is missing, though it was there"}, true
	case errors.As(err, &bad):
		rep.Damage, lost = bad, true
	case err != nil:
		return err
	}
	if rep.Damage == nil && !rep.Stale {
		return nil
	}
	if rep.Stale {
		name := checkpointName(dir, s.ck.seq+1)
		s.aside = append(s.aside, s.ck.bad...)
		r.report(&CorruptError{name, 0, "the latest checkpoint is damaged or missing; the one before it serves"})
	}
	if rep.Damage != nil {
		s.aside = append(s.aside, dir+"/journal")
		r.report(rep.Damage)
	}
	for id := range r.ownedBy(s.id) {
		r.strict[id] = true
		if gaps, ok := seen[id]; lost && !held && !(ok && gaps == rep.Gaps) {
			r.doubt[id] = rep.Damage.Error() + "; it may have held acknowledged records of this partition"
		}
	}
	return nil
}

// extend notes what a group proves to have been synced: nothing above a gap, which is
// there while a log has become synced and its past has not been flushed yet.
// After damage, a gap may be what is missing: then everything below an entry counts.
func (r *recovery) extend(e entry, end place, data []byte, damage bool) {
	m := r.marks[e.partition]
	if !damage && e.base > max(r.sure[e.partition], m.end, m.start) {
		return
	}
	for n := batch.Size(data); n > 0 && n <= len(data); n = batch.Size(data) {
		if h, err := batch.Parse(data); err == nil {
			r.sure[e.partition] = max(r.sure[e.partition], h.Last()+1)
		}
		data = data[n:]
	}
	if r.durable[e.partition].before(end) {
		r.durable[e.partition] = end
	}
}

// replayArenaOf replays the arena of a shard, if it is there. One that should be there,
// since the machine has not started anew, is reported: what was acknowledged without
// waiting for the disk may be missing at the end of logs.
func (r *recovery) replayArenaOf(shard core.ShardID) (held bool, err error) {
	id, err := readArenaID(r.c.FS, shardDir(shard))
	if err != nil || id.size == 0 {
		return false, err
	}
	held, err = replayArena(r.c.Arena, arenaName(shard), id.size, id.id, r.write)
	var boot [bootMax]byte
	copy(boot[:], r.c.Arena.Boot())
	if err == nil && !held && boot == id.boot && boot != [bootMax]byte{} {
		r.report(&CorruptError{arenaName(shard), 0, "the arena is not there: what was appended last to topics that are not synced may be missing"})
	}
	return held, err
}

// write puts bytes where they belong. What lies below the mark is there already.
func (r *recovery) write(id core.PartitionID, seg core.Offset, pos core.FilePos, data []byte) error {
	m := r.marks[id]
	if len(data) == 0 || r.c.Deleted != nil && r.c.Deleted(id.Topic) || !m.place().before(place{id, seg, pos + core.FilePos(len(data))}) {
		return nil
	}
	key := place{id: id, segment: seg}
	f := r.files[key]
	if f == nil {
		if len(r.files) >= filesMax {
			if err := r.closeFiles(); err != nil {
				return err
			}
		}
		var err error
		if f, err = createSeg(r.c.FS, id, seg); err != nil {
			return err
		}
		r.files[key] = f
	}
	r.out.Report.Bytes += int64(len(data))
	r.unsynced[key] = true
	_, err := f.WriteAt(data, int64(pos))
	return err
}

const filesMax = 512

// closeFiles leaves the sync to syncAll: what is verified is written once more first.
func (r *recovery) closeFiles() (err error) {
	for _, k := range sortedKeys(r.files) {
		err = errors.Join(err, r.files[k].Close())
		delete(r.files, k)
	}
	return err
}

// syncAll makes everything that recovery wrote durable: first all writes are begun, so
// that the syncs find most of it done.
func (r *recovery) syncAll() error {
	keys := sortedKeys(r.unsynced)
	for len(keys) > 0 {
		some := keys[:min(len(keys), filesMax)]
		keys = keys[len(some):]
		var err error
		for _, k := range some {
			f, e := r.c.FS.Open(segName(k.id, k.segment), ReadWrite)
			switch {
			case errors.Is(e, fs.ErrNotExist): // it held nothing, and is removed
			case e != nil:
				err = errors.Join(err, e)
			default:
				r.files[k] = f
				_ = f.Writeback(0, 0)                       // a hint: all of it
				if !r.wanted(k.id) || r.doubt[k.id] != "" { // verify has not looked at it
					r.unsyncedDirs[k.id] = true
				}
			}
		}
		for _, k := range some {
			if f := r.files[k]; f != nil && err == nil {
				err = f.Datasync()
			}
		}
		if err = errors.Join(err, r.closeFiles()); err != nil {
			return err
		}
	}
	for _, id := range sortedKeys(r.unsyncedDirs) {
		if err := r.c.FS.SyncDir(partitionDir(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writeMarks makes one checkpoint of what was found, so that the journals can go. A mark
// of a topic that the catalog does not know goes with the topic's directory: the tombstone
// is swept when that is gone, and nothing else would ever end the mark.
func (r *recovery) writeMarks() error {
	topics, err := r.c.FS.ReadDir("topics")
	if err != nil {
		return err
	}
	var all []mark
	for _, id := range sortedKeys(r.marks) {
		_, there := slices.BinarySearch(topics, id.Topic.Hex())
		if deleted := r.c.Deleted != nil && r.c.Deleted(id.Topic); !deleted && (there || r.wanted(id)) {
			all = append(all, r.marks[id])
		}
	}
	return writeCheckpoint(r.c.FS, checkpointName("shards", r.seq+1), encodeCheckpoint(r.seq+1, r.generation, all))
}

// retire empties the journals first: a crash in between replays nothing twice that
// matters, since everything they hold lies below the new marks. What is damaged is kept
// under another name.
func (r *recovery) retire() error {
	for _, s := range r.shards {
		dir, bad, gone := shardDir(s.id), new(CorruptError), r.c.Shards > 0 && int(s.id) >= r.c.Shards
		err := error(nil)
		if len(s.aside) == 0 {
			if err = retireJournal(r.c.FS, dir, 0, gone); errors.As(err, &bad) { // after a clean stop: it held nothing
				s.aside = append(s.aside, dir+"/journal")
				r.report(bad)
			}
		}
		if len(s.aside) > 0 {
			if err = r.keepAside(dir, s.aside); err == nil {
				err = retireJournal(r.c.FS, dir, max(s.ck.jseq, 1), gone)
			}
		}
		if err != nil {
			return err
		}
		// The id first: where it is, the arena is missed.
		if err := errors.Join(r.c.FS.Remove(dir+"/"+arenaIDName), r.c.Arena.Remove(arenaName(s.id))); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) report(e *CorruptError) {
	r.out.Report.Damaged = append(r.out.Report.Damaged, Damage{Err: e})
}
