package segment

import (
	"cmp"
	"errors"
	"io"
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
	// Damage is the first of it. What comes after it is replayed all the same; fn gets an
	// entry whose data are damaged without them. Gaps counts the places so far at which
	// groups are missing of which nothing is known.
	Damage *CorruptError
	Gaps   int
	Stale  bool // the checkpoint that was found is not the latest one there was
}

func (r *journalReport) damaged(file string, pos int64, why string) {
	if r.Damage == nil {
		r.Damage = &CorruptError{file, core.FilePos(pos), why}
	}
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
	case errA == nil && (errB != nil || a.generation >= b.generation):
		return a, nil
	case errB == nil:
		return b, nil
	case errors.Is(errA, errNewerJournal) || errors.Is(errB, errNewerJournal):
		return a, errNewerJournal
	case n <= journalPage: // the power went while it was made: the second page was never begun
		return journalHeader{}, nil
	}
	return a, &CorruptError{File: name, Pos: 0, Why: "neither of the two headers checks out"}
}

// replayJournal calls fn for each entry of the groups after the sequence from (the
// checkpoint's), in order. Data are whole batches, verified, and lent for the call.
// A journal that is not there, or cannot be read from its beginning on, is an error
// that is a CorruptError or fs.ErrNotExist.
//
// The story of an end: groups are written one at a time, each after the sync of the
// one before. So the group that is missing or damaged and has no successor was under
// way when the power went: it was never acknowledged, and is cut. One that has a
// successor had been synced: damage to it is corruption, and is reported, not skipped.
func replayJournal(fsys FS, dir string, from uint64, rep *journalReport, fn func(e entry, data []byte) error) error {
	h, err := readJournalHeader(fsys, dir)
	if err != nil {
		return err
	}
	name := path.Join(dir, "journal")
	switch lived := from >> generationShift; {
	case h.generation == 0 && lived > 0:
		return &CorruptError{name, 0, "it is empty, though a checkpoint names a group of it"}
	case h.generation == 0:
		return nil
	case lived > h.generation: // the file was made anew by somebody else
		return &CorruptError{name, 0, "it is older than the checkpoint beside it"}
	}
	r := journalReader{name: name, h: h}
	if r.f, err = fsys.Open(r.name, ReadOnly); err != nil {
		return err
	}
	defer func() { _ = r.f.Close() }()
	if err := r.find(); err != nil {
		return err
	}
	return r.replay(max(from, h.generation<<generationShift), fn, rep)
}

// journalReader reads one journal.
type journalReader struct {
	name    string
	f       File
	h       journalHeader
	found   []foundGroup // by sequence
	entries []entry
	bad     []bool // of the entries: their data are damaged
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

// released is the last sequence that a found group says a checkpoint had covered.
func (r *journalReader) released() (last uint64) {
	for _, g := range r.found {
		last = max(last, g.header.released)
	}
	return last
}

func (r *journalReader) replay(from uint64, fn func(e entry, data []byte) error, rep *journalReport) error {
	rep.Torn = r.partial
	if last := r.released(); last > from { // what those groups held was synced in segments
		rep.Stale, from = true, last
	}
	next := from + 1
	for i, g := range r.found {
		if g.header.sequence < next {
			continue
		}
		if g.header.sequence > next {
			rep.damaged(r.name, g.pos, "a group before this one is missing or damaged, though it had been synced")
			rep.Gaps++
		}
		rep.Last = g.header.sequence - 1
		clear(r.buf)
		if err := r.read(g.pos, int64(g.header.bytes)); err != nil {
			return err
		}
		var ok bool
		if r.entries, ok = decodeEntries(r.buf, g.header, r.entries[:0]); !ok {
			rep.damaged(r.name, g.pos, "it reads differently the second time")
			rep.Gaps++
			continue
		}
		if at, bad := r.verify(g); bad {
			if i == len(r.found)-1 {
				rep.Torn = true
				return nil
			}
			rep.damaged(r.name, at, "a batch does not check out, though a later group does")
		}
		if err := r.deliver(g, fn, rep); err != nil {
			return err
		}
		rep.Groups++
		rep.Last = g.header.sequence
		next = g.header.sequence + 1
	}
	return nil
}

// verify checks that the data of each entry are whole valid batches whose offsets follow
// one another, before any of the group takes effect. It notes the entries that are not.
func (r *journalReader) verify(g foundGroup) (first int64, bad bool) {
	at := g.header.tableEnd()
	r.bad = append(r.bad[:0], make([]bool, len(r.entries))...)
	for i, e := range r.entries {
		if pos, ok := r.verifyEntry(at, e); !ok {
			r.bad[i] = true
			if !bad {
				first, bad = g.pos+pos, true
			}
		}
		at += e.size
	}
	return first, bad
}

func (r *journalReader) verifyEntry(at int64, e entry) (int64, bool) {
	base := e.base
	for end := at + e.size; at < end; {
		n := int64(batch.Size(r.buf[at:end]))
		if n == 0 || n > end-at {
			return at, false
		}
		h, err := batch.Valid(r.buf[at : at+n])
		if err != nil || h.Base != base {
			return at, false
		}
		base = h.Last() + 1
		at += n
	}
	return at, true
}

func (r *journalReader) deliver(g foundGroup, fn func(e entry, data []byte) error, rep *journalReport) error {
	at := g.header.tableEnd()
	for i, e := range r.entries {
		data := r.buf[at : at+e.size : at+e.size]
		if r.bad[i] {
			data = nil
		}
		if err := fn(e, data); err != nil {
			return err
		}
		at += e.size
		rep.Entries++
		rep.Bytes += e.size
	}
	return nil
}
