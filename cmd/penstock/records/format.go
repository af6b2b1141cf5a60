package records

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// token is one element of a layout: literal text, or a letter after a percent sign.
type token struct {
	text   string // as written
	letter byte   // 0 for text
	braced bool   // {…} follows the letter
}

// kcatOnly and rpkOnly are the letters that only one of the two tools has. %h is kcat's
// where no brace follows it. %T and %K mean different things to the two, and so mark none.
const (
	kcatOnly = "sSR"
	rpkOnly  = "vVHedaxyDAi[|]"
)

// layout is a format, cut into its tokens.
type layout struct {
	tokens []token
	kcat   bool // it is read as kcat reads it
}

// parseLayout cuts a format and decides whose words it uses: rpk's where it has a letter
// that only rpk has, or a brace; kcat's otherwise. A letter that means one thing to kcat
// and another to rpk is refused in a format that has letters of both.
func parseLayout(format string) (layout, error) {
	var l layout
	kcat, rpk, differs := "", "", ""
	for rest := format; rest != ""; {
		t, err := nextToken(rest)
		if err != nil {
			return l, err
		}
		rest = rest[len(t.text):]
		l.tokens = append(l.tokens, t)
		switch {
		case t.letter == 0:
		case t.braced || strings.IndexByte(rpkOnly, t.letter) >= 0:
			rpk = t.text
		case t.letter == 'h' || strings.IndexByte(kcatOnly, t.letter) >= 0:
			kcat = t.text
		case t.letter == 'T' || t.letter == 'K':
			differs = t.text
		}
	}
	l.kcat = rpk == ""
	if kcat != "" && rpk != "" && differs != "" {
		return l, cli.Usage("%s is kcat's and %s is rpk's, so %s in the same format could be either: %s; penstock help formats", kcat, rpk, differs, clearer[differs])
	}
	return l, nil
}

var clearer = map[string]string{
	"%T": "write %d for the timestamp or %T{ascii} for the length of the topic",
	"%K": "write %K{ascii} for the length of the key, in which null counts 0",
}

// nextToken cuts one token off a layout. What stands in braces is skipped as kgo skips it.
func nextToken(s string) (token, error) {
	if s[0] != '%' {
		if i := strings.IndexByte(s, '%'); i > 0 {
			s = s[:i]
		}
		return token{text: s}, nil
	}
	if len(s) == 1 || s[1] == '%' || s[1] == '{' || s[1] == '}' {
		return token{text: s[:min(2, len(s))]}, nil
	}
	t := token{text: s[:2], letter: s[1]}
	if len(s) > 2 && s[2] == '{' {
		n, err := braced(s[3:], t.letter)
		if err != nil {
			return t, err
		}
		t.text, t.braced = s[:3+n], true
	}
	return t, nil
}

// braced is the length of what stands in braces after a letter, its closing brace
// included. A header's layout has letters and braces of its own; a date, a packed value
// and a regular expression stand in delimiters of their own.
func braced(s string, letter byte) (int, error) {
	if letter == 'h' {
		depth := 1
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case '%':
				i++
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					return i + 1, nil
				}
			}
		}
		return 0, cli.Usage("%%h{%s has no closing brace; penstock help formats", s)
	}
	at := 0
	for _, word := range []string{"strftime", "unpack", "go", "re"} {
		if rest, ok := strings.CutPrefix(s, word); ok && rest != "" {
			n := 1
			for n < len(rest) && rest[n] == rest[0] {
				n++
			}
			end := strings.Repeat(closing(rest[:1]), n)
			i := strings.Index(rest[n:], end)
			if i < 0 {
				return 0, cli.Usage("%%%c{%s%s is not closed by %s}; penstock help formats", letter, word, rest, end)
			}
			at = len(word) + n + i + len(end)
			break
		}
	}
	i := strings.IndexByte(s[at:], '}')
	if i < 0 {
		return 0, cli.Usage("%%%c{%s has no closing brace; penstock help formats", letter, s)
	}
	return at + i + 1, nil
}

func closing(open string) string {
	if i := strings.Index("{[(", open); i >= 0 {
		return "}])"[i : i+1]
	}
	return open
}

