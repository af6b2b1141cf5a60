package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/penstock/penstock/core"
)

var openRules = Rules{Version: 9, SizeMax: 1 << 20, Now: 1_000_000, BeforeMax: math.MaxInt64, AfterMax: 3_600_000}

func TestCheckProduceTakesWhatClientsWrite(t *testing.T) {
	b := sample(50, 100)
	for _, c := range codecs {
		m := compress(t, b, c.codec, c.xerial)
		before := bytes.Clone(m)
		h, code, why := CheckProduce(m, openRules)
		if code != core.OK || h.Count != 50 || h.MaxTime != 1006 {
			t.Errorf("%s: %v %s %+v", c.name, code, why, h)
		}
		if !bytes.Equal(m, before) {
			t.Errorf("%s: the bytes were changed", c.name)
		}
		if n := testing.AllocsPerRun(50, func() { CheckProduce(m, openRules) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// Each case changes one thing of a good batch, or of the rules, and seals it again.
func TestCheckProduceRefuses(t *testing.T) {
	be := binary.BigEndian
	attr := func(a int16) func([]byte, *Rules) []byte {
		return func(b []byte, _ *Rules) []byte { return seal(b, a) }
	}
	put32 := func(at int, v uint32) func([]byte, *Rules) []byte {
		return func(b []byte, _ *Rules) []byte { be.PutUint32(b[at:], v); return seal(b, 0) }
	}
	rule := func(fn func(*Rules)) func([]byte, *Rules) []byte {
		return func(b []byte, r *Rules) []byte { fn(r); return b }
	}
	for name, c := range map[string]struct {
		make func([]byte, *Rules) []byte
		want core.Code
	}{
		"nothing at all":               {func([]byte, *Rules) []byte { return nil }, core.ErrInvalidRecord},
		"two batches":                  {func(b []byte, _ *Rules) []byte { return append(b, b...) }, core.ErrInvalidRecord},
		"trailing byte":                {func(b []byte, _ *Rules) []byte { return append(b, 0) }, core.ErrInvalidRecord},
		"cut off":                      {func(b []byte, _ *Rules) []byte { return b[:len(b)-1] }, core.ErrCorruptBatch},
		"cut off in the header":        {func(b []byte, _ *Rules) []byte { return b[:40] }, core.ErrCorruptBatch},
		"a flipped bit":                {func(b []byte, _ *Rules) []byte { b[100] ^= 1; return b }, core.ErrCorruptBatch},
		"magic 1":                      {func(b []byte, _ *Rules) []byte { b[posMagic] = 1; return b }, core.ErrInvalidRecord},
		"magic 0":                      {func(b []byte, _ *Rules) []byte { b[posMagic] = 0; return b }, core.ErrInvalidRecord},
		"negative length":              {func(b []byte, _ *Rules) []byte { b[posLength] = 0xff; return b }, core.ErrCorruptBatch},
		"larger than the topic allows": {rule(func(r *Rules) { r.SizeMax = 100 }), core.ErrTooLarge},
		"a control batch":              {attr(AttrControl), core.ErrInvalidRecord},
		"a transactional batch":        {attr(AttrTransactional), core.ErrUnsupported},
		"log append time set":          {attr(AttrLogAppendTime), core.ErrInvalidTimestamp},
		"unknown attributes":           {attr(1 << 6), core.ErrInvalidRecord},
		"unknown compression":          {attr(5), core.ErrUnsupportedCompression},
		"no records":                   {put32(posCount, 0), core.ErrInvalidRecord},
		"count above last delta":       {put32(posCount, 11), core.ErrInvalidRecord},
		"count below last delta":       {put32(posLastDelta, 10), core.ErrInvalidRecord},
		"count and delta too large": {func(b []byte, _ *Rules) []byte {
			be.PutUint32(b[posCount:], 11)
			be.PutUint32(b[posLastDelta:], 10)
			return seal(b, 0)
		}, core.ErrInvalidRecord},
		"producer without sequence":    {func(b []byte, _ *Rules) []byte { be.PutUint64(b[posProducer:], 5); return seal(b, 0) }, core.ErrInvalidRecord},
		"impossible producer":          {func(b []byte, _ *Rules) []byte { be.PutUint64(b[posProducer:], 1<<63); return seal(b, 0) }, core.ErrInvalidRecord},
		"zstd below Produce 7":         {func(b []byte, r *Rules) []byte { r.Version = 6; return compress(t, b, Zstd, false) }, core.ErrUnsupportedCompression},
		"too old":                      {rule(func(r *Rules) { r.BeforeMax = 10 }), core.ErrInvalidTimestamp},
		"too far ahead":                {rule(func(r *Rules) { r.Now, r.AfterMax = 0, 10 }), core.ErrInvalidTimestamp},
		"a record's length":            {func(b []byte, _ *Rules) []byte { b[HeaderSize] += 2; return seal(b, 0) }, core.ErrInvalidRecord},
		"a record's offset delta":      {func(b []byte, _ *Rules) []byte { b[HeaderSize+3] = 2; return seal(b, 0) }, core.ErrInvalidRecord},
		"bytes behind the last record": {func(b []byte, _ *Rules) []byte { return seal(append(b, 0), 0) }, core.ErrInvalidRecord},
	} {
		r := openRules
		var w Builder
		for range 10 {
			w.Add(1000, []byte("k"), []byte("valuevalue"))
		}
		b := c.make(w.Finish(), &r)
		if _, code, why := CheckProduce(b, r); code != c.want || why == "" {
			t.Errorf("%s: %v (%s), want %v", name, code, why, c.want)
		}
	}
}

func TestCheckProduceLetsPass(t *testing.T) {
	var w Builder
	w.Add(-1, nil, nil)
	r := openRules
	r.BeforeMax, r.AfterMax = 10, 10
	if _, code, why := CheckProduce(w.Finish(), r); code != core.OK {
		t.Errorf("no timestamp: %v %s", code, why)
	}
	w.Add(1, nil, nil)
	r.AppendTime = true
	if _, code, why := CheckProduce(w.Finish(), r); code != core.OK {
		t.Errorf("the topic stamps its own time: %v %s", code, why)
	}
	w.Add(math.MinInt64, nil, nil)
	if _, code, _ := CheckProduce(w.Finish(), openRules); code != core.OK && code != core.ErrInvalidTimestamp {
		t.Errorf("%v", code)
	}
}

// Kafka makes the header's largest timestamp anew from the records.
func TestCheckProduceCorrectsTheLargestTimestamp(t *testing.T) {
	for _, c := range codecs {
		m := compress(t, sample(50, 100), c.codec, c.xerial)
		binary.BigEndian.PutUint64(m[posMaxTime:], math.MaxUint64)
		seal(m, int16(c.codec))
		h, code, why := CheckProduce(m, openRules)
		want := int64(1006)
		if c.codec != None {
			want = 1000 // not decompressed: the first record's, which is the base
		}
		again, err := Valid(m)
		if code != core.OK || err != nil || again != h || h.MaxTime != want {
			t.Errorf("%s: %v %s %v %+v", c.name, code, why, err, again)
		}
	}
}

// What CheckProduce takes, Records can walk (if it is not compressed) and Valid confirms.
func FuzzCheckProduce(f *testing.F) {
	for _, c := range codecs {
		f.Add(compress(f, sample(5, 20), c.codec, c.xerial))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > HeaderSize { // mutations get past the CRC
			binary.BigEndian.PutUint32(b[posCRC:], 0)
			b = seal(bytes.Clone(b), int16(binary.BigEndian.Uint16(b[posAttrs:])))
		}
		h, code, why := CheckProduce(b, openRules)
		if (code == core.OK) != (why == "") {
			t.Fatalf("%v %q", code, why)
		}
		if code != core.OK {
			return
		}
		again, err := Valid(b)
		if err != nil || again != h {
			t.Fatalf("%v %+v %+v", err, h, again)
		}
		if h.Compression() != None {
			return
		}
		latest := int64(math.MinInt64)
		err = Records(b, h, limit, func(r Record) error { latest = max(latest, r.Timestamp); return nil })
		if err != nil || latest != h.MaxTime {
			t.Fatalf("%v: latest %d, header %d", err, latest, h.MaxTime)
		}
	})
}

func BenchmarkCheckProduce(b *testing.B) {
	var w Builder
	for range 64 {
		w.Add(1000, nil, make([]byte, 1000))
	}
	m := w.Finish()
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if _, code, _ := CheckProduce(m, openRules); code != core.OK {
			b.Fatal(code)
		}
	}
}

// Kafka decompresses every batch that is produced; here header and CRC have to do, and a
// consumer is told by its own decompressor.
func TestCompressedBatchesAreCheckedByHeaderAndCrcOnly(t *testing.T) {
	for _, c := range codecs[1:] {
		m := compress(t, sample(5, 20), c.codec, c.xerial)
		copy(m[HeaderSize:], "this is not what the codec writes")
		if _, code, why := CheckProduce(seal(m, int16(c.codec)), openRules); code != core.OK {
			t.Errorf("%s: %v %s", c.name, code, why)
		}
		m[len(m)-1]++
		if _, code, _ := CheckProduce(m, openRules); code != core.ErrCorruptBatch {
			t.Errorf("%s with a wrong CRC: %v", c.name, code)
		}
	}
}
