package workload

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOurWorkloadsAreRead(t *testing.T) {
	for _, name := range Names() {
		w, notes, err := Find(name)
		if err != nil || len(notes) > 0 || w.Name != name || w.Doc == "" {
			t.Errorf("%s: %+v %v %v", name, w, notes, err)
		}
	}
	for _, name := range []string{"pinned-producer", "pinned-consumer", "pinned-producer-and-consumer", "balanced-producer", "balanced-consumer-group",
		"balanced-producer-and-consumer-group", "end-to-end"} {
		w, _, err := Find(name)
		if err != nil || w.RecordSize != 1000 || w.BatchRecords != 1000 || max(w.Producers, w.Consumers) != 8 {
			t.Errorf("%s: %+v %v", name, w, err)
		}
	}
}

func TestEveryFieldIsReadFromAFile(t *testing.T) {
	w := Workload{Name: "n", Doc: "d", Kind: Mixed, Topics: 2, Partitions: 6, RecordSize: 100, BatchSize: 4096, BatchRecords: 10, Keys: "random", KeySize: 12,
		Compression: "lz4", Payload: "/x", Producers: 3, Consumers: 4, Groups: 2, InFlight: 5, Acks: "all", Idempotent: true, Durability: "os", FetchMax: 2048,
		FetchMin: 2, Backlog: 3 << 20, Rate: 1000, Warmup: Time(time.Second), Duration: Time(90 * time.Second), Client: Franz, View: Cores, Configs: Config{"retention.ms": "5"}}
	var b strings.Builder
	for _, f := range Fields() {
		b.WriteString(f.Name + ": \"" + f.Get(&w) + "\"\n")
	}
	got, _, err := Parse([]byte(b.String()+"topic_configs:\n  retention.ms: 5\n"), "x.yaml", ".")
	if err != nil || !reflect.DeepEqual(got, w) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, w)
	}
	// All fields but those that are set otherwise are in the table.
	typ := reflect.TypeFor[Workload]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		if name != "-" && !slices.Contains(names(), name) {
			t.Errorf("%s cannot be set", name)
		}
	}
}

func TestAWrongFileIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"kind: produce\nrecord_sice: 10":                               `w.yaml:2: there is no field "record_sice"; did you mean record_size?`,
		"kind: produce\n\nrecord_size: 1K":                             `w.yaml:3: record_size: "1K" is not a size`,
		"kind: produse":                                                `w.yaml:1: kind: "produse" is not one of produce, consume, e2e, mixed; did you mean produce?`,
		"topics: 1":                                                    "w.yaml: kind is missing",
		"kind: produce\nkind: e2e":                                     "already defined",
		"kind: produce\ntopics:\n  a: 1\n  b: 2":                       "w.yaml:2: topics wants one value",
		"kind: produce\ntopics: [1]":                                   "2: topics wants one value",
		"kind: produce\nwarmup: 5":                                     `w.yaml:2: warmup: "5" is not a duration`,
		"kind: consume\ngroups: 1":                                     "w.yaml: groups need client: franz",
		"kind: consume\npartitions: 2\nconsumers: 4":                   "w.yaml: 4 consumers need as many partitions, there are 2",
		"kind: consume\nrate: 5\nin_flight: 2":                         "a rate for consume needs in_flight: 1",
		"kind: consume\nclient: franz\nin_flight: 2":                   "franz-go has one fetch in flight",
		"kind: produce\nclient: franz\nidempotent: true\nin_flight: 2": "idempotent has 5 requests in flight",
		"kind: e2e\ncompression: lz4":                                  "e2e with compression needs client: franz",
		"- kind: produce":                                              "keys and values are wanted",
		"":                                                             "this holds none",
		"topics: 1\npartitionsPerTopik: 3\nmessageSize: 5":             `w.yaml:2: OpenMessaging Benchmark has no key "partitionsPerTopik"; did you mean partitionsPerTopic?`,
		"topics: 1\nmessageSize: 5\nproducerPauseBeforeDrain: 3":       "w.yaml:3: producerPauseBeforeDrain is not supported",
		"topics: 1\nmessageSize: 5\nproducersPerTopic: 0":              "producersPerTopic: 0 is not supported",
		"topics: 1\nmessageSize: 5\nkeyDistributor: SOME":              "w.yaml:3: keyDistributor:",
		"topics: 1\nmessageSize: 5\nproducersPerTopic: 1\nkind: x":     `OpenMessaging Benchmark has no key "kind"`,
	} {
		_, _, err := Parse([]byte(text), "w.yaml", ".")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, _, err := Find("pinned-producr"); err == nil || !strings.Contains(err.Error(), "did you mean pinned-producer?") {
		t.Error(err)
	}
}

