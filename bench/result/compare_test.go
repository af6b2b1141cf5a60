package result

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/workload"
)

// sides are three runs each of two brokers that took turns; the machine became slower
// meanwhile, for both.
func sides(t *testing.T) []Side {
	t.Helper()
	a, b := Side{Name: "kafka/"}, Side{Name: "penstock/"}
	for i, drift := range []float64{1, 0.8, 0.5} {
		for side, of := range []*Side{&a, &b} {
			s := short()
			s.kind, s.rate, s.seed = workload.Produce, 0, uint64(10*side+i)
			s.start = s.start.Add(time.Duration(2*i+side) * time.Minute)
			s.got, s.cpu, s.broker = 100_000*drift, 1.2, "Apache Kafka 4.1"
			if side == 1 {
				s.got, s.cpu, s.broker = 200_000*drift, 0.4, "penstock 0.1.0-dev"
			}
			r := s.run(t)
			r.Produced.RecordsS = s.got // without the jitter
			of.Runs = append(of.Runs, r)
		}
	}
	return []Side{a, b}
}

func compareOK(t *testing.T, s []Side) *Comparison {
	t.Helper()
	c, err := Compare(s, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Comparison) find(t *testing.T, metric string) Row {
	t.Helper()
	for _, r := range c.Rows {
		if r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no row %s in %+v", metric, c.Rows)
	return Row{}
}

func TestRatiosOfInterleavedRunsAreOfNeighbours(t *testing.T) {
	s := sides(t)
	c := compareOK(t, s)
	row := c.find(t, "records_per_second")
	if want := (Spread{true, 0.5, 0.5, 0.5}); !c.Interleaved || row.Ratios[0] != want {
		t.Errorf("interleaved %v, ratio %+v; want %+v whatever drifts", c.Interleaved, row.Ratios[0], want)
	}
	if want := (Spread{true, 80_000, 50_000, 100_000}); row.Values[0] != want || row.Better != "more" {
		t.Errorf("values %+v; want %+v", row.Values[0], want)
	}
	for _, r := range s[1].Runs { // all of B after all of A
		r.Started = r.Started.Add(time.Hour)
	}
	c = compareOK(t, s)
	row = c.find(t, "records_per_second")
	if want := (Spread{true, 0.5, 0.25, 1}); c.Interleaved || row.Ratios[0] != want || !strings.Contains(c.How(), "did not take turns") {
		t.Errorf("interleaved %v, ratio %+v; want %+v", c.Interleaved, row.Ratios[0], want)
	}
	s[1].Runs = s[1].Runs[:2] // unequal numbers
	if compareOK(t, s).Interleaved {
		t.Error("three runs and two are taken for turns")
	}
	one := compareOK(t, []Side{{"a", s[0].Runs[:1]}, {"b", s[1].Runs[:1]}})
	if one.Interleaved || !strings.Contains(one.How(), "one run each") {
		t.Error("one run each says nothing of its spread")
	}
}

func TestUnlikeWorkloadsAreRefusedWithTheirFields(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *workload.Workload)
		want   string
	}{
		"record_size":    {func(w *workload.Workload) { w.RecordSize = 100 }, "record_size (1024 and 100)"},
		"acks":           {func(w *workload.Workload) { w.Acks = "1" }, "acks (all and 1)"},
		"rate":           {func(w *workload.Workload) { w.Rate = 5 }, "rate (0 and 5)"},
		"duration":       {func(w *workload.Workload) { w.Duration *= 2 }, "duration (3s and 6s)"},
		"payload":        {func(w *workload.Workload) { w.Payload = "lines.txt" }, "payload (random and lines.txt)"},
		"payload_sha256": {func(w *workload.Workload) { w.PayloadSHA = "ab" }, "payload_sha256 (none and ab)"},
	} {
		s := sides(t)
		c.change(&s[1].Runs[2].Workload)
		_, err := Compare(s, false)
		var unlike *UnlikeError
		if !errors.As(err, &unlike) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want a refusal that names %q", name, err, c.want)
		}
		forced, err := Compare(s, true)
		if err != nil || len(forced.Unlike) == 0 || !strings.Contains(forced.Warnings[0], c.want) {
			t.Errorf("%s by force: %v, %+v", name, err, forced)
		}
	}
	s := sides(t)
	s[0].Runs[0].Workload.Name, s[0].Runs[0].Workload.Doc = "other", "words"
	compareOK(t, s)
}

