package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func groupCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:     "group",
		Aliases: []string{"groups"},
		Short:   "List, describe, seek and delete consumer groups",
		Example: `  penstock group list
  penstock group describe billing
  penstock group seek billing --to @-1h --dry-run`,
	}, groupListCommand(), groupDescribeCommand(), groupSeekCommand(), groupDeleteCommand())
}

// groupSummary is one group in group list. The lag is null where it is not known.
type groupSummary struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Protocol    string `json:"protocol"`
	Type        string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
	MemberCount int    `json:"members"`
	TopicCount  int    `json:"topics"`
	Lag         *int64 `json:"lag"`
	Error       string `json:"error,omitempty"`
}

func groupListCommand() *cobra.Command {
	v := &verb{}
	var regex bool
	cmd := &cobra.Command{
		Use:     "list [GROUP]...",
		Aliases: []string{"ls"},
		Short:   "List consumer groups, with their lag",
		Long:    patternsHelp,
		Example: `  penstock group list
  penstock group list 'billing*' -o wide
  penstock group list -o json | jq '.[] | select(.lag > 1000)'`,
		ValidArgsFunction: v.CompleteGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				found, failed, err := describe(ctx, adm, args, regex)
				if err != nil {
					return err
				}
				rows := []groupSummary{}
				for _, d := range found {
					rows = append(rows, d.groupSummary)
				}
				return v.tellList(cmd, rows, len(rows), len(args), "no groups yet; penstock consume TOPIC -g NAME reads as a member of one", failed, func(t *cli.Table) { groupTable(t, rows, v.Wide()) })
			})
		},
	}
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	return v.flags(cmd)
}

// groups are those that names and patterns mean; without a name all.
func groups(ctx context.Context, adm *kadm.Client, wanted []string, regex bool) (names []string, missing []error, err error) {
	listed, err := some(adm.ListGroups(ctx))
	if err != nil {
		return nil, nil, err
	}
	known := listed.Groups()
	if len(wanted) == 0 {
		return known, nil, nil
	}
	chosen, err := cli.Select(wanted, known, regex, "penstock group list")
	if err != nil {
		return nil, nil, err
	}
	for _, n := range chosen {
		if slices.Contains(known, n) {
			names = append(names, n)
			continue
		}
		missing = append(missing, cli.Fail(cli.ExitFailed, "there is no group %q%s", n, cli.Hint(n, known, "penstock group list shows those that exist")))
	}
	return names, missing, nil
}

// topicLag is a group's lag in one topic.
type topicLag struct {
	Topic      string `json:"topic"`
	Lag        int64  `json:"lag"`
	Partitions int    `json:"partitions"`
	Behind     int    `json:"partitions_behind"`
	Unknown    int    `json:"partitions_unknown,omitempty"` // whose lag is not known
	Members    int    `json:"members"`
}

