// Package status is the JSON of the admin port below /v1: the broker fills it from
// snapshots that its shards publish, and penstock top reads it. Counters count from the
// start of the broker; rates are for the reader to make, from two answers.
package status

import "time"

// Paths of the admin port.
const (
	ShardsPath  = "/v1/shards"
	TopicsPath  = "/v1/topics"
	GroupsPath  = "/v1/groups"
	ClientsPath = "/v1/clients"
)

// Shards is the answer to ShardsPath.
type Shards struct {
	At      time.Time `json:"at"`
	Uptime  float64   `json:"uptime_seconds"`
	Version string    `json:"version"`
	Shards  []Shard   `json:"shards"`
}

// Shard is one shard with its loop. Times are seconds.
type Shard struct {
	ID          int     `json:"id"`
	At          float64 `json:"at"`           // monotonic time of the snapshot
	Busy        float64 `json:"busy_seconds"` // the loop was not waiting; gaps between its turns of at most 20 us count
	Requests    int64   `json:"requests_total"`
	Produces    int64   `json:"produce_requests_total"`
	Fetches     int64   `json:"fetch_requests_total"`
	BytesIn     int64   `json:"bytes_in_total"`
	BytesOut    int64   `json:"bytes_out_total"`
	Appended    int64   `json:"appended_bytes_total"`
	Batches     int64   `json:"appended_batches_total"`
	Reads       int64   `json:"reads_total"` // of partitions, answered with bytes
	ReadBytes   int64   `json:"read_bytes_total"`
	Refused     int64   `json:"refused_total"`          // appends, reads and questions
	Repeats     int64   `json:"repeated_batches_total"` // that an idempotent producer sent again
	Crossed     int64   `json:"crossed_requests_total"` // sent on to other shards
	Commits     int64   `json:"commits_total"`          // of the journal
	Checkpoints int64   `json:"checkpoints_total"`
	Pending     int64   `json:"pending_appends"` // not yet durable
	PendingSize int64   `json:"pending_bytes"`   // that wait for a group commit
	Messages    int64   `json:"requests_under_way"`
	Queued      int64   `json:"output_queued_bytes"`
	Arena       int64   `json:"arena_chunks"`
	ArenaFree   int64   `json:"arena_chunks_free"`
	Turns       int64   `json:"turns_total"` // of the loop
	Accepted    int64   `json:"connections_accepted_total"`
	Closed      int64   `json:"connections_closed_total"`
	Paused      int64   `json:"connections_paused_total"`  // times that reading of one was stopped
	Stalled     int64   `json:"connections_stalled_total"` // closed, since the client took nothing
	Connections int64   `json:"connections"`
	Partitions  int64   `json:"partitions"`
	Quarantined int64   `json:"partitions_quarantined"`
	Failed      string  `json:"storage_failed,omitempty"` // why nothing is acknowledged any more
	Produce     Hist    `json:"produce_latency"`          // from the request to the answer, in the broker
	Fetch       Hist    `json:"fetch_latency"`            // without the wait for data
	Sync        Hist    `json:"sync_latency"`             // of a group commit
}

// Hist is a histogram: Counts[i] is how many took at most Bounds[i] seconds and more
// than the bound before; the last count has no bound.
type Hist struct {
	Bounds []float64 `json:"bounds_seconds"`
	Counts []int64   `json:"counts"`
	Sum    float64   `json:"sum_seconds"`
}

// Topic is one element of the answer to TopicsPath.
type Topic struct {
	Name       string      `json:"name"`
	ID         string      `json:"id"`
	Internal   bool        `json:"internal,omitempty"`
	Durability string      `json:"durability"`
	Partitions []Partition `json:"partitions"`
}

// Partition is one partition's positions.
type Partition struct {
	Index int32 `json:"index"`
	Shard int   `json:"shard"`
	Start int64 `json:"log_start"`
	High  int64 `json:"high_watermark"`
	End   int64 `json:"log_end"`
	Bytes int64 `json:"bytes"` // in its segments and its tail
	// Appended counts since the start of the broker; a rate comes of two answers.
	Appended int64  `json:"appended_bytes_total"`
	Bad      string `json:"refused,omitempty"` // why it is not served
	// At is when its shard was asked, on the clock of Shard.At; 0: it did not answer.
	At float64 `json:"at"`
}

// Group is one element of the answer to GroupsPath.
type Group struct {
	Name    string        `json:"name"`
	State   string        `json:"state"`
	Members int           `json:"members"`
	Lag     int64         `json:"lag"` // of all its partitions
	Offsets []GroupOffset `json:"offsets"`
	At      float64       `json:"at"` // when its coordinator was asked, on the clock of Shard.At
}

// GroupOffset is what a group has committed of one partition.
type GroupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"committed"`
	High      int64  `json:"high_watermark"`
	Lag       int64  `json:"lag"`
}

// Client is one element of the answer to ClientsPath: one connection.
type Client struct {
	Shard    int     `json:"shard"`
	Remote   string  `json:"remote"`
	Local    string  `json:"local"`
	ID       string  `json:"client_id"`
	Software string  `json:"software,omitempty"` // as it said in ApiVersions
	Age      float64 `json:"age_seconds"`
	At       float64 `json:"at"` // when its shard was asked, on the clock of Shard.At
	Requests int64   `json:"requests_total"`
	BytesIn  int64   `json:"bytes_in_total"`
	BytesOut int64   `json:"bytes_out_total"`
}
