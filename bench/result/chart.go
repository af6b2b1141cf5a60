package result

import (
	"encoding/json"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// chart is one plot of a page. Its lines are SVG in units of 0..1000 that the browser
// stretches to the room there is; its words are HTML beside it, which stays as large as
// the rest of the page. So one picture serves a phone, a screen and paper, and is there
// without a script; the script adds the values under the pointer.
type chart struct {
	ID, Title, Note string
	XLabel, YLabel  string
	Lines           []line
	Bands           []band
	Strips          []strip
	XTicks, YTicks  []tick
	Hover           hover
	StripHeight     int
	x, y            axis
}

// line is one curve. Color counts from 0; Path is that of an SVG path.
type line struct {
	Name  string
	Color int
	Style string // "", dash or thin
	Path  string
}

// band is a marked part of the x axis, in plot units.
type band struct {
	From, Width float64
	Label       string
}

// Left and Span are percents of the axis.
func (b band) Left() float64 { return b.From / plotUnits * 100 }
func (b band) Span() float64 { return b.Width / plotUnits * 100 }

// strip is a small plot of its own in a chart of many: one CPU.
type strip struct {
	Name, Value string
	Path        string
}

// hover is what the script shows at a position: X ascending in 0..1000.
type hover struct {
	X     []float64  `json:"x"`
	Head  []string   `json:"head"`
	Names []string   `json:"names"`
	Color []int      `json:"color"`
	Text  [][]string `json:"text"` // by name; "": nothing there
}

// JSON is the hover data for the script; a page element of its own holds it.
func (h hover) JSON() (template.JS, error) {
	b, err := json.Marshal(h) // escapes <, > and &, so that it cannot end its element
	return template.JS(b), err
}

func newChart(id, title string, x, y axis) *chart {
	return &chart{ID: id, Title: title, XTicks: x.ticks, YTicks: y.ticks, x: x, y: y}
}

// add draws a curve. NaN is a gap. The values join the hover if text is given; the first
// such curve sets its positions, and the others must have as many points.
func (c *chart) add(l line, xs, ys []float64, text func(i int) string) {
	l.Path = c.path(xs, ys)
	c.Lines = append(c.Lines, l)
	if text == nil || c.Hover.X != nil && len(c.Hover.X) != len(xs) {
		return
	}
	if c.Hover.X == nil {
		for _, x := range xs {
			c.Hover.X = append(c.Hover.X, c.x.pos(x))
		}
	}
	c.Hover.Names = append(c.Hover.Names, l.Name)
	c.Hover.Color = append(c.Hover.Color, l.Color)
	t := make([]string, len(ys))
	for i, v := range ys {
		if !math.IsNaN(v) {
			t[i] = text(i)
		}
	}
	c.Hover.Text = append(c.Hover.Text, t)
}

// lone is half of the length that a value without a neighbour is drawn with: a line of one
// point would not be seen.
const lone = 8

// path is the d of an SVG path; y grows downwards there.
func (c *chart) path(xs, ys []float64) string {
	var b strings.Builder
	pen := "M"
	for i := range xs {
		if math.IsNaN(ys[i]) {
			pen = "M"
			continue
		}
		x, y := c.x.pos(xs[i]), coord(plotUnits-c.y.pos(ys[i]))
		if pen == "M" && (i+1 == len(ys) || math.IsNaN(ys[i+1])) {
			b.WriteString("M" + coord(max(x-lone, 0)) + " " + y + "H" + coord(min(x+lone, plotUnits)))
			continue
		}
		b.WriteString(pen + coord(x) + " " + y)
		pen = "L"
	}
	return b.String()
}

func coord(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// shade marks a part of the x axis.
func (c *chart) shade(from, to float64, label string) {
	a, b := c.x.pos(max(from, c.x.min)), c.x.pos(min(to, c.x.max))
	if b > a {
		c.Bands = append(c.Bands, band{a, b - a, label})
	}
}

// Grid are the marks of the y axis in plot units from the top.
func (c *chart) Grid() (out []float64) {
	for _, t := range c.YTicks {
		out = append(out, plotUnits-t.Pos*plotUnits/100)
	}
	return out
}

// Columns are the marks of the x axis in plot units.
func (c *chart) Columns() (out []float64) {
	for _, t := range c.XTicks {
		out = append(out, t.Pos*plotUnits/100)
	}
	return out
}

// Summary says for those who cannot see the plot what it shows.
func (c *chart) Summary() string {
	var names []string
	for _, l := range c.Lines {
		names = append(names, l.Name)
	}
	for _, s := range c.Strips {
		names = append(names, s.Name+" "+s.Value)
	}
	return c.Title + ": " + strings.Join(names, ", ") + ". Arrow keys read the values."
}
