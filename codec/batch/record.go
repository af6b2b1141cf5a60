package batch

import (
	"encoding/binary"

	"github.com/penstock/penstock/core"
)

// A record within a batch; all numbers but the attributes are zigzag varints:
//
//	|length|attr 1|timestampΔ|offsetΔ|key length|key…|value length|value…|headers|{key length|key…|value length|value…}|
//	        `-- length counts from here to the end. A length of -1 is null; a header's key is never null.

// Record is one record of a batch. Its slices live as long as the reader says.
type Record struct {
	Offset    core.Offset
	Timestamp int64  // ms; of the append if the batch says so
	Key       []byte // nil is null
	Value     []byte // nil is null

	headers     []byte
	headerCount int
}

// HeaderCount is the number of headers.
func (r *Record) HeaderCount() int { return r.headerCount }

// Headers calls fn for each header in order. A nil value is null.
func (r *Record) Headers(fn func(key, value []byte)) {
	c := cursor{b: r.headers}
	for range r.headerCount {
		key := c.bytes()
		value := c.bytes()
		if c.bad { // cannot be: parse has been here
			return
		}
		fn(key, value)
	}
}

// Header returns the value of the last header with this key, and whether there is one.
func (r *Record) Header(key string) (value []byte, ok bool) {
	r.Headers(func(k, v []byte) {
		if string(k) == key {
			value, ok = v, true
		}
	})
	return value, ok
}

// cursor reads varints and lengths of records. Once bad, it stays bad.
type cursor struct {
	b   []byte
	at  int
	bad bool
}

func (c *cursor) fail() {
	c.bad = true
	c.at = len(c.b)
}

// varint reads a zigzag number.
func (c *cursor) varint() int64 {
	if c.at < len(c.b) && c.b[c.at] < 0x80 {
		v := c.b[c.at]
		c.at++
		return int64(v>>1) ^ -int64(v&1)
	}
	v, n := binary.Varint(c.b[c.at:])
	if n <= 0 {
		c.fail()
		return 0
	}
	c.at += n
	return v
}

// int32 reads a zigzag number that an int32 holds.
func (c *cursor) int32() int32 {
	v := c.varint()
	if int64(int32(v)) != v {
		c.fail()
		return 0
	}
	return int32(v)
}

// bytes reads a length and so many bytes; nil for -1.
func (c *cursor) bytes() []byte {
	n := int(c.int32())
	if n == -1 && !c.bad {
		return nil
	}
	if n < 0 || n > len(c.b)-c.at || c.bad {
		c.fail()
		return nil
	}
	v := c.b[c.at : c.at+n : c.at+n]
	c.at += n
	return v
}

// parse reads the body of a record, which is what its length counts: exactly b. It
// returns the deltas to the batch's base, and false if b is not a record.
func (r *Record) parse(b []byte) (timeDelta int64, offsetDelta int32, ok bool) {
	c := cursor{b: b, at: 1} // the attributes are unused
	if len(b) == 0 {
		return 0, 0, false
	}
	timeDelta = c.varint()
	offsetDelta = c.int32()
	r.Key = c.bytes()
	r.Value = c.bytes()
	r.headerCount = int(c.int32())
	// A header takes at least two bytes.
	if r.headerCount < 0 || 2*r.headerCount > len(b)-c.at {
		return 0, 0, false
	}
	r.headers = b[c.at:]
	for range r.headerCount {
		if c.bytes() == nil { // the key may not be null
			return 0, 0, false
		}
		c.bytes()
	}
	return timeDelta, offsetDelta, !c.bad && c.at == len(b)
}
