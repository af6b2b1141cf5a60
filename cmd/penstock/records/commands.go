package records

import "github.com/spf13/cobra"

// Commands are the verbs of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{produceCommand(), consumeCommand()}
}
