package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// Commands are the verbs of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{topicCommand(), groupCommand(), doctorCommand()}
}

// verb is what all of them have: a connection, and a form for the answer.
type verb struct {
	cli.Conn
	cli.Output
}

func (v *verb) flags(cmd *cobra.Command) *cobra.Command {
	v.Conn.Flags(cmd)
	v.Output.Flags(cmd)
	return cmd
}

// interruptible runs do, and does not wait for it after Ctrl-C: a client that dials a silent
// broker would hold the process for seconds.
func interruptible(cmd *cobra.Command, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-cmd.Context().Done():
		return cmd.Context().Err()
	}
}

// ask runs do with a client, within the timeout.
func (v *verb) ask(cmd *cobra.Command, do func(ctx context.Context, adm *kadm.Client) error) error {
	return interruptible(cmd, func() error {
		ctx, cancel := v.Context(cmd)
		defer cancel()
		adm, err := v.Admin()
		if err != nil {
			return err
		}
		defer adm.Close()
		adm.SetTimeoutMillis(int32(min(v.Timeout.Milliseconds(), 1<<30)))
		return v.Unreachable(do(ctx, adm))
	})
}

// tell prints the answer, and returns what failed of it.
func (v *verb) tell(cmd *cobra.Command, answer any, failed []error, text func(*cli.Table)) error {
	if err := v.Print(cmd.OutOrStdout(), answer, text); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// tellList is tell for a list, and says what to do about one that is empty as a whole.
func (v *verb) tellList(cmd *cobra.Command, answer any, rows, wanted int, empty string, failed []error, text func(*cli.Table)) error {
	if err := v.tell(cmd, answer, failed, text); err != nil {
		return err
	}
	if rows == 0 && wanted == 0 && v.Text() {
		fmt.Fprintln(cmd.ErrOrStderr(), empty)
	}
	return nil
}

// topics are the topics that the names and patterns mean; those that do not exist become
// errors that suggest the nearest. Without a name it is all of them.
func topics(ctx context.Context, adm *kadm.Client, wanted []string, regex, internal bool) (kadm.TopicDetails, []error, error) {
	all, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(wanted) == 0 {
		for name, t := range all {
			if t.IsInternal && !internal {
				delete(all, name)
			}
		}
		return all, nil, nil
	}
	names, err := cli.Select(wanted, all.Names(), regex, "penstock topic list")
	if err != nil {
		return nil, nil, err
	}
	out := kadm.TopicDetails{}
	var missing []error
	for _, n := range names {
		if t, ok := all[n]; ok {
			out[n] = t
		} else {
			missing = append(missing, noTopic(n, all.Names()))
		}
	}
	return out, missing, nil
}

func noTopic(name string, known []string) error {
	return cli.Fail(cli.ExitFailed, "there is no topic %q%s", name, cli.Hint(name, known, "penstock topic list shows those that exist"))
}

// partitionSet is what a person means with topic:0,2-4; no partitions are all of them.
// The topic may be a pattern.
type partitionSet struct {
	topic string
	only  []int32
}

// parseSets reads topic and topic:0,2-4. A topic's name has no colon. rest is for those
// that name no partitions.
func parseSets(args []string, rest string) ([]partitionSet, error) {
	var all []int32
	var err error
	if rest != "" {
		if all, err = parsePartitions(rest); err != nil {
			return nil, err
		}
	}
	var out []partitionSet
	for _, a := range args {
		name, list, some := strings.Cut(a, ":")
		only := all
		if some {
			if only, err = parsePartitions(list); err != nil {
				return nil, err
			}
		}
		out = append(out, partitionSet{name, only})
	}
	return out, nil
}

// resolve finds the topics and their partitions that sets mean. Those of a topic that is
// named twice come together, and partitions that do not exist stay in: they become errors.
func resolve(ctx context.Context, adm *kadm.Client, sets []partitionSet) (ts kadm.TopicDetails, partitions map[string][]int32, missing []error, err error) {
	ts, partitions = kadm.TopicDetails{}, map[string][]int32{}
	for _, s := range sets {
		found, absent, err := topics(ctx, adm, []string{s.topic}, false, true)
		if err != nil {
			return nil, nil, nil, err
		}
		missing = append(missing, absent...)
		for name, t := range found {
			ts[name] = t
			if s.only == nil {
				partitions[name] = append(partitions[name], t.Partitions.Numbers()...)
			}
			partitions[name] = append(partitions[name], s.only...)
		}
	}
	for name, ps := range partitions {
		slices.Sort(ps)
		partitions[name] = slices.Compact(ps)
	}
	return ts, partitions, missing, nil
}

// partitionsMax is what a list of partitions may name; a topic does not have more.
const partitionsMax = 1_000_000

func parsePartitions(list string) ([]int32, error) {
	var out []int32
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, e1 := strconv.ParseUint(from, 10, 31)
		b, e2 := strconv.ParseUint(to, 10, 31)
		if e1 != nil || e2 != nil || a > b || b >= partitionsMax {
			return nil, cli.Usage("%q are no partitions: say 0,3 or 0-3", list)
		}
		for p := a; p <= b; p++ {
			out = append(out, int32(p))
		}
	}
	return out, nil
}

// list makes a short text of numbers.
func list(ns []int32) string {
	if len(ns) == 0 {
		return "-"
	}
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = strconv.Itoa(int(n))
	}
	return strings.Join(out, ",")
}

// counted is "1 topic" or "3 topics".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// errText is the text of an error in an answer, "" for none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// number is n, or a dash where it is not known.
func number(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// bytes is a size for people, or a dash where it is not known.
func bytes(n *int64) string {
	if n == nil {
		return "-"
	}
	size, unit := float64(*n), 0
	for size >= 1000 && unit < len(byteUnits)-1 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(*n, 10) + " B"
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + byteUnits[unit]
}

var byteUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
