package group

import (
	"encoding/binary"
	"errors"

	"github.com/penstock/penstock/core"
)

// A snapshot is the fold, so that a start need not read the whole partition:
//
//	u8 version 1 | uvarint written | uvarint next | uvarint foreign | uvarint groups
//	group:  id | value of the metadata record, nullable | uvarint offsets
//	offset: topic | varint partition | value of the offset record
//
// Strings and values are a varint length (-1: null) and bytes.
const snapshotVersion = 1

var errSnapshot = errors.New("not a snapshot of a group coordinator")

func (f *fold) snapshot(dst []byte) []byte {
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(f.written))
	dst = binary.AppendUvarint(dst, uint64(f.next))
	dst = binary.AppendUvarint(dst, uint64(f.foreign))
	dst = binary.AppendUvarint(dst, uint64(len(f.list)))
	var value []byte
	for _, im := range f.list {
		dst = appendString(dst, im.id)
		dst = appendBytes(dst, im.meta)
		dst = binary.AppendUvarint(dst, uint64(len(im.offsets)))
		for i := range im.offsets {
			e := &im.offsets[i]
			dst = appendString(dst, e.topic)
			dst = binary.AppendVarint(dst, int64(e.partition))
			value = appendCommitted(value[:0], &e.committed)
			dst = appendBytes(dst, value)
		}
	}
	return dst
}

// restore reads a snapshot into an empty fold.
func (f *fold) restore(blob []byte) error {
	if len(blob) == 0 || blob[0] != snapshotVersion {
		return errSnapshot
	}
	r := reader{b: blob[1:]}
	f.written = int64(r.uvarint())
	f.next = core.Offset(r.uvarint())
	f.foreign = int(r.uvarint())
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		id, meta, offsets := r.bytes(), r.bytes(), r.uvarint()
		if r.bad {
			break
		}
		im := f.image(string(id))
		if meta != nil {
			f.setMeta(im, append([]byte(nil), meta...))
		}
		for ; offsets > 0 && !r.bad; offsets-- {
			topic, partition := r.bytes(), r.varint()
			c, err := readCommitted(r.bytes())
			if r.bad || err != nil {
				return errSnapshot
			}
			f.setOffset(im, topicPartition{string(topic), int32(partition)}, c)
		}
	}
	if r.bad || len(r.b) > 0 {
		return errSnapshot
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendVarint(dst, int64(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// reader reads numbers and bytes; once it is bad it stays so and reads nothing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	f, rest, ok := field(r.b)
	if !ok {
		r.bad, r.b = true, nil
		return nil
	}
	r.b = rest
	return f
}

// take reads n bytes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
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
