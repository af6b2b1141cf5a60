package segment

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// verifyAll looks at every partition directory, and at partitions that have only a mark.
func (r *recovery) verifyAll() error {
	topics, err := r.c.FS.ReadDir("topics")
	if err != nil {
		return err
	}
	for _, t := range topics {
		parts, err := r.c.FS.ReadDir("topics/" + t)
		if err != nil {
			return err
		}
		for _, p := range parts {
			id, ok := parsePartition(t, p)
			switch {
			case ok && r.c.Deleted != nil && r.c.Deleted(id.Topic):
				err = r.removeAll(id)
			case !ok || !r.wanted(id):
				r.out.Report.Unknown = append(r.out.Report.Unknown, "topics/"+t+"/"+p)
			default:
				err = r.verify(id)
			}
			if err != nil {
				return err
			}
		}
	}
	for _, id := range sortedKeys(r.marks) {
		if r.out.Logs[id] == nil && r.wanted(id) {
			if err := r.verify(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// parsePartition reads the names of a topic's and a partition's directory.
func parsePartition(topic, index string) (id core.PartitionID, ok bool) {
	t, err := core.ParseTopicHex(topic)
	n, err2 := strconv.ParseInt(index, 10, 32)
	id = core.PartitionID{Topic: t, Index: int32(n)}
	return id, err == nil && err2 == nil && partitionDir(id) == "topics/"+topic+"/"+index
}

// removeAll deletes a partition whose topic has a tombstone.
func (r *recovery) removeAll(id core.PartitionID) error {
	names, err := r.c.FS.ReadDir(partitionDir(id))
	for _, n := range names {
		err = errors.Join(err, r.c.FS.Remove(partitionDir(id)+"/"+n))
	}
	return errors.Join(err, r.c.FS.Remove(partitionDir(id)))
}

// verifier is the look at one partition.
type verifier struct {
	r     *recovery
	o     *Recovered
	m     mark
	sure  place       // damage below it is corruption
	next  core.Offset // where the next segment begins; -1: not known, it lies below the mark
	maxTs int64       // newest timestamp of the segment that was read last
	index map[core.Offset]*indexHead
}

// verify finds out what a partition holds: what lies below its mark is trusted, what
// lies above is read and checked. A bad batch above everything that was ever synced is
// a torn tail, and cut; one below it is corruption, and nothing is touched.
func (r *recovery) verify(id core.PartitionID) error {
	v := &verifier{r: r, m: r.marks[id], index: map[core.Offset]*indexHead{}}
	v.m.id = id
	v.o = &Recovered{Start: v.m.start, hint: v.m}
	r.out.Logs[id] = v.o
	why, err := quarantined(r.c.FS, id)
	if err != nil {
		return err
	}
	if why != nil {
		v.o.Quarantined, v.o.End = why, max(v.m.end, v.m.start)
		return v.settle()
	}
	bases, err := v.bases()
	if err != nil {
		return err
	}
	if r.interrupted {
		r.unsyncedDirs[id] = true
	}
	v.sure = v.m.place()
	if d := r.durable[id]; v.sure.before(d) {
		v.sure = d
	}
	if err := v.readIndexes(bases); err != nil {
		return err
	}
	if len(bases) > 0 && bases[0] > v.m.segment && bases[0] <= v.m.start {
		v.m.segment, v.m.pos = 0, 0 // what was marked has been trimmed since
	}
	v.next = -1
	if v.m.pos <= segHeader { // no mark: all of it is read
		v.next = v.m.end
		if len(bases) > 0 {
			v.next = bases[0]
		}
	}
	for i, base := range bases {
		cut, err := v.segment(base)
		if err != nil {
			return err
		}
		if !cut && v.o.Quarantined == nil {
			continue
		}
		if v.o.Quarantined == nil {
			r.out.Report.Torn++
			r.unsyncedDirs[id] = true // a segment that comes back would follow nothing
			for _, b := range bases[i+1:] {
				if err := r.removeSegment(id, b); err != nil {
					return err
				}
			}
		}
		break
	}
	return v.settle()
}

// bases lists the segments, and removes those below the log start: a trim was durable,
// and the crash came before they were deleted.
func (v *verifier) bases() ([]core.Offset, error) {
	names, err := v.r.c.FS.ReadDir(partitionDir(v.m.id))
	if err != nil {
		return nil, err
	}
	var bases []core.Offset
	for _, n := range names {
		if digits, ok := strings.CutSuffix(n, ".log"); ok {
			if at, err := strconv.ParseInt(digits, 10, 64); err == nil && segName(v.m.id, core.Offset(at)) == partitionDir(v.m.id)+"/"+n {
				bases = append(bases, core.Offset(at))
			}
		}
	}
	slices.Sort(bases)
	for len(bases) > 1 && bases[1] <= v.m.start {
		if err := v.r.removeSegment(v.m.id, bases[0]); err != nil {
			return nil, err
		}
		bases = bases[1:]
	}
	return bases, nil
}

func (r *recovery) removeSegment(id core.PartitionID, base core.Offset) error {
	return errors.Join(r.c.FS.Remove(segName(id, base)), r.c.FS.Remove(indexName(id, base)))
}

// readIndexes reads the heads of the index files. Each was written after its segment had
// been synced: damage below the end that it names is corruption.
func (v *verifier) readIndexes(bases []core.Offset) error {
	for _, base := range bases {
		h := new(indexHead)
		_, f, err := readIndexHead(v.r.c.FS, v.m.id, base, h)
		if errors.Is(err, errIndex) || errors.Is(err, errNewerIndex) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		v.index[base] = h
		if at := (place{v.m.id, base, h.length}); v.sure.before(at) {
			v.sure = at
		}
	}
	return nil
}

// segment takes one segment into the result. cut says that its tail was torn.
func (v *verifier) segment(base core.Offset) (cut bool, err error) {
	id, name := v.m.id, segName(v.m.id, base)
	f, err := v.r.c.FS.Open(name, ReadWrite)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	g := &segfile{id: id, base: base, sealed: true}
	var why string
	if g.end, why, err = v.read(f, base, size); err != nil {
		return false, err
	}
	if why != "" {
		if v.r.strict[id] || v.r.strictAll || (place{id, base, g.end}).before(v.sure) {
			v.o.Quarantined = &CorruptError{name, g.end, why}
			if g.end > segHeader {
				v.keep(g)
			}
			return false, nil
		}
		cut = true
	}
	if g.end <= segHeader {
		v.r.unsyncedDirs[id] = true
		return cut, v.r.removeSegment(id, base) // it holds no batch
	}
	if cut {
		err = f.Truncate(int64(g.end)) // the crash came in the middle of an append
	}
	if !v.covers(base) {
		g.reserved = !v.r.c.Clean
		if cut || base != v.m.segment || g.end != v.m.pos || v.r.interrupted {
			v.r.unsynced[place{id: id, segment: base}] = true
		}
		if base != v.m.segment || v.m.pos <= segHeader { // else the mark says that its entry is durable
			v.r.unsyncedDirs[id] = true
		}
	}
	v.keep(g)
	return cut, err
}

// keep makes a segment part of the log.
func (v *verifier) keep(g *segfile) {
	g.written, g.submitted = g.end, g.end
	if h := v.index[g.base]; h != nil && h.length == g.end {
		g.indexed = true
		g.learn(h)
	} else if !v.covers(g.base) && v.maxTs != timeUnknown {
		g.known, g.maxTs = true, v.maxTs
	}
	v.o.segs = append(v.o.segs, g)
}

// covers says that all of a segment lies below the mark.
func (v *verifier) covers(base core.Offset) bool { return v.m.pos > segHeader && base < v.m.segment }

// read finds the end of a segment, and why it ends before the file does.
func (v *verifier) read(f File, base core.Offset, size int64) (core.FilePos, string, error) {
	if err := checkSegHead(f, v.m.id, base); errors.Is(err, errSegHeader) {
		return 0, err.Error(), nil
	} else if err != nil {
		return 0, "", err
	}
	if v.next < 0 && v.m.pos > segHeader && base > v.m.segment {
		v.next = v.m.end // the mark's own segment is not there: it was trimmed, or is lost
	}
	if v.next >= 0 && base > v.next && base > v.m.start || base < v.next {
		return 0, "the segment does not follow the one before", nil
	}
	h := v.index[base]
	marked := v.m.pos > segHeader && base == v.m.segment
	switch {
	case marked && size < int64(v.m.pos) || h != nil && size < int64(h.length):
		return core.FilePos(size), "the file is shorter than it was", nil
	case v.covers(base):
		v.next = -1
		if h != nil && int64(h.length) == size {
			v.next = h.next
		}
		return core.FilePos(size), "", nil
	}
	pos := core.FilePos(segHeader)
	v.next, v.maxTs = base, math.MinInt64
	if marked {
		pos, v.next, v.maxTs = v.m.pos, v.m.end, v.m.newest
	}
	var why string
	var err error
	pos, v.next, why, err = v.rewrite(f, base, pos, size)
	return pos, why, err
}

// rewrite verifies what lies above a mark and writes it again where it is. The process
// may have ended because a sync failed: the page cache then shows bytes that will never
// reach the disk, and a second sync of them reports success. Written again, they are
// dirty again, and the sync that follows means something.
func (v *verifier) rewrite(f File, base core.Offset, pos core.FilePos, size int64) (core.FilePos, core.Offset, string, error) {
	if pos == segHeader {
		if _, err := f.WriteAt(segHead(v.m.id, base), 0); err != nil {
			return pos, v.next, "", err
		}
	}
	return walk(f, pos, size, v.next, true, func(h batch.Header, at core.FilePos, b []byte) error {
		v.maxTs = max(v.maxTs, h.MaxTime)
		_, err := f.WriteAt(b, int64(at))
		return err
	})
}

// settle makes the result and the new mark of a partition.
func (v *verifier) settle() error {
	r, o, m := v.r, v.o, &v.m
	next := v.next
	if n := len(o.segs); n > 0 && o.Quarantined == nil {
		last := o.segs[n-1]
		if next < 0 { // the mark's own segment is not there
			next = m.end
		}
		if (place{m.id, last.base, last.end}).before(v.sure) && next > m.start {
			o.Quarantined = &CorruptError{segName(m.id, last.base), last.end, "what was synced after it is missing"}
		}
	}
	switch {
	case o.Quarantined != nil:
	case len(o.segs) > 0:
		o.Start = max(o.Start, o.segs[0].base)
	case m.pos > segHeader && m.end > m.start:
		o.Quarantined = &CorruptError{partitionDir(m.id), 0, "its segments are missing"}
	default: // nothing of it had ever been synced, and the power cut left nothing
		next = m.end
	}
	o.End = max(next, o.End, o.Start)
	o.Blob, o.BlobAt = m.blob, m.blobAt
	if o.BlobAt > o.End {
		o.Blob, o.BlobAt = nil, o.Start
	}
	if o.Quarantined != nil {
		r.out.Report.Quarantined = append(r.out.Report.Quarantined, m.id)
		o.mark = r.marks[m.id]
		if r.strict[m.id] || r.strictAll || v.sure == r.durable[m.id] {
			// The proof is in a journal, and goes with it.
			return writeQuarantine(r.c.FS, m.id, o.Quarantined.Error())
		}
		return nil
	}
	if n := len(o.segs); n > 0 {
		last := o.segs[n-1]
		m.segment, m.pos, m.end, m.newest = last.base, last.end, o.End, timeUnknown
		if last.known {
			m.newest = last.maxTs
		}
	}
	m.start, m.end = o.Start, o.End
	r.marks[m.id] = *m
	o.mark = *m
	return nil
}
