package meta

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/penstock/penstock/segment"
)

const (
	dir        = "meta"
	fileName   = "meta/catalog"
	tempName   = "meta/catalog.tmp"
	frameSize  = 8       // length and CRC before each record
	recordMax  = 1 << 30 // a catalog of a million partitions is about 30 MB
	rewriteMin = 1 << 20 // bytes of events after which a new snapshot may be written
)

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

// append makes one event durable.
func (w *file) append(e *event) error {
	b, err := frame(e)
	if err != nil {
		return err
	}
	if _, err := w.f.WriteAt(b, w.end); err != nil {
		return err
	}
	if planted != noSync {
		if err := w.f.Datasync(); err != nil {
			return err
		}
	}
	w.end += int64(len(b))
	return nil
}

// worthRewriting says that the events outweigh the snapshot.
func (w *file) worthRewriting() bool { return w.end-w.base > max(rewriteMin, w.base) }

// rewrite replaces the file by one snapshot: written aside, synced, renamed. A crash
// before the rename leaves the old file, after it the new one.
func (w *file) rewrite(s *state) error {
	b, err := frame(&event{Revision: s.Revision, Snapshot: s})
	if err != nil {
		return err
	}
	if err := w.fs.MkdirAll(dir); err != nil {
		return err
	}
	if err := w.fs.Remove(tempName); err != nil {
		return err
	}
	f, err := w.fs.Open(tempName, segment.Create)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Datasync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := w.fs.Rename(tempName, fileName); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := w.fs.SyncDir(dir); err != nil {
		return errors.Join(err, f.Close())
	}
	if w.f != nil {
		_ = w.f.Close() // the old file: it has been replaced
	}
	w.f, w.end, w.base = f, int64(len(b)), int64(len(b))
	return nil
}
