package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsWinOverEnvironmentOverFileOverDefaults(t *testing.T) {
	path := write(t, "data: /a\nshards: 3\nlog: 'json'\nbroker:\n  num.partitions: 7\n  auto.create.topics.enable: false\ntopic_defaults:\n  retention.ms: -1\n")
	c, values, err := loadConfig(path, []string{"PENSTOCK_SHARDS=4", "PENSTOCK_BROKER__NUM_PARTITIONS=8", "HOME=/x"}, map[string]string{"broker/num.partitions": "9"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/a" || c.Shards != 4 || c.NumPartitions != 9 || c.AutoCreate || c.Log != "json" || c.Topic["retention.ms"] != "-1" || c.Kafka != "127.0.0.1:9092" {
		t.Errorf("%+v", c)
	}
	if o := values["data"].origin; !strings.HasSuffix(o, "penstock.yaml:1") {
		t.Errorf("origin of data: %q", o)
	}
}

// Whoever can be reached from elsewhere, or might be, has to say --insecure.
func TestOnlyLoopbackWithoutInsecure(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:9092": true, "127.0.0.2:9092": true, "[::1]:9092": true, "localhost:9092": true,
		":9092": false, "0.0.0.0:9092": false, "[::]:9092": false, "192.0.2.1:9092": false, "example.com:9092": false, "127.0.0.1.example.com:9092": false} {
		if _, _, err := loadConfig("", nil, map[string]string{"kafka": addr}); (err == nil) != ok {
			t.Errorf("kafka %s: %v", addr, err)
		}
		if _, _, err := loadConfig("", nil, map[string]string{"kafka": addr, "insecure": "true"}); err != nil {
			t.Errorf("kafka %s, insecure: %v", addr, err)
		}
		if _, _, err := loadConfig("", nil, map[string]string{"admin": addr, "insecure": "true"}); (err == nil) != ok {
			t.Errorf("admin %s: %v", addr, err)
		}
	}
}

func TestBadSettingsAreRefusedWithPlaceAndRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"shardz: 3\n":                                  "penstock.yaml:1: the setting \"shardz\" is not known; did you mean shards?",
		"data: x\nbroker:\n  num.partition: 3\n":       "penstock.yaml:3: the setting \"num.partition\" is not known; did you mean num.partitions?",
		"shards: many\n":                               "penstock.yaml:1: shards is a whole number from 0 to 256, not \"many\"",
		"shards:\n":                                    "penstock.yaml:1: shards takes one value",
		"data: [\n":                                    "penstock.yaml:1: bad YAML: ",
		"retention.ms: 5\n":                            "it belongs under topic_defaults:",
		"broker:\n  shards: 5\n":                       "it belongs on the top level",
		"broker: 5\n":                                  "penstock.yaml:1: keys and values belong here",
		"topic_defaults:\n  num.partitions: 3\n":       "penstock.yaml:2: the setting \"num.partitions\" is not known; it belongs under broker:",
		"topic_defaults:\n  retention.ms: x\n":         "penstock.yaml:2: retention.ms is a whole number",
		"data: ''\n":                                   "data is a directory",
		"advertised: 'foo:bar'\n":                      "advertised is a host, or host:port,",
		"advertised: 'foo:0'\n":                        "not \"foo:0\"",
		"advertised: 'foo:65536'\n":                    "not \"foo:65536\"",
		"advertised: 'http://foo'\n":                   "not \"http://foo\"",
		"advertised: '0.0.0.0'\n":                      "not \"0.0.0.0\"",
		"advertised: '[::]:9092'\n":                    "not \"[::]:9092\"",
		"core_ports: never\n":                          "core_ports is auto, on or off, not \"never\"",
		"kafka: 0.0.0.0:9092\n":                        "--insecure",
		"admin: 0.0.0.0:9644\n":                        "loopback only",
		"topic_defaults:\n  cleanup.policy: compact\n": "only delete",
		"journal: 32MiB\n":                             "at most a third",
		"- a\n- b\n":                                   "keys and values",
		"data: [a]\n":                                  "one value",
		"data: {a: b}\n":                               "one value",
	} {
		_, _, err := loadConfig(write(t, text), nil, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %q", text, err, want)
		}
	}
	for _, host := range []string{"", "example.com", "example.com:1", "::1", "[::1]:9092", "192.0.2.1"} {
		if c, _, err := loadConfig("", nil, map[string]string{"advertised": host}); err != nil || c.Advertised != host {
			t.Errorf("advertised %q: %v", host, err)
		}
	}
	for _, c := range []struct{ variable, want string }{
		{"PENSTOCK_NUM_PARTITIONS=3", "did you mean PENSTOCK_BROKER__NUM_PARTITIONS?"},
		{"PENSTOCK_SHARDS=x", "PENSTOCK_SHARDS is a whole number"},
	} {
		if _, _, err := loadConfig("", []string{c.variable}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.variable, err)
		}
	}
	_, _, err := loadConfig("", []string{"PENSTOCK_SHARD=4"}, nil)
	if err == nil || !strings.Contains(err.Error(), "did you mean PENSTOCK_SHARDS?") {
		t.Errorf("unknown variable: %v", err)
	}
}

// A person who corrects a file sees everything at once, in the order of its lines.
func TestAllFaultsAreTold(t *testing.T) {
	path := write(t, "shard: 4\nbroker:\n  num.partitions: abc\n  num.partitionz: 8\ntopic_defaults:\n  retention.ms: -7\njournal: 32MiB\nadmin: nowhere\ndata: [a]\n")
	_, _, err := loadConfig(path, []string{"PENSTOCK_SHARD=3", "PENSTOCK_LOGS=text"}, map[string]string{"kafka": "0.0.0.0:9092"})
	got := strings.Split(fmt.Sprint(err), "\n")
	want := []string{":1: the setting \"shard\"", ":3: num.partitions is a whole number", ":4: the setting \"num.partitionz\"", ":6: retention.ms is", ":8: admin is", ":9: data takes one value",
		"PENSTOCK_LOGS sets nothing", "PENSTOCK_SHARD sets nothing", "checkpoint is at most a third", "kafka is 0.0.0.0:9092"}
	if len(got) != len(want) {
		t.Fatalf("%d faults of %d:\n%v", len(got), len(want), err)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%q; want %q", got[i], want[i])
		}
	}
	out, err := run(t, "config", "validate", path, "-o", "json")
	var answer validated
	if json.Unmarshal([]byte(out), &answer) != nil || cli.ExitCode(err) != cli.ExitConfig || answer.Valid || len(answer.Errors) != 7 {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := run(t, "config", "validate", path+"x"); err == nil || !strings.Contains(err.Error(), "penstock config init "+path+"x writes one") {
		t.Errorf("a file that is not there: %v", err)
	}
}
