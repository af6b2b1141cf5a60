package shard

import (
	"encoding/binary"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

const (
	producerBatches = 5       // batches remembered of each producer (ProducerStateEntry.NUM_BATCHES_TO_RETAIN)
	producersMax    = 1 << 16 // of one partition; the one that was idle longest gives way
	producerExpiry  = 24 * 3600 * int64(time.Second/time.Millisecond)
	sequenceMask    = 1<<31 - 1 // sequences wrap from 2^31-1 to 0
	awaitedMax      = 1 << 10   // refused first batches remembered; all are forgotten when there are more
)

// producers is a fold over a partition's batches: what each idempotent producer wrote
// last (KIP-98). It keeps them in the order of their last append, so that expiry is a
// walk from the oldest.
//
//	check --ok--> append            check --repeat--> the original's offset
type producers struct {
	byID           map[int64]int32
	table          []producer
	free           []int32
	oldest, newest int32 // positions in table; -1: none
	awaited        map[int64]awaited
}

// awaited is the first batch of a producer that was refused for want of room: what the
// producer had sent behind it must not become its first. In memory only: who connects
// again begins with what was not acknowledged.
type awaited struct {
	epoch    int16
	sequence int32
}

// producer is one producer id. Invariant: 1 <= count <= producerBatches; the newest
// batch is batches[(first+count-1) % producerBatches].
type producer struct {
	id           int64
	used         int64 // ms, monotonic: of the last append, or of the start that restored it
	epoch        int16
	first, count uint8
	prev, next   int32 // towards the oldest, towards the newest
	batches      [producerBatches]sent
}

// sent is one batch that was appended.
type sent struct {
	base      core.Offset
	lastDelta int32
	sequence  int32 // of the first record
	time      int64 // log append time; -1 with CreateTime
}

func (b *sent) last() core.Offset { return b.base + core.Offset(b.lastDelta) }

func lastSequence(first, delta int32) int32 {
	return int32((int64(first) + int64(delta)) & sequenceMask)
}

func newProducers() producers {
	return producers{byID: map[int64]int32{}, oldest: -1, newest: -1}
}

// check says whether the batch may be appended. An exact repeat of one of the last
// batches is none to append: it succeeds as the original did. A producer that is not
// known may begin anywhere: its state may have expired (KIP-360).
func (ps *producers) check(h *batch.Header) (repeat *sent, code core.Code) {
	if h.ProducerID < 0 {
		return nil, core.OK
	}
	at, ok := ps.byID[h.ProducerID]
	if !ok {
		if w, there := ps.awaited[h.ProducerID]; there && w.epoch == h.ProducerEpoch && w.sequence != h.Sequence {
			return nil, core.ErrSequence // the client sends both again, in their order
		}
		return nil, core.OK
	}
	p := &ps.table[at]
	switch {
	case h.ProducerEpoch < p.epoch && planted != noEpoch:
		return nil, core.ErrProducerEpoch
	case h.ProducerEpoch > p.epoch:
		if h.Sequence != 0 {
			return nil, core.ErrSequence
		}
		return nil, core.OK
	}
	for i := range p.count {
		if planted == shortWindow && i == 0 && p.count == producerBatches {
			continue
		}
		b := &p.batches[(p.first+i)%producerBatches]
		if b.sequence == h.Sequence && b.lastDelta == h.LastDelta {
			return b, core.OK
		}
	}
	newest := &p.batches[(p.first+p.count-1)%producerBatches]
	if h.Sequence != lastSequence(newest.sequence, newest.lastDelta+1) {
		return nil, core.ErrSequence
	}
	return nil, core.OK
}

// refused notes a batch that found no room, and may be sent again.
func (ps *producers) refused(h *batch.Header) {
	if _, known := ps.byID[h.ProducerID]; known || h.ProducerID < 0 {
		return
	}
	if len(ps.awaited) >= awaitedMax {
		clear(ps.awaited)
	}
	if ps.awaited == nil {
		ps.awaited = map[int64]awaited{}
	}
	if w, there := ps.awaited[h.ProducerID]; !there || w.epoch < h.ProducerEpoch {
		ps.awaited[h.ProducerID] = awaited{h.ProducerEpoch, h.Sequence}
	}
}

// append notes a batch that was appended at base. now is monotonic, in ms: no clock that
// is set makes a producer forgotten, neither the broker's nor a client's.
func (ps *producers) append(h *batch.Header, base core.Offset, appendTime, now int64) {
	if h.ProducerID < 0 {
		return
	}
	at, ok := ps.byID[h.ProducerID]
	if ok {
		ps.unlink(at)
	} else {
		ps.expire(now)
		delete(ps.awaited, h.ProducerID)
		at = ps.add(h.ProducerID)
	}
	p := &ps.table[at]
	if h.ProducerEpoch != p.epoch {
		p.epoch, p.first, p.count = h.ProducerEpoch, 0, 0
	}
	p.used = now
	if p.count == producerBatches {
		p.first = (p.first + 1) % producerBatches
		p.count--
	}
	p.batches[(p.first+p.count)%producerBatches] = sent{base, h.LastDelta, h.Sequence, appendTime}
	p.count++
	ps.link(at)
}

func (ps *producers) add(id int64) int32 {
	if len(ps.byID) >= producersMax {
		ps.drop(ps.oldest)
	}
	var at int32
	if n := len(ps.free); n > 0 {
		at, ps.free = ps.free[n-1], ps.free[:n-1]
	} else {
		at = int32(len(ps.table))
		ps.table = append(ps.table, producer{})
	}
	ps.table[at] = producer{id: id, epoch: -1}
	ps.byID[id] = at
	return at
}

// expire forgets producers that have been idle for a day (producer.id.expiration.ms).
func (ps *producers) expire(now int64) {
	for ps.oldest >= 0 && now-ps.table[ps.oldest].used >= producerExpiry {
		ps.drop(ps.oldest)
	}
}

func (ps *producers) drop(at int32) {
	ps.unlink(at)
	delete(ps.byID, ps.table[at].id)
	ps.free = append(ps.free, at)
}

// link makes at the newest.
func (ps *producers) link(at int32) {
	p := &ps.table[at]
	p.prev, p.next = ps.newest, -1
	if ps.newest >= 0 {
		ps.table[ps.newest].next = at
	} else {
		ps.oldest = at
	}
	ps.newest = at
}

func (ps *producers) unlink(at int32) {
	p := &ps.table[at]
	if p.prev >= 0 {
		ps.table[p.prev].next = p.next
	} else {
		ps.oldest = p.next
	}
	if p.next >= 0 {
		ps.table[p.next].prev = p.prev
	} else {
		ps.newest = p.prev
	}
}

// snapshot appends the producers, the oldest first:
//
//	count u32, then each: id i64, epoch i16, batches u8,
//	                      then each: base i64, lastDelta i32, sequence i32, time i64
func (ps *producers) snapshot(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(len(ps.byID)))
	for at := ps.oldest; at >= 0; at = ps.table[at].next {
		p := &ps.table[at]
		dst = be.AppendUint64(dst, uint64(p.id))
		dst = be.AppendUint16(dst, uint16(p.epoch))
		dst = append(dst, p.count)
		for i := range p.count {
			b := &p.batches[(p.first+i)%producerBatches]
			dst = be.AppendUint64(dst, uint64(b.base))
			dst = be.AppendUint32(dst, uint32(b.lastDelta))
			dst = be.AppendUint32(dst, uint32(b.sequence))
			dst = be.AppendUint64(dst, uint64(b.time))
		}
	}
	return dst
}

// restore reads what snapshot wrote; r notes if it is not that. How long a producer was
// idle before is not known: it has another day.
func (ps *producers) restore(r *blobReader, now int64) {
	*ps = newProducers()
	for n := r.count(11); n > 0; n-- {
		at := ps.add(int64(r.u64()))
		p := &ps.table[at]
		p.used, p.epoch, p.count = now, int16(r.u16()), r.u8()
		if p.count == 0 || p.count > producerBatches {
			r.bad = true
			return
		}
		for i := range p.count {
			p.batches[i] = sent{core.Offset(r.u64()), int32(r.u32()), int32(r.u32()), int64(r.u64())}
		}
		ps.link(at)
	}
}
