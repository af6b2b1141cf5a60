package run

import (
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
)

func TestDurabilityIsSaidTruthfully(t *testing.T) {
	never := strconv.FormatInt(math.MaxInt64, 10)
	for _, c := range []struct {
		config   map[string]string
		replicas int
		acks     string
		want     []string
	}{
		{map[string]string{durabilityKey: "synced"}, 1, "all", []string{"synced:", "fdatasync", "power cut", "acks=all"}},
		{map[string]string{durabilityKey: "interval", "flush.ms": "10", "flush.messages": never}, 1, "1", []string{"interval:", "flush.ms=10", "acks=1"}},
		{map[string]string{durabilityKey: "os"}, 1, "all", []string{"os:", "not a power cut"}},
		{map[string]string{durabilityKey: "synced"}, 1, "0", []string{"no acknowledgement"}},
		{map[string]string{"flush.messages": "1", "flush.ms": never}, 1, "all", []string{"flush.messages=1", "after a sync", "1 replica"}},
		{map[string]string{"flush.messages": never, "flush.ms": never, "min.insync.replicas": "2"}, 3, "all", []string{"not synced", "page cache", "3 replicas, min.insync.replicas=2"}},
		{map[string]string{"flush.messages": never, "flush.ms": "10"}, 1, "all", []string{"flush.ms=10", "synced later"}},
	} {
		got := durability(c.config, c.replicas, c.acks)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%v: %q lacks %q", c.config, got, w)
			}
		}
	}
}

func TestTheListenerIsFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if pid := listener(l.Addr().String()); pid != os.Getpid() {
		t.Errorf("process %d listens, found %d", os.Getpid(), pid)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if pid := listener(l.Addr().String()); pid != 0 {
		t.Errorf("nobody listens, found %d", pid)
	}
	if !local("127.0.0.1:9092") || !local("localhost:9092") || local("192.0.2.1:9092") || local("nonsense") {
		t.Error("what is local is not told from what is not")
	}
}

// The versions of a result are those of what ran, as its files tell.
func TestSoftwareOfAProcess(t *testing.T) {
	if got := software(os.Getpid(), "1.2.3"); got != "penstock 1.2.3" {
		t.Errorf("our own file: %q", got)
	}
	jar, err := os.Create(filepath.Join(t.TempDir(), "kafka_2.13-4.3.1.jar"))
	if err != nil {
		t.Fatal(err)
	}
	if got := software(os.Getpid(), "1.2.3"); got != "Apache Kafka 4.3.1" {
		t.Errorf("with a jar: %q", got)
	}
	if err := jar.Close(); err != nil {
		t.Fatal(err)
	}
	if got := software(1<<30, "1.2.3"); got != "" {
		t.Errorf("no process: %q", got)
	}
}

func TestAProcessIsWatched(t *testing.T) {
	before, ok := look(os.Getpid())
	if !ok || before.rss <= 0 || before.anon <= 0 {
		t.Fatalf("%+v", before)
	}
	began, n := time.Now(), 0
	after := before
	for after.cpu == before.cpu && time.Since(began) < time.Minute { // work, until there is something to count
		if n++; n%1000 == 0 {
			after, _ = look(os.Getpid())
		}
	}
	if d := after.cpu - before.cpu; d <= 0 || d > time.Since(began).Seconds()*float64(runtime.NumCPU())+0.1 {
		t.Errorf("%d rounds took %.3f s of CPU", n, d)
	}
	if _, ok := look(1 << 30); ok {
		t.Error("a process that there is not")
	}
	if busy, all := cpus(); len(busy) < 1 || busy[0] <= 0 || all[0] < busy[0] {
		t.Error(busy, all)
	}
}

