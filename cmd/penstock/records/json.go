package records

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// A record as JSON, which consume writes and produce reads:
//
//	{"topic":"t","partition":0,"offset":7,"timestamp":1700000000000,"timestamp_type":"create",
//	 "key":"k","value":"v","headers":[{"key":"h","value":"v"}],"leader_epoch":0,…}
//
// Keys and values that are UTF-8 are strings and null is null; any other bytes stand in
// base64 in key_base64 and value_base64 instead. Headers keep their order and may repeat.

// notation is how the fields of a record are written down.
type notation struct {
	open, field, named, next, shut string // before all, before and after a name, between, after all
}

var (
	inJSON = notation{"{", `"`, `":`, ",", "}"}
	inYAML = notation{"- ", "", ": ", "\n  ", ""}
)

// appendRecord writes a record without a newline at its end. Strings are JSON's in both
// notations, and headers are too: YAML includes them.
func appendRecord(b []byte, r *kgo.Record, n *notation) []byte {
	name := func(s string) { b = append(append(append(b, n.field...), s...), n.named...) }
	number := func(s string, v int64) {
		b = append(b, n.next...)
		name(s)
		b = strconv.AppendInt(b, v, 10)
	}
	b = append(b, n.open...)
	name("topic")
	b = appendString(b, r.Topic)
	number("partition", int64(r.Partition))
	number("offset", r.Offset)
	number("timestamp", r.Timestamp.UnixMilli())
	b = append(b, n.next...)
	name("timestamp_type")
	b = appendString(b, timestampType(r))
	b = appendBytes(append(b, n.next...), "key", r.Key, n)
	b = appendBytes(append(b, n.next...), "value", r.Value, n)
	b = append(b, n.next...)
	name("headers")
	b = append(b, '[')
	for i, h := range r.Headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBytes(append(b, '{'), "key", append([]byte{}, h.Key...), &inJSON)
		b = appendBytes(append(b, ','), "value", h.Value, &inJSON)
		b = append(b, '}')
	}
	b = append(b, ']')
	number("leader_epoch", int64(r.LeaderEpoch))
	number("producer_id", r.ProducerID)
	number("producer_epoch", int64(r.ProducerEpoch))
	b = append(b, n.next...)
	name("compression")
	b = appendString(b, codecs[r.Attrs.CompressionType()&7])
	b = append(b, n.next...)
	name("transactional")
	return append(strconv.AppendBool(b, r.Attrs.IsTransactional()), n.shut...)
}

var codecs = [8]string{"none", "gzip", "snappy", "lz4", "zstd", "unknown", "unknown", "unknown"}

func timestampType(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return "create"
	case 1:
		return "append"
	}
	return "none"
}

func appendBytes(b []byte, name string, v []byte, n *notation) []byte {
	b = append(append(b, n.field...), name...)
	switch {
	case v == nil:
		return append(append(b, n.named...), "null"...)
	case utf8.Valid(v):
		return appendString(append(b, n.named...), v)
	}
	b = append(append(append(b, "_base64"...), n.named...), '"')
	return append(base64.StdEncoding.AppendEncode(b, v), '"')
}

