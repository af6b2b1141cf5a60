package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// verbs runs penstock's own command line against one broker.
type verbs struct{ addr string }

// run runs one verb to its end, and returns what it wrote and its exit code.
func (v verbs) run(stdin string, args ...string) (out, talk string, code int, err error) {
	cmd := exec.Command(binary(), args...)
	cmd.Env = append(os.Environ(), "PENSTOCK_BROKERS="+v.addr)
	cmd.Stdin = strings.NewReader(stdin)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Start(); err != nil {
		return "", "", 0, err
	}
	kill := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode(), err
}

// ok runs a verb that must succeed.
func (v verbs) ok(stdin string, args ...string) (string, error) {
	out, talk, code, err := v.run(stdin, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("penstock %s ended with %d: %s%s", strings.Join(args, " "), code, out, talk)
	}
	return out, err
}

// fails runs a verb that must end with a code and words.
func (v verbs) fails(want int, says string, args ...string) error {
	out, talk, code, err := v.run("", args...)
	if err == nil && (code != want || !strings.Contains(out+talk, says)) {
		err = fmt.Errorf("penstock %s ended with %d: %s%s; want %d and %q", strings.Join(args, " "), code, out, talk, want, says)
	}
	return err
}

// is compares the answer in JSON with what is wanted of it, by the path of each value:
// 0.partitions is that of the first element.
func (v verbs) is(want map[string]any, args ...string) error {
	out, err := v.ok("", append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	var got any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		return fmt.Errorf("penstock %s: %w in %s", strings.Join(args, " "), err, out)
	}
	for path, w := range want {
		at := got
		for _, name := range strings.Split(path, ".") {
			switch x := at.(type) {
			case map[string]any:
				at = x[name]
			case []any:
				i := int(name[0] - '0')
				if at = nil; i < len(x) {
					at = x[i]
				}
			}
		}
		if fmt.Sprint(at) != fmt.Sprint(w) {
			return fmt.Errorf("penstock %s: %s is %v, want %v, in %s", strings.Join(args, " "), path, at, w, out)
		}
	}
	return nil
}

// soon tries until it works: Apache Kafka answers before all of it knows.
func soon(try func() error) (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func binary() string {
	if s := os.Getenv("PENSTOCK"); s != "" {
		return s
	}
	return "../../bin/penstock"
}

// startKafka starts Apache Kafka for a test, and returns its address and that of its
// controller. Without its jars the test fails: what is not tested is not left out in
// silence.
func startKafka(t *testing.T) (broker, controller string) {
	t.Helper()
	jars := filepath.Join(cache(), "kafka")
	if _, err := os.Stat(filepath.Join(jars, "complete")); err != nil {
		t.Fatalf("THE VERBS ARE NOT TESTED AGAINST APACHE KAFKA: its jars are not in %s. Run sh cmd/wire/setup.sh, which gets them from Maven Central", jars)
	}
	dir := t.TempDir()
	port := freePort(2)
	var said bytes.Buffer
	cmd := exec.Command("sh", "kafka-peer/start.sh", dir, fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "KAFKA_HEAP_OPTS=-Xms128m -Xmx384m")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-ended
		}
	})
	v := verbs{addr(port)}
	for end := time.Now().Add(3 * patience); ; time.Sleep(200 * time.Millisecond) {
		_, err := v.ok("", "doctor")
		if err == nil {
			return addr(port), addr(port + 1)
		}
		select {
		case <-ended:
		default:
			if time.Now().Before(end) {
				continue
			}
		}
		log, _ := os.ReadFile(filepath.Join(dir, "kafka.log"))
		t.Fatalf("APACHE KAFKA DOES NOT START: %v\n%s%s", err, said.Bytes(), log[max(0, len(log)-4000):])
	}
}

