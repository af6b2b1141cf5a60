package top

import (
	"fmt"
	"math"
	"strings"

	"github.com/penstock/penstock/bench/result"
)

// unknown stands where there is no number.
const unknown = "–"

// count, size and span write a number with three digits and its unit, close together so
// that columns can be narrow.
func count(v float64) string { return result.Count(math.Round(v*10) / 10) }

func size(v float64) string {
	if v == 0 {
		return "0"
	}
	return strings.ReplaceAll(result.Bytes(math.Round(v)), " ", "")
}

func span(seconds float64) string {
	return strings.ReplaceAll(result.Duration(seconds*1e9), " ", "")
}

func percent(v float64) string {
	if v > 0 && v < 0.0095 {
		return fmt.Sprintf("%.1f%%", 100*v)
	}
	return fmt.Sprintf("%.0f%%", 100*v)
}

// known writes a number that may not be there.
func known(v *float64, write func(float64) string) string {
	if v == nil {
		return unknown
	}
	return write(*v)
}

func p50(l Latency) string { return known(l.P50, span) }

// p99 has a > where the histogram has no bound that high.
func p99(l Latency) string {
	if l.Above {
		return ">" + known(l.P99, span)
	}
	return known(l.P99, span)
}

// age writes a time that has passed, in its two largest units.
func age(seconds float64) string {
	s := int64(seconds)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
