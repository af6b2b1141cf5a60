package records

import (
	"testing"
	"time"
)

var testNow = time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)

func TestOffsetsOfBothTools(t *testing.T) {
	now := testNow.UnixMilli()
	const hour, day = 3_600_000, 86_400_000
	day1 := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	none := position{}
	for v, want := range map[string]span{
		"start":                         {position{place: atStart}, none},
		"beginning":                     {position{place: atStart}, none},
		"end":                           {position{place: atEnd}, none},
		"42":                            {position{atExact, 42}, none},
		"42:":                           {position{atExact, 42}, none},
		"-10":                           {position{beforeEnd, 10}, none},
		"+5":                            {position{afterStart, 5}, none},
		":end":                          {none, position{place: atEnd}},
		":7":                            {none, position{atExact, 7}},
		"3:7":                           {position{atExact, 3}, position{atExact, 7}},
		"3:+7":                          {position{atExact, 3}, position{afterBegin, 7}},
		"-10:-5":                        {position{beforeEnd, 10}, position{beforeEnd, 5}},
		"@-1h":                          {position{atTime, now - hour}, none},
		"@-1h:end":                      {position{atTime, now - hour}, position{place: atEnd}},
		"@-48h:-24h":                    {position{atTime, now - 2*day}, position{atTime, now - day}},
		"@-2d:1d":                       {position{atTime, now - 2*day}, position{timeAfter, day}},
		"@-2d:+1d":                      {position{atTime, now - 2*day}, position{timeAfter, day}},
		"@:-1h":                         {none, position{atTime, now - hour}},
		"@:@-1h":                        {none, position{atTime, now - hour}},
		"@2026-01-01:@2026-01-02":       {position{atTime, day1}, position{atTime, day1 + day}},
		"@2026-01-01:2026-01-02":        {position{atTime, day1}, position{atTime, day1 + day}},
		"@2026-01-01T01:00:00Z":         {position{atTime, day1 + hour}, none},
		"@2026-01-01T01:00:@2026-01-02": {position{atTime, day1 + hour}, position{atTime, day1 + day}},
		"@2026-01-01T01:00:00Z:2026-01-01T02:00:00Z": {position{atTime, day1 + hour}, position{atTime, day1 + 2*hour}},
		"@1767225600":     {position{atTime, day1}, none},
		"@1767225600000":  {position{atTime, day1}, none},
		"s@1767225600000": {position{atTime, day1}, none},
		"e@1767225600000": {none, position{atTime, day1}},
	} {
		if got, err := parseSpan(v, testNow); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", v, got, err, want)
		}
	}
}

func TestOffsetsThatAreRefused(t *testing.T) {
	for _, v := range []string{"", ":", "x", "--5", "1:x", "@", "@x", "@-", "5:3", "@-1h:@-2h", "stored", "5:+x", "1:2:3", "@:", "+", "-", "@-1h:+", "1h"} {
		if got, err := parseSpan(v, testNow); err == nil {
			t.Errorf("%q is %v", v, got)
		}
	}
	for _, vs := range [][2]string{{"1", "2"}, {":1", ":2"}, {"1:2", ":3"}} {
		a, _ := parseSpan(vs[0], testNow)
		b, _ := parseSpan(vs[1], testNow)
		if got, err := merge([]span{a, b}); err == nil {
			t.Errorf("%v are %v", vs, got)
		}
	}
	a, _ := parseSpan("s@1767225600000", testNow)
	b, _ := parseSpan("e@1767225600001", testNow)
	if s, err := merge([]span{a, b}); err != nil || s.begin != a.begin || s.end != b.end {
		t.Errorf("s@ and e@ are %v (%v)", s, err)
	}
}

// FuzzSpan holds that no value of -o panics, that numbers stay as they are, and that a
// range is what its two sides are alone.
func FuzzSpan(f *testing.F) {
	for _, s := range []string{"-10", "@-1h:end", "@2026-01-01T01:00:00Z:2026-01-02", "1:+2", "@:5m", "e@1767225600000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		s, err := parseSpan(v, testNow)
		if err != nil {
			return
		}
		if s.begin.n < 0 || s.end.n < 0 {
			t.Fatalf("%q is %v", v, s)
		}
		if s.begin.place == atDefault && s.end.place == atDefault {
			t.Fatalf("%q says nothing", v)
		}
		if !s.bounded() {
			if two, err := parseSpan(v+":end", testNow); v[len(v)-1] != ':' && (err != nil || two.end.place != atEnd || two.begin != s.begin) {
				t.Fatalf("%q is %v, and with :end %v (%v)", v, s, two, err)
			}
		}
	})
}
