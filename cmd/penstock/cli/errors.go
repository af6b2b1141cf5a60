package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/core"
)

// Exit codes beside 0 (sysexits.h, and the conventions of shells).
const (
	ExitFailed      = 1   // the operation failed
	ExitUsage       = 2   // the command line is wrong
	ExitNotMet      = 3   // what was asked for does not hold: --assert, doctor
	ExitUnreachable = 69  // no broker answers
	ExitConfig      = 78  // the configuration is wrong
	ExitInterrupted = 130 // Ctrl-C
)

// Error is an error with the exit code that it stands for.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fail is an error that ends the process with this code.
func Fail(code int, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}

// Usage is an error of the command line.
func Usage(format string, args ...any) error { return Fail(ExitUsage, format, args...) }

// ErrShown ends a verb whose answer, already printed, says what failed.
var ErrShown = errors.New("")

// ExitCode is what the process ends with, 0 for no error.
func ExitCode(err error) int {
	var e *Error
	var op *net.OpError
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE): // who reads our output has seen enough
		return 0
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, kgo.ErrClientClosed), errors.Is(err, context.DeadlineExceeded):
		return ExitUnreachable
	}
	return ExitFailed
}

// Report writes an error for a person: what happened, why, and what to do next. Several
// that were joined are a line each.
func Report(w io.Writer, err error) {
	if err == nil || errors.Is(err, ErrShown) || errors.Is(err, syscall.EPIPE) || errors.Is(err, context.Canceled) {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(w, "penstock: "+line)
	}
}

// Hint is the nearest of the known names, if one is near, and where all of them are.
func Hint(name string, known []string, where string) string {
	if s := core.DidYouMean(name, known); s != "" {
		return s + " (" + where + ")"
	}
	return "; " + where
}

// Group is a command that has verbs below it and does nothing by itself: alone it prints
// its help, and an unknown verb is refused with the nearest one.
func Group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(verbs...)
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var known []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				known = append(known, append([]string{c.Name()}, c.Aliases...)...)
			}
		}
		return Usage("there is no command %q%s", cmd.CommandPath()+" "+args[0], Hint(args[0], known, cmd.CommandPath()+" --help lists them"))
	}
	return cmd
}

// Args wants so many arguments, named in the usage line of the command; max below 0 is
// no bound.
func Args(min, max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		words := strings.Fields(cmd.Use)[1:]
		switch {
		case len(args) < min:
			return Usage("%s needs %s; %s --help shows how", cmd.CommandPath(), strings.Join(words[len(args):min], " and "), cmd.CommandPath())
		case max >= 0 && len(args) > max:
			return Usage("%s takes no %q; %s --help lists what it takes", cmd.CommandPath(), args[max], cmd.CommandPath())
		}
		return nil
	}
}

// FlagError refuses an unknown flag with the nearest one. It serves all commands below
// the one it is set on.
func FlagError(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: ")
	if !unknown {
		return Usage("%w; %s --help lists the flags", err, cmd.CommandPath())
	}
	return Usage("%w%s", err, Hint(name, flagNames(cmd), cmd.CommandPath()+" --help lists the flags"))
}
