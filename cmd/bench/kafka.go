package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/versus"
)

// insideVariable is set for the process that has a loopback of its own.
const insideVariable = "BENCH_OWN_LOOPBACK"

// kafka is `bench kafka`: Apache Kafka and penstock side by side.
func kafka(args []string) error {
	var o versus.Options
	f := flag.NewFlagSet("bench kafka", flag.ContinueOnError)
	broker := f.String("broker", "bin/penstock serve", "command that starts penstock")
	only := f.String("only", "", "only loads whose name this regular expression matches; -out is not written")
	out := f.String("out", "", "write the page to this file too")
	shared := f.Bool("shared-loopback", false, "use the system's loopback, whatever its congestion control")
	f.StringVar(&o.Libs, "libs", defaultLibs(), "directory of Apache Kafka's jars, which cmd/wire/kafka-peer/jars.sh gets")
	f.StringVar(&o.Dir, "dir", os.TempDir(), "where the data go, which are deleted after")
	f.StringVar(&o.Save, "save", "", "directory for the result of each run, for penstock bench compare")
	f.BoolVar(&o.Quick, "quick", false, "a run of about ten minutes: fewer, shorter rounds, and not all loads")
	f.IntVar(&o.Rounds, "rounds", 0, "rounds in which all sides take their turn (default 4, quick 2)")
	f.DurationVar(&o.Duration, "duration", 0, "how long each run measures (default 6s, quick 2s)")
	f.DurationVar(&o.Warmup, "warmup", 0, "what each run drops at its beginning (default 2s, quick 1s)")
	f.DurationVar(&o.JVM, "jvm-warmup", 0, "load on each broker before the first round (default 30s, quick 12s)")
	f.IntVar(&o.Records, "records", 0, "records that each of Kafka's own tests moves (default 1000000, quick 400000)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: see -help", f.Arg(0))
	}
	times(&o)
	if *only != "" {
		var err error
		if o.Only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	if !*shared && os.Getenv(insideVariable) == "" && os.Geteuid() == 0 {
		return again(args)
	}
	if os.Getenv(insideVariable) != "" {
		if err := loopback(); err != nil {
			return err
		}
	}
	o.Penstock = strings.Fields(*broker)
	o.Log = func(s string) { fmt.Fprintln(os.Stderr, s) }
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := versus.Run(ctx, o)
	if len(report.Outcomes) == 0 {
		return err
	}
	page := report.Markdown(repeat(args, *out), time.Now())
	fmt.Print(page)
	if err == nil && *out != "" && *only == "" {
		err = os.WriteFile(*out, []byte(page), 0o644)
	}
	return err
}

// repeat is the command that makes the same run; make gives -out itself.
func repeat(args []string, out string) string {
	var words []string
	for _, a := range args {
		if a != "-out" && a != out {
			words = append(words, a)
		}
	}
	if len(words) == 0 {
		return "make bench-kafka"
	}
	return `make bench-kafka ARGS="` + strings.Join(words, " ") + `"`
}

func defaultLibs() string {
	dir := os.Getenv("WIRE_CACHE")
	if dir == "" {
		home, _ := os.UserHomeDir()
		dir = filepath.Join(home, ".cache", "penstock-wire")
	}
	return filepath.Join(dir, "kafka")
}

// times are the defaults of a full and of a quick run.
func times(o *versus.Options) {
	d := versus.Options{Rounds: 4, Duration: 6 * time.Second, Warmup: 2 * time.Second, JVM: 30 * time.Second, Records: 1_000_000}
	if o.Quick {
		d = versus.Options{Rounds: 2, Duration: 2 * time.Second, Warmup: time.Second, JVM: 12 * time.Second, Records: 400_000}
	}
	if o.Rounds == 0 {
		o.Rounds = d.Rounds
	}
	if o.Duration == 0 {
		o.Duration = d.Duration
	}
	if o.Warmup == 0 {
		o.Warmup = d.Warmup
	}
	if o.JVM == 0 {
		o.JVM = d.JVM
	}
	if o.Records == 0 {
		o.Records = d.Records
	}
}

// again runs this command in a network namespace of its own. Kafka cannot be told which
// congestion control to use, and the system's default is not ours to change: others use
// it. In a namespace the route of the loopback says it, and all of that ends with us.
func again(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The one inside cleans up, and this one waits for it.
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, os.Interrupt, syscall.SIGTERM)
	c := exec.Command(self, append([]string{"kafka"}, args...)...)
	c.Env = append(os.Environ(), insideVariable+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return fmt.Errorf("a network namespace cannot be had (%w): -shared-loopback does without, and Kafka's connections then have the system's congestion control", err)
	}
	go func() {
		for s := range ending {
			_ = c.Process.Signal(s)
		}
	}()
	var ended *exec.ExitError
	if err := c.Wait(); errors.As(err, &ended) {
		os.Exit(max(ended.ExitCode(), 1)) // it has said why
	} else if err != nil {
		return err
	}
	return nil
}

// loopback brings the namespace's up, with cubic for every connection on it.
func loopback() error {
	for _, line := range []string{
		"link set lo up",
		"route replace local 127.0.0.0/8 dev lo table local congctl cubic",
		"route replace local 127.0.0.1 dev lo table local congctl cubic",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s (-shared-loopback does without)", line, err, out)
		}
	}
	return nil
}
