package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

const limit = 1 << 20

// compress makes a compressed batch out of an uncompressed one; xerial is the framing
// of snappy-java.
func compress(t testing.TB, b []byte, codec Compression, xerial bool) []byte {
	t.Helper()
	var out bytes.Buffer
	records := b[HeaderSize:]
	var err error
	switch codec {
	case None:
		out.Write(records)
	case Gzip:
		w := gzip.NewWriter(&out)
		_, err = w.Write(records)
		err = errors.Join(err, w.Close())
	case LZ4:
		w := lz4.NewWriter(&out)
		_, err = w.Write(records)
		err = errors.Join(err, w.Close())
	case Zstd:
		w, err2 := zstd.NewWriter(&out)
		_, err = w.Write(records)
		err = errors.Join(err, err2, w.Close())
	case Snappy:
		if !xerial {
			out.Write(s2.EncodeSnappy(nil, records))
			break
		}
		out.WriteString("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
		for len(records) > 0 {
			n := min(len(records), 1000)
			block := s2.EncodeSnappy(nil, records[:n])
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			out.Write(block)
			records = records[n:]
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return seal(append(append([]byte{}, b[:HeaderSize]...), out.Bytes()...), int16(codec))
}

// seal puts length, attributes and CRC right.
func seal(b []byte, attrs int16) []byte {
	binary.BigEndian.PutUint32(b[posLength:], uint32(len(b)-LengthEnd))
	binary.BigEndian.PutUint16(b[posAttrs:], uint16(attrs))
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttrs:], castagnoli))
	return b
}

var codecs = []struct {
	name   string
	codec  Compression
	xerial bool
}{{"none", None, false}, {"gzip", Gzip, false}, {"snappy", Snappy, false}, {"snappy-java", Snappy, true}, {"lz4", LZ4, false}, {"zstd", Zstd, false}}

// sample is a batch of n records: record i at 1000+i%7 ms, with a key, a value of up to
// size bytes and some headers, some of them null.
func sample(n, size int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	var w Builder
	for i := range n {
		var key, value []byte
		if i%5 != 0 {
			key = fmt.Append(nil, "key-", i)
		}
		if i%11 != 3 {
			value = make([]byte, rnd.IntN(size+1))
			for j := range value {
				value[j] = "abcdefgh"[rnd.IntN(8)]
			}
		}
		var headers []RecordHeader
		for j := range i % 3 {
			headers = append(headers, RecordHeader{fmt.Sprint("h", j), [][]byte{nil, {}, {1, 2}}[rnd.IntN(3)]})
		}
		w.Add(1000+int64(i%7), key, value, headers...)
	}
	return bytes.Clone(w.Finish())
}

func text(offset, ts int64, key, value []byte, headers string) string {
	return fmt.Sprintf("%d@%d %x %v %x %v [%s]", offset, ts, key, key == nil, value, value == nil, headers)
}

