package result

import (
	"bytes"
	"maps"
	"strconv"
)

// ombQuantiles are the percentiles of OpenMessaging Benchmark, by the ends of the names
// of its fields.
var ombQuantiles = []struct {
	name string
	q    float64
}{{"50pct", 50}, {"75pct", 75}, {"95pct", 95}, {"99pct", 99}, {"999pct", 99.9}, {"9999pct", 99.99}, {"99999pct", 99.999}, {"Max", 100}}

// writeOMB writes the result under the names of OpenMessaging Benchmark's TestResult, all of
// them, so that it stands beside published ones and its chart scripts read it. Latencies
// are ms. An interval here is about a second and there ten. As there, what was not part of
// the run is 0. So is the delay of a publish, for it is in the publish latency, which
// counts from the intended send time. Percentiles of an interval that the result does not
// hold are an empty list, and never made up.
func (r *Result) writeOMB(b *bytes.Buffer) error {
	w := &r.Workload
	topics := max(w.Topics, 1)
	out := map[string]any{
		"workload":          r.title(),
		"driver":            r.Target.Software,
		"messageSize":       w.RecordSize,
		"topics":            topics,
		"partitions":        w.Partitions,
		"producersPerTopic": w.Producers / topics,
		"consumersPerTopic": w.Consumers / topics,
	}
	publish, errors, consume, backlog := []float64{}, []float64{}, []float64{}, []int64{}
	for _, s := range r.counted() {
		publish = append(publish, rate(s.Produced, s.Seconds))
		errors = append(errors, rate(s.Errors, s.Seconds))
		consume = append(consume, rate(s.Consumed, s.Seconds))
		backlog = append(backlog, s.Backlog)
	}
	out["publishRate"], out["publishErrorRate"], out["consumeRate"], out["backlog"] = publish, errors, consume, backlog
	for _, f := range []struct{ series, whole, latency string }{
		{"publishLatency", "aggregatedPublishLatency", ProduceLatency},
		{"endToEndLatency", "aggregatedEndToEndLatency", EndToEndLatency},
	} {
		l := r.latency(f.latency)
		if l == nil {
			maps.Copy(out, ombNothing(f.series, f.whole, len(publish)))
			continue
		}
		maps.Copy(out, l.ombWhole(f.whole))
		maps.Copy(out, r.ombSeries(l, f.series))
	}
	maps.Copy(out, ombNothing("publishDelayLatency", "aggregatedPublishDelayLatency", len(publish)))
	return writeIndented(b, out)
}

// ombNothing is a latency that was not measured, in so many intervals.
func ombNothing(series, whole string, n int) map[string]any {
	out := map[string]any{whole + "Avg": 0, series + "Avg": make([]float64, n), whole + "Quantiles": map[string]float64{"100": 0}}
	for _, q := range ombQuantiles {
		out[whole+q.name], out[series+q.name] = 0, make([]float64, n)
	}
	return out
}

func ms(ns float64) float64 { return ns / 1e6 }

func (l *Latency) ombWhole(name string) map[string]any {
	out := map[string]any{name + "Avg": ms(l.Mean)}
	for _, q := range ombQuantiles {
		out[name+q.name] = ms(float64(l.Hist.ValueAtPercentile(q.q)))
	}
	curve := map[string]float64{}
	for _, c := range l.Hist.CumulativeDistributionWithTicks(100) {
		curve[strconv.FormatFloat(c.Quantile, 'f', -1, 64)] = ms(float64(c.ValueAt))
	}
	out[name+"Quantiles"] = curve
	return out
}

// ombSeries are the percentiles by interval: all of them from interval histograms, else
// those that the series holds of the main latency.
func (r *Result) ombSeries(l *Latency, name string) map[string]any {
	lists := map[string][]float64{name + "Avg": {}}
	for _, q := range ombQuantiles {
		lists[name+q.name] = []float64{}
	}
	add := func(field string, ns float64) { lists[name+field] = append(lists[name+field], ms(ns)) }
	for _, h := range l.Intervals {
		add("Avg", h.Mean())
		for _, q := range ombQuantiles {
			add(q.name, float64(h.ValueAtPercentile(q.q)))
		}
	}
	if len(l.Intervals) == 0 && l == r.mainLatency() {
		for _, s := range r.counted() {
			add("50pct", float64(s.P50))
			add("99pct", float64(s.P99))
			add("999pct", float64(s.P999))
			add("Max", float64(s.Max))
		}
	}
	out := map[string]any{}
	for k, v := range lists {
		out[k] = v
	}
	return out
}

// counted are the intervals of the measured time.
func (r *Result) counted() (out []Second) {
	for _, s := range r.Series {
		if !s.Warm {
			out = append(out, s)
		}
	}
	return out
}

func rate(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}
