// Package bench is the verb that measures: it puts a workload on any Kafka broker, shows
// it as it runs, and writes what it found.
package bench

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/run"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/core"
)

// Command is penstock bench.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a broker: this one or any other that speaks Kafka",
		Long: `Measures a broker. With --rate the load is open: records are sent when they are due,
whatever the broker does, and latency counts from then, so a stall shows in full. Without it
the load is closed: as much as the broker takes, with --in-flight requests per connection.`,
		Example: `  penstock bench produce                                 as much as the broker takes, for 30 s
  penstock bench e2e --rate 100k --assert 'p99<5ms'      latency at a rate; exit code 3 if it does not hold
  penstock bench run pinned-producer -b kafka:9092       a workload by its name, on another broker`,
	}
	return cli.Group(cmd,
		verb(workload.Produce, "Send records", `  penstock bench produce --size 100 --batch-size 64KiB --compression lz4
  penstock bench produce --rate 1M --for 60s -b kafka.example:9092
  penstock bench produce --client franz --producers 8 --durability synced`),
		verb(workload.Consume, "Read a backlog that is written first", `  penstock bench consume --backlog 4GiB
  penstock bench consume --consumers 8 --fetch-max-bytes 4MiB
  penstock bench consume --client franz --groups 1`),
		verb(workload.EndToEnd, "Send and read: latency from the intended send to the arrival", `  penstock bench e2e --rate 10k
  penstock bench e2e --rate 100k --assert 'p99<5ms' --assert 'errors==0'
  penstock bench e2e --client franz --groups 2 --rate 50k`),
		verb(workload.Mixed, "Send at a rate while others read all there is", `  penstock bench mixed --rate 100k --backlog 1GiB
  penstock bench mixed --producers 4 --consumers 8
  penstock bench mixed --client franz --groups 1`),
		runCommand(), listCommand(), Compare(), Report())
}

// aliases are shorter names of flags.
var aliases = map[string]string{"record-size": "size", "duration": "for", "backlog-bytes": "backlog"}

// options are a run's that are no field of the workload.
type options struct {
	conn       cli.Conn
	out        cli.Output
	dir        string
	noSave     bool
	topic      string
	keep       bool
	max        bool
	congestion string
	pid        int
	plain      bool
	asserts    []string
	configs    []string
	formats    []string
	set        []field // given on the command line
}

// field is a value of a workload's field.
type field struct {
	workload.Field
	flag, value string
}

// verb is the command of one kind.
func verb(kind, short, example string) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{Use: kind, Short: short, Example: example, Args: cli.Args(0, 0)}
	o.flags(cmd, kind)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return o.run(cmd, workload.New(kind), nil)
	}
	return cmd
}

func runCommand() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "run FILE|NAME",
		Short: "Run a workload from a file, or one of ours by its name",
		Long: `Runs a workload from a YAML file, of ours or of OpenMessaging Benchmark, or by one of these
names: ` + strings.Join(workload.Names(), ", ") + `. Flags change its fields.`,
		Example: `  penstock bench run pinned-producer
  penstock bench run half-load --rate 200k --out results
  penstock bench run 1-topic-16-partitions-1kb.yaml      OpenMessaging Benchmark's files as they are`,
		Args:              cli.Args(1, 1),
		ValidArgsFunction: cobra.FixedCompletions(workload.Names(), cobra.ShellCompDirectiveDefault),
	}
	o.flags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, notes, err := workload.Find(args[0])
		if err != nil {
			return cli.Fail(cli.ExitConfig, "%w; penstock bench list shows ours", err)
		}
		return o.run(cmd, w, notes)
	}
	return cmd
}

func listCommand() *cobra.Command {
	var out cli.Output
	cmd := &cobra.Command{
		Use: "list", Short: "List the workloads that penstock bench run knows by name", Args: cli.Args(0, 0),
		Example: `  penstock bench list
  penstock bench list -o json
  penstock bench list -o yaml > workloads.yaml`,
	}
	out.Flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []workload.Workload
		for _, n := range workload.Names() {
			w, _, err := workload.Find(n)
			if err != nil {
				return err
			}
			all = append(all, w)
		}
		return out.Print(cmd.OutOrStdout(), all, func(t *cli.Table) {
			t.Row("NAME", "KIND", "WHAT FOR")
			for _, w := range all {
				t.Row(w.Name, w.Kind, w.Doc)
			}
		})
	}
	return cmd
}

