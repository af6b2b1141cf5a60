package records

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// outputMax is how many bytes are gathered before they are written. A poll's last bytes
// are written with the poll, so nothing waits for what comes later.
const outputMax = 1 << 18

// printer writes records in one of the forms.
type printer struct {
	w     io.Writer
	b     []byte
	write part
}

func (p *printer) record(fp *kgo.FetchPartition, r *kgo.Record) error {
	if p.b = p.write(p.b, fp, r); len(p.b) < outputMax {
		return nil
	}
	return p.flush()
}

func (p *printer) flush() error {
	if len(p.b) == 0 {
		return nil
	}
	_, err := p.w.Write(p.b)
	p.b = p.b[:0]
	return err
}

// raw is a record for a program: the bytes of its value, and a line end.
func raw(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
	return append(append(b, r.Value...), '\n')
}

func jsonLine(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
	return append(appendRecord(b, r, &inJSON), '\n')
}

func yamlItem(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
	return append(appendRecord(b, r, &inYAML), '\n')
}

// reader is a person: one line per record, with what is no text made visible, so that no
// record can write to the terminal but what stands in it.
type reader struct {
	topic bool // records of several topics come
	wide  bool // with time and headers
	color bool
}

const (
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

func (p reader) write(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
	b = p.styled(b, dim, func(b []byte) []byte {
		if p.topic {
			b = append(append(b, r.Topic...), '/')
		}
		b = strconv.AppendInt(b, int64(r.Partition), 10)
		b = strconv.AppendInt(append(b, '@'), r.Offset, 10)
		if p.wide {
			b = r.Timestamp.UTC().AppendFormat(append(b, "  "...), "2006-01-02T15:04:05.000Z")
		}
		return b
	})
	b = append(b, "  "...)
	if r.Key != nil {
		b = p.styled(b, bold, func(b []byte) []byte { return visible(b, r.Key) })
		b = append(b, "  "...)
	}
	if r.Value == nil {
		b = p.styled(b, dim, func(b []byte) []byte { return append(b, "(null)"...) })
	}
	b = visible(b, r.Value)
	if p.wide && len(r.Headers) > 0 {
		b = append(b, "  "...)
		b = p.styled(b, dim, func(b []byte) []byte {
			return append(visible(append(b, '{'), kcatHeaders(nil, nil, r)), '}')
		})
	}
	return append(b, '\n')
}

func (p reader) styled(b []byte, style string, text func([]byte) []byte) []byte {
	if !p.color {
		return text(b)
	}
	return append(text(append(b, style...)), plain...)
}

// visible writes text as it is, and anything else as an escape.
func visible(b, v []byte) []byte {
	for len(v) > 0 {
		c, n := utf8.DecodeRune(v)
		switch {
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, '\t')
		case c == utf8.RuneError && n == 1 || c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, v[0])
		case !unicode.IsPrint(c) && !unicode.Is(unicode.Zs, c):
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, v[:n]...)
		}
		v = v[n:]
	}
	return b
}

// deliveredLines writes what was delivered, a line per record.
type deliveredLines struct {
	w io.Writer
	b bytes.Buffer
}

func (l *deliveredLines) add(r *kgo.Record, at where) error {
	b := l.b.AvailableBuffer()
	b = append(b, `{"topic":`...)
	b = appendString(b, r.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(r.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, r.Offset, 10)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, r.Timestamp.UnixMilli(), 10)
	if at.file != "" {
		b = appendString(append(b, `,"file":`...), at.file)
	}
	if at.line != 0 {
		b = strconv.AppendInt(append(b, `,"line":`...), at.line, 10)
	}
	l.b.Write(append(b, '}', '\n'))
	if l.b.Len() < outputMax {
		return nil
	}
	return l.flush()
}

func (l *deliveredLines) flush() error {
	_, err := l.b.WriteTo(l.w)
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cli.IsTerminal(f)
}