// TestVerbs runs the same verbs against every view of penstock and against Apache Kafka:
// they speak the public protocol and nothing else.
func TestVerbs(t *testing.T) {
	t.Parallel()
	all := slices.Clone(views)
	if !peerIsKafka {
		broker, controller := startKafka(t)
		all = append(all, view{"kafka", broker, 1})
		runCase(t, "verbs", "doctor-controller", "kafka", func() error {
			return verbs{broker}.fails(3, "KRaft controller", "doctor", controller)
		})
		runCase(t, "verbs", "transactions", "kafka", func() error {
			return verbsTransactions(verbs{broker}, fmt.Sprintf("verbs-%d-txn", runSerial))
		})
		runCase(t, "verbs", "groups-kip-848", "kafka", func() error {
			return verbsNewGroups(verbs{broker}, fmt.Sprintf("verbs-%d-848", runSerial))
		})
	}
	for _, w := range all {
		v, name := verbs{w.addr}, fmt.Sprintf("verbs-%s-%d", w.name, runSerial)
		for _, c := range []struct {
			name string
			run  func(v verbs, topic string) error
		}{{"doctor", verbsDoctor}, {"topics", verbsTopics}, {"records", verbsRecords}, {"trim", verbsTrim}, {"groups", verbsGroups}, {"bench", verbsBench}} {
			runCase(t, "verbs", c.name, w.name, func() error { return c.run(v, name+"-"+c.name) })
		}
	}
}

