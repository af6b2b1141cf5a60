// Package run puts a workload on a broker and measures what comes of it: topics are made,
// a backlog is written, producers and consumers run, each second is counted, and the
// topics are deleted again. It knows the broker by the Kafka protocol alone.
package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/perf"
)

// Congestion controls that are no name.
const (
	Auto   = "auto"   // cubic if the broker is on this machine, else the system's
	System = "system" // the system's
)

// Config is a run to be made.
type Config struct {
	Workload   workload.Workload
	Client     func(...kgo.Opt) (*kgo.Client, error) // a client of the broker
	Timeout    time.Duration                         // of each question before and after the run
	Topic      string                                // use this one; "": make topics and delete them
	Keep       bool                                  // do not delete them
	Congestion string                                // a name, Auto or System
	BrokerPID  int                                   // 0: who listens on the port, if that is here
	Drain      time.Duration                         // how long what is under way at the end is waited for
	Command    []string
	Tool       string // name and version of who makes the load
	Version    string // of the same, alone
	Notes      []string
	Say        func(string)         // what goes on before and after the load
	Begin      func(*result.Result) // once the target is known
	Second     func(result.Second)  // each second
	Hurry      <-chan struct{}      // once closed, nothing under way is waited for, and the topics are tried to be deleted for hurryMax
	Made       func(left string)    // what would be left on the broker if the process ended here, with how to delete it; "": nothing
}

// Run makes the run. The measured time ends when the context does; the result is then
// Interrupted. An error beside a result says what went wrong after the measurement.
func Run(ctx context.Context, cfg Config) (*result.Result, error) {
	if err := cfg.Workload.Check(); err != nil {
		return nil, err
	}
	if err := cfg.Workload.Digest(); err != nil {
		return nil, err
	}
	if cfg.Drain == 0 {
		cfg.Drain = 10 * time.Second
	}
	client, err := cfg.Client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &run{Config: cfg, host: os.Getpid()}
	r.cluster = &cluster{w: &r.Workload, client: client, admin: kadm.NewClient(client),
		stem: fmt.Sprintf("bench-%s-%08x-", time.Now().UTC().Format("20060102-150405"), rand.Uint32())}
	res, err := r.do(ctx)
	if r.Keep {
		return res, err
	}
	// The topics go in any case, also when the context has ended.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Timeout)
	defer cancel()
	defer r.onHurry(func() { time.AfterFunc(hurryMax, cancel) })()
	err = errors.Join(err, r.clean(after))
	r.made()
	return res, err
}

// roomMax is how many clients at most can sleep at the same time without being a reason for
// a stall of others.
const roomMax = 64

// hurryMax is for how long the topics are tried to be deleted by one who hurries.
const hurryMax = 2 * time.Second

// onHurry calls f when Hurry is closed, until what it returns is called.
func (r *run) onHurry(f func()) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-r.Hurry:
			f()
		case <-over:
		}
	}()
	return func() { close(over) }
}

// made tells what is on the broker by now.
func (r *run) made() {
	if r.Made != nil && !r.Keep {
		r.Made(r.cluster.left(r.groups))
	}
}

// run is a run under way.
type run struct {
	Config
	cluster *cluster
	result  *result.Result
	dialer  load.Dialer
	meters  []*load.Meter
	groups  []string
	host    int // our pid
	ends    map[int]int64

	producers, consumers []actor
}

// actor is one client under load.
type actor interface {
	Run(ctx context.Context)
	Stop()  // Run ends soon
	Hurry() // Run ends at once, if it was stopped
}

