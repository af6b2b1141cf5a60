package segment

import (
	"errors"
	"fmt"
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
	Shards    int
	Topics    func(core.PartitionID) bool // known to the catalog
	Deleted   func(core.TopicID) bool     // has a tombstone
	Clean     bool                        // the clean-shutdown marker was there
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
	Duration    time.Duration
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
	fresh       bool // holds what no mark covered
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
		marks: map[core.PartitionID]mark{}, durable: map[core.PartitionID]place{}, sure: map[core.PartitionID]core.Offset{}, files: map[place]File{}}
	steps := []func() error{r.readCheckpoints, r.replayJournals, r.replayArenas, r.closeFiles, r.verifyAll, r.writeMarks, r.retire}
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
	shards  []core.ShardID
	seq     uint64
	marks   map[core.PartitionID]mark
	durable map[core.PartitionID]place
	sure    map[core.PartitionID]core.Offset // the same as an offset
	files   map[place]File
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
		r.shards = append(r.shards, core.ShardID(id))
		c, err := latestCheckpoint(r.c.FS, shardDir(core.ShardID(id)))
		if err != nil {
			return err
		}
		r.merge(c.marks)
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

// replayJournals handles the power cut: what was acknowledged is in a journal.
func (r *recovery) replayJournals() error {
	for _, id := range r.shards {
		c, err := latestCheckpoint(r.c.FS, shardDir(id))
		if err != nil {
			return err
		}
		_, err = replayJournal(r.c.FS, shardDir(id), c.jseq, func(e entry, data []byte) error {
			if e.kind == entryTrim {
				m := r.marks[e.partition]
				m.id, m.start = e.partition, max(m.start, e.base)
				r.marks[e.partition] = m
				return nil
			}
			end := place{e.partition, e.segment, e.pos + core.FilePos(e.size)}
			r.extend(e, end, data)
			return r.write(e.partition, e.segment, e.pos, data)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// extend notes what a group proves to have been synced: nothing above a gap, which is
// there while a log has become synced and its past has not been flushed yet.
func (r *recovery) extend(e entry, end place, data []byte) {
	m := r.marks[e.partition]
	if e.base > max(r.sure[e.partition], m.end, m.start) {
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

// replayArenas handles the death of the process alone: all that was appended is there.
func (r *recovery) replayArenas() error {
	for _, shard := range r.shards {
		id, size, err := readArenaID(r.c.FS, shardDir(shard))
		if err != nil || size == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if err := replayArena(r.c.Arena, arenaName(shard), size, id, r.write); err != nil {
			return err
		}
	}
	return nil
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
	_, err := f.WriteAt(data, int64(pos))
	return err
}

const filesMax = 256

func (r *recovery) closeFiles() (err error) {
	for _, k := range sortedKeys(r.files) {
		f := r.files[k]
		err = errors.Join(err, f.Datasync(), f.Close(), r.c.FS.SyncDir(partitionDir(k.id)))
		delete(r.files, k)
	}
	return err
}

// writeMarks makes one checkpoint of what was found, so that the journals can go.
func (r *recovery) writeMarks() error {
	var all []mark
	for _, id := range sortedKeys(r.marks) {
		m := r.marks[id]
		if r.c.Deleted == nil || !r.c.Deleted(m.id.Topic) {
			all = append(all, m)
		}
	}
	return writeCheckpoint(r.c.FS, checkpointName("shards", r.seq+1), encodeCheckpoint(r.seq+1, 0, all))
}

// retire empties the journals first: a crash in between replays nothing twice that
// matters, since everything they hold lies below the new marks.
func (r *recovery) retire() error {
	for _, id := range r.shards {
		if err := retireJournal(r.c.FS, shardDir(id)); err != nil {
			return err
		}
		if err := r.c.Arena.Remove(arenaName(id)); err != nil {
			return err
		}
	}
	return nil
}
