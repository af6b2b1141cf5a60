package records

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

func TestAHello(t *testing.T) {
	_, talk := run(t, 0, "hello\n", "produce", "hello")
	expect(t, talk, "hello/0@0  1 record, 5 B\nthe topic hello did not exist; the broker has made it\n")
	_, talk = run(t, 0, "a\n\nb", "produce", "hello")
	expect(t, talk, "hello/0@1..3  3 records, 2 B\n")
	out, _ := run(t, 0, "", "consume", "hello", "-e")
	expect(t, out, "hello\na\n\nb\n")
	out, _ = run(t, 0, "", "consume", "hello", "-e", "--output", "wide")
	if !strings.HasPrefix(out, "0@0  2") || !strings.Contains(out, "Z  hello\n") {
		t.Errorf("%q", out)
	}
}

// TestKcatAgrees has both tools print the same topic by the letters that both have.
func TestKcatAgrees(t *testing.T) {
	topic(t, "agree", 1)
	run(t, 0, "k1:v1\nk2:\nnokey\nk3:a:b\n", "produce", "agree", "-K", ":", "-H", "h=1", "-H", "n=", "-H", "m", "-Z", "-q")
	run(t, 0, ":empty key\nx:\n", "produce", "agree", "-K", ":", "-q")
	for _, format := range []string{`%o %k|%K|%s|%S %T %t[%p] {%h}\n`, `%R%s`, `\x41%%\065\q%o`, `%o %T\n`} {
		out, _ := run(t, 0, "", "consume", "agree", "-e", "-f", format)
		expect(t, out, kcat(t, "-C", "-q", "-e", "-t", "agree", "-f", format))
	}
	for _, flags := range [][]string{{"-o", "beginning"}, {"-o", "-2"}, {"-o", "3"}, {"-K", "="}, {"-D", `\x01`}, {"-c", "2"}, {"-p", "0", "-o", "end"}} {
		out, _ := run(t, 0, "", append([]string{"consume", "agree", "-e"}, flags...)...)
		expect(t, out, kcat(t, append([]string{"-C", "-q", "-e", "-t", "agree"}, flags...)...))
	}
}

// TestBinaryRoundTrips copies a topic by JSON, and by a format with lengths.
func TestBinaryRoundTrips(t *testing.T) {
	topic(t, "binary", 3)
	rng := rand.New(rand.NewPCG(1, 2))
	bytesOf := func() []byte {
		if rng.IntN(5) == 0 {
			return nil
		}
		b := make([]byte, rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.IntN(256) >> rng.IntN(2))
		}
		return b
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 500 {
		r := &kgo.Record{Topic: "binary", Partition: int32(i % 3), Key: bytesOf(), Value: bytesOf(), Timestamp: time.UnixMilli(int64(1e12) + int64(i))}
		for range rng.IntN(3) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(bytesOf()), Value: bytesOf()})
		}
		cl.Produce(context.Background(), r, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, _ := run(t, 0, "", "consume", "binary", "-e", "-o", "json")
	topic(t, "binary2", 3)
	_, talk := run(t, 0, first, "produce", "binary2", "--input", "json", "-z", "zstd")
	if !strings.Contains(talk, "binary2/2@0..165  166 records") {
		t.Errorf("%s", talk)
	}
	second, _ := run(t, 0, "", "consume", "binary2", "-e", "-o", "jsonl")
	expect(t, contents(t, second), contents(t, first))

	const lengths = `%p{big32}%d{big64}%K{big32}%k%V{big32}%v%H{big32}%h{%K{big32}%k%V{big32}%v}`
	packed, _ := run(t, 0, "", "consume", "binary", "-e", "-f", lengths)
	topic(t, "binary3", 3)
	run(t, 0, packed, "produce", "binary3", "-f", lengths)
	again, _ := run(t, 0, "", "consume", "binary3", "-e", "-f", lengths)
	if len(again) != len(packed) || len(packed) < 100_000 {
		t.Errorf("%d bytes of %d came back", len(again), len(packed))
	}
}

