package kafka

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
)

// randomize fills what kmsg encodes with small random values, null where it may be.
func randomize(v reflect.Value, rnd *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			for range rnd.IntN(3) {
				// Above all numbers that any message uses.
				tags.Set(1000+rnd.Uint32N(200), make([]byte, rnd.IntN(200)))
			}
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Version" {
				randomize(v.Field(i), rnd)
			}
		}
	case reflect.Pointer:
		if rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(v.Elem(), rnd)
		}
	case reflect.Slice:
		n := rnd.IntN(4)
		if n == 0 && rnd.IntN(2) == 0 {
			return // nil: null, where that may be
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomize(v.Index(i), rnd)
		}
	case reflect.Array:
		for i := range v.Len() {
			randomize(v.Index(i), rnd)
		}
	case reflect.String:
		s := make([]byte, rnd.IntN(20))
		if rnd.IntN(20) == 0 {
			s = make([]byte, 100+rnd.IntN(100)) // two bytes of compact length
		}
		for i := range s {
			s[i] = 'a' + byte(rnd.IntN(26))
		}
		v.SetString(string(s))
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rnd.Uint64()) >> rnd.IntN(64))
	case reflect.Uint8:
		v.SetUint(uint64(rnd.IntN(256)))
	}
}

func TestCheckBodyAcceptsWhatKmsgWritesAndRefusesEveryTruncation(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, r := range Versions {
		for version := r.Min; version <= r.Max; version++ {
			for range 40 {
				req := kmsg.RequestForKey(r.Key)
				req.SetVersion(version)
				randomize(reflect.ValueOf(req).Elem(), rnd)
				body := req.AppendTo(nil)
				if err := CheckBody(r.Key, version, body); err != nil {
					t.Fatalf("%s v%d: %v\n%+v\n%x", r.Name, version, err, req, body)
				}
				if err := CheckBody(r.Key, version, append(body, 1, 2, 3)); err != nil {
					t.Fatalf("%s v%d: bytes after the end: %v", r.Name, version, err)
				}
				for n := range body {
					if err := CheckBody(r.Key, version, body[:n:n]); !errors.Is(err, ErrMalformed) {
						t.Fatalf("%s v%d: %d of %d bytes: %v", r.Name, version, n, len(body), err)
					}
				}
			}
		}
	}
}

func TestVersionsAreThoseOfKmsgAtTheTop(t *testing.T) {
	for _, r := range Versions {
		req := kmsg.RequestForKey(r.Key)
		if req.MaxVersion() != r.Max {
			t.Errorf("%s: max is %d, kmsg knows %d", r.Name, r.Max, req.MaxVersion())
		}
		for v := r.Min; v <= r.Max; v++ {
			if req.SetVersion(v); req.IsFlexible() != (v >= r.Flexible) {
				t.Errorf("%s v%d: flexible is %v for kmsg", r.Name, v, req.IsFlexible())
			}
		}
	}
	if len(Versions) != 28 || Lookup(Produce).Advertised != 0 || Lookup(Produce).Serves(2) || Lookup(4) != nil || Lookup(-1) != nil || Lookup(1000) != nil {
		t.Error("the table does not say what is served")
	}
}

func TestErrnoKnowsEveryCode(t *testing.T) {
	for c := core.OK; c.String() != "unknown reason"; c++ {
		if int(c) >= len(errno) || c != core.OK && errno[c] == 0 {
			t.Errorf("%q has no error of the protocol", c)
		}
	}
	if Errno(200) != UnknownServerError {
		t.Error("an unknown code must be UNKNOWN_SERVER_ERROR")
	}
}

// A request of seven bytes whose tag section claims 2^32-1 tags kept kmsg busy for 46 s.
// Each tag that is looked at counts as an element, so what is counted is the work.
func TestATagSectionThatClaimsBillionsOfTagsCostsOneStep(t *testing.T) {
	body := []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}
	frame := append([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff}, body[2:]...)
	if err := CheckBody(ApiVersions, 3, body); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := ReadHeader(frame); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	w := walker{reader: reader{b: body}, flexible: true}
	api := Lookup(ApiVersions)
	if w.walk(api.programs[3-api.Min]) || w.elements > 1 {
		t.Errorf("the body took %d steps", w.elements)
	}
	r := reader{b: frame[10:]}
	if r.skipTags(); !r.bad || r.elements > 1 {
		t.Errorf("the header took %d steps", r.elements)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = ReadHeader(frame) }); n != 0 {
		t.Errorf("the header took %v allocations", n)
	}
}

