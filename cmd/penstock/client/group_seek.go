package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// sought is one partition in group seek. Before is null where nothing was committed.
type sought struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    *int64 `json:"before"`
	After     *int64 `json:"after"`
	Lag       *int64 `json:"lag_after"`
	Moved     bool   `json:"moved_into_range,omitempty"` // what was asked for is not there any more, or not yet
	Dry       bool   `json:"dry_run,omitempty"`
	Error     string `json:"error,omitempty"`
	Code      string `json:"code,omitempty"`
}

func groupSeekCommand() *cobra.Command {
	v := &verb{}
	var to string
	var only []string
	var dry bool
	cmd := &cobra.Command{
		Use:     "seek GROUP",
		Aliases: []string{"reset", "reset-offsets"},
		Short:   "Set what a group has committed, to an offset or a time",
		Long: `Without --topics it is every partition that the group has committed. +N and -N count from
what is committed. A place outside of what a partition holds becomes its start or its end, and
the answer says so. A group with members is refused: its members would overwrite it.`,
		Example: `  penstock group seek billing --to start --dry-run        show what would be set
  penstock group seek billing --to @-1h --topics orders
  penstock group seek billing --to -100 -t orders:0,2-3 -t payments`,
		Args:              cli.Args(1, 1),
		ValidArgsFunction: v.CompleteGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return cli.Usage("say where to, with --to %s", cli.OffsetForms)
			}
			place, err := cli.ParseOffset(to, time.Now())
			if err != nil {
				return err
			}
			sets, err := parseSets(only, "")
			if err != nil {
				return err
			}
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				rows, failed, err := seek(ctx, adm, args[0], place, sets, dry)
				if err != nil {
					return err
				}
				return v.tell(cmd, rows, failed, func(t *cli.Table) { soughtTable(t, rows) })
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `offset` to set (penstock help offsets)")
	cmd.Flags().StringArrayVarP(&only, "topics", "t", nil, "only these, `topic` or topic:0,2-4 (repeatable); a topic that the group has not read is allowed")
	cmd.Flags().BoolVarP(&dry, "dry-run", "d", false, "show what would be set, and set nothing")
	v.flags(cmd)
	alias(cmd, map[string]string{"topic": "topics"})
	_ = cmd.RegisterFlagCompletionFunc("topics", v.CompleteTopics) // the flag is there
	return cmd
}

func seek(ctx context.Context, adm *kadm.Client, group string, to cli.Offset, sets []partitionSet, dry bool) ([]sought, []error, error) {
	if err := seekable(ctx, adm, group, len(sets) > 0); err != nil {
		return nil, nil, err
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, nil, fmt.Errorf("what group %s has committed: %w", group, cli.Refusal(err, ""))
	}
	if len(sets) == 0 {
		if len(committed) == 0 {
			return nil, nil, cli.Fail(cli.ExitFailed, "group %s has committed nothing; name topics with --topics", group)
		}
		for topic, ps := range committed {
			set := partitionSet{topic: topic}
			for p := range ps {
				set.only = append(set.only, p)
			}
			sets = append(sets, set)
		}
	}
	ts, partitions, failed, err := resolve(ctx, adm, sets)
	if err != nil {
		return nil, nil, err
	}
	rows, errs, err := planSeek(ctx, adm, to, ts, partitions, committed)
	failed = append(failed, errs...)
	if err != nil {
		return nil, nil, err
	}
	if dry {
		for i := range rows {
			rows[i].Dry = true
		}
		return rows, failed, nil
	}
	errs, err = commitSeek(ctx, adm, group, rows)
	return rows, append(failed, errs...), err
}

// seekable refuses a group that does not exist, unless it is to be made, and one that has
// members.
func seekable(ctx context.Context, adm *kadm.Client, group string, mayBeNew bool) error {
	if !mayBeNew {
		_, missing, err := groups(ctx, adm, []string{group}, false)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return missing[0]
		}
	}
	found, err := describeGroups(ctx, adm, []string{group})
	if err != nil {
		return err
	}
	var who []string
	for _, d := range found {
		if d.err != nil && !errors.Is(d.err, kerr.GroupIDNotFound) {
			return fmt.Errorf("group %s: %w", group, d.err)
		}
		for _, m := range d.MemberList {
			who = append(who, m.Client+" at "+strings.TrimPrefix(m.Host, "/"))
		}
	}
	if len(who) == 0 {
		return nil
	}
	slices.Sort(who)
	return cli.Fail(cli.ExitFailed, "group %s has %s, who would go on where they are and overwrite it: %s; stop them, wait until penstock group describe %s says Empty, then seek again", group, counted(len(who), "member"), strings.Join(slices.Compact(who), ", "), group)
}

func planSeek(ctx context.Context, adm *kadm.Client, to cli.Offset, ts kadm.TopicDetails, partitions map[string][]int32, committed kadm.OffsetResponses) (rows []sought, failed []error, err error) {
	at, err := findPlaces(ctx, adm, to, ts)
	if err != nil {
		return nil, nil, err
	}
	rows = []sought{}
	for _, t := range ts.Sorted() {
		for _, p := range partitions[t.Topic] {
			row := sought{Topic: t.Topic, Partition: p}
			c, ok := committed.Lookup(t.Topic, p)
			if ok = ok && c.Err == nil && c.At >= 0; ok {
				row.Before = &c.At
			}
			var after int64
			var err error
			if !ok && (to.Kind == cli.OffsetPlus || to.Kind == cli.OffsetMinus) {
				err = errors.New("nothing is committed that could be counted from; say --to start, end, an offset or a time")
			} else {
				after, row.Moved, err = at.at(t.Topic, p, c.At, c.At)
			}
			if err != nil {
				row.Error, row.Code = err.Error(), cli.Code(err)
				failed = append(failed, fmt.Errorf("seek %s-%d: %w", t.Topic, p, err))
			} else {
				row.After = &after
				_, high, _ := at.bounds(t.Topic, p) // at has looked at them
				lag := high - after
				row.Lag = &lag
			}
			rows = append(rows, row)
		}
	}
	return rows, failed, nil
}

func commitSeek(ctx context.Context, adm *kadm.Client, group string, rows []sought) (failed []error, err error) {
	offsets := kadm.Offsets{}
	for _, r := range rows {
		if r.After != nil {
			offsets.AddOffset(r.Topic, r.Partition, *r.After, -1)
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	answer, err := adm.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return nil, fmt.Errorf("commit for group %s: %w", group, cli.Refusal(err, ""))
	}
	for i := range rows {
		r := &rows[i]
		if r.After == nil {
			continue
		}
		a, ok := answer.Lookup(r.Topic, r.Partition)
		err := cli.Refusal(a.Err, "")
		if !ok {
			err = errors.New("the broker has not answered")
		}
		if err != nil {
			r.After, r.Lag, r.Error, r.Code = nil, nil, err.Error(), cli.Code(err)
			failed = append(failed, fmt.Errorf("seek %s-%d: %w", r.Topic, r.Partition, err))
		}
	}
	return failed, nil
}

func soughtTable(t *cli.Table, rows []sought) {
	t.Row("TOPIC", "PARTITION", "BEFORE", "AFTER", "LAG", "NOTE")
	for _, r := range rows {
		note := "-"
		switch {
		case r.Error != "":
			note = "failed"
		case r.Moved:
			note = "moved into what the partition holds"
		case r.Dry:
			note = "not set: --dry-run"
		}
		t.Row(r.Topic, r.Partition, number(r.Before), number(r.After), number(r.Lag), note)
	}
}
