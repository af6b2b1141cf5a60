package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/cmd/penstock/records"
)

// helpTopics are pages of help that belong to no verb: a command that runs nothing.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "offsets", Short: "How offsets and times are said", Long: cli.OffsetsHelp},
		{Use: "formats", Short: "The letters of produce -f and consume -f", Long: records.FormatsHelp},
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp},
		{Use: "environment", Short: "The variables that are read", Long: environmentHelp},
	}
}

const exitCodesHelp = `The exit codes of all verbs:

    0   done
    1   it failed; the message on stderr says what, why, and what to do next
    2   the command line is wrong
    3   what was asked for does not hold: doctor found a fault, an --assert is not met
   69   no broker answers
   78   the configuration is wrong: a file, a setting, a variable, a client property
  130   interrupted by Ctrl-C

Data goes to stdout and talk to stderr. Where some of several things failed, the others are
done, each failure is one line on stderr, and the code is 1.
`

const environmentHelp = `These variables are read:

  PENSTOCK_BROKERS   brokers of all verbs that talk to one, host:port,... (as --brokers)
  PENSTOCK_ADMIN     the admin port, of serve and for top (as --admin)
  PENSTOCK_...       the settings of serve (penstock serve --help)
  COLUMNS            how wide a help page may be
  NO_COLOR           no colours; TERM=dumb too
  CLICOLOR_FORCE     colours even where the output is no terminal
`

// helpCommand is "penstock help VERB": the page of a verb or of a topic, and for one that
// does not exist the nearest.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Show the page of a command or of a topic",
		Example: `  penstock help topic create
  penstock help offsets
  penstock help exit-codes`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			at, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return cli.CompleteWords(pages(at)...)(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for _, name := range args {
				next := child(at, name)
				if next == nil {
					return cli.Usage("there is no command or topic %q%s", strings.Join(args, " "), cli.Hint(name, pages(at), at.CommandPath()+" --help lists them"))
				}
				at = next
			}
			return at.Help()
		},
	}
}

func child(of *cobra.Command, name string) *cobra.Command {
	for _, c := range of.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

func pages(of *cobra.Command) (names []string) {
	for _, c := range of.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			names = append(names, append([]string{c.Name()}, c.Aliases...)...)
		}
	}
	return names
}
