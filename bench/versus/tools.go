package versus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/perf"
)

// told is what Kafka's own test said of a run, in its own figures. Those it does not give
// are 0.
type told struct {
	Records  int64
	RecordsS float64
	MBs      float64 // of 2^20 bytes
	Ms       struct{ Avg, Max, P50, P95, P99, P999 float64 }
}

var producerLine = regexp.MustCompile(`^(\d+) records sent, ([0-9.]+) records/sec \(([0-9.]+) MB/sec\), ([0-9.]+) ms avg latency, ([0-9.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99\.9th`)

// parseProducer reads the summary of kafka-producer-perf-test: the one line with
// percentiles. The lines of progress have none.
func parseProducer(out string) (t told, err error) {
	found := 0
	for line := range strings.Lines(out) {
		m := producerLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		found++
		t.Records, _ = strconv.ParseInt(m[1], 10, 64)
		for i, to := range []*float64{&t.RecordsS, &t.MBs, &t.Ms.Avg, &t.Ms.Max, &t.Ms.P50, &t.Ms.P95, &t.Ms.P99, &t.Ms.P999} {
			if *to, err = strconv.ParseFloat(m[i+2], 64); err != nil {
				return t, err
			}
		}
	}
	if found != 1 {
		return t, fmt.Errorf("kafka-producer-perf-test printed %d summaries instead of one:\n%s", found, out)
	}
	return t, nil
}

// parseConsumer reads the table of kafka-consumer-perf-test: names, then one line. The
// rates taken are those without the time in which the group was formed, of which most is
// the wait for more members (group.initial.rebalance.delay.ms).
func parseConsumer(out string) (t told, err error) {
	const records, recordsS, mbs = "data.consumed.in.nMsg", "fetch.nMsg.sec", "fetch.MB.sec"
	var names []string
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), ", ")
		if f[0] == "start.time" {
			names = f
			continue
		}
		if names == nil || len(f) != len(names) {
			continue
		}
		for i, n := range names {
			switch n {
			case records:
				t.Records, err = strconv.ParseInt(f[i], 10, 64)
			case recordsS:
				t.RecordsS, err = strconv.ParseFloat(f[i], 64)
			case mbs:
				t.MBs, err = strconv.ParseFloat(f[i], 64)
			}
			if err != nil {
				return t, fmt.Errorf("kafka-consumer-perf-test: %s: %w", n, err)
			}
		}
	}
	if t.Records == 0 {
		return t, fmt.Errorf("kafka-consumer-perf-test printed no summary:\n%s", out)
	}
	return t, nil
}

// tool runs one of Kafka's own tests against one side. A consumer reads what a producer
// test has written before, which is not counted.
func (v *versus) tool(ctx context.Context, name string, on side, w workload.Workload) (*result.Result, told, error) {
	if err := v.calm(ctx); err != nil {
		return nil, told{}, err
	}
	b := v.brokers[on.broker]
	topic := fmt.Sprintf("versus-%d", time.Now().UnixNano())
	admin, err := b.admin()
	if err != nil {
		return nil, told{}, err
	}
	defer admin.Close()
	if err := makeTopic(ctx, admin, topic, on); err != nil {
		return nil, told{}, err
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = admin.DeleteTopics(after, topic)
	}()
	produce := []string{"org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", b.addr, "--topic", topic, "--num-records", strconv.Itoa(v.Records),
		"--record-size", strconv.Itoa(w.RecordSize), "--throughput", "-1", "--command-property", "acks=all"}
	consume := []string{"org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", b.addr, "--topic", topic, "--num-records", strconv.Itoa(v.Records), "--timeout", "60000"}
	argv, parse := produce, parseProducer
	if name == consuming {
		if _, err := v.java(ctx, produce); err != nil {
			return nil, told{}, err
		}
		argv, parse = consume, parseConsumer
	}
	w.Durability, w.View = on.durability, on.view
	r := &result.Result{Started: time.Now(), Command: argv, Tool: name, Workload: w, Loop: "closed", SameHost: true, Machine: perf.Look(""),
		Target: result.Target{Brokers: []string{b.addr}, Software: v.software(on.broker), Nodes: 1, PID: b.pid(), Durability: on.durability}}
	r.Machine.Congestion = v.report.Congestion
	before, err := b.usage()
	if err != nil {
		return nil, told{}, err
	}
	out, err := v.java(ctx, argv)
	if err != nil {
		return nil, told{}, err
	}
	after, err := b.usage()
	if err != nil {
		return nil, told{}, err
	}
	t, err := parse(out)
	if err != nil {
		return nil, t, err
	}
	t.fill(r, before, after)
	return r, t, r.Finish()
}

// fill puts a test's own figures and the broker's counts into a result. Bytes are those of
// values, which is what the test counts.
func (t told) fill(r *result.Result, before, after usage) {
	flow := result.Flow{Records: t.Records, Bytes: t.Records * int64(r.Workload.RecordSize), RecordsS: t.RecordsS, BytesS: t.MBs * (1 << 20)}
	if r.Seconds = float64(t.Records) / t.RecordsS; r.Workload.Kind == workload.Consume {
		r.Consumed = flow
	} else {
		r.Produced = flow
	}
	r.Broker = &usage{CPUSeconds: after.CPUSeconds - before.CPUSeconds, RSS: max(before.RSS, after.RSS), RSSAnon: max(before.RSSAnon, after.RSSAnon)}
}

// java runs a class of Kafka's with the memory that its scripts give it, and ends it with
// the context.
func (v *versus) java(ctx context.Context, argv []string) (string, error) {
	c := command(append([]string{"java", "-Xmx512M", "-cp", filepath.Join(v.Libs, "*")}, argv...))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return "", fmt.Errorf("%s: %w\n%s", argv[0], err, out.String())
		}
		return out.String(), nil
	case <-ctx.Done():
		_ = c.Process.Signal(syscall.SIGKILL)
		<-ended
		return "", ctx.Err()
	}
}

func (s *server) admin() (*kadm.Client, error) {
	c, err := s.client("normal")()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(c), nil
}

// makeTopic makes a topic as bench/run does, and waits for its leaders.
func makeTopic(ctx context.Context, admin *kadm.Client, topic string, on side) error {
	key, value := "penstock.durability", on.durability
	if on.broker == Kafka {
		key, value = "flush.messages", "9223372036854775807"
		if on.durability == "synced" {
			value = "1"
		}
	}
	got, err := admin.CreateTopics(ctx, toolPartitions, -1, map[string]*string{key: &value}, topic)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		return fmt.Errorf("make the topic %s: %w", topic, err)
	}
	for {
		offsets, err := admin.ListEndOffsets(ctx, topic)
		if err == nil {
			err = offsets.Error()
		}
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dirty is how many bytes wait to be written back, or are being written.
func dirty() (n int64) {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "Dirty:" || f[0] == "Writeback:") {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			n += kb << 10
		}
	}
	return n
}
