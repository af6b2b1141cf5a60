package result

import (
	"fmt"
	"math"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// plots are the charts of one result, without those that have nothing to show.
func (r *Result) plots() (out []*chart) {
	for _, c := range []*chart{r.throughputPlot(), percentilePlot(r.curves()), r.latencyPlot(), r.coresPlot(), r.cpuPlot(), r.backlogPlot()} {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

const timeLabel = "seconds since the load began"

// times are the middles of the intervals, where their values are drawn.
func times(series []Second) (xs []float64) {
	for _, s := range series {
		xs = append(xs, s.At-s.Seconds/2)
	}
	return xs
}

// overTime is an empty chart over the series with the warm-up marked, and the hover's
// headings set.
func (r *Result) overTime(id, title string, y axis) *chart {
	last := r.Series[len(r.Series)-1].At
	c := newChart(id, title, timeAxis(0, last), y)
	c.XLabel = timeLabel
	for _, s := range r.Series {
		c.Hover.Head = append(c.Hover.Head, fmt.Sprintf("%.1f to %.1f s", s.At-s.Seconds, s.At))
	}
	if from, _ := r.measured(); from > 0 && r.Series[0].Warm {
		c.shade(0, from, "warm-up")
		c.XLabel += " (shaded: warm-up, not counted)"
	}
	return c
}

// values collects one value per interval.
func (r *Result) values(of func(s Second) float64) (ys []float64) {
	for _, s := range r.Series {
		ys = append(ys, of(s))
	}
	return ys
}

func top(lists ...[]float64) (v float64) {
	for _, ys := range lists {
		for _, y := range ys {
			if y > v {
				v = y
			}
		}
	}
	return v
}

func (r *Result) throughputPlot() *chart {
	if len(r.Series) == 0 {
		return nil
	}
	produced := r.values(func(s Second) float64 { return rate(s.Produced, s.Seconds) })
	consumed := r.values(func(s Second) float64 { return rate(s.Consumed, s.Seconds) })
	asked := float64(r.Workload.Rate)
	c := r.overTime("throughput", "Throughput", linear(top(produced, consumed, []float64{asked}), roundCount))
	c.YLabel = "records per second"
	xs := times(r.Series)
	text := func(n func(s Second) (int64, int64)) func(i int) string {
		return func(i int) string {
			records, size := n(r.Series[i])
			return fmt.Sprintf("%s/s, %s/s", Count(rate(records, r.Series[i].Seconds)), Bytes(rate(size, r.Series[i].Seconds)))
		}
	}
	if asked > 0 {
		c.Lines = append(c.Lines, line{Name: "rate asked for", Color: 7, Style: "dash", Path: c.path([]float64{c.x.min, c.x.max}, []float64{asked, asked})})
	}
	if top(produced) > 0 {
		c.add(line{Name: "produced", Color: 0, Style: "wide"}, xs, produced, text(func(s Second) (int64, int64) { return s.Produced, s.ProducedB }))
	}
	if top(consumed) > 0 {
		c.add(line{Name: "consumed", Color: 1}, xs, consumed, text(func(s Second) (int64, int64) { return s.Consumed, s.ConsumedB }))
	}
	return c
}

// latencyPlot is the main latency over time, on a log axis: a stall and the usual value
// are both seen.
func (r *Result) latencyPlot() *chart {
	l := r.mainLatency()
	if l == nil || len(r.Series) == 0 {
		return nil
	}
	kinds := []struct {
		name string
		of   func(s Second) int64
	}{
		{"p50", func(s Second) int64 { return s.P50 }},
		{"p99", func(s Second) int64 { return s.P99 }},
		{"p99.9", func(s Second) int64 { return s.P999 }},
		{"longest", func(s Second) int64 { return s.Max }},
	}
	var all [][]float64
	low := math.Inf(1)
	for _, k := range kinds {
		ys := r.values(func(s Second) float64 {
			v := float64(k.of(s))
			if v <= 0 {
				return math.NaN()
			}
			low = min(low, v)
			return v
		})
		all = append(all, ys)
	}
	if math.IsInf(low, 1) {
		return nil
	}
	c := r.overTime("latency", "Latency over time", latencyAxis(low, top(all...)))
	c.YLabel = l.Name + " latency by interval, log scale"
	for i, k := range kinds {
		c.add(line{Name: k.name, Color: i}, times(r.Series), all[i], func(j int) string { return Duration(all[i][j]) })
	}
	return c
}

// curve is one distribution to draw.
type curve struct {
	name  string
	color int
	style string
	hist  *hdrhistogram.Histogram
}

func (r *Result) curves() (out []curve) {
	for i, l := range r.Latencies {
		if l.N > 0 {
			out = append(out, curve{name: l.Name, color: i, hist: l.Hist})
		}
	}
	return out
}

// percentilePlot draws latency against percentile, each step to the right ten times
// rarer. A curve ends at its longest value, where one of its N samples is left.
func percentilePlot(curves []curve) *chart {
	var nines, hi float64
	lo := math.Inf(1)
	for _, k := range curves {
		nines = max(nines, lastNine(k.hist))
		lo, hi = min(lo, float64(k.hist.ValueAtPercentile(1))), max(hi, float64(k.hist.Max()))
	}
	if len(curves) == 0 {
		return nil
	}
	c := newChart("percentiles", "Latency by percentile", ninesAxis(nines), latencyAxis(lo, hi))
	c.XLabel, c.YLabel = "percentile (each step is ten times rarer)", "latency, log scale"
	const perNine = 40
	steps := int(math.Ceil(nines * perNine))
	var xs, qs []float64
	for i := range steps + 1 {
		x := min(float64(i)/perNine, nines)
		q := 100 * (1 - math.Pow(10, -x))
		xs, qs = append(xs, x), append(qs, q)
		c.Hover.Head = append(c.Hover.Head, quantileText(x))
	}
	for _, k := range curves {
		end := lastNine(k.hist)
		var ys []float64
		for i, v := range k.hist.ValueAtPercentilesSlice(qs) {
			switch {
			case xs[i] >= end && (i == 0 || xs[i-1] < end):
				ys = append(ys, float64(k.hist.Max()))
			case xs[i] > end:
				ys = append(ys, math.NaN())
			default:
				ys = append(ys, max(float64(v), lo))
			}
		}
		c.add(line{Name: k.name, Color: k.color, Style: k.style}, xs, ys, func(i int) string { return Duration(ys[i]) })
	}
	return c
}

// lastNine is where a curve ends on the axis of nines: at one sample of N.
func lastNine(h *hdrhistogram.Histogram) float64 {
	return math.Log10(max(float64(h.TotalCount()), 10))
}

// quantileText names a place on the axis of nines with as many digits as it needs.
func quantileText(nines float64) string {
	digits := max(1, int(math.Ceil(nines))-1)
	return strconv.FormatFloat(100*(1-math.Pow(10, -nines)), 'f', digits, 64) + " %"
}

func (r *Result) cpuPlot() *chart {
	load := r.values(func(s Second) float64 { return s.LoadCPU })
	broker := r.values(func(s Second) float64 { return s.BrokerCPU })
	if top(load, broker) == 0 {
		return nil
	}
	c := r.overTime("cpu", "CPU by process", linear(top(load, broker), roundCount))
	c.YLabel = "CPUs used"
	text := func(ys []float64) func(i int) string {
		return func(i int) string { return fmt.Sprintf("%.2f CPUs", ys[i]) }
	}
	if top(broker) > 0 {
		c.add(line{Name: "broker", Color: 0}, times(r.Series), broker, text(broker))
	}
	c.add(line{Name: "load", Color: 1}, times(r.Series), load, text(load))
	return c
}

func (r *Result) backlogPlot() *chart {
	ys := r.values(func(s Second) float64 { return float64(s.Backlog) })
	if top(ys) == 0 {
		return nil
	}
	c := r.overTime("backlog", "Backlog", linear(top(ys), roundCount))
	c.YLabel = "records due and not sent, or produced and not consumed"
	c.add(line{Name: "backlog", Color: 3}, times(r.Series), ys, func(i int) string { return plural(r.Series[i].Backlog, "record") })
	return c
}

// stripPoints is how many points a strip has at most; more are averaged.
const stripPoints = 600

// coresPlot is the busy share of each CPU of the machine over time, one strip each.
func (r *Result) coresPlot() *chart {
	n := 0
	for _, s := range r.Series {
		n = max(n, len(s.Cores))
	}
	if n == 0 {
		return nil
	}
	c := r.overTime("cores", "CPUs of the machine", linear(1, percent))
	c.YTicks = nil
	c.YLabel = "busy share, 0 to 100 % of each CPU, by whatever process"
	if c.StripHeight = 56; n > 4 {
		c.StripHeight = max(16, 240/n)
	}
	xs := times(r.Series)
	for i := range n {
		ys := r.values(func(s Second) float64 {
			if i < len(s.Cores) {
				return s.Cores[i]
			}
			return 0
		})
		x, y := thin(xs, ys, stripPoints)
		if len(x) == 1 { // all there is: as wide as it was long
			s := r.Series[0]
			x, y = []float64{s.At - s.Seconds, s.At}, []float64{y[0], y[0]}
		}
		path := c.path(x, y)
		path += "L" + coord(c.x.pos(x[len(x)-1])) + " 1000L" + coord(c.x.pos(x[0])) + " 1000Z"
		c.Strips = append(c.Strips, strip{Name: "cpu " + strconv.Itoa(i), Value: percent(r.meanBusy(i)), Path: path})
	}
	r.coresHover(c, xs, n)
	return c
}

// hoverCores is up to how many CPUs are named one by one under the pointer.
const hoverCores = 8

func (r *Result) coresHover(c *chart, xs []float64, n int) {
	for _, x := range xs {
		c.Hover.X = append(c.Hover.X, c.x.pos(x))
	}
	names := make([]string, 0, n)
	text := func(s Second) (out []string) {
		for i := range n {
			v := "–"
			if i < len(s.Cores) {
				v = percent(s.Cores[i])
			}
			out = append(out, v)
		}
		return out
	}
	if n <= hoverCores {
		for i := range n {
			names = append(names, "cpu "+strconv.Itoa(i))
		}
	} else {
		names = []string{"mean", "busiest"}
		text = meanAndBusiest
	}
	c.Hover.Names = names
	c.Hover.Text = make([][]string, len(names))
	c.Hover.Color = make([]int, len(names))
	for _, s := range r.Series {
		for i, t := range text(s) {
			c.Hover.Text[i] = append(c.Hover.Text[i], t)
		}
	}
}

func meanAndBusiest(s Second) []string {
	if len(s.Cores) == 0 {
		return []string{"–", "–"}
	}
	sum, at := 0.0, 0
	for i, v := range s.Cores {
		if sum += v; v > s.Cores[at] {
			at = i
		}
	}
	return []string{percent(sum / float64(len(s.Cores))), fmt.Sprintf("%s (cpu %d)", percent(s.Cores[at]), at)}
}

// meanBusy is the busy share of a CPU in the measured time.
func (r *Result) meanBusy(i int) float64 {
	var busy, time float64
	for _, s := range r.counted() {
		if i < len(s.Cores) {
			busy, time = busy+s.Cores[i]*s.Seconds, time+s.Seconds
		}
	}
	if time == 0 {
		return 0
	}
	return busy / time
}

// thin averages neighbours until at most so many points are left: right for busy shares,
// and for nothing that is a percentile.
func thin(xs, ys []float64, most int) (x, y []float64) {
	by := (len(xs) + most - 1) / most
	if by <= 1 {
		return xs, ys
	}
	for i := 0; i < len(xs); i += by {
		end := min(i+by, len(xs))
		var sx, sy float64
		for j := i; j < end; j++ {
			sx, sy = sx+xs[j], sy+ys[j]
		}
		x, y = append(x, sx/float64(end-i)), append(y, sy/float64(end-i))
	}
	return x, y
}
