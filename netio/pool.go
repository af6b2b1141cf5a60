package netio

import (
	"math/bits"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

const (
	classMin = 12       // 4 KiB
	classMax = 21       // 2 MiB; larger buffers are mapped
	idleMax  = 32 << 20 // bytes that a pool keeps; what is above it goes to the collector
)

// pool lends buffers whose capacity is a power of two, so that steady traffic allocates
// nothing. Buffers above the largest class are memory of their own, outside of the heap:
// it becomes resident as it is written, so that what is promised and never comes costs
// nothing, and it is gone when it is given back, where the collector would let several
// such buffers pile up. The pool belongs to one loop.
type pool struct {
	free   [classMax - classMin + 1][][]byte
	idle   int // bytes in free
	mapped map[*byte]struct{}
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
		return p.mapMemory(n)
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
	if k >= len(p.free) {
		p.unmapMemory(b)
		return
	}
	if k >= len(p.free) || cap(b) != 1<<(k+classMin) || p.idle+cap(b) > idleMax {
		return
	}
	p.idle += cap(b)
	p.free[k] = append(p.free[k], b[:0])
}

func (p *pool) mapMemory(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return make([]byte, 0, n) // the collector has the last word on whether there is memory
	}
	if p.mapped == nil {
		p.mapped = map[*byte]struct{}{}
	}
	p.mapped[&b[0]] = struct{}{}
	return b[:0]
}

func (p *pool) unmapMemory(b []byte) {
	b = b[:cap(b)]
	if _, ok := p.mapped[&b[0]]; ok {
		delete(p.mapped, &b[0])
		err := unix.Munmap(b)
		core.Assert(err == nil, "a buffer was given back in part")
	}
}
