package records

import (
	"bytes"
	"encoding/base64"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// quick reads the lines that are as consume --output json and jq -c write them: no white
// space, each field once, plain escapes. It is several times as fast as encoding/json, and
// refuses nothing by itself: what it does not take is read by the decoder, which says what
// is wrong.
type quick struct {
	b    []byte // the line
	at   int    // what is before has been read
	fine bool
	seen uint32 // fields of the object, by their index in quickFields
}

var quickFields = []string{"topic", "partition", "timestamp", "key", "key_base64", "value", "value_base64", "headers",
	"offset", "timestamp_type", "leader_epoch", "producer_id", "producer_epoch", "compression", "transactional"}

// quickRecord is the record of a line, and whether it names its partition; ok is false for
// the decoder.
func quickRecord(line []byte) (r *kgo.Record, placed, ok bool) {
	q := &quick{b: bytes.TrimRight(line, " \t\r\n"), fine: true}
	r = &kgo.Record{}
	for q.begin(); q.more(); {
		switch name := q.name(); name {
		case "topic":
			r.Topic = string(q.text())
		case "partition":
			r.Partition, placed = int32(q.number(math.MaxInt32)), true
		case "timestamp":
			r.Timestamp = time.UnixMilli(q.number(math.MaxInt64 / 1_000_000))
		case "key":
			r.Key = q.text()
		case "value":
			r.Value = q.text()
		case "key_base64":
			r.Key = q.base64()
		case "value_base64":
			r.Value = q.base64()
		case "headers":
			r.Headers = q.headers()
		default:
			q.skip()
		}
	}
	const both = 1<<3 | 1<<4
	return r, placed, q.fine && q.at == len(q.b) && q.seen&both != both && q.seen>>2&both != both
}

func (q *quick) begin() { q.take('{') }

// more says that another field follows, and takes what stands before it.
func (q *quick) more() bool {
	switch {
	case !q.fine || q.at == len(q.b):
		q.fine = false
	case q.b[q.at] == '}':
		q.at++
		return false
	case q.seen != 0:
		q.take(',')
	}
	return q.fine
}

func (q *quick) take(c byte) {
	if q.fine = q.fine && q.at < len(q.b) && q.b[q.at] == c; q.fine {
		q.at++
	}
}

// name is that of a field which has not been there yet, and the colon behind it.
func (q *quick) name() string {
	q.take('"')
	end := bytes.IndexByte(q.b[q.at:], '"')
	if !q.fine || end < 0 {
		q.fine = false
		return ""
	}
	name := q.b[q.at : q.at+end]
	q.at += end + 1
	q.take(':')
	for i, f := range quickFields {
		if string(name) == f && q.seen&(1<<i) == 0 {
			q.seen |= 1 << i
			return f
		}
	}
	q.fine = false
	return ""
}

var quickNull = []byte("null")

// text is a copy of a string, nil for null.
func (q *quick) text() []byte {
	if bytes.HasPrefix(q.b[q.at:], quickNull) {
		q.at += 4
		return nil
	}
	q.take('"')
	b, end := q.b[q.at:], 0
	for end < len(b) && b[end] != '"' && b[end] >= ' ' {
		if b[end] == '\\' {
			end++ // what stands behind it
		}
		end++
	}
	if !q.fine || end >= len(b) {
		q.fine = false
		return nil
	}
	raw := b[:end]
	q.at += end
	q.take('"')
	out := make([]byte, 0, len(raw))
	for {
		plain := bytes.IndexByte(raw, '\\')
		if plain < 0 {
			break
		}
		at := strings.IndexByte(`"\/bfnrt`, raw[plain+1])
		if q.fine = q.fine && at >= 0; !q.fine { // \u, or a mistake
			return nil
		}
		out = append(append(out, raw[:plain]...), "\"\\/\b\f\n\r\t"[at])
		raw = raw[plain+2:]
	}
	out = append(out, raw...)
	q.fine = q.fine && utf8.Valid(out)
	return out
}

// base64 is a copy of the bytes that stand in one; null is for the decoder.
func (q *quick) base64() []byte {
	if bytes.HasPrefix(q.b[q.at:], quickNull) {
		q.fine = false
	}
	text := q.text()
	out, err := base64.StdEncoding.AppendDecode(make([]byte, 0, len(text)*3/4), text)
	q.fine = q.fine && err == nil
	return out
}

// number is a whole one from 0 on.
func (q *quick) number(most int64) int64 {
	n, digits, b := int64(0), 0, q.b[q.at:]
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' && n <= most/10 {
		n = n*10 + int64(b[digits]-'0')
		digits++
	}
	q.fine = q.fine && digits > 0 && n <= most && n >= 0 && (digits == 1 || b[0] != '0')
	q.at += digits
	return n
}

// skip goes over a value that is not used: a number, a word or a string.
func (q *quick) skip() {
	b := q.b[q.at:]
	if len(b) > 0 && b[0] == '"' {
		for i, c := range b[1:] {
			switch {
			case c == '"':
				q.at += i + 2
				return
			case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
				q.fine = false
				return
			}
		}
	}
	for _, word := range [...]string{"null", "true", "false", "-1"} {
		if len(b) > len(word) && string(b[:len(word)]) == word {
			q.at += len(word)
			return
		}
	}
	q.number(math.MaxInt64)
}

func (q *quick) headers() (out []kgo.RecordHeader) {
	outer := q.seen
	q.take('[')
	for q.fine && q.at < len(q.b) && q.b[q.at] != ']' {
		if len(out) > 0 {
			q.take(',')
		}
		var h kgo.RecordHeader
		q.seen = 0
		for q.begin(); q.more(); {
			switch q.name() {
			case "key":
				h.Key = string(q.text())
			case "value":
				h.Value = q.text()
			default: // base64 too
				q.fine = false
			}
		}
		out = append(out, h)
	}
	q.take(']')
	q.seen = outer
	return out
}
