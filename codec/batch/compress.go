package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock/penstock/core"
)

// keepMax is the largest buffer that goes back to the pool.
const keepMax = 4 << 20

// decompressor gives the records of one compressed batch through its window. It belongs
// to a pool, one per codec, and with it the codec's own state.
type decompressor struct {
	window
	buf   []byte // of the window, when it streams
	codec Compression
	src   bytes.Reader
	// broken is set after a panic in a codec.
	broken bool
	stream io.Reader // one of those that follow
	gzip   *gzip.Reader
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
	xe     xerial
	block  []byte // Snappy in one piece, and zstd: all decompressed bytes
}

var pools [Zstd + 1]sync.Pool

// open begins to decompress body.
func open(codec Compression, body []byte, limit int) (*decompressor, error) {
	if codec > Zstd {
		return nil, core.ErrUnsupportedCompression
	}
	d, _ := pools[codec].Get().(*decompressor)
	if d == nil {
		d = &decompressor{codec: codec}
	}
	d.window = window{limit: limit}
	d.src.Reset(body)
	if err := d.start(body); err != nil {
		d.close()
		return nil, err
	}
	if d.r != nil {
		if d.buf == nil {
			d.buf = make([]byte, 0, 16<<10)
		}
		d.b = d.buf[:0]
	}
	return d, nil
}

// refuse makes a panic of a foreign decoder the error that it should have returned. Its
// state is not to be trusted after that.
func (d *decompressor) refuse(err *error) {
	if recover() != nil {
		d.broken = true
		*err = core.ErrCorruptBatch
	}
}

// Read reads from the codec.
func (d *decompressor) Read(p []byte) (n int, err error) {
	defer d.refuse(&err)
	return d.stream.Read(p)
}

func (d *decompressor) start(body []byte) (err error) {
	defer d.refuse(&err)
	d.stream = nil
	switch d.codec {
	case Gzip:
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		if d.gzip.Reset(&d.src) != nil {
			return core.ErrCorruptBatch
		}
		d.stream = d.gzip
	case LZ4:
		if d.lz4 == nil {
			d.lz4 = lz4.NewReader(nil)
		}
		d.lz4.Reset(&d.src)
		d.stream = d.lz4
	case Snappy:
		if rest, ok := bytes.CutPrefix(body, xerialMagic); ok && len(rest) >= 8 {
			d.xe = xerial{src: rest[8:], buf: d.xe.buf, limit: d.limit} // behind version and compatible version
			d.stream = &d.xe
			break
		}
		if d.block, err = snappyBlock(d.block, body, d.limit); err != nil {
			return err
		}
		d.b, d.full = d.block, true
	case Zstd:
		if err := d.unzstd(body); err != nil {
			return err
		}
		d.b, d.full = d.block, true
	}
	if d.stream != nil {
		d.r = d
	}
	return nil
}

// close gives d back, without the references to what it read.
func (d *decompressor) close() {
	if d.broken {
		return
	}
	if d.r != nil {
		d.buf = d.b // it may have grown
	}
	d.window = window{}
	if cap(d.buf) > keepMax {
		d.buf = nil
	}
	if cap(d.block) > keepMax {
		d.block = nil
	}
	if cap(d.xe.buf) > keepMax {
		d.xe.buf = nil
	}
	d.src.Reset(nil)
	d.xe.src, d.xe.out = nil, nil
	pools[d.codec].Put(d)
}

// unzstd decompresses body into d.block. Not as a stream: a stream's decoder allocates
// the window that the first bytes of the frame ask for, 128 MiB for the highest level,
// while this takes as much as comes out. The output may not outgrow the buffer, which
// doubles until it holds all of it, or the limit.
func (d *decompressor) unzstd(body []byte) (err error) {
	const blockMax = 128 << 10 // what zstd puts out at a time
	if d.zstd == nil {
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return core.ErrUnsupportedCompression
		}
	}
	for size := max(cap(d.block), 2*blockMax, 4*len(body)); ; size *= 2 {
		size = min(size, d.limit+blockMax)
		if cap(d.block) < size {
			d.block = make([]byte, 0, size)
		}
		out, err := d.zstd.DecodeAll(body, d.block[:0:size])
		// Short of room, it says so, or that there is an unexpected end.
		short := err != nil && (errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out)+blockMax > size)
		switch {
		case len(out) > d.limit, short && size >= d.limit+blockMax:
			return core.ErrTooLarge
		case err == nil:
			d.block = out
			return nil
		case !short:
			return core.ErrCorruptBatch
		}
	}
}

// snappyBlock decompresses one block of Snappy into dst, which it may replace.
func snappyBlock(dst, src []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return dst, core.ErrCorruptBatch
	}
	if n > limit {
		return dst, core.ErrTooLarge
	}
	// The best that Snappy does is 64 bytes out of 3: less input cannot be true, and
	// shall not make us allocate.
	if n > 32*len(src) {
		return dst, core.ErrCorruptBatch
	}
	if cap(dst) < n {
		dst = make([]byte, n)
	}
	out, err := s2.Decode(dst[:n], src)
	if err != nil {
		return dst, core.ErrCorruptBatch
	}
	return out, nil
}

// xerialMagic begins Snappy as snappy-java frames it, which is what Kafka's Java client
// writes: magic, version 4, compatible version 4, then blocks of length 4 and Snappy.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// xerial reads that framing.
type xerial struct {
	src, buf, out []byte
	limit         int
}

func (x *xerial) Read(p []byte) (int, error) {
	for len(x.out) == 0 {
		if len(x.src) == 0 {
			return 0, io.EOF
		}
		if len(x.src) < 4 {
			return 0, core.ErrCorruptBatch
		}
		n := binary.BigEndian.Uint32(x.src)
		if uint64(n) > uint64(len(x.src)-4) {
			return 0, core.ErrCorruptBatch
		}
		var err error
		if x.buf, err = snappyBlock(x.buf, x.src[4:4+n], x.limit); err != nil {
			return 0, err
		}
		x.out, x.src = x.buf, x.src[4+n:]
	}
	n := copy(p, x.out)
	x.out = x.out[n:]
	return n, nil
}
