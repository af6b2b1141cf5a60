package segment

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/penstock/penstock/core"
)

// The arena is one mapping: a header, a table with a record per chunk, the chunks.
//
//	header: 0 magic | 8 version u32 | 12 chunk bytes u32 | 16 chunks u32 | 24 id 16 | 40 boot, 64 bytes
//	record: 0 state u32 | 4 length u32 | 8 sequence u64 | 16 topic | 32 index i32 | 40 segment | 48 pos
//
// The process may die at any instruction: a record counts once its state is set, which
// is after all but the length; the length grows after the bytes that it covers. All
// numbers are little endian.
const (
	arenaMagic   = uint64(0x3152414b54534e50) // "PNSTKAR1"
	arenaVersion = 1
	arenaHeader  = 4096
	arenaRecord  = 64
	bootMax      = 64

	chunkFree = 0
	chunkLent = 1
)

type arena struct {
	m          Mapping
	chunkBytes int
	chunks     []chunk
	free       []*chunk
	retiring   []*chunk // written, but a journal write or a reader still uses the memory
	seq        uint64
	backlog    int // bytes of chunks that nothing is added to, and that are not in the file yet
}

// chunk is a window on a segment file: its bytes belong at [pos, pos+len(data)).
type chunk struct {
	a       *arena
	record  []byte
	buf     []byte
	seg     *segfile
	pos     core.FilePos
	len     int // bytes in it
	room    int // bytes that it takes; it ends at a multiple of the chunk size in the file
	written int // of these, in the segment file
	refs    int // journal writes under way that use it
	closed  bool
	pin     core.Pin
}

func (c *chunk) end() core.FilePos { return c.pos + core.FilePos(c.len) }

// arenaName is the file of a shard's arena.
func arenaName(shard core.ShardID) string { return "arena-" + itoa(int(shard)) }

// openArena maps the arena and makes it empty: recovery has replayed what it held.
func openArena(fs FS, name string, size int64, chunkBytes int, id [16]byte) (*arena, error) {
	m, _, err := fs.Map(name, size)
	if err != nil {
		return nil, err
	}
	b := m.Bytes()
	n := int((size - arenaHeader) / int64(chunkBytes+arenaRecord))
	clear(b[:arenaHeader+n*arenaRecord])
	a := &arena{m: m, chunkBytes: chunkBytes, chunks: make([]chunk, n)}
	data := (arenaHeader + n*arenaRecord + 4095) &^ 4095
	for data+n*chunkBytes > len(b) {
		n--
	}
	a.chunks = a.chunks[:n]
	for i := range a.chunks {
		c := &a.chunks[i]
		c.a = a
		c.record = b[arenaHeader+i*arenaRecord:][:arenaRecord]
		c.buf = b[data+i*chunkBytes:][:chunkBytes:chunkBytes]
		a.free = append(a.free, c)
	}
	le := binary.LittleEndian
	le.PutUint32(b[8:], arenaVersion)
	le.PutUint32(b[12:], uint32(chunkBytes))
	le.PutUint32(b[16:], uint32(n))
	le.PutUint32(b[20:], uint32(data))
	copy(b[24:40], id[:])
	copy(b[40:40+bootMax], fs.Boot())
	le.PutUint64(b, arenaMagic)
	return a, nil
}

func word(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(unsafe.SliceData(b))) }

// lend gives a chunk to a segment, from pos on; there is one (see room). The chunk ends
// at a multiple of its size, so that writes do not share pages with those before: the
// kernel dirties pages in large folios, and would write the shared ones twice.
func (a *arena) lend(g *segfile, pos core.FilePos) *chunk {
	c := a.free[len(a.free)-1]
	a.free = a.free[:len(a.free)-1]
	a.seq++
	c.seg, c.pos, c.len, c.written, c.closed = g, pos, 0, 0, false
	c.room = a.chunkBytes - int(pos%core.FilePos(a.chunkBytes))
	le, r := binary.LittleEndian, c.record
	atomic.StoreUint32(word(r[4:]), 0)
	le.PutUint64(r[8:], a.seq)
	copy(r[16:32], g.id.Topic[:])
	le.PutUint32(r[32:], uint32(g.id.Index))
	le.PutUint64(r[40:], uint64(g.base))
	le.PutUint64(r[48:], uint64(pos))
	atomic.StoreUint32(word(r), chunkLent)
	return c
}

