package result

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Page writes the comparison as one file of HTML that opens offline.
func (c *Comparison) Page() ([]byte, error) {
	a := c.sides[0].Runs[0]
	p := &page{
		Title:       a.title() + ": " + c.versus(),
		Kicker:      "penstock bench compare",
		Lead:        []string{workloadText(&a.Workload), c.when()},
		Notes:       c.Warnings,
		Plots:       c.plots(),
		Ratios:      &table{Head: c.Head(), Note: c.How() + " CPU is of the broker, over what went in and out."},
		Percentiles: percentileTable(c.curves()),
		Facts:       []facts{workloadFacts(&a.Workload)},
		Foot:        []string{loopText(a.Loop), "Made by " + a.Tool + "."},
	}
	if p.Percentiles != nil {
		p.Percentiles.Note += " All runs of a side are merged here, where the ratios take each run's percentile by itself."
	}
	for i, s := range c.Sides {
		p.Sides = append(p.Sides, fmt.Sprintf("%s: %s, %s (%s, %s)", s.Letter, s.Software, s.Durability, plural(int64(s.Runs), "run"), s.Name))
		r := c.sides[i].Runs[0]
		broker, machine := r.targetFacts(), machineFacts(r.Machine)
		broker.Title, machine.Title = s.Letter+": broker", s.Letter+": machine of the load"
		p.Facts = append(p.Facts, broker)
		if i == 0 || len(machinesDiffer(a.Machine, r.Machine)) > 0 {
			p.Facts = append(p.Facts, machine)
		}
		p.Command = append(p.Command, command{s.Letter, shellLine(r.Command)})
	}
	for _, r := range c.Rows {
		p.Ratios.Rows = append(p.Ratios.Rows, r.Cells())
	}
	var b bytes.Buffer
	err := p.write(&b)
	return b.Bytes(), err
}

// versus names the sides by their software, or where that is the same by their names.
func (c *Comparison) versus() string {
	var software, names []string
	for _, s := range c.Sides {
		software, names = append(software, s.Software), append(names, s.Name)
	}
	if len(slices.Compact(slices.Clone(software))) < len(software) {
		software = names
	}
	return strings.Join(software, " and ")
}

func (c *Comparison) when() string {
	var first, last time.Time
	for _, s := range c.sides {
		for _, r := range s.Runs {
			if first.IsZero() || r.Started.Before(first) {
				first = r.Started
			}
			if r.Started.After(last) {
				last = r.Started
			}
		}
	}
	const form = "2 January 2006, 15:04 UTC"
	return "runs from " + first.UTC().Format(form) + " to " + last.UTC().Format(form)
}

// curves are the distributions of each side's main latency, all its runs merged.
func (c *Comparison) curves() (out []curve) {
	for i, s := range c.sides {
		var hs []*hdrhistogram.Histogram
		name := ""
		for _, r := range s.Runs {
			if l := r.mainLatency(); l != nil && l.N > 0 {
				hs, name = append(hs, l.Hist), l.Name
			}
		}
		if len(hs) > 0 {
			out = append(out, curve{name: letter(i) + " " + name, color: i, hist: merged(hs)})
		}
	}
	return out
}

func (c *Comparison) plots() (out []*chart) {
	if p := c.throughput(); p != nil {
		out = append(out, p)
	}
	if p := percentilePlot(c.curves()); p != nil {
		p.Note = "All runs of a side are merged into one distribution."
		out = append(out, p)
	}
	return out
}

// throughput draws each run of each side as a line from the beginning of its load.
func (c *Comparison) throughput() *chart {
	var longest *Result
	var most float64
	for _, s := range c.sides {
		for _, r := range s.Runs {
			if n := len(r.Series); n > 0 && (longest == nil || n > len(longest.Series)) {
				longest = r
			}
			most = max(most, top(r.mainRates()))
		}
	}
	if longest == nil {
		return nil
	}
	p := longest.overTime("throughput", "Throughput", linear(most, roundCount))
	p.YLabel = "records per second of each run"
	for i, s := range c.sides {
		for j, r := range s.Runs {
			l := line{Color: i}
			if len(s.Runs) > 1 {
				l.Style = "thin"
			}
			ys := r.mainRates()
			l.Path = p.path(times(r.Series), ys)
			if j == 0 {
				l.Name = letter(i) + " " + s.Runs[0].Target.Software
			}
			p.Lines = append(p.Lines, l)
			c.hoverRun(p, longest, r, i, j, ys)
		}
	}
	return p
}

// hoverRun lists a run's rates at the places of the longest run.
func (c *Comparison) hoverRun(p *chart, longest, r *Result, side, run int, ys []float64) {
	if p.Hover.X == nil {
		for _, x := range times(longest.Series) {
			p.Hover.X = append(p.Hover.X, p.x.pos(x))
		}
	}
	name := letter(side)
	if len(c.sides[side].Runs) > 1 {
		name = fmt.Sprintf("%s%d", name, run+1)
	}
	texts := make([]string, len(longest.Series))
	for i := range min(len(texts), len(ys)) {
		texts[i] = Count(ys[i]) + "/s"
	}
	p.Hover.Names, p.Hover.Color = append(p.Hover.Names, name), append(p.Hover.Color, side)
	p.Hover.Text = append(p.Hover.Text, texts)
}

// mainRates are the records per second of the main flow by interval.
func (r *Result) mainRates() []float64 {
	return r.values(func(s Second) float64 {
		if k := r.Workload.Kind; k == "consume" || k == "e2e" {
			return rate(s.Consumed, s.Seconds)
		}
		return rate(s.Produced, s.Seconds)
	})
}
