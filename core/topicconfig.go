package core

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// ConfigType is the type of a configuration value, by Kafka's numbers (KIP-569).
type ConfigType int8

// The types that occur.
const (
	TypeBool   ConfigType = 1
	TypeString ConfigType = 2
	TypeInt    ConfigType = 3
	TypeLong   ConfigType = 5
	TypeList   ConfigType = 7
)

// ConfigKey describes one setting. A key that is not in a table is not honoured, and
// what is not honoured is refused.
type ConfigKey struct {
	Name string
	Type ConfigType
	Doc  string // one or two sentences, for DescribeConfigs
}

// The names of the topic settings. All but penstock.durability are Kafka's.
const (
	keyCleanup    = "cleanup.policy"
	keyCompress   = "compression.type"
	keyFlushCount = "flush.messages"
	keyFlushMs    = "flush.ms"
	keyMaxBytes   = "max.message.bytes"
	keyTimeAfter  = "message.timestamp.after.max.ms"
	keyTimeBefore = "message.timestamp.before.max.ms"
	keyTimeType   = "message.timestamp.type"
	keyMinISR     = "min.insync.replicas"
	keyDurability = "penstock.durability"
	keyRetBytes   = "retention.bytes"
	keyRetMs      = "retention.ms"
	keySegBytes   = "segment.bytes"
	keySegMs      = "segment.ms"
)

var topicKeys = []ConfigKey{
	{keyCleanup, TypeList, "Only delete: old segments are deleted by retention. Compaction is not supported yet."},
	{keyCompress, TypeString, "Only producer: batches are kept as the producer compressed them."},
	{keyFlushCount, TypeLong, "1 means synced; a larger number means interval: at most so many records of a partition are not yet durable."},
	{keyFlushMs, TypeLong, "Means interval: a record is durable at most so many milliseconds after its acknowledgement."},
	{keyMaxBytes, TypeInt, "The largest record batch, after compression, in bytes."},
	{keyTimeAfter, TypeLong, "How far in the future a record's timestamp may lie, in milliseconds (CreateTime)."},
	{keyTimeBefore, TypeLong, "How far in the past a record's timestamp may lie, in milliseconds (CreateTime)."},
	{keyTimeType, TypeString, "CreateTime keeps the producer's timestamps, LogAppendTime sets the broker's."},
	{keyMinISR, TypeInt, "Only 1: partitions have one replica."},
	{keyDurability, TypeString, "What an acknowledgement is worth: synced (survives a power cut), interval (synced within flush.ms), os (survives the process; the operating system decides)."},
	{keyRetBytes, TypeLong, "Delete the oldest segments of a partition above this size; -1 means no limit."},
	{keyRetMs, TypeLong, "Delete segments whose newest record is older than this, in milliseconds; -1 means no limit."},
	{keySegBytes, TypeInt, "Begin a new segment at this size."},
	{keySegMs, TypeLong, "Begin a new segment after this time, in milliseconds."},
}

// TopicKeys returns the settings of a topic, sorted by name. Do not change it.
func TopicKeys() []ConfigKey { return topicKeys }

// DefaultTopicConfig is Kafka's default for every key, but for durability: an
// acknowledgement of penstock survives a power cut unless the topic says otherwise.
func DefaultTopicConfig() TopicConfig {
	return TopicConfig{
		RetentionMs: 7 * 24 * 3600 * 1000, RetentionBytes: -1,
		SegmentBytes: 1 << 30, SegmentMs: 7 * 24 * 3600 * 1000,
		MaxMessageBytes:      1<<20 + 12,
		TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3600 * 1000,
		Durability: Synced, FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64,
	}
}

// intervalFlushMs is the bound of an interval topic that names none itself.
const intervalFlushMs = 10

// ParseTopicConfig applies set to defaults. The error names the key, the value and
// what is allowed, and for an unknown key the nearest known one.
func ParseTopicConfig(defaults TopicConfig, set map[string]string) (TopicConfig, error) {
	c := defaults
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys) // the same error every time
	for _, k := range keys {
		if err := c.set(k, strings.TrimSpace(set[k])); err != nil {
			return defaults, err
		}
	}
	return c, c.settleDurability(set)
}