// kcatText gives kcat's escapes the form that kgo knows: kcat has numbers in octal or
// decimal, and leaves any other character after a backslash as it is.
func kcatText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			b.WriteString(`\\`)
			break
		}
		switch c := s[i]; {
		case strings.IndexByte(`tnr\x`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= '0' && c <= '9':
			n := i
			for n < len(s) && n < i+4 && s[n] >= '0' && s[n] <= '9' {
				n++
			}
			v, err := strconv.ParseUint(s[i:n], 0, 16)
			for ; err != nil; v, err = strconv.ParseUint(s[i:n], 0, 16) { // \08 is \0 and an 8
				n--
			}
			fmt.Fprintf(&b, `\x%02x`, byte(v))
			i = n - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// formatter writes records as a layout says: stretches that kgo writes, and between them
// the letters whose meaning only kcat has.
type formatter struct{ parts []part }

type part func(b []byte, p *kgo.FetchPartition, r *kgo.Record) []byte

// newFormatter reads a format of consume. null is what stands for a null key or value,
// which is nothing unless -Z asks for it.
func newFormatter(format, null string) (*formatter, error) {
	l, err := parseLayout(format)
	if err != nil {
		return nil, err
	}
	f, stretch := &formatter{}, ""
	flush := func() error {
		if stretch == "" {
			return nil
		}
		k, err := kgo.NewRecordFormatter(stretch)
		if err != nil {
			return cli.Usage("the format %q: %w; penstock help formats", format, err)
		}
		f.parts, stretch = append(f.parts, k.AppendPartitionRecord), ""
		return nil
	}
	for _, t := range l.tokens {
		own, text := t.written(l.kcat, null)
		if stretch += text; own == nil {
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		f.parts = append(f.parts, own)
	}
	return f, flush()
}

// written is a token as kgo's formatter takes it, or what writes it.
func (t token) written(kcat bool, null string) (part, string) {
	switch {
	case t.letter == 0 && kcat:
		return nil, kcatText(t.text)
	case t.letter == 0 || t.braced:
		return nil, t.text
	case null != "" && t.letter == 'k':
		return orNull(key, null), ""
	case null != "" && (t.letter == 's' || t.letter == 'v'):
		return orNull(value, null), ""
	}
	switch t.letter {
	case 's':
		return nil, "%v"
	case 'S':
		return length(value), ""
	case 'R':
		return func(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
			return binary.BigEndian.AppendUint32(b, uint32(lengthOf(r.Value)))
		}, ""
	case 'h':
		return kcatHeaders, ""
	case 'K':
		if kcat {
			return length(key), ""
		}
	case 'T':
		if kcat {
			return nil, "%d"
		}
	}
	return nil, t.text
}

func key(r *kgo.Record) []byte   { return r.Key }
func value(r *kgo.Record) []byte { return r.Value }

// lengthOf is a length as kcat has it: -1 for null.
func lengthOf(b []byte) int32 {
	if b == nil {
		return -1
	}
	return int32(len(b))
}

func length(of func(*kgo.Record) []byte) part {
	return func(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
		return strconv.AppendInt(b, int64(lengthOf(of(r))), 10)
	}
}

func orNull(of func(*kgo.Record) []byte, null string) part {
	return func(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
		if v := of(r); v != nil {
			return append(b, v...)
		}
		return append(b, null...)
	}
}

// kcatHeaders writes all headers as kcat does: name=value, with commas between them.
func kcatHeaders(b []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, h.Key...), '=')
		if h.Value == nil {
			b = append(b, "NULL"...)
		}
		b = append(b, h.Value...)
	}
	return b
}

func (f *formatter) append(b []byte, p *kgo.FetchPartition, r *kgo.Record) []byte {
	for _, part := range f.parts {
		b = part(b, p, r)
	}
	return b
}

// readerLayout is a format of produce as kgo's reader takes it, and which letters it has.
func readerLayout(format string) (layoutOf string, has map[byte]bool, err error) {
	l, err := parseLayout(format)
	if err != nil {
		return "", nil, err
	}
	has = map[byte]bool{}
	var b strings.Builder
	for _, t := range l.tokens {
		text := t.text
		switch {
		case t.letter == 0 && l.kcat:
			text = kcatText(text)
		case t.braced:
		case t.letter == 's':
			text, t.letter = "%v", 'v'
		case t.letter == 'S':
			text = "%V"
		case t.letter == 'R':
			text = "%V{big32}"
		case t.letter == 'T' && l.kcat:
			text, t.letter = "%d", 'd'
		case t.letter == 'h':
			return "", nil, cli.Usage("%%h alone can only be written; headers are read with their number before them, as in %%H%%h{%%K%%k%%V%%v}; penstock help formats")
		}
		if t.letter != 0 {
			has[t.letter] = true
		}
		b.WriteString(text)
	}
	return b.String(), has, nil
}
