// Package result is what a run of a workload found: one value with everything in it, its
// files (JSON, HdrHistogram log, CSV, a page of HTML, OpenMessaging Benchmark's JSON), and
// the comparison of several.
package result

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/perf"
)

// Schema is the version of the JSON form.
const Schema = 1

// Result is one run.
type Result struct {
	Schema      int               `json:"schema"`
	Started     time.Time         `json:"started"`
	Command     []string          `json:"command"` // repeats the run
	Tool        string            `json:"tool"`    // name and version of what made the load
	Workload    workload.Workload `json:"workload"`
	Loop        string            `json:"loop"` // open: latency from the intended send time; closed: from the send
	Target      Target            `json:"target"`
	Machine     perf.Fingerprint  `json:"machine"`   // of the load
	SameHost    bool              `json:"same_host"` // load and broker share the machine
	Interrupted bool              `json:"interrupted,omitempty"`
	Seconds     float64           `json:"seconds"` // measured, without the warm-up
	Produced    Flow              `json:"produced"`
	Consumed    Flow              `json:"consumed"`
	Latencies   []Latency         `json:"latencies"`
	Series      []Second          `json:"series"`
	Load        Usage             `json:"load"`             // of the process that makes the load
	Broker      *Usage            `json:"broker,omitempty"` // where it is local and can be seen
	Notes       []string          `json:"notes,omitempty"`  // what makes the figures less than they seem
	Asserted    []Outcome         `json:"assertions,omitempty"`
}

// Target is the broker.
type Target struct {
	Brokers    []string `json:"brokers"`
	Software   string   `json:"software"` // as far as it can be told: penstock 0.1.0, Apache Kafka (protocol of 4.1), …
	Cluster    string   `json:"cluster_id"`
	Nodes      int      `json:"nodes"`
	Shards     int      `json:"shards,omitempty"`
	Durability string   `json:"durability"` // in words: what an acknowledgement waited for
	PID        int      `json:"pid,omitempty"`
}

// Flow is records that were acknowledged, or that arrived, in the measured time.
type Flow struct {
	Requests int64   `json:"requests"`
	Records  int64   `json:"records"`
	Bytes    int64   `json:"bytes"` // of record batches, as on the wire
	Errors   int64   `json:"errors"`
	RecordsS float64 `json:"records_per_second"`
	BytesS   float64 `json:"bytes_per_second"`
}

// Names of latencies.
const (
	ProduceLatency  = "produce"    // to the acknowledgement
	FetchLatency    = "fetch"      // to the answer
	EndToEndLatency = "end to end" // to the arrival at the consumer
)

// Latency is one kind of latency, in ns. Who makes a result fills Name, Hist and, if it
// can, Intervals; Finish fills the rest.
type Latency struct {
	Name string                  `json:"name"`
	Hist *hdrhistogram.Histogram `json:"-"`         // merged from those of the load's cores
	Data string                  `json:"histogram"` // the same, in HdrHistogram's V2 compressed base64 form

	// Intervals are what Hist was merged from by time, one about every second, each with
	// its start and end time. They go into the .hlog and not into the JSON.
	Intervals []*hdrhistogram.Histogram `json:"-"`

	P50  int64   `json:"p50_ns"`
	P90  int64   `json:"p90_ns"`
	P99  int64   `json:"p99_ns"`
	P999 int64   `json:"p999_ns"`
	P4   int64   `json:"p9999_ns"`
	Max  int64   `json:"max_ns"`
	Mean float64 `json:"mean_ns"`
	N    int64   `json:"count"`
}

// Second is one interval of the run, about a second. Those of the warm-up have Warm.
type Second struct {
	At        float64   `json:"at"`      // s since the load began, at its end
	Seconds   float64   `json:"seconds"` // its length
	Warm      bool      `json:"warmup,omitempty"`
	Produced  int64     `json:"produced_records"`
	ProducedB int64     `json:"produced_bytes"`
	Consumed  int64     `json:"consumed_records"`
	ConsumedB int64     `json:"consumed_bytes"`
	Errors    int64     `json:"errors"`
	Backlog   int64     `json:"backlog"` // records due and not sent, or produced and not consumed
	P50       int64     `json:"p50_ns"`  // of the main latency: end to end, else produce, else fetch
	P99       int64     `json:"p99_ns"`
	P999      int64     `json:"p999_ns"`
	Max       int64     `json:"max_ns"`
	LoadCPU   float64   `json:"load_cpu"`               // CPUs used
	BrokerCPU float64   `json:"broker_cpu,omitempty"`   // of a local broker
	Cores     []float64 `json:"broker_cores,omitempty"` // busy share per CPU of the machine
}

// Usage is what a process used while it was measured.
type Usage struct {
	CPUSeconds float64 `json:"cpu_seconds"`
	CPUShare   float64 `json:"cpu_share"` // of all that the machine has, 0 to 1
	RSS        int64   `json:"rss_bytes"` // largest seen
	RSSAnon    int64   `json:"rss_anon_bytes"`
}
