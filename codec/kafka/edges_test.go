package kafka

import (
	"encoding/binary"
	"errors"
	"testing"
)

// As Kafka's: a string is not longer than a 16-bit length can say, compact or not.
func TestACompactStringIsNoLongerThanAnyOther(t *testing.T) {
	for _, n := range []int{1<<15 - 1, 1 << 15} {
		r := reader{b: append(appendUvarint(nil, uint32(n+1)), make([]byte, n)...)}
		if r.string(true, false); r.bad != (n == 1<<15) {
			t.Errorf("%d bytes: bad %v", n, r.bad)
		}
	}
}

// They are really there, and each may cost a decoder fifty times its bytes.
func TestTheElementsOfARequestAreBounded(t *testing.T) {
	for _, n := range []int{elementsMax, elementsMax + 1} {
		body := append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, 2*n)...) // empty names
		if err := CheckBody(DescribeGroups, 0, body); errors.Is(err, ErrMalformed) != (n > elementsMax) {
			t.Errorf("%d groups: %v", n, err)
		}
		var q FetchRequest
		body = append(make([]byte, 4+4+4+4+1+4+2), 0, 0, 0, 0) // one topic without a name
		body[4+4+4+4+1+3] = 1
		binary.BigEndian.PutUint32(body[len(body)-4:], uint32(n-1))
		if err := q.Decode(4, append(body, make([]byte, 16*(n-1))...)); errors.Is(err, ErrMalformed) != (n > elementsMax) {
			t.Errorf("a Fetch of %d elements: %v", n, err)
		}
	}
}

// What a tag holds ends where its size says, or two readers would not agree on what
// comes next.
func TestATagIsNotReadBeyondItsSize(t *testing.T) {
	const id = "\x08cluster"
	for size, good := range map[byte]bool{byte(len(id)): true, byte(len(id)) - 1: false, byte(len(id)) + 1: false} {
		body := make([]byte, 4+4+4+4+1+4+4)
		body = append(body, 1, 1, 1)                   // no topics, none forgotten, no rack
		body = append(append(body, 1, 0, size), id...) // the cluster
		var q FetchRequest
		if err := q.Decode(12, body); (err == nil) != good {
			t.Errorf("Decode, size %d: %v", size, err)
		}
		if err := CheckBody(Fetch, 12, body); (err == nil) != good {
			t.Errorf("CheckBody, size %d: %v", size, err)
		}
	}
}

func TestAnUnsignedNumberHas32BitsInFiveBytes(t *testing.T) {
	for _, c := range []struct {
		b    string
		want uint32
		bad  bool
	}{
		{"\x00", 0, false}, {"\x7f", 127, false}, {"\xff\xff\xff\xff\x0f", 1<<32 - 1, false}, {"\x80\x80\x80\x80\x00", 0, false},
		{"\xff\xff\xff\xff\x1f", 0, true}, {"\xff\xff\xff\xff\x7f", 0, true}, {"\x80\x80\x80\x80\x80\x00", 0, true}, {"\x80", 0, true}, {"", 0, true},
	} {
		r := reader{b: []byte(c.b)}
		if got := r.uvarint(); got != c.want || r.bad != c.bad {
			t.Errorf("% x: %d, bad %v", c.b, got, r.bad)
		}
	}
}
