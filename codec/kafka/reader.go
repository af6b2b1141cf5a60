package kafka

import (
	"encoding/binary"

	"github.com/penstock/penstock/core"
)

// reader takes values off the front of b. After the first value that is not there, bad
// is set and stays set, every further value is zero, and at no longer moves: so that a
// decoder checks once, and no loop goes on over bytes that do not exist.
type reader struct {
	b        []byte
	at       int
	bad      bool
	elements int // of all arrays and tag sections so far
}

// elementsMax bounds the array elements and tags of one request, since a decoder may
// spend a hundred bytes of memory on one that takes two bytes on the wire.
const elementsMax = 1 << 20

func (r *reader) left() int { return len(r.b) - r.at }

func (r *reader) fail() {
	r.bad = true
	r.at = len(r.b)
}

// skip moves over n bytes.
func (r *reader) skip(n int) {
	if n < 0 || n > r.left() {
		r.fail()
		return
	}
	r.at += n
}

func (r *reader) int8() int8 {
	if r.left() < 1 {
		r.fail()
		return 0
	}
	v := r.b[r.at]
	r.at++
	return int8(v)
}

func (r *reader) int16() int16 {
	if r.left() < 2 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint16(r.b[r.at:])
	r.at += 2
	return int16(v)
}

func (r *reader) int32() int32 {
	if r.left() < 4 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint32(r.b[r.at:])
	r.at += 4
	return int32(v)
}

func (r *reader) int64() int64 {
	if r.left() < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b[r.at:])
	r.at += 8
	return int64(v)
}

// uvarint reads an unsigned number of at most 32 bits in at most 5 bytes.
func (r *reader) uvarint() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		if r.at == len(r.b) {
			break
		}
		c := r.b[r.at]
		r.at++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail()
	return 0
}

// length reads the length of bytes or of an array: compact (plus one) or four bytes.
// -1 is null; anything below, or more than an int32 holds, is an error.
func (r *reader) length(compact bool) int {
	n := 0
	if compact {
		n = int(r.uvarint()) - 1
		if r.bad {
			return 0
		}
	} else {
		n = int(r.int32())
	}
	if n < -1 || n > 1<<31-1 {
		r.fail()
		return 0
	}
	return n
}

// bytes reads bytes, or nil for null, which only may be where null says so. Present and
// empty is not nil.
func (r *reader) bytes(compact, null bool) []byte {
	return r.take(r.length(compact), null)
}

// string reads a string, whose length has two bytes if it is not compact; a compact one
// is not longer than that either.
func (r *reader) string(compact, null bool) []byte {
	if !compact {
		return r.take(int(r.int16()), null)
	}
	n := r.length(true)
	if n > 1<<15-1 {
		r.fail()
	}
	return r.take(n, null)
}

func (r *reader) take(n int, null bool) []byte {
	if n == -1 && null && !r.bad {
		return nil
	}
	if n < 0 || n > r.left() || r.bad {
		r.fail()
		return nil
	}
	v := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return v
}

// count reads the number of elements of an array that may not be null, each of which
// takes at least width bytes.
func (r *reader) count(compact bool, width int) int {
	return r.fits(r.length(compact), width)
}

func (r *reader) fits(n, width int) int {
	if r.elements += n; n < 0 || n*width > r.left() || r.elements > elementsMax {
		r.fail()
		return 0
	}
	return n
}

// tag reads the number of a tag and where its value, which begins here, ends. A section
// is read like this, and so ends with the bytes, whatever its count says:
//
//	for n := r.uvarint(); n > 0 && !r.bad; n-- {
//		tag, end := r.tag()
//		…
//		r.skipTo(end)
//	}
func (r *reader) tag() (tag uint32, end int) {
	tag = r.uvarint()
	size := int64(r.uvarint())
	if r.elements++; size > int64(r.left()) || r.elements > elementsMax {
		r.fail()
	}
	return tag, r.at + int(size)
}

// skipTo goes to end, unless more than that has been read.
func (r *reader) skipTo(end int) {
	if r.bad || r.at > end {
		r.fail()
		return
	}
	r.at = end
}

// skipTags walks a tag section without looking at the values.
func (r *reader) skipTags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		_, end := r.tag()
		r.skipTo(end)
	}
}

func (r *reader) topicID() (id core.TopicID) {
	if r.left() < len(id) {
		r.fail()
		return id
	}
	r.at += copy(id[:], r.b[r.at:])
	return id
}
