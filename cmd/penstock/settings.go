package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka"
	"github.com/penstock/penstock/shard/kafka/group"
)

// config is what a start is made of. Each field is set by one entry of settings.
type config struct {
	Data          string
	Kafka         string
	Advertised    string
	CorePorts     string // auto, on or off
	CorePort      int
	Shards        int // 0: one per CPU
	Admin         string
	Insecure      bool
	Log           string // auto, text or json
	Arena         int64  // bytes per shard
	ArenaDir      string
	Journal       int64 // bytes per shard
	Checkpoint    int64 // bytes per shard
	Connections   int
	Partitions    int
	Congestion    string
	AutoCreate    bool
	NumPartitions int32
	RequestMax    int
	FetchMax      int
	RebalanceMs   int64
	SessionMinMs  int64
	SessionMaxMs  int64
	GroupSizeMax  int
	OffsetsMin    int64
	IdleMs        int64
	Topic         map[string]string     // topic_defaults
	Broker        []kafka.BrokerSetting // the broker section, as DescribeConfigs shows it
}

// setting is one thing a person can set, in the file, the environment and as a flag.
// Name is its key in the file; a slash separates section and key.
type setting struct {
	name, def, doc string
	set            func(c *config, v string) error
}

// Sections of the file. Keys in them are Kafka's own names.
const (
	brokerSection = "broker/"
	topicSection  = "topic_defaults/"
)

var settings = append([]setting{
	{"data", "./data", "directory that holds all data", notEmpty(func(c *config) *string { return &c.Data })},
	{"kafka", "127.0.0.1:9092", "address of the normal Kafka port: one broker", address(func(c *config) *string { return &c.Kafka })},
	{"advertised", "", "host or host:port that clients are told to connect to (per-core ports keep their numbers); by default the address they came in on", advertised(func(c *config) *string { return &c.Advertised })},
	{"core_ports", "auto", "per-core Kafka ports, where each core is a broker: on, off, or auto (on outside of containers)", choice(func(c *config) *string { return &c.CorePorts }, "auto", "on", "off")},
	{"core_port", "9192", "first per-core Kafka port; one per core follows, at most 8", intRange(func(c *config, n int64) { c.CorePort = int(n) }, 1, 65000)},
	{"shards", "0", "number of shards; 0 means one per CPU", intRange(func(c *config, n int64) { c.Shards = int(n) }, 0, 256)},
	{"admin", "127.0.0.1:9644", "address of the admin port (health, status, metrics, profiles); always loopback", address(func(c *config) *string { return &c.Admin })},
	{"insecure", "false", "allow Kafka listeners beyond loopback although nobody is authenticated and nothing encrypted", boolean(func(c *config) *bool { return &c.Insecure })},
	{"log", "auto", "form of the messages: text, json, or auto (text on a terminal)", choice(func(c *config) *string { return &c.Log }, "auto", "text", "json")},
	{"arena", "96MiB", "memory per shard for the tails of its partitions", size(func(c *config) *int64 { return &c.Arena }, 8<<20, 64<<30)},
	{"arena_dir", "auto", "where the arenas lie: auto (/dev/shm if it has room, else the data directory) or a directory", notEmpty(func(c *config) *string { return &c.ArenaDir })},
	{"journal", "512MiB", "size of each shard's journal; it bounds what is replayed at a start", size(func(c *config) *int64 { return &c.Journal }, 16<<20, 64<<30)},
	{"checkpoint", "64MiB", "bytes appended between two checkpoints of a shard; at most a third of the journal", size(func(c *config) *int64 { return &c.Checkpoint }, 1<<20, 16<<30)},
	{"connections_max", "0", "connections served at once; 0 means what the limit of open files allows", intRange(func(c *config, n int64) { c.Connections = int(n) }, 0, math.MaxInt32)},
	{"partitions_max", "100000", "partitions of all topics together", intRange(func(c *config, n int64) { c.Partitions = int(n) }, 1, 10_000_000)},
	{"congestion_control", "", "TCP congestion control of client connections; empty means the system's", text(func(c *config) *string { return &c.Congestion })},
	{brokerSection + "auto.create.topics.enable", "true", "create a topic when a client that allows it asks for one that does not exist", boolean(func(c *config) *bool { return &c.AutoCreate })},
	{brokerSection + "num.partitions", "1", "partitions of a topic that names no number", intRange(func(c *config, n int64) { c.NumPartitions = int32(n) }, 1, 100_000)},
	{brokerSection + "socket.request.max.bytes", "104857600", "largest request in bytes", intRange(func(c *config, n int64) { c.RequestMax = int(n) }, 1<<20, 1<<30)},
	{brokerSection + "fetch.max.bytes", "57671680", "largest answer to a fetch in bytes", intRange(func(c *config, n int64) { c.FetchMax = int(n) }, 1024, 1<<30)},
	{brokerSection + "connections.max.idle.ms", "600000", "close a connection that has been idle for so long", intRange(func(c *config, n int64) { c.IdleMs = n }, 1000, math.MaxInt64/2000000)},
	{brokerSection + "group.initial.rebalance.delay.ms", "3000", "how long the first rebalance of a group waits for more members", intRange(func(c *config, n int64) { c.RebalanceMs = n }, 0, 3600_000)},
	{brokerSection + "group.min.session.timeout.ms", "6000", "smallest session timeout of a group member", intRange(func(c *config, n int64) { c.SessionMinMs = n }, 1, math.MaxInt32)},
	{brokerSection + "group.max.session.timeout.ms", "1800000", "largest session timeout of a group member", intRange(func(c *config, n int64) { c.SessionMaxMs = n }, 1, math.MaxInt32)},
	{brokerSection + "group.max.size", strconv.Itoa(group.DefaultMembersMax), "most members of a group", intRange(func(c *config, n int64) { c.GroupSizeMax = int(n) }, 1, math.MaxInt32)},
	{brokerSection + "offsets.retention.minutes", "10080", "how long the offsets of an empty group are kept", intRange(func(c *config, n int64) { c.OffsetsMin = n }, 1, math.MaxInt32)},
}, topicSettings()...)

