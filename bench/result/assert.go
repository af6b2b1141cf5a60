package result

import (
	"fmt"
	"strconv"
	"strings"
)

// Assertion is a bound on one metric, such as p99<5ms.
type Assertion struct {
	Text  string
	m     metric
	op    string
	bound float64
}

// Outcome is an assertion with what was found, as a result keeps it.
type Outcome struct {
	Text string `json:"assertion"`
	Held bool   `json:"held"`
	Got  string `json:"got"` // the metric's value, or why there is none
}

// Failure is an assertion that does not hold.
type Failure struct{ Outcome }

func (f Failure) Error() string { return fmt.Sprintf("%s does not hold: %s", f.Text, f.Got) }

// Operators of assertions; the longer of two that begin alike comes first.
var operators = []string{"<=", ">=", "==", "!=", "<", ">", "="}

// ParseAssertion reads METRIC OP VALUE. The metrics are records_per_second (or rate),
// bytes_per_second, errors, mean, max, percentiles such as p50, p999 (p99.9) or p99.9,
// cpu_per_gb, cpu_per_million and rss; produce., fetch. and e2e. before one choose what
// it is of, where a workload measures several.
func ParseAssertion(s string) (Assertion, error) {
	a := Assertion{Text: strings.TrimSpace(s)}
	fail := func(format string, args ...any) (Assertion, error) {
		return Assertion{}, fmt.Errorf("assertion %q: "+format, append([]any{a.Text}, args...)...)
	}
	at := strings.IndexAny(a.Text, "<>=!")
	if at < 0 {
		return fail("there is no comparison in it; write for example 'p99<5ms'")
	}
	for _, op := range operators {
		if strings.HasPrefix(a.Text[at:], op) {
			a.op = op
			break
		}
	}
	if a.op == "" {
		return fail("a comparison is one of %s", strings.Join(operators, " "))
	}
	var err error
	if a.m, err = parseMetric(strings.ToLower(strings.TrimSpace(a.Text[:at]))); err != nil {
		return fail("%w", err)
	}
	if a.bound, err = a.m.unit.parse(strings.TrimSpace(a.Text[at+len(a.op):])); err != nil {
		return fail("%w", err)
	}
	return a, nil
}

// unitNames are the suffixes of a bound, with their factors.
var unitNames = map[unit]map[string]float64{
	unitTime:      {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9},
	unitCount:     {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "/s": 1, "k/s": 1e3, "m/s": 1e6, "g/s": 1e9},
	unitBytesRate: {"": 1, "b/s": 1, "kb/s": 1e3, "mb/s": 1e6, "gb/s": 1e9, "kib/s": 1 << 10, "mib/s": 1 << 20, "gib/s": 1 << 30},
	unitCPU:       {"": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6},
	unitBytes:     {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30},
}

// unitExample shows how a bound is written.
var unitExample = map[unit]string{unitTime: "5ms (ns, us, ms, s)", unitCount: "1M (k, M, G)", unitBytesRate: "500MB/s (B/s, kB/s, MB/s, GB/s, MiB/s)", unitCPU: "0.5s (s, ms, us)", unitBytes: "512MB (kB, MB, GB, MiB, GiB)"}

// parse reads a number with its unit. A time needs one, except 0.
func (u unit) parse(s string) (float64, error) {
	digits := strings.IndexFunc(s, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	if digits < 0 {
		digits = len(s)
	}
	v, err := strconv.ParseFloat(s[:digits], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number with a unit, such as %s", s, unitExample[u])
	}
	name := strings.ToLower(strings.TrimSpace(s[digits:]))
	if f, ok := unitNames[u][name]; ok {
		return v * f, nil
	}
	if f, ok := unitNames[u][name+"/s"]; ok && u == unitBytesRate {
		return v * f, nil
	}
	switch {
	case name == "" && v == 0:
		return 0, nil
	case name == "":
		return 0, fmt.Errorf("%s has no unit: write for example %s", s, unitExample[u])
	}
	return 0, fmt.Errorf("%q is not a unit here: write for example %s", s[digits:], unitExample[u])
}

func (a Assertion) holds(v float64) bool {
	switch a.op {
	case "<":
		return v < a.bound
	case "<=":
		return v <= a.bound
	case ">":
		return v > a.bound
	case ">=":
		return v >= a.bound
	case "!=":
		return v != a.bound
	}
	return v == a.bound
}

// Check holds a finished result against assertions, keeps the outcomes in it, and returns
// those that do not hold. One whose metric was not measured does not hold.
func (r *Result) Check(as []Assertion) (failed []Failure) {
	r.Asserted = nil
	for _, a := range as {
		o := Outcome{Text: a.Text}
		if v, err := r.value(a.m); err != nil {
			o.Got = err.Error()
		} else {
			o.Held, o.Got = a.holds(v), fmt.Sprintf("%s is %s", a.m.key(), a.m.unit.format(v))
		}
		r.Asserted = append(r.Asserted, o)
		if !o.Held {
			failed = append(failed, Failure{o})
		}
	}
	return failed
}
