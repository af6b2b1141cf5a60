package versus

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/perf"
)

// fake is a finished run: cpu is the broker's for 10 GB, p is every latency.
func fake(t *testing.T, round int, on side, cpu float64, p time.Duration) *result.Result {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	if err := h.RecordValue(int64(p)); err != nil {
		t.Fatal(err)
	}
	w := produce(64 << 10)
	w.Durability, w.View = on.durability, on.view
	r := &result.Result{Started: time.Unix(int64(round), 0), Workload: w, Loop: "closed", Seconds: 10, Target: result.Target{Software: on.broker, Durability: on.name},
		Machine: perf.Fingerprint{CPUs: 2, Congestion: "cubic"}, Broker: &result.Usage{CPUSeconds: cpu, RSS: int64(cpu * 1e8), RSSAnon: int64(cpu * 1e7)},
		Produced:  result.Flow{Requests: 1000, Records: 1e7, Bytes: 1e10, RecordsS: 1e6 / cpu, BytesS: 1e9 / cpu},
		Latencies: []result.Latency{{Name: result.ProduceLatency, Hist: h}}}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return r
}

// outcome is two rounds of Kafka against penstock: six times the CPU in one, eight in the
// other.
func outcome(t *testing.T) *Outcome {
	o := &Outcome{scenario: scenario{name: "produce", sides: []side{kafkaDefault, penstockOS}, pairs: []pair{{0, 1, false, []goal{{"cpu_per_gb", 5}, {"p99.9", 3}}}}}}
	o.runs = [][]*result.Result{
		{fake(t, 1, kafkaDefault, 60, 20*time.Millisecond), fake(t, 2, kafkaDefault, 96, 4*time.Millisecond)},
		{fake(t, 1, penstockOS, 10, 10*time.Millisecond), fake(t, 2, penstockOS, 12, 8*time.Millisecond)},
	}
	o.told = [][]told{make([]told, 2), make([]told, 2)}
	return o
}

func page(o *Outcome) string {
	r := &Report{Kafka: "4.3.1", Congestion: "cubic", Outcomes: []Outcome{*o}, starts: map[string][]float64{Kafka: {5, 6}, Penstock: {0.25, 0.5}},
		idle: map[string][]usage{Kafka: {{RSS: 4e8}, {RSS: 5e8}}, Penstock: {{RSS: 2e8}, {RSS: 2e8}}}}
	r.after(Kafka, usage{RSS: 1e9, RSSAnon: 9e8})
	r.after(Penstock, usage{RSS: 2e8, RSSAnon: 1e7})
	return r.Markdown("make bench-kafka", time.Unix(0, 0))
}

func TestRatiosAreOfNeighbours(t *testing.T) {
	text := page(outcome(t))
	for _, want := range []string{
		// Of rounds 6 and 8; medians divided would be 7.09.
		"| broker CPU per GB | Kafka / Penstock, os | produce | 7 [6 to 8] | >= 5 | yes |",
		"| p99.9 latency | Kafka / Penstock, os | produce | 1.25 [0.5 to 2] | >= 3 | **no** |",
		"| broker resident memory | Kafka / Penstock | after all the load | 5 | >= 4 | yes |",
		"| start on a new directory, to the first answer | 5.5 s [5 s to 6 s] | 0.375 s [0.25 s to 0.5 s] | 16 [12 to 20] | Penstock |",
		"| A: Kafka; B: Penstock, os | A | B | A / B | ahead |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	rows := map[string]string{}
	for line := range strings.Lines(text[strings.Index(text, "## Produce"):]) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		rows[cells[0]] = cells[len(cells)-1]
	}
	for row, who := range map[string]string{"records per second": "Penstock, os", "p99 latency": "neither", "broker CPU per GB": "Penstock, os"} {
		if rows[row] != who {
			t.Errorf("%s: ahead is %q, want %q", row, rows[row], who)
		}
	}
}

