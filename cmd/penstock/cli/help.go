package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// Sections of a help page, for flags that many verbs have.
const (
	SectionConnection = "Connection"
	SectionOutput     = "Output"
)

const (
	sectionAnnotation = "penstock-section"
	moreAnnotation    = "penstock-more"
)

// SetSection puts flags under a heading of their own in the help.
func SetSection(cmd *cobra.Command, section string, flags ...string) {
	for _, name := range flags {
		_ = cmd.Flags().SetAnnotation(name, sectionAnnotation, []string{section}) // the caller has just made the flag
	}
}

// More is text at the end of a command's help.
func More(cmd *cobra.Command, text string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[moreAnnotation] = text
}

// FlagSection is a heading with the flags below it.
type FlagSection struct {
	Title string
	Flags *pflag.FlagSet
}

// FlagSections are a command's flags as its help shows them: its own first.
func FlagSections(cmd *cobra.Command) []FlagSection {
	cmd.InitDefaultHelpFlag()
	out := []FlagSection{{Title: "Flags"}, {Title: SectionConnection}, {Title: SectionOutput}}
	for i := range out {
		out[i].Flags = pflag.NewFlagSet("", pflag.ContinueOnError)
		out[i].Flags.SortFlags = cmd.Flags().SortFlags
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		at := 0
		if s := f.Annotations[sectionAnnotation]; len(s) > 0 {
			for i := range out {
				if out[i].Title == s[0] {
					at = i
				}
			}
		}
		if f.Name == "help" {
			f.Usage = "show this page"
		}
		out[at].Flags.AddFlag(f)
	})
	return out
}

// MoreText is what More has set.
func MoreText(cmd *cobra.Command) string { return cmd.Annotations[moreAnnotation] }

// Help is a command's help page: what it is in one line, examples, usage, and what there
// is beside.
func Help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	if cmd.IsAdditionalHelpTopicCommand() {
		fmt.Fprintln(w, strings.TrimSpace(cmd.Long))
		return
	}
	fmt.Fprintf(w, "%s.\n", strings.TrimSuffix(cmd.Short, "."))
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprint(w, "\nUsage:\n")
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(w, "  %s\n", cmd.UseLine())
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(w, "\nAlso called: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	helpCommands(w, cmd)
	for _, s := range FlagSections(cmd) {
		if s.Flags.HasAvailableFlags() {
			fmt.Fprintf(w, "\n%s:\n%s", s.Title, s.Flags.FlagUsagesWrapped(Columns(w)))
		}
	}
	if more := MoreText(cmd); more != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(more))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help tells more about one.\n", cmd.CommandPath())
	}
}

// helpCommands lists the verbs below a command, then its help topics.
func helpCommands(w io.Writer, cmd *cobra.Command) {
	for _, part := range []struct {
		title string
		is    func(*cobra.Command) bool
	}{
		{"Commands", func(c *cobra.Command) bool { return c.IsAvailableCommand() }},
		{"Help topics (penstock help TOPIC)", func(c *cobra.Command) bool { return c.IsAdditionalHelpTopicCommand() }},
	} {
		head := "\n" + part.title + ":\n"
		for _, c := range cmd.Commands() {
			if part.is(c) {
				fmt.Fprintf(w, "%s  %-12s %s\n", head, c.Name(), c.Short)
				head = ""
			}
		}
	}
}

// Columns is how wide text for a person may be: COLUMNS, or the terminal's width, or 100.
func Columns(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 40 {
		return n
	}
	if f, ok := w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col >= 40 {
			return int(ws.Col)
		}
	}
	return 100
}

// IsTerminal says whether a file is one.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Confirm holds that somebody at a terminal says --yes before something is lost for good.
// A script is not asked.
func Confirm(yes bool, what string) error {
	if yes || !IsTerminal(os.Stdin) {
		return nil
	}
	return Usage("%s; say --yes if that is meant", what)
}
