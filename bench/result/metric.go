package result

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/core"
)

// unit is what a figure counts in.
type unit int

const (
	unitTime      unit = iota // ns
	unitCount                 // records a second, errors
	unitBytesRate             // bytes a second
	unitCPU                   // CPU seconds per something
	unitBytes                 // bytes
)

func (u unit) format(v float64) string {
	switch u {
	case unitTime:
		return Duration(v)
	case unitBytesRate:
		return Bytes(v) + "/s"
	case unitCPU:
		return CPUTime(v)
	case unitBytes:
		return Bytes(v)
	}
	return Count(v)
}

// metric is one figure of a result that can be asserted and compared.
type metric struct {
	scope string // "", produce, fetch or e2e
	name  string // records_per_second, p99, …
	label string
	unit  unit
	more  bool // more is better
	q     float64
}

// key is how a metric is written: e2e.p99.
func (m metric) key() string {
	if m.scope == "" {
		return m.name
	}
	return m.scope + "." + m.name
}

var plainMetrics = []metric{
	{name: "records_per_second", label: "records per second", unit: unitCount, more: true},
	{name: "bytes_per_second", label: "bytes per second", unit: unitBytesRate, more: true},
	{name: "errors", label: "errors", unit: unitCount},
	{name: "mean", label: "mean latency", unit: unitTime},
	{name: "max", label: "longest latency", unit: unitTime},
	{name: "cpu_per_gb", label: "broker CPU per GB", unit: unitCPU},
	{name: "cpu_per_million", label: "broker CPU per million records", unit: unitCPU},
	{name: "rss", label: "broker resident memory", unit: unitBytes},
}

// scopes are the prefixes of a metric with the latency that each means.
var scopes = map[string]string{"produce": ProduceLatency, "fetch": FetchLatency, "e2e": EndToEndLatency}

// metricNames are those that an error lists.
var metricNames = []string{"p50", "p90", "p95", "p99", "p999", "p9999", "max", "mean", "errors", "rate", "records_per_second", "bytes_per_second", "cpu_per_gb", "cpu_per_million", "rss"}

// parseMetric reads p99, produce.p999, rate. Digits of a percentile after the second are
// decimals: p999 is p99.9.
func parseMetric(s string) (metric, error) {
	scope, name, dotted := strings.Cut(s, ".")
	if _, ok := scopes[scope]; !dotted || !ok && isQuantile(scope) {
		scope, name = "", s // p99.9 has no scope
	} else if !ok {
		return metric{}, fmt.Errorf("%q is not a prefix%s (produce, fetch and e2e are)", scope, core.DidYouMean(scope, []string{"produce", "fetch", "e2e"}))
	}
	if q, ok := quantileOf(name); ok {
		return metric{scope: scope, name: name, label: quantileName(q) + " latency", unit: unitTime, q: q}, nil
	}
	if name == "rate" {
		name = "records_per_second"
	}
	for _, m := range plainMetrics {
		if m.name != name {
			continue
		}
		if scope != "" && (m.unit == unitCPU || m.unit == unitBytes) {
			return metric{}, fmt.Errorf("%s is of the whole broker: write it without %s", name, scope+".")
		}
		m.scope = scope
		return m, nil
	}
	return metric{}, fmt.Errorf("there is no metric %q%s (there are %s)", name, core.DidYouMean(name, metricNames), strings.Join(metricNames, ", "))
}

func isQuantile(s string) bool { _, ok := quantileOf(s); return ok }

// quantileOf reads p50, p999 and p99.9 as a percentile.
func quantileOf(s string) (float64, bool) {
	digits, ok := strings.CutPrefix(s, "p")
	if !ok || len(digits) < 2 || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	if len(digits) > 2 && !strings.Contains(digits, ".") && digits != "100" {
		digits = digits[:2] + "." + digits[2:]
	}
	q, err := strconv.ParseFloat(digits, 64)
	return q, err == nil && q <= 100
}

// value looks a metric up; an error says why there is none.
func (r *Result) value(m metric) (float64, error) {
	flow, lat := r.mainFlow(), r.mainLatency()
	if m.scope != "" {
		flow = r.Consumed
		if m.scope == "produce" {
			flow = r.Produced
		}
		lat = r.latency(scopes[m.scope])
	}
	switch m.name {
	case "records_per_second":
		return flow.RecordsS, r.moves(m.scope)
	case "bytes_per_second":
		return flow.BytesS, r.moves(m.scope)
	case "errors":
		if m.scope == "" {
			return float64(r.Produced.Errors + r.Consumed.Errors), nil
		}
		return float64(flow.Errors), r.moves(m.scope)
	case "cpu_per_gb", "cpu_per_million":
		per := r.cpuPerGB
		if m.name == "cpu_per_million" {
			per = r.cpuPerMillion
		}
		v, ok := per()
		if !ok {
			return 0, r.noBroker("CPU")
		}
		return v, nil
	case "rss":
		if r.Broker == nil {
			return 0, r.noBroker("memory")
		}
		return float64(r.Broker.RSS), nil
	}
	return lat.value(m)
}

func (l *Latency) value(m metric) (float64, error) {
	switch {
	case l == nil && m.scope == "":
		return 0, fmt.Errorf("no latency was measured")
	case l == nil:
		return 0, fmt.Errorf("no %s latency was measured", scopes[m.scope])
	case l.N == 0:
		return 0, fmt.Errorf("nothing was measured of the %s latency", l.Name)
	case m.name == "mean":
		return l.Mean, nil
	case m.name == "max":
		return float64(l.Max), nil
	}
	return float64(l.Hist.ValueAtPercentile(m.q)), nil
}

// moves says whether the workload has the flow of a scope at all.
func (r *Result) moves(scope string) error {
	kind := r.Workload.Kind
	if scope == "produce" && kind == workload.Consume {
		return fmt.Errorf("a %s workload does not produce", kind)
	}
	if (scope == "fetch" || scope == "e2e") && kind == workload.Produce {
		return fmt.Errorf("a %s workload does not consume", kind)
	}
	return nil
}

func (r *Result) noBroker(what string) error {
	if r.Broker == nil {
		return fmt.Errorf("the broker's %s could not be seen: it runs on another machine, or its process was not found", what)
	}
	return fmt.Errorf("nothing was moved")
}
