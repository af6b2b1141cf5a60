package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/penstock/penstock/cmd/penstock/status"
)

// scrape asks for /metrics as Prometheus does.
func scrape(t *testing.T, admin string) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	code, body := get("http://" + admin + "/metrics")
	if code != 200 {
		t.Fatalf("%d: %.2000s", code, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families, body
}

// sumOf adds up the samples of a family that have all of the labels, given in pairs.
func sumOf(f *dto.MetricFamily, labels ...string) (sum float64, n int) {
	for _, m := range f.GetMetric() {
		matching := 0
		for _, l := range m.GetLabel() {
			for i := 0; i < len(labels); i += 2 {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					matching++
				}
			}
		}
		if matching == len(labels)/2 {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			n++
		}
	}
	return sum, n
}

// busyBroker is a broker with a topic, records, and a group that has read some of them.
func busyBroker(t *testing.T) (p *process, f facts) {
	t.Helper()
	p = launch(t, small(t.TempDir(), memoryDir(t))...)
	f = p.ready()
	c := connect(t, f.Listeners[0].Address)
	if err := c.createTopic("seen", 2, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := c.produce("seen", int32(i%2), oneBatch("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.fetch("seen", 0, 0); err != nil {
		t.Fatal(err)
	}
	for partition, at := range []int64{2, 5} {
		if err := c.commit("readers", "seen", int32(partition), at); err != nil {
			t.Fatal(err)
		}
	}
	return p, f
}

// What a scrape says of requests, offsets and lag is what has happened.
func TestScrapeSaysWhatHappened(t *testing.T) {
	_, f := busyBroker(t)
	m, body := scrape(t, f.Admin)
	for _, want := range []struct {
		name   string
		labels []string
		v      float64
	}{
		{"penstock_ready", nil, 1},
		{"penstock_build_info", []string{"version", version}, 1},
		{"penstock_requests_total", []string{"kind", "produce"}, 10},
		{"penstock_requests_total", []string{"kind", "fetch"}, 1},
		{"penstock_request_duration_seconds", []string{"kind", "produce"}, 10},
		{"penstock_connections", nil, 1},
		{"penstock_storage_failed", nil, 0},
		{"kafka_brokers", nil, 1},
		{"kafka_topic_partitions", []string{"topic", "seen"}, 2},
		{"kafka_topic_partition_current_offset", []string{"topic", "seen", "partition", "1"}, 5},
		{"kafka_topic_partition_oldest_offset", []string{"topic", "seen", "partition", "1"}, 0},
		{"kafka_topic_partition_leader", []string{"topic", "seen", "partition", "0"}, nodeID},
		{"kafka_topic_partition_replicas", []string{"topic", "seen"}, 2},
		{"kafka_topic_partition_in_sync_replica", []string{"topic", "seen"}, 2},
		{"kafka_topic_partition_leader_is_preferred", []string{"topic", "seen"}, 2},
		{"kafka_topic_partition_under_replicated_partition", []string{"topic", "seen"}, 0},
		{"kafka_consumergroup_current_offset", []string{"consumergroup", "readers", "topic", "seen", "partition", "0"}, 2},
		{"kafka_consumergroup_current_offset_sum", []string{"consumergroup", "readers", "topic", "seen"}, 7},
		{"kafka_consumergroup_lag", []string{"consumergroup", "readers", "topic", "seen", "partition", "0"}, 3},
		{"kafka_consumergroup_lag_sum", []string{"consumergroup", "readers", "topic", "seen"}, 3},
		{"kafka_consumergroup_members", []string{"consumergroup", "readers"}, 0},
	} {
		if v, n := sumOf(m[want.name], want.labels...); v != want.v || n == 0 {
			t.Errorf("%s%v is %v in %d samples, want %v", want.name, want.labels, v, n, want.v)
		}
	}
	for _, name := range []string{"penstock_appended_bytes_total", "penstock_network_received_bytes_total", "penstock_network_sent_bytes_total",
		"penstock_loop_busy_seconds_total", "penstock_journal_sync_duration_seconds", "penstock_journal_commits_total", "penstock_read_bytes_total",
		"penstock_topic_size_bytes", "penstock_disk_usable_bytes", "go_goroutines", "process_resident_memory_bytes"} {
		if v, _ := sumOf(m[name]); v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "penstock_") { // the other names are not ours to choose
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// sampleName is a metric in an expression: what stands before a selector, or in a call
// that lists values.
var sampleName = regexp.MustCompile(`\b(?:penstock|kafka|process|go)_[a-z0-9_]+`)

// metricsOf lists the metrics that a dashboard asks for, wherever they stand in it.
func metricsOf(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if text, ok := x.(string); ok {
				if key == "expr" || key == "query" || key == "definition" {
					for _, name := range sampleName.FindAllString(text, -1) {
						into[name] = true
					}
				}
				continue
			}
			metricsOf(x, into)
		}
	case []any:
		for _, x := range v {
			metricsOf(x, into)
		}
	}
}

// exported says whether a scrape has the name, which may be a series of a histogram.
func exported(m map[string]*dto.MetricFamily, name string) bool {
	if m[name] != nil {
		return true
	}
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, end); ok && m[base].GetType() == dto.MetricType_HISTOGRAM {
			return true
		}
	}
	return false
}