// flags adds the flags of a run; kind "" has those of all kinds.
func (o *options) flags(cmd *cobra.Command, kind string) {
	o.conn.Name = "penstock-bench"
	o.conn.Flags(cmd)
	o.out.Flags(cmd)
	f := cmd.Flags()
	def := workload.New(kind)
	for _, w := range workload.Fields() {
		if w.Name == "kind" || w.Name == "doc" || kind != "" && !w.Serves(kind) {
			continue
		}
		name := strings.ReplaceAll(w.Name, "_", "-")
		value := &flagValue{o: o, field: w, shown: w.Get(&def)}
		if kind == "" {
			value.shown = ""
		}
		for _, n := range []string{name, aliases[name]} {
			if n == "" {
				continue
			}
			v := *value
			v.flag = n
			doc := w.Doc
			if a := aliases[name]; a != "" {
				doc += " (also --" + a + ")"
			}
			fl := f.VarPF(&v, n, "", doc)
			if value.truth() {
				fl.NoOptDefVal = "true"
			}
			if values := strings.Split(w.Form, "|"); len(values) > 1 {
				_ = cmd.RegisterFlagCompletionFunc(n, cli.CompleteWords(values...)) // the flag is there
			}
			fl.Hidden = n != name && aliases[name] != ""
		}
	}
	f.StringArrayVar(&o.configs, "topic-config", nil, "more configuration of the topics made, `key=value` (repeatable)")
	f.BoolVar(&o.max, "max", false, "as fast as answers come, whatever rate the workload has (closed loop)")
	f.StringVar(&o.topic, "topic", "", "use this `topic`, which exists, and leave it; by default topics are made and deleted")
	f.BoolVar(&o.keep, "keep", false, "do not delete the topics that were made")
	f.StringVar(&o.congestion, "congestion", run.Auto, "TCP congestion control of the load: a `name`, system, or auto (cubic if the broker is on this machine)")
	f.IntVar(&o.pid, "broker-pid", 0, "process `id` of the broker, to count its CPU; by default who listens on its port, if that is here")
	f.StringArrayVar(&o.asserts, "assert", nil, "`condition` such as 'p99<5ms'; exit code 3 if it does not hold (repeatable)")
	f.StringVar(&o.dir, "out", "bench-results", "`directory` for the files of the result")
	f.StringSliceVar(&o.formats, "save", []string{"json", "hlog", "csv", "html"}, "`forms` of the result: json, hlog, csv, html, omb")
	f.Lookup("save").DefValue = "json,hlog,csv,html" // without the brackets of a list
	f.BoolVar(&o.noSave, "no-save", false, "write no files")
	f.BoolVar(&o.plain, "plain", false, "a line per second instead of the live screen")
}

// flagValue is the flag of one field. It is checked when it is read, and applied to the
// workload when that is known.
type flagValue struct {
	o     *options
	field workload.Field
	flag  string
	shown string
}

func (v *flagValue) truth() bool {
	var w workload.Workload
	return v.field.Set(&w, "true") == nil && v.field.Get(&w) == "true" && v.field.Set(&w, "x") != nil
}

// String, Set and Type are those of a flag.
func (v *flagValue) String() string { return v.shown }
func (v *flagValue) Type() string {
	const most = 24 // longer would leave little room beside it
	if len(v.field.Form) > most {
		return "name"
	}
	return v.field.Form
}
func (v *flagValue) Set(s string) error {
	var scratch workload.Workload
	if err := v.field.Set(&scratch, s); err != nil {
		return err
	}
	v.shown = s
	v.o.set = append(v.o.set, field{v.field, v.flag, s})
	return nil
}

// apply puts the flags over the workload.
func (o *options) apply(w *workload.Workload) error {
	rated := false
	for _, f := range o.set {
		if err := f.Set(w, f.value); err != nil {
			return cli.Usage("--%s: %w", f.flag, err)
		}
		rated = rated || f.Name == "rate"
	}
	if o.max {
		if rated && w.Rate > 0 {
			return cli.Usage("--max and --rate exclude each other: the one is a closed loop, the other an open one")
		}
		w.Rate = 0
	}
	for _, c := range o.configs {
		k, v, ok := strings.Cut(c, "=")
		if !ok {
			return cli.Usage("--topic-config %q is not key=value", c)
		}
		if w.Configs == nil {
			w.Configs = workload.Config{}
		}
		w.Configs[k] = v
	}
	if err := w.Check(); err != nil {
		return cli.Usage("%w", err)
	}
	return nil
}

