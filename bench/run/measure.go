package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
)

// latencies are their names in a result, by the meter's kinds.
var latencies = [...]string{load.ProduceLatency: result.ProduceLatency, load.FetchLatency: result.FetchLatency, load.EndToEnd: result.EndToEndLatency}

// measure is the counting of a run. Its phases: the warm-up, of which only the seconds
// are shown; the measured time; and the end, when what is under way is waited for.
type measure struct {
	*run
	start    time.Time
	seen     load.Counts // all of it
	total    load.Counts // in the measured time
	hist     [len(latencies)]*hdrhistogram.Histogram
	spans    [len(latencies)][]*hdrhistogram.Histogram
	why      map[string]int64 // errors by their text
	warmWhy  map[string]int64 // those of the warm-up
	at       sample
	began    sample // of the measured time
	rss      [2]usage
	running  sync.WaitGroup
	spanLeft time.Duration // of the present interval
}

// sample is what the kernel said at one time.
type sample struct {
	at           time.Time
	load, broker usage
	watched      bool
	busy, all    []float64
}

func newMeasure(r *run) *measure {
	return &measure{run: r, why: map[string]int64{}, warmWhy: map[string]int64{}}
}

func (m *measure) sample() sample {
	s := sample{at: time.Now()}
	s.load, _ = look(m.host)
	if pid := m.result.Target.PID; pid != 0 {
		s.broker, s.watched = look(pid)
	}
	s.busy, s.all = cpus()
	for i, u := range []usage{s.load, s.broker} {
		m.rss[i].rss, m.rss[i].anon = max(m.rss[i].rss, u.rss), max(m.rss[i].anon, u.anon)
	}
	return s
}

// play starts the clients, counts, and ends them.
func (m *measure) play(ctx context.Context) {
	// The clients end by Stop and not by the context, so that what is under way at a
	// Ctrl-C is still counted.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer m.onHurry(func() {
		for _, a := range append(slices.Clone(m.producers), m.consumers...) {
			a.Hurry()
		}
		cancel()
	})()
	m.start = time.Now().Add(startDelay)
	m.launch(work, m.consumers)
	m.launch(work, m.producers)
	m.at = m.sample()
	w := &m.Workload
	switch {
	case w.Warmup > 0:
		m.phase(ctx, m.start.Add(time.Duration(w.Warmup)), true)
	case w.Open(): // nothing is due before
		time.Sleep(time.Until(m.start))
		m.at = m.sample()
	}
	m.began = m.at
	m.phase(ctx, m.at.at.Add(time.Duration(w.Duration)), false)
	m.result.Interrupted = ctx.Err() != nil
	end := m.at
	m.stopAll(m.producers)
	if w.Kind != workload.EndToEnd {
		m.stopAll(m.consumers)
	} else {
		m.arrive()
	}
	done := make(chan struct{})
	go func() { m.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-m.Hurry: // who does not end now either, ends with the process
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	case <-time.After(m.Drain + 5*time.Second):
		cancel()
		<-done
	}
	m.last(m.take())
	m.fill(end)
}

// startDelay lets all clients connect before the first record is due.
const startDelay = 50 * time.Millisecond

func (m *measure) launch(ctx context.Context, actors []actor) {
	for _, a := range actors {
		switch a := a.(type) {
		case *load.Producer:
			a.Start = m.start
		case *load.Consumer:
			a.Start = m.start
		case *franzProducer:
			a.start = m.start
		}
		m.running.Go(func() { a.Run(ctx) })
	}
}

// phase counts second by second until the end or the context's.
func (m *measure) phase(ctx context.Context, end time.Time, warm bool) {
	for next := m.at.at; m.at.at.Before(end) && ctx.Err() == nil; {
		next = next.Add(time.Second)
		if end.Sub(next) < 200*time.Millisecond { // no scrap of a second at the end
			next = end
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(next)):
		}
		m.tick(warm)
	}
}

func (m *measure) take() load.Taken {
	var t load.Taken
	for _, meter := range m.meters {
		meter.Take(&t)
	}
	m.seen.Add(&t.Counts)
	for k, n := range t.Why {
		m.why[k] += n
	}
	return t
}

