package client

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// diagnosis is what doctor finds.
type diagnosis struct {
	Address string   `json:"address"`
	Healthy bool     `json:"healthy"`
	Steps   []step   `json:"steps"`
	Fix     []string `json:"fix,omitempty"` // what to do, lines of configuration among it
	Cluster string   `json:"cluster_id,omitempty"`
	Level   string   `json:"kafka_api_level,omitempty"`
	Brokers []broker `json:"brokers,omitempty"`

	show     func(step)
	patience time.Duration // for one answer
	dead     bool          // nothing answers at the address itself
}

// step is one thing that was tried.
type step struct {
	What   string  `json:"step"`
	OK     bool    `json:"ok"`
	Detail string  `json:"detail"`
	Ms     float64 `json:"ms"`
}

type broker struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

func doctorCommand() *cobra.Command {
	v := &verb{}
	cmd := &cobra.Command{
		Use:   "doctor [HOST:PORT]",
		Short: "Find out why a client cannot connect, and what to change",
		Long: `It does what a client does, one step after the other, and says how each went: find the
address, connect, ask which versions of the protocol are served, ask for the brokers, and do
the same with every address that they advertise. The first fault comes with the line of
configuration to change. The exit code is 3 for a fault, and 69 where nothing answers at all.`,
		Example: `  penstock doctor
  penstock doctor kafka.example:9092
  penstock doctor 10.0.0.7:9092 -o json | jq -r '.fix[]'`,
		Args:              cli.Args(0, 1),
		ValidArgsFunction: cli.CompleteNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			seeds, err := v.Seeds()
			if err != nil {
				return err
			}
			at := seeds[0]
			if len(args) > 0 {
				at = cli.WithPort(args[0])
			}
			d := &diagnosis{Address: at, Steps: []step{}, show: func(step) {}, patience: min(v.Timeout, peerPatience)}
			if v.Text() { // each step is shown when it is done: some take long
				w := cmd.OutOrStdout()
				d.show = func(s step) { fmt.Fprintf(w, "%s  %s: %s%s\n", verdict(s.OK), s.What, s.Detail, took(s.Ms)) }
			}
			if err := interruptible(cmd, func() error { d.examine(cmd.Context()); return nil }); err != nil {
				return err
			}
			d.Healthy = len(d.Fix) == 0
			if err := v.Print(cmd.OutOrStdout(), d, d.conclusion); err != nil {
				return err
			}
			switch {
			case d.dead:
				return &cli.Error{Code: cli.ExitUnreachable, Err: cli.ErrShown}
			case !d.Healthy:
				return &cli.Error{Code: cli.ExitNotMet, Err: cli.ErrShown}
			}
			return nil
		},
	}
	return v.flags(cmd)
}

func verdict(ok bool) string {
	if ok {
		return "ok    "
	}
	return "FAILED"
}

func took(ms float64) string {
	if ms < 0.1 {
		return ""
	}
	return fmt.Sprintf(" (%.1f ms)", ms)
}

func (d *diagnosis) conclusion(t *cli.Table) {
	t.Line("")
	if d.Healthy {
		t.Line("Clients that reach %s from here can use it.", d.Address)
		return
	}
	t.Line("What to do:")
	for _, f := range d.Fix {
		t.Line("  %s", f)
	}
}

func (d *diagnosis) add(what string, since time.Time, ok bool, format string, args ...any) bool {
	s := step{What: what, OK: ok, Detail: fmt.Sprintf(format, args...), Ms: float64(time.Since(since).Microseconds()) / 1000}
	d.Steps = append(d.Steps, s)
	d.show(s)
	return ok
}

// fix adds what is to do, once.
func (d *diagnosis) fix(lines ...string) {
	for _, l := range lines {
		known := false
		for _, f := range d.Fix {
			known = known || f == l
		}
		if !known {
			d.Fix = append(d.Fix, l)
		}
	}
}

// examine goes the way of a client.
func (d *diagnosis) examine(ctx context.Context) {
	p, ok := d.reach(ctx, d.Address)
	if !ok {
		d.dead = p == nil
		return
	}
	defer p.close()
	if !d.versions(p) {
		return
	}
	meta, ok := d.metadata(ctx, p)
	if !ok {
		return
	}
	for _, b := range meta.Brokers {
		d.Brokers = append(d.Brokers, broker{b.NodeID, b.Host, b.Port})
	}
	for _, b := range d.Brokers {
		d.advertised(ctx, b, p.remote)
	}
}

// reach finds an address and connects to it; the peer is nil if nothing is there.
func (d *diagnosis) reach(ctx context.Context, addr string) (*peer, bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		d.add("address "+addr, time.Now(), false, "it is not HOST:PORT: %v", err)
		d.fix("give an address such as kafka.example:9092 (an IPv6 address stands in brackets: [::1]:9092)")
		return nil, false
	}
	if net.ParseIP(host) == nil {
		began := time.Now()
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			d.add("find "+host, began, false, "the name is not known here: %v", err)
			d.fix("use a name that resolves here, or add it: echo 'ADDRESS " + host + "' >> /etc/hosts")
			return nil, false
		}
		d.add("find "+host, began, true, "%s", strings.Join(ips, ", "))
	}
	began := time.Now()
	p, err := dial(ctx, addr, d.patience)
	if err != nil {
		why, fix := dialFault(err, host, port)
		d.add("connect to "+addr, began, false, "%s", why)
		d.fix(fix)
		return nil, false
	}
	d.add("connect to "+addr, began, true, "from %s", p.conn.LocalAddr())
	return p, true
}

// advertised does with an address that a broker advertises what a client would do with it.
func (d *diagnosis) advertised(ctx context.Context, b broker, reached net.IP) {
	addr := net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
	what := fmt.Sprintf("broker %d advertises %s", b.ID, addr)
	began := time.Now()
	host, port, _ := net.SplitHostPort(d.Address)
	good := net.JoinHostPort(host, port)
	if trap := advertisedTrap(b.Host, b.Port, reached); trap != "" {
		d.add(what, began, false, "%s", trap)
		d.fix(advertiseLines(b.ID, good)...)
		return
	}
	if addr == d.Address {
		d.add(what, began, true, "that is where we are")
		return
	}
	p, ok := d.reach(ctx, addr)
	if !ok {
		d.fix(advertiseLines(b.ID, good)...)
		return
	}
	defer p.close()
	if !d.versions(p) {
		d.fix(advertiseLines(b.ID, good)...)
		return
	}
	meta, ok := d.metadata(ctx, p)
	if !ok {
		return
	}
	if meta.ClusterID != nil && *meta.ClusterID != d.Cluster {
		d.add(what, began, false, "another cluster answers there: %s, not %s", *meta.ClusterID, d.Cluster)
		d.fix(advertiseLines(b.ID, good)...)
		return
	}
	d.add(what, began, true, "the same cluster answers there")
}

// advertiseLines are the settings of an advertised address, for both kinds of broker.
func advertiseLines(id int32, good string) []string {
	return []string{
		fmt.Sprintf("broker %d tells clients an address that they cannot use; let it advertise one that they can, such as %s:", id, good),
		"  Penstock, in its file:      advertised: " + good + "        (or: penstock serve --advertised " + good + ")",
		"  Kafka, server.properties:   advertised.listeners=PLAINTEXT://" + good,
	}
}
