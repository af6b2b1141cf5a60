package result

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/perf"
)

// shape is a run to make up: the same one gives the same result.
type shape struct {
	seed    uint64
	kind    string
	rate    int64   // records a second asked for; 0: closed loop
	got     float64 // records a second
	latency float64 // ns, median
	cpu     float64 // of the broker, CPUs
	warm    int     // s
	length  int     // s
	cores   int
	start   time.Time
	broker  string
}

var aRun = shape{seed: 1, kind: workload.EndToEnd, rate: 200_000, got: 200_000, latency: 1.8e6, cpu: 0.6, warm: 3, length: 20, cores: 4,
	start: time.Date(2026, 11, 25, 10, 2, 11, 0, time.UTC), broker: "penstock 0.1.0-dev"}

// run makes a finished result.
func (s shape) run(t testing.TB) *Result {
	t.Helper()
	rnd := rand.New(rand.NewPCG(s.seed, 7))
	w := workload.Workload{Name: "", Kind: s.kind, Topics: 1, Partitions: 8, RecordSize: 1024, BatchSize: 65536, Keys: "none", Compression: "none", Payload: "random",
		Producers: 8, Consumers: 8, InFlight: 1, Acks: "all", Rate: s.rate, Warmup: workload.Time(s.warm) * workload.Time(time.Second), Duration: workload.Time(s.length) * workload.Time(time.Second), Client: "wire", View: "normal"}
	r := &Result{Started: s.start, Command: []string{"penstock", "bench", s.kind, "--brokers", "127.0.0.1:9092", "--name", "it's <one>"}, Tool: "penstock 0.1.0-dev", Workload: w, Loop: "closed", SameHost: true, Seconds: float64(s.length),
		Target:  Target{Brokers: []string{"127.0.0.1:9092"}, Software: s.broker, Cluster: "Y2x1c3Rlcg", Nodes: 1, Shards: 2, Durability: "os: acknowledged from memory, synced by the kernel", PID: 4242},
		Machine: perf.Fingerprint{Host: "bench-1", CPU: "Example 9000", CPUs: s.cores, NUMA: 1, Memory: 16e9, Kernel: "6.12.1", OS: "Debian GNU/Linux 12", Go: "go1.26.0", FileSystem: "ext4 (rw,relatime) at /data", Disk: "nvme0n1, Example SSD", SyncMs: 0.42, SyncWorst: 3.1, Governor: "performance", Congestion: "cubic", Mitigated: []string{"spectre_v2: Mitigation: IBRS"}}}
	if s.rate > 0 {
		r.Loop = "open"
	}
	names := map[string][]string{workload.Produce: {ProduceLatency}, workload.Consume: {FetchLatency}, workload.EndToEnd: {ProduceLatency, EndToEndLatency}, workload.Mixed: {ProduceLatency, FetchLatency}}[s.kind]
	for i, name := range names {
		r.Latencies = append(r.Latencies, Latency{Name: name, Hist: histogram()})
		s.intervals(rnd, &r.Latencies[i], 0.7+0.3*float64(i))
	}
	s.series(rnd, r)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return r
}

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1000, 60_000_000_000, 3) }

// intervals records latencies as brokers have them: about lognormal, with a stall.
func (s shape) intervals(rnd *rand.Rand, l *Latency, scale float64) {
	begin := s.start.Add(time.Duration(s.warm) * time.Second)
	for i := range s.length {
		h := histogram()
		h.SetStartTimeMs(begin.Add(time.Duration(i) * time.Second).UnixMilli())
		h.SetEndTimeMs(begin.Add(time.Duration(i+1) * time.Second).UnixMilli())
		for range 3000 {
			v := s.latency * scale * math.Exp(0.35*rnd.NormFloat64())
			if i == s.length/2 && rnd.IntN(20) == 0 {
				v *= 8 + 20*rnd.Float64()
			}
			_ = h.RecordValue(int64(v))
		}
		l.Intervals = append(l.Intervals, h)
		l.Hist.Merge(h)
	}
}

// jitter is a little, in thousandths, so that all machines print it alike.
func jitter(rnd *rand.Rand) float64 { return float64(rnd.IntN(50)) / 1000 }

func (s shape) series(rnd *rand.Rand, r *Result) {
	reads := s.kind != workload.Produce
	writes := s.kind != workload.Consume
	var flow Flow
	for i := range s.warm + s.length {
		speed := s.got * (1 + 0.02*rnd.NormFloat64())
		if i == 0 {
			speed *= 0.55
		}
		sec := Second{At: float64(i + 1), Seconds: 1, Warm: i < s.warm, LoadCPU: 0.5 + jitter(rnd), BrokerCPU: s.cpu + jitter(rnd), Backlog: int64(200 + rnd.IntN(100))}
		if writes {
			sec.Produced, sec.ProducedB = int64(speed), int64(speed*1036)
		}
		if reads {
			sec.Consumed, sec.ConsumedB = int64(speed*0.999), int64(speed*1035)
		}
		for c := range s.cores {
			sec.Cores = append(sec.Cores, min(1, 0.1+jitter(rnd)+math.Round(1000*s.cpu/float64(c+2))/1000))
		}
		h := r.mainLatency().Intervals[max(0, i-s.warm)]
		sec.P50, sec.P99, sec.P999, sec.Max = h.ValueAtPercentile(50), h.ValueAtPercentile(99), h.ValueAtPercentile(99.9), h.Max()
		if r.Series = append(r.Series, sec); !sec.Warm {
			flow.Records += int64(speed)
			flow.Bytes += int64(speed * 1036)
		}
	}
	flow.Requests = flow.Records / 63
	flow.RecordsS, flow.BytesS = float64(flow.Records)/r.Seconds, float64(flow.Bytes)/r.Seconds
	if writes {
		r.Produced = flow
	}
	if reads {
		r.Consumed = flow
	}
	n := float64(max(s.cores, 1)) * r.Seconds
	r.Load = Usage{CPUSeconds: 0.52 * r.Seconds, CPUShare: 0.52 * r.Seconds / n, RSS: 48e6, RSSAnon: 40e6}
	r.Broker = &Usage{CPUSeconds: s.cpu * r.Seconds, CPUShare: s.cpu * r.Seconds / n, RSS: 210e6, RSSAnon: 60e6}
}
