package top

import (
	"fmt"
	"math"
	"time"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// Report is what two samples say together. Whatever is null is not known: there was no
// sample before, or the broker has started anew between the two.
type Report struct {
	Admin     string    `json:"admin"`
	At        time.Time `json:"at"`
	Seconds   float64   `json:"interval_seconds"` // between the samples
	Version   string    `json:"version"`
	Uptime    float64   `json:"uptime_seconds"`
	Restarted bool      `json:"restarted,omitempty"`
	Total     Total     `json:"total"`
	Cores     []Core    `json:"cores"`
	Topics    []Topic   `json:"topics"`
	Groups    []Group   `json:"groups"`
	Clients   []Client  `json:"clients"`

	part part // what was asked for
}

// Total is the broker as a whole: Busy is the mean of its cores, everything else their
// sum.
type Total struct {
	Imbalance *float64 `json:"imbalance"` // the busiest core over the mean; 1 is even
	Figures   `yaml:",inline"`
}

// Core is one shard with its loop.
type Core struct {
	ID      int    `json:"id"`
	Failed  string `json:"storage_failed,omitempty"` // why nothing is acknowledged any more
	Figures `yaml:",inline"`
}

// Figures are those of a core. Rates are per second of the shard's own time.
type Figures struct {
	Busy        *float64 `json:"busy"` // share of the time, 0 to 1
	Requests    *float64 `json:"requests_per_second"`
	Produces    *float64 `json:"produce_requests_per_second"`
	Fetches     *float64 `json:"fetch_requests_per_second"`
	BytesIn     *float64 `json:"bytes_in_per_second"`
	BytesOut    *float64 `json:"bytes_out_per_second"`
	Appended    *float64 `json:"appended_bytes_per_second"`
	Batches     *float64 `json:"appended_batches_per_second"`
	Crossed     *float64 `json:"crossed_requests_per_second"`
	Commits     *float64 `json:"commits_per_second"`
	Pending     int64    `json:"pending_appends"`
	UnderWay    int64    `json:"requests_under_way"`
	Queued      int64    `json:"output_queued_bytes"`
	Connections int64    `json:"connections"`
	Partitions  int64    `json:"partitions"`
	Quarantined int64    `json:"partitions_quarantined"`
	Sync        Latency  `json:"sync_latency"`
	Produce     Latency  `json:"produce_latency"`
	Fetch       Latency  `json:"fetch_latency"`
}

// Topic is one topic: sums over its partitions, which are given as the broker gave them.
type Topic struct {
	Name       string             `json:"name"`
	ID         string             `json:"id"`
	Internal   bool               `json:"internal,omitempty"`
	Durability string             `json:"durability"`
	Records    int64              `json:"records"` // from log start to log end
	Bytes      int64              `json:"bytes"`
	Appended   *float64           `json:"appended_bytes_per_second"`
	Added      *float64           `json:"appended_records_per_second"`
	Refused    int                `json:"refused_partitions,omitempty"`
	Partitions []status.Partition `json:"partitions"`

	same bool // no new count has come since the sample before; so below
}

// Group is one group.
type Group struct {
	status.Group `yaml:",inline"`
	Topics       int      `json:"topics"`
	Committed    *float64 `json:"committed_records_per_second"`

	same bool
}

// Client is one connection.
type Client struct {
	status.Client `yaml:",inline"`
	RequestRate   *float64 `json:"requests_per_second"`
	InRate        *float64 `json:"bytes_in_per_second"`
	OutRate       *float64 `json:"bytes_out_per_second"`

	same bool
}

// compare makes the report of b, with rates since a; a may be nil.
func compare(a, b *sample) *Report {
	r := &Report{part: b.part, At: b.shards.At, Version: b.shards.Version, Uptime: b.shards.Uptime}
	if a != nil && startedAnew(&a.shards, &b.shards) {
		r.Restarted, a = true, nil
	}
	if a == nil {
		a = &sample{}
	}
	r.shards(a, b)
	r.topics(a, b)
	r.groups(a, b)
	r.clients(a, b)
	return r
}

// since is the time between two samples of something, on the clock of its shard; same
// says that both are one: the broker asks its shards anew only every so often.
func since(a, b float64) (dt float64, same bool) {
	if a <= 0 || b <= 0 {
		return 0, false // its shard did not answer
	}
	return b - a, a == b
}

// carry takes the rates of before where no new count has come since.
func (r *Report) carry(before *Report) {
	topics, groups, clients := map[string]*Topic{}, map[string]*Group{}, map[string]*Client{}
	for i := range before.Topics {
		topics[before.Topics[i].ID+before.Topics[i].Name] = &before.Topics[i]
	}
	for i := range before.Groups {
		groups[before.Groups[i].Name] = &before.Groups[i]
	}
	for i := range before.Clients {
		clients[socket(&before.Clients[i].Client)] = &before.Clients[i]
	}
	for i := range r.Topics {
		if t := &r.Topics[i]; t.same && topics[t.ID+t.Name] != nil {
			t.Appended, t.Added = topics[t.ID+t.Name].Appended, topics[t.ID+t.Name].Added
		}
	}
	for i := range r.Groups {
		if g := &r.Groups[i]; g.same && groups[g.Name] != nil {
			g.Committed = groups[g.Name].Committed
		}
	}
	for i := range r.Clients {
		c := &r.Clients[i]
		if was := clients[socket(&c.Client)]; c.same && was != nil {
			c.RequestRate, c.InRate, c.OutRate = was.RequestRate, was.InRate, was.OutRate
		}
	}
}

// startedAnew says that b counts from another start of the broker than a: it ran less
// long, or it began at another time, for one that ran a second may run for two before it
// is asked again. Two clocks of a machine may part by 500 ppm while one of them is
// corrected; a clock that is set costs a dash for one interval.
func startedAnew(a, b *status.Shards) bool {
	passed := b.At.Sub(a.At).Seconds()
	moved := math.Abs(passed - (b.Uptime - a.Uptime))
	if b.Uptime < a.Uptime || moved > 0.1+0.001*math.Abs(passed) {
		return true
	}
	before := byID(a.Shards)
	for i := range b.Shards {
		if p := before[b.Shards[i].ID]; p != nil && b.Shards[i].At < p.At {
			return true
		}
	}
	return false
}

func byID(all []status.Shard) map[int]*status.Shard {
	out := make(map[int]*status.Shard, len(all))
	for i := range all {
		out[all[i].ID] = &all[i]
	}
	return out
}

// shards fills cores and total.
func (r *Report) shards(a, b *sample) {
	before := byID(a.shards.Shards)
	var gains [3][]status.Hist // sync, produce, fetch
	r.Cores = []Core{}
	most := 0.0
	for i := range b.shards.Shards {
		s := &b.shards.Shards[i]
		c := Core{ID: s.ID, Figures: Figures{Pending: s.Pending, UnderWay: s.Messages, Queued: s.Queued, Connections: s.Connections, Partitions: s.Partitions, Quarantined: s.Quarantined}, Failed: s.Failed}
		if p := before[s.ID]; p != nil && s.At > p.At {
			dt := s.At - p.At
			r.Seconds = max(r.Seconds, dt)
			c.rates(p, s, dt)
			for j, pair := range [3][2]status.Hist{{p.Sync, s.Sync}, {p.Produce, s.Produce}, {p.Fetch, s.Fetch}} {
				if g, ok := gain(pair[0], pair[1]); ok {
					*[3]*Latency{&c.Sync, &c.Produce, &c.Fetch}[j] = latency(g)
					gains[j] = append(gains[j], g)
				}
			}
		}
		if c.Busy != nil {
			most = max(most, *c.Busy)
		}
		r.Cores = append(r.Cores, c)
		r.Total.add(&c.Figures)
	}
	r.Total.Sync, r.Total.Produce, r.Total.Fetch = latency(merge(gains[0])), latency(merge(gains[1])), latency(merge(gains[2]))
	if r.Total.Busy != nil {
		mean := *r.Total.Busy / float64(len(r.Cores))
		r.Total.Busy = &mean
		if mean > 0 {
			over := most / mean
			r.Total.Imbalance = &over
		}
	}
}

func (f *Figures) rates(a, b *status.Shard, dt float64) {
	if busy := (b.Busy - a.Busy) / dt; busy >= 0 {
		busy = min(busy, 1) // the two clocks are read one behind the other
		f.Busy = &busy
	}
	f.Requests, f.Produces, f.Fetches = rate(a.Requests, b.Requests, dt), rate(a.Produces, b.Produces, dt), rate(a.Fetches, b.Fetches, dt)
	f.BytesIn, f.BytesOut = rate(a.BytesIn, b.BytesIn, dt), rate(a.BytesOut, b.BytesOut, dt)
	f.Appended, f.Batches = rate(a.Appended, b.Appended, dt), rate(a.Batches, b.Batches, dt)
	f.Crossed, f.Commits = rate(a.Crossed, b.Crossed, dt), rate(a.Commits, b.Commits, dt)
}

// add sums everything but the percentiles, which no sum gives.
func (f *Figures) add(c *Figures) {
	for _, p := range [][2]**float64{{&f.Busy, &c.Busy}, {&f.Requests, &c.Requests}, {&f.Produces, &c.Produces}, {&f.Fetches, &c.Fetches}, {&f.BytesIn, &c.BytesIn},
		{&f.BytesOut, &c.BytesOut}, {&f.Appended, &c.Appended}, {&f.Batches, &c.Batches}, {&f.Crossed, &c.Crossed}, {&f.Commits, &c.Commits}} {
		sum(p[0], *p[1])
	}
	f.Pending += c.Pending
	f.UnderWay += c.UnderWay
	f.Queued += c.Queued
	f.Connections += c.Connections
	f.Partitions += c.Partitions
	f.Quarantined += c.Quarantined
}

// sum adds what is known; nothing known stays unknown.
func sum(to **float64, v *float64) {
	if v == nil {
		return
	}
	s := *v
	if *to != nil {
		s += **to
	}
	*to = &s
}

// rate is unknown when there is no time between the two, or the counter went back.
func rate(a, b int64, dt float64) *float64 {
	if dt <= 0 || b < a {
		return nil
	}
	v := float64(b-a) / dt
	return &v
}

func (r *Report) topics(a, b *sample) {
	type at struct {
		id    string
		index int32
	}
	before := map[at]*status.Partition{}
	for i := range a.topics {
		t := &a.topics[i]
		for j := range t.Partitions {
			before[at{t.ID + t.Name, t.Partitions[j].Index}] = &t.Partitions[j]
		}
	}
	r.Topics = []Topic{}
	for i := range b.topics {
		t := &b.topics[i]
		o := Topic{Name: t.Name, ID: t.ID, Internal: t.Internal, Durability: t.Durability, Partitions: t.Partitions}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			o.Records += p.End - p.Start
			o.Bytes += p.Bytes
			if p.Bad != "" {
				o.Refused++
			}
			if q := before[at{t.ID + t.Name, p.Index}]; q != nil && q.Shard == p.Shard {
				dt, same := since(q.At, p.At)
				o.same = o.same || same
				sum(&o.Appended, rate(q.Appended, p.Appended, dt))
				sum(&o.Added, rate(q.End, p.End, dt))
			}
		}
		r.Topics = append(r.Topics, o)
	}
}