// settleDurability maps Kafka's flush settings onto penstock.durability: an explicit
// durability wins, and a flush bound that it would leave without effect is refused.
func (c *TopicConfig) settleDurability(set map[string]string) error {
	_, named := set[keyDurability]
	_, count := set[keyFlushCount]
	_, ms := set[keyFlushMs]
	bounded := count && c.FlushMessages != math.MaxInt64 || ms && c.FlushMs != math.MaxInt64
	switch {
	case !named && count && c.FlushMessages == 1:
		c.Durability = Synced
	case !named && bounded:
		c.Durability = Interval
	case named && bounded && c.Durability == OS:
		return fmt.Errorf("flush.messages and flush.ms have no effect with penstock.durability=os: remove them, or use interval")
	case named && bounded && c.Durability == Synced && !(count && c.FlushMessages == 1):
		return fmt.Errorf("flush.messages and flush.ms have no effect with penstock.durability=synced: remove them, or use interval")
	}
	if c.Durability == Interval && c.FlushMs == math.MaxInt64 && c.FlushMessages == math.MaxInt64 {
		c.FlushMs = intervalFlushMs
	}
	return nil
}

func (c *TopicConfig) set(key, value string) (err error) {
	switch key {
	case keyCleanup:
		return oneOf(key, value, "delete", "compaction is not supported yet")
	case keyCompress:
		return oneOf(key, value, "producer", "the broker never recompresses")
	case keyMinISR:
		return oneOf(key, value, "1", "partitions have one replica")
	case keyFlushCount:
		c.FlushMessages, err = number(key, value, 1, math.MaxInt64)
	case keyFlushMs:
		c.FlushMs, err = number(key, value, 1, math.MaxInt64)
	case keyMaxBytes:
		var n int64
		n, err = number(key, value, 0, 1<<30)
		c.MaxMessageBytes = int32(n)
	case keyTimeAfter:
		c.TimestampAfterMaxMs, err = number(key, value, 0, math.MaxInt64)
	case keyTimeBefore:
		c.TimestampBeforeMaxMs, err = number(key, value, 0, math.MaxInt64)
	case keyTimeType:
		c.LogAppendTime = value == "LogAppendTime"
		if !c.LogAppendTime && value != "CreateTime" {
			return fmt.Errorf("%s is CreateTime or LogAppendTime, not %q", key, value)
		}
	case keyDurability:
		return c.setDurability(value)
	case keyRetBytes:
		c.RetentionBytes, err = number(key, value, -1, math.MaxInt64)
	case keyRetMs:
		c.RetentionMs, err = number(key, value, -1, math.MaxInt64)
	case keySegBytes:
		c.SegmentBytes, err = number(key, value, 1<<20, math.MaxInt32)
	case keySegMs:
		c.SegmentMs, err = number(key, value, 1, math.MaxInt64)
	default:
		return unknownKey(key)
	}
	return err
}

func (c *TopicConfig) setDurability(value string) error {
	for _, d := range []Durability{Synced, Interval, OS} {
		if value == d.String() {
			c.Durability = d
			return nil
		}
	}
	return fmt.Errorf("%s is synced, interval or os, not %q", keyDurability, value)
}

// Value is the setting as text, as DescribeConfigs shows it; "" for an unknown key.
func (c *TopicConfig) Value(key string) string {
	switch key {
	case keyCleanup:
		return "delete"
	case keyCompress:
		return "producer"
	case keyMinISR:
		return "1"
	case keyTimeType:
		if c.LogAppendTime {
			return "LogAppendTime"
		}
		return "CreateTime"
	case keyDurability:
		return c.Durability.String()
	}
	n, ok := map[string]int64{
		keyFlushCount: c.FlushMessages, keyFlushMs: c.FlushMs, keyMaxBytes: int64(c.MaxMessageBytes),
		keyTimeAfter: c.TimestampAfterMaxMs, keyTimeBefore: c.TimestampBeforeMaxMs,
		keyRetBytes: c.RetentionBytes, keyRetMs: c.RetentionMs, keySegBytes: c.SegmentBytes, keySegMs: c.SegmentMs,
	}[key]
	if !ok {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func oneOf(key, value, want, why string) error {
	if value == want {
		return nil
	}
	return fmt.Errorf("%s is only %s here (%s), not %q", key, want, why, value)
}

func number(key, value string, min, max int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < min || n > max {
		return 0, fmt.Errorf("%s is a whole number from %d to %d, not %q", key, min, max, value)
	}
	return n, nil
}

func unknownKey(key string) error {
	names := make([]string, len(topicKeys))
	for i, k := range topicKeys {
		names[i] = k.Name
	}
	return fmt.Errorf("the setting %q is not supported%s", key, DidYouMean(key, names))
}

// DidYouMean is "; did you mean X?" for the name nearest to s, or "" if none is near.
func DidYouMean(s string, names []string) string {
	best, at := len(s)/2+1, ""
	for _, n := range names {
		if d := distance(s, n); d < best {
			best, at = d, n
		}
	}
	if at == "" {
		return ""
	}
	return "; did you mean " + at + "?"
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