func (r *run) do(ctx context.Context) (*result.Result, error) {
	if err := r.setUp(ctx); err != nil {
		return nil, err
	}
	res := r.result
	if r.Workload.Backlog > 0 {
		if err := r.backlog(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.actors(ctx); err != nil {
		return nil, err
	}
	if err := r.ready(ctx); err != nil {
		r.stopAll(r.producers, r.consumers)
		return nil, err
	}
	if r.Begin != nil {
		r.Begin(res)
	}
	perf.Room(min(r.Workload.Producers+r.Workload.Consumers, roomMax)) // an open loop sleeps in a call
	m := newMeasure(r)
	m.play(ctx)
	if n := m.total.Produced.Records + m.total.Consumed.Records; n == 0 {
		for why := range m.why {
			return res, fmt.Errorf("nothing was measured, the broker refused it all: %s", why)
		}
	}
	return res, nil
}

func (r *run) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	c := r.cluster
	if err := c.meet(ctx); err != nil {
		return err
	}
	if err := c.prepare(ctx, r.Topic, r.made); err != nil {
		return err
	}
	t, err := c.target(ctx)
	if err != nil {
		return err
	}
	same := true
	for _, a := range c.addrs {
		same = same && local(a)
	}
	if same {
		t.PID = listener(c.addrs[0])
	}
	if r.BrokerPID != 0 {
		t.PID = r.BrokerPID
		if _, ok := look(t.PID); !ok {
			return fmt.Errorf("there is no process %d to watch", t.PID)
		}
	}
	if name := software(t.PID, r.Version); t.PID != 0 && name != "" {
		t.Software = name
	}
	r.choose(same)
	r.result = &result.Result{Schema: result.Schema, Started: time.Now(), Command: r.Command, Tool: r.Tool, Workload: r.Workload, Loop: "closed", Target: t,
		Machine: machine(string(r.dialer), t.PID), SameHost: same, Notes: append([]string(nil), r.Notes...)}
	if r.Workload.Open() {
		r.result.Loop = "open"
	}
	if system := systemCongestion(); same && system == "bbr" {
		r.note("The system's default congestion control is bbr, which is slow on a loopback: the load's connections use %s, the broker's end uses what the broker asks for (penstock serve --congestion-control cubic) or else bbr.", r.result.Machine.Congestion)
	}
	if c.w.View == workload.Cores && c.penstock && len(c.addrs) == 1 {
		r.note("View cores, but the broker shows one node: either it has one shard, or --brokers is its normal port and not a core's (9192 by default).")
	}
	return nil
}

// choose settles the congestion control.
func (r *run) choose(same bool) {
	switch r.Congestion {
	case Auto, "":
		if same {
			r.dialer = load.Congestion
		}
	case System:
	default:
		r.dialer = load.Dialer(r.Congestion)
	}
}

func (r *run) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

func (r *run) say(format string, args ...any) {
	if r.Say != nil {
		r.Say(fmt.Sprintf(format, args...))
	}
}

// clean deletes what was made for the run.
func (r *run) clean(ctx context.Context) error {
	var errs []error
	begun := time.Now()
	failed := func(what string, err error) {
		if errors.Is(err, context.Canceled) { // who hurries has not called this off
			err = fmt.Errorf("no answer within %s", time.Since(begun).Round(100*time.Millisecond))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete the %s of the run: %w", what, err))
		}
	}
	if len(r.groups) > 0 {
		got, err := r.cluster.admin.DeleteGroups(ctx, r.groups...)
		if err == nil {
			r.groups = nil
		}
		for _, g := range got.Sorted() {
			if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
				r.groups = append(r.groups, g.Group)
				err = errors.Join(err, fmt.Errorf("%s: %w", g.Group, g.Err))
			}
		}
		failed("consumer groups", err)
	}
	failed("topics", r.cluster.delete(ctx))
	if left := r.cluster.left(r.groups); left != "" {
		errs = append(errs, errors.New(left))
	}
	return errors.Join(errs...)
}

// acks is the number in the protocol.
func acks(s string) int16 {
	switch s {
	case "0":
		return 0
	case "1":
		return 1
	}
	return -1
}

// meter gives client i its own, or shares one when there are many.
func (r *run) meter(i int) *load.Meter {
	const most = 64
	for len(r.meters) <= i && len(r.meters) < most {
		r.meters = append(r.meters, &load.Meter{})
	}
	return r.meters[i%len(r.meters)]
}

func (r *run) produceVersion() (int16, error) {
	return r.cluster.version(int16(kafka.Produce), produceVersionMax, 3)
}

