package result

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Duration writes ns with three digits and the unit that fits: 1.23 ms.
func Duration(ns float64) string {
	switch {
	case ns <= 0:
		return "0"
	case ns < 999.5:
		return three(ns) + " ns"
	case ns < 999.5e3:
		return three(ns/1e3) + " µs"
	case ns < 999.5e6:
		return three(ns/1e6) + " ms"
	}
	return three(ns/1e9) + " s"
}

// Count writes a number with three digits and k, M or G: 1.02M. A small whole number is
// itself.
func Count(v float64) string {
	switch a := math.Abs(v); {
	case a < 1000 && a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', -1, 64)
	case a < 999.5:
		return three(v)
	case a < 999.5e3:
		return three(v/1e3) + "k"
	case a < 999.5e6:
		return three(v/1e6) + "M"
	}
	return three(v/1e9) + "G"
}

// roundCount writes a number that someone chose, without digits that say nothing: 50k.
func roundCount(v float64) string {
	s := Count(v)
	digits := strings.TrimRight(s, "kMG")
	if !strings.Contains(digits, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(digits, "0"), ".") + s[len(digits):]
}

// Bytes writes a size in decimal units: 1.02 GB.
func Bytes(v float64) string {
	switch a := math.Abs(v); {
	case a < 999.5:
		return three(v) + " B"
	case a < 999.5e3:
		return three(v/1e3) + " kB"
	case a < 999.5e6:
		return three(v/1e6) + " MB"
	}
	return three(v/1e9) + " GB"
}

// CPUTime writes CPU seconds: 0.52 s.
func CPUTime(s float64) string { return Duration(s * 1e9) }

func seconds(s float64) string { return strconv.FormatFloat(math.Round(s*10)/10, 'f', -1, 64) + " s" }

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

// three writes three significant digits and no exponent.
func three(v float64) string {
	a := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', min(9, 2-int(math.Floor(math.Log10(a*1.0005)))), 64)
}

// grouped writes a whole number with its digits in threes: 1,000,312.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && c != '-' && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return grouped(n) + " " + word + "s"
}

// quantileName is p50, p99.9.
func quantileName(q float64) string { return "p" + strconv.FormatFloat(q, 'f', -1, 64) }
