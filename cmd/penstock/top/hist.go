package top

import (
	"slices"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// Latency is what a histogram gained between two samples. The percentiles are seconds,
// interpolated between the bounds of the bucket that they fall into; they are null when
// nothing happened, or when the two cannot be compared.
type Latency struct {
	Count int64    `json:"count"`
	P50   *float64 `json:"p50_seconds"`
	P99   *float64 `json:"p99_seconds"`
	// Above says that p99 is in the bucket that has no upper bound: what is given is the
	// largest bound, and the truth is more.
	Above bool `json:"p99_above_last_bound,omitempty"`
}

// gain is what b has beyond a, bucket by bucket; ok is false when b does not follow a.
func gain(a, b status.Hist) (status.Hist, bool) {
	if !slices.Equal(a.Bounds, b.Bounds) || len(a.Counts) != len(b.Counts) || len(b.Counts) != len(b.Bounds)+1 {
		return status.Hist{}, false
	}
	out := status.Hist{Bounds: b.Bounds, Counts: make([]int64, len(b.Counts)), Sum: b.Sum - a.Sum}
	for i := range b.Counts {
		if out.Counts[i] = b.Counts[i] - a.Counts[i]; out.Counts[i] < 0 {
			return status.Hist{}, false
		}
	}
	return out, true
}

// merge adds the counts of histograms; those with other bounds than the first are left
// out, which cannot be within one broker.
func merge(all []status.Hist) (out status.Hist) {
	for _, h := range all {
		if len(out.Counts) == 0 {
			out = status.Hist{Bounds: h.Bounds, Counts: slices.Clone(h.Counts), Sum: h.Sum}
			continue
		}
		if !slices.Equal(out.Bounds, h.Bounds) {
			continue
		}
		for i, n := range h.Counts {
			out.Counts[i] += n
		}
		out.Sum += h.Sum
	}
	return out
}

func latency(h status.Hist) (l Latency) {
	for _, n := range h.Counts {
		l.Count += n
	}
	if l.Count == 0 || len(h.Bounds) == 0 {
		return l
	}
	p50, _ := quantile(h, l.Count, 0.50)
	p99, above := quantile(h, l.Count, 0.99)
	return Latency{Count: l.Count, P50: &p50, P99: &p99, Above: above}
}

// quantile assumes that what is in a bucket is spread evenly over it.
func quantile(h status.Hist, total int64, q float64) (seconds float64, above bool) {
	rank := q * float64(total)
	below := 0.0
	for i, n := range h.Counts {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		if i == len(h.Bounds) {
			break
		}
		low := 0.0
		if i > 0 {
			low = h.Bounds[i-1]
		}
		return low + (h.Bounds[i]-low)*(rank-below)/float64(n), false
	}
	return h.Bounds[len(h.Bounds)-1], true
}
