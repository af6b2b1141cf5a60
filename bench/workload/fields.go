package workload

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
)

// Field is one field of a Workload by its name in YAML. A command line makes its flags of
// these, so that a file and a flag take the same values.
type Field struct {
	Name string
	Doc  string
	Only string // kinds it has a meaning for, by their names; "": all
	Form string // of a value: n, size, duration, or the values there are as a|b; "": true or false
	get  func(w *Workload) string
	set  func(w *Workload, v string) error
}

// Serves says whether the field has a meaning for this kind of workload.
func (f Field) Serves(kind string) bool { return f.Only == "" || strings.Contains(f.Only, kind) }

const (
	sending = Produce + " " + EndToEnd + " " + Mixed
	reading = Consume + " " + EndToEnd + " " + Mixed
)

var fields = []Field{
	words("name", "name of the run", func(w *Workload) *string { return &w.Name }),
	words("doc", "what it is for", func(w *Workload) *string { return &w.Doc }),
	choice("kind", "what is done", func(w *Workload) *string { return &w.Kind }, Produce, Consume, EndToEnd, Mixed),
	count("topics", "topics", func(w *Workload) *int { return &w.Topics }),
	count("partitions", "partitions of each topic", func(w *Workload) *int { return &w.Partitions }),
	bytes("record_size", "bytes of a record's value", func(w *Workload) *int { return &w.RecordSize }),
	bytes("batch_size", "bytes of a record batch before compression, at most; at least one record", func(w *Workload) *int { return &w.BatchSize }),
	count("batch_records", "records of a batch, instead of its size (0: by size)", func(w *Workload) *int { return &w.BatchRecords }),
	choice("keys", "keys of the records", func(w *Workload) *string { return &w.Keys }, "none", "random", "sequential"),
	bytes("key_size", "bytes of a key", func(w *Workload) *int { return &w.KeySize }),
	choice("compression", "of the record batches: none, gzip, snappy, lz4 or zstd", func(w *Workload) *string { return &w.Compression }, "none", "gzip", "snappy", "lz4", "zstd"),
	words("payload", "random, or a file whose lines are the values", func(w *Workload) *string { return &w.Payload }),
	count("producers", "connections or clients that send", func(w *Workload) *int { return &w.Producers }).only(sending),
	count("consumers", "connections or clients that read", func(w *Workload) *int { return &w.Consumers }).only(reading),
	count("groups", "consumer groups that the consumers are members of, in turn (0: partitions are assigned by hand)", func(w *Workload) *int { return &w.Groups }).only(reading),
	truth("pinned", "client i has topic i, or partition i of the one topic, for itself", func(w *Workload) *bool { return &w.Pinned }),
	count("in_flight", "requests in flight per connection of a producer, and of a consumer if nothing is produced; else a consumer has one", func(w *Workload) *int { return &w.InFlight }),
	choice("acks", "acknowledgements that a producer waits for", func(w *Workload) *string { return &w.Acks }, "all", "1", "0"),
	truth("idempotent", "idempotent producers (franz client)", func(w *Workload) *bool { return &w.Idempotent }).only(sending),
	choice("durability", "of the topics made; by default as the broker has it", func(w *Workload) *string { return &w.Durability }, "synced", "interval", "os", ""),
	bytes("fetch_max_bytes", "largest answer to a fetch", func(w *Workload) *int { return &w.FetchMax }).only(reading),
	bytes("fetch_min_bytes", "the broker waits for so many bytes", func(w *Workload) *int { return &w.FetchMin }).only(reading),
	{Name: "backlog_bytes", Doc: "written before it begins, and not measured", Only: Consume + " " + Mixed, Form: "size",
		get: func(w *Workload) string { return FormatSize(w.Backlog) },
		set: func(w *Workload, v string) (err error) { w.Backlog, err = ParseSize(v); return err }},
	{Name: "rate", Doc: "records a second of all clients together, kept whatever the broker does (open loop); 0: as fast as answers come (closed loop)", Form: "n",
		get: func(w *Workload) string { return strconv.FormatInt(w.Rate, 10) },
		set: func(w *Workload, v string) (err error) { w.Rate, err = ParseCount(v); return err }},
	span("warmup", "not measured", func(w *Workload) *Time { return &w.Warmup }),
	span("duration", "measured", func(w *Workload) *Time { return &w.Duration }),
	choice("client", "pre-encoded requests, or franz-go, an ordinary client", func(w *Workload) *string { return &w.Client }, "wire", "franz"),
	choice("view", "which ports: the normal one, or one per core (begin at one of them)", func(w *Workload) *string { return &w.View }, "normal", "cores"),
}

// configsKey is the one field that is not a scalar.
const configsKey = "topic_configs"

