package records

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func offsetsOf(topic string, at int64) kadm.Offsets {
	o := kadm.Offsets{}
	o.AddOffset(topic, 0, at, -1)
	return o
}

// TestFailuresNameTheirLines holds that what was not written is named, and counted.
func TestFailuresNameTheirLines(t *testing.T) {
	topic(t, "fail", 2)
	in := `{"value":"a","partition":0}` + "\n" + `{"value":"b","partition":7}` + "\n" + `{"value":"` + strings.Repeat("x", 3000) + `","partition":1}` + "\n" + `{"value":"d","partition":1}` + "\n"
	_, talk := run(t, 1, in, "produce", "fail", "--input", "json", "--max-message-bytes", "2000")
	for _, want := range []string{"line 2: the topic fail has no partition 7", "line 3: the record of 3.00 KB is too large", "2 records failed; 2 records were acknowledged"} {
		if !strings.Contains(talk, want) {
			t.Errorf("%q is not in %s", want, talk)
		}
	}
	out, _ := run(t, 0, `{"value":"a"}`, "produce", "fail", "--input", "json", "-o", "json", "-p", "1")
	var d delivered
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Records != 1 || len(d.Partitions) != 1 || d.Partitions[0].Partition != 1 || d.Partitions[0].Offsets[0] != [2]int64{1, 1} {
		t.Errorf("%s: %v", out, err)
	}
	_, talk = run(t, 1, "1 a\n2 b\nx c\n3 d\n", "produce", "fail", "-f", `%d %v\n`)
	if !strings.Contains(talk, "line 3: ") || !strings.Contains(talk, "2 records were acknowledged, and nothing from there on was read") {
		t.Errorf("%s", talk)
	}
	_, talk = run(t, 1, "x", "produce", "fail", "-p", "9")
	if !strings.Contains(talk, "fail has no partition 9: it has 2") {
		t.Errorf("%s", talk)
	}
	_, talk = run(t, 1, "", "consume", "fial", "-e")
	if !strings.Contains(talk, "fail") || !strings.Contains(talk, "penstock topic list") {
		t.Errorf("%s", talk)
	}
	_, talk = run(t, 69, "x", "produce", "fail", "--brokers", "127.0.0.1:1", "--timeout", "300ms")
	if !strings.Contains(talk, "no broker answers at 127.0.0.1:1") {
		t.Errorf("%s", talk)
	}
}

func TestCommandLinesThatAreWrong(t *testing.T) {
	for line, word := range map[string]string{
		"produce":                            "TOPIC",
		"produce t -f %q":                    "help formats",
		"produce t -f %t%v":                  "%t",
		"produce t -z lz5":                   "lz4",
		"produce t --acks 2":                 "all, 1 or 0",
		"produce t --input yaml":             "json",
		"produce t -f %v -D x":               "use one of them",
		"produce t -D \xc0 --input json":     "use one of them",
		"consume":                            "TOPIC",
		"consume t -o 1h":                    "offset",
		"consume t -o 5:3":                   "before it begins",
		"consume t -o json --output yaml":    "use one of them",
		"consume t -g g -p 0":                "exclude",
		"consume t -p x":                     "0,2,5-7",
		"consume t -n 0":                     "1 or more",
		"consume t -f %v --output json":      "use one of them",
		"consume t --output jsno":            "json",
		"consume t -e -r [":                  "regular expression",
		"consume t -f %s%v%T":                "%d",
		"consume t -e --offest 3":            "--offset",
		"consume t -o 1 -o 2":                "range",
		"produce t -p -3":                    "numbered",
		"produce t -K  ":                     "-K",
		"consume t -o stored":                "-g",
		"produce t -f %k --input json extra": "use one of them",
	} {
		if line == "produce t -K  " {
			continue // strings.Fields leaves nothing of an empty flag
		}
		_, talk := run(t, 2, "", strings.Fields(line)...)
		if !strings.Contains(talk, word) {
			t.Errorf("%s: %q is not in %s", line, word, talk)
		}
	}
}

// TestAReaderThatHasSeenEnough is | head -1: while records flow, and while none do.
func TestAReaderThatHasSeenEnough(t *testing.T) {
	topic(t, "pipe", 1)
	run(t, 0, strings.Repeat(strings.Repeat("x", 99)+"\n", 50_000), "produce", "pipe", "-q")
	for _, args := range [][]string{{"-o", "start"}, {"-o", "-1"}} {
		v := &verb{t: t, done: make(chan struct{})}
		v.cmd = start(t, nil, "consume", "pipe", "-n", "1").cmd // for its environment
		env := v.cmd.Env
		v.cmd = exec.Command(v.cmd.Path, append([]string{"consume", "pipe"}, args...)...)
		v.cmd.Env, v.cmd.Stderr = env, &v.err
		out, err := v.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := v.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 100)
		if _, err := io.ReadFull(out, first); err != nil {
			t.Fatal(err)
		}
		_ = out.Close() // nobody reads any more
		go func() { _ = v.cmd.Wait(); close(v.done) }()
		t.Cleanup(func() { _ = v.cmd.Process.Kill(); <-v.done })
		v.ends(0)
		expect(t, v.err.String(), "")
	}
}

