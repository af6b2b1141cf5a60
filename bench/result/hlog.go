package result

import (
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// writeLog writes the histograms in HdrHistogram's log format 1.3, tagged by the name of
// the latency: one line per interval where the run kept them, else one for all of it.
// Values are ns; the writer states the longest of an interval in ms, as the format wants.
func (r *Result) writeLog(w io.Writer) error {
	lw := hdrhistogram.NewHistogramLogWriter(w)
	start := r.Started.UnixMilli()
	for _, err := range []error{
		lw.OutputComment("[" + strings.NewReplacer("\n", " ", "\r", " ").Replace(strings.Join(r.Command, " ")) + "]"),
		lw.OutputLogFormatVersion(),
		lw.OutputStartTime(start),
		lw.OutputLegend(),
	} {
		if err != nil {
			return err
		}
	}
	for _, l := range r.Latencies {
		parts := l.Intervals
		if len(parts) == 0 {
			h := l.Hist.Clone()
			from, to := r.measured()
			h.SetStartTimeMs(start + int64(from*1e3))
			h.SetEndTimeMs(start + int64(to*1e3))
			parts = []*hdrhistogram.Histogram{h}
		}
		for _, h := range parts {
			h.SetTag(strings.ReplaceAll(l.Name, " ", "-"))
			if err := lw.OutputIntervalHistogram(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// measured is the time that counts, in seconds since the load began.
func (r *Result) measured() (from, to float64) {
	from = time.Duration(r.Workload.Warmup).Seconds()
	for _, s := range r.Series {
		if s.Warm {
			from = s.At
		}
	}
	return from, from + r.Seconds
}
