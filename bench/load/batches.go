package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/codec/batch"
)

// Encoded is a record batch made before the run.
type Encoded struct {
	Bytes   []byte
	Records int
	stamp   int // where the send time is, 8 bytes; 0: nowhere
}

// Places in a record batch; see codec/batch.
const (
	batchLength = 8
	batchCRC    = 17
	batchAttrs  = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// StampHeader is the key of the record header that the intended send time travels in, 8
// bytes of ns. On the wire path the first record of a batch has it, for all of them.
const StampHeader = "penstock.bench.sent"

// Stamp writes the send time into b, a copy of the batch.
func (e *Encoded) stampCopy(b []byte, ns int64) {
	binary.BigEndian.PutUint64(b[e.stamp:], uint64(ns))
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttrs:], castagnoli))
}

// Encode makes batches as a workload has them: different ones, so that neither a
// compression nor a cache of the broker sees the same bytes again at once.
func Encode(w *workload.Workload) ([]Encoded, error) {
	g, err := NewRecords(w)
	if err != nil {
		return nil, err
	}
	const poolBytes, mostBatches, leastBatches = 16 << 20, 256, 8
	stamped := w.Kind == workload.EndToEnd
	var out []Encoded
	for n, size := mostBatches, 0; len(out) < n; {
		e, err := encode(w, g, stamped)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if size += len(e.Bytes); size > poolBytes {
			n = max(leastBatches, min(n, len(out)))
		}
	}
	return out, nil
}

func encode(w *workload.Workload, g *Records, stamped bool) (Encoded, error) {
	var b batch.Builder
	now := time.Now().UnixMilli()
	for {
		key, value := g.Next()
		full := w.BatchRecords > 0 && b.Count() >= w.BatchRecords
		if w.BatchRecords == 0 {
			full = b.Size()+len(key)+len(value)+recordOverhead > w.BatchSize
		}
		if b.Count() > 0 && full {
			break
		}
		if stamped && b.Count() == 0 {
			b.Add(now, key, value, batch.RecordHeader{Key: StampHeader, Value: make([]byte, 8)})
			continue
		}
		b.Add(now, key, value)
	}
	n := b.Count()
	e := Encoded{Bytes: append([]byte(nil), b.Finish()...), Records: n}
	if stamped {
		if e.stamp = findStamp(e.Bytes[batch.HeaderSize:]); e.stamp == 0 {
			return e, fmt.Errorf("the send time is not found in a batch just made")
		}
		e.stamp += batch.HeaderSize
	}
	var err error
	e.Bytes, err = compress(e.Bytes, w.Compression)
	return e, err
}

// recordOverhead is what a record has beside key and value, about.
const recordOverhead = 9

// compress is the batch with its records compressed.
func compress(b []byte, codec string) ([]byte, error) {
	body := b[batch.HeaderSize:]
	var out bytes.Buffer
	out.Write(b[:batch.HeaderSize])
	var err error
	attrs := batch.None
	switch codec {
	case "none":
		return b, nil
	case "gzip":
		attrs = batch.Gzip
		z := gzip.NewWriter(&out)
		if _, err = z.Write(body); err == nil {
			err = z.Close()
		}
	case "snappy":
		attrs = batch.Snappy
		out.Write(s2.EncodeSnappy(nil, body))
	case "lz4":
		attrs = batch.LZ4
		z := lz4.NewWriter(&out)
		if _, err = z.Write(body); err == nil {
			err = z.Close()
		}
	case "zstd":
		attrs = batch.Zstd
		var z *zstd.Encoder
		if z, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1)); err == nil {
			if _, err = z.Write(body); err == nil {
				err = z.Close()
			}
		}
	default:
		err = fmt.Errorf("there is no compression %q", codec)
	}
	if err != nil {
		return nil, err
	}
	b = out.Bytes()
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batch.LengthEnd))
	binary.BigEndian.PutUint16(b[batchAttrs:], uint16(attrs))
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttrs:], castagnoli))
	return b, nil
}

// findStamp looks for the send time in the first of these records; 0 is nowhere.
func findStamp(b []byte) int {
	at := 0
	num := func() int64 {
		v, n := binary.Varint(b[min(at, len(b)):])
		if n <= 0 {
			at = len(b) + 1
			return 0
		}
		at += n
		return v
	}
	skip := func(n int64) {
		if n > int64(len(b)) {
			n = int64(len(b)) + 1
		}
		at += int(max(n, 0))
	}
	num() // length
	at++  // attributes
	num() // timestamp
	num() // offset
	skip(num())
	skip(num())
	if num() < 1 {
		return 0
	}
	n := num()
	if at > len(b) || n != int64(len(StampHeader)) || at+len(StampHeader)+9 > len(b) || string(b[at:at+len(StampHeader)]) != StampHeader {
		return 0
	}
	at += len(StampHeader)
	if num() != 8 {
		return 0
	}
	return at
}

// Records makes the records of a workload, one after the other, without end.
type Records struct {
	w     *workload.Workload
	lines [][]byte
	rnd   *rand.ChaCha8
	n     int
}

// NewRecords reads the payload file if there is one.
func NewRecords(w *workload.Workload) (*Records, error) {
	g := &Records{w: w, rnd: rand.NewChaCha8([32]byte{1})}
	if w.Payload == workload.Random {
		return g, nil
	}
	b, err := os.ReadFile(w.Payload)
	if err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	for line := range bytes.Lines(b) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			g.lines = append(g.lines, line)
		}
	}
	if len(g.lines) == 0 {
		return nil, fmt.Errorf("the payload %s has no line with anything in it", w.Payload)
	}
	return g, nil
}

// Next is the next record. A nil key is none.
func (g *Records) Next() (key, value []byte) {
	switch g.w.Keys {
	case "random":
		key = make([]byte, g.w.KeySize)
		_, _ = g.rnd.Read(key) // it never fails
	case "sequential":
		key = fmt.Appendf(nil, "%0*d", g.w.KeySize, g.n)
		key = key[len(key)-g.w.KeySize:]
	}
	if len(g.lines) > 0 {
		value = g.lines[g.n%len(g.lines)]
	} else {
		value = make([]byte, g.w.RecordSize)
		_, _ = g.rnd.Read(value)
	}
	g.n++
	return key, value
}