// tick takes one interval.
func (m *measure) tick(warm bool) {
	before := m.at
	t := m.take()
	m.at = m.sample()
	s := result.Second{At: m.at.at.Sub(m.start).Seconds(), Seconds: m.at.at.Sub(before.at).Seconds(), Warm: warm,
		Produced: t.Produced.Records, ProducedB: t.Produced.Bytes, Consumed: t.Consumed.Records, ConsumedB: t.Consumed.Bytes, Errors: t.Errors, Backlog: m.backlogNow()}
	if h := t.Hist[m.main()]; h != nil {
		v := h.ValueAtPercentilesSlice([]float64{50, 99, 99.9})
		s.P50, s.P99, s.P999, s.Max = v[0], v[1], v[2], h.Max()
	}
	s.LoadCPU = (m.at.load.cpu - before.load.cpu) / s.Seconds
	if m.at.watched {
		s.BrokerCPU = (m.at.broker.cpu - before.broker.cpu) / s.Seconds
	}
	if m.result.SameHost {
		for i := range min(len(m.at.busy), len(before.busy)) {
			if d := m.at.all[i] - before.all[i]; d > 0 {
				s.Cores = append(s.Cores, (m.at.busy[i]-before.busy[i])/d)
			} else {
				s.Cores = append(s.Cores, 0)
			}
		}
	}
	m.result.Series = append(m.result.Series, s)
	if warm {
		for why, n := range t.Why {
			m.warmWhy[why] += n
		}
	} else {
		m.total.Add(&t.Counts)
		m.merge(&t, before.at)
	}
	if m.Second != nil {
		m.Second(s)
	}
}

// merge adds an interval's histograms to those of the run.
func (m *measure) merge(t *load.Taken, from time.Time) {
	// Of a long run they are kept for longer spans: one takes 200 KB.
	const spansMax = 300
	fresh := m.spanLeft <= 0
	if fresh {
		m.spanLeft = time.Duration(m.Workload.Duration) / spansMax
	}
	m.spanLeft -= m.at.at.Sub(from)
	for k, h := range t.Hist {
		if h == nil {
			continue
		}
		if m.hist[k] == nil {
			m.hist[k] = load.NewHistogram()
		}
		m.hist[k].Merge(h)
		if n := len(m.spans[k]); fresh || n == 0 {
			h.SetStartTimeMs(from.UnixMilli())
			m.spans[k] = append(m.spans[k], h)
		} else {
			m.spans[k][n-1].Merge(h)
		}
		m.spans[k][len(m.spans[k])-1].SetEndTimeMs(m.at.at.UnixMilli())
	}
}

// last takes what came after the measured time. With a rate it was due in it, so its
// latency counts: the answers that came late are those that matter.
func (m *measure) last(t load.Taken) {
	m.total.Unsent += t.Unsent
	m.total.Unanswered += t.Unanswered
	m.total.Errors += t.Errors
	if !m.Workload.Open() {
		return
	}
	for k, h := range t.Hist {
		if h == nil {
			continue
		}
		if m.hist[k] == nil {
			m.hist[k] = load.NewHistogram()
		}
		m.hist[k].Merge(h)
		if n := len(m.spans[k]); n > 0 {
			m.spans[k][n-1].Merge(h)
		}
	}
}

// main is the kind of latency that stands for the run.
func (m *measure) main() int {
	switch m.Workload.Kind {
	case workload.EndToEnd:
		return load.EndToEnd
	case workload.Consume:
		return load.FetchLatency
	}
	return load.ProduceLatency
}

// due is how many records should have been sent by now.
func (m *measure) due() int64 {
	return int64(float64(m.Workload.Rate) * max(time.Since(m.start).Seconds(), 0))
}

// backlogNow is records due and not sent, or of an end-to-end run, due or produced and
// not consumed.
func (m *measure) backlogNow() int64 {
	w := &m.Workload
	readers := int64(max(w.Groups, 1))
	switch {
	case w.Kind == workload.EndToEnd && w.Open():
		return max(m.due()*readers-m.seen.Consumed.Records, 0)
	case w.Kind == workload.EndToEnd:
		return max(m.seen.Produced.Records*readers-m.seen.Consumed.Records, 0)
	case w.Open() && w.Produces():
		return max(m.due()-m.seen.Sent, 0)
	case w.Open():
		return max(m.due()-m.seen.Consumed.Records, 0)
	}
	return 0
}

