// Package workload says what load is put on a broker: what is sent and read, by how many
// clients, how fast and for how long. A workload is plain data, so that a run can be
// repeated and two runs can be told to be alike.
package workload

import "time"

// Kinds of workload.
const (
	Produce  = "produce"
	Consume  = "consume"
	EndToEnd = "e2e"   // one load of producers and consumers; latency from the intended send to the arrival
	Mixed    = "mixed" // producers at their rate, and consumers that read all there is as fast as they can
)

// Workload is one load. New gives one with the defaults of its kind; Check says whether
// the fields fit together. Sizes are in bytes.
type Workload struct {
	Name string `json:"name" yaml:"name"`
	Doc  string `json:"doc,omitempty" yaml:"doc,omitempty"`
	Kind string `json:"kind" yaml:"kind"` // produce, consume, e2e or mixed

	Topics     int `json:"topics" yaml:"topics"`
	Partitions int `json:"partitions" yaml:"partitions"` // of each topic

	RecordSize   int    `json:"record_size" yaml:"record_size"`     // of a value; ignored with a Payload file
	BatchSize    int    `json:"batch_size" yaml:"batch_size"`       // of a record batch as sent, at most, if not a single record is larger
	BatchRecords int    `json:"batch_records" yaml:"batch_records"` // instead of BatchSize; 0: by size
	Keys         string `json:"keys" yaml:"keys"`                   // none, random or sequential
	KeySize      int    `json:"key_size" yaml:"key_size"`
	Compression  string `json:"compression" yaml:"compression"`               // none, gzip, snappy, lz4 or zstd
	Payload      string `json:"payload" yaml:"payload"`                       // random, or a file whose lines are the values
	PayloadSHA   string `json:"payload_sha256,omitempty" yaml:"-"`            // of the file
	Producers    int    `json:"producers" yaml:"producers"`                   // connections or clients that send
	Consumers    int    `json:"consumers" yaml:"consumers"`                   // that read
	Groups       int    `json:"groups" yaml:"groups"`                         // consumer groups; 0: partitions are assigned by hand
	Pinned       bool   `json:"pinned" yaml:"pinned"`                         // client i has topic i (or partition i) for itself
	InFlight     int    `json:"in_flight" yaml:"in_flight"`                   // requests per connection
	Acks         string `json:"acks" yaml:"acks"`                             // all, 1 or 0
	Idempotent   bool   `json:"idempotent" yaml:"idempotent"`                 // franz client only
	Durability   string `json:"durability,omitempty" yaml:"durability"`       // synced, interval or os; "": as the broker has it
	FetchMax     int    `json:"fetch_max_bytes" yaml:"fetch_max_bytes"`       // of an answer
	FetchMin     int    `json:"fetch_min_bytes" yaml:"fetch_min_bytes"`       // the broker waits for so many
	Backlog      int64  `json:"backlog_bytes" yaml:"backlog_bytes"`           // written before a consume begins
	Rate         int64  `json:"rate,omitempty" yaml:"rate"`                   // records a second of all producers (consume: of all consumers); 0: closed loop
	Warmup       Time   `json:"warmup" yaml:"warmup"`                         // dropped
	Duration     Time   `json:"duration" yaml:"duration"`                     // measured
	Client       string `json:"client" yaml:"client"`                         // wire (pre-encoded) or franz (franz-go)
	View         string `json:"view" yaml:"view"`                             // normal, or cores (per-core ports)
	Configs      Config `json:"topic_configs,omitempty" yaml:"topic_configs"` // more of the topics made
}

// Config is a topic's configuration by Kafka's names.
type Config map[string]string

// Time is a duration that reads and writes itself as 10s.
type Time time.Duration

func (t Time) String() string               { return time.Duration(t).String() }
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a duration such as 1m30s.
func (t *Time) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*t = Time(d)
	return err
}

// Open says that the load keeps to a rate, whatever the broker does.
func (w *Workload) Open() bool { return w.Rate > 0 }
