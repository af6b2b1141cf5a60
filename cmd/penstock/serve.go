package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/perf"
)

// stopPatience is how long a SIGTERM waits for what is in flight before it cuts it off.
const stopPatience = 25 * time.Second

// threadsPerShard is how many threads of a shard can be in system calls at once: of its
// loop and its workers.
const threadsPerShard = 6

func serveCommand() *cobra.Command {
	given := &settingFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the broker",
		Example: `  penstock serve                                    data in ./data, Kafka on 127.0.0.1:9092
  penstock serve --data /var/lib/penstock --shards 4
  penstock serve --config penstock.yaml --set num.partitions=8 --set retention.ms=3600000`,
		Args:              cli.Args(0, 0),
		ValidArgsFunction: cli.CompleteNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := given.load(cmd)
			if err != nil {
				newLogger("auto").notStarted(err)
				return err
			}
			return serve(cfg)
		},
	}
	given.add(cmd)
	cli.More(cmd, settingsHelp())
	return cmd
}

// settingFlags are the settings as flags, beside the file that holds others.
type settingFlags struct {
	file   string
	sets   []string
	values map[string]*string
}

func (g *settingFlags) add(cmd *cobra.Command) {
	g.values = map[string]*string{}
	cmd.Flags().StringVar(&g.file, "config", "", "YAML `file` with settings")
	cmd.Flags().StringArrayVar(&g.sets, "set", nil, "a Kafka setting of the broker or a default for topics, `key=value` (repeatable)")
	cmd.Flags().SortFlags = false
	for _, s := range settings {
		if strings.Contains(s.name, "/") {
			continue
		}
		v := new(string)
		g.values[s.name] = v
		*v = s.def
		cmd.Flags().Var(flagValue{v, s}, flagName(s.name), s.doc)
		if s.def == "false" || s.def == "true" {
			cmd.Flags().Lookup(flagName(s.name)).NoOptDefVal = "true"
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return setKeys("="), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}) // the flag is there
}

// load layers the settings, and returns where each comes from.
func (g *settingFlags) load(cmd *cobra.Command) (*config, map[string]value, error) {
	given := map[string]string{}
	for name, v := range g.values {
		if cmd.Flags().Changed(flagName(name)) {
			given[name] = *v
		}
	}
	if err := takeSets(g.sets, given); err != nil {
		return nil, nil, cli.Usage("%w", err)
	}
	cfg, values, err := loadConfig(g.file, os.Environ(), given)
	if err != nil {
		return nil, nil, cli.Fail(cli.ExitConfig, "%w", err)
	}
	return cfg, values, nil
}

// flagValue is a setting as a flag: its text is looked at with all the others'.
type flagValue struct {
	v *string
	s setting
}

func (f flagValue) String() string     { return *f.v }
func (f flagValue) Set(v string) error { *f.v = v; return nil }

// Type is the word that the help shows for a value.
func (f flagValue) Type() string {
	switch d := f.s.def; {
	case d == "true" || d == "false":
		return "bool"
	case strings.HasSuffix(d, "iB"):
		return "size"
	case f.s.name == "data" || f.s.name == "arena_dir":
		return "dir"
	case f.s.name == "kafka" || f.s.name == "admin":
		return "host:port"
	case f.s.name == "advertised":
		return "host[:port]"
	case strings.Contains(f.s.doc, "auto"):
		return "choice"
	case d != "" && strings.Trim(d, "0123456789") == "":
		return "number"
	}
	return "word"
}

