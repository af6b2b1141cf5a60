package kafka

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata anew; then read the diff")

// recorder plays the scene of one API at one version and writes down what it sees.
type recorder struct {
	*client
	version int16
	text    strings.Builder
}

// TestTranscripts plays each API at its lowest, a middle and its highest version, with
// errors, against a whole broker, and compares every byte of requests and answers with
// testdata. That kmsg reads the answers as the same values is part of the text.
func TestTranscripts(t *testing.T) {
	for i := range codec.Versions {
		r := &codec.Versions[i]
		play := scenes[r.Key]
		if play == nil {
			play = groupScenes[r.Key]
		}
		if play == nil {
			t.Errorf("%s has no scene", r.Name)
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			var got strings.Builder
			fmt.Fprintf(&got, "# %s at its lowest, a middle and its highest version: > the request, < the answer, and what\n# kmsg reads in both. Made by go test -run TestTranscripts -rewrite; read the diff.\n", r.Name)
			last := int16(-1)
			for _, v := range []int16{r.Min, (r.Min + r.Max) / 2, r.Max} {
				if v == last {
					continue
				}
				last = v
				w := newRealWorld(t, 2)
				w.options = Options{LogDir: "/data", Disk: func() (int64, int64) { return 1 << 40, 1 << 39 }, AutoCreate: true,
					Broker: []BrokerSetting{{Name: "num.partitions", Value: "4", Default: "1", Doc: "partitions", Type: core.TypeInt}}}
				rec := &recorder{client: w.open(0, 0), version: v}
				play(rec)
				got.WriteString(rec.text.String())
			}
			file := filepath.Join("testdata", "transcripts", r.Name+".txt")
			if *rewrite {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s goes otherwise now, from line %d on; -rewrite and read the diff. It went:\n%s", file, firstDifference(got.String(), string(want)), got.String())
			}
		})
	}
}

func firstDifference(a, b string) int {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			return i + 1
		}
	}
	return len(x)
}

// say records one request of the API, and what comes of it.
func (r *recorder) say(what string, req kmsg.Request) kmsg.Response {
	req.SetVersion(r.version)
	r.next++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, r.next)
	h, err := codec.ReadHeader(frame[4:])
	read := kmsg.RequestForKey(req.Key()) // as it is on the wire
	read.SetVersion(r.version)
	if err != nil || read.ReadFrom(h.Body) != nil {
		r.b.t.Fatalf("the request cannot be read: %v", err)
	}
	fmt.Fprintf(&r.text, "\n== version %d: %s\n%s\n%s", r.version, what, words(read), dump('>', frame))
	return r.hear(frame, req)
}

// hear gives the frame to the broker and records the answer, which is decoded as one to
// req.
func (r *recorder) hear(frame []byte, req kmsg.Request) kmsg.Response {
	l := r.b.loops[r.shard]
	_, _, err := r.b.shards[r.shard].Receive(r.id, frame)
	r.b.shards[r.shard].EndTurn()
	r.b.pump()
	out := l.out[r.id]
	if len(out) == 0 {
		if err != nil || l.closed[r.id] {
			r.text.WriteString("the connection is closed\n")
		} else {
			r.text.WriteString("no answer\n")
		}
		return nil
	}
	if n := 4 + int(binary.BigEndian.Uint32(out)); n != len(out) {
		r.b.t.Fatalf("an answer of %d bytes says that it has %d", len(out), n)
	}
	resp := r.take(req)
	r.text.WriteString(dump('<', out))
	if again := resp.AppendTo(nil); string(again) != string(out[len(out)-len(again):]) {
		r.b.t.Fatalf("kmsg would have written\n%x and not\n%x", again, out)
	}
	fmt.Fprintf(&r.text, "%s\n", words(resp))
	return resp
}

// dump is bytes as hex, 32 to a line.
func dump(mark byte, b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(len(b), 32)
		s.WriteByte(mark)
		for i := 0; i < n; i += 4 {
			s.WriteByte(' ')
			s.WriteString(hex.EncodeToString(b[i:min(i+4, n)]))
		}
		s.WriteByte('\n')
		b = b[n:]
	}
	return s.String()
}

// words is a message as text: the fields that are not zero, nor structs that are as they
// are by default.
func words(m any) string {
	v := reflect.ValueOf(m).Elem()
	return v.Type().Name() + value(v)
}

// isDefault says whether a struct says nothing.
func isDefault(v reflect.Value) bool {
	fresh := reflect.New(v.Type())
	d, ok := fresh.Interface().(interface{ Default() })
	if ok {
		d.Default()
	}
	return ok && reflect.DeepEqual(fresh.Elem().Interface(), v.Interface())
}

func value(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Name == "Version" || f.Name == "UnknownTags" || v.Field(i).IsZero() || isDefault(v.Field(i)) {
				continue
			}
			fields = append(fields, f.Name+" "+value(v.Field(i)))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case reflect.Pointer:
		return value(v.Elem())
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Array:
		return fmt.Sprintf("%x", v.Interface())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%d bytes", v.Len())
		}
		var elements []string
		for i := range v.Len() {
			elements = append(elements, value(v.Index(i)))
		}
		return "[" + strings.Join(elements, " ") + "]"
	}
	return fmt.Sprint(v.Interface())
}
