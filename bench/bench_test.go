package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/floor"
	"github.com/penstock/penstock/bench/load"
)

// The test binary is also the floor, when it is called as one.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_FLOOR") != "" {
		if err := floor.Main(os.Args[1:]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func options(t *testing.T) Options {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Floor: []string{"/usr/bin/env", "BENCH_FLOOR=1", exe}, Dir: t.TempDir(), Rounds: 1, Duration: 100 * time.Millisecond,
		Warmup: 50 * time.Millisecond, Log: func(s string) { t.Log(s) }}
}

func TestLoadsRunAgainstTheFloors(t *testing.T) {
	b := &bench{Options: options(t), result: &Result{}}
	b.dir = b.Dir
	defer b.stop()
	latencies := int64(0) // of all loads: a busy machine may have none in one of them
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, rate := range []float64{0, 200} {
			p := load.Produce{Shape: b.shape("", 2, 4), Topic: "bench-0000", Partitions: 3, Acks: 1, RecordSize: 100, BatchSize: size}
			p.Rate = rate
			f, addr, err := b.floor(floor.ProduceArgs(p.Answer(), floor.ReadBuffer, rate > 0))
			if err != nil {
				t.Fatal(err)
			}
			s := check(t, p.Shape, func() (sample, error) { return produceFloor(f, p, addr) })
			latencies += s.Latency.TotalCount()
		}
	}
	path, err := b.file(4 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1000, 64 << 10, 2 << 20} {
		for _, rate := range []float64{0, 200} {
			l := load.Fetch{Shape: b.shape("", 2, 3), Topic: "bench-0000", Partitions: 3, MaxBytes: size, BatchSize: size, Records: 1}
			l.Rate = rate
			head, tail := l.Answer(size)
			f, addr, err := b.floor(floor.FetchArgs(head, tail, path, size))
			if err != nil {
				t.Fatal(err)
			}
			l.Addr = addr
			s := check(t, l.Shape, func() (sample, error) {
				return measured(f, func(mark func()) (load.Stats, error) { l.Mark = mark; return l.Run() })
			})
			// Requests and bytes are looked at one after the other while both grow.
			if n := s.Bytes / int64(size); s.Bytes%int64(size) != 0 || n > 2*s.Requests+16 || n < s.Requests/2-16 {
				t.Errorf("%d requests of %d bytes: %d", s.Requests, size, s.Bytes)
			}
			latencies += s.Latency.TotalCount()
		}
	}
	if latencies == 0 {
		t.Error("no latency was measured")
	}
}

func check(t *testing.T, shape load.Shape, run func() (sample, error)) sample {
	t.Helper()
	began := time.Now()
	s, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if s.Total == 0 || s.Elapsed < shape.Duration {
		t.Errorf("%+v", s)
	}
	// A machine that is busy with something else may finish no request within what is measured.
	if s.Requests > 0 && (s.CPU <= 0 || s.Bytes > s.Total) {
		t.Errorf("%+v", s)
	}
	// What was due before the measurement may be made up for in it.
	if due := shape.Rate * time.Since(began).Seconds(); shape.Rate > 0 && float64(s.Requests) > due+float64(shape.Conns) {
		t.Errorf("%d requests at a rate of %v", s.Requests, shape.Rate)
	}
	return s
}

func TestGctraceIsRead(t *testing.T) {
	p := &process{}
	p.line("gc 7 @1.5s 0%: 0.018+1.3+0.076 ms clock, 0.15+0.3/1.2/0+0.61 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P")
	p.line("something else")
	pauses, cycles := p.collector()
	if cycles != 1 || len(pauses) != 2 || pauses[0] != 0.018 || pauses[1] != 0.076 || len(p.errs) != 1 {
		t.Error(pauses, cycles, p.errs)
	}
}

func TestMarkdown(t *testing.T) {
	r := Result{Machine: machine(t.TempDir()), Options: Options{Rounds: 3, Duration: time.Second}}
	b := &bench{result: &r, Options: Options{Log: func(string) {}}}
	b.row(Row{Name: "a", Unit: "s", Good: 2}, 3, 1, 9)
	b.row(Row{Name: "b", Unit: "GB/s", Good: 1, AtLeast: true}, 1.5)
	got := r.Markdown()
	for _, want := range []string{"| a | 3 (1 – 9) | s | <= 2 |  | **no** |  |", "| b | 1.5 | GB/s | >= 1 |  | yes |  |", "go1."} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// BENCH_BROKER is a penstock to be measured, or BENCH_ADDR and BENCH_PID are any broker; BENCH_ONLY picks scenarios.
func TestBroker(t *testing.T) {
	exe := os.Getenv("BENCH_BROKER")
	if exe == "" && os.Getenv("BENCH_ADDR") == "" {
		t.Skip("BENCH_BROKER names no broker")
	}
	o := options(t)
	o.Broker = []string{exe, "serve"}
	o.Log = func(s string) { fmt.Println(s) } // while it goes on
	o.Duration, o.Warmup, o.Rounds = time.Second, 300*time.Millisecond, 1
	o.Addr = os.Getenv("BENCH_ADDR")
	o.PID, _ = strconv.Atoi(os.Getenv("BENCH_PID"))
	o.Long = os.Getenv("BENCH_LONG") != ""
	if only := os.Getenv("BENCH_ONLY"); only != "" {
		o.Only = regexp.MustCompile(only)
	}
	r, err := Run(context.Background(), o)
	t.Log("\n" + r.Markdown())
	if err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(o.Dir + "/*"); len(left) > 0 {
		t.Error("left behind", left)
	}
}
