package result

import (
	"bytes"
	"cmp"
	_ "embed" // the page's parts
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/workload"
	"github.com/penstock/penstock/perf"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// pageTemplate is one file without any reference to another: it opens offline and stays
// whole when it is sent on. A policy in its head forbids the browser to load anything.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"css": func() template.CSS { return template.CSS(pageCSS) },
	"js":  func() template.JS { return template.JS(pageJS) },
}).Parse(pageHTML))

// page is what the template is filled with: one result, or several compared.
type page struct {
	Title, Kicker string
	Lead          []string
	Notes         []string
	Tiles         []tile
	Asserted      []Outcome
	Sides         []string // of a comparison
	Ratios        *table
	Plots         []*chart
	Percentiles   *table
	Facts         []facts
	Command       []command
	Series        *table
	Foot          []string
}

// tile is one of the few figures that a reader looks for first.
type tile struct{ Name, Value, Unit, More string }

// facts is a list of names with values under a heading.
type facts struct {
	Title string
	Rows  [][2]string
}

type command struct{ Name, Line string }

// table is a table of figures; the first column names the row.
type table struct {
	Head []string
	Rows [][]string
	Note string
}

func (p *page) write(b *bytes.Buffer) error { return pageTemplate.Execute(b, p) }

func (r *Result) writePage(b *bytes.Buffer) error {
	p := &page{
		Title:       r.title(),
		Kicker:      "penstock bench " + r.Workload.Kind,
		Lead:        r.lead(),
		Notes:       r.Notes,
		Tiles:       r.tiles(),
		Asserted:    r.Asserted,
		Plots:       r.plots(),
		Percentiles: percentileTable(r.curves()),
		Facts:       []facts{r.outcomeFacts(), workloadFacts(&r.Workload), r.targetFacts(), machineFacts(r.Machine)},
		Command:     []command{{"", shellLine(r.Command)}},
		Series:      r.seriesTable(),
		Foot:        []string{loopText(r.Loop), "Made by " + r.Tool + "."},
	}
	return p.write(b)
}

// title is the name of the workload, or its kind in words.
func (r *Result) title() string {
	switch {
	case r.Workload.Name != "" && r.Workload.Name != r.Workload.Kind:
		return r.Workload.Name
	case r.Workload.Kind == workload.EndToEnd:
		return "End to end"
	case r.Workload.Kind == "":
		return "Workload"
	}
	return strings.ToUpper(r.Workload.Kind[:1]) + r.Workload.Kind[1:]
}

func (r *Result) lead() []string {
	out := []string{r.Target.Software + " · " + r.Target.Durability, workloadText(&r.Workload)}
	if r.Workload.Doc != "" {
		out = append(out, r.Workload.Doc)
	}
	return append(out, r.Started.UTC().Format("2 January 2006, 15:04:05 UTC")+" · measured for "+seconds(r.Seconds))
}

// workloadText is a workload in one line.
func workloadText(w *workload.Workload) string {
	parts := []string{w.Kind}
	if w.Payload != "" && w.Payload != "random" {
		parts = append(parts, "records of "+w.Payload)
	} else if w.RecordSize > 0 {
		parts = append(parts, sizeText(w.RecordSize)+" records")
	}
	switch {
	case w.BatchRecords > 0:
		parts = append(parts, plural(int64(w.BatchRecords), "record")+" per batch")
	case w.BatchSize > 0:
		parts = append(parts, sizeText(w.BatchSize)+" batches")
	}
	if w.Compression != "" && w.Compression != "none" {
		parts = append(parts, w.Compression)
	}
	if n := max(w.Topics, 1) * w.Partitions; n > 0 {
		parts = append(parts, plural(int64(n), "partition"))
	}
	if w.Open() {
		parts = append(parts, roundCount(float64(w.Rate))+" records/s asked for")
	} else {
		parts = append(parts, "as fast as answers come")
	}
	return strings.Join(parts, " · ")
}

// sizeText writes a size that is often a power of two as it was meant.
func sizeText(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return grouped(int64(n)) + " B"
}

func loopText(loop string) string {
	if loop == "open" {
		return "Open loop: requests were due at a fixed rate whatever the broker did, and latency counts from the intended send time, so a stall counts for all that it delayed."
	}
	return "Closed loop: a request was sent when an answer came, and latency counts from the send. While the broker stalls nothing is sent, so a stall counts once: such percentiles say how fast it can go, and not what a client at a fixed rate would wait."
}