// The keys are those of a file of OpenMessaging Benchmark's own.
func TestOpenMessagingBenchmark(t *testing.T) {
	w, notes, err := Parse([]byte(`
name: a-name
topics: 10
partitionsPerTopic: 3
messageSize: 1024
useRandomizedPayloads: true
randomBytesRatio: 0.5
randomizedPayloadPoolSize: 1000
keyDistributor: KEY_ROUND_ROBIN
subscriptionsPerTopic: 2
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000000
acceptableBacklog: 50000
producerPauseBeforeDrain: 0
consumerBacklogSizeGB: 64
warmupDurationMinutes: 2
testDurationMinutes: ${ombTestDuration:-15}
`), "w.yaml", ".")
	if err != nil {
		t.Fatal(err)
	}
	want := New(Mixed)
	want.Name, want.Client, want.Topics, want.Partitions, want.Keys, want.KeySize, want.Groups = "a-name", Franz, 10, 3, "sequential", 7, 2
	want.Producers, want.Consumers, want.Rate, want.Backlog = 10, 20, 1e6, 64<<30
	want.Warmup, want.Duration = Time(2*time.Minute), Time(15*time.Minute)
	if !reflect.DeepEqual(w, want) {
		t.Errorf("\n got %+v\nwant %+v", w, want)
	}
	all := strings.Join(notes, "\n")
	for _, part := range []string{"randomBytesRatio 0.5", "randomizedPayloadPoolSize 1000", "acceptableBacklog 50000", "consumerBacklogSizeGB", "testDurationMinutes is 15", "driver"} {
		if !strings.Contains(all, part) {
			t.Errorf("no note of %s:\n%s", part, all)
		}
	}
	w, _, err = Parse([]byte("topics: 1\npartitionsPerTopic: 1\nmessageSize: 100\nproducersPerTopic: 3\ntestDurationMinutes: 1"), "w.yaml", ".")
	if err != nil || w.Kind != Produce || w.Producers != 3 || w.Name != "w" {
		t.Errorf("%+v %v", w, err)
	}
}

func TestPayloadIsFoundBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.txt"), []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "w.yaml")
	if err := os.WriteFile(file, []byte("kind: produce\npayload: p.txt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, _, err := Find(file)
	if err != nil || w.Payload != filepath.Join(dir, "p.txt") {
		t.Fatalf("%+v %v", w, err)
	}
	if err := w.Digest(); err != nil || w.PayloadSHA != "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7" {
		t.Error(w.PayloadSHA, err)
	}
}

func TestSizesAndCounts(t *testing.T) {
	for s, want := range map[string]int64{"100": 100, "1KiB": 1024, "1kB": 1000, "1.5MiB": 3 << 19, "64 KiB": 65536, "2GB": 2e9, "0": 0, "7B": 7} {
		if n, err := ParseSize(s); err != nil || n != want {
			t.Errorf("%s: %d %v", s, n, err)
		}
		if n, err := ParseSize(FormatSize(want)); err != nil || n != want {
			t.Errorf("%s: %d %v", FormatSize(want), n, err)
		}
	}
	for s, want := range map[string]int64{"1000": 1000, "100k": 100_000, "1M": 1e6, "1.5M": 1_500_000, "1,000": 1000} {
		if n, err := ParseCount(s); err != nil || n != want {
			t.Errorf("%s: %d %v", s, n, err)
		}
	}
	for _, s := range []string{"", "-1", "x", "1KK", "NaN", "1e99TB", "inf"} {
		if n, err := ParseSize(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
		if n, err := ParseCount(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
	}
	if n, err := ParseCount("1.5"); err == nil {
		t.Error(n)
	}
}

func TestAssign(t *testing.T) {
	for _, c := range []struct {
		w        Workload
		i, n     int
		consumer bool
		want     []int
	}{
		{Workload{Topics: 1, Partitions: 4}, 1, 2, false, []int{2, 3, 0, 1}},
		{Workload{Topics: 1, Partitions: 4}, 1, 2, true, []int{1, 3}},
		{Workload{Topics: 3, Partitions: 2, Pinned: true}, 0, 2, false, []int{0, 1, 4, 5}},
		{Workload{Topics: 1, Partitions: 4, Pinned: true}, 1, 2, false, []int{1, 3}},
	} {
		if got := c.w.Assign(c.i, c.n, c.consumer); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
