package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/core"
)

// createdTopic is one topic in topic create. Status is created, exists, possible (of a
// dry run) or failed.
type createdTopic struct {
	Name       string `json:"name"`
	Status     string `json:"status"`
	ID         string `json:"id,omitempty"`
	Partitions int32  `json:"partitions,omitempty"`
	Replicas   int16  `json:"replicas,omitempty"`
	Error      string `json:"error,omitempty"`
	Code       string `json:"code,omitempty"`
}

func topicCreateCommand() *cobra.Command {
	v := &verb{}
	var partitions int32
	var replicas int16
	var configs []string
	var ifNotExists, dry bool
	cmd := &cobra.Command{
		Use:     "create TOPIC...",
		Aliases: []string{"new"},
		Short:   "Create topics",
		Example: `  penstock topic create orders
  penstock topic create orders payments -p 12 -c retention.ms=86400000 -c penstock.durability=os
  penstock topic create orders --if-not-exists -o json`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: cli.CompleteNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := keyValues(configs)
			if err != nil {
				return err
			}
			values := map[string]*string{}
			for _, c := range set {
				values[c.Name] = c.Value
			}
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				create := adm.CreateTopics
				if dry {
					create = adm.ValidateCreateTopics
				}
				answer, err := create(ctx, partitions, replicas, values, args...)
				if err != nil {
					return err
				}
				rows, failed := created(answer, args, set, ifNotExists, dry)
				return v.tell(cmd, rows, failed, func(t *cli.Table) { createdTable(t, rows, v.Wide()) })
			})
		},
	}
	f := cmd.Flags()
	f.Int32VarP(&partitions, "partitions", "p", -1, "partitions of each; -1 is the broker's default")
	f.Int16VarP(&replicas, "replicas", "r", -1, "replicas of each partition; -1 is the broker's default")
	f.StringArrayVarP(&configs, "config", "c", nil, "a setting, `key=value` (repeatable)")
	f.BoolVar(&ifNotExists, "if-not-exists", false, "a topic that exists is left as it is, and is no error")
	f.BoolVarP(&dry, "dry-run", "d", false, "only ask the broker whether it would")
	v.flags(cmd)
	alias(cmd, map[string]string{"replication-factor": "replicas", "set": "config", "topic-config": "config"})
	_ = cmd.RegisterFlagCompletionFunc("config", completeKeys("=")) // the flag is there
	return cmd
}

// alias lets flags be called by the names of other tools.
func alias(cmd *cobra.Command, names map[string]string) {
	before := cmd.Flags().GetNormalizeFunc()
	cmd.Flags().SetNormalizeFunc(func(f *pflag.FlagSet, name string) pflag.NormalizedName {
		if to, ok := names[name]; ok {
			name = to
		}
		return before(f, name)
	})
}

// completeKeys gives a shell the settings of topics.
func completeKeys(end string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, k := range core.TopicKeys() {
			out = append(out, k.Name+end+"\t"+k.Doc)
		}
		return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
}

// keyValues reads key=value.
func keyValues(given []string) ([]kadm.AlterConfig, error) {
	var out []kadm.AlterConfig
	for _, kv := range given {
		k, v, ok := strings.Cut(kv, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return nil, cli.Usage("%q is not key=value", kv)
		}
		out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
	}
	return out, nil
}

func created(answer kadm.CreateTopicResponses, names []string, set []kadm.AlterConfig, ifNotExists, dry bool) ([]createdTopic, []error) {
	rows, failed := []createdTopic{}, []error(nil)
	for _, name := range names {
		r, ok := answer[name]
		if !ok {
			r.Err = errors.New("the broker has not answered")
		}
		row := createdTopic{Name: name, Status: "created", ID: topicID(r.ID), Partitions: r.NumPartitions, Replicas: r.ReplicationFactor}
		switch {
		case ifNotExists && errors.Is(r.Err, kerr.TopicAlreadyExists):
			row = createdTopic{Name: name, Status: "exists"}
		case r.Err != nil:
			err := nearestKey(r.Err, r.ErrMessage, set)
			row = createdTopic{Name: name, Status: "failed", Error: err.Error(), Code: cli.Code(err)}
			failed = append(failed, fmt.Errorf("create topic %s: %w", name, err))
		case dry:
			row.Status = "possible"
		}
		rows = append(rows, row)
	}
	return rows, failed
}

func createdTable(t *cli.Table, rows []createdTopic, wide bool) {
	head := []any{"NAME", "STATUS", "PARTITIONS", "REPLICAS"}
	if wide {
		head = append(head, "ID", "ERROR")
	}
	t.Row(head...)
	for _, r := range rows {
		partitions, replicas := any(r.Partitions), any(r.Replicas)
		if r.Partitions <= 0 {
			partitions = "-"
		}
		if r.Replicas <= 0 {
			replicas = "-"
		}
		cells := []any{r.Name, r.Status, partitions, replicas}
		if wide {
			cells = append(cells, r.ID, r.Error)
		}
		t.Row(cells...)
	}
}
