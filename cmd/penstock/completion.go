package main

import (
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the script that completes penstock's commands in a shell",
		Long: `The shell is bash, zsh, fish or powershell. Names of topics and groups are completed too: they
are asked of the broker that --brokers or PENSTOCK_BROKERS names.`,
		Example: `  source <(penstock completion bash)
  penstock completion zsh > "${fpath[1]}/_penstock"
  penstock completion fish > ~/.config/fish/completions/penstock.fish`,
		Args:              cli.Args(1, 1),
		ValidArgsFunction: cli.CompleteWords(shells...),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return cli.Usage("there is no completion for %q%s", args[0], cli.Hint(args[0], shells, "shells are bash, zsh, fish and powershell"))
		},
	}
}
