package batch

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/penstock/penstock/core"
)

// zstdSince is the first version of Produce whose clients know zstd (KIP-110).
const zstdSince = 7

// noTimestamp is what a client writes that has none; no bound holds for it.
const noTimestamp = -1

// Rules is what a topic asks of the batches that clients send to it.
type Rules struct {
	Version    int16 // of the Produce request
	SizeMax    int   // max.message.bytes
	AppendTime bool  // the topic stamps its own time, so that theirs does not matter
	Now        int64 // ms
	BeforeMax  int64 // ms; message.timestamp.before.max.ms
	AfterMax   int64 // ms; message.timestamp.after.max.ms
}

// CheckProduce says whether b, the records of one partition of a Produce request, is
// what may be appended: exactly one batch v2, whole and with a right CRC, of at least
// one record, that a client may write, within the rules. It returns the header, and a
// code with a reason for people unless it is OK.
//
// Of a compressed batch it looks at header and CRC only. It walks the records of others:
// they must be as many as the header says, well-formed, and numbered from 0. If their
// latest timestamp is not the header's, which Kafka does not trust either, it corrects
// the header and the CRC in b; that is the one change it makes. It allocates nothing.
func CheckProduce(b []byte, r Rules) (Header, core.Code, string) {
	h, code, why := checkForm(b, r)
	if code != core.OK {
		return h, code, why
	}
	if code, why := checkHeader(&h, r); code != core.OK {
		return h, code, why
	}
	latest := max(h.MaxTime, h.BaseTime) // a compressed batch's is at least this
	if h.Compression() == None {
		var ok bool
		if latest, ok = checkRecords(b[HeaderSize:], &h); !ok {
			return h, core.ErrInvalidRecord, "the records do not match the header of their batch"
		}
	}
	if latest != h.MaxTime {
		setMaxTime(b, &h, latest)
	}
	if !r.AppendTime && latest != noTimestamp {
		// The differences are taken modulo 2^64: timestamps may be anything.
		if latest < r.Now && uint64(r.Now)-uint64(latest) > uint64(r.BeforeMax) {
			return h, core.ErrInvalidTimestamp, "a timestamp lies further in the past than message.timestamp.before.max.ms allows"
		}
		if latest > r.Now && uint64(latest)-uint64(r.Now) > uint64(r.AfterMax) {
			return h, core.ErrInvalidTimestamp, "a timestamp lies further in the future than message.timestamp.after.max.ms allows"
		}
	}
	return h, core.OK, ""
}

// checkForm is about the bytes: one batch, its size and its CRC.
func checkForm(b []byte, r Rules) (Header, core.Code, string) {
	if len(b) == 0 {
		return Header{}, core.ErrInvalidRecord, "a partition of a produce request must hold one batch, and holds none"
	}
	if len(b) > posMagic && b[posMagic] != Magic {
		return Header{}, core.ErrInvalidRecord, "only record batches with magic 2 are taken"
	}
	h, err := Parse(b)
	switch {
	case err != nil || h.Size > len(b):
		return h, core.ErrCorruptBatch, "the batch is cut off, or its header holds impossible numbers"
	case h.Size < len(b):
		return h, core.ErrInvalidRecord, "a partition of a produce request must hold exactly one batch, and holds more"
	case h.Size > r.SizeMax:
		return h, core.ErrTooLarge, core.ErrTooLarge.String()
	case crc32.Checksum(b[posAttrs:], castagnoli) != h.CRC:
		return h, core.ErrCorruptBatch, "the CRC of the batch is wrong"
	}
	return h, core.OK, ""
}

// checkHeader is about what the header of a client's batch may say.
func checkHeader(h *Header, r Rules) (core.Code, string) {
	const known = AttrCompression | AttrLogAppendTime | AttrTransactional | AttrControl
	switch {
	case h.Attrs&AttrControl != 0:
		return core.ErrInvalidRecord, "clients may not write control batches"
	case h.Attrs&AttrTransactional != 0:
		return core.ErrUnsupported, "transactions are not supported"
	case h.Attrs&AttrLogAppendTime != 0:
		return core.ErrInvalidTimestamp, "clients may not set the timestamp type of a batch to LogAppendTime"
	case h.Attrs&^known != 0:
		return core.ErrInvalidRecord, "the batch has attributes that are not known"
	case h.Compression() > Zstd:
		return core.ErrUnsupportedCompression, "the batch names a compression that is not known"
	case h.Compression() == Zstd && r.Version < zstdSince:
		return core.ErrUnsupportedCompression, "zstd needs Produce version 7 or later"
	case h.Count < 1:
		return core.ErrInvalidRecord, "the batch holds no record"
	case int64(h.Count) != int64(h.LastDelta)+1:
		return core.ErrInvalidRecord, "the count of the batch is not its last offset delta + 1"
	case h.ProducerID < -1:
		return core.ErrInvalidRecord, "the batch has an impossible producer id"
	case h.ProducerID >= 0 && (h.Sequence < 0 || h.ProducerEpoch < 0):
		return core.ErrInvalidRecord, "a batch with a producer id must have a sequence number and an epoch"
	}
	return core.OK, ""
}

// checkRecords walks uncompressed records. It returns their latest timestamp.
func checkRecords(b []byte, h *Header) (latest int64, ok bool) {
	var r Record
	c := cursor{b: b}
	for i := range h.Count {
		n := int(c.int32())
		if c.bad || n < 0 || n > len(b)-c.at {
			return 0, false
		}
		timeDelta, offsetDelta, ok := r.parse(b[c.at : c.at+n])
		if !ok || offsetDelta != i {
			return 0, false
		}
		c.at += n
		if ts := h.BaseTime + timeDelta; i == 0 || ts > latest {
			latest = ts
		}
	}
	return latest, c.at == len(b)
}

// setMaxTime writes the largest timestamp into the header of b, and renews the CRC.
func setMaxTime(b []byte, h *Header, ts int64) {
	h.MaxTime = ts
	binary.BigEndian.PutUint64(b[posMaxTime:], uint64(ts))
	h.CRC = crc32.Checksum(b[posAttrs:], castagnoli)
	binary.BigEndian.PutUint32(b[posCRC:], h.CRC)
}
