package result

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/workload"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files again")

// golden holds text against a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -rewrite writes it; then read the diff):\n%s", path, got)
	}
}

func short() shape {
	s := aRun
	s.warm, s.length, s.cores = 1, 3, 2
	return s
}

func encode(t *testing.T, r *Result, kind string) []byte {
	t.Helper()
	b, err := r.Encode(kind)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJSONReadsBackToTheSame(t *testing.T) {
	r := aRun.run(t)
	r.Check(assertions(t, "p99<5ms", "rss<1GB"))
	r.Notes = append(r.Notes, "a <note> & more")
	paths, err := r.Save(t.TempDir(), "json")
	if err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(paths[0]); got != "2026-11-25T10-02-11.000-e2e.json" {
		t.Errorf("the file is named %s", got)
	}
	back, err := Load(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Latencies {
		a, b := &r.Latencies[i], &back.Latencies[i]
		if !a.Hist.Equals(b.Hist) {
			t.Errorf("the histogram of %s is another", a.Name)
		}
		a.Hist, b.Hist, a.Intervals = nil, nil, nil
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("read back:\n%+v\nwritten:\n%+v", back, r)
	}
}

func TestLoadRefusesWhatIsNoResult(t *testing.T) {
	good := encode(t, short().run(t), "json")
	for name, c := range map[string]struct{ text, want string }{
		"other JSON":       {`{"a": 1}`, `no "schema"`},
		"a later version":  {`{"schema": 99}`, "schema is 99"},
		"an unknown field": {`{"schema": 1, "laod": {}}`, "laod"},
		"no JSON":          {"hello", "not a result"},
		"a torn histogram": {strings.Replace(string(good), `"histogram": "HISTF`, `"histogram": "XX`, 1), "histogram of its produce latency"},
	} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want the path and %q", name, err, c.want)
		}
	}
}