func recordsText(t *testing.T, b []byte) (out []string) {
	t.Helper()
	h, err := Valid(b)
	if err != nil {
		t.Fatal(err)
	}
	err = Records(b, h, limit, func(r Record) error {
		s := ""
		r.Headers(func(k, v []byte) { s += fmt.Sprintf("%s=%x %v ", k, v, v == nil) })
		out = append(out, text(int64(r.Offset), r.Timestamp, r.Key, r.Value, s))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kmsgText reads an uncompressed batch with kmsg.
func kmsgText(t *testing.T, b []byte) (out []string) {
	t.Helper()
	var rb kmsg.RecordBatch
	if err := rb.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	records := rb.Records
	for range rb.NumRecords {
		var r kmsg.Record
		length, n := binary.Varint(records)
		if err := r.ReadFrom(records[:n+int(length)]); err != nil {
			t.Fatal(err)
		}
		records = records[n+int(length):]
		s := ""
		for _, h := range r.Headers {
			s += fmt.Sprintf("%s=%x %v ", h.Key, h.Value, h.Value == nil)
		}
		out = append(out, text(rb.FirstOffset+int64(r.OffsetDelta), rb.FirstTimestamp+r.TimestampDelta64, r.Key, r.Value, s))
	}
	return out
}

func TestRecordsAreTheSameInEveryCompressionAndForKmsg(t *testing.T) {
	for _, size := range []int{0, 10, 3000} {
		b := sample(300, size)
		want := kmsgText(t, b)
		for _, c := range codecs {
			for range 3 { // pooled state is reused
				got := recordsText(t, compress(t, b, c.codec, c.xerial))
				if len(got) != len(want) {
					t.Fatalf("%s: %d records, want %d", c.name, len(got), len(want))
				}
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s: record %d\n got %s\nwant %s", c.name, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func TestRecordsRefusesBombs(t *testing.T) {
	var w Builder
	for range 64 {
		w.Add(0, nil, make([]byte, 1<<20))
	}
	b := w.Finish()
	for _, c := range codecs[1:] {
		bomb := compress(t, b, c.codec, c.xerial)
		h, _ := Parse(bomb)
		if err := Records(bomb, h, limit, func(Record) error { return nil }); err != core.ErrTooLarge {
			t.Errorf("%s: %d bytes: %v", c.name, len(bomb), err)
		}
		// What was taken out, and the buffers that grew for it, stay within a few times
		// the limit, whatever is claimed.
		d := &decompressor{codec: c.codec}
		d.window = window{limit: limit}
		body := bomb[HeaderSize:]
		d.src.Reset(body)
		err := d.start(body)
		if err == nil {
			d.b = make([]byte, 0, 16<<10)
			err = walk(&d.window, h, func(Record) error { return nil })
		}
		if held := cap(d.b) + cap(d.block) + cap(d.xe.buf); err != core.ErrTooLarge || d.taken > limit+1 || held > 4*limit {
			t.Errorf("%s: %v; took %d bytes and holds %d", c.name, err, d.taken, held)
		}
	}
}

func TestRecordsRefusesWhatDoesNotMatchTheHeader(t *testing.T) {
	b := sample(20, 50)
	for _, c := range codecs {
		for name, breakIt := range map[string]func(b []byte){
			"one more":  func(b []byte) { b[posCount+3]++; b[posLastDelta+3]++ },
			"one fewer": func(b []byte) { b[posCount+3]-- },
			"delta":     func(b []byte) { b[posLastDelta+3]-- },
			"huge":      func(b []byte) { copy(b[posCount:], "\x7f\xff\xff\xff") },
		} {
			m := compress(t, b, c.codec, c.xerial)
			breakIt(m)
			h, _ := Parse(m)
			if err := Records(m, h, limit, func(Record) error { return nil }); err != core.ErrCorruptBatch {
				t.Errorf("%s, %s: %v", c.name, name, err)
			}
		}
		m := compress(t, b, c.codec, c.xerial)
		for n := range m {
			h, _ := Parse(m)
			h.Size = n
			if err := Records(m[:n], h, limit, func(Record) error { return nil }); err == nil {
				t.Fatalf("%s: %d of %d bytes pass", c.name, n, len(m))
			}
		}
	}
	h, _ := Parse(b)
	h.Attrs = 5
	if err := Records(b, h, limit, nil); err != core.ErrUnsupportedCompression {
		t.Error(err)
	}
	stop := errors.New("enough")
	if err := Records(b, Header{Size: len(b), Count: 20, LastDelta: 19}, limit, func(Record) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestTimeLookupsAreExact(t *testing.T) {
	var w Builder
	times := []int64{50, 40, 60, 60, 10}
	for _, ts := range times {
		w.Add(ts, nil, nil)
	}
	b := bytes.Clone(w.Finish())
	binary.BigEndian.PutUint64(b, 100) // base offset
	for _, c := range codecs {
		m := compress(t, b, c.codec, c.xerial)
		for ts, want := range map[int64]core.Offset{0: 100, 50: 100, 51: 102, 60: 102, 61: -1} {
			off, at, ok, err := FirstAtOrAfter(m, ts, limit)
			if err != nil || ok != (want >= 0) || ok && (off != want || at != times[off-100]) {
				t.Errorf("%s: %d: %d@%d %v %v, want %d", c.name, ts, off, at, ok, err, want)
			}
		}
		if off, ts, err := MaxTimestamp(m, limit); off != 102 || ts != 60 || err != nil {
			t.Errorf("%s: max %d@%d %v", c.name, off, ts, err)
		}
		Stamp{Base: 200, AppendTime: 999}.Apply(m[:HeaderSize], m[HeaderSize:])
		if _, err := Valid(m); err != nil {
			t.Error(err)
		}
		if off, at, ok, err := FirstAtOrAfter(m, 999, limit); off != 200 || at != 999 || !ok || err != nil {
			t.Errorf("%s: append time: %d@%d %v %v", c.name, off, at, ok, err)
		}
		if off, ts, err := MaxTimestamp(m, limit); off != 200 || ts != 999 || err != nil {
			t.Errorf("%s: max of append time %d@%d %v", c.name, off, ts, err)
		}
	}
}

func TestBuilderAllocatesNothingOnceWarm(t *testing.T) {
	var w Builder
	key, value := []byte("key"), make([]byte, 100)
	header := RecordHeader{"h", value}
	if w.Finish() != nil || w.Size() != HeaderSize {
		t.Error("an empty builder must give nothing")
	}
	n := testing.AllocsPerRun(100, func() {
		for i := range 10 {
			w.Add(int64(i), key, value, header)
		}
		w.FinishAs(7, 1, 3)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	w.Add(5, key, nil)
	if h, err := Valid(w.FinishAs(7, 1, 3)); err != nil || h.ProducerID != 7 || h.ProducerEpoch != 1 || h.Sequence != 3 || h.Count != 1 || h.MaxTime != 5 {
		t.Errorf("%+v %v", h, err)
	}
}

func FuzzRecords(f *testing.F) {
	for _, c := range codecs {
		f.Add(compress(f, sample(20, 100), c.codec, c.xerial))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil {
			return
		}
		count := int32(0)
		err = Records(b, h, limit, func(r Record) error {
			r.Headers(func(_, _ []byte) {})
			if count++; r.Offset < h.Base || r.Offset > h.Last() {
				t.Fatalf("offset %d of %d to %d", r.Offset, h.Base, h.Last())
			}
			return nil
		})
		if err == nil && count != h.Count {
			t.Fatalf("%d records of %d and no error", count, h.Count)
		}
	})
}
