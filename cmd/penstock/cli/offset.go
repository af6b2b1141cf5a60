package cli

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// OffsetKind says what an Offset means.
type OffsetKind int

// What a person may say for an offset.
const (
	OffsetStart OffsetKind = iota // the log start
	OffsetEnd                     // the high watermark
	OffsetAt                      // Offset.N itself
	OffsetPlus                    // N after a place that the verb defines
	OffsetMinus                   // N before a place that the verb defines
	OffsetTime                    // the first record at or after Offset.Time
)

// Offset is a place in a partition, as a person says it.
type Offset struct {
	Kind OffsetKind
	N    int64     // never negative
	Time time.Time // of OffsetTime
}

// OffsetForms says what ParseOffset reads, for a flag's help and for errors.
const OffsetForms = "start, end, an offset, +N, -N, @-1h, @2026-11-25T13:00 or @unix-time"

// OffsetsHelp is the help topic on offsets.
const OffsetsHelp = `Wherever a verb takes an offset, these forms are understood:

  start             the oldest record that is kept (also: oldest, earliest, beginning)
  end               behind the newest record (also: newest, latest)
  42                the record with this offset
  +5  -10           so many records after or before a place: consume counts from the start
                    and from the end, group seek from what the group has committed
  @-1h              the first record at or after this time ago (ms, s, m, h, d; @-1d12h)
  @1764075600       the same for a time in seconds since 1970, or in milliseconds with 13 digits
  @2026-11-25       the same for a day, or with a time: @2026-11-25T13:00, @2026-11-25T13:00:05Z;
                    local time where no zone is said
  @-1h:end  10:20   from:to, where a verb takes a range; the last one is left out

Times are those of the records. Where no record is as young as the time, it means the end.
`

// ParseOffset reads one offset.
func ParseOffset(s string, now time.Time) (Offset, error) {
	switch strings.ToLower(s) {
	case "start", "oldest", "earliest", "beginning":
		return Offset{Kind: OffsetStart}, nil
	case "end", "newest", "latest":
		return Offset{Kind: OffsetEnd}, nil
	}
	if at, ok := strings.CutPrefix(s, "@"); ok {
		t, ok := parseTime(at, now)
		if !ok {
			return Offset{}, Usage("%q is not a time: say @-1h, @-2d, @2026-11-25, @2026-11-25T13:00 or @ with seconds since 1970", s)
		}
		return Offset{Kind: OffsetTime, Time: t}, nil
	}
	kind, digits := OffsetAt, s
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		kind, digits = OffsetPlus, rest
	} else if rest, ok := strings.CutPrefix(s, "-"); ok {
		kind, digits = OffsetMinus, rest
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return Offset{}, Usage("%q is not an offset: say %s (penstock help offsets)", s, OffsetForms)
	}
	return Offset{Kind: kind, N: int64(n)}, nil
}

// SplitRange cuts from:to at the colon that is not part of a time of the day; to is ""
// where there is none.
func SplitRange(s string) (from, to string) {
	now := time.Unix(0, 0)
	if _, err := ParseOffset(s, now); err == nil {
		return s, ""
	}
	for i := range len(s) {
		if s[i] != ':' {
			continue
		}
		_, e1 := ParseOffset(s[:i], now)
		_, e2 := ParseOffset(s[i+1:], now)
		if (e1 == nil || i == 0) && (e2 == nil || i == len(s)-1) {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func parseTime(s string, now time.Time) (time.Time, bool) {
	if ago, ok := strings.CutPrefix(s, "-"); ok {
		d, ok := parseDuration(ago)
		return now.Add(-d), ok
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		if len(s) >= 12 {
			return time.UnixMilli(n), true
		}
		return time.Unix(n, 0), true
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	for _, form := range []string{"2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseDuration is time.ParseDuration with days before the rest: 2d, 1d12h.
func parseDuration(s string) (time.Duration, bool) {
	var days int64
	if n, rest, ok := strings.Cut(s, "d"); ok {
		d, err := strconv.ParseInt(n, 10, 64)
		if err != nil || d < 0 || d > math.MaxInt64/int64(48*time.Hour) {
			return 0, false
		}
		if days, s = d, rest; s == "" {
			return time.Duration(days) * 24 * time.Hour, true
		}
	}
	d, err := time.ParseDuration(s)
	return time.Duration(days)*24*time.Hour + d, err == nil && d >= 0
}