// Tags that are there cost a decoder memory too: a map entry for two bytes.
func TestTheTagsOfARequestAreBounded(t *testing.T) {
	body := append([]byte{2, 'a', 2, 'b'}, appendUvarint(nil, elementsMax+1)...)
	for i := range elementsMax + 1 {
		body = append(appendUvarint(body, uint32(i+7)), 0)
	}
	if err := CheckBody(ApiVersions, 3, body); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestResponsesHaveTagsInTheirHeaderFromTheFlexibleVersionOnButApiVersions(t *testing.T) {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me"))
	for _, r := range Versions {
		for v := r.Min; v <= r.Max; v++ {
			req := kmsg.RequestForKey(r.Key)
			req.SetVersion(v)
			frame := f.AppendRequest(nil, req, -7)[4:]
			h, err := ReadHeader(frame)
			if err != nil || h.Key != r.Key || h.Version != v || h.Correlation != -7 || string(h.ClientID) != "me" {
				t.Fatalf("%s v%d: %+v %v", r.Name, v, h, err)
			}
			if want := req.AppendTo(nil); string(h.Body) != string(want) {
				t.Fatalf("%s v%d: body %x, want %x", r.Name, v, h.Body, want)
			}
			out := BeginResponse(nil, r.Key, v, -7)
			EndResponse(out, 0, 10)
			want := 8
			if v >= r.Flexible && r.Key != ApiVersions {
				want = 9
			}
			if len(out) != want || int(out[3]) != want-4+10 {
				t.Fatalf("%s v%d: response header %x", r.Name, v, out)
			}
		}
	}
	for _, c := range []struct {
		frame []byte
		want  error
	}{
		{[]byte{0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff}, ErrUnserved},                 // Produce 2: advertised only
		{[]byte{0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 2}, nil},              // ApiVersions of the future
		{[]byte{0, 18, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 2}, ErrUnserved}, // ApiVersions -1
		{[]byte{0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, ErrUnserved},
		{[]byte{0, 18, 0, 0, 0, 0, 0, 1, 0, 1}, ErrMalformed}, // client id not there
		{[]byte{0, 18, 0, 0, 0, 0, 0, 1, 0x80, 0}, ErrMalformed},
		{[]byte{0, 18, 0, 0, 0, 0, 0, 1}, ErrMalformed},
	} {
		if _, err := ReadHeader(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, want %v", c.frame, err, c.want)
		}
	}
}

func TestCheckBodyRefusesHugeCountsWithoutWork(t *testing.T) {
	for _, body := range [][]byte{
		{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{0xff, 0xff, 0xff, 0xfe, 0},
	} {
		if err := CheckBody(Metadata, 1, body); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	}
	var e *BodyError
	err := CheckBody(Metadata, 1, []byte{0, 0, 0, 1, 0, 5, 'a'})
	if !errors.As(err, &e) || e.Pos != 4 || e.Field != "name" {
		t.Errorf("%v", err)
	}
	good := []byte{1, 0, 0, 0, 0}
	if n := testing.AllocsPerRun(100, func() { err = CheckBody(Metadata, 9, good) }); n != 0 || err != nil {
		t.Errorf("%v allocations", n)
	}
}

// What CheckBody accepts, kmsg decodes, without a panic and without an error.
func FuzzCheckBody(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i, r := range Versions {
		for v := r.Min; v <= r.Max; v++ {
			req := kmsg.RequestForKey(r.Key)
			req.SetVersion(v)
			randomize(reflect.ValueOf(req).Elem(), rnd)
			f.Add(uint8(i), uint8(v), req.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, i, version uint8, body []byte) {
		r := &Versions[int(i)%len(Versions)]
		v := r.Min + int16(version)%(r.Max-r.Min+1)
		copied := append(make([]byte, 0, len(body)), body...)
		if CheckBody(r.Key, v, copied) != nil {
			return
		}
		req := kmsg.RequestForKey(r.Key)
		req.SetVersion(v)
		if err := req.ReadFrom(copied); err != nil {
			t.Fatalf("%s v%d: CheckBody passes, kmsg: %v\n%x", r.Name, v, err, body)
		}
		if err := CheckBody(r.Key, v, req.AppendTo(nil)); err != nil {
			t.Fatalf("%s v%d: what kmsg writes back: %v", r.Name, v, err)
		}
	})
}
