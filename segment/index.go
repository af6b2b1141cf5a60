package segment

import (
	"cmp"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

func itoa(n int) string { return strconv.Itoa(n) }

func sortBy[T any, K cmp.Ordered](s []T, key func(T) K) {
	slices.SortFunc(s, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

const (
	blockBatches = 256 // batches of one index block
	prefixSize   = 21  // of a batch: base offset, length, epoch, magic, CRC of the rest
)

// index says where each batch of a segment begins, in two levels. The blocks are few
// and stay; the slots of a block are dropped when too many are in memory (cache), and
// loaded again from the index file or, block by block, from the segment itself.
//
//	blocks  |first offset, position, newest time, sum|…  one for 256 batches
//	slots      |offset, position|…                       one for each batch
//
// The sum chains the first 21 bytes of all batches up to the end of the block. They hold
// base offset and length, which the CRC of a batch does not cover, and that CRC: so the
// sum stands for every byte of the segment.
type index struct {
	blocks []*indexBlock
	n      int // batches
	maxTs  int64
	first  core.Epoch // leader epoch of the first batch
	last   core.Epoch // and of the last one
}

// indexBlock is up to 256 batches that follow one another. All but the last block of an
// index are full.
type indexBlock struct {
	node       node[indexBlock]
	seg        *segfile // once it is in the cache
	delta, pos uint32   // of the first batch
	n          uint32
	sum        uint32 // up to the end of the block
	maxTs      int64
	slots      *indexSlots // nil: not in memory
}

type indexSlots [blockBatches]indexSlot

// indexSlot is one batch: its base offset, relative to the segment's, and its position.
type indexSlot struct{ delta, pos uint32 }

// add appends a batch, of which head holds the first bytes. It says whether a block has
// become full: that one may be dropped from now on. slots may be nil.
func (x *index) add(delta uint32, pos core.FilePos, h *batch.Header, head []byte, slots func() *indexSlots) (full *indexBlock) {
	sum := uint32(0)
	b := x.tail()
	if b != nil {
		sum = b.sum
	}
	if b == nil || b.n == blockBatches {
		full = b
		b = &indexBlock{delta: delta, pos: uint32(pos), maxTs: h.MaxTime}
		if slots != nil {
			b.slots = slots()
		} else {
			b.slots = new(indexSlots)
		}
		x.blocks = append(x.blocks, b)
	}
	if x.n == 0 {
		x.maxTs, x.first = h.MaxTime, h.Epoch
	}
	b.slots[b.n] = indexSlot{delta, uint32(pos)}
	b.n++
	b.sum = crc32.Update(sum, castagnoli, head[:prefixSize])
	b.maxTs = max(b.maxTs, h.MaxTime)
	x.maxTs, x.last = max(x.maxTs, h.MaxTime), h.Epoch
	x.n++
	return full
}

// tail is the block that grows; nil: there is none.
func (x *index) tail() *indexBlock {
	if n := len(x.blocks); n > 0 {
		return x.blocks[n-1]
	}
	return nil
}

// blockOf is the index in blocks of the one that holds the offset; -1: before all.
func (x *index) blockOf(delta uint32) int {
	lo, hi := 0, len(x.blocks)
	for lo < hi {
		if m := (lo + hi) / 2; x.blocks[m].delta <= delta {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

// seek is the batch that holds the offset: its slot and the position after it, 0 if it
// is the last. miss is the block that must be loaded first. With neither there is no
// such batch.
func (x *index) seek(delta uint32) (at indexSlot, next core.FilePos, ok bool, miss *indexBlock) {
	i := x.blockOf(delta)
	if i < 0 {
		return at, 0, false, nil
	}
	b := x.blocks[i]
	if b.slots == nil {
		return at, 0, false, b
	}
	lo, hi := 0, int(b.n)
	for lo < hi {
		if m := (lo + hi) / 2; b.slots[m].delta <= delta {
			lo = m + 1
		} else {
			hi = m
		}
	}
	at = b.slots[lo-1]
	if lo < int(b.n) {
		next = core.FilePos(b.slots[lo].pos)
	} else if i+1 < len(x.blocks) {
		next = core.FilePos(x.blocks[i+1].pos)
	}
	return at, next, true, nil
}

// floor is the last batch boundary at or before pos; 0: none.
func (x *index) floor(pos core.FilePos) (at core.FilePos, miss *indexBlock) {
	lo, hi := 0, len(x.blocks)
	for lo < hi {
		if m := (lo + hi) / 2; core.FilePos(x.blocks[m].pos) <= pos {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return 0, nil
	}
	b := x.blocks[lo-1]
	if core.FilePos(b.pos) == pos {
		return pos, nil
	}
	if b.slots == nil {
		return 0, b
	}
	lo, hi = 0, int(b.n)
	for lo < hi {
		if m := (lo + hi) / 2; core.FilePos(b.slots[m].pos) <= pos {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return core.FilePos(b.slots[lo-1].pos), nil
}

// end is the position after block i, in a segment of this size.
func (x *index) end(i int, size core.FilePos) core.FilePos {
	if i+1 < len(x.blocks) {
		return core.FilePos(x.blocks[i+1].pos)
	}
	return size
}