// TestCtrlC: what was printed is committed, and the exit code says what happened.
func TestCtrlC(t *testing.T) {
	topic(t, "ctrlc", 1)
	run(t, 0, "a\nb\n", "produce", "ctrlc", "-q")
	v := start(t, nil, "consume", "ctrlc", "-g", "ctrlc-group")
	v.prints("a\nb\n")
	v.interrupt()
	expect(t, v.ends(130), "a\nb\n")
	expect(t, v.err.String(), "")
	offsets, err := client(t).FetchOffsets(context.Background(), "ctrlc-group")
	if o, ok := offsets.Lookup("ctrlc", 0); err != nil || !ok || o.At != 2 {
		t.Fatalf("the group has committed %v (%v)", o, err)
	}
	run(t, 0, "c\nd\n", "produce", "ctrlc", "-q")
	out, _ := run(t, 0, "", "consume", "ctrlc", "-g", "ctrlc-group", "-n", "1")
	expect(t, out, "c\n")
	out, _ = run(t, 0, "", "consume", "ctrlc", "-g", "ctrlc-group", "-e")
	expect(t, out, "d\n")
	out, _ = run(t, 0, "", "consume", "ctrlc", "-g", "ctrlc-late", "-e", "-o", "-1")
	expect(t, out, "d\n")

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	p := start(t, r, "produce", "ctrlc", "-o", "jsonl")
	if _, err := w.Write([]byte("typed\n")); err != nil {
		t.Fatal(err)
	}
	p.prints(`"line":1`)
	p.interrupt()
	p.ends(130)
	if !strings.Contains(p.err.String(), "interrupted: 1 record was acknowledged") {
		t.Errorf("%s", p.err.String())
	}
}

// TestTwoMembersShare has two members read a topic while it is written, and one of them
// leave: each record is printed once.
func TestTwoMembersShare(t *testing.T) {
	t.Parallel()
	topic(t, "share", 4)
	var want []string
	write := func(from, to int) {
		var in strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&in, "%d record-%04d\n", i%4, i)
			want = append(want, fmt.Sprintf("record-%04d", i))
		}
		run(t, 0, in.String(), "produce", "share", "-q", "-f", `%p %v\n`)
	}
	a := start(t, nil, "consume", "share", "-g", "share-group")
	write(0, 200)
	a.prints("record-0199")
	b := start(t, nil, "consume", "share", "-g", "share-group", "-f", `%v\n`)
	adm := client(t)
	poll(t, "both members have partitions", func() bool {
		g, err := adm.DescribeGroups(context.Background(), "share-group")
		if err != nil || g["share-group"].State != "Stable" || len(g["share-group"].Members) != 2 {
			return false
		}
		for _, m := range g["share-group"].Members {
			c, ok := m.Assigned.AsConsumer()
			if !ok || len(c.Topics) != 1 || len(c.Topics[0].Partitions) != 2 {
				return false
			}
		}
		return true
	})
	write(200, 400)
	count := func() int { return strings.Count(a.out.String()+b.out.String(), "\n") }
	poll(t, "all 400 are printed", func() bool { return count() >= 400 })
	if n := strings.Count(b.out.String(), "\n"); n != 100 {
		t.Errorf("the second member printed %d of the last 200", n)
	}
	b.interrupt()
	b.ends(130)
	write(400, 600)
	poll(t, "all 600 are printed", func() bool { return count() >= 600 })
	a.interrupt()
	a.ends(130)
	got := strings.Fields(a.out.String() + b.out.String())
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records were printed, of %d", len(got), len(want))
	}
}

// TestNewPartitionsAreFound follows a topic that grows.
func TestNewPartitionsAreFound(t *testing.T) {
	t.Parallel() // it waits for most of its time
	topic(t, "grows", 1)
	v := start(t, nil, "consume", "grows", "-o", "end", "-f", `%p %v\n`)
	poll(t, "it follows", func() bool { // then its end is settled
		run(t, 0, "mark\n", "produce", "grows", "-p", "0")
		return strings.Contains(v.out.String(), "0 mark\n")
	})
	if _, err := client(t).CreatePartitions(context.Background(), 1, "grows"); err != nil {
		t.Fatal(err)
	}
	run(t, 0, "new\n", "produce", "grows", "-p", "1")
	v.prints("1 new\n")
	v.interrupt()
	v.ends(130)
}

// TestABrokerThatFallsSilent stops a broker in the middle of a run: what was acknowledged
// is counted, and the rest is told to be unknown.
func TestABrokerThatFallsSilent(t *testing.T) {
	t.Parallel() // it waits for most of its time
	addr, p, stop, err := startBroker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	v := start(t, r, "produce", "silent", "--brokers", addr, "--timeout", "5s", "-o", "jsonl")
	if _, err := w.WriteString("one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	v.prints(`"line":2`)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("three\n"); err != nil {
		t.Fatal(err)
	}
	v.ends(1)
	if !strings.Contains(v.err.String(), "no broker has answered for 5s: 2 records were acknowledged, 0 failed, and of 1 nothing is known") {
		t.Errorf("%s", v.err.String())
	}
	_, talk := run(t, 69, "", "consume", "silent", "-e", "--brokers", addr, "--timeout", "1s")
	if !strings.Contains(talk, "no broker answers at "+addr) {
		t.Errorf("%s", talk)
	}
}
