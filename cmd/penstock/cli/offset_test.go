package cli

import (
	"strings"
	"testing"
	"time"
)

func TestOffsets(t *testing.T) {
	now := time.Date(2026, 11, 25, 13, 0, 0, 0, time.UTC)
	for s, want := range map[string]Offset{
		"start":                     {Kind: OffsetStart},
		"earliest":                  {Kind: OffsetStart},
		"end":                       {Kind: OffsetEnd},
		"0":                         {Kind: OffsetAt},
		"42":                        {Kind: OffsetAt, N: 42},
		"+5":                        {Kind: OffsetPlus, N: 5},
		"-10":                       {Kind: OffsetMinus, N: 10},
		"@-1h":                      {Kind: OffsetTime, Time: now.Add(-time.Hour)},
		"@-2d":                      {Kind: OffsetTime, Time: now.Add(-48 * time.Hour)},
		"@-1d12h":                   {Kind: OffsetTime, Time: now.Add(-36 * time.Hour)},
		"@1764075600":               {Kind: OffsetTime, Time: time.Unix(1764075600, 0)},
		"@1764075600123":            {Kind: OffsetTime, Time: time.UnixMilli(1764075600123)},
		"@2026-11-25":               {Kind: OffsetTime, Time: now.Add(-13 * time.Hour)},
		"@2026-11-25T12:30":         {Kind: OffsetTime, Time: now.Add(-30 * time.Minute)},
		"@2026-11-25T12:30:05":      {Kind: OffsetTime, Time: now.Add(-30*time.Minute + 5*time.Second)},
		"@2026-11-25T12:30:00.5Z":   {Kind: OffsetTime, Time: now.Add(-30*time.Minute + time.Second/2)},
		"@2026-11-25T12:30+01:00":   {Kind: OffsetTime, Time: now.Add(-90 * time.Minute)},
		"9223372036854775807":       {Kind: OffsetAt, N: 1<<63 - 1},
		"@2026-11-25T12:30:05+0100": {Kind: -1},
		"9223372036854775808":       {Kind: -1},
		"":                          {Kind: -1},
		"-":                         {Kind: -1},
		"--1":                       {Kind: -1},
		"begin":                     {Kind: -1},
		"@":                         {Kind: -1},
		"@-":                        {Kind: -1},
		"@--1h":                     {Kind: -1},
		"@yesterday":                {Kind: -1},
		"@-999999999999d":           {Kind: -1},
	} {
		got, err := ParseOffset(s, now)
		if want.Kind < 0 {
			if err == nil || ExitCode(err) != ExitUsage {
				t.Errorf("%q: %+v, %v", s, got, err)
			}
			continue
		}
		if err != nil || got.Kind != want.Kind || got.N != want.N || !got.Time.Equal(want.Time) {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
}

func TestRanges(t *testing.T) {
	for s, want := range map[string]string{
		"@-1h:end":                             "@-1h end",
		"10:20":                                "10 20",
		"start":                                "start ",
		":end":                                 " end",
		"10:":                                  "10 ",
		"@2026-11-25T12:30":                    "@2026-11-25T12:30 ",
		"@2026-11-25T12:30:45":                 "@2026-11-25T12:30:45 ",
		"@2026-11-25T12:30:end":                "@2026-11-25T12:30 end",
		"@2026-11-25T12:30:05:@-1h":            "@2026-11-25T12:30:05 @-1h",
		"@2026-11-25T12:30:@2026-11-25T12:45Z": "@2026-11-25T12:30 @2026-11-25T12:45Z",
		"@-2h:@-1h":                            "@-2h @-1h",
	} {
		from, to := SplitRange(s)
		if got := strings.Join([]string{from, to}, " "); got != want {
			t.Errorf("%q: %q; want %q", s, got, want)
		}
	}
}