// repeats is the command that repeats a run: with the brokers if they came from the
// environment, and without the secrets, for a result is made to be shown.
func repeats(args []string, brokers string, named bool) []string {
	out := []string{"penstock"}
	for _, a := range args {
		if m := secret.FindStringSubmatch(a); m != nil {
			a = m[1] + "…"
		}
		out = append(out, a)
	}
	if brokers != "" && !named {
		out = append(out, "--brokers", brokers)
	}
	return out
}

var secret = regexp.MustCompile(`(?i)^([^=]*(?:=[^=]*)?(?:password|secret|token|key\.pem|jaas\.config)[^=]*=).`)

// saving says before a run what could not be saved after it.
func (o *options) saving(cmd *cobra.Command) error {
	if o.keep && o.topic != "" {
		return cli.Usage("--keep has no meaning with --topic: a topic that exists is left in any case")
	}
	if o.noSave {
		for _, name := range []string{"save", "out"} {
			if cmd.Flags().Changed(name) {
				return cli.Usage("--no-save and --%s exclude each other", name)
			}
		}
		return nil
	}
	for _, f := range o.formats {
		if !slices.Contains(result.Kinds, f) {
			return cli.Usage("--save %s is not a form%s; there are %s", f, core.DidYouMean(f, result.Kinds), strings.Join(result.Kinds, ", "))
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("nothing can be saved in %s: %w; name another directory with --out, or say --no-save", o.dir, err)
	}
	if err := unix.Access(o.dir, unix.W_OK); err != nil {
		return fmt.Errorf("nothing can be saved in %s: %w; name another directory with --out, or say --no-save", o.dir, err)
	}
	return nil
}

// toolOf makes the tool's name of what --version prints, and cuts out the version alone.
func toolOf(title string) (tool, version string) {
	words := strings.Fields(title)
	if len(words) < 2 {
		return "penstock bench", ""
	}
	return "penstock bench " + strings.Join(words[1:], " "), words[1]
}

func (o *options) run(cmd *cobra.Command, w workload.Workload, notes []string) error {
	if err := o.apply(&w); err != nil {
		return err
	}
	if err := o.saving(cmd); err != nil {
		return err
	}
	var asserts []result.Assertion
	for _, s := range o.asserts {
		a, err := result.ParseAssertion(s)
		if err != nil {
			return cli.Usage("--assert: %w", err)
		}
		asserts = append(asserts, a)
	}
	screen := newScreen(os.Stderr, o.plain || !o.out.Text())
	tool, version := toolOf(cmd.Root().Version)
	sig := catch(cmd.Context(), screen.say)
	defer sig.release()
	res, err := run.Run(sig.ctx, run.Config{Workload: w, Client: o.conn.Client, Timeout: o.conn.Timeout, Topic: o.topic, Keep: o.keep, Congestion: o.congestion,
		BrokerPID: o.pid, Command: repeats(os.Args[1:], os.Getenv(cli.BrokersVariable), cmd.Flags().Changed("brokers")), Tool: tool, Version: version, Notes: notes,
		Say: screen.say, Begin: screen.begin, Second: screen.second, Hurry: sig.hurry, Made: sig.made})
	screen.end()
	if res == nil {
		return sig.ended(o.conn.Unreachable(err))
	}
	if err2 := res.Finish(); err2 != nil {
		return err2
	}
	failed := res.Check(asserts)
	var paths []string
	if !o.noSave {
		var err2 error
		if paths, err2 = res.Save(o.dir, o.formats...); err2 != nil {
			return fmt.Errorf("save the result: %w", err2)
		}
	}
	if err2 := o.out.Print(cmd.OutOrStdout(), res, func(t *cli.Table) {
		terminal, width := cli.IsTerminal(os.Stdout), 0
		if terminal {
			width = cli.Columns(os.Stdout)
		}
		if !terminal || !cli.IsTerminal(os.Stderr) { // else it is still to be seen above
			heading(t, res, width)
		}
		summary(t, res, paths, width)
	}); err2 != nil {
		return err2
	}
	switch {
	case err != nil:
		return err
	case len(failed) > 0:
		var texts []string
		for _, f := range failed {
			texts = append(texts, f.Error())
		}
		return cli.Fail(cli.ExitNotMet, "%s", strings.Join(texts, "; "))
	case res.Interrupted:
		return sig.ended(context.Canceled)
	}
	return nil
}
