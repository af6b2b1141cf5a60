package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func configCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "config",
		Short: "Show, check and write the broker's configuration",
		Example: `  penstock config show --origin
  penstock config validate /etc/penstock/penstock.yaml
  penstock config init penstock.yaml`,
	}, configShowCommand(), configValidateCommand(), configInitCommand())
}

// shownSetting is one setting in config show and config init.
type shownSetting struct {
	Name    string `json:"name"` // as in the file; a slash stands between section and key
	Value   string `json:"value"`
	Default string `json:"default"`
	Origin  string `json:"origin"` // default, FILE:LINE, env NAME or flag --NAME
	Env     string `json:"env"`
	Flag    string `json:"flag"`
	Doc     string `json:"doc"`
}

func shownSettings(values map[string]value) []shownSetting {
	var out []shownSetting
	for _, s := range settings {
		v := values[s.name]
		row := shownSetting{Name: s.name, Value: v.text, Default: s.def, Origin: v.origin, Env: envName(s.name), Flag: "--" + flagName(s.name), Doc: strings.TrimSuffix(s.doc, ".")}
		if _, key, ok := strings.Cut(s.name, "/"); ok {
			row.Flag = "--set " + key + "="
		}
		switch {
		case v.origin == row.Env:
			row.Origin = "env " + row.Env
		case v.origin == "flag":
			row.Origin = "flag " + strings.TrimSuffix(row.Flag, "=")
		}
		out = append(out, row)
	}
	return out
}

func configShowCommand() *cobra.Command {
	out, given := &cli.Output{}, &settingFlags{}
	var origin, changed bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the settings that a start with the same file, environment and flags would have",
		Example: `  penstock config show --config penstock.yaml
  penstock config show --origin              where each value comes from
  penstock config show --changed -o json     those that are not at their defaults`,
		Args:              cli.Args(0, 0),
		ValidArgsFunction: cli.CompleteNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, values, err := given.load(cmd)
			if err != nil {
				return err
			}
			rows := []shownSetting{}
			for _, r := range shownSettings(values) {
				if !changed || r.Origin != "default" {
					rows = append(rows, r)
				}
			}
			return out.Print(cmd.OutOrStdout(), rows, func(t *cli.Table) { settingsTable(t, rows, origin || out.Wide(), out.Wide()) })
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "show where each value comes from: default, FILE:LINE, env or flag")
	cmd.Flags().BoolVar(&changed, "changed", false, "only settings that are set somewhere")
	given.add(cmd)
	out.Flags(cmd)
	return cmd
}

func settingsTable(t *cli.Table, rows []shownSetting, origin, wide bool) {
	head := []any{"SETTING", "VALUE"}
	if origin {
		head = append(head, "ORIGIN")
	}
	if wide {
		head = append(head, "DEFAULT", "VARIABLE")
	}
	t.Row(head...)
	for _, r := range rows {
		cells := []any{strings.Replace(r.Name, "/", ": ", 1), orQuotes(r.Value)}
		if origin {
			cells = append(cells, r.Origin)
		}
		if wide {
			cells = append(cells, orQuotes(r.Default), r.Env)
		}
		t.Row(cells...)
	}
}

func orQuotes(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// validated is the answer of config validate.
type validated struct {
	File   string   `json:"file"`
	Valid  bool     `json:"valid"`
	Errors []string `json:"errors"`
}

func configValidateCommand() *cobra.Command {
	out, given := &cli.Output{}, &settingFlags{}
	cmd := &cobra.Command{
		Use:     "validate FILE",
		Aliases: []string{"check", "lint"},
		Short:   "Check a configuration file without starting anything",
		Long: `The file is read as serve would read it, with the environment and the flags over it. Every
fault is shown, with its line, and an unknown name with the nearest one; the exit code is
then 78.`,
		Example: `  penstock config validate penstock.yaml
  penstock config validate penstock.yaml -o json
  penstock config validate penstock.yaml && systemctl restart penstock`,
		Args: cli.Args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if given.file != "" {
				return cli.Usage("--config is not for validate: the file is its argument")
			}
			given.file = args[0]
			_, _, err := given.load(cmd)
			answer := validated{File: args[0], Valid: err == nil, Errors: []string{}}
			if err != nil {
				if cli.ExitCode(err) == cli.ExitUsage {
					return err
				}
				if answer.Errors = strings.Split(err.Error(), "\n"); out.Text() {
					return err
				}
				if e := out.Print(cmd.OutOrStdout(), answer, nil); e != nil {
					return e
				}
				return err
			}
			return out.Print(cmd.OutOrStdout(), answer, func(t *cli.Table) { t.Line("%s is valid", args[0]) })
		},
	}
	given.add(cmd)
	_ = cmd.Flags().MarkHidden("config") // the flag is there
	out.Flags(cmd)
	return cmd
}

func configInitCommand() *cobra.Command {
	out := &cli.Output{}
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a configuration file with every setting explained",
		Long: `Each setting stands there with its default, behind a #: take that away to set it. Without a
file it goes to stdout; a file that exists is left alone unless --force says otherwise. With
-o json, jsonl or yaml it is the list of the settings instead.`,
		Example: `  penstock config init penstock.yaml
  penstock config init > penstock.yaml
  penstock config init -o json | jq -r '.[].env'`,
		Args: cli.Args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !out.Text() {
				if len(args) > 0 {
					return cli.Usage("-o %s lists the settings on stdout; a configuration file is written without it", out.Format)
				}
				values := map[string]value{}
				for _, s := range settings {
					values[s.name] = value{text: s.def, origin: "default"}
				}
				return out.Print(cmd.OutOrStdout(), shownSettings(values), nil)
			}
			if len(args) == 0 {
				return initialConfig(cmd.OutOrStdout())
			}
			return writeInitialConfig(args[0], force, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that exists")
	out.Flags(cmd)
	return cmd
}

func writeInitialConfig(path string, force bool, talk io.Writer) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, how, 0o644)
	if errors.Is(err, os.ErrExist) {
		return cli.Fail(cli.ExitFailed, "%s exists, and is left as it is; --force writes over it", path)
	}
	if err != nil {
		return fmt.Errorf("write a configuration: %w", err)
	}
	if err := errors.Join(initialConfig(f), f.Close()); err != nil {
		return fmt.Errorf("write a configuration: %w", err)
	}
	fmt.Fprintf(talk, "wrote %s; start with: penstock serve --config %s\n", path, path)
	return nil
}

// initialConfig writes the settings table as a file that sets nothing.
func initialConfig(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString("# Configuration of penstock serve. Every setting stands at its default, behind a #.\n" +
		"# The environment (PENSTOCK_...) wins over this file, and flags win over both.\n" +
		"# penstock config validate FILE checks it; penstock config show --origin shows what holds.\n")
	section := ""
	for _, s := range settings {
		indent, key := "", s.name
		if sec, k, ok := strings.Cut(s.name, "/"); ok {
			if indent, key = "  ", k; sec != section {
				fmt.Fprintf(b, "\n# %s\n%s:\n", sectionDocs[sec+"/"], sec)
				section = sec
			}
		}
		fmt.Fprintf(b, "\n%s# %s.\n%s#%s: %s\n", indent, strings.TrimSuffix(upperFirst(s.doc), "."), indent, key, orQuotes(s.def))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var sectionDocs = map[string]string{
	brokerSection: "Settings of the broker, by Kafka's names.",
	topicSection:  "Defaults of topics that do not set them, by Kafka's names.",
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
