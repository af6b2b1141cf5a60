package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A broker that only says that it does not know a setting does not leave a person alone.
func TestUnknownSettingsSuggestTheNearest(t *testing.T) {
	set := []kadm.AlterConfig{{Name: "retention.bytes"}, {Name: "retenton.ms"}, {Name: "min.compaction.lag"}}
	for message, want := range map[string]string{
		"Unknown topic config name: retenton.ms":                                 "Unknown topic config name: retenton.ms; did you mean retention.ms? (INVALID_CONFIG); penstock",
		"Unknown topic config name: min.compaction.lag.":                         "min.compaction.lag; did you mean min.compaction.lag.ms? (INVALID_CONFIG)",
		`the setting "retenton.ms" is not supported; did you mean retention.ms?`: `the setting "retenton.ms" is not supported; did you mean retention.ms? (INVALID_CONFIG)`,
		"Invalid value x for configuration retention.bytes: Not a number":        "Invalid value x for configuration retention.bytes: Not a number (INVALID_CONFIG)",
	} {
		if got := nearestKey(kerr.InvalidConfig, message, set); !strings.Contains(got.Error(), want) || strings.Count(got.Error(), "did you mean") > 1 || !errors.Is(got, kerr.InvalidConfig) {
			t.Errorf("%q: %v; want %q", message, got, want)
		}
	}
	if err := nearestKey(nil, "", set); err != nil {
		t.Error(err)
	}
}