// arrive waits, once the producers have ended, until all that they produced has been read.
func (m *measure) arrive() {
	began := time.Now()
	deadline := began.Add(m.Drain)
	readers := int64(max(m.Workload.Groups, 1))
	var late load.Taken
	for {
		t := m.take()
		late.Add(&t.Counts)
		for k, h := range t.Hist {
			if h != nil && late.Hist[k] == nil {
				late.Hist[k] = h
			} else if h != nil {
				late.Hist[k].Merge(h)
			}
		}
		ended := true
		for _, p := range m.producers {
			ended = ended && over(p)
		}
		if ended && m.seen.Consumed.Records >= m.seen.Produced.Records*readers || time.Now().After(deadline) {
			break
		}
		select {
		case <-m.Hurry:
			deadline = time.Now()
		case <-time.After(5 * time.Millisecond):
		}
	}
	m.stopAll(m.consumers)
	m.last(late)
	if missing := m.seen.Produced.Records*readers - m.seen.Consumed.Records; missing > 0 {
		m.note("%d records that were acknowledged had not arrived %s after the end.", missing, time.Since(began).Round(100*time.Millisecond))
	}
}

// over says whether a producer has all its answers.
func over(a actor) bool {
	o, ok := a.(interface{ Over() bool })
	return !ok || o.Over()
}

// fill writes the figures into the result.
func (m *measure) fill(end sample) {
	r := m.result
	r.Seconds = end.at.Sub(m.began.at).Seconds()
	r.Produced = flow(&m.total.Produced, r.Seconds)
	r.Consumed = flow(&m.total.Consumed, r.Seconds)
	if m.Workload.Produces() {
		r.Produced.Errors = m.total.Errors
	} else {
		r.Consumed.Errors = m.total.Errors
	}
	for k, h := range m.hist {
		if h != nil {
			r.Latencies = append(r.Latencies, result.Latency{Name: latencies[k], Hist: h, Intervals: m.spans[k]})
		}
	}
	// The main one first.
	for i := range r.Latencies {
		if r.Latencies[i].Name == latencies[m.main()] {
			r.Latencies[0], r.Latencies[i] = r.Latencies[i], r.Latencies[0]
		}
	}
	r.Load = m.used(m.began.load, end.load, m.rss[0])
	if end.watched && m.began.watched {
		u := m.used(m.began.broker, end.broker, m.rss[1])
		r.Broker = &u
	}
	if m.total.Unsent > 0 {
		m.note("%d records were due and not %s when the run ended; they count with the time they had waited by then.", m.total.Unsent, map[bool]string{true: "sent", false: "read"}[m.Workload.Produces()])
	}
	if m.total.Unanswered > 0 {
		m.note("The answers for %d records never came.", m.total.Unanswered)
	}
	for why, n := range m.why {
		if n -= m.warmWhy[why]; n > 0 {
			m.note("%d errors: %s", n, why)
		}
	}
	for why, n := range m.warmWhy {
		m.note("%d errors in the warm-up: %s", n, why)
	}
	for _, a := range m.producers {
		if f, ok := a.(*franzProducer); ok {
			m.franzNotes(f)
			break
		}
	}
	if m.Workload.Client == workload.Franz && m.Workload.Consumes() {
		m.note("franz-go has one fetch in flight per consumer and broker, and asks ahead of who reads: the figures of what was read are such a client's.")
	}
}

func flow(f *load.Flow, seconds float64) result.Flow {
	out := result.Flow{Requests: f.Requests, Records: f.Records, Bytes: f.Bytes}
	if seconds > 0 {
		out.RecordsS, out.BytesS = float64(f.Records)/seconds, float64(f.Bytes)/seconds
	}
	return out
}

func (m *measure) used(from, to, most usage) result.Usage {
	cpu := to.cpu - from.cpu
	share := 0.0
	if s := m.result.Seconds; s > 0 {
		share = cpu / s / float64(max(len(m.began.all), 1)) // not NumCPU, which is what this process may use
	}
	return result.Usage{CPUSeconds: cpu, CPUShare: share, RSS: most.rss, RSSAnon: most.anon}
}
