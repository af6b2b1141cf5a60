package records

import (
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// place says how a position is to be found in a partition.
type place int

const (
	atDefault  place = iota // nothing is said
	atStart                 // of what is kept
	atEnd                   // as it is when the question is asked
	atExact                 // n
	afterStart              // start + n
	beforeEnd               // end - n
	atTime                  // the first record not older than n, in ms since 1970
	afterBegin              // of the end of a range: n after its begin
	timeAfter               // of the end of a range: n ms after its begin, which is a time
)

// position is one end of a range.
type position struct {
	place place
	n     int64
}

// span is what -o asks for: every offset from begin on and below end. Without an end it
// goes on for ever.
type span struct{ begin, end position }

func (s span) bounded() bool { return s.end.place != atDefault }

// parseSpan reads the values of -o, which are those of kcat and of rpk. A time holds
// colons itself, so a colon divides a range where both sides of it can be read.
func parseSpan(v string, now time.Time) (span, error) {
	for kcat, ours := range map[string]string{"s@": "@", "e@": "@:"} {
		if rest, ok := strings.CutPrefix(v, kcat); ok {
			v = ours + rest
		}
	}
	if v == "stored" {
		return span{}, cli.Usage("-o stored: offsets are kept by groups; name one with -g, which goes on where it left off")
	}
	p, err := parsePosition(v, now)
	if err == nil {
		return span{begin: p}, nil
	}
	for i := range len(v) {
		if v[i] != ':' {
			continue
		}
		if s, ok := parseRange(v[:i], v[i+1:], now); ok {
			return s, s.check(v)
		}
	}
	if strings.Contains(v, ":") {
		return span{}, cli.Usage("-o %q is no range: it is FROM:TO, each of them %s (penstock help offsets)", v, cli.OffsetForms)
	}
	return span{}, err
}

// parseRange reads both sides of a range. After a time on the left, what stands on the
// right is a time too, or how long after it.
func parseRange(from, to string, now time.Time) (s span, ok bool) {
	if from == "@" { // rpk's @:TIME
		from, to = "", "@"+strings.TrimPrefix(to, "@")
	}
	if from == "" && to == "" {
		return s, false
	}
	var err error
	if from != "" {
		if s.begin, err = parsePosition(from, now); err != nil {
			return s, false
		}
	}
	timed := s.begin.place == atTime
	rest, plus := strings.CutPrefix(to, "+")
	switch {
	case to == "":
		return s, true
	case plus && !timed:
		n, err := strconv.ParseUint(rest, 10, 63)
		s.end = position{afterBegin, int64(n)}
		return s, err == nil
	case timed && to != "end" && to[0] != '@':
		if d, ok := parseDuration(rest, now); ok {
			s.end = position{timeAfter, d.Milliseconds()}
			return s, true
		}
		to = "@" + to
	}
	s.end, err = parsePosition(to, now)
	return s, err == nil
}

// check refuses a range that can hold nothing.
func (s span) check(v string) error {
	if s.begin.place == s.end.place && (s.begin.place == atTime || s.begin.place == atExact) && s.end.n < s.begin.n {
		return cli.Usage("-o %s ends before it begins", v)
	}
	return nil
}

// merge is what several -o say together, as kcat's s@ and e@ do.
func merge(spans []span) (s span, err error) {
	for _, one := range spans {
		if one.begin.place != atDefault && s.begin.place != atDefault || one.bounded() && s.bounded() {
			return s, cli.Usage("two -o say where to begin, or where to end; a range is FROM:TO (penstock help offsets)")
		}
		if one.begin.place != atDefault {
			s.begin = one.begin
		}
		if one.bounded() {
			s.end = one.end
		}
	}
	return s, nil
}

var places = map[cli.OffsetKind]place{cli.OffsetStart: atStart, cli.OffsetEnd: atEnd, cli.OffsetAt: atExact, cli.OffsetPlus: afterStart, cli.OffsetMinus: beforeEnd, cli.OffsetTime: atTime}

func parsePosition(v string, now time.Time) (position, error) {
	o, err := cli.ParseOffset(v, now)
	if o.Kind == cli.OffsetTime {
		o.N = max(o.Time.UnixMilli(), 0)
	}
	return position{places[o.Kind], o.N}, err
}

// parseDuration reads what may stand behind @- .
func parseDuration(v string, now time.Time) (time.Duration, bool) {
	o, err := cli.ParseOffset("@-"+v, now)
	return now.Sub(o.Time), err == nil
}
