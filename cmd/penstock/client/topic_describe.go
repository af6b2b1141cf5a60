package client

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// topicDetail is one topic in topic describe.
type topicDetail struct {
	topicSummary
	PartitionList []partitionDetail `json:"partition_list"`
	Configs       []configDetail    `json:"configs"`
}

// partitionDetail is one partition. A number that the broker does not tell is null.
type partitionDetail struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"in_sync_replicas"`
	Offline   []int32 `json:"offline_replicas"`
	Start     *int64  `json:"log_start"`
	High      *int64  `json:"high_watermark"`
	Records   *int64  `json:"records"`
	Bytes     *int64  `json:"bytes"`
	Error     string  `json:"error,omitempty"`
}

// configDetail is one setting of a topic.
type configDetail struct {
	Name      string          `json:"name"`
	Value     *string         `json:"value"` // null where it is secret
	Origin    string          `json:"origin"`
	Sensitive bool            `json:"sensitive,omitempty"`
	Synonyms  []configSynonym `json:"synonyms,omitempty"` // what would hold without the one before
}

type configSynonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Origin string  `json:"origin"`
}

func topicDescribeCommand() *cobra.Command {
	v := &verb{}
	var regex, summary, configs, partitions bool
	cmd := &cobra.Command{
		Use:     "describe TOPIC...",
		Aliases: []string{"info", "desc"},
		Short:   "Show a topic's partitions and settings, and where each setting comes from",
		Long: patternsHelp + `