func (r *Result) tiles() []tile {
	f := r.mainFlow()
	verb := "acknowledged"
	if r.Workload.Kind == workload.Consume || r.Workload.Kind == workload.EndToEnd {
		verb = "consumed"
	}
	out := []tile{{verb, Count(f.RecordsS), "records/s", Bytes(f.BytesS) + "/s"}}
	if r.Workload.Kind == workload.Mixed {
		out = append(out, tile{"consumed", Count(r.Consumed.RecordsS), "records/s", Bytes(r.Consumed.BytesS) + "/s"})
	}
	if l := r.mainLatency(); l != nil && l.N > 0 {
		for _, t := range []struct {
			name string
			v    int64
		}{{"p50", l.P50}, {"p99", l.P99}, {"p99.9", l.P999}, {"longest", l.Max}} {
			v, u, _ := strings.Cut(Duration(float64(t.v)), " ")
			out = append(out, tile{t.name, v, u, l.Name})
		}
	}
	if v, ok := r.cpuPerGB(); ok {
		n, u, _ := strings.Cut(CPUTime(v), " ")
		out = append(out, tile{"CPU per GB", n, u, fmt.Sprintf("broker, %.2f CPUs", r.Broker.CPUSeconds/r.Seconds)})
	}
	return append(out, tile{"errors", grouped(r.Produced.Errors + r.Consumed.Errors), "", ""})
}

// percentileTable has a row per distribution. A value with fewer than ten samples above
// it is marked, for it is chance.
func percentileTable(curves []curve) *table {
	if len(curves) == 0 {
		return nil
	}
	t := &table{Head: []string{"latency"}, Note: "From one histogram merged of all that was recorded (percentiles are never averaged); a value is right to three digits."}
	for _, q := range quantiles {
		t.Head = append(t.Head, quantileName(q))
	}
	t.Head = append(t.Head, "longest", "mean", "samples")
	few := false
	for _, c := range curves {
		h := c.hist
		row := []string{c.name}
		for i, v := range h.ValueAtPercentilesSlice(quantiles) {
			s := Duration(float64(v))
			if float64(h.TotalCount())*(100-quantiles[i])/100 < 10 {
				few, s = true, s+" *"
			}
			row = append(row, s)
		}
		t.Rows = append(t.Rows, append(row, Duration(float64(h.Max())), Duration(h.Mean()), grouped(h.TotalCount())))
	}
	if few {
		t.Note += " * fewer than ten samples lie above it, so it is mostly chance."
	}
	return t
}

func (r *Result) seriesTable() *table {
	if len(r.Series) == 0 {
		return nil
	}
	t := &table{Head: []string{"until", "produced/s", "consumed/s", "errors", "backlog", "p50", "p99", "p99.9", "longest", "load CPUs", "broker CPUs"}}
	for _, s := range r.Series {
		at := seconds(s.At)
		if s.Warm {
			at += " warm-up"
		}
		d := func(v int64) string { return Duration(float64(v)) }
		t.Rows = append(t.Rows, []string{at, Count(rate(s.Produced, s.Seconds)), Count(rate(s.Consumed, s.Seconds)), grouped(s.Errors), grouped(s.Backlog), d(s.P50), d(s.P99), d(s.P999), d(s.Max), three(s.LoadCPU), three(s.BrokerCPU)})
	}
	return t
}

func (f *facts) add(name, value string) {
	if value != "" && value != "0" && value != "0 B" {
		f.Rows = append(f.Rows, [2]string{name, value})
	}
}

func (r *Result) outcomeFacts() facts {
	f := facts{Title: "Outcome"}
	flow := func(name string, x Flow) {
		if x.Requests > 0 || x.Records > 0 {
			f.add(name, fmt.Sprintf("%s records, %s, in %s; %s records/s, %s/s", grouped(x.Records), Bytes(float64(x.Bytes)), plural(x.Requests, "request"), grouped(int64(x.RecordsS+0.5)), Bytes(x.BytesS)))
		}
	}
	flow("produced", r.Produced)
	flow("consumed", r.Consumed)
	f.Rows = append(f.Rows, [2]string{"errors", fmt.Sprintf("%s of produce, %s of fetch", grouped(r.Produced.Errors), grouped(r.Consumed.Errors))})
	if v, ok := r.cpuPerGB(); ok {
		m, _ := r.cpuPerMillion()
		f.add("broker CPU", fmt.Sprintf("%s (%s of the machine); %s per GB, %s per million records, of what went in and out", CPUTime(r.Broker.CPUSeconds), percent(r.Broker.CPUShare), CPUTime(v), CPUTime(m)))
	}
	if r.Broker != nil {
		f.add("broker memory", fmt.Sprintf("%s resident at most, %s of it anonymous", Bytes(float64(r.Broker.RSS)), Bytes(float64(r.Broker.RSSAnon))))
	}
	f.add("load CPU", fmt.Sprintf("%s (%s of the machine)", CPUTime(r.Load.CPUSeconds), percent(r.Load.CPUShare)))
	f.add("load memory", Bytes(float64(r.Load.RSS))+" resident at most")
	return f
}

