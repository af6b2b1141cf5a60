package segment

import (
	"errors"
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
		topic, bad := core.ParseTopicHex(t)
		for _, p := range parts {
			n, err := strconv.ParseInt(p, 10, 32)
			id := core.PartitionID{Topic: topic, Index: int32(n)}
			switch {
			case bad != nil || err != nil:
				r.out.Report.Unknown = append(r.out.Report.Unknown, "topics/"+t+"/"+p)
			case r.c.Deleted != nil && r.c.Deleted(topic):
				if err := r.removeAll(id); err != nil {
					return err
				}
			case r.c.Topics != nil && !r.c.Topics(id):
				r.out.Report.Unknown = append(r.out.Report.Unknown, partitionDir(id))
			default:
				if err := r.verify(id); err != nil {
					return err
				}
			}
		}
	}
	for _, id := range sortedKeys(r.marks) {
		if r.out.Logs[id] == nil && (r.c.Topics == nil || r.c.Topics(id)) && (r.c.Deleted == nil || !r.c.Deleted(id.Topic)) {
			if err := r.verify(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll deletes a partition whose topic has a tombstone.
func (r *recovery) removeAll(id core.PartitionID) error {
	names, err := r.c.FS.ReadDir(partitionDir(id))
	for _, n := range names {
		err = errors.Join(err, r.c.FS.Remove(partitionDir(id)+"/"+n))
	}
	return errors.Join(err, r.c.FS.Remove(partitionDir(id)))
}

func (r *recovery) bases(id core.PartitionID) (bases []core.Offset, err error) {
	names, err := r.c.FS.ReadDir(partitionDir(id))
	for _, n := range names {
		if digits, ok := strings.CutSuffix(n, ".log"); ok {
			if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
				bases = append(bases, core.Offset(v))
			}
		}
	}
	slices.Sort(bases)
	return bases, err
}

// verify finds out what a partition holds: what lies below its mark is trusted, what
// lies above is read and checked. A bad batch above everything that was ever synced is
// a torn tail, and cut; one below it is corruption, and nothing is touched.
func (r *recovery) verify(id core.PartitionID) error {
	m := r.marks[id]
	m.id = id
	bases, err := r.bases(id)
	if err != nil {
		return err
	}
	for len(bases) > 1 && bases[1] <= m.start {
		// The trim was durable, and the crash came before the file was deleted.
		if err := r.c.FS.Remove(segName(id, bases[0])); err != nil {
			return err
		}
		bases = bases[1:]
	}
	o := &Recovered{Start: m.start}
	r.out.Logs[id] = o
	sure := m.place()
	if d := r.durable[id]; sure.before(d) {
		sure = d
	}
	if len(bases) > 0 && bases[0] > m.segment && bases[0] <= m.start {
		m.segment, m.pos = 0, 0 // what was marked has been trimmed since
	}
	next := m.end
	if m.pos <= segHeader && len(bases) > 0 {
		next = bases[0] // no mark: all of it is read
	}
	for i, base := range bases {
		cut, err := r.verifySegment(o, &m, sure, base, &next)
		if err != nil {
			return err
		}
		if !cut && o.Quarantined == nil {
			continue
		}
		if o.Quarantined == nil {
			r.out.Report.Torn++
			for _, b := range bases[i+1:] {
				if err := r.c.FS.Remove(segName(id, b)); err != nil {
					return err
				}
			}
		}
		break
	}
	return r.settle(o, &m, sure, next)
}

// verifySegment takes one segment into o. cut says that its tail was torn.
func (r *recovery) verifySegment(o *Recovered, m *mark, sure place, base core.Offset, next *core.Offset) (cut bool, err error) {
	id, name := m.id, segName(m.id, base)
	f, err := r.c.FS.Open(name, ReadWrite)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	g := &segfile{id: id, base: base, sealed: true, end: core.FilePos(size)}
	pos, why := core.FilePos(segHeader), ""
	covered := m.pos > segHeader && base < m.segment
	switch headErr := checkSegHead(f, id, base); {
	case errors.Is(headErr, errSegHeader):
		pos, why = 0, headErr.Error()
	case headErr != nil:
		return false, headErr
	case covered:
		pos = g.end
	case m.pos > segHeader && base == m.segment && size < int64(m.pos):
		pos, why = g.end, "the file is shorter than it was"
	default:
		if m.pos > segHeader && base == m.segment {
			pos, *next = m.pos, m.end
		}
		if base != *next && pos == segHeader {
			pos, why = 0, "the segment does not follow the one before"
			break
		}
		if pos, *next, why, err = rewrite(f, id, base, pos, size, *next); err != nil {
			return false, err
		}
	}
	if why != "" {
		if (place{id, base, pos}).before(sure) {
			o.Quarantined = &CorruptError{name, pos, why}
		} else if cut = true; pos > segHeader {
			err = f.Truncate(int64(pos)) // the crash came in the middle of an append
		}
	}
	g.end = pos
	if err == nil && !covered && pos > segHeader && o.Quarantined == nil && (cut || base != m.segment || pos != m.pos) {
		o.fresh = true
		err = f.Datasync()
	}
	if err == nil && pos <= segHeader && o.Quarantined == nil {
		return cut, r.c.FS.Remove(name) // it holds no batch
	}
	g.written, g.submitted = g.end, g.end
	if pos > segHeader {
		o.segs = append(o.segs, g)
	}
	return cut, err
}

// rewrite verifies what lies above a mark and writes it again where it is. The process
// may have ended because a sync failed: the page cache then shows bytes that will never
// reach the disk, and a second sync of them reports success. Written again, they are
// dirty again, and the sync that follows means something.
func rewrite(f File, id core.PartitionID, base core.Offset, pos core.FilePos, size int64, next core.Offset) (core.FilePos, core.Offset, string, error) {
	if pos == segHeader {
		if _, err := f.WriteAt(segHead(id, base), 0); err != nil {
			return pos, next, "", err
		}
	}
	return walk(f, pos, size, next, true, func(_ batch.Header, at core.FilePos, b []byte) error {
		_, err := f.WriteAt(b, int64(at))
		return err
	})
}

// settle makes the result and the new mark of a partition.
func (r *recovery) settle(o *Recovered, m *mark, sure place, next core.Offset) error {
	if len(o.segs) > 0 {
		last := o.segs[len(o.segs)-1]
		o.Start = max(o.Start, o.segs[0].base)
		if o.Quarantined == nil && (place{m.id, last.base, last.end}).before(sure) && next > m.start {
			o.Quarantined = &CorruptError{segName(m.id, last.base), last.end, "what was synced after it is missing"}
		}
	} else if o.Quarantined == nil && m.pos > segHeader && m.end > m.start {
		o.Quarantined = &CorruptError{partitionDir(m.id), 0, "its segments are missing"}
	} else if o.Quarantined == nil && m.pos <= segHeader {
		next = m.end // nothing of it had ever been synced, and the power cut left nothing
	}
	o.End = max(next, o.Start)
	o.Blob, o.BlobAt = m.blob, m.blobAt
	if o.BlobAt > o.End {
		o.Blob, o.BlobAt = nil, o.Start
	}
	if o.Quarantined != nil {
		r.out.Report.Quarantined = append(r.out.Report.Quarantined, m.id)
		o.mark = r.marks[m.id]
		return nil
	}
	if n := len(o.segs); n > 0 {
		m.segment, m.pos, m.end = o.segs[n-1].base, o.segs[n-1].end, o.End
		if o.fresh {
			if err := r.c.FS.SyncDir(partitionDir(m.id)); err != nil {
				return err
			}
		}
	}
	m.start, m.end = o.Start, o.End
	r.marks[m.id] = *m
	o.mark = *m
	return nil
}
