package segment

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/penstock/penstock/core"
)

func itoa(n int) string { return strconv.Itoa(n) }

func sortBy[T any, K cmp.Ordered](s []T, key func(T) K) {
	slices.SortFunc(s, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}

const indexBlock = 1024

// index says where each batch of a segment begins. It lives in memory only and is made
// again from the file: blocks of 8 KiB, so that growing never copies it.
type index struct {
	blocks []*indexPart
	n      int
	maxTs  int64
}

type indexPart struct {
	slots [indexBlock]indexSlot
	maxTs int64
}

// indexSlot is one batch: its base offset, relative to the segment's, and its position.
type indexSlot struct{ delta, pos uint32 }

func (x *index) add(delta uint32, pos core.FilePos, maxTs int64) {
	i := x.n % indexBlock
	if i == 0 {
		x.blocks = append(x.blocks, &indexPart{maxTs: maxTs})
	}
	if x.n == 0 {
		x.maxTs = maxTs
	}
	b := x.blocks[len(x.blocks)-1]
	b.slots[i] = indexSlot{delta, uint32(pos)}
	b.maxTs = max(b.maxTs, maxTs)
	x.maxTs = max(x.maxTs, maxTs)
	x.n++
}

func (x *index) at(i int) indexSlot { return x.blocks[i/indexBlock].slots[i%indexBlock] }

// find is the batch that holds the offset: the last that does not begin after it.
func (x *index) find(delta uint32) int {
	lo, hi := 0, x.n
	for lo < hi {
		if m := (lo + hi) / 2; x.at(m).delta <= delta {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

// before is the last batch boundary at or before pos.
func (x *index) before(pos core.FilePos) core.FilePos {
	lo, hi := 0, x.n
	for lo < hi {
		if m := (lo + hi) / 2; core.FilePos(x.at(m).pos) <= pos {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return 0
	}
	return core.FilePos(x.at(lo - 1).pos)
}
