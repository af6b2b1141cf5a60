package core

import (
	"strings"
	"testing"
)

func TestFlushSettingsMapOntoDurability(t *testing.T) {
	for _, c := range []struct {
		set  map[string]string
		want Durability
	}{
		{nil, Synced},
		{map[string]string{"flush.messages": "1"}, Synced},
		{map[string]string{"flush.messages": "1000"}, Interval},
		{map[string]string{"flush.ms": "50"}, Interval},
		{map[string]string{"penstock.durability": "os"}, OS},
		{map[string]string{"flush.messages": "9223372036854775807", "penstock.durability": "os"}, OS},
	} {
		got, err := ParseTopicConfig(DefaultTopicConfig(), c.set)
		if err != nil || got.Durability != c.want {
			t.Errorf("%v: %v, %v; want %v", c.set, got.Durability, err, c.want)
		}
	}
	c, err := ParseTopicConfig(DefaultTopicConfig(), map[string]string{"penstock.durability": "interval"})
	if err != nil || c.FlushMs != intervalFlushMs {
		t.Errorf("interval without a bound: %v ms, %v", c.FlushMs, err)
	}
}

func TestSettingsThatWouldHaveNoEffectAreRefused(t *testing.T) {
	for set, want := range map[[2]string]string{
		{"cleanup.policy", "compact"}:           "only delete",
		{"retention.msec", "1"}:                 "did you mean retention.ms?",
		{"unclean.leader.election.enable", "1"}: "not supported",
		{"segment.bytes", "1k"}:                 "whole number",
		{"min.insync.replicas", "2"}:            "only 1",
		{"compression.type", "zstd"}:            "only producer",
	} {
		_, err := ParseTopicConfig(DefaultTopicConfig(), map[string]string{set[0]: set[1]})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", set, err, want)
		}
	}
	_, err := ParseTopicConfig(DefaultTopicConfig(), map[string]string{"penstock.durability": "os", "flush.ms": "5"})
	if err == nil {
		t.Error("os with flush.ms was accepted")
	}
}

func TestEveryTopicKeyHasAValueAndRoundTrips(t *testing.T) {
	d := DefaultTopicConfig()
	for _, k := range TopicKeys() {
		v := d.Value(k.Name)
		if v == "" || k.Doc == "" {
			t.Errorf("%s: value %q, doc %q", k.Name, v, k.Doc)
		}
		if got, err := ParseTopicConfig(d, map[string]string{k.Name: v}); err != nil || got != d {
			t.Errorf("%s=%s: %+v, %v", k.Name, v, got, err)
		}
	}
}
