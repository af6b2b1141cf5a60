package segment

import (
	"errors"
	"io/fs"

	"github.com/penstock/penstock/core"
)

// JournalWriter lets tests outside of the package, with its fakes, write a journal.
type JournalWriter struct {
	j *journal
	g group
}

// OpenJournalWriter opens an empty journal.
func OpenJournalWriter(f FS, dir string, size int64) (*JournalWriter, error) {
	j, err := openJournal(f, dir, size, 0)
	return &JournalWriter{j: j}, err
}

// Write makes batches of one partition durable as one group, and trims it if base is
// not 0 after that. ok is false if the ring is full.
func (w *JournalWriter) Write(index int32, base core.Offset, bufs ...[]byte) (sequence uint64, ok bool, err error) {
	g := &w.g
	g.reset()
	e := entry{kind: entryData, partition: core.PartitionID{Index: index}, base: base}
	for _, b := range bufs {
		e.size += int64(len(b))
		g.bufs = append(g.bufs, b)
	}
	g.entries = append(g.entries, e, entry{kind: entryTrim, base: base})
	if !w.j.reserve(g) {
		return 0, false, nil
	}
	g.Run()
	return g.sequence(), true, g.err
}

// Release forgets groups.
func (w *JournalWriter) Release(upTo uint64) { w.j.release(upTo) }

// Close closes the file.
func (w *JournalWriter) Close() error { return w.j.close() }

// Replay reads a journal back: fn gets the data entries.
func Replay(f FS, dir string, from uint64, fn func(base core.Offset, data []byte)) (groups int, torn bool, err error) {
	var rep journalReport
	err = replayJournal(f, dir, from, &rep, func(e entry, data []byte) error {
		if e.kind == entryData && data != nil {
			fn(e.base, data)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && rep.Damage != nil {
		err = rep.Damage
	}
	return rep.Groups, rep.Torn, err
}

// MakeBatch is makeBatch.
var MakeBatch = makeBatch
