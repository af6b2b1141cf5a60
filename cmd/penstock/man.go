package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func manCommand() *cobra.Command {
	out := &cli.Output{}
	cmd := &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages, one per command",
		Example: `  penstock man ./man1 && man -l ./man1/penstock-topic-list.1
  penstock man /usr/local/share/man/man1
  penstock man ./man1 -o json                the files that were written`,
		Args: cli.Args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			written, err := writePages(cmd.Root(), args[0])
			if err != nil {
				return fmt.Errorf("write the manual: %w", err)
			}
			return out.Print(cmd.OutOrStdout(), written, func(t *cli.Table) {
				for _, name := range written {
					t.Line("%s", name)
				}
			})
		},
	}
	out.Flags(cmd)
	return cmd
}

// writePages writes the pages of a command and of all below it.
func writePages(cmd *cobra.Command, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, pageName(cmd)+".1")
	if err := os.WriteFile(path, []byte(manPage(cmd)), 0o644); err != nil {
		return nil, err
	}
	written := []string{path}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			more, err := writePages(c, dir)
			if err != nil {
				return nil, err
			}
			written = append(written, more...)
		}
	}
	return written, nil
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is a command's help as roff, in the order in which manuals have it.
func manPage(cmd *cobra.Command) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, ".TH %s 1 \"\" \"penstock %s\" \"Penstock\"\n.nh\n.ad l\n", roffQuote(strings.ToUpper(pageName(cmd))), version)
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	if cmd.IsAdditionalHelpTopicCommand() {
		manText(b, "DESCRIPTION", cmd.Long)
		manText(b, "SEE ALSO", "penstock(1)")
		return b.String()
	}
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(b, ".SH SYNOPSIS\n.B %s\n", roff(usage))
	manText(b, "DESCRIPTION", cmd.Long)
	if cmd.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
				fmt.Fprintf(b, ".TP\n.B %s(1)\n%s\n", roff(pageName(c)), roff(c.Short))
			}
		}
	}
	for _, s := range cli.FlagSections(cmd) {
		if !s.Flags.HasAvailableFlags() {
			continue
		}
		title := "OPTIONS"
		if s.Title != "Flags" {
			title = strings.ToUpper(s.Title)
		}
		fmt.Fprintf(b, ".SH %s\n", title)
		s.Flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				manFlag(b, f)
			}
		})
	}
	manText(b, "EXAMPLES", cmd.Example)
	manText(b, "NOTES", cli.MoreText(cmd))
	see := []string{"penstock-exit-codes(1)"}
	if cmd.HasParent() {
		see = append([]string{pageName(cmd.Parent()) + "(1)"}, see...)
	}
	manText(b, "SEE ALSO", strings.Join(see, ", "))
	return b.String()
}

// manText is a section of text as it stands: our texts are wrapped already.
func manText(b *strings.Builder, title, text string) {
	if text = strings.Trim(text, "\n"); text == "" {
		return
	}
	fmt.Fprintf(b, ".SH %s\n.nf\n", title)
	for line := range strings.Lines(text + "\n") {
		b.WriteString(roff(strings.TrimSuffix(line, "\n")) + "\n")
	}
	b.WriteString(".fi\n")
}

func manFlag(b *strings.Builder, f *pflag.Flag) {
	word, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(name))
	if word != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(word))
	}
	b.WriteString("\n" + roff(usage))
	if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
		b.WriteString(roff(" (default " + d + ")"))
	}
	b.WriteString("\n")
}

// roff escapes text: a backslash, a hyphen that is to stay one, what is not ASCII, and a
// dot or a quote at the beginning of a line.
func roff(s string) string {
	b := &strings.Builder{}
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		b.WriteString(`\&`)
	}
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r > 127:
			fmt.Fprintf(b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func roffQuote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\(dq`) + `"` }