func TestRefusesUnlikeRuns(t *testing.T) {
	cases := map[string]struct {
		spoil func(o *Outcome)
		why   string
	}{
		"another batch size":   {func(o *Outcome) { o.runs[1][1].Workload.BatchSize = 1 << 20 }, "batch_size"},
		"another rate":         {func(o *Outcome) { o.runs[1][0].Workload.Rate = 1000 }, "rate"},
		"a missing round":      {func(o *Outcome) { o.runs[1] = o.runs[1][:1] }, "2 rounds"},
		"no rounds":            {func(o *Outcome) { o.runs = [][]*result.Result{nil, nil} }, "0 rounds"},
		"a run cut short":      {func(o *Outcome) { o.runs[0][1].Interrupted = true }, "round 2 of Kafka was cut short"},
		"other durability":     {func(o *Outcome) { o.runs[1][0].Workload.Durability = "synced" }, "durability is not equal"},
		"other TCP settings":   {func(o *Outcome) { o.runs[1][1].Machine.Congestion = "bbr" }, "TCP settings"},
		"a broker not watched": {func(o *Outcome) { o.runs[1][1].Broker = nil }, "not seen in round 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := outcome(t)
			c.spoil(o)
			if _, err := o.compare(o.pairs[0]); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("the error is %v, want one about %q", err, c.why)
			}
			text := page(o)
			if strings.Contains(text, "A / B") || strings.Contains(text, "[6 to 8]") {
				t.Errorf("a ratio is printed:\n%s", text)
			}
			if !strings.Contains(text, "no ratio, ") || !strings.Contains(text, "none: ") {
				t.Errorf("the page does not say that it was refused:\n%s", text)
			}
		})
	}
	var unlike *result.UnlikeError
	o := outcome(t)
	o.runs[1][1].Workload.RecordSize = 100
	if _, err := o.compare(o.pairs[0]); !errors.As(err, &unlike) {
		t.Errorf("the error is %v, want an UnlikeError", err)
	}
}

func TestRateNotReachedMeetsNoGoal(t *testing.T) {
	for rate, want := range map[int64]string{16000: "| 7 [6 to 8] | >= 5 | yes |", 20000: "| none: the rate was not reached in every round of Kafka | >= 5 | – |"} {
		o := outcome(t)
		for _, side := range o.runs {
			for _, r := range side { // Kafka's slowest round has 10,417 records a second
				r.Workload.Rate = rate - 6000
			}
		}
		if text := page(o); !strings.Contains(text, want) {
			t.Errorf("at %d the page lacks %q:\n%s", rate-6000, want, text)
		}
	}
}

func TestUnequalDurabilityIsSaid(t *testing.T) {
	o := outcome(t)
	o.sides[1], o.pairs[0].unequal = penstockSynced, true
	for _, r := range o.runs[1] {
		r.Workload.Durability = "synced"
	}
	if text := page(o); !strings.Contains(text, "B: Penstock, synced (durability is not equal)") {
		t.Errorf("the heading does not say it:\n%s", text)
	}
}

