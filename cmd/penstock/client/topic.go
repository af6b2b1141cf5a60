package client

import (
	"context"
	"encoding/base64"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func topicCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:     "topic",
		Aliases: []string{"topics"},
		Short:   "List, create, describe, alter, delete and trim topics",
		Example: `  penstock topic list
  penstock topic create orders -p 12 -c retention.ms=86400000
  penstock topic describe orders -o wide`,
	}, topicListCommand(), topicCreateCommand(), topicDescribeCommand(), topicAlterCommand(), topicDeleteCommand(), topicTrimCommand())
}

// topicSummary is one topic in topic list. A number that the broker does not tell is null.
type topicSummary struct {
	Name       string `json:"name"`
	ID         string `json:"id,omitempty"`
	Internal   bool   `json:"internal"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Records    *int64 `json:"records"`
	Bytes      *int64 `json:"bytes"`
	Error      string `json:"error,omitempty"`
}

const patternsHelp = `A name may be a pattern with *, ? and [a-z] (quote it from the shell); with -r each is a
regular expression.`

func topicListCommand() *cobra.Command {
	v := &verb{}
	var internal, regex bool
	cmd := &cobra.Command{
		Use:     "list [TOPIC]...",
		Aliases: []string{"ls"},
		Short:   "List topics, with their records and sizes",
		Long: patternsHelp + `

RECORDS is the high watermark minus the log start of all partitions: what compaction and
transactions have left out still counts. SIZE is that of one replica of each partition.`,
		Example: `  penstock topic list
  penstock topic list 'orders*' -o json
  penstock topic list -i -b kafka.example:9092      internal topics too, of another broker`,
		ValidArgsFunction: v.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				ts, missing, err := topics(ctx, adm, args, regex, internal)
				if err != nil {
					return err
				}
				rows, err := summaries(ctx, adm, ts)
				if err != nil {
					return err
				}
				return v.tellList(cmd, rows, len(rows), len(args), "no topics yet; penstock topic create NAME makes one", missing, func(t *cli.Table) { topicTable(t, rows, v.Wide()) })
			})
		},
	}
	cmd.Flags().BoolVarP(&internal, "internal", "i", false, "also the broker's own topics")
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	return v.flags(cmd)
}

// summaries asks for what the metadata do not say. A topic without a leader has no number
// of records, and that is no error of the list.
func summaries(ctx context.Context, adm *kadm.Client, ts kadm.TopicDetails) ([]topicSummary, error) {
	start, high, err := ranges(ctx, adm, ts)
	if err != nil {
		return nil, err
	}
	size := sizes(ctx, adm, ts)
	rows := []topicSummary{}
	for _, t := range ts.Sorted() {
		r := topicSummary{Name: t.Topic, ID: topicID(t.ID), Internal: t.IsInternal, Partitions: len(t.Partitions), Replicas: t.Partitions.NumReplicas()}
		var records, bytes int64
		r.Records, r.Bytes = &records, &bytes
		for p := range t.Partitions {
			if n := between(start, high, t.Topic, p); n != nil {
				records += *n
			} else {
				r.Records = nil
			}
			if n, ok := size[t.Topic][p]; ok {
				bytes += n
			} else {
				r.Bytes = nil
			}
		}
		if t.Err != nil {
			r.Records, r.Bytes, r.Error = nil, nil, cli.Refusal(t.Err, "").Error()
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func topicTable(t *cli.Table, rows []topicSummary, wide bool) {
	head := []any{"NAME", "PARTITIONS", "REPLICAS", "RECORDS", "SIZE"}
	if wide {
		head = append(head, "ID", "INTERNAL", "ERROR")
	}
	t.Row(head...)
	for _, r := range rows {
		cells := []any{r.Name, r.Partitions, r.Replicas, number(r.Records), bytes(r.Bytes)}
		if wide {
			cells = append(cells, r.ID, r.Internal, r.Error)
		}
		t.Row(cells...)
	}
}

// topicID is the text of an id, "" for a broker without ids.
func topicID(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:]) // as Kafka writes them
}

// ranges are the log starts and the high watermarks. Errors of single partitions stand in
// them.
func ranges(ctx context.Context, adm *kadm.Client, ts kadm.TopicDetails) (start, high kadm.ListedOffsets, err error) {
	names := ts.Names()
	if len(names) == 0 {
		return nil, nil, nil
	}
	if start, err = some(adm.ListStartOffsets(ctx, names...)); err != nil {
		return nil, nil, err
	}
	high, err = some(adm.ListEndOffsets(ctx, names...))
	return start, high, err
}

// some takes what came where only some of several brokers have answered.
func some[T any](answer T, err error) (T, error) {
	if se, ok := err.(*kadm.ShardErrors); ok && !se.AllFailed {
		return answer, nil
	}
	return answer, err
}

// between is the number of offsets in a partition, nil where it is not known.
func between(start, high kadm.ListedOffsets, topic string, partition int32) *int64 {
	s, ok1 := start.Lookup(topic, partition)
	h, ok2 := high.Lookup(topic, partition)
	if !ok1 || !ok2 || s.Err != nil || h.Err != nil {
		return nil
	}
	n := h.Offset - s.Offset
	return &n
}

// sizes are the bytes of one replica of each partition, as far as the brokers tell.
func sizes(ctx context.Context, adm *kadm.Client, ts kadm.TopicDetails) map[string]map[int32]int64 {
	out := map[string]map[int32]int64{}
	if len(ts) == 0 {
		return out
	}
	dirs, _ := adm.DescribeAllLogDirs(ctx, ts.TopicsSet()) // what is not told is a dash
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if out[p.Topic] == nil {
				out[p.Topic] = map[int32]int64{}
			}
			if !p.IsFuture {
				out[p.Topic][p.Partition] = max(out[p.Topic][p.Partition], p.Size)
			}
		})
	})
	return out
}
