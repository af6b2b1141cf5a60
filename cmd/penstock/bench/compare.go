package bench

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/cmd/penstock/cli"
)

// Compare is the verb that sets results beside each other.
func Compare() *cobra.Command {
	var out cli.Output
	var force bool
	var page string
	cmd := &cobra.Command{
		Use:   "compare A B [MORE...]",
		Short: "Set results beside each other, with ratios and their spread",
		Long: `Sets results beside each other: A, B and more, each a result that penstock bench saved
as JSON, a directory of them, or a pattern in quotes. Several runs of a side give medians
and a spread; runs that took turns are compared with their neighbours, so that what
changed on the machine meanwhile is not taken for a difference. Ratios are A over each
other side.

Unlike workloads are refused, with the fields in which they differ. Machines and
durability that differ are warned about.`,
		Example: `  penstock bench compare kafka.json penstock.json
  penstock bench compare results/kafka/ results/penstock/ --html overlay.html
  penstock bench compare 'runs/*-a.json' 'runs/*-b.json' -o json`,
		Args: cli.Args(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compare(args, force)
			if err != nil {
				return err
			}
			if page != "" {
				if err := writePage(c, page); err != nil {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "wrote "+page)
			}
			return out.Print(cmd.OutOrStdout(), c, func(t *cli.Table) { printComparison(t, c) })
		},
	}
	out.Flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "compare unlike workloads all the same")
	cmd.Flags().StringVar(&page, "html", "", "write the comparison as one page of HTML to `file`")
	return cmd
}

func compare(args []string, force bool) (*result.Comparison, error) {
	var sides []result.Side
	for _, a := range args {
		s, err := result.LoadSide(a)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
	}
	c, err := result.Compare(sides, force)
	if unlike := (*result.UnlikeError)(nil); errors.As(err, &unlike) {
		return nil, cli.Fail(cli.ExitNotMet, "%w, or compare them all the same with --force", err)
	}
	return c, err
}

func writePage(c *result.Comparison, path string) error {
	b, err := c.Page()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func printComparison(t *cli.Table, c *result.Comparison) {
	for _, w := range c.Warnings {
		t.Line("! %s", w)
	}
	for _, s := range c.Sides {
		runs := "1 run"
		if s.Runs != 1 {
			runs = fmt.Sprintf("%d runs", s.Runs)
		}
		t.Row(s.Letter, s.Software, s.Durability, runs, s.Name)
	}
	t.Line("")
	printRow(t, c.Head())
	for _, r := range c.Rows {
		printRow(t, r.Cells())
	}
	t.Line("")
	t.Line("%s", c.How())
}

func printRow(t *cli.Table, cells []string) {
	row := make([]any, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	t.Row(row...)
}