// No panel of the dashboard asks for something that does not exist; and what the
// well-known dashboard of kafka_exporter (Grafana 7589) asks for exists.
func TestDashboardsFindTheirMetrics(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana/penstock.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard any
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	metricsOf(dashboard, names)
	if len(names) < 30 {
		t.Errorf("only %d metrics were found in the dashboard", len(names))
	}
	for _, name := range []string{"kafka_topic_partition_current_offset", "kafka_topic_partition_oldest_offset", "kafka_consumergroup_lag",
		"kafka_consumergroup_current_offset", "kafka_topic_partitions"} {
		names[name] = true
	}
	_, f := busyBroker(t)
	m, _ := scrape(t, f.Admin)
	for name := range names {
		if !exported(m, name) {
			t.Errorf("a dashboard asks for %s, which is not exported", name)
		}
	}
	if exported(m, "penstock_never") || exported(m, "penstock_ready_bucket") {
		t.Error("everything is found")
	}
}

// While records are written, topics are deleted and groups commit, every scrape is whole:
// counters never fall, the parts of a count add up, no group is ahead of its partition.
func TestScrapesUnderLoadAreConsistent(t *testing.T) {
	p, _, join := underLoad(t, small(t.TempDir(), memoryDir(t)))
	admin := p.ready().Admin
	var wg sync.WaitGroup
	for range 2 { // others look at the same time
		wg.Go(func() {
			for range 20 {
				for _, path := range []string{"/metrics", status.TopicsPath, status.ShardsPath, status.GroupsPath, status.ClientsPath, "/v1/status"} {
					if code, body := get("http://" + admin + path); code != 200 {
						t.Errorf("%s: %d %.500s", path, code, body)
					}
				}
			}
		})
	}
	last := map[string]float64{}
	for range 15 {
		m, _ := scrape(t, admin)
		for name, f := range m {
			if !strings.HasPrefix(name, "penstock_") || f.GetType() != dto.MetricType_COUNTER || strings.HasPrefix(name, "penstock_topic_") {
				continue // a topic that was deleted and made again counts from 0
			}
			for _, s := range f.GetMetric() {
				key := name + fmt.Sprint(s.GetLabel())
				if v := s.GetCounter().GetValue(); v < last[key] {
					t.Errorf("%s fell from %v to %v", key, last[key], v)
				} else {
					last[key] = v
				}
			}
		}
		produces, _ := sumOf(m["penstock_requests_total"], "kind", "produce")
		timed, _ := sumOf(m["penstock_request_duration_seconds"], "kind", "produce")
		if produces != timed {
			t.Errorf("%v produces, of which %v are timed", produces, timed)
		}
		for _, s := range m["kafka_topic_partition_current_offset"].GetMetric() {
			var topic, partition string
			for _, l := range s.GetLabel() {
				switch l.GetName() {
				case "topic":
					topic = l.GetValue()
				case "partition":
					partition = l.GetValue()
				}
			}
			oldest, n := sumOf(m["kafka_topic_partition_oldest_offset"], "topic", topic, "partition", partition)
			if n != 1 || s.GetGauge().GetValue() < oldest {
				t.Errorf("%s/%s: %v to %v", topic, partition, oldest, s.GetGauge().GetValue())
			}
		}
	}
	wg.Wait()
	p.kill()
	join()
}

// A scrape of 10,000 partitions takes under two seconds on a busy machine: 0.2 s on one
// that is not.
func TestScrapeOfManyPartitions(t *testing.T) {
	const partitions, costMax = 10_000, 2 * time.Second
	if testing.Short() || raceOn {
		t.Skip("10,000 partitions")
	}
	p := launch(t, small(t.TempDir(), memoryDir(t))...)
	f := p.ready()
	c := connect(t, f.Listeners[0].Address)
	for i := range partitions / 1000 {
		if err := c.createTopic(fmt.Sprint("many-", i), 1000, nil); err != nil {
			t.Fatal(err)
		}
	}
	scrape(t, f.Admin)
	best, size := time.Hour, 0
	for range 3 {
		begin := time.Now()
		code, body := get("http://" + f.Admin + "/metrics")
		best, size = min(best, time.Since(begin)), len(body)
		if n := strings.Count(body, "\nkafka_topic_partition_current_offset{"); code != 200 || n < partitions {
			t.Fatalf("%d: %d partitions", code, n)
		}
	}
	t.Logf("a scrape of %d partitions takes %v: %d bytes", partitions, best, size)
	if best > costMax {
		t.Errorf("a scrape of %d partitions takes %v, more than %v", partitions, best, costMax)
	}
}
