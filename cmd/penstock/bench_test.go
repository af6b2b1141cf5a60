package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/cmd/penstock/cli"
)

// benchBroker starts a broker and returns its address, and that of its first core.
func benchBroker(t *testing.T) (addr, core string) {
	t.Helper()
	_, addr, core = benchProcess(t)
	return addr, core
}

func benchProcess(t *testing.T) (p *process, addr, core string) {
	t.Helper()
	p = launch(t, small(t.TempDir(), memoryDir(t), "--core-ports", "on", "--core-port", freePorts(t, 2))...)
	f := p.ready()
	return p, f.Listeners[0].Address, f.Listeners[1].Address
}

// measured runs penstock bench and returns its result as JSON has it.
func measured(t *testing.T, code int, args ...string) (*result.Result, string) {
	t.Helper()
	p := launch(t, append([]string{"bench"}, args...)...)
	if got := p.ended(); got != code {
		t.Fatalf("%s ends with %d, not %d:\n%s", strings.Join(args, " "), got, code, p.said())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &result.Result{}
	if out := strings.Join(p.lines, "\n"); strings.HasPrefix(out, "{") {
		if err := json.Unmarshal([]byte(out), r); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
	}
	return r, p.errs.String()
}

func topicsOf(t *testing.T, addr string) (*kadm.Client, kadm.TopicDetails) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return adm, topics
}

// Every kind of load runs over both clients, with every compression and through both
// views, without an error, and leaves nothing behind.
func TestBenchRunsEveryKind(t *testing.T) {
	addr, core := benchBroker(t)
	short := []string{"--no-save", "-o", "json", "--warmup", "200ms", "--for", "600ms", "--partitions", "4", "--producers", "2", "--consumers", "2"}
	for _, line := range []string{
		"produce --rate 2k --client wire --compression gzip",
		"produce --rate 2k --client wire --compression snappy --keys random",
		"produce --rate 2k --client wire --compression lz4 --durability os",
		"produce --rate 2k --client wire --compression zstd --view cores --durability interval",
		"produce --client wire --max --batch-records 1 --record-size 100 --in-flight 8",
		"produce --client franz --compression gzip --idempotent --rate 1k",
		"produce --client franz --compression snappy --acks 1",
		"produce --client franz --compression lz4 --rate 1k --keys sequential",
		"produce --client franz --compression zstd --view cores --rate 1k",
		"consume --backlog 2MiB --compression lz4",
		"consume --backlog 2MiB --rate 50k --fetch-max-bytes 64KiB --view cores",
		"consume --backlog 2MiB --client franz --compression zstd",
		"consume --backlog 2MiB --client franz --groups 1",
		"e2e --rate 1k", "e2e --rate 1k --view cores --topics 2 --pinned", "e2e --rate 500 --client franz --compression lz4", "e2e --rate 500 --client franz --groups 2",
		"mixed --rate 1k --backlog 1MiB", "mixed --rate 500 --client franz --groups 1",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel() // they wait for most of their time
			args := append(strings.Fields(line), "-b", map[bool]string{false: addr, true: core}[strings.Contains(line, "cores")])
			more := short
			if strings.HasPrefix(line, "produce") {
				more = short[:len(short)-2]
			} else if strings.HasPrefix(line, "consume") {
				more = append(append([]string{}, short[:len(short)-4]...), short[len(short)-2:]...)
			}
			r, errs := measured(t, 0, append(args, more...)...)
			w, fc := r.Workload, newFacts()
			if w.Produces() && (r.Produced.Records == 0 || r.Produced.Bytes == 0 || r.Produced.Requests == 0) || w.Consumes() && (r.Consumed.Records == 0 || r.Consumed.Bytes == 0) {
				t.Errorf("%+v %+v", r.Produced, r.Consumed)
			}
			if r.Produced.Errors+r.Consumed.Errors > 0 || len(r.Latencies) == 0 || r.Seconds < 0.5 {
				t.Errorf("%+v %+v %+v", r.Produced, r.Consumed, r.Notes)
			}
			if d := r.Target.Durability; w.Durability != "" && !strings.HasPrefix(d, w.Durability+":") {
				t.Errorf("durability %s, asked for %s", d, w.Durability)
			}
			if said := strings.Contains(strings.Join(r.Notes, "\n"), "franz-go has one fetch in flight"); said != (w.Client == "franz" && w.Consumes()) {
				t.Errorf("one fetch in flight: said %v", said)
			}
			if w.View == "cores" && r.Target.Nodes != 2 || r.Target.Software != "penstock "+version || r.Tool != "penstock bench "+strings.Join(strings.Fields((&fc).title())[1:], " ") || r.Target.PID == 0 || r.Broker == nil {
				t.Errorf("%+v %+v", r.Target, r.Broker)
			}
			warm := 0
			for _, s := range r.Series {
				if s.Warm {
					warm++
				}
			}
			if warm != 1 || len(r.Series) != 2 || !strings.Contains(errs, "target") || !strings.Contains(errs, "rec/s") {
				t.Errorf("%d of %d intervals are of the warm-up; stderr:\n%s", warm, len(r.Series), errs)
			}
			for _, n := range r.Notes {
				if strings.Contains(n, "had not arrived") || strings.Contains(n, "errors") {
					t.Error(n)
				}
			}
		})
	}
	adm, topics := topicsOf(t, addr)
	if len(topics) > 0 {
		t.Errorf("left behind: %v", topics.Names())
	}
	if groups, err := adm.ListGroups(context.Background()); err != nil || len(groups) > 0 {
		t.Errorf("left behind: %v %v", groups.Groups(), err)
	}
}

