package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// The index file of a sealed segment lies beside it. All numbers are little endian.
//
//	0 "PNSTKIDX" | 8 version u32 | 12 CRC32C of 16 to the end of the blocks | 16 topic 16 | 32 partition i32
//	36 first epoch i32 | 40 last epoch i32 | 44 sum u32 | 48 base i64 | 56 next i64 | 64 length i64
//	72 newest time i64 | 80 begun i64 | 88 sealed i64 | 96 batches u32 | 100 blocks u32 | zeros to 128
//	128 blocks… | slots…
//	block: first offset u32 | position u32 | newest time i64 | batches u32 | sum u32 | CRC32C of its slots | 0 u32
//	slot: offset u32 | position u32
//
// Offsets are relative to base. The sum of a block is the CRC32C of the first 21 bytes
// of each batch from the beginning of the segment to the end of the block. The file is
// written after the segment has been synced: what it says was on the disk once. It is
// not synced itself. Missing, torn or older, it is made again from the segment.
const (
	idxMagic   = "PNSTKIDX"
	idxVersion = 1
	idxHead    = 128
	idxBlock   = 32
	idxSlot    = 8
	idxFrom    = 16 // where the CRC begins
)

// indexHead is what the file says of its segment.
type indexHead struct {
	id             core.PartitionID
	first, last    core.Epoch
	sum            uint32
	base, next     core.Offset
	length         core.FilePos
	maxTs          int64
	begun, sealed  int64 // Wall
	batches, count uint32
}

func indexName(id core.PartitionID, base core.Offset) string {
	name := segName(id, base)
	return name[:len(name)-len(".log")] + ".index"
}

// encodeIndex is the file of an index of which all slots are in memory.
func encodeIndex(h indexHead, x *index) []byte {
	le := binary.LittleEndian
	size := idxHead + len(x.blocks)*idxBlock
	b := make([]byte, size, size+x.n*idxSlot)
	copy(b, idxMagic)
	le.PutUint32(b[8:], idxVersion)
	copy(b[16:], h.id.Topic[:])
	le.PutUint32(b[32:], uint32(h.id.Index))
	le.PutUint32(b[36:], uint32(h.first))
	le.PutUint32(b[40:], uint32(h.last))
	le.PutUint32(b[44:], h.sum)
	for i, v := range [...]int64{int64(h.base), int64(h.next), int64(h.length), h.maxTs, h.begun, h.sealed} {
		le.PutUint64(b[48+8*i:], uint64(v))
	}
	le.PutUint32(b[96:], uint32(x.n))
	le.PutUint32(b[100:], uint32(len(x.blocks)))
	for i, k := range x.blocks {
		from := len(b)
		for _, s := range k.slots[:k.n] {
			b = le.AppendUint32(le.AppendUint32(b, s.delta), s.pos)
		}
		e := b[idxHead+i*idxBlock:]
		le.PutUint32(e, k.delta)
		le.PutUint32(e[4:], k.pos)
		le.PutUint64(e[8:], uint64(k.maxTs))
		le.PutUint32(e[16:], k.n)
		le.PutUint32(e[20:], k.sum)
		le.PutUint32(e[24:], crc32.Checksum(b[from:], castagnoli))
	}
	le.PutUint32(b[12:], crc32.Checksum(b[idxFrom:size], castagnoli))
	return b
}

var errIndex = errors.New("the index file does not check out")

// errNewerIndex is not trusted and not overwritten.
var errNewerIndex = errors.New("the index file has a newer format")

// readIndexHead reads the head of an index file with its blocks, without slots. An
// error that is not errIndex or fs.ErrNotExist is the file system's.
func readIndexHead(fsys FS, id core.PartitionID, base core.Offset, head *indexHead) (blocks []byte, f File, err error) {
	f, err = fsys.Open(indexName(id, base), ReadOnly)
	if err != nil {
		return nil, nil, err
	}
	blocks, err = head.read(f, id, base)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return blocks, f, nil
}

func (h *indexHead) read(f File, id core.PartitionID, base core.Offset) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, 4096))
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if len(b) < idxHead || string(b[:8]) != idxMagic {
		return nil, errIndex
	}
	if le.Uint32(b[8:]) > idxVersion {
		return nil, errNewerIndex
	}
	h.batches, h.count = le.Uint32(b[96:]), le.Uint32(b[100:])
	want := int64(idxHead) + int64(h.count)*idxBlock
	if le.Uint32(b[8:]) != idxVersion || size != want+int64(h.batches)*idxSlot || h.count == 0 {
		return nil, errIndex
	}
	if int64(len(b)) < want {
		rest := make([]byte, want)
		copy(rest, b)
		if err := readFull(f, rest[len(b):], int64(len(b))); err != nil {
			return nil, err
		}
		b = rest
	}
	b = b[:want]
	if crc32.Checksum(b[idxFrom:], castagnoli) != le.Uint32(b[12:]) {
		return nil, errIndex
	}
	at := func(i int) int64 { return int64(le.Uint64(b[48+8*i:])) }
	h.id = core.PartitionID{Topic: core.TopicID(b[16:32]), Index: int32(le.Uint32(b[32:]))}
	h.first, h.last, h.sum = core.Epoch(le.Uint32(b[36:])), core.Epoch(le.Uint32(b[40:])), le.Uint32(b[44:])
	h.base, h.next, h.length = core.Offset(at(0)), core.Offset(at(1)), core.FilePos(at(2))
	h.maxTs, h.begun, h.sealed = at(3), at(4), at(5)
	if h.id != id || h.base != base || h.next <= base || h.length <= segHeader {
		return nil, errIndex
	}
	return b[idxHead:], nil
}

