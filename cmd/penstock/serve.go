package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/core"
)

// stopPatience is how long a SIGTERM waits for what is in flight before it cuts it off.
const stopPatience = 25 * time.Second

func serveCommand() *cobra.Command {
	var file string
	var sets []string
	flags := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the broker",
		Example: `  penstock serve                                    data in ./data, Kafka on 127.0.0.1:9092
  penstock serve --data /var/lib/penstock --shards 4
  penstock serve --config penstock.yaml --set num.partitions=8 --set retention.ms=3600000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := map[string]string{}
			for name, v := range flags {
				if cmd.Flags().Changed(flagName(name)) {
					given[name] = *v
				}
			}
			if err := takeSets(sets, given); err != nil {
				return &exitError{exitUsage, err}
			}
			cfg, _, err := loadConfig(file, os.Environ(), given)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			return serve(cfg)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "YAML file with settings")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "a Kafka setting of the broker or a default for topics, key=value (repeatable)")
	for _, s := range settings {
		if strings.Contains(s.name, "/") {
			continue
		}
		v := new(string)
		flags[s.name] = v
		usage := fmt.Sprintf("%s [%s]", s.doc, envName(s.name))
		cmd.Flags().StringVar(v, flagName(s.name), s.def, usage)
		if s.def == "false" || s.def == "true" {
			cmd.Flags().Lookup(flagName(s.name)).NoOptDefVal = "true"
		}
	}
	return cmd
}

func flagName(setting string) string { return strings.ReplaceAll(setting, "_", "-") }

// takeSets puts --set key=value under the section that knows the key.
func takeSets(sets []string, given map[string]string) error {
	for _, kv := range sets {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return fmt.Errorf("--set takes key=value, not %q", kv)
		}
		switch {
		case find(brokerSection+k) != nil:
			given[brokerSection+k] = v
		case find(topicSection+k) != nil:
			given[topicSection+k] = v
		default:
			known := append(names(brokerSection), names(topicSection)...)
			for i := range known {
				known[i] = known[i][strings.Index(known[i], "/")+1:]
			}
			return fmt.Errorf("--set: the setting %q is not known%s", k, core.DidYouMean(k, known))
		}
	}
	return nil
}

// newLogger is text on a terminal and JSON lines elsewhere, unless the settings say.
func newLogger(form string) (l *slog.Logger, text bool) {
	st, err := os.Stdout.Stat()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	if form == "text" || form == "auto" && terminal {
		_, plain := os.LookupEnv("NO_COLOR")
		h := tint.NewTextHandler(os.Stderr, &tint.Options{TimeFormat: time.TimeOnly, NoColor: plain || !terminal})
		return slog.New(h), true
	}
	return slog.New(slog.NewJSONHandler(os.Stdout, nil)), false
}

// serve runs the broker until a signal ends it.
func serve(cfg *config) error {
	log, text := newLogger(cfg.Log)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	s, err := open(cfg, log)
	if err != nil {
		return err
	}
	if text {
		s.facts.banner(os.Stdout)
	} else {
		s.facts.log(log)
	}
	select {
	case sig := <-signals:
		log.Info("stopping: no new connections; finishing and syncing what is in flight", "signal", sig.String())
	case err := <-s.failed:
		log.Error("stopping: the storage has failed; nothing is acknowledged any more", "error", err)
		return errors.Join(err, s.abandon())
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		log.Info("stopped: everything is synced", "clean", true)
		return nil
	case sig := <-signals:
		log.Warn("stopped at once: what was acknowledged is safe; the next start replays the journal", "signal", sig.String())
	case <-time.After(stopPatience):
		log.Warn("stopped after waiting: what was acknowledged is safe; the next start replays the journal", "waited", stopPatience.String())
	}
	return nil
}