// A broker that stands still for a second delays all that is due in it, over each client:
// a load that counted from its sends would show the few that were under way.
func TestBenchShowsAStall(t *testing.T) {
	for _, line := range []string{"produce --client wire --rate 2k --batch-records 1", "produce --client franz --rate 40k --record-size 100 --batch-records 10", "e2e --client wire --rate 2k", "e2e --client franz --rate 2k", "consume --client wire --backlog 1MiB --fetch-max-bytes 1KiB --rate 2k --batch-records 1"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel() // they wait for most of their time
			broker, addr, _ := benchProcess(t)
			p := launch(t, append([]string{"bench"}, strings.Fields(line+" --warmup 0s --for 5s --no-save -o json -b "+addr)...)...)
			poll(t, "a second is measured", func() bool { return strings.Contains(p.said(), " 00:01 ") })
			broker.signal(syscall.SIGSTOP)
			time.Sleep(time.Second) // this is the stall, and no wait for anything
			broker.signal(syscall.SIGCONT)
			if code := p.ended(); code != 0 {
				t.Fatalf("%d: %s", code, p.said())
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			r := &result.Result{}
			if err := json.Unmarshal([]byte(strings.Join(p.lines, "\n")), r); err != nil {
				t.Fatal(err)
			}
			// A fifth of all was due while it stood still, and that waited for half a second on average.
			if l := r.Latencies[0]; l.P90 < int64(200*time.Millisecond) || l.Max < int64(900*time.Millisecond) {
				t.Errorf("p90 %v, longest %v of %d", time.Duration(l.P90), time.Duration(l.Max), l.N)
			}
		})
	}
}

// What is counted is what is in the log: with a rate, every record that was acknowledged
// has its latency, and those that were due and never sent are told apart.
func TestBenchCountsWhatIsInTheLog(t *testing.T) {
	addr, _ := benchBroker(t)
	adm, _ := topicsOf(t, addr)
	for client, each := range map[string]int64{"wire": 5, "franz": 1} { // records to a latency
		if _, err := adm.CreateTopic(context.Background(), 2, 1, nil, client); err != nil {
			t.Fatal(err)
		}
		r, _ := measured(t, 0, "produce", "-b", addr, "--topic", client, "--client", client, "--rate", "3k", "--warmup", "0s", "--for", "1s", "--batch-records", "5", "--no-save", "-o", "json")
		ends, err := adm.ListEndOffsets(context.Background(), client)
		if err != nil {
			t.Fatal(err)
		}
		var stored, unsent int64
		ends.Each(func(o kadm.ListedOffset) { stored += o.Offset })
		for _, n := range r.Notes {
			if strings.Contains(n, "due and not sent") {
				unsent, _ = strconv.ParseInt(strings.Fields(n)[0], 10, 64)
			}
		}
		if n := r.Latencies[0].N*each - unsent; r.Workload.Partitions != 2 || stored != n || stored < r.Produced.Records || stored == 0 {
			t.Errorf("%s: %d in the log, %d counted, %d of them in time, %d not sent", client, stored, n, r.Produced.Records, unsent)
		}
	}
}

// The first Ctrl-C ends the measurement, and so do SIGTERM and the end of the terminal:
// what was measured is reported and saved, and the topics are deleted.
func TestBenchReportsWhenItIsInterrupted(t *testing.T) {
	addr, _ := benchBroker(t)
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: cli.ExitInterrupted, syscall.SIGTERM: 143, syscall.SIGHUP: 129} { // as shells count
		dir := t.TempDir()
		p := launch(t, "bench", "e2e", "-b", addr, "--warmup", "0s", "--for", "1h", "--rate", "1k", "--client", "franz", "--groups", "1", "--out", dir)
		poll(t, "two seconds are measured", func() bool { return strings.Contains(p.said(), " 00:02 ") })
		p.signal(sig)
		if code := p.ended(); code != want {
			t.Errorf("%v: exit code %d", sig, code)
		}
		if said := p.said(); !strings.Contains(said, "interrupted") || !strings.Contains(said, "end to end") || strings.Contains(said, "left on the broker") {
			t.Errorf("%v: %s", sig, said)
		}
		for _, kind := range []string{"json", "hlog", "csv", "html"} {
			if found, _ := filepath.Glob(filepath.Join(dir, "*."+kind)); len(found) != 1 {
				t.Errorf("%v: %d files of %s", sig, len(found), kind)
			}
		}
		adm, topics := topicsOf(t, addr)
		if groups, err := adm.ListGroups(context.Background()); err != nil || len(topics) > 0 || len(groups) > 0 {
			t.Errorf("%v: left behind: %v %v %v", sig, topics.Names(), groups.Groups(), err)
		}
	}
}

