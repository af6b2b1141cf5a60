package records

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzJSON holds that a record comes back from its JSON byte for byte, that null stays
// null, and that the JSON and the YAML are what other readers take them for.
func FuzzJSON(f *testing.F) {
	f.Add("t", []byte("k"), []byte("v"), "h", []byte{0xff}, false)
	f.Add("t", []byte{}, []byte("\u2028\u0085\ufeff\x7f\x00\"\\\n\uffff\ufffd"), "\xff", []byte(nil), true)
	f.Fuzz(func(t *testing.T, topic string, key, value []byte, header string, hvalue []byte, null bool) {
		if !utf8.ValidString(topic) {
			return // no topic has such a name
		}
		r := &kgo.Record{Topic: topic, Partition: 1, Offset: 2, Timestamp: time.UnixMilli(3), Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: header, Value: hvalue}}}
		if null {
			r.Key, r.Value = nil, nil
		}
		line := jsonLine(nil, nil, r)
		if bytes.Count(line, []byte{'\n'}) != 1 {
			t.Fatalf("%q is not one line", line)
		}
		got, placed, err := newJSONReader().record(line)
		if err != nil || !placed || got.Topic != topic || got.Partition != 1 || !got.Timestamp.Equal(r.Timestamp) {
			t.Fatalf("%s comes back as %v (%v)", line, got, err)
		}
		for _, c := range [][2][]byte{{r.Key, got.Key}, {r.Value, got.Value}, {hvalue, got.Headers[0].Value}, {[]byte(header), []byte(got.Headers[0].Key)}} {
			if !bytes.Equal(c[0], c[1]) || (c[0] == nil) != (c[1] == nil) {
				t.Fatalf("%q comes back as %q from %s", c[0], c[1], line)
			}
		}
		var asJSON map[string]any
		if err := json.Unmarshal(line, &asJSON); err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(r.Value) && r.Value != nil && asJSON["value"] != string(r.Value) {
			t.Fatalf("the value %q is %q in %s", r.Value, asJSON["value"], line)
		}
	})
}

func TestYAMLIsReadBack(t *testing.T) {
	r := &kgo.Record{Topic: "t", Value: []byte("a: b\n\"#\\ ü"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("[1]")}}, Timestamp: time.UnixMilli(5)}
	doc := yamlItem(yamlItem(nil, nil, r), nil, r)
	var got []map[string]any
	if err := yaml.Unmarshal(doc, &got); err != nil || len(got) != 2 {
		t.Fatalf("%s: %v", doc, err)
	}
	if got[1]["value"] != string(r.Value) || got[1]["key"] != nil || got[1]["offset"] != uint64(0) {
		t.Errorf("%v", got[1])
	}
}

func TestJSONInput(t *testing.T) {
	for line, want := range map[string]string{
		`{"value":"x"}`:                          "x",
		`{"value":{"a": 1}}`:                     `{"a": 1}`,
		`{"value":17}`:                           "17",
		`{"value_base64":"/w=="}`:                "\xff",
		`{"value":"\ufffd"}`:                     "\ufffd",
		`{"value":"x","offset":9,"topic":"out"}`: "x",
	} {
		if r, _, err := newJSONReader().record([]byte(line)); err != nil || string(r.Value) != want || r.Value == nil {
			t.Errorf("%s is %v (%v)", line, r, err)
		}
	}
	if r, placed, err := newJSONReader().record([]byte(`{"key":null}`)); err != nil || r.Value != nil || r.Key != nil || placed {
		t.Errorf("an object without a value is %v (%v)", r, err)
	}
	for line, word := range map[string]string{
		`{"value":"x"`:                     "does not end",
		`{"valeu":"x"}`:                    "value",
		`{"value":"x"} {}`:                 "more than one",
		`[1]`:                              "does not fit",
		`{"partition":"x"}`:                "partition",
		`{"partition":-1}`:                 "below 0",
		`{"value":"x","value_base64":"eA"`: "does not end",
		`{"value":"x","value_base64":""}`:  "both",
		"{\"value\":\"\xff\"}":             "UTF-8",
		`{"value":"\ud800"}`:               "UTF-8",
		`nonsense`:                         "no JSON",
	} {
		if r, _, err := newJSONReader().record([]byte(line)); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s is %v, and the error %v lacks %q", line, r, err, word)
		}
	}
}

func TestVisible(t *testing.T) {
	if got := string(visible(nil, []byte("ü a\tb\n\x1b[2J\xff\u0085\u202e界"))); got != `ü a`+"\t"+`b\n\x1b[2J\xff\u0085\u202e界` {
		t.Errorf("%q", got)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.00 KB", 9_999: "10.0 KB", 99_960: "100 KB", 999_700: "1.00 MB", 104_857_600: "105 MB", 2_500_000_000: "2.50 GB"} {
		if got := byteSize(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{1: "1", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}
