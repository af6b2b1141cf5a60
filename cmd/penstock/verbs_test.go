package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// shell runs verbs as processes, against one broker.
type shell struct {
	t      *testing.T
	broker string
	stdin  *os.File // nil is /dev/null
}

// verb runs one to its end.
func (s shell) verb(input string, args ...string) (out, talk string, code int) {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), beBroker+"=1", cli.BrokersVariable+"="+s.broker)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if s.stdin != nil {
		cmd.Stdin = s.stdin
	} else if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %v", args, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// ok runs a verb that must succeed without a word on stderr.
func (s shell) ok(args ...string) string {
	s.t.Helper()
	out, talk, code := s.verb("", args...)
	if code != 0 || talk != "" {
		s.t.Fatalf("penstock %s ended with %d:\n%s%s", strings.Join(args, " "), code, out, talk)
	}
	return out
}

// refuses runs a verb that must end with a code, and say something on stderr.
func (s shell) refuses(code int, says string, args ...string) {
	s.t.Helper()
	_, talk, got := s.verb("", args...)
	if got != code || !strings.Contains(talk, says) {
		s.t.Errorf("penstock %s ended with %d and said %q; want %d and %q", strings.Join(args, " "), got, talk, code, says)
	}
}

// table is text as its words, so that the widths of columns do not matter.
func table(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func (s shell) table(want string, args ...string) {
	s.t.Helper()
	if got := table(s.ok(args...)); !strings.Contains(got+"\n", want+"\n") {
		s.t.Errorf("penstock %s:\n%s\nwant\n%s", strings.Join(args, " "), got, want)
	}
}

// decode runs a verb with -o json.
func (s shell) decode(into any, args ...string) {
	s.t.Helper()
	out := s.ok(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func startShell(t *testing.T) shell {
	t.Helper()
	p := launch(t, small(t.TempDir(), memoryDir(t), "--set", "group.initial.rebalance.delay.ms=0")...)
	return shell{t: t, broker: p.ready().Listeners[0].Address}
}

func TestTopicVerbs(t *testing.T) {
	s := startShell(t)
	if out, talk, code := s.verb("", "topic", "list"); code != 0 || table(out) != "NAME PARTITIONS REPLICAS RECORDS SIZE" || !strings.Contains(talk, "no topics yet; penstock topic create") {
		t.Errorf("no topics: %d %q %q", code, out, talk)
	}
	s.table("NAME STATUS PARTITIONS REPLICAS\norders created 3 1\npayments created 3 1", "topic", "create", "orders", "payments", "-p", "3", "-c", "retention.ms=86400000")
	s.refuses(cli.ExitFailed, "TOPIC_ALREADY_EXISTS", "topic", "create", "orders")
	s.table("orders exists - -", "topic", "create", "orders", "--if-not-exists")
	s.refuses(cli.ExitFailed, "retention.ms", "topic", "create", "x", "-c", "retention.mss=1")
	s.table("y possible 1 1", "topic", "create", "y", "--dry-run")
	if _, talk, code := s.verb("a\nb\nc\nd\n", "produce", "orders", "-p", "1"); code != 0 {
		t.Fatalf("produce ended with %d: %s", code, talk)
	}
	s.table("PARTITION LEADER LOG-START HIGH-WATERMARK RECORDS SIZE\n0 1 0 0 0 0 B", "topic", "describe", "orders", "-p")
	s.table("SETTING VALUE ORIGIN\nretention.ms 86400000 topic", "topic", "describe", "orders", "-c")
	s.refuses(cli.ExitFailed, "did you mean orders?", "topic", "describe", "ordrs")

	s.table("TOPIC SETTING BEFORE AFTER\norders retention.ms 86400000 60000\norders partitions 3 4", "topic", "alter", "orders", "-c", "retention.ms=60000", "--partitions", "4")
	s.table("orders segment.ms 604800000 70000\norders segment.bytes 1073741824 1048576", "topic", "alter", "orders", "-s", "segment.ms=70000", "-c", "segment.bytes=1048576")
	s.table("orders retention.ms 60000 604800000", "topic", "alter", "orders", "--delete-config", "retention.ms", "--dry-run")
	s.table("retention.ms 60000 topic", "topic", "describe", "orders", "-c")
	s.refuses(cli.ExitFailed, "only grow", "topic", "alter", "orders", "-p", "2")
	s.refuses(cli.ExitUsage, "nothing is to change", "topic", "alter", "orders")

	s.table("orders 1 0 3 4 3", "topic", "trim", "orders:1", "--before", "3", "--dry-run")
	s.table("orders 1 0 3 4 3", "topic", "trim", "ord*:1", "--before", "-1")
	s.table("orders 1 3 3 4 0", "topic", "trim", "orders", "-p", "1", "--before", "1")
	s.table("orders 1 3 4 4 1", "topic", "trim", "orders", "--before", "@"+fmt.Sprint(time.Now().Add(time.Hour).Unix()))
	s.refuses(cli.ExitFailed, "no partition 9", "topic", "trim", "orders:9", "--before", "end")

	var topics []struct {
		Name       string
		Partitions int
		Records    int64
		Bytes      *int64
	}
	s.decode(&topics, "topic", "list", "--bootstrap-server", s.broker)
	if len(topics) != 2 || topics[0].Name != "orders" || topics[0].Partitions != 4 || topics[0].Records != 0 || topics[0].Bytes == nil {
		t.Errorf("%+v", topics)
	}
	s.table("NAME STATUS\npayments deleted", "topic", "delete", "pay*")
	if out, talk, code := s.verb("", "topic", "delete", "payments"); code != cli.ExitFailed || out != "" || !strings.Contains(talk, `there is no topic "payments"`) {
		t.Errorf("a topic that is gone: %d %q %q", code, out, talk)
	}
	s.refuses(cli.ExitFailed, `nothing fits "pay*"`, "topic", "delete", "pay*")
	if out := s.ok("topic", "delete", "-o", "jsonl", "--if-exists", "payments"); out != "" {
		t.Errorf("%q", out)
	}
	s.refuses(cli.ExitUnreachable, "no broker answers at 127.0.0.1:1: connect: connection refused; start one", "topic", "list", "-b", "127.0.0.1:1")
}

func TestGroupVerbs(t *testing.T) {
	s := startShell(t)
	s.ok("topic", "create", "orders", "-p", "2")
	for p := range 2 {
		if _, talk, code := s.verb("a\nb\nc\nd\n", "produce", "orders", "-p", fmt.Sprint(p)); code != 0 {
			t.Fatal(talk)
		}
	}
	c := connect(t, s.broker)
	for p, offset := range []int64{1, 3} {
		if err := c.commit("billing", "orders", int32(p), offset); err != nil {
			t.Fatal(err)
		}
	}
	s.table("GROUP STATE MEMBERS TOPICS LAG\nbilling Empty 0 1 4", "group", "list")
	s.table("lag 4\n\nTOPIC LAG PARTITIONS BEHIND MEMBERS\norders 4 2 2 0", "group", "describe", "billing")
	s.table("orders 1 3 0 4 1 - -", "group", "describe", "billing", "-p")
	s.table("orders 0 1 0 4 not set: --dry-run\norders 1 3 2 2 not set: --dry-run", "group", "seek", "billing", "--to", "-1", "--dry-run")
	s.table("orders 0 1 4 0 -\norders 1 3 4 0 moved into what the partition holds", "group", "seek", "billing", "--to", "+3", "-t", "orders:1", "-t", "orders:0")
	s.table("lag 0", "group", "describe", "billing")
	for to, lag := range map[string]int64{"start": 8, "end": 0, "@-1h": 8, "3": 2} {
		var rows []struct {
			Lag int64 `json:"lag_after"`
		}
		s.decode(&rows, "group", "seek", "billing", "--to", to)
		var groups []struct{ Lag int64 }
		s.decode(&groups, "group", "describe", "bill*")
		if len(rows) != 2 || rows[0].Lag+rows[1].Lag != lag || len(groups) != 1 || groups[0].Lag != lag {
			t.Errorf("to %s: %+v, %+v; want %d", to, rows, groups, lag)
		}
	}
	s.refuses(cli.ExitFailed, "did you mean billing?", "group", "seek", "biling", "--to", "end")
	s.refuses(cli.ExitFailed, "nothing is committed", "group", "seek", "new", "--to", "-1", "-t", "orders")

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	member := exec.Command(exe, "consume", "orders", "-g", "billing", "-b", s.broker)
	member.Env = append(os.Environ(), beBroker+"=1")
	if err := member.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = member.Process.Kill(); _ = member.Wait() })
	poll(t, "the member has joined", func() bool {
		return strings.Contains(s.ok("group", "list"), "Stable")
	})
	s.refuses(cli.ExitFailed, "1 member", "group", "seek", "billing", "--to", "start")
	s.refuses(cli.ExitFailed, "stop them", "group", "delete", "billing")
	if err := member.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = member.Wait() // with the code of an interruption
	poll(t, "the member has left", func() bool {
		return strings.Contains(s.ok("group", "list"), "Empty")
	})
	s.table("billing deleted", "group", "delete", "billing")
	s.refuses(cli.ExitFailed, "no group", "group", "delete", "billing")
}

func TestDoctorOfAProcess(t *testing.T) {
	s := startShell(t)
	if out := s.ok("doctor", s.broker); strings.Contains(out, "FAILED") || !strings.Contains(out, "can use it") {
		t.Error(out)
	}
	var d struct {
		Healthy bool
		Brokers []struct{ Host string }
	}
	if s.decode(&d, "doctor"); !d.Healthy || len(d.Brokers) != 1 {
		t.Errorf("%+v", d)
	}
	p := launch(t, small(t.TempDir(), memoryDir(t), "--advertised", "kafka.invalid:9092")...)
	out, _, code := s.verb("", "doctor", p.ready().Listeners[0].Address)
	if code != cli.ExitNotMet || !strings.Contains(out, "FAILED  find kafka.invalid") || !strings.Contains(out, "--advertised "+p.ready().Listeners[0].Address) {
		t.Errorf("%d: %s", code, out)
	}
	if _, _, code := s.verb("", "doctor", "127.0.0.1:1"); code != cli.ExitUnreachable {
		t.Errorf("a closed port: %d", code)
	}
}

// A person at a terminal says --yes before something is lost; a script was not asked above.
func TestAtATerminalALossWantsYes(t *testing.T) {
	s := startShell(t)
	s.ok("topic", "create", "orders")
	s.stdin = terminal(t)
	s.refuses(cli.ExitUsage, "this deletes 1 topic with all records: orders; say --yes", "topic", "delete", "orders")
	s.table("orders 1 1 0 0 B", "topic", "list")
	s.table("orders deleted", "topic", "delete", "orders", "--yes")
}

// Ctrl-C ends a verb at once, though the broker that it waits for is silent. A verb that
// waits takes five seconds or more every time; a busy machine takes that long once.
func TestCtrlCEndsAVerbAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, verb := range [][]string{{"topic", "list"}, {"doctor"}} {
		fastest := patience
		for tries := 0; tries < 5 && fastest > 3*time.Second; tries++ {
			p := launch(t, append(verb, "-b", l.Addr().String(), "--timeout", "1h")...)
			c, err := l.Accept() // so it waits for an answer
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			began := time.Now()
			p.signal(syscall.SIGINT)
			if code := p.ended(); code != cli.ExitInterrupted {
				t.Errorf("%v ended with %d", verb, code)
			}
			fastest = min(fastest, time.Since(began))
		}
		if fastest > 3*time.Second {
			t.Errorf("%v ended after %s", verb, fastest)
		}
	}
}

// terminal is the side of a pseudo terminal that a program sees.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestNamesAreCompletedFromTheBroker asks as a shell does when Tab is pressed.
func TestNamesAreCompletedFromTheBroker(t *testing.T) {
	s := startShell(t)
	s.ok("topic", "create", "orders", "payments")
	for line, want := range map[string]string{"topic describe ": "orders\npayments\n", "topic delete orders ": "payments\n", "consume p": "payments\n"} {
		var out string
		for tries := 0; tries < 5 && !strings.HasPrefix(out, want+":"); tries++ { // Tab waits for two seconds only, which a busy machine may take
			out, _, _ = s.verb("", append([]string{"__complete"}, strings.Split(line, " ")...)...)
		}
		if !strings.HasPrefix(out, want+":") {
			t.Errorf("%q completes to %q; want %q", line, out, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // answers nothing: Tab must not hang
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s.broker = l.Addr().String()
	fastest := patience
	for tries := 0; tries < 5 && fastest > 8*time.Second; tries++ {
		began := time.Now()
		s.verb("", "__complete", "topic", "describe", "")
		fastest = min(fastest, time.Since(began))
	}
	if fastest > 8*time.Second { // without a bound of its own it is ten every time
		t.Errorf("it took %s", fastest)
	}
}
