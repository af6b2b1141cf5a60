package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math"

	"github.com/penstock/penstock/core"
)

// A checkpoint says from where each partition has to be verified, and from which group
// on the journal has to be replayed. Two files are written in turn; the valid one with
// the higher sequence counts. All numbers are little endian.
//
//	0 "PNSTKCKP" | 8 version u32 | 12 count u32 | 16 sequence | 24 journal sequence | marks… | CRC32C of all before
//	mark: topic 16 | index i32 | blob length u32 | segment | pos | end | start | blob at | newest time | blob
const (
	ckMagic   = "PNSTKCKP"
	ckVersion = 1
	ckHead    = 32
	ckMark    = 72
)

// mark is a point of a partition up to which all is durable in segments.
type mark struct {
	id      core.PartitionID
	segment core.Offset
	pos     core.FilePos
	end     core.Offset
	start   core.Offset
	blobAt  core.Offset
	newest  int64 // timestamp in the segment below pos, or timeUnknown
	blob    []byte
}

// timeUnknown is the newest time of a segment that nobody has looked into.
const timeUnknown = math.MaxInt64

func checkpointName(dir string, seq uint64) string {
	return dir + "/checkpoint." + string("ab"[seq%2])
}

// beginCheckpoint appends room for the head; the marks follow.
func beginCheckpoint(b []byte) []byte { return append(b, make([]byte, ckHead)...) }

func appendMark(b []byte, m *mark) []byte {
	le := binary.LittleEndian
	b = append(b, m.id.Topic[:]...)
	b = le.AppendUint32(b, uint32(m.id.Index))
	b = le.AppendUint32(b, uint32(len(m.blob)))
	for _, v := range [...]int64{int64(m.segment), int64(m.pos), int64(m.end), int64(m.start), int64(m.blobAt), m.newest} {
		b = le.AppendUint64(b, uint64(v))
	}
	return append(b, m.blob...)
}

// endCheckpoint fills the head in and appends the CRC.
func endCheckpoint(b []byte, seq, jseq uint64, count int) []byte {
	le := binary.LittleEndian
	copy(b, ckMagic)
	le.PutUint32(b[8:], ckVersion)
	le.PutUint32(b[12:], uint32(count))
	le.PutUint64(b[16:], seq)
	le.PutUint64(b[24:], jseq)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func encodeCheckpoint(seq, jseq uint64, marks []mark) []byte {
	b := beginCheckpoint(nil)
	for i := range marks {
		b = appendMark(b, &marks[i])
	}
	return endCheckpoint(b, seq, jseq, len(marks))
}

// writeCheckpoint makes it durable; the other of the two files stays as it is.
func writeCheckpoint(fsys FS, name string, b []byte) error {
	f, err := fsys.Open(name, ReadWrite)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Open(name, Create)
	}
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Truncate(int64(len(b)))
	}
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.SyncDir(dirOf(name))
}

// checkpoint is one as read; found says that there is a valid one.
type checkpoint struct {
	found     bool
	seq, jseq uint64
	marks     []mark
	bad       []string // files that are torn or damaged
}

// readCheckpoint reads one file. A missing one is not found, and no error; a torn or
// damaged one is not found and bad.
func readCheckpoint(fsys FS, name string) (c checkpoint, err error) {
	f, err := fsys.Open(name, ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return c, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		return c, err
	}
	le := binary.LittleEndian
	if size < ckHead+4 || string(b[:8]) != ckMagic || crc32.Checksum(b[:size-4], castagnoli) != le.Uint32(b[size-4:]) {
		return checkpoint{bad: []string{name}}, nil
	}
	if le.Uint32(b[8:]) > ckVersion {
		return c, errors.New(name + " has a newer format: use the newer program")
	}
	if !c.decode(b[:size-4]) {
		return checkpoint{bad: []string{name}}, nil
	}
	return c, nil
}

func (c *checkpoint) decode(b []byte) bool {
	le := binary.LittleEndian
	c.seq, c.jseq = le.Uint64(b[16:]), le.Uint64(b[24:])
	count := le.Uint32(b[12:])
	b = b[ckHead:]
	for range count {
		if len(b) < ckMark {
			return false
		}
		at := func(i int) int64 { return int64(le.Uint64(b[24+8*i:])) }
		n := int64(le.Uint32(b[20:]))
		m := mark{id: core.PartitionID{Topic: core.TopicID(b[:16]), Index: int32(le.Uint32(b[16:]))},
			segment: core.Offset(at(0)), pos: core.FilePos(at(1)), end: core.Offset(at(2)), start: core.Offset(at(3)), blobAt: core.Offset(at(4)), newest: at(5)}
		if int64(len(b)) < ckMark+n {
			return false
		}
		m.blob = b[ckMark : ckMark+n]
		b = b[ckMark+n:]
		c.marks = append(c.marks, m)
	}
	c.found = true
	return true
}

// latestCheckpoint is the newer of the two of a directory.
func latestCheckpoint(fsys FS, dir string) (checkpoint, error) {
	a, err := readCheckpoint(fsys, checkpointName(dir, 0))
	b, err2 := readCheckpoint(fsys, checkpointName(dir, 1))
	bad := append(a.bad, b.bad...)
	if b.seq > a.seq || !a.found {
		a = b
	}
	a.bad = bad
	return a, errors.Join(err, err2)
}

func dirOf(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return "."
}

// The arena id file says which arena belongs to a shard of this data directory, and in
// which boot of the machine it was made. It is there while that arena is in use.
//
//	0 "PNSTKAID" | 8 size i64 | 16 id 16 | 32 boot 64 | 96 CRC32C of 0..96
const (
	aidMagic    = "PNSTKAID"
	aidSize     = 100
	arenaIDName = "arena"
)

type arenaID struct {
	size int64
	id   [16]byte
	boot [bootMax]byte
}

func newArenaID(env core.Env, size int64, boot string) (a arenaID) {
	le := binary.LittleEndian
	a.size = size
	le.PutUint64(a.id[:], env.Rand())
	le.PutUint64(a.id[8:], env.Rand())
	copy(a.boot[:], boot)
	return a
}

func (a *arenaID) encode() []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, aidSize), aidMagic...)
	b = le.AppendUint64(b, uint64(a.size))
	b = append(append(b, a.id[:]...), a.boot[:]...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// writeArenaID comes when the arena is there. It is not synced: an arena does not outlive
// what would take the file.
func writeArenaID(fsys FS, dir string, a arenaID) error {
	name := dir + "/" + arenaIDName
	f, err := fsys.Open(name, ReadWrite)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Open(name, Create)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(a.encode(), 0)
	return errors.Join(err, f.Close())
}

// readArenaID reads it; a size of 0 says that there is none that checks out. One that
// cannot be read is an error: to go on without the arena loses what only it holds.
func readArenaID(fsys FS, dir string) (a arenaID, err error) {
	f, err := fsys.Open(dir+"/"+arenaIDName, ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	var b [aidSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) { // a short file was not written to its end
		return a, errors.Join(err, f.Close())
	}
	le := binary.LittleEndian
	if n == len(b) && string(b[:8]) == aidMagic && crc32.Checksum(b[:96], castagnoli) == le.Uint32(b[96:]) {
		a = arenaID{int64(le.Uint64(b[8:])), [16]byte(b[16:32]), [bootMax]byte(b[32:96])}
	}
	return a, f.Close()
}
