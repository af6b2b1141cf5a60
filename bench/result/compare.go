package result

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Comparison is what several sides have in common and how they differ. Ratios are of the
// first side over each other.
type Comparison struct {
	Sides       []SideSummary `json:"sides"`
	Interleaved bool          `json:"interleaved"` // ratios are of neighbouring runs
	Unlike      []string      `json:"unlike_fields,omitempty"`
	Warnings    []string      `json:"warnings,omitempty"`
	Rows        []Row         `json:"metrics"`
	sides       []Side
}

// SideSummary is one side.
type SideSummary struct {
	Letter     string `json:"letter"`
	Name       string `json:"name"`
	Software   string `json:"software"`
	Durability string `json:"durability"`
	Runs       int    `json:"runs"`
}

// Row is one metric over all sides.
type Row struct {
	Metric string   `json:"metric"`
	Label  string   `json:"label"`
	Better string   `json:"better"` // more or less
	Values []Spread `json:"values"` // by side
	Ratios []Spread `json:"ratios"` // of the first side over each other one, from the second on
	unit   unit
}

// Spread is the median of runs, with the least and the most of them. Without Known it
// was not measured.
type Spread struct {
	Known  bool    `json:"known"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// compared are the metrics of a comparison; those that no side has are left out.
var compared = []string{"records_per_second", "bytes_per_second", "produce.records_per_second", "fetch.records_per_second",
	"p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "cpu_per_gb", "cpu_per_million", "rss", "errors"}

// Compare compares sides. Unlike workloads are refused by an UnlikeError unless force is
// set; then they are named in the comparison.
func Compare(sides []Side, force bool) (*Comparison, error) {
	if len(sides) < 2 {
		return nil, errors.New("a comparison needs two sides at least")
	}
	if len(sides) > 7 {
		return nil, fmt.Errorf("%d sides are more than one picture holds: compare seven at most", len(sides))
	}
	refuse, warn := differing(sides)
	c := &Comparison{sides: sides, Interleaved: interleaved(sides)}
	if refuse != nil {
		if !force {
			return nil, refuse
		}
		c.Unlike = refuse.Fields
		c.Warnings = append(c.Warnings, fmt.Sprintf("These are unlike workloads, compared by force: they differ in %s. The ratios are not of two brokers.", strings.Join(refuse.Fields, ", ")))
	}
	c.Warnings = append(append(c.Warnings, warn...), unequal(sides)...)
	for i, s := range sides {
		t := &s.Runs[0].Target
		c.Sides = append(c.Sides, SideSummary{letter(i), s.Name, t.Software, t.Durability, len(s.Runs)})
	}
	for _, name := range compared {
		m, err := parseMetric(name)
		if err != nil {
			return nil, err
		}
		if row, ok := c.row(m); ok {
			c.Rows = append(c.Rows, row)
		}
	}
	return c, nil
}

// row compares one metric; ok is false if no side has it, or if it only repeats one
// without a prefix.
func (c *Comparison) row(m metric) (row Row, ok bool) {
	row = Row{Metric: m.key(), Label: m.label, Better: "less", unit: m.unit}
	if m.more {
		row.Better = "more"
	}
	var all [][]float64
	for _, s := range c.sides {
		var vs []float64
		for _, r := range s.Runs {
			v, err := r.value(m)
			if err != nil || m.scope != "" && r.Workload.Kind != "mixed" {
				continue
			}
			vs = append(vs, v)
		}
		if len(vs) < len(s.Runs) {
			vs = nil // a median of some of the runs is none of the side's
		}
		all = append(all, vs)
		row.Values = append(row.Values, spread(vs))
		ok = ok || len(vs) > 0
	}
	if m.scope != "" {
		row.Label = m.scope + ": " + m.label
	}
	for _, vs := range all[1:] {
		row.Ratios = append(row.Ratios, ratio(all[0], vs, c.Interleaved))
	}
	return row, ok
}

// spread is the median with the ends. Runs are few and their order is lost, so the
// middle of two is the mean of them.
func spread(vs []float64) Spread {
	if len(vs) == 0 {
		return Spread{}
	}
	vs = slices.Sorted(slices.Values(vs))
	n := len(vs)
	return Spread{true, (vs[(n-1)/2] + vs[n/2]) / 2, vs[0], vs[n-1]}
}

// ratio is a over b. Of interleaved runs each is set against its neighbour, so that what
// drifts on the machine drifts out of the ratio; of others the medians are divided, and
// the spread is as wide as any two runs make it.
func ratio(a, b []float64, pairs bool) Spread {
	if len(a) == 0 || len(b) == 0 || slices.Contains(b, 0) {
		return Spread{}
	}
	if pairs {
		var rs []float64
		for i := range a {
			rs = append(rs, a[i]/b[i])
		}
		return spread(rs)
	}
	sa, sb := spread(a), spread(b)
	return Spread{true, sa.Median / sb.Median, sa.Min / sb.Max, sa.Max / sb.Min}
}

// interleaved says whether the sides took turns: as many runs each, two at least, and
// each round was over before the next began.
func interleaved(sides []Side) bool {
	rounds := len(sides[0].Runs)
	for _, s := range sides {
		if len(s.Runs) != rounds {
			return false
		}
	}
	if rounds < 2 {
		return false
	}
	for i := 1; i < rounds; i++ {
		for _, earlier := range sides {
			for _, later := range sides {
				if !earlier.Runs[i-1].Started.Before(later.Runs[i].Started) {
					return false
				}
			}
		}
	}
	return true
}

// How says what the ratios are made of.
func (c *Comparison) How() string {
	runs := 0
	for _, s := range c.Sides {
		runs = max(runs, s.Runs)
	}
	switch {
	case c.Interleaved:
		return "Ratio: the median, and in brackets the least and the most, of A over the other in neighbouring runs; the runs took turns."
	case runs == 1:
		return "Ratio: A over the other, from one run each; how far such runs differ by chance is not known. Give directories with several runs, taken in turns."
	}
	return "Ratio: medians divided, and in brackets the least and the most that any two runs make; the runs did not take turns, so what changed on the machine between them is in the ratios."
}

// Cells are a row as text: the label, each side's value, and each ratio.
func (r Row) Cells() (out []string) {
	out = append(out, r.Label)
	for _, v := range r.Values {
		out = append(out, v.text(r.unit.format))
	}
	for _, v := range r.Ratios {
		out = append(out, v.text(three))
	}
	return out
}

// Head names the columns of Cells.
func (c *Comparison) Head() (out []string) {
	out = append(out, "median")
	for _, s := range c.Sides {
		out = append(out, s.Letter)
	}
	for _, s := range c.Sides[1:] {
		out = append(out, c.Sides[0].Letter+" / "+s.Letter)
	}
	return out
}

func (s Spread) text(format func(float64) string) string {
	switch {
	case !s.Known:
		return "–"
	case format(s.Min) == format(s.Max):
		return format(s.Median)
	}
	return fmt.Sprintf("%s [%s to %s]", format(s.Median), format(s.Min), format(s.Max))
}