// When the broker does not answer, the second Ctrl-C ends the wait for it and the third the
// process; both ways what is left is said by its name, with the line that deletes it.
func TestBenchSaysWhatItLeavesBehind(t *testing.T) {
	for _, line := range []string{"produce --client wire", "e2e --client franz --groups 1"} {
		for n := 2; n <= 3; n++ {
			t.Run(fmt.Sprint(line, ", ", n), func(t *testing.T) {
				t.Parallel() // they wait for most of their time
				broker, addr, _ := benchProcess(t)
				p := launch(t, append([]string{"bench"}, strings.Fields(line+" --warmup 0s --for 1h --rate 1k --no-save --timeout 1h -b "+addr)...)...)
				poll(t, "a second is measured", func() bool { return strings.Contains(p.said(), " 00:01 ") })
				_, topics := topicsOf(t, addr)
				topics.FilterInternal()
				name := topics.Names()[0]
				broker.signal(syscall.SIGSTOP)
				p.signal(syscall.SIGINT)
				poll(t, "it ends", func() bool { return strings.Count(p.said(), " 00:0") > 1 })
				p.signal(syscall.SIGINT)
				if n == 3 {
					poll(t, "it hurries", func() bool { return strings.Contains(p.said(), "in a hurry") })
					p.signal(syscall.SIGINT)
				}
				code := p.ended()
				broker.signal(syscall.SIGCONT)
				stem := name[:strings.LastIndexByte(name, '-')+1]
				if said := p.said(); code == 0 || !strings.Contains(said, "left on the broker: topics "+name) || !strings.Contains(said, "penstock topic delete '"+stem+"*' --yes -b "+addr) {
					t.Errorf("it ends with %d, and leaves %s: %s", code, name, said)
				}
				// The broker may find the request to delete them when it goes on.
				again := launch(t, "topic", "delete", stem+"*", "--yes", "--if-exists", "-b", addr)
				again.ended()
				_, topics = topicsOf(t, addr)
				if topics.FilterInternal(); len(topics) > 0 {
					t.Errorf("after %s there are %v", again.said(), topics.Names())
				}
			})
		}
	}
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	addr, _ := benchBroker(t)
	file := filepath.Join(t.TempDir(), "w.yaml")
	if err := os.WriteFile(file, []byte("kind: produce\nrecord_sise: 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	quick := " --warmup 0s --for 200ms --no-save -b " + addr
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"produce --assert p99<1ns" + quick:               {cli.ExitNotMet, "p99<1ns does not hold"},
		"produce --assert p99~1ns" + quick:               {cli.ExitUsage, "--assert"},
		"produce --record-sice 5" + quick:                {cli.ExitUsage, "did you mean --record-size"},
		"produce --rate 1K0" + quick:                     {cli.ExitUsage, "is not a number"},
		"produce --rate 1k --max" + quick:                {cli.ExitUsage, "exclude each other"},
		"consume --groups 1" + quick:                     {cli.ExitUsage, "groups need client: franz"},
		"consume --backlog 0" + quick:                    {cli.ExitFailed, "there is nothing to consume"},
		"produce --topic none-such" + quick:              {cli.ExitFailed, "none-such"},
		"produce --congestion none-such" + quick:         {cli.ExitFailed, "none-such"},
		"produce --topic-config retention.mss=1" + quick: {cli.ExitFailed, "retention.ms"},
		"produce -X client.id=me" + quick:                {cli.ExitConfig, "client.id cannot be set here"},
		"produce --save jsn -b " + addr:                  {cli.ExitUsage, "did you mean json"},
		"produce --save html" + quick:                    {cli.ExitUsage, "exclude each other"},
		"produce --out " + file + "/x -b " + addr:        {cli.ExitFailed, "name another directory with --out"},
		"produce --topic a --keep" + quick:               {cli.ExitUsage, "--keep has no meaning"},
		"consume --client franz --rate 1k" + quick:       {cli.ExitUsage, "a rate for consume needs client: wire"},
		"consume --client franz --in-flight 2" + quick:   {cli.ExitUsage, "franz-go has one fetch in flight"},
		"run " + file + quick:                            {cli.ExitConfig, "w.yaml:2: there is no field"},
		"run pinned-producr" + quick:                     {cli.ExitConfig, "did you mean pinned-producer?"},
		"produce -b 127.0.0.1:1 --timeout 1s --no-save":  {cli.ExitUnreachable, "127.0.0.1:1"},
		"run small-records --producers 1 --max" + quick:  {0, ""},
		"list": {0, ""},
	} {
		_, errs := measured(t, want.code, strings.Fields(line)...)
		if !strings.Contains(errs, want.text) {
			t.Errorf("%s: %s\nwant %s", line, errs, want.text)
		}
	}
	if _, topics := topicsOf(t, addr); len(topics) > 0 {
		t.Errorf("left behind: %v", topics.Names())
	}
}