// fill copies as much of p as fits, and publishes the length after the bytes.
func (c *chunk) fill(p []byte) int {
	n := copy(c.buf[c.len:c.room], p)
	c.len += n
	atomic.StoreUint32(word(c.record[4:]), uint32(c.len))
	if c.len == c.room {
		c.a.close(c)
	}
	return n
}

// close ends a chunk: the next bytes go to another one.
func (a *arena) close(c *chunk) {
	if !c.closed {
		c.closed = true
		a.backlog += c.len
	}
}

// retire takes back a chunk whose bytes are in the segment file. Its memory is lent
// again when nobody uses it any more.
func (a *arena) retire(c *chunk) {
	atomic.StoreUint32(word(c.record), chunkFree)
	if c.closed {
		a.backlog -= c.len
	}
	if c.refs > 0 || c.pin.Held() {
		a.retiring = append(a.retiring, c)
		return
	}
	c.seg = nil
	a.free = append(a.free, c)
}

// sweep frees what is no longer used.
func (a *arena) sweep() {
	rest := a.retiring[:0]
	for _, c := range a.retiring {
		if c.refs > 0 || c.pin.Held() {
			rest = append(rest, c)
			continue
		}
		c.seg = nil
		a.free = append(a.free, c)
	}
	a.retiring = rest
}

// replayArena calls fn with what an arena of this boot and data directory holds, in
// order of sequence. Anything else that lies there is not ours to read: ours is false.
func replayArena(fs FS, name string, size int64, id [16]byte, fn func(id core.PartitionID, segment core.Offset, pos core.FilePos, data []byte) error) (ours bool, err error) {
	m, fresh, err := fs.Map(name, size)
	if err != nil {
		return false, err
	}
	defer func() { _ = m.Close() }()
	b := m.Bytes()
	le := binary.LittleEndian
	if fresh || len(b) < arenaHeader || le.Uint64(b) != arenaMagic {
		return false, nil
	}
	if v := le.Uint32(b[8:]); v > arenaVersion {
		return false, fmt.Errorf("the arena %s has format version %d, newer than this program: use the newer one", name, v)
	}
	boot := fs.Boot()
	var want [bootMax]byte
	copy(want[:], boot)
	if boot == "" || [16]byte(b[24:40]) != id || [bootMax]byte(b[40:40+bootMax]) != want {
		return false, nil
	}
	chunkBytes, n, data := int(le.Uint32(b[12:])), int(le.Uint32(b[16:])), int(le.Uint32(b[20:]))
	if n < 0 || chunkBytes <= 0 || data+n*chunkBytes > len(b) {
		return false, nil
	}
	var live []int
	record := func(i int) []byte { return b[arenaHeader+i*arenaRecord:][:arenaRecord] }
	for i := range n {
		if le.Uint32(record(i)) == chunkLent {
			live = append(live, i)
		}
	}
	sortBy(live, func(i int) uint64 { return le.Uint64(record(i)[8:]) })
	for _, i := range live {
		r := record(i)
		size := min(int(le.Uint32(r[4:])), chunkBytes)
		p := core.PartitionID{Topic: core.TopicID(r[16:32]), Index: int32(le.Uint32(r[32:]))}
		if err := fn(p, core.Offset(le.Uint64(r[40:])), core.FilePos(le.Uint64(r[48:])), b[data+i*chunkBytes:][:size]); err != nil {
			return true, err
		}
	}
	return true, nil
}
