package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/cmd/penstock/cli"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files again")

// saved writes a small run: its place in the order of runs, what it ran against, and
// how much faster than the slowest it was.
func saved(t *testing.T, dir string, minute int, software string, speed float64, size int) string {
	t.Helper()
	h := hdrhistogram.New(1000, 60_000_000_000, 3)
	for i := range 1000 {
		if err := h.RecordValue(int64(float64(1_000_000+10_000*i) / speed)); err != nil {
			t.Fatal(err)
		}
	}
	n := 100_000 * speed
	r := &result.Result{Started: time.Date(2026, 11, 25, 10, minute, 0, 0, time.UTC), Command: []string{"penstock", "bench", "produce"}, Tool: "penstock 0.1.0-dev", Loop: "closed", Seconds: 10,
		Workload:  workload.Workload{Kind: workload.Produce, RecordSize: size, Partitions: 1},
		Target:    result.Target{Software: software, Durability: "synced"},
		Produced:  result.Flow{Requests: 1000, Records: int64(10 * n), Bytes: int64(1e4 * n), RecordsS: n, BytesS: 1e3 * n},
		Latencies: []result.Latency{{Name: result.ProduceLatency, Hist: h}},
		Series:    []result.Second{{At: 10, Seconds: 10, Produced: int64(10 * n), ProducedB: int64(1e4 * n), P50: 1, P99: 2, P999: 3, Max: 4}},
		Broker:    &result.Usage{CPUSeconds: 5 / speed, RSS: int64(400e6 / speed)}}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	paths, err := r.Save(dir, "json")
	if err != nil {
		t.Fatal(err)
	}
	return paths[0]
}

func call(cmd *cobra.Command, args ...string) (string, error) {
	var out, talk bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&talk)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

// twoSides are directories of two interleaved runs each.
func twoSides(t *testing.T) (a, b string) {
	t.Chdir(t.TempDir())
	saved(t, "kafka", 0, "Apache Kafka 4.1", 1, 1000)
	saved(t, "penstock", 1, "penstock 0.1.0", 4, 1000)
	saved(t, "kafka", 2, "Apache Kafka 4.1", 0.5, 1000)
	saved(t, "penstock", 3, "penstock 0.1.0", 2.5, 1000)
	return "kafka", "penstock"
}

func TestCompareAsText(t *testing.T) {
	path, err := filepath.Abs("testdata/compare.txt")
	if err != nil {
		t.Fatal(err)
	}
	a, b := twoSides(t)
	got, err := call(Compare(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -rewrite writes it; then read the diff):\n%s", path, got)
	}
}

func TestCompareAsJSONAndAsAPage(t *testing.T) {
	a, b := twoSides(t)
	out, err := call(Compare(), a, b, "-o", "json", "--html", "overlay.html")
	if err != nil {
		t.Fatal(err)
	}
	var c result.Comparison
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatal(err)
	}
	if !c.Interleaved || len(c.Sides) != 2 || c.Sides[1].Runs != 2 || c.Rows[0].Metric != "records_per_second" || c.Rows[0].Ratios[0].Max != 0.25 || c.Rows[0].Ratios[0].Min != 0.2 {
		t.Errorf("%+v", c)
	}
	page, err := os.ReadFile("overlay.html")
	if err != nil || !strings.Contains(string(page), "Apache Kafka 4.1") || !strings.HasSuffix(strings.TrimSpace(string(page)), "</html>") {
		t.Errorf("the page: %v", err)
	}
}

func TestCompareRefusesUnlikeWorkloads(t *testing.T) {
	a, _ := twoSides(t)
	other := saved(t, "other", 5, "penstock 0.1.0", 1, 100)
	_, err := call(Compare(), a, other)
	if cli.ExitCode(err) != cli.ExitNotMet || !strings.Contains(err.Error(), "record_size (1000 and 100)") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("exit %d: %v", cli.ExitCode(err), err)
	}
	out, err := call(Compare(), a, other, "--force")
	if err != nil || !strings.Contains(out, "! These are unlike workloads") {
		t.Errorf("by force: %v\n%s", err, out)
	}
	if _, err = call(Compare(), a); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("one side: %v", err)
	}
	if _, err = call(Compare(), a, "nowhere"); cli.ExitCode(err) != cli.ExitFailed || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a side that is not there: %v", err)
	}
}

func TestReportWritesTheFormsAskedFor(t *testing.T) {
	t.Chdir(t.TempDir())
	path := saved(t, "runs", 0, "penstock 0.1.0", 1, 1000)
	stem := strings.TrimSuffix(path, ".json")
	out, err := call(Report(), path, "--as", "html,csv,hlog,omb")
	if want := stem + ".html\n" + stem + ".csv\n" + stem + ".hlog\n" + stem + ".omb.json\n"; err != nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	out, err = call(Report(), path, "--dir", "elsewhere", "-o", "json")
	var all []reported
	if err = errors.Join(err, json.Unmarshal([]byte(out), &all)); err != nil || len(all) != 1 || all[0].Result != path || all[0].Files[0] != filepath.Join("elsewhere", filepath.Base(stem)+".html") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, f := range append(all[0].Files, stem+".hlog", stem+".csv", stem+".omb.json", stem+".html") {
		if st, err := os.Stat(f); err != nil || st.Size() < 200 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err = call(Report(), path, "--as", "htm"); cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), "did you mean html") {
		t.Errorf("an unknown form: %v", err)
	}
}