// settingsHelp lists what --set takes.
func settingsHelp() string {
	w := &strings.Builder{}
	for _, section := range []struct{ name, title string }{
		{brokerSection, "Settings of the broker (--set, or under broker: in the file)"},
		{topicSection, "Defaults for topics (--set, or under topic_defaults: in the file)"},
	} {
		fmt.Fprintf(w, "\n%s:\n", section.title)
		for _, s := range settings {
			if name, ok := strings.CutPrefix(s.name, section.name); ok {
				fmt.Fprintf(w, "  %-34s %s (%s)\n", name, strings.TrimSuffix(s.doc, "."), s.def)
			}
		}
	}
	fmt.Fprintf(w, `
Every setting is also a key of the file, with _ for -, and a variable of the environment:
  --arena-dir       arena_dir: ...                     PENSTOCK_ARENA_DIR
  --set a.b=c       broker: or topic_defaults: a.b: c  PENSTOCK_BROKER__A_B, PENSTOCK_TOPIC_DEFAULTS__A_B
Flags win over the environment, and that over the file. penstock config init writes a file
with all of them, and penstock config show --origin tells where each value comes from.
`)
	return w.String()
}

func flagName(setting string) string { return strings.ReplaceAll(setting, "_", "-") }

// takeSets puts --set key=value under the section that knows the key.
func takeSets(sets []string, given map[string]string) error {
	for _, kv := range sets {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return fmt.Errorf("--set takes key=value, not %q", kv)
		}
		switch {
		case find(brokerSection+k) != nil:
			given[brokerSection+k] = v
		case find(topicSection+k) != nil:
			given[topicSection+k] = v
		default:
			if find(strings.ReplaceAll(k, "-", "_")) != nil {
				return fmt.Errorf("--set takes the settings with Kafka's names; %s is a flag: --%s", k, flagName(k))
			}
			return fmt.Errorf("--set: the setting %q is not known%s", k, cli.Hint(k, setKeys(""), "penstock serve --help lists the settings"))
		}
	}
	return nil
}

// setKeys are the keys that --set takes.
func setKeys(end string) []string {
	known := append(names(brokerSection), names(topicSection)...)
	for i := range known {
		known[i] = known[i][strings.Index(known[i], "/")+1:] + end
	}
	return known
}

// logger is where the broker says what happens.
type logger struct {
	*slog.Logger
	text bool // for a person
	out  *outlet
}

// newLogger is text on a terminal and JSON lines elsewhere, unless the settings say.
func newLogger(form string) logger {
	terminal := cli.IsTerminal(os.Stdout)
	if form == "text" || form == "auto" && terminal {
		_, plain := os.LookupEnv("NO_COLOR")
		out := newOutlet(os.Stderr)
		h := tint.NewTextHandler(out, &tint.Options{TimeFormat: time.TimeOnly, NoColor: plain || !terminal})
		return logger{slog.New(h), true, out}
	}
	out := newOutlet(os.Stdout)
	return logger{slog.New(slog.NewJSONHandler(out, nil)), false, out}
}

// notStarted puts the reason into the log of a machine. A person finds it on stderr, where
// it comes in any case.
func (l logger) notStarted(err error) {
	if !l.text {
		l.Error("the broker does not start", "error", err.Error())
		l.out.flush()
	}
}

// columns is the width of a terminal, 0 if it is none; COLUMNS wins, as everywhere.
func columns(f *os.File) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// serve runs the broker until a signal ends it.
func serve(cfg *config) error {
	log := newLogger(cfg.Log)
	defer log.out.flush()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it; else the terminal has gone
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go; the broker stays
	s, err := open(cfg, log)
	if err != nil {
		log.notStarted(err)
		return err
	}
	perf.Room(threadsPerShard * s.facts.Shards)
	if log.text {
		s.facts.banner(os.Stdout, columns(os.Stdout))
	} else {
		s.facts.log(log.Logger)
	}
	select {
	case sig := <-signals:
		log.Info("stopping: no new connections; finishing and syncing what is in flight", "signal", sig.String())
	case err := <-s.failed:
		log.Error("stopping: the storage has failed; nothing is acknowledged any more", "error", err)
		return errors.Join(err, s.abandon())
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		log.Info("stopped: everything is synced", "clean", true)
		return nil
	case sig := <-signals:
		log.Warn("stopped at once: what was acknowledged is safe; the next start replays the journal", "signal", sig.String())
	case <-time.After(stopPatience):
		return fmt.Errorf("stop: not done after %s, so it was cut off: what was acknowledged is safe, and the next start replays the journal", stopPatience)
	}
	return nil
}