// topicSettings are the keys of core.TopicKeys, as defaults for topics that do not set
// them. Whether the values fit together is checked once all are known.
func topicSettings() []setting {
	d := core.DefaultTopicConfig()
	var out []setting
	for _, k := range core.TopicKeys() {
		out = append(out, setting{topicSection + k.Name, d.Value(k.Name), k.Doc, func(c *config, v string) error {
			_, err := core.ParseTopicConfig(d, map[string]string{k.Name: v})
			c.Topic[k.Name] = v
			return err
		}})
	}
	return out
}

func text(field func(*config) *string) func(*config, string) error {
	return func(c *config, v string) error { *field(c) = v; return nil }
}

func notEmpty(field func(*config) *string) func(*config, string) error {
	return func(c *config, v string) error {
		if v == "" {
			return errors.New("is a directory, not \"\"")
		}
		*field(c) = v
		return nil
	}
}

// advertised reads what clients are told: nothing, a host, or host:port. Nobody can
// connect to 0.0.0.0 from elsewhere, so that is none.
func advertised(field func(*config) *string) func(*config, string) error {
	return func(c *config, v string) error {
		host, port, err := net.SplitHostPort(v)
		if err != nil {
			host, port = v, "1"
		}
		n, err := strconv.Atoi(port)
		addr, notIP := netip.ParseAddr(host)
		named := notIP != nil && host != "" && !strings.ContainsAny(host, ":/[]@ ")
		if v != "" && (err != nil || n < 1 || n > 65535 || !named && (notIP != nil || addr.IsUnspecified())) {
			return fmt.Errorf("is a host, or host:port, that clients can reach, not %q", v)
		}
		*field(c) = v
		return nil
	}
}

func choice(field func(*config) *string, of ...string) func(*config, string) error {
	return func(c *config, v string) error {
		for _, o := range of {
			if v == o {
				*field(c) = v
				return nil
			}
		}
		last := len(of) - 1
		return fmt.Errorf("is %s or %s, not %q", strings.Join(of[:last], ", "), of[last], v)
	}
}

func boolean(field func(*config) *bool) func(*config, string) error {
	return func(c *config, v string) error {
		if v != "true" && v != "false" {
			return fmt.Errorf("is true or false, not %q", v)
		}
		*field(c) = v == "true"
		return nil
	}
}

func intRange(put func(*config, int64), min, max int64) func(*config, string) error {
	return func(c *config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < min || n > max {
			return fmt.Errorf("is a whole number from %d to %d, not %q", min, max, v)
		}
		put(c, n)
		return nil
	}
}

func address(field func(*config) *string) func(*config, string) error {
	return func(c *config, v string) error {
		host, port, err := net.SplitHostPort(v)
		if err != nil {
			return fmt.Errorf("is host:port, as in 127.0.0.1:9092, not %q", v)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("has a port from 0 to 65535, not %q", port)
		}
		if host == "localhost" {
			v = net.JoinHostPort("127.0.0.1", port)
		}
		*field(c) = v
		return nil
	}
}

// size reads 64MiB, 1GiB, 500MB or plain bytes.
func size(field func(*config) *int64, min, max int64) func(*config, string) error {
	return func(c *config, v string) error {
		n, ok := parseSize(v)
		if !ok || n < min || n > max {
			return fmt.Errorf("is a size from %s to %s such as 64MiB, not %q", formatSize(min), formatSize(max), v)
		}
		*field(c) = n
		return nil
	}
}

var sizeUnits = []struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1}}

func parseSize(v string) (int64, bool) {
	for _, u := range sizeUnits {
		if num, ok := strings.CutSuffix(v, u.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
			return n * u.n, err == nil && n >= 0 && n < math.MaxInt64/u.n
		}
	}
	return 0, false
}

// formatSize is for people: one decimal at most.
func formatSize(n int64) string {
	for _, u := range sizeUnits[:3] {
		if n >= u.n {
			s := strconv.FormatFloat(float64(n)/float64(u.n), 'f', 1, 64)
			return strings.TrimSuffix(s, ".0") + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}
