package client

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// alteration is what is to change of each topic.
type alteration struct {
	configs    []kadm.AlterConfig
	partitions int
	dry        bool
}

// alteredTopic is one change of one topic in topic alter. The setting of a number of
// partitions is "partitions".
type alteredTopic struct {
	Topic   string  `json:"topic"`
	Setting string  `json:"setting"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	Dry     bool    `json:"dry_run,omitempty"`
	Error   string  `json:"error,omitempty"`
	Code    string  `json:"code,omitempty"`
}

func topicAlterCommand() *cobra.Command {
	v := &verb{}
	var set, config, unset, add, subtract []string
	var a alteration
	var regex bool
	cmd := &cobra.Command{
		Use:     "alter TOPIC...",
		Aliases: []string{"alter-config", "add-partitions"},
		Short:   "Change a topic's settings and its number of partitions",
		Long: patternsHelp + `

The settings of one topic are changed together or not at all. The answer shows each as it was
and as it is.`,
		Example: `  penstock topic alter orders -s retention.ms=86400000 -s max.message.bytes=2097152
  penstock topic alter 'orders*' --delete retention.ms --dry-run
  penstock topic alter orders --partitions 24             24 in all; there is no way back`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if a.configs, err = keyValues(append(set, config...)); err != nil {
				return err
			}
			for op, given := range map[kadm.IncrementalOp][]string{kadm.AppendConfig: add, kadm.SubtractConfig: subtract} {
				more, err := keyValues(given)
				if err != nil {
					return err
				}
				for i := range more {
					more[i].Op = op
				}
				a.configs = append(a.configs, more...)
			}
			for _, k := range unset {
				a.configs = append(a.configs, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k})
			}
			if len(a.configs) == 0 && a.partitions == 0 {
				return cli.Usage("nothing is to change: say --set key=value, --delete key or --partitions N")
			}
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				ts, failed, err := topics(ctx, adm, args, regex, true)
				if err != nil {
					return err
				}
				rows, refused, err := a.alter(ctx, adm, ts)
				if err != nil {
					return err
				}
				return v.tell(cmd, rows, append(failed, refused...), func(t *cli.Table) { alteredTable(t, rows, v.Wide()) })
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&set, "set", "s", nil, "a setting, `key=value` (repeatable)")
	f.StringArrayVarP(&config, "config", "c", nil, "the same, as topic create has it, `key=value`")
	f.StringArrayVar(&unset, "delete", nil, "the `key` of a setting that goes back to its default (repeatable)")
	f.StringArrayVar(&add, "append", nil, "add a value to a list, `key=value` (repeatable)")
	f.StringArrayVar(&subtract, "subtract", nil, "take a value out of a list, `key=value` (repeatable)")
	f.IntVarP(&a.partitions, "partitions", "p", 0, "how many partitions there shall be `in all`")
	f.BoolVarP(&a.dry, "dry-run", "d", false, "only ask the broker whether it would")
	f.BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	v.flags(cmd)
	alias(cmd, map[string]string{"add-config": "set", "delete-config": "delete"})
	_ = cmd.RegisterFlagCompletionFunc("set", completeKeys("="))    // the flags are there
	_ = cmd.RegisterFlagCompletionFunc("config", completeKeys("=")) // likewise
	_ = cmd.RegisterFlagCompletionFunc("delete", completeKeys(""))  // likewise
	return cmd
}

// alter changes one topic after the other: the settings first, because only they can be
// changed back.
func (a *alteration) alter(ctx context.Context, adm *kadm.Client, ts kadm.TopicDetails) ([]alteredTopic, []error, error) {
	rows, failed := []alteredTopic{}, []error(nil)
	if len(ts) == 0 {
		return rows, nil, nil
	}
	before, err := describeConfigs(ctx, adm, ts.Names()...)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range ts.Sorted() {
		var mine []alteredTopic
		var errs []error
		if len(a.configs) > 0 {
			mine, err = a.alterConfigs(ctx, adm, t.Topic, before[t.Topic])
			if err != nil {
				errs = append(errs, fmt.Errorf("alter topic %s: %w", t.Topic, err))
			}
		}
		if a.partitions != 0 && len(errs) == 0 {
			row, err := a.addPartitions(ctx, adm, t.Topic, len(t.Partitions))
			if err != nil {
				errs = append(errs, fmt.Errorf("partitions of topic %s: %w", t.Topic, err))
			}
			mine = append(mine, row)
		}
		rows, failed = append(rows, mine...), append(failed, errs...)
	}
	return rows, failed, nil
}

func (a *alteration) alterConfigs(ctx context.Context, adm *kadm.Client, topic string, before topicConfigs) ([]alteredTopic, error) {
	alter := adm.AlterTopicConfigs
	if a.dry {
		alter = adm.ValidateAlterTopicConfigs
	}
	answer, err := alter(ctx, a.configs, topic)
	if err == nil && len(answer) == 1 {
		err = nearestKey(answer[0].Err, answer[0].ErrMessage, a.configs)
	}
	after := before
	if err == nil && !a.dry {
		now, e := describeConfigs(ctx, adm, topic)
		if e != nil {
			return nil, fmt.Errorf("it is changed, but cannot be shown: %w", e)
		}
		after = now[topic]
	}
	var rows []alteredTopic
	for _, c := range a.configs {
		row := alteredTopic{Topic: topic, Setting: c.Name, Before: before.value(c.Name), After: after.value(c.Name), Dry: a.dry}
		if a.dry && err == nil && c.Op == kadm.SetConfig {
			row.After = c.Value
		}
		if a.dry && err == nil && c.Op == kadm.DeleteConfig {
			row.After = before.fallback(c.Name)
		}
		row.Error, row.Code = errText(err), cli.Code(err)
		rows = append(rows, row)
	}
	return rows, err
}

// fallback is what a setting of a topic becomes when it is deleted there, nil where the
// broker does not tell.
func (c topicConfigs) fallback(name string) *string {
	for _, d := range c.list {
		if d.Name != name {
			continue
		}
		if d.Origin != "topic" {
			return d.Value
		}
		for _, s := range d.Synonyms {
			if s.Origin != "topic" {
				return s.Value
			}
		}
	}
	return nil
}

func (a *alteration) addPartitions(ctx context.Context, adm *kadm.Client, topic string, have int) (alteredTopic, error) {
	before, after := fmt.Sprint(have), fmt.Sprint(a.partitions)
	row := alteredTopic{Topic: topic, Setting: "partitions", Before: &before, After: &after, Dry: a.dry}
	set := adm.UpdatePartitions
	if a.dry {
		set = adm.ValidateUpdatePartitions
	}
	answer, err := set(ctx, a.partitions, topic)
	if err == nil {
		r := answer[topic]
		err = cli.Refusal(r.Err, r.ErrMessage)
	}
	if err != nil {
		row.After, row.Error, row.Code = &before, err.Error(), cli.Code(err)
	}
	return row, err
}

func alteredTable(t *cli.Table, rows []alteredTopic, wide bool) {
	head := []any{"TOPIC", "SETTING", "BEFORE", "AFTER"}
	if wide {
		head = append(head, "ERROR")
	}
	t.Row(head...)
	for _, r := range rows {
		cells := []any{r.Topic, r.Setting, shown(r.Before, false), shown(r.After, false)}
		if wide {
			cells = append(cells, r.Error)
		}
		t.Row(cells...)
	}
}
