package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/cmd/penstock/top"
)

var rewrite = flag.Bool("rewrite", false, "write the expected help pages anew")

// run runs a verb in this process, and returns its stdout.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// walk calls fn for every command and help topic, in the order of the help.
func walk(cmd *cobra.Command, fn func(*cobra.Command)) {
	fn(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			walk(c, fn)
		}
	}
}

// plainHelp takes what changes a help page out of the environment.
func plainHelp(t *testing.T) {
	t.Setenv("COLUMNS", "100")
	t.Setenv(cli.BrokersVariable, "")
	t.Setenv(top.AdminVariable, "")
}

// TestHelpPages holds every page as it is in testdata/help.txt: a change of one is seen
// in the change that makes it. go test -run HelpPages -rewrite writes it anew.
func TestHelpPages(t *testing.T) {
	plainHelp(t)
	var got bytes.Buffer
	walk(rootCommand(), func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if cmd.IsAdditionalHelpTopicCommand() {
			args = []string{"help", cmd.Name()}
		}
		page, err := run(t, args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		got.WriteString("==== penstock " + strings.Join(args, " ") + "\n" + page + "\n")
	})
	path := filepath.Join("testdata", "help.txt")
	if *rewrite {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d of %s is %q now; if that is meant, go test ./cmd/penstock -run HelpPages -rewrite", i+1, path, g[i])
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d lines are missing at the end", len(w)-len(g))
	}
}

// noForm are the verbs without an answer that has a form: what they write is something
// else.
var noForm = []string{"penstock serve", "penstock completion", "penstock help"}

func TestEveryVerbHasExamplesAndForms(t *testing.T) {
	walk(rootCommand(), func(cmd *cobra.Command) {
		if cmd.IsAdditionalHelpTopicCommand() {
			if len(cmd.Long) < 100 {
				t.Errorf("help %s: there is nothing in it", cmd.Name())
			}
			return
		}
		examples := 0
		for line := range strings.Lines(cmd.Example + "\n") {
			if strings.Contains(line, "penstock ") {
				examples++
			}
		}
		if examples < 3 {
			t.Errorf("%s: %d examples; want 3", cmd.CommandPath(), examples)
		}
		if cmd.HasAvailableSubCommands() || slices.Contains(noForm, cmd.CommandPath()) {
			return
		}
		for _, form := range []string{"json", "yaml"} {
			f := cmd.Flags().Lookup("output")
			if f == nil {
				t.Errorf("%s: there is no --output", cmd.CommandPath())
				return
			}
			if err := f.Value.Set(form); err != nil {
				t.Errorf("%s: %v", cmd.CommandPath(), err)
			}
		}
	})
}

// An example that names a flag or a verb that is not there is worse than none.
func TestExamplesNameFlagsThatExist(t *testing.T) {
	walk(rootCommand(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			_, line, ok := strings.Cut(line, "penstock ")
			if !ok {
				continue
			}
			line, _, _ = strings.Cut(line, "   ") // what follows is a remark
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " && ")
			at, rest, err := cmd.Root().Find(strings.Fields(strings.TrimRight(strings.TrimSpace(line), ")")))
			if err != nil {
				t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
				continue
			}
			for _, w := range rest {
				name, _, _ := strings.Cut(w, "=")
				long, isLong := strings.CutPrefix(name, "--")
				if isLong && long != "" && at.Flags().Lookup(long) == nil {
					t.Errorf("%s: %q: %s has no flag %s", cmd.CommandPath(), line, at.CommandPath(), name)
				}
			}
		}
	})
}

func TestUnknownNamesSuggestTheNearest(t *testing.T) {
	for line, want := range map[string]string{
		"tpic":                              "did you mean topic?",
		"topic lst":                         "did you mean list?",
		"group sek g":                       "did you mean seek?",
		"config vaidate x":                  "did you mean validate?",
		"help offset":                       "did you mean offsets?",
		"help topic crate":                  "did you mean create?",
		"topic list --brokes x":             "did you mean --brokers?",
		"topic create x --partition 3":      "did you mean --partitions?",
		"topic list -o jsn":                 "did you mean json?",
		"topic list -X client.idd=x":        "did you mean client.id?",
		"completion bsh":                    "did you mean bash?",
		"topic describe":                    "needs TOPIC",
		"topic create x -c retention":       "not key=value",
		"group seek g --to yesterday":       "is not an offset",
		"config show --set num.partition=3": "did you mean num.partitions?",
	} {
		_, err := run(t, strings.Fields(line)...)
		wantCode := cli.ExitUsage
		if strings.Contains(line, "-X") {
			wantCode = cli.ExitConfig
		}
		if err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != wantCode {
			t.Errorf("%s: %v (%d); want %q (%d)", line, err, cli.ExitCode(err), want, wantCode)
		}
	}
}

