package versus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/perf"
)

// Report is all that was measured, in the form of a page.
type Report struct {
	Options    Options
	Kafka      string // its version
	Congestion string // of connections that do not ask for one: of Kafka's end
	Machine    perf.Fingerprint
	Outcomes   []Outcome

	starts map[string][]float64 // s
	idle   map[string][]usage   // right after the start
	used   map[string]usage     // after all the load
}

func (r *Report) start(starts map[string][]float64, idle map[string][]usage) {
	r.starts, r.idle, r.Machine = starts, idle, perf.Look(r.Options.Dir)
}

func (r *Report) after(name string, u usage) {
	if r.used == nil {
		r.used = map[string]usage{}
	}
	r.used[name] = u
}

// Markdown is the page. Command is what repeats the run.
func (r *Report) Markdown(command string, at time.Time) string {
	var b strings.Builder
	r.head(&b, command, at)
	var goals []check
	var tables strings.Builder
	said := map[string]bool{}
	for i := range r.Outcomes {
		goals = append(goals, r.Outcomes[i].table(&tables, said)...)
	}
	if k, ok := r.used[Kafka]; ok {
		ratio := ratios([]float64{float64(k.RSS)}, []float64{float64(r.used[Penstock].RSS)})
		goals = append(goals, check{goal: memoryGoal, of: "after all the load", sides: Kafka + " / " + Penstock, ratio: ratio})
	}
	writeGoals(&b, goals)
	r.processes(&b)
	b.WriteString(tables.String())
	return b.String()
}

func (r *Report) head(b *strings.Builder, command string, at time.Time) {
	m := r.Machine
	fmt.Fprintf(b, "# Apache Kafka %s and penstock, side by side\n\n    %s\n\n", r.Kafka, command)
	if r.Options.Quick {
		b.WriteString("**A quick run**: few and short rounds of each load, to see that all works. Its figures are provisional.\n\n")
	}
	fmt.Fprintf(b, "%s. %s, %d CPUs (shared by broker and load, no pinning), %s; Linux %s, %s; %s. ", at.UTC().Format("2006-01-02 15:04 UTC"), m.CPU, m.CPUs, result.Bytes(float64(m.Memory)), m.Kernel, m.FileSystem, m.Go)
	fmt.Fprintf(b, "%d rounds that take turns, after one that is dropped; %s of warm-up and %s measured in each run; before the first, each broker had %s of load.\n\n", r.Options.Rounds, r.Options.Warmup, r.Options.Duration, r.Options.JVM)
	b.WriteString("A ratio is of neighbouring runs of one round: the median, and in brackets the least and the most. \"Ahead\" names who is better in every round; where rounds disagree, it says neither. ")
	b.WriteString("CPU is the broker's, of all its threads, by the kernel's count; a GB is 10^9 bytes of record batches, in and out. Latency at half load is an open loop's, from the intended send. Memory is the largest VmRSS seen; penstock's holds its arenas, which are mapped.\n\n")
	fmt.Fprintf(b, "TCP: the load's connections and penstock's ask for cubic, and Kafka's end, which asks for nothing, has %s. ", r.Congestion)
	if r.Congestion != "cubic" {
		b.WriteString("**That is not the same**, so ratios are of unlike connections: run it as root, where it gets a loopback of its own. ")
	}
	b.WriteString("Kafka has the heap and the flags that its start scripts choose (-Xms1G -Xmx1G, G1 with a pause goal of 20 ms) and its config/server.properties; it writes no log4j log. ")
	b.WriteString("Durability: Kafka's default (the page cache) stands against `os`, flush.messages=1 against `synced`; where they are not equal, the heading says so.\n\n")
}

