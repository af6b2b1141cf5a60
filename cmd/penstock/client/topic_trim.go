package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// trimmed is one partition in topic trim: its log start before and after.
type trimmed struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"log_start_before"`
	After     int64  `json:"log_start_after"`
	High      int64  `json:"high_watermark"`
	Dry       bool   `json:"dry_run,omitempty"`
	Error     string `json:"error,omitempty"`
	Code      string `json:"code,omitempty"`
}

func topicTrimCommand() *cobra.Command {
	v := &verb{}
	var before, only string
	var yes, dry bool
	cmd := &cobra.Command{
		Use:     "trim TOPIC[:PARTITIONS]...",
		Aliases: []string{"trim-prefix", "delete-records"},
		Short:   "Delete the oldest records of topics, up to an offset or a time",
		Long: `Records before --before are deleted; the log starts there afterwards. +N counts from the log
start, -N from the end: -1000 keeps the last thousand of each partition. Where no record is
as young as a time, all of them go. At a terminal it wants --yes; a script is not asked.`,
		Example: `  penstock topic trim orders --before @-24h --yes            what is older than a day
  penstock topic trim orders:0,2-3 --before 120000 --yes     in some partitions
  penstock topic trim orders --before end --dry-run          show what emptying it would delete`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			if before == "" {
				return cli.Usage("say up to where, with --before %s", cli.OffsetForms)
			}
			to, err := cli.ParseOffset(before, time.Now())
			if err != nil {
				return err
			}
			wanted, err := parseSets(args, only)
			if err != nil {
				return err
			}
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				rows, failed, err := planTrim(ctx, adm, to, wanted)
				if err != nil {
					return err
				}
				if dry {
					for i := range rows {
						rows[i].Dry = true
					}
				} else if more, err := carryOutTrim(ctx, adm, rows, yes); err != nil {
					return err
				} else {
					failed = append(failed, more...)
				}
				return v.tell(cmd, rows, failed, func(t *cli.Table) { trimmedTable(t, rows) })
			})
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "delete what is before this `offset` (penstock help offsets)")
	cmd.Flags().StringVarP(&only, "partitions", "p", "", "only these `partitions`, 0,2-4, of topics that name none")
	cmd.Flags().BoolVarP(&dry, "dry-run", "d", false, "show what would be deleted, and delete nothing")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do it, at a terminal too")
	v.flags(cmd)
	alias(cmd, map[string]string{"offset": "before", "to": "before", "no-confirm": "yes"})
	return cmd
}

// planTrim is what each partition becomes.
func planTrim(ctx context.Context, adm *kadm.Client, to cli.Offset, wanted []partitionSet) ([]trimmed, []error, error) {
	ts, partitions, failed, err := resolve(ctx, adm, wanted)
	if err != nil {
		return nil, nil, err
	}
	at, err := findPlaces(ctx, adm, to, ts)
	if err != nil {
		return nil, nil, err
	}
	rows := []trimmed{}
	for _, t := range ts.Sorted() {
		for _, p := range partitions[t.Topic] {
			row := trimmed{Topic: t.Topic, Partition: p}
			row.Before, row.High, err = at.bounds(t.Topic, p)
			if err == nil {
				row.After, _, err = at.at(t.Topic, p, row.Before, row.High)
			}
			if err != nil {
				row.Error, row.Code = err.Error(), cli.Code(err)
				failed = append(failed, fmt.Errorf("trim %s-%d: %w", t.Topic, p, err))
			}
			rows = append(rows, row)
		}
	}
	return rows, failed, nil
}

func carryOutTrim(ctx context.Context, adm *kadm.Client, rows []trimmed, yes bool) (failed []error, err error) {
	offsets := kadm.Offsets{}
	var records int64
	var names []string
	for _, r := range rows {
		if r.Error == "" && r.After > r.Before {
			offsets.AddOffset(r.Topic, r.Partition, r.After, -1)
			records += r.After - r.Before
			names = append(names, fmt.Sprintf("%s-%d", r.Topic, r.Partition))
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	if err := cli.Confirm(yes, fmt.Sprintf("this deletes %s of %s", counted(int(records), "record"), strings.Join(names, ", "))); err != nil {
		return nil, err
	}
	answer, err := some(adm.DeleteRecords(ctx, offsets))
	if err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		if r.Error != "" || r.After <= r.Before {
			continue
		}
		a, ok := answer.Lookup(r.Topic, r.Partition)
		err := cli.Refusal(a.Err, "")
		if !ok {
			err = errors.New("the broker has not answered")
		}
		if err != nil {
			r.After, r.Error, r.Code = r.Before, err.Error(), cli.Code(err)
			failed = append(failed, fmt.Errorf("trim %s-%d: %w", r.Topic, r.Partition, err))
			continue
		}
		r.After = a.LowWatermark
	}
	return failed, nil
}

func trimmedTable(t *cli.Table, rows []trimmed) {
	t.Row("TOPIC", "PARTITION", "LOG-START-BEFORE", "LOG-START-AFTER", "HIGH-WATERMARK", "DELETED")
	for _, r := range rows {
		if r.Error != "" {
			t.Row(r.Topic, r.Partition, "-", "-", "-", "-")
			continue
		}
		t.Row(r.Topic, r.Partition, r.Before, r.After, r.High, max(0, r.After-r.Before))
	}
}
