package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// RecordHeader is a header to be written. A nil Value is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Builder makes an uncompressed batch of records. The zero value is ready; it keeps its
// memory from one batch to the next, so that in steady state it allocates nothing.
type Builder struct {
	buf      []byte // header (when finished) and records
	count    int32
	baseTime int64
	maxTime  int64
}

// Reset drops what has been added.
func (w *Builder) Reset() { *w = Builder{buf: w.buf[:0]} }

// Count is how many records have been added since Reset or Finish.
func (w *Builder) Count() int { return int(w.count) }

// Size is the size that the batch has so far.
func (w *Builder) Size() int { return max(len(w.buf), HeaderSize) }

// Add adds a record with a timestamp in ms. A nil key or value is null. What is given is
// copied.
func (w *Builder) Add(ts int64, key, value []byte, headers ...RecordHeader) {
	if w.count == 0 {
		w.buf = append(w.buf[:0], make([]byte, HeaderSize)...)
		w.baseTime, w.maxTime = ts, ts
	}
	w.maxTime = max(w.maxTime, ts)
	size := 1 + sizeVarint(ts-w.baseTime) + sizeVarint(int64(w.count)) + sizeBytes(key) + sizeBytes(value) + sizeVarint(int64(len(headers)))
	for i := range headers {
		size += sizeVarint(int64(len(headers[i].Key))) + len(headers[i].Key) + sizeBytes(headers[i].Value)
	}
	b := binary.AppendVarint(w.buf, int64(size))
	b = append(b, 0)
	b = binary.AppendVarint(b, ts-w.baseTime)
	b = binary.AppendVarint(b, int64(w.count))
	b = appendBytes(b, key)
	b = appendBytes(b, value)
	b = binary.AppendVarint(b, int64(len(headers)))
	for i := range headers {
		b = binary.AppendVarint(b, int64(len(headers[i].Key)))
		b = append(b, headers[i].Key...)
		b = appendBytes(b, headers[i].Value)
	}
	w.buf = b
	w.count++
}

// Finish returns the batch, at offset 0, epoch 0 and of no producer; nil if nothing has
// been added. It is valid until the Builder is used again, which begins a new batch.
func (w *Builder) Finish() []byte { return w.FinishAs(-1, -1, -1) }

// FinishAs is Finish for a batch of an idempotent producer.
func (w *Builder) FinishAs(producer int64, epoch int16, sequence int32) []byte {
	if w.count == 0 {
		return nil
	}
	be := binary.BigEndian
	b := w.buf
	be.PutUint32(b[posLength:], uint32(len(b)-LengthEnd))
	b[posMagic] = Magic
	be.PutUint32(b[posLastDelta:], uint32(w.count-1))
	be.PutUint64(b[posBaseTime:], uint64(w.baseTime))
	be.PutUint64(b[posMaxTime:], uint64(w.maxTime))
	be.PutUint64(b[posProducer:], uint64(producer))
	be.PutUint16(b[posProdEpoch:], uint16(epoch))
	be.PutUint32(b[posSequence:], uint32(sequence))
	be.PutUint32(b[posCount:], uint32(w.count))
	be.PutUint32(b[posCRC:], crc32.Checksum(b[posAttrs:], castagnoli))
	w.count = 0
	return b
}

func appendBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(v))), v...)
}

func sizeBytes(v []byte) int {
	if v == nil {
		return 1
	}
	return sizeVarint(int64(len(v))) + len(v)
}

func sizeVarint(v int64) (n int) {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for n = 1; u >= 0x80; n++ {
		u >>= 7
	}
	return n
}
