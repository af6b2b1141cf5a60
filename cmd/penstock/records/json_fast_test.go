package records

import (
	"reflect"
	"testing"
)

const quickLine = `{"topic":"t","partition":3,"offset":7,"timestamp":1764075600000,"timestamp_type":"create","key":"k","value":"{\"a\":\"b\\n\"}","headers":[{"key":"h","value":"v"},{"key":"n","value":null}],"leader_epoch":-1,"producer_id":12,"producer_epoch":0,"compression":"none","transactional":false}`

// quickSeeds are lines at the edges of what the quick reader takes.
var quickSeeds = []string{quickLine, `{}`, `{"value":""}`, `{"value":null,"key":null}`, `{"value":"é日本"}`, `{"value_base64":"AAEC/w=="}`, `{"value_base64":""}`, `{"value_base64":null}`,
	`{"value":"a","value_base64":"AA=="}`, `{"key":"a","key_base64":"AA=="}`, `{"key":"a","value_base64":"AA=="}`, `{"value":"a","value":"b"}`, `{"Value":"a"}`, `{"value":"\u0041"}`, `{"value":"\x"}`, `{"value":"a` + "\xff" + `"}`, `{"value":"a` + "\n" + `"}`,
	`{"value":{"a":1}}`, `{"value":12}`, `{"partition":2147483647}`, `{"partition":2147483648}`, `{"partition":-1}`, `{"partition":01}`, `{"partition":1.5}`, `{"partition":1e3}`, `{"partition":null}`,
	`{"timestamp":9223372036854}`, `{"timestamp":9223372036854775807}`, `{"offset":-1,"value":"x"}`, `{"offset":-12}`, `{"offset":9223372036854775807}`, `{"offset":92233720368547758079}`, `{"headers":[]}`, `{"headers":null}`, `{"headers":[{}]}`,
	`{"headers":[{"key":"a"},]}`, `{"headers":[{"key":"a"}{"key":"b"}]}`, `{"headers":[{"key_base64":"AA=="}]}`, `{"headers":[{"topic":"x"}]}`, `{,"value":"a"}`, `{"value":"a",}`, `{"value":"a"}}`, `{"value":"a"} {"value":"b"}`, `{"value":"a"`, `{"value":"a\`,
	`{"topic":null}`, `{"topic":""}`, `{"compression":tru}`, `{"transactional":true}`, `{"transactional":trueish}`, ` {"value":"a"}`, `{"value":"a"} `, `{"unknown":1}`, `{"topic":"a","headers":[{"key":"b"}],"topic":"c"}`, ``, `null`, `[]`, `"x"`}

// quickAgrees holds that what the quick reader takes is what the decoder reads.
func quickAgrees(t *testing.T, line []byte) (taken bool) {
	t.Helper()
	r, placed, ok := quickRecord(line)
	if !ok {
		return false
	}
	want, wantPlaced, err := newJSONReader().decode(line)
	if err != nil || placed != wantPlaced || !reflect.DeepEqual(r, want) {
		t.Errorf("%q:\n%+v, %v; the decoder reads\n%+v, %v (%v)", line, r, placed, want, wantPlaced, err)
	}
	return true
}

func TestTheQuickReaderAgrees(t *testing.T) {
	taken := 0
	for _, line := range quickSeeds {
		if quickAgrees(t, []byte(line)) {
			taken++
		}
	}
	for i := range len(quickLine) {
		quickAgrees(t, []byte(quickLine[:i]))
		for _, c := range []byte("\"\\,:{}[]0 n\x00\xff") {
			line := []byte(quickLine)
			line[i] = c
			quickAgrees(t, line)
		}
	}
	if taken < 15 || !quickAgrees(t, []byte(quickLine)) {
		t.Errorf("%d lines of %d are taken", taken, len(quickSeeds))
	}
}

func FuzzTheQuickReaderAgrees(f *testing.F) {
	for _, line := range quickSeeds {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) { quickAgrees(t, line) })
}

func BenchmarkJSONRecord(b *testing.B) {
	line := []byte(quickLine)
	for name, read := range map[string]func(*jsonReader) error{
		"quick":   func(j *jsonReader) error { _, _, err := j.record(line); return err },
		"decoder": func(j *jsonReader) error { _, _, err := j.decode(line); return err },
	} {
		b.Run(name, func(b *testing.B) {
			j := newJSONReader()
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				if err := read(j); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
