package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// still is a source that does not move.
type still struct {
	shards status.Shards
	topics []status.Topic
	groups []status.Group
}

func (s still) Shards() status.Shards  { return s.shards }
func (s still) Topics() []status.Topic { return s.topics }
func (s still) Groups() []status.Group { return s.groups }

func collect(t *testing.T, source Source) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(New(Options{Version: "1", Commit: "abc", Broker: func() Broker { return Broker{Ready: source != nil, Node: 1, DiskTotal: -1} },
		Source: func() Source { return source }}))
	return reg
}

var hist = status.Hist{Bounds: []float64{0.001, 0.01}, Counts: []int64{4, 2, 1}, Sum: 0.5}

// Counts of a snapshot are each for themselves, buckets of Prometheus add up. A partition
// that is not served has no offsets, and is not in sync. Group names are their clients'
// own bytes.
func TestSamples(t *testing.T) {
	reg := collect(t, still{
		status.Shards{Shards: []status.Shard{{ID: 3, Requests: 10, Produces: 7, Fetches: 1, Busy: 1.5, Produce: hist, Failed: "disk"}}},
		[]status.Topic{{Name: "a", Partitions: []status.Partition{{Start: 2, High: 9, Bytes: 100}, {Index: 1, Bad: "quarantined"}}}},
		[]status.Group{
			{Name: "\xff", Members: 1, Offsets: []status.GroupOffset{{Topic: "a", Offset: 4, Lag: 5}, {Topic: "a", Partition: 1, Offset: 1, Lag: 1}, {Topic: "b", Offset: 7}}},
			{Name: `"\xff"`, Members: 2}, // would be the same label
		},
	})
	want := `
# HELP kafka_consumergroup_lag_sum Sum of these for the topic.
# TYPE kafka_consumergroup_lag_sum gauge
kafka_consumergroup_lag_sum{consumergroup="\"\\xff\"",topic="a"} 6
kafka_consumergroup_lag_sum{consumergroup="\"\\xff\"",topic="b"} 0
# HELP kafka_consumergroup_members Members of the group.
# TYPE kafka_consumergroup_members gauge
kafka_consumergroup_members{consumergroup="\"\\xff\""} 1
# HELP kafka_topic_partition_current_offset High watermark of the partition.
# TYPE kafka_topic_partition_current_offset gauge
kafka_topic_partition_current_offset{partition="0",topic="a"} 9
# HELP kafka_topic_partition_in_sync_replica Replicas in sync: one, or none of a partition that is not served.
# TYPE kafka_topic_partition_in_sync_replica gauge
kafka_topic_partition_in_sync_replica{partition="0",topic="a"} 1
kafka_topic_partition_in_sync_replica{partition="1",topic="a"} 0
# HELP penstock_journal_sync_duration_seconds Group commits: writing and syncing the journal.
# TYPE penstock_journal_sync_duration_seconds histogram
penstock_journal_sync_duration_seconds_bucket{shard="3",le="+Inf"} 0
penstock_journal_sync_duration_seconds_sum{shard="3"} 0
penstock_journal_sync_duration_seconds_count{shard="3"} 0
# HELP penstock_requests_total Requests of clients of this shard that have ended.
# TYPE penstock_requests_total counter
penstock_requests_total{kind="fetch",shard="3"} 1
penstock_requests_total{kind="other",shard="3"} 2
penstock_requests_total{kind="produce",shard="3"} 7
# HELP penstock_storage_failed 1 if the shard acknowledges nothing any more.
# TYPE penstock_storage_failed gauge
penstock_storage_failed{shard="3"} 1
`
	var names []string
	for line := range strings.Lines(want) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, strings.Fields(rest)[0])
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "penstock_request_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); m.GetLabel()[0].GetValue() == "produce" && (h.GetSampleCount() != 7 || h.GetBucket()[0].GetCumulativeCount() != 4 || h.GetBucket()[1].GetCumulativeCount() != 6) {
				t.Error(h)
			}
		}
	}
}

// Our own names keep Prometheus' rules. Before there is a source the broker still shows.
func TestNamesAndTheStart(t *testing.T) {
	problems, err := testutil.GatherAndLint(collect(t, still{shards: status.Shards{Shards: []status.Shard{{}}}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "penstock_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	want := `
# HELP penstock_ready 1 while clients are served.
# TYPE penstock_ready gauge
penstock_ready 0
`
	if err := testutil.GatherAndCompare(collect(t, nil), strings.NewReader(want), "penstock_ready", "penstock_partitions", "kafka_brokers"); err != nil {
		t.Error(err)
	}
}
