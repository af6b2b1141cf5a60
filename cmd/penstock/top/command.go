package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// AdminVariable is the variable of the environment that --admin begins with: the same
// that sets the admin port of penstock serve.
const AdminVariable = "PENSTOCK_ADMIN"

// shards publish their figures several times a second: between closer samples there
// would be nothing, or twice as much.
const intervalMin = 200 * time.Millisecond

type options struct {
	admin    string
	interval time.Duration
	once     bool
	out      cli.Output
}

// Command is penstock top.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the cores of a broker, its topics, groups and clients",
		Long: `What each core of a broker does, live: how busy it is, requests, bytes in and out, queues,
sync time and latencies; then topics, groups with their lag, and clients. It reads the broker's
admin port, which listens on loopback only; for another host, go through a tunnel:
ssh -L 9644:127.0.0.1:9644 HOST.

Without a terminal (or with TERM=dumb, --once or -o json, jsonl, yaml) it prints one sample,
made of two answers that are --interval apart. Percentiles are those of the interval,
interpolated between the bounds of histogram buckets.`,
		Example: `  penstock top
  penstock top --admin 127.0.0.1:9700 --interval 5s
  penstock top -o json | jq '.cores[] | {id, busy}'
  penstock top --once | less`,
		Args:              cli.Args(0, 0),
		ValidArgsFunction: cli.CompleteNothing,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	def := DefaultAdmin
	if v := os.Getenv(AdminVariable); v != "" {
		def = v
	}
	f := cmd.Flags()
	f.StringVar(&o.admin, "admin", def, "the admin port of the broker, `host:port` ("+AdminVariable+")")
	f.DurationVar(&o.interval, "interval", time.Second, "time between two samples")
	f.BoolVar(&o.once, "once", false, "print one sample as text and end")
	cli.SetSection(cmd, cli.SectionConnection, "admin")
	o.out.Flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("admin", cli.CompleteNothing) // the flags are there
	_ = cmd.RegisterFlagCompletionFunc("interval", cli.CompleteWords("500ms", "1s", "2s", "5s", "10s"))
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	if o.interval < intervalMin {
		return cli.Usage("--interval %s is too short: the shards publish their figures a few times a second; say %s or more", o.interval, intervalMin)
	}
	s := newSource(o.admin, max(o.interval, 5*time.Second))
	out, isFile := cmd.OutOrStdout().(*os.File)
	if o.once || o.out.Format != "text" || !isFile || !cli.IsTerminal(out) || !cli.IsTerminal(os.Stdin) || os.Getenv("TERM") == "dumb" {
		return o.sample(cmd, s)
	}
	return live(cmd.Context(), s, o.interval, out)
}

// sample prints what two answers say together.
func (o *options) sample(cmd *cobra.Command, s *source) error {
	ctx := cmd.Context()
	a, err := s.read(ctx, everything)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(o.interval):
	}
	b, err := s.read(ctx, everything)
	if err != nil {
		return err
	}
	r := compare(a, b)
	r.Admin = s.addr
	return o.out.Print(cmd.OutOrStdout(), r, func(t *cli.Table) {
		width := cli.Columns(cmd.OutOrStdout())
		if o.out.Wide() {
			width = wideColumns
		}
		for _, l := range text(r, width, o.out.Wide()) {
			t.Line("%s", l)
		}
	})
}

// live shows the screen until somebody leaves it.
func live(ctx context.Context, s *source, interval time.Duration, out *os.File) error {
	// A wrong address ends here with an error, rather than on a screen that waits for it.
	if _, err := s.read(ctx, cores); err != nil {
		return err
	}
	m := newModel(s.addr, interval)
	m.paint.on = true
	m.read = func(p part, generation int) tea.Cmd {
		return func() tea.Msg {
			got, err := s.read(ctx, p)
			return readMsg{generation, got, err, time.Now()}
		}
	}
	m.wait = func(d time.Duration, generation int) tea.Cmd {
		return tea.Tick(d, func(time.Time) tea.Msg { return tickMsg{generation} })
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(out)).Run()
	switch {
	case ctx.Err() != nil, errors.Is(err, tea.ErrInterrupted):
		return context.Canceled
	case err != nil:
		return fmt.Errorf("the screen: %w; --once prints the same as text", err)
	}
	return nil
}
