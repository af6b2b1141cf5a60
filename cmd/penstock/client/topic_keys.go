package client

import (
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/core"
)

// kafkaKeys are settings of topics that Apache Kafka has and Penstock has not.
var kafkaKeys = []string{"compression.gzip.level", "compression.lz4.level", "compression.zstd.level", "delete.retention.ms", "file.delete.delay.ms",
	"follower.replication.throttled.replicas", "index.interval.bytes", "leader.replication.throttled.replicas", "local.retention.bytes", "local.retention.ms",
	"max.compaction.lag.ms", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "preallocate", "remote.log.copy.disable", "remote.log.delete.on.disable",
	"remote.storage.enable", "segment.index.bytes", "segment.jitter.ms", "unclean.leader.election.enable"}

// nearestKey is a refusal of settings, with the nearest name where one of them is not known:
// Apache Kafka says only that it does not know it.
func nearestKey(err error, message string, set []kadm.AlterConfig) error {
	if !errors.Is(err, kerr.InvalidConfig) || strings.Contains(message, "did you mean") {
		return cli.Refusal(err, message)
	}
	known := slices.Clone(kafkaKeys)
	for _, k := range core.TopicKeys() {
		known = append(known, k.Name)
	}
	for _, c := range set {
		if slices.Contains(known, c.Name) || !strings.Contains(message, c.Name) {
			continue
		}
		message = strings.TrimSuffix(strings.TrimSpace(message), ".") + core.DidYouMean(c.Name, known)
		break
	}
	return cli.Refusal(err, message)
}
