package load

import (
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kinds of latency that a Meter takes.
const (
	ProduceLatency = iota // to the acknowledgement
	FetchLatency          // to the answer
	EndToEnd              // to the arrival
	latencyKinds
)

// NewHistogram is a histogram of latencies in ns: 1 us to 10 minutes with three digits.
// What is longer counts as that.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1000, latencyMax, 3) }

const latencyMax = 600_000_000_000

// Counts is what has been counted.
type Counts struct {
	Produced, Consumed Flow
	Sent               int64 // records, acknowledged or not
	Errors             int64
	Unsent             int64 // records due that were not sent when it ended
	Unanswered         int64 // records sent whose answer never came; among the Errors as well, once per request
}

// Flow is one direction.
type Flow struct{ Requests, Records, Bytes int64 }

// Add adds o.
func (c *Counts) Add(o *Counts) {
	c.Produced.add(&o.Produced)
	c.Consumed.add(&o.Consumed)
	c.Sent += o.Sent
	c.Errors += o.Errors
	c.Unsent += o.Unsent
	c.Unanswered += o.Unanswered
}

func (f *Flow) add(o *Flow) {
	f.Requests += o.Requests
	f.Records += o.Records
	f.Bytes += o.Bytes
}

// Meter takes what a connection, or a few of them, count. Who counts holds it locked
// meanwhile, for many answers at a time if it can.
type Meter struct {
	mu    sync.Mutex
	now   Counts
	hist  [latencyKinds]*hdrhistogram.Histogram
	spare [latencyKinds]*hdrhistogram.Histogram // swapped with hist by Take
	why   map[string]int64                      // errors by their text
	_     [64]byte
}

// Lock and Unlock are held while counting.
func (m *Meter) Lock()   { m.mu.Lock() }
func (m *Meter) Unlock() { m.mu.Unlock() }

// Latency takes n latencies of ns.
func (m *Meter) Latency(kind int, ns, n int64) {
	if m.hist[kind] == nil {
		m.hist[kind], m.spare[kind] = NewHistogram(), NewHistogram()
	}
	_ = m.hist[kind].RecordValues(min(max(ns, 0), latencyMax), n) // in range, so it cannot fail
}

// Count gives the counters to add to.
func (m *Meter) Count() *Counts { return &m.now }

// Fail counts n requests that failed.
func (m *Meter) Fail(n int64, err error) {
	m.now.Errors += n
	if m.why == nil {
		m.why = map[string]int64{}
	}
	if _, known := m.why[err.Error()]; known || len(m.why) < whyMax {
		m.why[err.Error()] += n
	}
}

// whyMax bounds the different texts of errors that are kept.
const whyMax = 16

// Taken is what meters have counted since they were last asked.
type Taken struct {
	Counts
	Hist [latencyKinds]*hdrhistogram.Histogram // nil: none
	Why  map[string]int64
}

// Take adds what was counted since the last Take. One goroutine only may call it.
func (m *Meter) Take(into *Taken) {
	m.mu.Lock()
	into.Add(&m.now)
	m.now = Counts{}
	m.hist, m.spare = m.spare, m.hist
	for k, n := range m.why {
		if into.Why == nil {
			into.Why = map[string]int64{}
		}
		into.Why[k] += n
	}
	m.why = nil
	taken := m.spare
	m.mu.Unlock()
	for i, h := range taken {
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		if into.Hist[i] == nil {
			into.Hist[i] = NewHistogram()
		}
		into.Hist[i].Merge(h)
		h.Reset()
	}
}