func TestWarningsOfUnequalConditions(t *testing.T) {
	s := sides(t)
	if w := strings.Join(compareOK(t, s).Warnings, "\n"); strings.Contains(w, "differ") || !strings.Contains(w, "All runs: Load and broker shared one machine") {
		t.Errorf("equal conditions: %s", w)
	}
	b := s[1].Runs[1]
	b.Machine.Kernel, b.Machine.SyncMs = "6.1", 99
	b.Target.Durability = "synced"
	b.Workload.View, b.Workload.Durability = "cores", "synced"
	b.Workload.Configs = workload.Config{"flush.messages": "1"}
	b.Loop, b.SameHost = "open", false
	b.Notes = append(b.Notes, "A note of one run.")
	w := strings.Join(compareOK(t, s).Warnings, "\n")
	for _, want := range []string{"view (normal and cores)", "durability (none and synced)", "topic_configs", "kernel (6.12.1 and 6.1)", "Durability differs: A waits for “os: acknowledged", "B for “synced”", "open loop and the other a closed one", "shared its broker's machine and the other did not", "B2: A note of one run."} {
		if !strings.Contains(w, want) {
			t.Errorf("the warnings lack %q:\n%s", want, w)
		}
	}
	for i, of := range s {
		for j, r := range of.Runs {
			r.Notes = []string{fmt.Sprintf("Others used %d %%.", 60+10*i+j)}
		}
	}
	s[0].Runs[2].Notes = nil
	if got := runNotes(s); len(got) != 1 || got[0] != "A1, A2, B1, B2, B3 (in the words of A1; the figures differ): Others used 60 %." {
		t.Errorf("notes that differ by their figures: %q", got)
	}
	if strings.Contains(w, "sync_ms") {
		t.Errorf("a measured sync time counts as another machine:\n%s", w)
	}
}

func TestRowsThatSomeRunsDoNotHaveAreNotMadeUp(t *testing.T) {
	s := sides(t)
	s[0].Runs[1].Broker = nil
	row := compareOK(t, s).find(t, "cpu_per_gb")
	if row.Values[0].Known || !row.Values[1].Known || row.Ratios[0].Known {
		t.Errorf("%+v", row)
	}
	if cells := row.Cells(); cells[1] != "–" || cells[3] != "–" {
		t.Errorf("shown as %q", cells)
	}
	zero := compareOK(t, sides(t)).find(t, "errors")
	if zero.Ratios[0].Known {
		t.Errorf("errors 0 / 0 has the ratio %+v", zero.Ratios[0])
	}
}

func TestLoadSide(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs [1]")
	s := sides(t)
	for _, i := range []int{2, 0, 1} {
		if _, err := s[0].Runs[i].Save(dir, "json", "omb", "csv"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadSide(dir)
	if err != nil || len(got.Runs) != 3 || !got.Runs[0].Started.Equal(s[0].Runs[0].Started) || !got.Runs[2].Started.Equal(s[0].Runs[2].Started) {
		t.Fatalf("of a directory: %d runs, %v", len(got.Runs), err)
	}
	if got, err = LoadSide(filepath.Join(filepath.Dir(dir), "runs*", "*-02-*.json")); err != nil || len(got.Runs) != 1 {
		t.Errorf("of a pattern: %d runs, %v", len(got.Runs), err)
	}
	if _, err := s[1].Runs[0].Save(dir, "json"); err != nil {
		t.Fatal(err)
	}
	if _, err = LoadSide(dir); err == nil || !strings.Contains(err.Error(), "Apache Kafka 4.1 and against penstock") {
		t.Errorf("two brokers in one directory: %v", err)
	}
	empty := t.TempDir()
	for _, arg := range []string{empty, filepath.Join(empty, "*.json"), filepath.Join(empty, "nothing.json")} {
		if _, err := LoadSide(arg); err == nil || !strings.Contains(err.Error(), arg) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if err := os.WriteFile(filepath.Join(empty, "x.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSide(empty); err == nil || !strings.Contains(err.Error(), "x.json is not a result") {
		t.Errorf("a stray file: %v", err)
	}
}

func TestThePageOfAComparison(t *testing.T) {
	s := sides(t)
	c := compareOK(t, s)
	b, err := c.Page()
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	checkPage(t, page)
	for _, r := range c.Rows {
		for _, cell := range r.Cells() {
			if !strings.Contains(page, ">"+cell+"<") {
				t.Errorf("the page does not show %q of %s", cell, r.Metric)
			}
		}
	}
	if n := strings.Count(page, `class="line c0 thin"`); n != 3 {
		t.Errorf("%d lines of A; want one for each run", n)
	}
	for _, side := range c.Sides {
		if !strings.Contains(page, side.Software) || !strings.Contains(page, side.Name) {
			t.Errorf("the page does not name %+v", side)
		}
	}
	if dir := os.Getenv("PAGES"); dir != "" { // to look at them
		for name, b := range map[string][]byte{"compare.html": b, "one.html": encode(t, aRun.run(t), "html")} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
