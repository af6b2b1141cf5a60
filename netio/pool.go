package netio

import "math/bits"

const (
	classMin = 12       // 4 KiB
	classMax = 27       // 128 MiB
	idleMax  = 32 << 20 // bytes that a pool keeps; what is above it goes to the collector
)

// pool lends buffers whose capacity is a power of two, so that steady traffic allocates
// nothing. It belongs to one loop.
type pool struct {
	free [classMax - classMin + 1][][]byte
	idle int // bytes in free
}

// class is the index of the smallest class of at least n bytes.
func class(n int) int {
	if n <= 1<<classMin {
		return 0
	}
	return bits.Len(uint(n-1)) - classMin
}

// get lends an empty buffer with room for n bytes at least.
func (p *pool) get(n int) []byte {
	k := class(n)
	if k >= len(p.free) {
		return make([]byte, 0, n)
	}
	if f := p.free[k]; len(f) > 0 {
		b := f[len(f)-1]
		f[len(f)-1] = nil
		p.free[k] = f[:len(f)-1]
		p.idle -= cap(b)
		return b
	}
	return make([]byte, 0, 1<<(k+classMin))
}

// put takes a buffer back.
func (p *pool) put(b []byte) {
	k := class(cap(b))
	if k >= len(p.free) || cap(b) != 1<<(k+classMin) || p.idle+cap(b) > idleMax {
		return
	}
	p.idle += cap(b)
	p.free[k] = append(p.free[k], b[:0])
}
