// Command penstock is the broker: one static binary that takes in streams over the
// Kafka protocol, keeps them on one partitioned log, and gives them back. It is also the
// command line for this and any other Kafka broker.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/cmd/penstock/bench"
	"github.com/penstock/penstock/cmd/penstock/cli"
	verbs "github.com/penstock/penstock/cmd/penstock/client"
	"github.com/penstock/penstock/cmd/penstock/records"
	"github.com/penstock/penstock/cmd/penstock/top"
)

func main() {
	// The first Ctrl-C ends a verb, with what it has to say; the second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	cli.Report(os.Stderr, err)
	os.Exit(cli.ExitCode(err))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "penstock",
		Short: "A streaming broker: Kafka clients in and out, one durable log, a shard per core",
		Long: `Penstock is a streaming broker in one binary. Kafka clients write to it and read from
it, unchanged; records land on one durable log, one shard per core. The other verbs speak the
Kafka protocol and nothing else, so they serve any Kafka broker (--brokers).`,
		Example: `  penstock serve                        the broker: data in ./data, Kafka on 127.0.0.1:9092
  echo hello | penstock produce orders
  penstock consume orders -o start
  penstock doctor kafka.example:9092    why can my client not connect?`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	all := []*cobra.Command{serveCommand(), configCommand(), versionCommand(), completionCommand(), manCommand(), bench.Command(), top.Command()}
	all = append(all, verbs.Commands()...)
	all = append(all, records.Commands()...)
	all = append(all, helpTopics()...)
	cli.Group(root, all...)
	root.Flags().BoolP("version", "v", false, "print the version, in one line")
	f := newFacts()
	root.Version = f.title()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpCommand(helpCommand())
	root.SetHelpFunc(cli.Help)
	root.SetFlagErrorFunc(cli.FlagError)
	return root
}