func writeGoals(b *strings.Builder, goals []check) {
	if len(goals) == 0 {
		return
	}
	b.WriteString("## Against the goals\n\n| ratio | of | load | measured | goal | met |\n|---|---|---|---|---|---|\n")
	for _, g := range goals {
		measured, met := text(g.ratio, number), "**no**"
		median, all := g.met()
		switch {
		case !g.ratio.Known:
			measured, met = "none: "+g.why, "–"
		case all:
			met = "yes"
		case median:
			met = "in the median"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | >= %s | %s |\n", words(g.metric), g.sides, g.of, measured, number(g.atLeast), met)
	}
	b.WriteString("\n")
}

// words are what a metric is called in a table of goals.
func words(metric string) string {
	switch metric {
	case "cpu_per_gb":
		return "broker CPU per GB"
	case "cpu_per_million":
		return "broker CPU per million records"
	case "rss":
		return "broker resident memory"
	}
	return metric + " latency"
}

// processes is the table of what is not of one load.
func (r *Report) processes(b *strings.Builder) {
	if len(r.starts[Kafka]) == 0 {
		return
	}
	b.WriteString("## Start and memory\n\n| | Kafka | Penstock | Kafka / Penstock | ahead |\n|---|---|---|---|---|\n")
	line := func(label string, form func(float64) string, a, p []float64) {
		ratio := ratios(a, p)
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", label, text(spread(a), form), text(spread(p), form), text(ratio, number), ahead(ratio, false, Kafka, Penstock))
	}
	line("start on a new directory, to the first answer", seconds, r.starts[Kafka], r.starts[Penstock])
	rss := func(u usage) float64 { return float64(u.RSS) }
	anon := func(u usage) float64 { return float64(u.RSSAnon) }
	line("resident memory then", result.Bytes, values(r.idle[Kafka], rss), values(r.idle[Penstock], rss))
	line("of it anonymous", result.Bytes, values(r.idle[Kafka], anon), values(r.idle[Penstock], anon))
	if k, ok := r.used[Kafka]; ok {
		p := r.used[Penstock]
		line("resident memory after all the load", result.Bytes, []float64{rss(k)}, []float64{rss(p)})
		line("of it anonymous", result.Bytes, []float64{anon(k)}, []float64{anon(p)})
	}
	b.WriteString("\n")
}

// table writes the tables of one scenario, one for each pair, and returns its goals.
func (o *Outcome) table(b *strings.Builder, said map[string]bool) (goals []check) {
	fmt.Fprintf(b, "## %s\n\n", strings.ToUpper(o.name[:1])+o.name[1:])
	if o.half {
		fmt.Fprintf(b, "At %d records a second, half of what the slower side reaches.\n\n", o.runs[0][0].Workload.Rate)
	}
	for _, p := range o.pairs {
		c, err := o.compare(p)
		goals = append(goals, o.checks(p, c, err)...)
		a, z := o.sides[p.a].name, o.sides[p.b].name
		note := ""
		if p.unequal {
			note = " (durability is not equal)"
		}
		if err != nil {
			fmt.Fprintf(b, "%s and %s: no ratio, %s.\n\n", a, z, err)
			continue
		}
		fmt.Fprintf(b, "| A: %s; B: %s%s | A | B | A / B | ahead |\n|---|---|---|---|---|\n", a, z, note)
		for _, row := range c.Rows {
			if o.shown(row) {
				fmt.Fprintf(b, "| %s | %s |\n", strings.Join(row.Cells(), " | "), ahead(row.Ratios[0], row.Better == "more", a, z))
			}
		}
		o.more(b, p, a, z)
		b.WriteString("\n")
		remarks(b, c.Warnings, said)
	}
	return goals
}

// remarks writes what is to be known of a pair's figures. What is the same for many pairs
// is said once.
func remarks(b *strings.Builder, all []string, said map[string]bool) {
	n := 0
	for _, w := range all {
		if said[w] && (strings.HasPrefix(w, "Durability differs") || strings.HasPrefix(w, "All runs: Load and broker shared one machine: no network")) {
			continue
		}
		said[w] = true
		fmt.Fprintf(b, "- %s\n", w)
		n++
	}
	if n > 0 {
		b.WriteString("\n")
	}
}

// shown leaves out what would only make the tables longer.
func (o *Outcome) shown(row result.Row) bool {
	switch row.Metric {
	case "p90", "mean":
		return false
	case "records_per_second", "bytes_per_second":
		return !o.half // the rate was given
	case "errors":
		for _, v := range row.Values {
			if v.Max > 0 {
				return true
			}
		}
		return false
	}
	return true
}

// more are rows that the comparison of results does not have.
func (o *Outcome) more(b *strings.Builder, p pair, a, z string) {
	line := func(label string, form func(float64) string, va, vz []float64) {
		ratio := ratios(va, vz)
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", label, text(spread(va), form), text(spread(vz), form), text(ratio, number), ahead(ratio, false, a, z))
	}
	anon := func(r *result.Result) float64 { return float64(r.Broker.RSSAnon) }
	line("broker anonymous memory", result.Bytes, values(o.runs[p.a], anon), values(o.runs[p.b], anon))
	if o.load != producing {
		return
	}
	for _, q := range []struct {
		label string
		of    func(told) float64
	}{
		{"p50 latency, as the test says", func(t told) float64 { return t.Ms.P50 }},
		{"p99 latency, as the test says", func(t told) float64 { return t.Ms.P99 }},
		{"p99.9 latency, as the test says", func(t told) float64 { return t.Ms.P999 }},
	} {
		line(q.label, func(v float64) string { return number(v) + " ms" }, values(o.told[p.a], q.of), values(o.told[p.b], q.of))
	}
}

// number has three digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', digits(v), 64) }

func digits(v float64) int {
	n := 3
	for ; v >= 1000; v /= 10 {
		n++
	}
	return n
}

func seconds(v float64) string { return number(v) + " s" }

func text(s result.Spread, form func(float64) string) string {
	switch {
	case !s.Known:
		return "–"
	case form(s.Min) == form(s.Max):
		return form(s.Median)
	}
	return fmt.Sprintf("%s [%s to %s]", form(s.Median), form(s.Min), form(s.Max))
}
