package segment

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// journalReport says what a replay found.
type journalReport struct {
	Groups, Entries int
	Bytes           int64  // of data
	Last            uint64 // sequence of the last group replayed; 0: none
	Torn            bool   // a last group was there in part, and was cut
}

// readJournalHeader returns the header of the journal in dir: the newer of the two that
// check out. No file, or one that never held a header: fs.ErrNotExist or a zero header.
func readJournalHeader(fsys FS, dir string) (journalHeader, error) {
	name := path.Join(dir, "journal")
	f, err := fsys.Open(name, ReadOnly)
	if err != nil {
		return journalHeader{}, err
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, journalStart)
	n, err := f.ReadAt(page, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return journalHeader{}, err
	}
	a, errA := decodeJournalHeader(page[:journalPage])
	b, errB := decodeJournalHeader(page[journalPage:])
	switch {
	case errors.Is(errA, errNewerJournal) || errors.Is(errB, errNewerJournal):
		return a, errNewerJournal
	case errA == nil && (errB != nil || a.generation >= b.generation):
		return a, nil
	case errB == nil:
		return b, nil
	case n <= journalPage: // the power went while it was made: the second page was never begun
		return journalHeader{}, nil
	}
	return a, &CorruptError{File: name, Pos: 0, Why: "neither of the two headers checks out"}
}

// replayJournal calls fn for each entry of the groups after the sequence from (the
// checkpoint's), in order. Data are whole batches, verified, and lent for the call.
//
// The story of an end: groups are written one at a time, each after the sync of the
// one before. So the group that is missing or damaged and has no successor was under
// way when the power went: it was never acknowledged, and is cut. One that has a
// successor had been synced: damage to it is corruption, and is reported, not skipped.
func replayJournal(fsys FS, dir string, from uint64, fn func(e entry, data []byte) error) (journalReport, error) {
	var rep journalReport
	h, err := readJournalHeader(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return rep, nil
	}
	if err != nil || h.generation == 0 {
		return rep, err
	}
	r := journalReader{name: path.Join(dir, "journal"), h: h}
	if from>>generationShift > h.generation { // somebody removed the file: its sequences began anew
		return rep, &CorruptError{r.name, 0, "it is older than the checkpoint beside it"}
	}
	if r.f, err = fsys.Open(r.name, ReadOnly); err != nil {
		return rep, err
	}
	defer func() { _ = r.f.Close() }()
	if err := r.find(); err != nil {
		return rep, err
	}
	return rep, r.replay(max(from, h.generation<<generationShift), fn, &rep)
}

// journalReader reads one journal.
type journalReader struct {
	name    string
	f       File
	h       journalHeader
	found   []foundGroup // by sequence
	entries []entry
	buf     []byte
	partial bool // a group whose entries do not check out was seen
}

// foundGroup is a group whose header and entries check out.
type foundGroup struct {
	header groupHeader
	pos    int64
}

// find looks at each page of the ring for the beginning of a group. The ring is read
// once, in order; where a group begins says nothing about where others do, so that no
// damage hides a successor.
func (r *journalReader) find() error {
	size, err := r.f.Size()
	if err != nil {
		return err
	}
	size = min(size, r.h.size)
	chunk := make([]byte, 1<<20)
	for at := int64(journalStart); at < size; {
		n, err := r.f.ReadAt(chunk[:min(int64(len(chunk)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n < groupHeaderSize {
			break
		}
		for i := 0; i+groupHeaderSize <= n; i += journalPage {
			h, ok := decodeGroupHeader(chunk[i:n], r.h.identity)
			if !ok || at+int64(i)+int64(h.bytes) > r.h.size {
				continue
			}
			if ok, err := r.check(h, at+int64(i), size); err != nil {
				return err
			} else if ok {
				r.found = append(r.found, foundGroup{h, at + int64(i)})
			} else {
				r.partial = true
			}
		}
		at += int64(n+journalPage-1) &^ (journalPage - 1)
	}
	slices.SortFunc(r.found, func(a, b foundGroup) int { return cmp.Compare(a.header.sequence, b.header.sequence) })
	return nil
}

// check reads the header with its entries into r.buf and r.entries.
func (r *journalReader) check(h groupHeader, pos, size int64) (bool, error) {
	if pos+h.tableEnd() > size {
		return false, nil
	}
	if err := r.read(pos, h.tableEnd()); err != nil {
		return false, err
	}
	var ok bool
	r.entries, ok = decodeEntries(r.buf, h, r.entries[:0])
	return ok, nil
}

func (r *journalReader) read(pos, n int64) error {
	r.buf = slices.Grow(r.buf[:0], int(n))[:n]
	_, err := r.f.ReadAt(r.buf, pos)
	if errors.Is(err, io.EOF) {
		err = nil // what is not there is torn: the CRCs say so
	}
	return err
}

func (r *journalReader) replay(from uint64, fn func(e entry, data []byte) error, rep *journalReport) error {
	rep.Torn = r.partial
	next := from + 1
	for i, g := range r.found {
		if g.header.sequence < next {
			continue
		}
		if g.header.sequence > next {
			return &CorruptError{r.name, core.FilePos(g.pos), "a group before this one is missing or damaged, though it had been synced"}
		}
		if g.header.released > from {
			return &CorruptError{r.name, core.FilePos(g.pos), "it follows a newer checkpoint than the one that was found"}
		}
		clear(r.buf)
		if err := r.read(g.pos, int64(g.header.bytes)); err != nil {
			return err
		}
		var ok bool
		if r.entries, ok = decodeEntries(r.buf, g.header, r.entries[:0]); !ok {
			return &CorruptError{r.name, core.FilePos(g.pos), "it reads differently the second time"}
		}
		if at, bad := r.verify(g); bad {
			if i < len(r.found)-1 {
				return &CorruptError{r.name, core.FilePos(at), "a batch does not check out, though a later group does"}
			}
			rep.Torn = true
			return nil
		}
		if err := r.deliver(g, fn, rep); err != nil {
			return err
		}
		rep.Groups++
		rep.Last = next
		next++
	}
	return nil
}

// verify checks that the data of each entry are whole valid batches whose offsets follow
// one another, before any of the group takes effect.
func (r *journalReader) verify(g foundGroup) (at int64, bad bool) {
	at = g.header.tableEnd()
	for _, e := range r.entries {
		base := e.base
		for end := at + e.size; at < end; {
			n := int64(batch.Size(r.buf[at:end]))
			if n == 0 || n > end-at {
				return g.pos + at, true
			}
			h, err := batch.Valid(r.buf[at : at+n])
			if err != nil || h.Base != base {
				return g.pos + at, true
			}
			base = h.Last() + 1
			at += n
		}
	}
	return 0, false
}

func (r *journalReader) deliver(g foundGroup, fn func(e entry, data []byte) error, rep *journalReport) error {
	at := g.header.tableEnd()
	for _, e := range r.entries {
		if err := fn(e, r.buf[at:at+e.size:at+e.size]); err != nil {
			return err
		}
		at += e.size
		rep.Entries++
		rep.Bytes += e.size
	}
	return nil
}
