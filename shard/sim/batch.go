package sim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sent is one batch that a client made. Its number is in its first record bytes.
type sent struct {
	number   int
	part     *part
	bytes    []byte
	count    int32
	pid      int64
	sequence int32
	newest   int64 // ms: its largest timestamp
	// What is known of its fate.
	acked     bool
	refused   bool // for good: it must never be seen
	abandoned bool // nobody sends it again
	placed    bool // it has been acknowledged or read at base
	base      core.Offset
	time      int64 // log append time; -1: not known, or CreateTime
	seen      int64 // ms, by the wall clock: it was there
}

// build makes a batch of count records. What follows its number is noise: nothing below
// the sessions looks into records.
func build(r *rand.Rand, now int64, number int, p *part, pid int64, epoch int16, sequence, count int32, size int) *sent {
	be := binary.BigEndian
	b := make([]byte, batch.HeaderSize+8+size)
	be.PutUint32(b[8:], uint32(len(b)-batch.LengthEnd))
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = batch.Magic
	be.PutUint32(b[23:], uint32(count-1))
	newest := now + r.Int64N(2000) - 1000 // clocks differ
	be.PutUint64(b[27:], uint64(newest))
	be.PutUint64(b[35:], uint64(newest))
	be.PutUint64(b[43:], uint64(pid))
	be.PutUint16(b[51:], uint16(epoch))
	be.PutUint32(b[53:], uint32(sequence))
	be.PutUint32(b[57:], uint32(count))
	body := b[batch.HeaderSize:]
	be.PutUint64(body, uint64(number))
	for i := 8; i < len(body); i++ {
		body[i] = byte(r.Uint32())
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return &sent{number: number, part: p, bytes: b, count: count, pid: pid, sequence: sequence, newest: newest, base: -1, time: -1}
}

// number is which batch the bytes claim to be.
func number(b []byte) int { return int(binary.BigEndian.Uint64(b[batch.HeaderSize:])) }

// same says whether got is what was sent, but for what the broker stamps.
func (s *sent) same(got []byte) bool {
	if len(got) != len(s.bytes) {
		return false
	}
	want := bytes.Clone(s.bytes)
	copy(want[:8], got[:8])       // base offset
	copy(want[12:16], got[12:16]) // epoch
	if got[22]&(1<<3) != 0 {      // LogAppendTime
		copy(want[17:23], got[17:23]) // CRC, attributes
		copy(want[35:43], got[35:43]) // maximum timestamp
	}
	return bytes.Equal(want, got)
}
