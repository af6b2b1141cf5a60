// Command penstock is the broker: one static binary that takes in streams over the
// Kafka protocol, keeps them on one partitioned log, and gives them back.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
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
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "penstock: "+err.Error())
		var e *exitError
		if errors.As(err, &e) {
			os.Exit(e.code)
		}
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "penstock",
		Short: "A streaming broker: Kafka clients in and out, one durable log, a shard per core",
		Long: `Penstock is a streaming broker in one binary. Kafka clients write to it and read from
it, unchanged; records land on one durable log, one shard per core.

  penstock serve        needs no configuration: data in ./data, Kafka on 127.0.0.1:9092`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(args[0])
		},
	}
	root.AddCommand(serveCommand(), versionCommand())
	f := newFacts()
	root.Version = f.title()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpCommand(helpCommand(root))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		name, known := strings.TrimPrefix(err.Error(), "unknown flag: "), []string{}
		for _, s := range append(names(""), "config", "set", "help", "version") {
			if cmd.Flags().Lookup(flagName(s)) != nil {
				known = append(known, "--"+flagName(s))
			}
		}
		if name == err.Error() {
			known = nil // it is another mistake
		}
		return usage("%w%s", err, hint(name, known, cmd.CommandPath()+" --help lists the flags"))
	})
	return root
}

// commands are what a person may ask for.
var commands = []string{"serve", "version", "help"}

// helpCommand is cobra's, but an unknown command is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Explain a command",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			for _, c := range root.Commands() {
				if c.Name() == args[0] && len(args) == 1 {
					return c.Help()
				}
			}
			return unknownCommand(strings.Join(args, " "))
		},
	}
}

func unknownCommand(name string) error {
	return usage("there is no command %q%s", name, hint(name, commands, "penstock --help lists them"))
}

// hint is the nearest name, if one is near, and where all of them are.
func hint(name string, known []string, where string) string {
	if s := core.DidYouMean(name, known); s != "" {
		return s + " (" + where + ")"
	}
	return "; " + where
}

// noArgs is cobra.NoArgs in words that fit.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no %q; %s --help lists what it takes", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			f := newFacts()
			fmt.Fprintln(cmd.OutOrStdout(), f.title())
		},
	}
}
