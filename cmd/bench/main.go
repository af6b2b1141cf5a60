// The bench command measures a broker beside bare servers that take the same load, and
// prints a table in Markdown. `make bench` builds the broker and runs it. `bench kafka`,
// which `make bench-kafka` runs, measures it beside Apache Kafka.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench"
	"github.com/penstock/penstock/bench/floor"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "floor" { // started by ourselves, to be measured apart
		return floor.Main(args[1:])
	}
	if len(args) > 0 && args[0] == "kafka" {
		return kafka(args[1:])
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := bench.Options{Floor: []string{self, "floor"}, Log: func(s string) { fmt.Fprintln(os.Stderr, s) }}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	broker := f.String("broker", "bin/penstock serve", "command that starts the broker")
	only := f.String("only", "", "only scenarios whose name this regular expression matches")
	f.StringVar(&o.Addr, "addr", "", "a Kafka broker that runs already, instead of -broker")
	f.IntVar(&o.PID, "pid", 0, "process of the broker at -addr")
	f.StringVar(&o.Dir, "dir", "", "where the data go, which are deleted after (default the system's temporary directory)")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds in which all variants take their turn")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "how long each variant measures in a round")
	f.DurationVar(&o.Warmup, "warmup", 500*time.Millisecond, "what each variant runs before it is measured")
	f.BoolVar(&o.Long, "long", false, "also what takes minutes and 10 GB of disk")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: see -help", f.Arg(0))
	}
	if *only != "" {
		if o.Only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	o.Broker = strings.Fields(*broker)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	result, err := bench.Run(ctx, o)
	fmt.Print(result.Markdown())
	return err
}