// Percentiles come of one merged histogram: neither the mean nor the largest of those of
// the parts, but what all the values together say.
func TestPercentilesAreMergedAndNeverAveraged(t *testing.T) {
	var all []int64
	var parts []*hdrhistogram.Histogram
	for core := range 4 {
		h := histogram()
		n := 1000
		if core == 3 {
			n = 60 // a core with few requests, and slow ones
		}
		for i := range n {
			v := int64(1_000_000 + 500*i)
			if core == 3 {
				v = int64(200_000_000 + 1_000_000*i)
			}
			all = append(all, v)
			if err := h.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		parts = append(parts, h)
	}
	slices.Sort(all)
	r := &Result{Latencies: []Latency{{Name: ProduceLatency, Hist: merged(parts)}}}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	l := r.Latencies[0]
	for q, got := range map[float64]int64{50: l.P50, 90: l.P90, 99: l.P99, 99.9: l.P999} {
		want := all[int(math.Ceil(q/100*float64(len(all))))-1]
		if off := math.Abs(float64(got-want)) / float64(want); off > 0.005 {
			t.Errorf("p%v is %d; of all values it is %d", q, got, want)
		}
		var mean float64
		for _, p := range parts {
			mean += float64(p.ValueAtPercentile(q)) / float64(len(parts))
		}
		if math.Abs(mean-float64(want))/float64(want) < 0.05 {
			t.Errorf("p%v: the mean of the parts, %.0f, is as near: the test proves nothing", q, mean)
		}
	}
	if l.N != int64(len(all)) || l.Max < all[len(all)-1] || float64(l.Max) > 1.001*float64(all[len(all)-1]) {
		t.Errorf("count %d, longest %d", l.N, l.Max)
	}
}

func TestFinishSaysWhatTheFiguresShow(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Result)
		want   string // "": no note at all
	}{
		"nothing":        {func(r *Result) {}, ""},
		"a busy client":  {func(r *Result) { r.Load.CPUShare = 0.9 }, "client was near its limit: it used 90 %"},
		"a confined one": {func(r *Result) { r.Load.CPUSeconds = 0.99 * float64(r.Machine.CPUs) * r.Seconds }, "client was near its limit: it used 99 %"},
		"one busy connection": {func(r *Result) {
			r.Workload.Client, r.Workload.Rate, r.Workload.Producers, r.Workload.Consumers, r.Target.Nodes = workload.Wire, 0, 1, 0, 1
			r.Machine.CPUs, r.Load.CPUShare, r.Load.CPUSeconds = 8, 0.12, 0.96*r.Seconds
		}, "it has 1 connection, which keep no more than so many CPUs busy, and used 96 %"},
		"one idle connection": {func(r *Result) {
			r.Workload.Client, r.Workload.Rate, r.Workload.Producers, r.Workload.Consumers, r.Target.Nodes = workload.Wire, 0, 1, 0, 1
			r.Machine.CPUs, r.Load.CPUShare, r.Load.CPUSeconds = 8, 0.08, 0.6*r.Seconds
		}, ""},
		"one machine":      {func(r *Result) { r.SameHost = true }, "compete for its CPUs"},
		"one full machine": {func(r *Result) { r.SameHost, r.Broker.CPUShare, r.Load.CPUShare = true, 0.5, 0.49 }, "used 99 % of it together"},
		"a noisy machine": {func(r *Result) {
			r.SameHost = true
			for i := range r.Series {
				r.Series[i].Cores = []float64{1, 0.9, 0.9, 0.72} // load and broker use 1.12 of the 3.52
			}
		}, "Other processes used 60 % of the machine"},
		"a missed rate":   {func(r *Result) { r.Consumed.RecordsS = 150_000 }, "150k of 200k records a second (75.0 %)"},
		"errors":          {func(r *Result) { r.Produced.Errors = 1 }, "1 request failed"},
		"an interruption": {func(r *Result) { r.Interrupted, r.Seconds = true, 7 }, "measured 7 s of the 20 s"},
		"silence":         {func(r *Result) { r.Latencies[0].Hist.Reset() }, "Nothing was measured of the produce latency"},
	} {
		r := aRun.run(t)
		r.SameHost, r.Notes = false, nil
		c.change(r)
		for range 2 { // finishing twice adds nothing
			if err := r.Finish(); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.Join(r.Notes, "\n")
		more := 0
		if name == "a noisy machine" { // is one machine too
			more = 1
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Count(got, "\n") != more {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
	if err := (&Result{Latencies: []Latency{{Name: "produce"}}}).Finish(); err == nil {
		t.Error("a latency without a histogram was finished")
	}
}

func TestLogReadsBack(t *testing.T) {
	r := short().run(t)
	for _, intervals := range []int{3, 1} {
		if intervals == 1 {
			r.Latencies[0].Intervals, r.Latencies[1].Intervals = nil, nil
		}
		b := encode(t, r, "hlog")
		if !strings.HasPrefix(string(b), "#[penstock bench e2e") || !strings.Contains(string(b), "Histogram log format version 1.3") {
			t.Errorf("the head is %.80q", b)
		}
		read := hdrhistogram.NewHistogramLogReader(bytes.NewReader(b))
		count := map[string]int{}
		sums := map[string]*hdrhistogram.Histogram{"produce": histogram(), "end-to-end": histogram()}
		for {
			h, err := read.NextIntervalHistogram()
			if err != nil {
				t.Fatal(err)
			}
			if h == nil {
				break
			}
			if n := count[h.Tag()]; h.StartTimeMs() != r.Started.UnixMilli()+int64(1+n)*1000 || h.EndTimeMs() != r.Started.UnixMilli()+int64(1+n)*1000+int64(3000/intervals) {
				t.Errorf("interval %d of %s is from %d to %d", n, h.Tag(), h.StartTimeMs(), h.EndTimeMs())
			}
			count[h.Tag()]++
			sums[h.Tag()].Merge(h)
		}
		for i, tag := range []string{"produce", "end-to-end"} {
			if count[tag] != intervals || !sums[tag].Equals(r.Latencies[i].Hist) {
				t.Errorf("%s: %d intervals, want %d; together they are the whole: %v", tag, count[tag], intervals, sums[tag].Equals(r.Latencies[i].Hist))
			}
		}
	}
}

func TestCSVOfTheSeries(t *testing.T) {
	b := encode(t, short().run(t), "csv")
	golden(t, "series.csv", b)
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != 5 || len(rows[0]) != 17 {
		t.Errorf("%d rows: %v", len(rows), err)
	}
}

// The fields are those of OpenMessaging Benchmark's class TestResult, no more and no fewer:
// its chart scripts take each by its name, whatever the workload was.
func TestOpenMessagingResultHasEveryField(t *testing.T) {
	want := strings.Fields("workload driver messageSize topics partitions producersPerTopic consumersPerTopic publishRate publishErrorRate consumeRate backlog")
	for _, name := range []string{"publishLatency", "publishDelayLatency", "endToEndLatency"} {
		whole := "aggregated" + strings.ToUpper(name[:1]) + name[1:]
		want = append(want, whole+"Quantiles")
		for _, end := range strings.Fields("Avg 50pct 75pct 95pct 99pct 999pct 9999pct 99999pct Max") {
			want = append(want, name+end, whole+end)
		}
	}
	slices.Sort(want)
	for kind, latency := range map[string]string{workload.Produce: ProduceLatency, workload.Consume: FetchLatency, workload.EndToEnd: EndToEndLatency} {
		r := short().run(t)
		r.Workload.Kind, r.Latencies = kind, r.Latencies[:1]
		r.Latencies[0].Name = latency
		var m map[string]any
		if err := json.Unmarshal(encode(t, r, "omb"), &m); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(keys(m)); !slices.Equal(got, want) {
			t.Errorf("%s: the fields are\n%v\nwant\n%v", kind, got, want)
		}
		for name, v := range m {
			if v == nil {
				t.Errorf("%s: %s is null", kind, name)
			}
		}
	}
}

func TestOpenMessagingResult(t *testing.T) {
	r := short().run(t)
	read := func() (m map[string]any) {
		if err := json.Unmarshal(encode(t, r, "omb"), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := read()
	q := m["aggregatedPublishLatencyQuantiles"].(map[string]any)
	if len(q) < 50 || q["100"] == nil || q["0"] == nil {
		t.Errorf("the quantiles go by %d percents", len(q))
	}
	if got, want := m["aggregatedPublishLatency99pct"], float64(r.Latencies[0].P99)/1e6; got != want {
		t.Errorf("p99 is %v ms; want %v", got, want)
	}
	m["aggregatedPublishLatencyQuantiles"], m["aggregatedEndToEndLatencyQuantiles"] = "checked above", "the same"
	var b bytes.Buffer
	if err := writeIndented(&b, m); err != nil {
		t.Fatal(err)
	}
	golden(t, "omb.json", b.Bytes())
	for i := range r.Latencies { // as read from a file
		r.Latencies[i].Intervals = nil
	}
	m = read()
	n := func(field string) int { return len(m[field].([]any)) }
	if n("endToEndLatency99pct") == 0 || n("endToEndLatency75pct") != 0 || n("publishLatency99pct") != 0 || n("publishDelayLatency99pct") != n("publishRate") {
		t.Errorf("without intervals only what the series holds may be there: %v", slices.Sorted(keys(m)))
	}
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestEncodeRefusesAnUnknownForm(t *testing.T) {
	if _, err := short().run(t).Encode("htlm"); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("%v", err)
	}
}

func TestCPUPerGBCountsWhatWentInAndOut(t *testing.T) {
	r := &Result{Broker: &Usage{CPUSeconds: 6}, Produced: Flow{Bytes: 1e9, Records: 2e6}, Consumed: Flow{Bytes: 2e9, Records: 4e6}, Workload: workload.Workload{Kind: workload.Mixed}}
	gb, _ := r.cpuPerGB()
	million, _ := r.cpuPerMillion()
	if gb != 2 || million != 1 {
		t.Errorf("%v s per GB, %v per million; want 2 and 1", gb, million)
	}
}

func TestEveryFormOfLittle(t *testing.T) {
	silent := short().run(t)
	for i := range silent.Latencies {
		silent.Latencies[i].Hist.Reset()
		silent.Latencies[i].Intervals = nil
	}
	for name, r := range map[string]*Result{"nothing": {}, "silence": silent} {
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		for _, k := range Kinds {
			b, err := r.Encode(k)
			if err != nil || len(b) == 0 || bytes.Contains(b, []byte("NaN")) {
				t.Errorf("%s as %s: %v, %d bytes", name, k, err, len(b))
			}
		}
	}
}