// backlog writes what is to be read, over the wire path whatever the client is.
func (r *run) backlog(ctx context.Context) error {
	version, err := r.produceVersion()
	if err != nil {
		return err
	}
	w := r.Workload
	batches, err := load.Encode(&w)
	if err != nil {
		return err
	}
	mean := 0
	for i := range batches {
		mean += len(batches[i].Bytes)
	}
	mean /= len(batches)
	p := &load.Producer{Wire: load.Wire{Dial: r.dialer, Route: r.cluster, Version: version, InFlight: 16, Meter: &load.Meter{}, Drain: r.Drain},
		Acks: -1, Batches: batches}
	for i := range w.Topics * w.Partitions {
		p.Parts = append(p.Parts, i)
	}
	n := max(w.Backlog/int64(mean), int64(len(p.Parts)))
	defer r.onHurry(p.Hurry)()
	last := time.Time{}
	err = p.Fill(ctx, n, func(done int64) {
		if time.Since(last) > time.Second {
			last = time.Now()
			r.say("writing the backlog: %d %%", 100*done/n)
		}
	})
	if err != nil {
		return fmt.Errorf("write the backlog: %w", err)
	}
	r.say("the backlog of %s is written", workload.FormatSize(w.Backlog))
	return nil
}

// actors makes the clients.
func (r *run) actors(ctx context.Context) (err error) {
	w := &r.Workload
	setup, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	from := map[int]int64{}
	if w.Consumes() {
		// An end-to-end run reads what is sent from here on, the others what there is.
		if from, err = r.cluster.offsets(setup, w.Kind == workload.EndToEnd); err != nil {
			return err
		}
		if r.ends, err = r.cluster.offsets(setup, true); err != nil {
			return err
		}
		if empty := total(r.ends) == total(from); w.Kind == workload.Consume && empty {
			return fmt.Errorf("there is nothing to consume: the topic is empty, and the workload writes no backlog")
		}
	}
	if w.Client == workload.Franz {
		return r.franzActors(setup, from)
	}
	return r.wireActors(from)
}

func total(m map[int]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func (r *run) wireActors(from map[int]int64) error {
	w := &r.Workload
	wire := func(i, version, inFlight int, parts []int) load.Wire {
		return load.Wire{Dial: r.dialer, Route: r.cluster, Version: int16(version), Parts: parts, InFlight: inFlight, Meter: r.meter(i), Drain: r.Drain}
	}
	if w.Produces() {
		version, err := r.produceVersion()
		if err != nil {
			return err
		}
		batches, err := load.Encode(w)
		if err != nil {
			return err
		}
		for i := range w.Producers {
			r.producers = append(r.producers, &load.Producer{Wire: wire(i, int(version), w.InFlight, w.Assign(i, w.Producers, false)),
				Acks: acks(w.Acks), Batches: batches, Next: i * len(batches) / w.Producers, Rate: float64(w.Rate) / float64(w.Producers)})
		}
	}
	if w.Consumes() {
		version, err := r.cluster.version(int16(kafka.Fetch), fetchVersionMax, 4)
		if err != nil {
			return err
		}
		reading := w.Kind == workload.Consume
		inFlight := 1 // a request waits for new records on all partitions, so there is one
		if reading {
			inFlight = w.InFlight
		}
		for i := range w.Consumers {
			c := &load.Consumer{Wire: wire(w.Producers+i, int(version), inFlight, w.Assign(i, w.Consumers, true)), Max: w.FetchMax, Min: w.FetchMin,
				Wait: fetchWait, Again: reading, Latency: reading, From: map[int]int64{}}
			for _, p := range c.Parts {
				c.From[p] = from[p]
			}
			if reading {
				c.Rate = float64(w.Rate) / float64(w.Consumers)
			}
			r.consumers = append(r.consumers, c)
		}
	}
	return nil
}

// fetchWait is how long the broker waits for the least that a fetch asks for.
const fetchWait = 500 * time.Millisecond

// ready waits until consumers that share out partitions among themselves have done so.
func (r *run) ready(ctx context.Context) error {
	const joinMax = 60 * time.Second
	ctx, cancel := context.WithTimeout(ctx, joinMax)
	defer cancel()
	if len(r.groups) > 0 {
		r.say("the consumers join their groups")
	}
	for {
		n := 0
		for _, a := range r.consumers {
			if f, ok := a.(*franzConsumer); ok {
				n += int(f.assigned.Load())
			}
		}
		if n >= len(r.groups)*r.Workload.Topics*r.Workload.Partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the consumers have %d of %d partitions after %s: %w", n, len(r.groups)*r.Workload.Topics*r.Workload.Partitions, joinMax, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *run) stopAll(lists ...[]actor) {
	for _, l := range lists {
		for _, a := range l {
			a.Stop()
		}
	}
}