func workloadFacts(w *workload.Workload) facts {
	f := facts{Title: "Workload"}
	n := func(name string, v int) { f.add(name, grouped(int64(v))) }
	f.add("kind", w.Kind)
	n("topics", w.Topics)
	n("partitions of each", w.Partitions)
	n("producers", w.Producers)
	n("consumers", w.Consumers)
	n("consumer groups", w.Groups)
	if w.Pinned {
		f.add("clients", "pinned to a partition each")
	}
	n("record size (B)", w.RecordSize)
	n("batch size (B)", w.BatchSize)
	n("records per batch", w.BatchRecords)
	f.add("keys", w.Keys)
	if w.Keys != "" && w.Keys != "none" {
		n("key size (B)", w.KeySize)
	}
	f.add("compression", w.Compression)
	f.add("payload", strings.TrimSpace(w.Payload+" "+w.PayloadSHA))
	n("requests in flight", w.InFlight)
	f.add("acks", w.Acks)
	if w.Idempotent {
		f.add("idempotent", "yes")
	}
	f.add("durability asked for", w.Durability)
	if w.Consumes() {
		n("fetch at most (B)", w.FetchMax)
		n("fetch at least (B)", w.FetchMin)
	}
	f.add("backlog", Bytes(float64(w.Backlog)))
	if w.Open() {
		f.add("rate", grouped(w.Rate)+" records/s (open loop)")
	} else {
		f.add("rate", "as fast as answers come (closed loop)")
	}
	f.add("warm-up", durationText(w.Warmup))
	f.add("duration", durationText(w.Duration))
	f.add("client", w.Client)
	f.add("view", w.View)
	f.add("topic configuration", configText(w.Configs))
	return f
}

func durationText(t workload.Time) string {
	if t == 0 {
		return ""
	}
	return time.Duration(t).String()
}

func (r *Result) targetFacts() facts {
	f := facts{Title: "Broker"}
	t := &r.Target
	f.add("software", t.Software)
	f.add("durability", t.Durability)
	f.add("addresses", strings.Join(t.Brokers, ", "))
	f.add("cluster", t.Cluster)
	f.add("nodes", grouped(int64(t.Nodes)))
	f.add("shards", grouped(int64(t.Shards)))
	if t.PID > 0 {
		f.add("process", strconv.Itoa(t.PID))
	}
	if r.SameHost {
		f.add("machine", "the same as the load's")
	} else {
		f.add("machine", "another than the load's")
	}
	return f
}

func machineFacts(m perf.Fingerprint) facts {
	f := facts{Title: "Machine of the load"}
	f.add("host", m.Host)
	f.add("CPU", m.CPU)
	f.add("CPUs", grouped(int64(m.CPUs)))
	f.add("NUMA nodes", grouped(int64(m.NUMA)))
	f.add("memory", Bytes(float64(m.Memory)))
	f.add("kernel", m.Kernel)
	f.add("system", m.OS)
	f.add("Go", m.Go)
	f.add("file system", m.FileSystem)
	f.add("disk", m.Disk)
	if m.SyncMs > 0 {
		f.add("disk sync of 4 KiB", fmt.Sprintf("%s median, %s worst", Duration(m.SyncMs*1e6), Duration(m.SyncWorst*1e6)))
	}
	f.add("CPU governor", cmp.Or(m.Governor, "not shown by the kernel, as in most virtual machines"))
	f.add("congestion control", m.Congestion)
	f.add("container", m.Container)
	f.add("hypervisor", m.Hypervisor)
	f.add("mitigations", strings.Join(m.Mitigated, "; "))
	return f
}