// Percentiles are those of all that was recorded, whichever client recorded it: three that
// are fast and one that is slow do not make a mean.
func TestPercentilesAreThoseOfAllClients(t *testing.T) {
	w := workload.New(workload.Produce)
	w.Duration = 100
	r := &run{Config: Config{Workload: w}, host: os.Getpid(), result: &result.Result{Workload: w}}
	m := newMeasure(r)
	m.start = time.Now()
	m.at = m.sample()
	m.began = m.at
	for second := range 2 {
		for client := range 4 {
			meter := r.meter(client)
			meter.Lock()
			if client < 3 {
				meter.Latency(load.ProduceLatency, 1_000_000, 330)
			} else {
				meter.Latency(load.ProduceLatency, int64(second+1)*100_000_000, 10) // one in a hundred
			}
			meter.Unlock()
		}
		m.tick(false)
	}
	m.fill(m.at)
	if err := m.result.Finish(); err != nil {
		t.Fatal(err)
	}
	l := m.result.Latencies[0]
	about := func(got, want int64) bool { return got > want*998/1000 && got < want*1002/1000 }
	if l.N != 2000 || !about(l.P50, 1e6) || !about(l.P90, 1e6) || !about(l.P99, 1e6) || !about(l.P999, 200e6) || !about(l.Hist.ValueAtPercentile(99.25), 100e6) {
		t.Errorf("%+v", l)
	}
	if s := m.result.Series[0]; !about(s.P50, 1e6) || !about(s.P99, 1e6) || !about(s.P999, 100e6) {
		t.Errorf("%+v", s)
	}
}

// A share is of all CPUs of the machine, of which the load may be allowed a few.
func TestSharesAreOfTheWholeMachine(t *testing.T) {
	m := newMeasure(&run{result: &result.Result{Seconds: 2}})
	m.began.all = make([]float64, 8)
	if got := m.used(usage{cpu: 1}, usage{cpu: 5}, usage{}); got.CPUSeconds != 4 || got.CPUShare != 0.25 {
		t.Errorf("%+v", got)
	}
}

// What was counted in the warm-up is in no figure but the seconds, and what answered after
// the end counts for the latency of an open loop and for nothing else.
func TestTheWarmUpIsDropped(t *testing.T) {
	for _, rate := range []int64{0, 1000} {
		w := workload.New(workload.Produce)
		w.Rate, w.Duration = rate, 100 // so short that each tick is an interval of its own
		r := &run{Config: Config{Workload: w}, host: os.Getpid(), result: &result.Result{Workload: w}}
		meter := r.meter(0)
		count := func(records, ns int64) {
			meter.Lock()
			defer meter.Unlock()
			meter.Count().Produced.Records += records
			meter.Count().Produced.Bytes += 10 * records
			meter.Count().Errors++
			meter.Latency(load.ProduceLatency, ns, records)
		}
		m := newMeasure(r)
		m.start = time.Now()
		m.at = m.sample()
		count(100, 5e9)
		m.tick(true)
		m.began = m.at
		count(10, 2e6)
		m.tick(false)
		count(20, 3e6)
		m.tick(false)
		end := m.at
		count(5, 8e9)
		m.last(m.take())
		m.fill(end)
		got := r.result
		want := int64(30)
		if rate > 0 {
			want += 5
		}
		if got.Produced.Records != 30 || got.Produced.Bytes != 300 || len(got.Latencies) != 1 || got.Latencies[0].Hist.TotalCount() != want || len(got.Latencies[0].Intervals) != 2 {
			t.Errorf("rate %d: %+v, %d latencies", rate, got.Produced, got.Latencies[0].Hist.TotalCount())
		}
		if most := got.Latencies[0].Hist.Max(); rate == 0 && most > 4e6 || rate > 0 && most < 7e9 {
			t.Errorf("rate %d: the longest is %d", rate, most)
		}
		if len(got.Series) != 3 || !got.Series[0].Warm || got.Series[1].Warm || got.Series[0].Produced != 100 || got.Series[2].Produced != 20 || got.Series[0].Max < 4e9 {
			t.Errorf("%+v", got.Series)
		}
		if err := got.Finish(); err != nil || got.Latencies[0].N != want {
			t.Errorf("%v %+v", err, got.Latencies)
		}
	}
}
