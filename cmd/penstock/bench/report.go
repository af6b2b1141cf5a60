package bench

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/core"
)

// reported is what report answers of one result.
type reported struct {
	Result string   `json:"result"`
	Files  []string `json:"files"`
}

// Report is the verb that writes other forms of saved results.
func Report() *cobra.Command {
	var out cli.Output
	var kinds []string
	var dir string
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Write a saved result as HTML, CSV, HdrHistogram log or OpenMessaging Benchmark's JSON",
		Long: `Writes other forms of results that penstock bench saved as JSON, beside them or in --dir.
html is one page that opens offline; csv is the series, a line per interval; hlog is
HdrHistogram's log; omb is the result file of OpenMessaging Benchmark (.omb.json). The
JSON holds one histogram for all of the run, so that an hlog made from it has one
interval; the run itself can save one with an interval per second.`,
		Example: `  penstock bench report run.json
  penstock bench report run.json --as html,csv,hlog,omb
  penstock bench report results/*.json --as omb --dir charts`,
		Args: cli.Args(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKinds(kinds); err != nil {
				return err
			}
			var all []reported
			for _, path := range args {
				r, err := report(path, dir, kinds)
				if err != nil {
					return err
				}
				all = append(all, r)
			}
			return out.Print(cmd.OutOrStdout(), all, func(t *cli.Table) {
				for _, r := range all {
					for _, f := range r.Files {
						t.Row(f)
					}
				}
			})
		},
	}
	out.Flags(cmd)
	cmd.Flags().StringSliceVar(&kinds, "as", []string{"html"}, "`forms` to write: "+strings.Join(writable(), ", "))
	cmd.Flags().StringVar(&dir, "dir", "", "write into this `directory` instead of beside each file")
	return cmd
}

// writable are the forms that are not what is read.
func writable() []string {
	return slices.DeleteFunc(slices.Clone(result.Kinds), func(k string) bool { return k == "json" })
}

func checkKinds(kinds []string) error {
	for _, k := range kinds {
		if !slices.Contains(writable(), k) {
			return cli.Usage("--as %s is not a form%s; there are %s", k, core.DidYouMean(k, writable()), strings.Join(writable(), ", "))
		}
	}
	return nil
}

func report(path, dir string, kinds []string) (reported, error) {
	r, err := result.Load(path)
	if err != nil {
		return reported{}, err
	}
	stem := strings.TrimSuffix(path, ".json")
	if dir != "" {
		stem = filepath.Join(dir, filepath.Base(stem))
	}
	files, err := r.SaveAs(stem, kinds...)
	return reported{path, files}, err
}
