package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// A segment file is a header page and then batches, one after the other.
//
//	0 "PNSTKSEG" | 8 version u32 | 12 topic 16 | 28 partition i32 | 32 base i64 | 40 CRC32C of 0..40
//	4096 batches…
const (
	segMagic   = "PNSTKSEG"
	segVersion = 1
	segHeader  = 4096
	segCRC     = 40

	allocMin = 64 << 10
	allocMax = 16 << 20

	// writebackMin is from how many bytes on the disk is put to work, so that a checkpoint
	// finds little to do. Else the syncs of the journal stand behind 64 MiB of it.
	writebackMin = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segfile is one segment of a log.
//
//	written <= submitted <= end
type segfile struct {
	id        core.PartitionID
	base      core.Offset
	written   core.FilePos // in the file
	submitted core.FilePos // handed to the writer
	end       core.FilePos // appended
	sealed    bool
	loaded    bool // the index is complete
	loading   bool
	warming   bool
	unsynced  bool // written since its last sync
	indexed   bool // its index file is written
	known     bool // maxTs is that of the index
	reserved  bool // space may be reserved beyond its end
	jobs      int  // jobs that use its index or its files
	idx       index
	heat      heat
	maxTs     int64       // newest timestamp, of a sealed segment
	follow    core.Offset // the offset after it, from its index file; 0: not known
	file      File        // set by the loop, for readers
	made      int64       // Wall when it began; 0: not known
	closedAt  int64       // Wall when it was sealed; 0: not known
	pin       core.Pin
	node      node[segfile]
	w         segWriter
}

// newest is the newest timestamp in it.
func (g *segfile) newest() int64 {
	if g.loaded {
		return g.idx.maxTs
	}
	return g.maxTs
}

// segWriter is the side of the workers; only their jobs touch it. The write worker opens
// the file; what a flush syncs was written before, and is pinned, so it is open.
type segWriter struct {
	file   File
	alloc  core.FilePos
	begun  core.FilePos // the kernel was asked to write back up to here
	made   bool         // the file is there
	linked bool         // the directory entry is durable; of the flush worker
}

func partitionDir(id core.PartitionID) string {
	return "topics/" + id.Topic.Hex() + "/" + itoa(int(id.Index))
}

func segName(id core.PartitionID, base core.Offset) string {
	return partitionDir(id) + "/" + fmt.Sprintf("%020d.log", int64(base))
}

func segHead(id core.PartitionID, base core.Offset) []byte {
	b := make([]byte, segHeader)
	le := binary.LittleEndian
	copy(b, segMagic)
	le.PutUint32(b[8:], segVersion)
	copy(b[12:], id.Topic[:])
	le.PutUint32(b[28:], uint32(id.Index))
	le.PutUint64(b[32:], uint64(base))
	le.PutUint32(b[segCRC:], crc32.Checksum(b[:segCRC], castagnoli))
	return b
}

var errSegHeader = errors.New("the segment header is damaged")

func checkSegHead(f File, id core.PartitionID, base core.Offset) error {
	var b [segCRC + 4]byte
	if n, err := f.ReadAt(b[:], 0); n < len(b) {
		if err == io.EOF {
			return errSegHeader
		}
		return err
	}
	le := binary.LittleEndian
	if string(b[:8]) == segMagic && le.Uint32(b[8:]) > segVersion && le.Uint32(b[segCRC:]) == crc32.Checksum(b[:segCRC], castagnoli) {
		return fmt.Errorf("%s has format version %d, newer than this program: use the newer one", segName(id, base), le.Uint32(b[8:]))
	}
	if string(b[:]) != string(segHead(id, base)[:len(b)]) {
		return errSegHeader
	}
	return nil
}

// close gives up the descriptors. What was written is synced, or will never be read.
func (g *segfile) close() {
	if g.file != nil {
		_ = g.file.Close()
	}
	if g.w.file != nil && g.w.file != g.file {
		_ = g.w.file.Close()
	}
	g.file, g.w.file = nil, nil
}

// createSeg makes a segment file, or takes the one that a crash of an earlier start left.
func createSeg(fsys FS, id core.PartitionID, base core.Offset) (File, error) {
	if err := fsys.MkdirAll(partitionDir(id)); err != nil {
		return nil, err
	}
	name := segName(id, base)
	f, err := fsys.Open(name, Create)
	if errors.Is(err, fs.ErrExist) {
		f, err = fsys.Open(name, ReadWrite)
	}
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(segHead(id, base), 0); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// write puts bytes where they belong; on the write worker.
func (g *segfile) write(fsys FS, bufs [][]byte, pos core.FilePos, size int64) (err error) {
	if g.w.file == nil {
		if g.w.made {
			g.w.file, err = fsys.Open(segName(g.id, g.base), ReadWrite)
		} else {
			g.w.file, err = createSeg(fsys, g.id, g.base)
		}
		if err != nil {
			return err
		}
		g.w.made = true
	}
	if end := pos + core.FilePos(size); end > g.w.alloc {
		step := min(max(end, allocMin), allocMax)
		to := end + step - end%step
		if err := g.w.file.Allocate(int64(end)-size, int64(to-end)+size); err != nil {
			return err
		}
		g.w.alloc = to
	}
	if err := g.w.file.WritevAt(bufs, int64(pos)); err != nil {
		return err
	}
	if end := pos + core.FilePos(size); end-g.w.begun >= writebackMin {
		_ = g.w.file.Writeback(int64(g.w.begun), int64(end-g.w.begun)) // only a hint
		g.w.begun = end
	}
	return nil
}

// sync makes what was written durable; on the flush worker.
func (g *segfile) sync(fsys FS) error {
	if err := g.w.file.Datasync(); err != nil {
		return err
	}
	if !g.w.linked {
		if err := fsys.SyncDir(partitionDir(g.id)); err != nil {
			return err
		}
		g.w.linked = true
	}
	return nil
}

const walkBuffer = 256 << 10

var walkBuffers = sync.Pool{New: func() any { return new([walkBuffer]byte) }}

// walk reads the batches of [pos, size) of a file: the header of each (b of fn), and with
// whole set all its bytes (b), checked. It stops without an error at the first thing that is not
// the next batch, and says where that is and why.
func walk(f File, pos core.FilePos, size int64, next core.Offset, whole bool, fn func(h batch.Header, pos core.FilePos, b []byte) error) (core.FilePos, core.Offset, string, error) {
	lent := walkBuffers.Get().(*[walkBuffer]byte)
	defer walkBuffers.Put(lent)
	buf := lent[:]
	have, start := 0, pos // buf[:have] holds the file from start
	stride := len(buf)    // to read at a time
	for int64(pos) < size {
		at := int(pos - start)
		need := batch.HeaderSize
		if have-at >= batch.HeaderSize {
			n := batch.Size(buf[at:])
			if n == 0 {
				return pos, next, "no batch begins here", nil
			}
			if whole {
				need = n
			}
		}
		if int64(pos)+int64(need) > size {
			return pos, next, "the batch is cut off", nil
		}
		if at < 0 || at > have || have-at < need {
			if need > len(buf) {
				buf = make([]byte, need)
			}
			n, err := f.ReadAt(buf[:min(int64(max(stride, need)), size-int64(pos))], int64(pos))
			if n < need {
				return pos, next, "", err
			}
			have, start = n, pos
			continue
		}
		h, err := batch.Parse(buf[at:have])
		b := buf[at : at+batch.HeaderSize]
		if err == nil && whole {
			b = buf[at : at+h.Size]
			h, err = batch.Valid(b)
		}
		switch {
		case err != nil:
			return pos, next, err.Error(), nil
		case h.Base != next:
			return pos, next, "the offset does not follow", nil
		case int64(pos)+int64(h.Size) > size:
			return pos, next, "the batch is cut off", nil
		}
		if err := fn(h, pos, b); err != nil {
			return pos, next, "", err
		}
		if stride = len(buf); !whole && h.Size > stride/4 {
			stride = 4 << 10 // most of what is read would be skipped
		}
		pos += core.FilePos(h.Size)
		next = h.Last() + 1
	}
	return pos, next, "", nil
}
