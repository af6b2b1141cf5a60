// Command penstock is the broker: one static binary that takes in streams over the
// Kafka protocol, keeps them on one partitioned log, and gives them back.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes beside 0 and 1 (sysexits.h and the shell's conventions).
const (
	exitUsage  = 2
	exitConfig = 78
)

// exitError carries an exit code with an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	root := &cobra.Command{
		Use:           "penstock",
		Short:         "A streaming broker: Kafka clients in and out, one durable log, a shard per core",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), versionCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "penstock: "+err.Error())
		var e *exitError
		if errors.As(err, &e) {
			os.Exit(e.code)
		}
		if strings.HasPrefix(err.Error(), "unknown command") {
			os.Exit(exitUsage)
		}
		os.Exit(1)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			f := newFacts()
			fmt.Fprintf(cmd.OutOrStdout(), "penstock %s  %s %s %s\n", f.Version, f.Go, f.Platform, f.Commit)
		},
	}
}