// contents are the records of JSON lines without what a broker gives them, sorted.
func contents(t *testing.T, lines string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(lines) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"topic", "producer_id", "producer_epoch", "compression"} {
			delete(m, k)
		}
		b, _ := json.Marshal(m)
		out = append(out, string(b))
	}
	if len(out) != 500 {
		t.Fatalf("%d records", len(out))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// TestRanges reads records whose times are known: record i of each partition is of second i.
func TestRanges(t *testing.T) {
	topic(t, "ranges", 2)
	var in strings.Builder
	for i := range 20 {
		for p := range 2 {
			fmt.Fprintf(&in, "%d %d %d\n", p, 1767225600000+i*1000, i)
		}
	}
	run(t, 0, in.String(), "produce", "ranges", "-f", `%p %d %v\n`)
	for o, want := range map[string][2]int{
		"start:end": {0, 20}, "5:8": {5, 8}, "5:+2": {5, 7}, ":3": {0, 3}, "+18:end": {18, 20}, "-3:end": {17, 20}, "-3:-1": {17, 19}, "15:99": {15, 20}, "100:end": {0, 0}, "7:7": {0, 0},
		"@1767225605:@1767225610": {5, 10}, "@1767225604500:@1767225605500": {5, 6}, "@2026-01-01T00:00:05Z:3s": {5, 8}, "@2026-01-01T00:00:18Z:end": {18, 20}, "@:@1767225602": {0, 2},
		"@2026-01-01T00:01:00Z:end": {0, 0}, "@-1h:end": {0, 0},
	} {
		args := []string{"consume", "ranges", "-o", o, "-f", `%p %v\n`}
		if o == "15:99" { // offsets that are not there yet end with -e only
			args = append(args, "-e")
		}
		out, _ := run(t, 0, "", args...)
		got, expected := strings.Split(strings.TrimSpace(out), "\n"), []string{}
		for i := want[0]; i < want[1]; i++ {
			expected = append(expected, fmt.Sprintf("0 %d", i), fmt.Sprintf("1 %d", i))
		}
		if len(expected) == 0 {
			expected = []string{""}
		}
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("-o %s prints %v", o, got)
		}
	}
	out, _ := run(t, 0, "", "consume", "ranges", "-p", "1", "-o", "s@1767225603000", "-o", "e@1767225605000", "-f", "%p%v ")
	expect(t, out, "13 14 ")
	out, _ = run(t, 0, "", "consume", "ranges", "-o", "-5", "-n", "3")
	if strings.Count(out, "\n") != 3 {
		t.Errorf("-n 3 prints %q", out)
	}
}

// TestARangeWaits reads up to offsets that are not there yet, of more partitions than one
// fetch that waits would leave time to ask about.
func TestARangeWaits(t *testing.T) {
	topic(t, "waits", 4)
	write := func(value string) {
		var in strings.Builder
		for p := range 4 {
			fmt.Fprintf(&in, "%d %s\n", p, value)
		}
		run(t, 0, in.String(), "produce", "waits", "-q", "-f", `%p %v\n`)
	}
	write("a")
	v := start(t, nil, "consume", "waits", "-o", "0:2", "-f", `%p%v `)
	poll(t, "the first of each are printed", func() bool { return strings.Count(v.out.String(), "a ") == 4 })
	write("b")
	write("c")
	got := strings.Fields(v.ends(0))
	slices.Sort(got)
	expect(t, fmt.Sprint(got), "[0a 0b 1a 1b 2a 2b 3a 3b]")
	expect(t, v.err.String(), "")

	// Questions go by a connection of their own: behind a fetch that waits they would wait too.
	c := &consumer{conn: cli.Conn{Brokers: []string{broker(t)}, Timeout: patience}}
	r := newReading(c, &cobra.Command{})
	var err error
	if r.asking, err = c.conn.Client(); err != nil {
		t.Fatal(err)
	}
	defer r.asking.Close()
	r.adm = kadm.NewClient(r.asking)
	r.resolve.adm = r.adm
	r.bounds[topicPartition{"waits", 0}] = &bounds{next: 3, stop: 4}
	if err := r.skip(context.Background()); err != nil || r.over() {
		t.Errorf("%v, over: %v", err, r.over())
	}
}