The settings are those that are not at their defaults; -o wide shows all of them, and the
replicas. The origin is topic (set on it), broker, cluster, static (the broker's file) or
default.`,
		Example: `  penstock topic describe orders
  penstock topic describe orders payments -c -o wide        all settings, no partitions
  penstock topic describe 'orders*' -o jsonl | jq -r .partition_list[].high_watermark`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				ts, failed, err := topics(ctx, adm, args, regex, true)
				if err != nil {
					return err
				}
				rows, err := details(ctx, adm, ts)
				if err != nil {
					return err
				}
				all := !summary && !configs && !partitions
				return v.tell(cmd, rows, failed, func(t *cli.Table) {
					for i, r := range rows {
						if i > 0 {
							t.Line("")
						}
						r.table(t, v.Wide(), all || summary, all || partitions, all || configs)
					}
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	cmd.Flags().BoolVarP(&summary, "summary", "s", false, "show the summary (as text)")
	cmd.Flags().BoolVarP(&partitions, "partitions", "p", false, "show the partitions (as text)")
	cmd.Flags().BoolVarP(&configs, "configs", "c", false, "show the settings (as text)")
	return v.flags(cmd)
}

func details(ctx context.Context, adm *kadm.Client, ts kadm.TopicDetails) ([]topicDetail, error) {
	out := []topicDetail{}
	if len(ts) == 0 {
		return out, nil
	}
	sums, err := summaries(ctx, adm, ts)
	if err != nil {
		return nil, err
	}
	start, high, err := ranges(ctx, adm, ts)
	if err != nil {
		return nil, err
	}
	size := sizes(ctx, adm, ts)
	configs, err := describeConfigs(ctx, adm, ts.Names()...)
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		d := topicDetail{topicSummary: s, PartitionList: []partitionDetail{}, Configs: configs[s.Name].list}
		if err := configs[s.Name].err; err != nil && d.Error == "" {
			d.Error = "its settings are not told: " + err.Error()
		}
		for _, p := range ts[s.Name].Partitions.Sorted() {
			d.PartitionList = append(d.PartitionList, describePartition(p, start, high, size))
		}
		out = append(out, d)
	}
	return out, nil
}

func describePartition(p kadm.PartitionDetail, start, high kadm.ListedOffsets, size map[string]map[int32]int64) partitionDetail {
	d := partitionDetail{Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: listed(p.Replicas), ISR: listed(p.ISR), Offline: listed(p.OfflineReplicas),
		Records: between(start, high, p.Topic, p.Partition)}
	if n, ok := size[p.Topic][p.Partition]; ok {
		d.Bytes = &n
	}
	s, ok1 := start.Lookup(p.Topic, p.Partition)
	h, ok2 := high.Lookup(p.Topic, p.Partition)
	if ok1 && s.Err == nil {
		d.Start = &s.Offset
	}
	if ok2 && h.Err == nil {
		d.High = &h.Offset
	}
	for _, err := range []error{p.Err, s.Err, h.Err} {
		if err != nil && d.Error == "" {
			d.Error = cli.Refusal(err, "").Error()
		}
	}
	return d
}

// listed is never null in JSON.
func listed(ns []int32) []int32 { return append([]int32{}, ns...) }

// topicConfigs are the settings of one topic.
type topicConfigs struct {
	list []configDetail
	err  error
}

func (c topicConfigs) value(name string) *string {
	for _, d := range c.list {
		if d.Name == name {
			return d.Value
		}
	}
	return nil
}

func describeConfigs(ctx context.Context, adm *kadm.Client, names ...string) (map[string]topicConfigs, error) {
	answer, err := some(adm.DescribeTopicConfigs(ctx, names...))
	if err != nil {
		return nil, err
	}
	out := map[string]topicConfigs{}
	for _, r := range answer {
		c := topicConfigs{list: []configDetail{}, err: cli.Refusal(r.Err, r.ErrMessage)}
		for _, e := range r.Configs {
			d := configDetail{Name: e.Key, Value: e.Value, Origin: origin(e.Source), Sensitive: e.Sensitive}
			for _, s := range e.Synonyms {
				d.Synonyms = append(d.Synonyms, configSynonym{s.Key, s.Value, origin(s.Source)})
			}
			c.list = append(c.list, d)
		}
		slices.SortFunc(c.list, func(a, b configDetail) int { return strings.Compare(a.Name, b.Name) })
		out[r.Name] = c
	}
	for _, n := range names {
		if _, ok := out[n]; !ok {
			out[n] = topicConfigs{err: errors.New("the broker has not answered")}
		}
	}
	return out, nil
}

// origin is where a setting was made.
func origin(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "topic"
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return "broker"
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return "cluster"
	case kmsg.ConfigSourceStaticBrokerConfig:
		return "static"
	case kmsg.ConfigSourceDefaultConfig:
		return "default"
	}
	return s.String()
}

func (d *topicDetail) table(t *cli.Table, wide, summary, partitions, configs bool) {
	if summary {
		t.Row("topic", d.Name)
		t.Row("id", d.ID)
		t.Row("partitions", d.Partitions)
		t.Row("replicas", d.Replicas)
		t.Row("records", number(d.Records))
		t.Row("size", bytes(d.Bytes))
		if d.Internal {
			t.Row("internal", "yes")
		}
		if d.Error != "" {
			t.Row("error", d.Error)
		}
		if partitions || configs {
			t.Line("")
		}
	}
	if partitions {
		partitionTable(t, d.PartitionList, wide)
	}
	if configs {
		if partitions {
			t.Line("")
		}
		configTable(t, d.Configs, wide)
	}
}

func partitionTable(t *cli.Table, ps []partitionDetail, wide bool) {
	head := []any{"PARTITION", "LEADER", "LOG-START", "HIGH-WATERMARK", "RECORDS", "SIZE"}
	if wide {
		head = append(head, "EPOCH", "REPLICAS", "IN-SYNC", "OFFLINE")
	}
	bad := slices.ContainsFunc(ps, func(p partitionDetail) bool { return p.Error != "" })
	if bad {
		head = append(head, "ERROR")
	}
	t.Row(head...)
	for _, p := range ps {
		leader := any(p.Leader)
		if p.Leader < 0 {
			leader = "none"
		}
		cells := []any{p.Partition, leader, number(p.Start), number(p.High), number(p.Records), bytes(p.Bytes)}
		if wide {
			cells = append(cells, p.Epoch, list(p.Replicas), list(p.ISR), list(p.Offline))
		}
		if bad {
			cells = append(cells, p.Error)
		}
		t.Row(cells...)
	}
}

func configTable(t *cli.Table, cs []configDetail, wide bool) {
	hidden := 0
	for i, c := range cs {
		if c.Origin == "default" && !wide {
			hidden++
			continue
		}
		if hidden == i {
			t.Row("SETTING", "VALUE", "ORIGIN")
		}
		t.Row(c.Name, shown(c.Value, c.Sensitive), c.Origin)
	}
	if hidden > 0 {
		t.Line("%s at the default (-o wide shows them)", counted(hidden, "setting"))
	}
}

// shown is a value for people.
func shown(v *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(secret)"
	case v == nil:
		return "-"
	case *v == "":
		return `""`
	}
	return *v
}