// appendString writes text that is UTF-8 as a JSON string, in which no character is left
// that YAML or a terminal takes for more than text. It stands here because encoding/json
// would need a copy of every value.
func appendString[T string | []byte](b []byte, v T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(v); i++ {
		c, n := rune(v[i]), 1
		switch {
		case c >= 0xc2 && c <= 0xef:
			if c, n = special(v[i:min(i+3, len(v))]); n == 0 {
				continue
			}
		case c >= ' ' && c != '"' && c != '\\' && c != 0x7f:
			continue
		}
		b = append(b, v[from:i]...)
		i += n - 1
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', byte(c))
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	return append(append(b, v[from:]...), '"')
}

// special is the character at the start of v and its length, if it is one of those beyond
// ASCII that control: C1, the separators of lines, the byte order mark, and no characters.
func special[T string | []byte](v T) (rune, int) {
	switch {
	case len(v) >= 2 && v[0] == 0xc2 && v[1] < 0xa0:
		return rune(v[1]), 2
	case len(v) < 3:
	case v[0] == 0xe2 && v[1] == 0x80 && (v[2] == 0xa8 || v[2] == 0xa9):
		return 0x2000 + rune(v[2]-0x80), 3
	case v[0] == 0xef && v[1] == 0xbb && v[2] == 0xbf:
		return 0xfeff, 3
	case v[0] == 0xef && v[1] == 0xbf && v[2] >= 0xbe:
		return 0xffc0 + rune(v[2]-0x80), 3
	}
	return 0, 0
}

// jsonRecord is the same for reading. What the broker gives a record is read and not used.
type jsonRecord struct {
	Topic     string `json:"topic"`
	Partition *int32 `json:"partition"`
	Timestamp *int64 `json:"timestamp"`
	jsonKV
	Headers     []jsonKV `json:"headers"`
	Offset      unused   `json:"offset"`
	Type        unused   `json:"timestamp_type"`
	LeaderEpoch unused   `json:"leader_epoch"`
	ProducerID  unused   `json:"producer_id"`
	Epoch       unused   `json:"producer_epoch"`
	Compression unused   `json:"compression"`
	Transaction unused   `json:"transactional"`
}

// unused is a field that may be there.
type unused struct{}

func (*unused) UnmarshalJSON([]byte) error { return nil }

type jsonKV struct {
	Key         json.RawMessage `json:"key"`
	KeyBase64   *[]byte         `json:"key_base64"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 *[]byte         `json:"value_base64"`
}

var jsonFields = []string{"topic", "partition", "timestamp", "key", "key_base64", "value", "value_base64", "headers"}

// record is the record that the object describes, and whether it names its partition.
func (j *jsonRecord) record() (r *kgo.Record, placed bool, err error) {
	r = &kgo.Record{Topic: j.Topic}
	if r.Key, err = oneOf("key", j.Key, j.KeyBase64); err != nil {
		return nil, false, err
	}
	if r.Value, err = oneOf("value", j.Value, j.ValueBase64); err != nil {
		return nil, false, err
	}
	for _, h := range j.Headers {
		k, err := oneOf("key", h.Key, h.KeyBase64)
		if err != nil {
			return nil, false, fmt.Errorf("a header: %w", err)
		}
		v, err := oneOf("value", h.Value, h.ValueBase64)
		if err != nil {
			return nil, false, fmt.Errorf("the header %q: %w", k, err)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(k), Value: v})
	}
	if j.Timestamp != nil {
		r.Timestamp = time.UnixMilli(*j.Timestamp)
	}
	if j.Partition != nil {
		if r.Partition = *j.Partition; r.Partition < 0 {
			return nil, false, fmt.Errorf("the partition %d is below 0; leave the field out to have one chosen", r.Partition)
		}
	}
	return r, j.Partition != nil, nil
}

// oneOf is a key or a value: a string's text, the bytes of the base64 field, or, for any
// other JSON, the JSON itself.
func oneOf(name string, plain json.RawMessage, encoded *[]byte) ([]byte, error) {
	switch {
	case encoded != nil && plain != nil:
		return nil, fmt.Errorf("it has both %s and %s_base64; one of them is the %s", name, name, name)
	case encoded != nil:
		return append([]byte{}, *encoded...), nil
	case plain == nil || string(plain) == "null":
		return nil, nil
	case plain[0] != '"':
		return bytes.Clone(plain), nil
	}
	var s string
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, err
	}
	if strings.Contains(s, "\uFFFD") && !bytes.Contains(bytes.ToLower(plain), []byte(`\ufffd`)) && !bytes.Contains(plain, []byte("\uFFFD")) {
		return nil, fmt.Errorf("the %s is no valid UTF-8; write bytes in base64 into %s_base64", name, name)
	}
	return []byte(s), nil
}

// jsonReader reads the records of lines. One decoder serves them all, up to the first
// mistake; it gets each line by itself.
type jsonReader struct {
	dec  *json.Decoder
	line []byte // what the decoder has not taken
}

func newJSONReader() *jsonReader {
	j := &jsonReader{}
	j.dec = json.NewDecoder(j)
	j.dec.DisallowUnknownFields()
	return j
}

func (j *jsonReader) Read(b []byte) (int, error) {
	if len(j.line) == 0 {
		return 0, io.EOF
	}
	n := copy(b, j.line)
	j.line = j.line[n:]
	return n, nil
}

// record reads the record of one line.
func (j *jsonReader) record(line []byte) (r *kgo.Record, placed bool, err error) {
	if r, placed, ok := quickRecord(line); ok {
		return r, placed, nil
	}
	return j.decode(line)
}

// decode is record by encoding/json, which takes and refuses everything as it should be.
func (j *jsonReader) decode(line []byte) (r *kgo.Record, placed bool, err error) {
	j.line = line
	var rec jsonRecord
	if err := j.dec.Decode(&rec); err != nil {
		return nil, false, jsonError(err)
	}
	rest, _ := io.ReadAll(j.dec.Buffered()) // it is in memory
	if len(bytes.TrimSpace(rest))+len(bytes.TrimSpace(j.line)) > 0 {
		return nil, false, errors.New("more than one object stands on the line")
	}
	return rec.record()
}

// jsonError says in words what was wrong with an object.
func jsonError(err error) error {
	var kind *json.UnmarshalTypeError
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errors.New("the object does not end on its line; each record is one object on one line (jq -c makes it so)")
	case unknown:
		name = strings.Trim(name, `"`)
		return fmt.Errorf("there is no field %q%s", name, cli.Hint(name, jsonFields, "fields are "+joined(jsonFields)))
	case errors.As(err, &kind):
		return fmt.Errorf("the field %q is a %s, which does not fit; penstock help formats shows the form", kind.Field, kind.Value)
	}
	return fmt.Errorf("it is no JSON object: %s", strings.TrimPrefix(err.Error(), "json: "))
}
