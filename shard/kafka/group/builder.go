package group

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// builder makes the batches of one step. They stay valid until reset.
type builder struct {
	buf        []byte
	from       int // of the batch being built
	count      int32
	time       int64
	body       []byte // of the record being built
	key, value []byte // lent to the codecs of records
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b *builder) reset() { b.buf = b.buf[:0] }

// begin starts a batch whose records all have this time, in ms.
func (b *builder) begin(time int64) {
	b.from, b.count, b.time = len(b.buf), 0, time
	b.buf = append(b.buf, make([]byte, batch.HeaderSize)...)
}

// add adds a record; a nil value is a tombstone.
func (b *builder) add(key, value []byte) {
	r := append(b.body[:0], 0) // attributes
	r = binary.AppendVarint(r, 0)
	r = binary.AppendVarint(r, int64(b.count))
	r = binary.AppendVarint(r, int64(len(key)))
	r = append(r, key...)
	if value == nil {
		r = binary.AppendVarint(r, -1)
	} else {
		r = binary.AppendVarint(r, int64(len(value)))
		r = append(r, value...)
	}
	r = binary.AppendVarint(r, 0) // headers
	b.body = r
	b.buf = binary.AppendVarint(b.buf, int64(len(r)))
	b.buf = append(b.buf, r...)
	b.count++
}

func (b *builder) size() int { return len(b.buf) - b.from }

// finish returns the batch.
func (b *builder) finish() []byte {
	p := b.buf[b.from:len(b.buf):len(b.buf)]
	be := binary.BigEndian
	clear(p[:batch.HeaderSize])
	be.PutUint32(p[8:], uint32(len(p)-batch.LengthEnd))
	p[16] = batch.Magic
	be.PutUint32(p[23:], uint32(b.count-1))
	be.PutUint64(p[27:], uint64(b.time))
	be.PutUint64(p[35:], uint64(b.time))
	be.PutUint64(p[43:], 1<<64-1)
	be.PutUint16(p[51:], 1<<16-1)
	be.PutUint32(p[53:], 1<<32-1)
	be.PutUint32(p[57:], uint32(b.count))
	be.PutUint32(p[17:], crc32.Checksum(p[21:], castagnoli))
	return p
}

// records walks the records of an uncompressed batch.
func records(b []byte, h batch.Header, fn func(key, value []byte)) error {
	if len(b) < h.Size || h.Attrs&batch.AttrCompression != 0 {
		return core.ErrCorruptBatch
	}
	p := b[batch.HeaderSize:h.Size]
	for i := int32(0); i < h.Count; i++ {
		n, w := binary.Varint(p)
		if w <= 0 || n < 1 || n > int64(len(p)-w) {
			return core.ErrCorruptBatch
		}
		r := p[w+1 : w+int(n)]
		p = p[w+int(n):]
		for k := 0; k < 2; k++ { // time and offset deltas
			if _, w = binary.Varint(r); w <= 0 {
				return core.ErrCorruptBatch
			}
			r = r[w:]
		}
		key, r, ok := field(r)
		if !ok {
			return core.ErrCorruptBatch
		}
		value, _, ok := field(r)
		if !ok {
			return core.ErrCorruptBatch
		}
		fn(key, value)
	}
	return nil
}

// field reads a length and so many bytes; -1 is nil.
func field(r []byte) (f, rest []byte, ok bool) {
	n, w := binary.Varint(r)
	if w <= 0 || n < -1 || n > int64(len(r)-w) {
		return nil, nil, false
	}
	if n == -1 {
		return nil, r[w:], true
	}
	return r[w : w+int(n) : w+int(n)], r[w+int(n):], true
}
