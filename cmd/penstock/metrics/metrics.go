// Package metrics shows the broker to Prometheus. It counts nothing itself: when it is
// scraped it takes the snapshots that also the admin port's JSON is made of, and turns
// them into samples. Nothing of it runs on a loop.
//
// Two families of names: penstock_* is our own, per shard; kafka_* is what kafka_exporter
// calls offsets and lag, so that dashboards and alerts made for it work as they are.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// Source is where the snapshots come from. Any goroutine may call it.
type Source interface {
	Shards() status.Shards
	Topics() []status.Topic
	Groups() []status.Group
}

// Broker is what is no shard's.
type Broker struct {
	Ready              bool
	Node               int // id of the one broker that the normal port shows
	ConnectionsMax     int64
	ConnectionsRefused int64
	DiskTotal          int64 // -1: not known
	DiskUsable         int64
}

// Options are what a collector needs.
type Options struct {
	Version, Commit string
	Broker          func() Broker
	Source          func() Source // nil while clients are not served yet
}

// collector is a prometheus.Collector.
type collector struct {
	opt Options
	out chan<- prometheus.Metric
}

// New makes the collector.
func New(opt Options) prometheus.Collector { return &collector{opt: opt} }

// Handler serves the collector, the process and the Go runtime from a registry of its own.
func Handler(opt Options) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(New(opt), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		out <- d
	}
}

// Collect implements prometheus.Collector. Scrapes may come at the same time.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := &collector{c.opt, out}
	b := c.opt.Broker()
	s.gauge(buildInfo, 1, c.opt.Version, c.opt.Commit, runtime.Version())
	s.gauge(ready, truth(b.Ready))
	s.gauge(connectionsMax, float64(b.ConnectionsMax))
	s.counter(connectionsRefused, float64(b.ConnectionsRefused))
	if b.DiskTotal >= 0 {
		s.gauge(diskSize, float64(b.DiskTotal))
		s.gauge(diskUsable, float64(b.DiskUsable))
	}
	source := c.opt.Source()
	if source == nil {
		return
	}
	shards := source.Shards()
	for i := range shards.Shards {
		s.shard(&shards.Shards[i])
	}
	// The groups first: they were looked at before the partitions, and a second that ends
	// in between leaves them older, not newer.
	groups := source.Groups()
	s.topics(source.Topics(), b.Node)
	s.groups(groups)
}

func (c *collector) gauge(d *prometheus.Desc, v float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (c *collector) counter(d *prometheus.Desc, v float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (c *collector) histogram(d *prometheus.Desc, h *status.Hist, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var n uint64
	for i, k := range h.Counts {
		n += uint64(k)
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = n
		}
	}
	c.out <- prometheus.MustNewConstHistogram(d, n, h.Sum, buckets, labels...)
}

func truth(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (c *collector) shard(s *status.Shard) {
	id := strconv.Itoa(s.ID)
	for kind, n := range map[string]int64{"produce": s.Produces, "fetch": s.Fetches, "other": s.Requests - s.Produces - s.Fetches} {
		c.counter(requests, float64(n), id, kind)
	}
	c.histogram(requestDuration, &s.Produce, id, "produce")
	c.histogram(requestDuration, &s.Fetch, id, "fetch")
	c.histogram(syncDuration, &s.Sync, id)
	c.counter(loopBusy, s.Busy, id)
	for _, m := range []struct {
		desc *prometheus.Desc
		v    int64
	}{
		{loopTurns, s.Turns}, {received, s.BytesIn}, {sent, s.BytesOut},
		{appendedBytes, s.Appended}, {appendedBatches, s.Batches}, {repeatedBatches, s.Repeats},
		{reads, s.Reads}, {readBytes, s.ReadBytes}, {refused, s.Refused}, {crossed, s.Crossed},
		{commits, s.Commits}, {checkpoints, s.Checkpoints},
		{accepted, s.Accepted}, {closed, s.Closed}, {paused, s.Paused}, {stalled, s.Stalled},
	} {
		c.counter(m.desc, float64(m.v), id)
	}
	for _, m := range []struct {
		desc *prometheus.Desc
		v    int64
	}{
		{pendingAppends, s.Pending}, {pendingBytes, s.PendingSize}, {inFlight, s.Messages}, {queued, s.Queued},
		{arenaChunks, s.Arena}, {arenaFree, s.ArenaFree}, {connections, s.Connections},
		{partitions, s.Partitions}, {quarantined, s.Quarantined},
	} {
		c.gauge(m.desc, float64(m.v), id)
	}
	c.gauge(storageFailed, truth(s.Failed != ""), id)
}
