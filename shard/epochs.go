package shard

import (
	"encoding/binary"

	"github.com/penstock/penstock/core"
)

// epochs is a fold over a partition's batches: where each leader epoch begins. Both
// columns rise.
//
// Invariant: entries[i].epoch < entries[i+1].epoch, entries[i].start < entries[i+1].start.
type epochs struct{ entries []epochStart }

type epochStart struct {
	epoch core.Epoch
	start core.Offset
}

// append notes that the batch at base has this epoch. An epoch in which nothing was
// written gives way to the next one (as LeaderEpochFileCache.assign does).
func (e *epochs) append(epoch core.Epoch, base core.Offset) {
	n := len(e.entries)
	if n > 0 && e.entries[n-1].epoch >= epoch {
		return
	}
	for n > 0 && e.entries[n-1].start >= base {
		n--
	}
	e.entries = append(e.entries[:n], epochStart{epoch, base})
}

// endOf returns the largest epoch <= epoch and where it ends; both -1 if the epoch is one
// of the future, or none. One that is older than all that is known ends where those begin:
// its records are gone, and a reader that was told nothing would think that its own are
// (LeaderEpochFileCache.endOffsetFor).
func (e *epochs) endOf(epoch core.Epoch, logEnd core.Offset) (core.Epoch, core.Offset) {
	n := len(e.entries)
	if epoch < 0 || n == 0 || epoch > e.entries[n-1].epoch {
		return -1, -1
	}
	end := logEnd
	for i := n - 1; i >= 0; i-- {
		if e.entries[i].epoch <= epoch {
			return e.entries[i].epoch, end
		}
		end = e.entries[i].start
	}
	return epoch, end
}

func (e *epochs) snapshot(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(len(e.entries)))
	for _, s := range e.entries {
		dst = be.AppendUint32(dst, uint32(s.epoch))
		dst = be.AppendUint64(dst, uint64(s.start))
	}
	return dst
}

// restore reads what snapshot wrote; r notes if it is too short.
func (e *epochs) restore(r *blobReader) {
	e.entries = e.entries[:0]
	for n := r.count(12); n > 0; n-- {
		epoch := core.Epoch(r.u32())
		e.append(epoch, core.Offset(r.u64()))
	}
}
