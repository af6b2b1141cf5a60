package result

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/workload"
)

// quantiles are the percentiles of the tables.
var quantiles = []float64{50, 75, 90, 95, 99, 99.9, 99.99, 99.999}

// Finish computes all that follows from what was measured: percentiles from the merged
// histograms, their encoded form, and the notes that the figures themselves call for.
// Finishing twice changes nothing.
func (r *Result) Finish() error {
	r.Schema = Schema
	for i := range r.Latencies {
		if err := r.Latencies[i].finish(); err != nil {
			return err
		}
	}
	known := map[string]bool{}
	for _, n := range r.Notes {
		known[n] = true
	}
	for _, n := range r.warnings() {
		if !known[n] {
			r.Notes = append(r.Notes, n)
		}
	}
	return nil
}

func (l *Latency) finish() error {
	h := l.Hist
	if h == nil {
		return fmt.Errorf("the %s latency has no histogram", l.Name)
	}
	v := h.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9, 99.99})
	l.P50, l.P90, l.P99, l.P999, l.P4 = v[0], v[1], v[2], v[3], v[4]
	l.Max, l.Mean, l.N = h.Max(), h.Mean(), h.TotalCount()
	data, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return fmt.Errorf("encode the histogram of the %s latency: %w", l.Name, err)
	}
	l.Data = string(data)
	return nil
}

// Bounds beyond which a figure needs a note.
const (
	busyMax    = 0.85 // share of its CPUs from which a load is taken for the bottleneck
	machineMax = 0.95 // share of a machine that load and broker use together
	othersMax  = 0.10 // share of a machine that other processes may use
	rateMin    = 0.99 // share of the rate asked for that counts as reached
)

// warnings are what the figures say about themselves.
func (r *Result) warnings() (out []string) {
	note := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.Interrupted {
		note("The run was interrupted: it measured %s of the %s asked for.", seconds(r.Seconds), seconds(time.Duration(r.Workload.Duration).Seconds()))
	}
	if share := r.loadShare(); share > busyMax {
		note("The client was near its limit: it used %.0f %% of its CPUs, so the figures may be the client's and not the broker's.", 100*share)
	} else if n := r.lanes(); n > 0 && n < r.Machine.CPUs && r.Load.CPUSeconds > busyMax*float64(n)*r.Seconds {
		note("The client was near its limit: it has %s, which keep no more than so many CPUs busy, and used %.0f %% of that, so the figures may be the client's and not the broker's: give it more producers or consumers.",
			plural(int64(n), "connection"), 100*r.Load.CPUSeconds/(float64(n)*r.Seconds))
	}
	if r.SameHost {
		if r.Broker != nil && r.Broker.CPUShare+r.Load.CPUShare > machineMax {
			note("Load and broker shared one machine and used %.0f %% of it together: each slowed the other.", 100*(r.Broker.CPUShare+r.Load.CPUShare))
		} else {
			note("Load and broker shared one machine: no network lies between them, and they compete for its CPUs and caches.")
		}
	}
	if share := r.othersShare(); share > othersMax {
		note("Other processes used %.0f %% of the machine meanwhile: load and broker had to wait for CPUs, and the figures are not those of a quiet machine.", 100*share)
	}
	if w := &r.Workload; w.Open() {
		if got := r.mainFlow(); got.RecordsS < rateMin*float64(w.Rate) {
			note("The rate was not reached: %s of %s records a second (%.1f %%). Latency counts from the intended send time, so it holds the wait.", Count(got.RecordsS), roundCount(float64(w.Rate)), 100*got.RecordsS/float64(w.Rate))
		}
	}
	if n := r.Produced.Errors + r.Consumed.Errors; n > 0 {
		note("%s failed and are not in the latencies.", plural(n, "request"))
	}
	for _, l := range r.Latencies {
		if l.N == 0 {
			note("Nothing was measured of the %s latency.", l.Name)
		}
	}
	return out
}

// loadShare is the busy share of the CPUs that the load may use.
func (r *Result) loadShare() float64 {
	share := r.Load.CPUShare
	if n := float64(r.Machine.CPUs) * r.Seconds; n > 0 {
		share = max(share, r.Load.CPUSeconds/n)
	}
	return share
}

// lanes is how many connections make the load, each with one goroutine; 0 is not known.
// franz-go's clients, and producers with a rate, have more goroutines than connections.
func (r *Result) lanes() int {
	w := &r.Workload
	if w.Client != workload.Wire || w.Open() {
		return 0
	}
	return (w.Producers + w.Consumers) * max(r.Target.Nodes, 1)
}

// othersShare is the busy share of the machine that neither load nor broker explain, 0
// where one of the three is not known.
func (r *Result) othersShare() float64 {
	n := 0
	for _, s := range r.counted() {
		n = max(n, len(s.Cores))
	}
	if n == 0 || r.Broker == nil || !r.SameHost || r.Seconds <= 0 {
		return 0
	}
	var busy float64
	for i := range n {
		busy += r.meanBusy(i)
	}
	return (busy - (r.Load.CPUSeconds+r.Broker.CPUSeconds)/r.Seconds) / float64(n)
}

// latency finds one by name, nil if it was not measured.
func (r *Result) latency(name string) *Latency {
	for i := range r.Latencies {
		if r.Latencies[i].Name == name {
			return &r.Latencies[i]
		}
	}
	return nil
}

// mainLatency is the one that the series shows: end to end, else produce, else fetch.
func (r *Result) mainLatency() *Latency {
	for _, name := range []string{EndToEndLatency, ProduceLatency, FetchLatency} {
		if l := r.latency(name); l != nil {
			return l
		}
	}
	return nil
}

// mainFlow is the flow that the workload is about: what arrived if it reads or measures
// end to end, else what was acknowledged.
func (r *Result) mainFlow() Flow {
	if r.Workload.Kind == workload.Consume || r.Workload.Kind == workload.EndToEnd {
		return r.Consumed
	}
	return r.Produced
}

// cpuPer is the broker's CPU seconds per unit of what it moved, in and out; ok is false
// where its CPU could not be seen or nothing moved.
func (r *Result) cpuPer(in, out int64, unit float64) (v float64, ok bool) {
	if r.Broker == nil || in+out == 0 {
		return 0, false
	}
	return r.Broker.CPUSeconds / (float64(in+out) / unit), true
}

func (r *Result) cpuPerGB() (float64, bool) { return r.cpuPer(r.Produced.Bytes, r.Consumed.Bytes, 1e9) }

func (r *Result) cpuPerMillion() (float64, bool) {
	return r.cpuPer(r.Produced.Records, r.Consumed.Records, 1e6)
}

// merged is the sum of histograms. Percentiles of several runs or cores are read from it
// and never averaged.
func merged(hs []*hdrhistogram.Histogram) *hdrhistogram.Histogram {
	out := hdrhistogram.New(hs[0].LowestTrackableValue(), highest(hs), int(hs[0].SignificantFigures()))
	for _, h := range hs {
		out.Merge(h)
	}
	return out
}

func highest(hs []*hdrhistogram.Histogram) (v int64) {
	for _, h := range hs {
		v = max(v, h.HighestTrackableValue())
	}
	return v
}