// Fields are all fields but topic_configs. Do not change the slice.
func Fields() []Field { return fields }

// Get is the field's value as Set reads it.
func (f Field) Get(w *Workload) string { return f.get(w) }

// Set sets the field. The error names what is allowed, not the field.
func (f Field) Set(w *Workload, v string) error { return f.set(w, v) }

func (f Field) only(kinds string) Field {
	f.Only = kinds
	return f
}

func names() []string {
	out := []string{configsKey}
	for _, f := range fields {
		out = append(out, f.Name)
	}
	sort.Strings(out)
	return out
}

func field(name string) (Field, error) {
	for _, f := range fields {
		if f.Name == name {
			return f, nil
		}
	}
	return Field{}, fmt.Errorf("there is no field %q%s", name, core.DidYouMean(name, names()))
}

func words(name, doc string, at func(*Workload) *string) Field {
	return Field{Name: name, Doc: doc, Form: "text", get: func(w *Workload) string { return *at(w) },
		set: func(w *Workload, v string) error { *at(w) = v; return nil }}
}

func choice(name, doc string, at func(*Workload) *string, of ...string) Field {
	return Field{Name: name, Doc: doc, Form: strings.TrimSuffix(strings.Join(of, "|"), "|"), get: func(w *Workload) string { return *at(w) },
		set: func(w *Workload, v string) error {
			for _, o := range of {
				if v == o {
					*at(w) = v
					return nil
				}
			}
			return fmt.Errorf("%q is not one of %s%s", v, strings.TrimSuffix(strings.Join(of, ", "), ", "), core.DidYouMean(v, of))
		}}
}

func count(name, doc string, at func(*Workload) *int) Field {
	return Field{Name: name, Doc: doc, Form: "n", get: func(w *Workload) string { return strconv.Itoa(*at(w)) },
		set: func(w *Workload, v string) error {
			n, err := ParseCount(v)
			if err == nil && n > 1<<30 {
				err = fmt.Errorf("%s is too large", v)
			}
			if err == nil {
				*at(w) = int(n)
			}
			return err
		}}
}

func bytes(name, doc string, at func(*Workload) *int) Field {
	return Field{Name: name, Doc: doc, Form: "size", get: func(w *Workload) string { return FormatSize(int64(*at(w))) },
		set: func(w *Workload, v string) error {
			n, err := ParseSize(v)
			if err == nil && n > 1<<30 {
				err = fmt.Errorf("%s is too large: at most 1GiB", v)
			}
			if err == nil {
				*at(w) = int(n)
			}
			return err
		}}
}

func truth(name, doc string, at func(*Workload) *bool) Field {
	return Field{Name: name, Doc: doc, get: func(w *Workload) string { return strconv.FormatBool(*at(w)) },
		set: func(w *Workload, v string) error {
			if v != "true" && v != "false" {
				return fmt.Errorf("%q is neither true nor false", v)
			}
			*at(w) = v == "true"
			return nil
		}}
}

func span(name, doc string, at func(*Workload) *Time) Field {
	return Field{Name: name, Doc: doc, Form: "duration", get: func(w *Workload) string { return at(w).String() },
		set: func(w *Workload, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 {
				return fmt.Errorf("%q is not a duration such as 30s, 500ms or 1m30s", v)
			}
			*at(w) = Time(d)
			return nil
		}}
}

var sizeUnits = []struct {
	name string
	n    int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// ParseSize reads bytes: 1000, 1KiB (1,024), 1kB (1,000), 1.5MiB.
func ParseSize(s string) (int64, error) {
	unit, digits := int64(1), strings.TrimSpace(s)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(digits, u.name); ok {
			unit, digits = u.n, strings.TrimSpace(d)
			break
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n >= 0) || n*float64(unit) > 1<<62 {
		return 0, fmt.Errorf("%q is not a size such as 100, 1KiB, 64KiB, 1MiB or 1MB", s)
	}
	return int64(n * float64(unit)), nil
}

// FormatSize is a size as ParseSize reads it, exactly.
func FormatSize(n int64) string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; n >= u.n && n%u.n == 0 {
			return strconv.FormatInt(n/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// ParseCount reads a number: 1000, 100k, 1M, 1.5M.
func ParseCount(s string) (int64, error) {
	unit, digits := 1.0, strings.ReplaceAll(strings.TrimSpace(s), ",", "")
	for suffix, n := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9} {
		if d, ok := strings.CutSuffix(digits, suffix); ok {
			unit, digits = n, d
			break
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n >= 0) || n*unit > 1<<53 || n*unit != float64(int64(n*unit)) {
		return 0, fmt.Errorf("%q is not a number such as 1000, 100k or 1M", s)
	}
	return int64(n * unit), nil
}