func first(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

func verbsDoctor(v verbs, _ string) error {
	return first(
		func() error { return v.is(map[string]any{"healthy": true, "address": v.addr}, "doctor") },
		func() error { return v.fails(69, "refused", "doctor", "127.0.0.1:1") },
		func() error { return v.fails(69, "no broker answers", "topic", "list", "-b", "127.0.0.1:1") },
	)
}

func verbsTopics(v verbs, topic string) error {
	return first(
		func() error {
			return v.is(map[string]any{"0.status": "created", "0.partitions": 3, "0.replicas": 1}, "topic", "create", topic, "-p", "3", "-c", "retention.ms=86400000")
		},
		func() error { return v.fails(1, "TOPIC_ALREADY_EXISTS", "topic", "create", topic) },
		func() error {
			return v.is(map[string]any{"0.status": "exists"}, "topic", "create", topic, "--if-not-exists")
		},
		func() error { return v.fails(1, "INVALID_CONFIG", "topic", "create", topic+"-x", "-c", "no.such=1") },
		func() error {
			return v.fails(1, "did you mean retention.ms?", "topic", "create", topic+"-x", "-c", "retenton.ms=1")
		},
		func() error { return v.is(map[string]any{"0.status": "possible"}, "topic", "create", topic+"-y", "-d") },
		func() error {
			return soon(func() error {
				return v.is(map[string]any{"0.name": topic, "0.partitions": 3, "0.records": 0, "0.bytes": 0}, "topic", "list", topic+"*")
			})
		},
		func() error {
			return v.is(map[string]any{"0.partition_list.2.high_watermark": 0, "0.partition_list.2.in_sync_replicas.1": nil}, "topic", "describe", topic)
		},
		func() error {
			out, err := v.ok("", "topic", "describe", topic, "-c")
			if f := strings.Join(strings.Fields(out), " "); err == nil && !strings.Contains(f, "retention.ms 86400000 topic") {
				err = fmt.Errorf("the setting has another origin: %s", out)
			}
			return err
		},
		func() error {
			return v.is(map[string]any{"0.before": 86400000, "0.after": 60000, "0.dry_run": true}, "topic", "alter", topic, "-s", "retention.ms=60000", "-d")
		},
		func() error { // the answer shows what the broker says afterwards, which Kafka may say later
			_, err := v.ok("", "topic", "alter", topic, "-c", "retention.ms=60000", "--partitions", "4")
			return err
		},
		func() error {
			return soon(func() error {
				return v.is(map[string]any{"0.partitions": 4, "0.partition_list.3.partition": 3}, "topic", "describe", topic)
			})
		},
		func() error {
			return soon(func() error {
				return v.is(map[string]any{"0.before": 60000, "0.dry_run": true}, "topic", "alter", topic, "--delete", "retention.ms", "-d")
			})
		},
		func() error { return v.fails(1, "INVALID_PARTITIONS", "topic", "alter", topic, "-p", "2") },
		func() error { return v.fails(1, "did you mean "+topic, "topic", "describe", topic+"x") },
		func() error { return v.is(map[string]any{"0.status": "deleted"}, "topic", "delete", topic) },
		func() error {
			return soon(func() error { return v.fails(1, "there is no topic", "topic", "delete", topic) })
		},
	)
}

// filled makes a topic of two partitions with four records in the second one.
func filled(v verbs, topic string) error {
	if _, err := v.ok("", "topic", "create", topic, "-p", "2"); err != nil {
		return err
	}
	return soon(func() error {
		_, err := v.ok("", "topic", "describe", topic)
		if err == nil {
			_, err = v.ok("k1:a\nk2:b\nk3:c\nk4:d\n", "produce", topic, "-p", "1", "-K", ":", "-H", "h=1", "-z", "gzip")
		}
		return err
	})
}

func verbsRecords(v verbs, topic string) error {
	if err := filled(v, topic); err != nil {
		return err
	}
	for offset, want := range map[string]string{
		"start":    "1 0 k1 a 1 1 k2 b 1 2 k3 c 1 3 k4 d",
		"-1":       "1 3 k4 d",
		"2:3":      "1 2 k3 c",
		"@-1h:end": "1 0 k1 a 1 1 k2 b 1 2 k3 c 1 3 k4 d",
		"end":      "",
	} {
		for _, format := range []string{"%p %o %k %v\n", "%p %o %k %s\n"} { // of rpk and of kcat
			out, err := v.ok("", "consume", topic, "-o", offset, "-e", "-f", format)
			if got := strings.Join(strings.Fields(out), " "); err == nil && got != want {
				err = fmt.Errorf("consume -o %s -f %q: %q, want %q", offset, format, got, want)
			}
			if err != nil {
				return err
			}
		}
	}
	out, err := v.ok("", "consume", topic, "-o", "1", "-n", "1", "-p", "1", "--output", "json")
	if err != nil {
		return err
	}
	if _, err = v.ok(out, "produce", topic, "-p", "0", "--input", "json"); err != nil {
		return err
	}
	if out, err = v.ok("", "consume", topic, "-p", "0", "-e", "-f", "%k %v\n"); err == nil && strings.TrimSpace(out) != "k2 b" {
		err = fmt.Errorf("a record that went out and in as JSON: %q", out)
	}
	return err
}

// verbsTransactions reads a partition that ends with the marker of a transaction, which is
// an offset and no record: consume -e must come to its end all the same.
func verbsTransactions(v verbs, topic string) error {
	if _, err := v.ok("", "topic", "create", topic); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(v.addr), kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := within()
	defer cancel()
	for value, how := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			return err
		}
		if err := cl.EndTransaction(ctx, how); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"aborted committed", nil},
		{"committed", []string{"--read-committed"}},
	} {
		out, err := v.ok("", append([]string{"consume", topic, "-e", "-f", "%v\n"}, c.args...)...)
		if got := strings.Fields(out); err == nil && strings.Join(slices.Sorted(slices.Values(got)), " ") != c.want {
			err = fmt.Errorf("consume -e %v: %q, want %q", c.args, got, c.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func verbsTrim(v verbs, topic string) error {
	return first(
		func() error { return filled(v, topic) },
		func() error {
			return v.is(map[string]any{"0.log_start_before": 0, "0.log_start_after": 2, "0.dry_run": true}, "topic", "trim", topic+":1", "--before", "-2", "-d")
		},
		func() error {
			return v.is(map[string]any{"1.log_start_before": 0, "1.log_start_after": 2}, "topic", "trim", topic, "--before", "2")
		},
		func() error {
			return v.is(map[string]any{"0.log_start_after": 4}, "topic", "trim", topic, "-p", "1", "--before", fmt.Sprintf("@%d", time.Now().Add(time.Hour).Unix()))
		},
		func() error { return v.fails(1, "no partition 7", "topic", "trim", topic+":7", "--before", "end") },
		func() error { return v.is(map[string]any{"0.records": 0}, "topic", "list", topic) },
	)
}

func verbsGroups(v verbs, topic string) error {
	group := topic + "-g"
	if err := filled(v, topic); err != nil {
		return err
	}
	member := exec.Command(binary(), "consume", topic, "-g", group, "-b", v.addr, "-f", "%v\n")
	if err := member.Start(); err != nil {
		return err
	}
	defer func() {
		member.Process.Kill()
		member.Wait()
	}()
	return first(
		func() error {
			return soon(func() error {
				return v.is(map[string]any{"0.state": "Stable", "0.members": 1, "0.lag": 0, "0.topic_list.0.topic": topic, "0.partition_list.1.committed": 4}, "group", "describe", group)
			})
		},
		func() error { return v.fails(1, "1 member", "group", "seek", group, "--to", "start") },
		func() error { return v.fails(1, "NON_EMPTY_GROUP", "group", "delete", group) },
		func() error { return member.Process.Signal(os.Interrupt) },
		func() error {
			return soon(func() error { return v.is(map[string]any{"0.state": "Empty", "0.members": 0}, "group", "list", group) })
		},
		func() error {
			return v.is(map[string]any{"0.topic": topic, "0.partition": 1, "0.before": 4, "0.after": 1, "0.lag_after": 3, "0.dry_run": true}, "group", "seek", group, "--to", "-3", "-t", topic+":1", "-d")
		},
		func() error { return seekTo(v, group, "start", 4) },
		func() error { return seekTo(v, group, "@-1h", 4) },
		func() error { return seekTo(v, group, "3", 1) },
		func() error { return seekTo(v, group, "end", 0) },
		func() error { return v.fails(1, "did you mean "+group, "group", "seek", group+"x", "--to", "end") },
		func() error { return v.is(map[string]any{"0.status": "deleted"}, "group", "delete", group) },
	)
}

// verbsNewGroups looks at a group whose members the broker assigns, which the requests for
// other groups do not find.
func verbsNewGroups(v verbs, topic string) error {
	group := topic + "-g"
	if err := filled(v, topic); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(v.addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := within()
	defer cancel()
	for n := 0; n < 4; {
		f := cl.PollFetches(ctx)
		if err := f.Err0(); err != nil {
			return err
		}
		n += f.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		return err
	}
	return first(
		func() error {
			return soon(func() error {
				return v.is(map[string]any{"0.state": "Stable", "0.members": 1, "0.lag": 0, "0.partition_list.1.committed": 4, "0.member_list.0.partitions.1": topic + "-1"}, "group", "describe", group)
			})
		},
		func() error { return v.fails(1, "1 member", "group", "seek", group, "--to", "start") },
		func() error { cl.Close(); return nil },
		func() error {
			return soon(func() error { return v.is(map[string]any{"0.state": "Empty", "0.lag": 0}, "group", "list", group) })
		},
		func() error { return seekTo(v, group, "start", 4) },
		func() error { return v.is(map[string]any{"0.status": "deleted"}, "group", "delete", group) },
	)
}

// seekTo sets what the group has committed, and looks at its lag.
func seekTo(v verbs, group, to string, lag int) error {
	if _, err := v.ok("", "group", "seek", group, "--to", to); err != nil {
		return err
	}
	return v.is(map[string]any{"0.lag": lag}, "group", "describe", group)
}