func TestRatios(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want result.Spread
	}{
		{[]float64{6, 9, 4}, []float64{2, 3, 1}, result.Spread{Known: true, Median: 3, Min: 3, Max: 4}},
		{[]float64{1, 2}, []float64{1, 1}, result.Spread{Known: true, Median: 1.5, Min: 1, Max: 2}},
		{[]float64{1, 2}, []float64{1}, result.Spread{}},
		{[]float64{1}, []float64{0}, result.Spread{}},
		{nil, nil, result.Spread{}},
	} {
		if got := ratios(c.a, c.b); got != c.want {
			t.Errorf("ratios(%v, %v) = %+v, want %+v", c.a, c.b, got, c.want)
		}
	}
	for v, want := range map[float64]string{0.3333: "0.333", 16: "16", 1234.5: "1234", 12: "12"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestParseProducer(t *testing.T) {
	const out = `153421 records sent, 30684.2 records/sec (29.97 MB/sec), 801.2 ms avg latency, 1201.0 ms max latency.
400000 records sent, 120481.927711 records/sec (117.66 MB/sec), 201.53 ms avg latency, 412.00 ms max latency, 210 ms 50th, 330 ms 95th, 390 ms 99th, 410 ms 99.9th.
`
	got, err := parseProducer(out)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 400000 || math.Abs(got.RecordsS-120481.927711) > 1e-6 || got.MBs != 117.66 || got.Ms.Avg != 201.53 || got.Ms.Max != 412 ||
		got.Ms.P50 != 210 || got.Ms.P95 != 330 || got.Ms.P99 != 390 || got.Ms.P999 != 410 {
		t.Errorf("got %+v", got)
	}
	lines := strings.SplitAfter(out, "\n")
	for name, bad := range map[string]string{"progress only": lines[0], "nothing": "", "two summaries": lines[1] + lines[1], "an error": "org.apache.kafka.common.errors.TimeoutException: Topic not present"} {
		if _, err := parseProducer(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseConsumer(t *testing.T) {
	const names = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n"
	const line = "2026-11-25 14:00:00:123, 2026-11-25 14:00:04:223, 390.6250, 95.2744, 400000, 97560.9756, 3210, 890, 438.9045, 449438.2022\n"
	got, err := parseConsumer("WARNING: something\n" + names + line)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 400000 || got.RecordsS != 449438.2022 || got.MBs != 438.9045 {
		t.Errorf("got %+v", got)
	}
	for name, bad := range map[string]string{"names only": names, "no names": line, "not a number": names + strings.Replace(line, "400000", "many", 1)} {
		if _, err := parseConsumer(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestScenarios holds what the loads promise: every one can be put on a broker, pairs are
// of equal durability unless they say so, and each metric with a goal exists.
func TestScenarios(t *testing.T) {
	for _, s := range scenarios() {
		w := s.work
		if err := w.Check(); s.load == own && err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if s.half && s.load != own {
			t.Errorf("%s: Kafka's own tests have no rate", s.name)
		}
		for _, p := range s.pairs {
			a, b := s.sides[p.a], s.sides[p.b]
			if (a.durability != b.durability) != p.unequal {
				t.Errorf("%s: %s against %s: durability is not as the pair says", s.name, a.name, b.name)
			}
			for _, g := range p.goals {
				unit := "1s"
				if g.metric == "rss" {
					unit = "1GB"
				}
				if _, err := result.ParseAssertion(g.metric + "<" + unit); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		}
	}
	o := Options{JVM: 10 * time.Second}
	var total time.Duration
	for _, w := range o.warm() {
		if err := w.Check(); err != nil {
			t.Errorf("the warm-up: %v", err)
		}
		total += time.Duration(w.Duration)
	}
	if total != o.JVM {
		t.Errorf("the warm-up takes %s instead of %s", total, o.JVM)
	}
}

func TestTurns(t *testing.T) {
	of := []int{1, 2, 3}
	if got := inTurn(of, 0); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("round 0: %v", got)
	}
	if got := inTurn(of, 1); !slices.Equal(got, []int{3, 2, 1}) || !slices.Equal(of, []int{1, 2, 3}) {
		t.Errorf("round 1: %v of %v", got, of)
	}
}

// TestKafkaHasNoSettingsOfOurs: what could make Kafka slower or faster than it comes must
// not creep in.
func TestKafkaHasNoSettingsOfOurs(t *testing.T) {
	text := properties("/d", 1000)
	for _, want := range []string{"num.network.threads=3\n", "num.io.threads=8\n", "listeners=PLAINTEXT://127.0.0.1:1000,CONTROLLER://127.0.0.1:1001\n", "log.dirs=/d/data\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the properties lack %q", want)
		}
	}
	if strings.Contains(text, "flush") {
		t.Error("flushing is set for topics, not for the broker")
	}
	flags := strings.Join(kafkaFlags("/d"), " ")
	for _, want := range []string{"-Xmx1G -Xms1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"} {
		if !strings.Contains(flags, want) {
			t.Errorf("the JVM's flags lack %q", want)
		}
	}
}
