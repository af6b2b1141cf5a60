package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// deleted is one name in topic delete and group delete. Status is deleted, absent or
// failed.
type deleted struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
	Code   string `json:"code,omitempty"`
}

func topicDeleteCommand() *cobra.Command {
	v := &verb{}
	var regex, yes, ifExists bool
	cmd := &cobra.Command{
		Use:     "delete TOPIC...",
		Aliases: []string{"rm", "remove"},
		Short:   "Delete topics with all their records",
		Long:    patternsHelp + " At a terminal it wants --yes; a script is not asked.",
		Example: `  penstock topic delete orders --yes
  penstock topic delete 'test-*' --yes
  penstock topic delete -r '^tmp-[0-9]+$' --if-exists -o json`,
		Args:              cli.Args(1, -1),
		ValidArgsFunction: v.CompleteTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.ask(cmd, func(ctx context.Context, adm *kadm.Client) error {
				ts, missing, err := topics(ctx, adm, args, regex, true)
				if err != nil {
					return err
				}
				rows, failed := []deleted{}, []error(nil)
				if !ifExists {
					failed = missing
				}
				if len(ts) > 0 {
					if err := cli.Confirm(yes, fmt.Sprintf("this deletes %s with all records: %s", counted(len(ts), "topic"), strings.Join(ts.Names(), ", "))); err != nil {
						return err
					}
					answer, err := adm.DeleteTopics(ctx, ts.Names()...)
					if err != nil {
						return err
					}
					for _, name := range ts.Names() {
						r, ok := answer[name]
						if !ok {
							r.Err = errors.New("the broker has not answered")
						}
						row, err := deletion("topic", name, r.Err, r.ErrMessage)
						rows, failed = append(rows, row), appendError(failed, err)
					}
				}
				return v.tell(cmd, rows, failed, func(t *cli.Table) { deletedTable(t, rows) })
			})
		},
	}
	cmd.Flags().BoolVarP(&regex, "regex", "r", false, "the names are regular expressions")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do it, at a terminal too")
	cmd.Flags().BoolVar(&ifExists, "if-exists", false, "a topic that does not exist is no error")
	return v.flags(cmd)
}

func deletion(kind, name string, err error, message string) (deleted, error) {
	if err == nil {
		return deleted{Name: name, Status: "deleted"}, nil
	}
	err = cli.Refusal(err, message)
	return deleted{name, "failed", err.Error(), cli.Code(err)}, fmt.Errorf("delete %s %s: %w", kind, name, err)
}

func appendError(errs []error, err error) []error {
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

func deletedTable(t *cli.Table, rows []deleted) {
	if len(rows) == 0 {
		return // what there is to say is an error
	}
	t.Row("NAME", "STATUS")
	for _, r := range rows {
		t.Row(r.Name, r.Status)
	}
}