// TestEmptyPartitionsEnd holds that nothing to read ends at once.
func TestEmptyPartitionsEnd(t *testing.T) {
	topic(t, "empty", 4)
	for _, args := range [][]string{{"-e"}, {"-o", "start:end"}, {"-o", "-10", "-e"}, {"-o", "@-1h:end"}, {"-o", "end", "-e"}, {"-p", "2", "-e"}} {
		out, talk := run(t, 0, "", append([]string{"consume", "empty"}, args...)...)
		expect(t, out+talk, "")
	}
}

// TestWhatIsLeft asks a partition whether anything is left, which decides whether a reader
// that gets nothing is done.
func TestWhatIsLeft(t *testing.T) {
	topic(t, "left", 1)
	run(t, 0, "a\nb\nc\n", "produce", "left", "-q")
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, c := range []struct {
		trim, next, want int64
	}{{0, 0, 0}, {0, 1, 1}, {0, 3, 3}, {2, 1, 2}, {3, 1, 3}} {
		if _, err := adm.DeleteRecords(context.Background(), offsetsOf("left", c.trim)); c.trim > 0 && err != nil {
			t.Fatal(err)
		}
		for _, committed := range []bool{false, true} {
			r := resolver{adm: adm, committed: committed}
			if got, err := r.after(context.Background(), cl, topicPartition{"left", 0}, bounds{next: c.next, stop: 3}); err != nil || got != c.want {
				t.Errorf("trimmed to %d, at %d: what is left begins at %d (%v), want %d", c.trim, c.next, got, err, c.want)
			}
		}
	}
}

// TestTheEndMayHaveGone has the last records before the end trimmed away.
func TestTheEndMayHaveGone(t *testing.T) {
	topic(t, "trimmed", 1)
	run(t, 0, "a\nb\nc\n", "produce", "trimmed")
	if _, err := client(t).DeleteRecords(context.Background(), offsetsOf("trimmed", 2)); err != nil {
		t.Fatal(err)
	}
	out, _ := run(t, 0, "", "consume", "trimmed", "-o", "0:end")
	expect(t, out, "c\n")
	if _, err := client(t).DeleteRecords(context.Background(), offsetsOf("trimmed", 3)); err != nil {
		t.Fatal(err)
	}
	out, _ = run(t, 0, "", "consume", "trimmed", "-o", "1", "-e")
	expect(t, out, "")
}

func TestRegexAndSeveralTopics(t *testing.T) {
	for i := range 3 {
		run(t, 0, fmt.Sprintf("in %d\n", i), "produce", fmt.Sprintf("re.%d", i))
	}
	for _, args := range [][]string{{"re.0", "re.1"}, {"-r", `^re\.[01]$`}, {`^re\.[0]$`, "re.1"}} {
		out, _ := run(t, 0, "", append([]string{"consume", "-e", "-f", `%t %v\n`}, args...)...)
		if got := strings.Split(out, "\n"); len(got) != 3 || !strings.Contains(out, "re.0 in 0\n") || !strings.Contains(out, "re.1 in 1\n") {
			t.Errorf("%v print %q", args, out)
		}
	}
	out, _ := run(t, 0, "", "consume", "-e", "-r", `^re\.`, "-o", "json")
	run(t, 0, strings.ReplaceAll(out, `"re.`, `"copy.`), "produce", "--input", "json")
	out, _ = run(t, 0, "", "consume", "-e", "copy.2")
	expect(t, out, "in 2\n")
}

func TestFilesAreRecords(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for path, text := range map[string]string{a: "one\ntwo\n", b: "{\"value\":\"x\"}\n\n{\"value\":\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, 0, "in\n", "produce", "files", a, "-")
	run(t, 0, "in\n", "produce", "files", a, "-", "-l")
	out, _ := run(t, 0, "", "consume", "files", "-e", "-D", ";")
	expect(t, out, "one\ntwo\n;in\n;one;two;in;")
	_, talk := run(t, 1, "", "produce", "files", b, "--input", "json")
	if !strings.Contains(talk, b+":3: the object does not end on its line") || !strings.Contains(talk, "1 record was acknowledged") {
		t.Errorf("%s", talk)
	}
	_, talk = run(t, 1, "", "produce", "files", filepath.Join(dir, "none"))
	if !strings.Contains(talk, "no such file") {
		t.Errorf("%s", talk)
	}
}
