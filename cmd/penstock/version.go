package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
	verbs "github.com/penstock/penstock/cmd/penstock/client"
	"github.com/penstock/penstock/codec/kafka"
)

// versionAnswer is what version prints.
type versionAnswer struct {
	Version string       `json:"version"`
	Commit  string       `json:"commit,omitempty"`
	Go      string       `json:"go"`
	OS      string       `json:"os"`
	Arch    string       `json:"arch"`
	Level   string       `json:"kafka_api_level"` // the release whose versions of the APIs are served
	APIs    []apiVersion `json:"kafka_apis"`
}

type apiVersion struct {
	Key  int16  `json:"key"`
	Name string `json:"name"`
	Min  int16  `json:"min"`
	Max  int16  `json:"max"`
}

func versionCommand() *cobra.Command {
	out := &cli.Output{}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the version of Kafka's protocol that is served",
		Example: `  penstock version
  penstock version -o wide       with all APIs of the protocol that are served
  penstock version -o json | jq -r .version`,
		Args:              cli.Args(0, 0),
		ValidArgsFunction: cli.CompleteNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := newFacts()
			a := versionAnswer{Version: f.Version, Commit: f.Commit, Go: f.Go, OS: runtime.GOOS, Arch: runtime.GOARCH}
			highest := map[int16]int16{}
			for _, r := range kafka.Versions {
				highest[r.Key] = r.Max
				a.APIs = append(a.APIs, apiVersion{r.Key, r.Name, r.Min, r.Max})
			}
			a.Level = verbs.KafkaLevel(highest)
			return out.Print(cmd.OutOrStdout(), a, func(t *cli.Table) {
				t.Line("%s", f.title())
				if !out.Wide() {
					t.Line("speaks the protocol of Kafka %s: %d APIs (-o wide lists them)", a.Level, len(a.APIs))
				} else {
					t.Line("speaks the protocol of Kafka %s:", a.Level)
					t.Row("KEY", "API", "FROM", "TO")
					for _, api := range a.APIs {
						t.Row(api.Key, api.Name, api.Min, api.Max)
					}
				}
			})
		},
	}
	out.Flags(cmd)
	return cmd
}