// readFull reads all of p; a short file is errIndex.
func readFull(f File, p []byte, pos int64) error {
	n, err := f.ReadAt(p, pos)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errIndex
	}
	return err
}

// decode makes the blocks of an index, in bounds and in order, without their slots.
func (h *indexHead) decode(b []byte) (x index, err error) {
	le := binary.LittleEndian
	last := indexBlock{pos: segHeader - 1}
	for i := range int(h.count) {
		e := b[i*idxBlock:]
		k := &indexBlock{delta: le.Uint32(e), pos: le.Uint32(e[4:]), maxTs: int64(le.Uint64(e[8:])), n: le.Uint32(e[16:]), sum: le.Uint32(e[20:])}
		full := k.n == blockBatches || i == int(h.count)-1 && 0 < k.n && k.n < blockBatches
		if !full || k.pos <= last.pos || i > 0 && k.delta <= last.delta || core.FilePos(k.pos) >= h.length || h.base+core.Offset(k.delta) >= h.next {
			return x, errIndex
		}
		x.blocks = append(x.blocks, k)
		x.n += int(k.n)
		last = *k
	}
	if x.n != int(h.batches) || last.sum != h.sum || x.blocks[0].delta != 0 || x.blocks[0].pos != segHeader {
		return x, errIndex
	}
	x.maxTs, x.first, x.last = h.maxTs, h.first, h.last
	return x, nil
}

// slots reads those of one block from the file.
func (h *indexHead) slots(f File, blocks []byte, i int) (*indexSlots, error) {
	le := binary.LittleEndian
	e := blocks[i*idxBlock:]
	n := le.Uint32(e[16:])
	b := make([]byte, int(n)*idxSlot)
	at := int64(idxHead) + int64(len(blocks)) + int64(i)*blockBatches*idxSlot
	if err := readFull(f, b, at); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != le.Uint32(e[24:]) {
		return nil, errIndex
	}
	s := new(indexSlots)
	for k := range int(n) {
		s[k] = indexSlot{le.Uint32(b[k*idxSlot:]), le.Uint32(b[k*idxSlot+4:])}
	}
	return s, nil
}

// loadIndex takes the index of a segment from its file, if that fits the segment: the
// head checks out, the length is the segment's, and its last batch is where it says.
func loadIndex(fsys FS, seg File, id core.PartitionID, base core.Offset, end core.FilePos) (x index, h indexHead, err error) {
	blocks, f, err := readIndexHead(fsys, id, base, &h)
	if err != nil {
		return x, h, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if h.length != end {
		return x, h, errIndex
	}
	if x, err = h.decode(blocks); err != nil {
		return x, h, err
	}
	i := len(x.blocks) - 1
	k := x.blocks[i]
	if k.slots, err = h.slots(f, blocks, i); err != nil {
		return x, h, err
	}
	return x, h, h.checkLast(seg, k.slots[k.n-1])
}

// checkLast reads the last batch, whole.
func (h *indexHead) checkLast(seg File, s indexSlot) error {
	if core.FilePos(s.pos) >= h.length || h.length-core.FilePos(s.pos) > batch.SizeMax {
		return errIndex
	}
	b := make([]byte, h.length-core.FilePos(s.pos))
	if err := readFull(seg, b, int64(s.pos)); err != nil {
		return err
	}
	if k, err := batch.Valid(b); err != nil || k.Base != h.base+core.Offset(s.delta) || k.Last()+1 != h.next || k.Epoch != h.last {
		return errIndex
	}
	return nil
}

// loadSlots takes the slots of one block from the file.
func loadSlots(fsys FS, id core.PartitionID, base core.Offset, end core.FilePos, i int) (*indexSlots, error) {
	var h indexHead
	blocks, f, err := readIndexHead(fsys, id, base, &h)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if h.length != end || i >= int(h.count) {
		return nil, errIndex
	}
	return h.slots(f, blocks, i)
}

// writeIndex replaces the file.
func writeIndex(fsys FS, h indexHead, x *index) error {
	name := indexName(h.id, h.base)
	b := encodeIndex(h, x)
	f, err := fsys.Open(name, ReadWrite)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = fsys.Open(name, Create)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Truncate(int64(len(b)))
	}
	return errors.Join(err, f.Close())
}