func groupTable(t *cli.Table, rows []groupSummary, wide bool) {
	head := []any{"GROUP", "STATE", "MEMBERS", "TOPICS", "LAG"}
	if wide {
		head = append(head, "PROTOCOL", "COORDINATOR", "ERROR")
	}
	t.Row(head...)
	for _, r := range rows {
		cells := []any{r.Name, r.State, r.MemberCount, r.TopicCount, number(r.Lag)}
		if wide {
			cells = append(cells, orDash(r.Protocol), r.Coordinator, r.Error)
		}
		t.Row(cells...)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// groupDetail is one group in group describe.
type groupDetail struct {
	groupSummary
	TopicList     []topicLag     `json:"topic_list"`
	PartitionList []partitionLag `json:"partition_list"`
	MemberList    []memberDetail `json:"member_list"`

	err error // that of groupSummary
}

// partitionLag is a group's place in one partition. What is not known, or never was
// committed, is null.
type partitionLag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	Start     *int64 `json:"log_start"`
	High      *int64 `json:"high_watermark"`
	Lag       *int64 `json:"lag"`
	Member    string `json:"member_id,omitempty"`
	Client    string `json:"client_id,omitempty"`
	Host      string `json:"host,omitempty"`
	Error     string `json:"error,omitempty"`
}

type memberDetail struct {
	ID         string   `json:"member_id"`
	Instance   *string  `json:"instance_id,omitempty"`
	Client     string   `json:"client_id"`
	Host       string   `json:"host"`
	Partitions []string `json:"partitions"` // topic-partition
}

func groupDescribeCommand() *cobra.Command {
	v := &verb{}
	var regex, partitions bool
	cmd := &cobra.Command{
		Use:     "describe GROUP...",
		Aliases: []string{"info", "desc"},
		Short:   "Show a group's lag: in all, by topic, and by partition if asked",
		Long: patternsHelp + `

--partitions adds a line for each partition, and -o wide the members too.`,
		Example: `  penstock group describe billing
  penstock group describe billing --partitions
  penstock group describe 'billing*' -o jsonl | jq '{name, lag}'`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				rows, failed, err := describe(ctx, adm, args, regex)
				if err != nil {
					return err
				}
				for _, d := range rows {
					if d.err != nil {
						failed = append(failed, fmt.Errorf("describe group %s: %w", d.Name, d.err))
					}
				}
				return v.tell(cmd, rows, failed, func(t *cli.Table) {
					for i := range rows {
						if i > 0 {
							t.Line("")
						}
						rows[i].table(t, partitions || v.Wide(), v.Wide())
					}
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	cmd.Flags().BoolVarP(&partitions, "partitions", "p", false, "show each partition too")
	return v.flags(cmd)
}

func (d *groupDetail) table(t *cli.Table, partitions, members bool) {
	t.Row("group", d.Name)
	t.Row("state", d.State)
	t.Row("members", d.MemberCount)
	t.Row("protocol", orDash(d.Protocol))
	t.Row("coordinator", d.Coordinator)
	t.Row("lag", number(d.Lag))
	t.Line("")
	t.Row("TOPIC", "LAG", "PARTITIONS", "BEHIND", "MEMBERS")
	for _, r := range d.TopicList {
		t.Row(r.Topic, r.Lag, r.Partitions, r.Behind, r.Members)
	}
	if partitions {
		t.Line("")
		t.Row("TOPIC", "PARTITION", "COMMITTED", "LOG-START", "HIGH-WATERMARK", "LAG", "CLIENT", "HOST")
		for _, p := range d.PartitionList {
			t.Row(p.Topic, p.Partition, number(p.Committed), number(p.Start), number(p.High), number(p.Lag), orDash(p.Client), orDash(p.Host))
		}
	}
	if members && len(d.MemberList) > 0 {
		t.Line("")
		t.Row("MEMBER", "CLIENT", "HOST", "PARTITIONS")
		for _, m := range d.MemberList {
			t.Row(m.ID, m.Client, m.Host, orDash(strings.Join(m.Partitions, ",")))
		}
	}
}

func groupDeleteCommand() *cobra.Command {
	v := &verb{}
	var regex, yes, ifExists bool
	cmd := &cobra.Command{
		Use:     "delete GROUP...",
		Aliases: []string{"rm", "remove"},
		Short:   "Delete groups with what they have committed",
		Long:    patternsHelp + " A group with members is refused. At a\nterminal it wants --yes; a script is not asked.",
		Example: `  penstock group delete billing --yes
  penstock group delete 'test-*' --yes
  penstock group delete billing --if-exists -o json`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				names, missing, err := groups(ctx, adm, args, regex)
				if err != nil {
					return err
				}
				rows, failed := []deleted{}, []error(nil)
				if !ifExists {
					failed = missing
				}
				if len(names) > 0 {
					if err := cli.Confirm(yes, fmt.Sprintf("this deletes %s with what is committed: %s", counted(len(names), "group"), strings.Join(names, ", "))); err != nil {
						return err
					}
					answer, err := some(adm.DeleteGroups(ctx, names...))
					if err != nil {
						return err
					}
					for _, name := range names {
						r, ok := answer[name]
						if !ok {
							r.Err = errors.New("the broker has not answered")
						}
						row, err := deletion("group", name, r.Err, r.ErrMessage)
						rows, failed = append(rows, row), appendError(failed, err)
					}
				}
				return v.tell(cmd, rows, failed, func(t *cli.Table) { deletedTable(t, rows) })
			})
		},
	}
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do it, at a terminal too")
	cmd.Flags().BoolVar(&ifExists, "if-exists", false, "a group that does not exist is no error")
	return v.flags(cmd)
}
