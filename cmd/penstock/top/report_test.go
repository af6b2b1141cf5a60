package top

import (
	"math"
	"testing"
	"time"

	"github.com/penstock/penstock/cmd/penstock/status"
)

func near(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 1e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v; want %g", what, known(got, func(v float64) string { return whole(v) }), want)
	}
}

func none(t *testing.T, what string, got *float64) {
	t.Helper()
	if got != nil {
		t.Errorf("%s is %g; nothing is known", what, *got)
	}
}

func TestRates(t *testing.T) {
	a, b := broker(100), broker(102)
	// The shard's own time counts, and not when the answer was made.
	b.shards.Shards[0].At = 104
	r := compare(a, b)
	near(t, "requests of core 0", r.Cores[0].Requests, 2*10*1201/4.0)
	near(t, "requests of core 1", r.Cores[1].Requests, 8*1201)
	near(t, "busy of core 1", r.Cores[1].Busy, 8/11.3)
	near(t, "the sum of requests", r.Total.Requests, (2*10/4.0+8+6+4)*1201)
	mean := (2*10/4.0 + 8 + 6 + 4) / 11.3 / 4
	near(t, "the mean of busy", r.Total.Busy, mean)
	near(t, "imbalance", r.Total.Imbalance, 8/11.3/mean)
	near(t, "appended to audit", r.Topics[4].Appended, 6*4*2_100_000)
	near(t, "records of audit", r.Topics[4].Added, 6*8000)
	near(t, "committed by fraud", r.Groups[2].Committed, 3*3000)
	near(t, "requests of a client", r.Clients[3].RequestRate, 51)
	if r.Total.Connections != 40*4+400*6 || r.Topics[4].Refused != 1 || r.Groups[2].Topics != 2 {
		t.Errorf("%+v", r.Total)
	}
}

func TestNothingIsKnownOfOneSample(t *testing.T) {
	r := compare(nil, broker(100))
	none(t, "busy", r.Total.Busy)
	none(t, "imbalance", r.Total.Imbalance)
	none(t, "requests", r.Cores[2].Requests)
	none(t, "sync", r.Total.Sync.P99)
	none(t, "appended", r.Topics[2].Appended)
	none(t, "committed", r.Groups[2].Committed)
	none(t, "a client's rate", r.Clients[2].InRate)
	if r.Restarted {
		t.Error("the broker has not started anew")
	}
}

func TestCountersThatGoBack(t *testing.T) {
	r := compare(broker(100), broker(3))
	if !r.Restarted {
		t.Error("the broker has started anew")
	}
	none(t, "requests", r.Total.Requests)
	none(t, "appended", r.Topics[2].Appended)
	// It ran longer than before when it was asked again, but began at another time.
	a, b := broker(100), broker(101)
	b.shards.At = b.shards.At.Add(300 * time.Millisecond)
	if !compare(a, b).Restarted {
		t.Error("another time of the start is another start")
	}
	// A shard's clock went back.
	a, b = broker(100), broker(101)
	b.shards.Shards[2].At = 3
	if !compare(a, b).Restarted {
		t.Error("a shard's clock that goes back is another start")
	}
	// One counter alone takes nothing else with it.
	a, b = broker(100), broker(101)
	b.shards.Shards[1].BytesIn = 7
	b.shards.Shards[1].Sync.Counts[2] = 0
	b.topics[2].Partitions[0].Appended = 0
	b.clients[4].Age, b.clients[4].Requests = 0.5, 1<<40
	b.groups[1].Offsets[0].Offset = 1
	r = compare(a, b)
	none(t, "bytes in", r.Cores[1].BytesIn)
	none(t, "sync", r.Cores[1].Sync.P50)
	near(t, "requests", r.Cores[1].Requests, 8*1201)
	near(t, "appended to the other partitions", r.Topics[2].Appended, 3*4_200_000)
	none(t, "the rate of another connection of the same port", r.Clients[4].RequestRate)
	near(t, "committed to the other partitions", r.Groups[1].Committed, 2*1500)
}

func TestShardThatSaysNothingNew(t *testing.T) {
	a, b := broker(100), broker(101)
	b.shards.Shards[2] = a.shards.Shards[2]
	r := compare(a, b)
	none(t, "requests", r.Cores[2].Requests)
	none(t, "busy", r.Cores[2].Busy)
	near(t, "requests of the others", r.Total.Requests, (10+8+4)*1201)
}

// TestRatesOutlastTheSameCount: the broker asks its shards for topics and clients only
// every so often, so that two answers may be of one moment.
func TestRatesOutlastTheSameCount(t *testing.T) {
	a, b, c := broker(100), broker(101), broker(102)
	c.topics, c.groups, c.clients = b.topics, b.groups, b.clients
	before := compare(a, b)
	r := compare(b, c)
	r.carry(before)
	near(t, "appended", r.Topics[4].Appended, 6*4*2_100_000)
	near(t, "committed", r.Groups[2].Committed, 3*3000)
	near(t, "requests of a client", r.Clients[3].RequestRate, 51)
	// A shard that gave no time has no rate, now and later.
	b.clients[3].At, c.clients[3].At = 0, 0
	before = compare(a, b)
	r = compare(b, c)
	r.carry(before)
	none(t, "the rate of a client whose shard is silent", r.Clients[3].RequestRate)
}

func TestQuantiles(t *testing.T) {
	h := func(counts ...int64) status.Hist { return status.Hist{Bounds: []float64{1, 2, 4}, Counts: counts} }
	for _, c := range []struct {
		name     string
		h        status.Hist
		p50, p99 float64
		above    bool
	}{
		{"one bucket", h(0, 100, 0, 0), 1.5, 1.99, false},
		{"the first begins at 0", h(100, 0, 0, 0), 0.5, 0.99, false},
		{"two buckets", h(50, 0, 50, 0), 1, 3.96, false},
		{"the last has no bound", h(90, 0, 0, 10), 0.5 / 0.9, 4, true},
		{"all above", h(0, 0, 0, 3), 4, 4, true},
	} {
		l := latency(c.h)
		near(t, c.name+": p50", l.P50, c.p50)
		near(t, c.name+": p99", l.P99, c.p99)
		if l.Above != c.above {
			t.Errorf("%s: above %t", c.name, l.Above)
		}
	}
	if l := latency(h(0, 0, 0, 0)); l.P50 != nil || l.P99 != nil || l.Count != 0 {
		t.Errorf("of nothing: %+v", l)
	}
	if got := p99(latency(h(0, 0, 0, 3))); got != ">4.00s" {
		t.Errorf("p99 above all bounds is shown as %q", got)
	}
	if _, ok := gain(h(1, 0, 0, 0), h(0, 1, 0, 0)); ok {
		t.Error("a bucket that shrank is another histogram")
	}
	if _, ok := gain(h(1, 0, 0, 0), status.Hist{Bounds: []float64{1}, Counts: []int64{1, 1}}); ok {
		t.Error("histograms of other bounds are not compared")
	}
	if _, ok := gain(status.Hist{Bounds: []float64{1}, Counts: []int64{1}}, status.Hist{Bounds: []float64{1}, Counts: []int64{2}}); ok {
		t.Error("a histogram without its last bucket is refused")
	}
	if m := merge([]status.Hist{h(1, 2, 3, 4), h(10, 20, 30, 40)}); m.Counts[3] != 44 {
		t.Errorf("merged %v", m.Counts)
	}
}
