// Package batch is the record batch v2 of Kafka (KIP-98): the one unit of the log,
// the same bytes on the wire and on disk. It is stateless.
//
//	0         8      12     16 17   21   23    27      35      43    51 53   57   61
//	|baseOff..|length|epoch |m |crc |attr|lastΔ|baseTs |maxTs  |pid  |pe|seq |cnt |records…
//	                           `-- CRC32C covers from here (21) to the end --------------->
//
// length counts from byte 12. Base offset, length and epoch lie outside the CRC, so
// the broker stamps offset and epoch without touching it.
package batch

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/penstock/penstock/core"
)

// Positions in a batch, in bytes; see the drawing above.
const (
	posLength    = 8
	posEpoch     = 12
	posMagic     = 16
	posCRC       = 17
	posAttrs     = 21
	posLastDelta = 23
	posBaseTime  = 27
	posMaxTime   = 35
	posProducer  = 43
	posProdEpoch = 51
	posSequence  = 53
	posCount     = 57

	HeaderSize = 61           // of a batch with its record count
	LengthEnd  = posEpoch     // the length field counts bytes from here
	Magic      = 2            // the only format served
	SizeMax    = 1<<31 - 1024 // larger ones cannot be addressed in an answer
)

// Attribute bits.
const (
	AttrCompression   = 7
	AttrLogAppendTime = 1 << 3
	AttrTransactional = 1 << 4
	AttrControl       = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the fixed part of a batch, decoded.
type Header struct {
	Base          core.Offset
	Size          int // whole batch in bytes, length field included
	Epoch         core.Epoch
	Attrs         int16
	LastDelta     int32
	BaseTime      int64 // ms
	MaxTime       int64 // ms
	ProducerID    int64 // -1: none
	ProducerEpoch int16
	Sequence      int32
	Count         int32
	CRC           uint32
}

// Last is the offset of the last record.
func (h *Header) Last() core.Offset { return h.Base + core.Offset(h.LastDelta) }

// Size returns the size of the batch that begins b, or 0 if b is too short to tell,
// begins with zeros (the end of a preallocated file) or holds an impossible length.
func Size(b []byte) int {
	if len(b) < LengthEnd {
		return 0
	}
	n := int64(binary.BigEndian.Uint32(b[posLength:]))
	if n < HeaderSize-LengthEnd || n > SizeMax {
		return 0
	}
	return int(n) + LengthEnd
}

// Parse decodes the header of the batch that begins b. It checks that b holds a whole
// header, that the magic is 2 and the numbers are possible; not the CRC, and not that
// b holds the whole batch.
func Parse(b []byte) (Header, error) {
	size := Size(b)
	if size == 0 || len(b) < HeaderSize || b[posMagic] != Magic {
		return Header{}, core.ErrCorruptBatch
	}
	be := binary.BigEndian
	h := Header{
		Base: core.Offset(be.Uint64(b)), Size: size, Epoch: core.Epoch(be.Uint32(b[posEpoch:])),
		CRC: be.Uint32(b[posCRC:]), Attrs: int16(be.Uint16(b[posAttrs:])),
		LastDelta: int32(be.Uint32(b[posLastDelta:])),
		BaseTime:  int64(be.Uint64(b[posBaseTime:])), MaxTime: int64(be.Uint64(b[posMaxTime:])),
		ProducerID: int64(be.Uint64(b[posProducer:])), ProducerEpoch: int16(be.Uint16(b[posProdEpoch:])),
		Sequence: int32(be.Uint32(b[posSequence:])), Count: int32(be.Uint32(b[posCount:])),
	}
	if h.LastDelta < 0 || h.Count < 0 || h.Base < 0 {
		return Header{}, core.ErrCorruptBatch
	}
	return h, nil
}

// Valid says whether b is exactly one whole batch with a right CRC. It is the check of
// recovery and of the wire alike.
func Valid(b []byte) (Header, error) {
	h, err := Parse(b)
	if err != nil {
		return h, err
	}
	if h.Size != len(b) || crc32.Checksum(b[posAttrs:], castagnoli) != h.CRC {
		return h, core.ErrCorruptBatch
	}
	return h, nil
}

// Stamp is what the broker writes into a batch when it appends it.
type Stamp struct {
	Base       core.Offset
	Epoch      core.Epoch
	AppendTime int64 // ms; -1 keeps the producer's timestamps (CreateTime)
}

// Apply writes the stamp into head, the first HeaderSize bytes of a batch, or a copy of
// them; body is the rest, which the CRC covers too. With CreateTime the CRC stays as
// it is; with LogAppendTime attribute bit 3 and the maximum timestamp change, so the
// CRC is made anew (KIP-32; base timestamp and deltas stay).
func (s Stamp) Apply(head, body []byte) {
	be := binary.BigEndian
	be.PutUint64(head, uint64(s.Base))
	be.PutUint32(head[posEpoch:], uint32(s.Epoch))
	if s.AppendTime < 0 {
		return
	}
	be.PutUint16(head[posAttrs:], be.Uint16(head[posAttrs:])|AttrLogAppendTime)
	be.PutUint64(head[posMaxTime:], uint64(s.AppendTime))
	crc := crc32.Checksum(head[posAttrs:HeaderSize], castagnoli)
	be.PutUint32(head[posCRC:], crc32.Update(crc, castagnoli, body))
}
