package meta

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

const (
	dir        = "meta"
	fileName   = "meta/catalog"
	tempName   = "meta/catalog.tmp"
	frameSize  = 8       // length and CRC before each record
	recordMax  = 1 << 30 // a catalog of a million partitions is about 30 MB
	rewriteMin = 1 << 20 // bytes of events after which a new snapshot may be written
	reserveMin = 256 << 10
)

// The file has space beyond its end, reserveMin at least as long as the disk has room.
// When it has none, that is for what may make room: topics are deleted, and retention
// is shortened. All else is refused until the space can be kept again:
//
//	0            end                    reserved
//	|  records    |  space, not in the size  |

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError says where the catalog file is damaged.
type CorruptError struct {
	Pos int64
	Why string
}

// Error says what to do: nothing is repaired by guessing.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("the catalog file %s is damaged at byte %d (%s); the data of the topics is untouched: restore this one file from a backup", fileName, e.Pos, e.Why)
}

// file is the catalog file, open for appending.
type file struct {
	fs   segment.FS
	f    segment.File
	end  int64 // where the next record goes
	base int64 // size of the snapshot at its start

	reserved int64 // space is kept up to here; not below end once it has been asked for
}

// openFile replays the file into s. A missing file is a new broker.
func openFile(seam segment.FS, s *state) (*file, error) {
	w := &file{fs: seam}
	f, err := seam.Open(fileName, segment.ReadWrite)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		return nil, fmt.Errorf("read %s: %w", fileName, err)
	}
	w.f = f
	if err := w.replay(b, s); err != nil {
		return w, err
	}
	// The process that renamed it here may have ended before it had made that durable.
	return w, seam.SyncDir(dir)
}

// replay applies every record of b. See the package comment for bad ones.
func (w *file) replay(b []byte, s *state) error {
	pos := int64(0)
	for {
		body, next, ok := record(b, pos)
		if !ok {
			break
		}
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			return &CorruptError{pos, err.Error()}
		}
		if pos == 0 && e.Snapshot == nil {
			return &CorruptError{pos, "it does not begin with a snapshot"}
		}
		if e.Snapshot != nil && e.Snapshot.Format > Format {
			return fmt.Errorf("the data directory was written by a newer penstock (catalog format %d, this one knows %d): run that version", e.Snapshot.Format, Format)
		}
		s.apply(&e)
		if pos == 0 {
			w.base = next
		}
		pos = next
	}
	w.end = pos
	if pos == 0 && len(b) > 0 {
		return &CorruptError{0, "its snapshot does not read"}
	}
	return w.cutTail(b, pos)
}

// cutTail handles what follows the last good record: a write that power or the process
// cut off is removed; anything that is followed by a good record was acknowledged once.
func (w *file) cutTail(b []byte, pos int64) error {
	if pos == int64(len(b)) {
		return nil
	}
	for p := pos + 1; p+frameSize < int64(len(b)); p++ {
		if _, _, ok := record(b, p); ok {
			return &CorruptError{pos, "a bad record stands before good ones"}
		}
	}
	if err := w.f.Truncate(pos); err != nil {
		return err
	}
	return w.f.Datasync()
}

// record returns the JSON of the record at pos and where the next one begins.
func record(b []byte, pos int64) (body []byte, next int64, ok bool) {
	if pos+frameSize > int64(len(b)) {
		return nil, 0, false
	}
	n := int64(binary.LittleEndian.Uint32(b[pos:]))
	if n == 0 || n > recordMax || pos+frameSize+n > int64(len(b)) {
		return nil, 0, false
	}
	body = b[pos+frameSize : pos+frameSize+n]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[pos+4:]) {
		return nil, 0, false
	}
	return body, pos + frameSize + n, true
}

func frame(e *event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b := make([]byte, frameSize, frameSize+len(body))
	binary.LittleEndian.PutUint32(b, uint32(len(body)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

// keep reserves space for n bytes and for what comes after them.
func (w *file) keep(n int) error {
	if w.end+int64(n)+reserveMin/2 <= w.reserved {
		return nil
	}
	want := int64(n) + reserveMin
	if err := w.f.Allocate(w.end, want); err != nil {
		return err
	}
	w.reserved = w.end + want
	return nil
}

// append makes one event durable. On a full disk it takes the reserve if it may, else
// nothing has happened.
func (w *file) append(e *event, mayTake bool) error {
	b, err := frame(e)
	if err != nil {
		return err
	}
	if err := w.keep(len(b)); err != nil {
		if !errors.Is(err, core.ErrDiskFull) || !mayTake || w.end+int64(len(b)) > w.reserved {
			return err
		}
	}
	if _, err := w.f.WriteAt(b, w.end); err != nil {
		if !errors.Is(err, core.ErrDiskFull) { // a file system that keeps no space for us
			return err
		}
		w.reserved = w.end
		if cut := w.f.Truncate(w.end); cut != nil {
			return final{cut}
		}
		return err
	}
	if planted != noSync {
		if err := w.f.Datasync(); err != nil {
			return final{err}
		}
	}
	w.end += int64(len(b))
	return nil
}

// worthRewriting says that the events outweigh the snapshot.
func (w *file) worthRewriting() bool { return w.end-w.base > max(rewriteMin, w.base) }

// rewrite replaces the file by one snapshot: written aside, synced, renamed. A crash
// before the rename leaves the old file, after it the new one. A disk that is full leaves
// the old file too.
func (w *file) rewrite(s *state) error {
	b, err := frame(&event{Revision: s.Revision, Snapshot: s})
	if err != nil {
		return err
	}
	if err := errors.Join(w.fs.MkdirAll(dir), w.fs.Remove(tempName)); err != nil {
		return err
	}
	f, err := w.fs.Open(tempName, segment.Create)
	if err != nil {
		return err
	}
	next := file{fs: w.fs, f: f, end: int64(len(b)), base: int64(len(b)), reserved: int64(len(b))}
	if _, err = f.WriteAt(b, 0); err == nil {
		if err = next.keep(0); errors.Is(err, core.ErrDiskFull) {
			err = nil // the events to come are asked again
		}
	}
	if err == nil {
		err = f.Datasync()
	}
	if err != nil {
		return errors.Join(err, f.Close(), w.fs.Remove(tempName))
	}
	if err := w.fs.Rename(tempName, fileName); err != nil {
		return errors.Join(final{err}, f.Close())
	}
	if err := w.fs.SyncDir(dir); err != nil {
		return errors.Join(final{err}, f.Close())
	}
	if w.f != nil {
		_ = w.f.Close() // the old file: it has been replaced
	}
	*w = next
	return nil
}

// final is an error after which it is not known what the disk holds: nobody takes it for
// a full disk, which is waited for.
type final struct{ err error }

// Error is that of the error itself.
func (e final) Error() string { return e.err.Error() }

// Unwrap hides the one error that would be waited for.
func (e final) Unwrap() error {
	if errors.Is(e.err, core.ErrDiskFull) {
		return nil
	}
	return e.err
}