func (r *Report) groups(a, b *sample) {
	type at struct {
		group, topic string
		partition    int32
	}
	before, taken := map[at]int64{}, map[string]float64{}
	for i := range a.groups {
		taken[a.groups[i].Name] = a.groups[i].At
		for _, o := range a.groups[i].Offsets {
			before[at{a.groups[i].Name, o.Topic, o.Partition}] = o.Offset
		}
	}
	r.Groups = []Group{}
	for i := range b.groups {
		g := Group{Group: b.groups[i]}
		seen := map[string]bool{}
		dt := 0.0
		dt, g.same = since(taken[g.Name], g.At)
		for _, o := range g.Offsets {
			seen[o.Topic] = true
			if was, ok := before[at{g.Name, o.Topic, o.Partition}]; ok {
				sum(&g.Committed, rate(was, o.Offset, dt)) // what was sought back counts for nothing
			}
		}
		g.Topics = len(seen)
		r.Groups = append(r.Groups, g)
	}
}

// socket is what tells one connection from the others.
func socket(c *status.Client) string { return fmt.Sprint(c.Shard, c.Remote, c.Local) }

func (r *Report) clients(a, b *sample) {
	before := map[string]*status.Client{}
	for i := range a.clients {
		before[socket(&a.clients[i])] = &a.clients[i]
	}
	r.Clients = []Client{}
	for i := range b.clients {
		c := Client{Client: b.clients[i]}
		// A younger connection from the same port is another one.
		if p := before[socket(&c.Client)]; p != nil && p.Age <= c.Age {
			dt, same := since(p.At, c.At)
			c.same = same
			c.RequestRate, c.InRate, c.OutRate = rate(p.Requests, c.Requests, dt), rate(p.BytesIn, c.BytesIn, dt), rate(p.BytesOut, c.BytesOut, dt)
		}
		r.Clients = append(r.Clients, c)
	}
}