func TestAloneItPrintsHelp(t *testing.T) {
	plainHelp(t)
	alone, err := run(t)
	help, err2 := run(t, "--help")
	if err != nil || err2 != nil || alone != help || !strings.Contains(alone, "Examples:") {
		t.Errorf("%v, %v\n%s", err, err2, alone)
	}
}

func TestTheFirstConfigurationLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	if _, err := run(t, "config", "init", path); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "config", "validate", path); err != nil || !strings.Contains(out, "is valid") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(t, "config", "init", path); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("it was written over: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// With every # of a setting taken away, each value is the default, and comes of a line.
	var all strings.Builder
	for line := range strings.Lines(string(b)) {
		if at := strings.Index(line, "#"); at >= 0 && !strings.HasPrefix(line[at:], "# ") {
			line = line[:at] + line[at+1:]
		}
		all.WriteString(line)
	}
	if err := os.WriteFile(path, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, values, err := loadConfig(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if v := values[s.name]; v.text != s.def || !strings.HasPrefix(v.origin, path+":") {
			t.Errorf("%s: %q of %s; want %q", s.name, v.text, v.origin, s.def)
		}
	}
}

func TestConfigShowsOrigins(t *testing.T) {
	path := write(t, "data: /a\nbroker:\n  num.partitions: 7\n")
	t.Setenv("PENSTOCK_SHARDS", "3")
	t.Setenv(cli.BrokersVariable, "elsewhere:9092") // is for the other verbs
	out, err := run(t, "config", "show", "--config", path, "--core-ports", "off", "--set", "retention.ms=5", "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rows []shownSetting
	if err := yaml.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r.Name] = r.Value + " " + r.Origin
	}
	for name, want := range map[string]string{
		"data":                        "/a " + path + ":1",
		"broker/num.partitions":       "7 " + path + ":3",
		"shards":                      "3 env PENSTOCK_SHARDS",
		"core_ports":                  "off flag --core-ports",
		"topic_defaults/retention.ms": "5 flag --set retention.ms",
		"log":                         "auto default",
	} {
		if got[name] != want {
			t.Errorf("%s: %q; want %q", name, got[name], want)
		}
	}
	if len(rows) != len(settings) {
		t.Errorf("%d of %d settings", len(rows), len(settings))
	}
	_, err = run(t, "config", "validate", write(t, "data: x\nshard: 3\n"), "-o", "json")
	if cli.ExitCode(err) != cli.ExitConfig || !strings.Contains(err.Error(), "penstock.yaml:2") || !strings.Contains(err.Error(), "did you mean shards?") {
		t.Errorf("%v", err)
	}
}

func TestManualAndCompletion(t *testing.T) {
	plainHelp(t)
	dir := t.TempDir()
	if _, err := run(t, "man", dir); err != nil {
		t.Fatal(err)
	}
	walk(rootCommand(), func(cmd *cobra.Command) {
		b, err := os.ReadFile(filepath.Join(dir, pageName(cmd)+".1"))
		if err != nil || !bytes.HasPrefix(b, []byte(".TH ")) || !bytes.Contains(b, []byte(roff(cmd.Short))) {
			t.Errorf("%s: %v", pageName(cmd), err)
		}
	})
	for line, want := range map[string]string{"a-b": `a\-b`, ".x": `\&.x`, `a\n`: `a\en`, "'q": `\&'q`, "a…": `a\[u2026]`} {
		if got := roff(line); got != want {
			t.Errorf("%q: %q; want %q", line, got, want)
		}
	}
	for _, shell := range shells {
		if out, err := run(t, "completion", shell); err != nil || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %v, %d bytes", shell, err, len(out))
		}
	}
	for line, want := range map[string]string{
		"topic cr":            "create",
		"topic list -o ":      "yaml",
		"topic create x -c r": "retention.ms=",
		"help of":             "offsets",
		"completion ":         "powershell",
	} {
		args := strings.Split(line, " ")
		if out, err := run(t, append([]string{"__complete"}, args...)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%q completes to %q, %v; want %s", line, out, err, want)
		}
	}
}
