package result

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// The values under the pointer are as many as the places, for each name of each plot.
func TestValuesUnderThePointerMatchTheirPlaces(t *testing.T) {
	many := short()
	many.cores = 40
	for _, r := range []*Result{aRun.run(t), many.run(t)} {
		for _, c := range r.plots() {
			js, err := c.Hover.JSON()
			if err != nil {
				t.Fatal(err)
			}
			var h hover
			if err := json.Unmarshal([]byte(js), &h); err != nil {
				t.Fatal(err)
			}
			if len(h.X) == 0 || len(h.Head) != len(h.X) || len(h.Names) != len(h.Text) || len(h.Names) != len(h.Color) {
				t.Errorf("%s: %d places, %d headings, %d names, %d lists, %d colours", c.ID, len(h.X), len(h.Head), len(h.Names), len(h.Text), len(h.Color))
			}
			for i, x := range h.X {
				if x < 0 || x > plotUnits || i > 0 && x < h.X[i-1] {
					t.Errorf("%s: place %d is %v", c.ID, i, x)
				}
			}
			for i, list := range h.Text {
				if len(list) != len(h.X) {
					t.Errorf("%s: %s has %d values at %d places", c.ID, h.Names[i], len(list), len(h.X))
				}
			}
		}
	}
}

// A run of one interval, such as one that was interrupted at once, has plots with something
// in them, and so has a value between two gaps.
func TestAValueWithoutNeighboursIsSeen(t *testing.T) {
	r := aRun.run(t)
	r.Series = r.Series[:1]
	r.Series[0].Warm, r.Series[0].At, r.Series[0].Seconds = false, 0.9, 0.9
	plots := r.plots()
	if len(plots) < 5 {
		t.Errorf("%d plots", len(plots))
	}
	for _, c := range plots {
		if c.ID == "percentiles" {
			continue
		}
		if n := len(c.XTicks); n < 2 {
			t.Errorf("%s: %d marks", c.ID, n)
		}
		for _, l := range c.Lines {
			if !strings.ContainsAny(l.Path, "LH") {
				t.Errorf("%s: %s is a point: %s", c.ID, l.Name, l.Path)
			}
		}
		for _, s := range c.Strips {
			if !strings.HasPrefix(s.Path, "M0 ") || strings.Count(s.Path, "L") != 3 {
				t.Errorf("%s: %s", s.Name, s.Path)
			}
		}
	}
	c := newChart("", "", axis{max: 4}, axis{max: 4})
	if got := c.path([]float64{0, 1, 2, 3, 4}, []float64{math.NaN(), 4, math.NaN(), 2, 0}); got != "M242 0H258M750 500L1000 1000" {
		t.Errorf("%s", got)
	}
}

func TestManyCPUsAreNamedByMeanAndBusiest(t *testing.T) {
	if got := fmt.Sprint(meanAndBusiest(Second{Cores: []float64{0.1, 0.9, 0.2}})); got != "[40 % 90 % (cpu 1)]" {
		t.Error(got)
	}
	s := short()
	s.cores = 40
	if c := s.run(t).coresPlot(); len(c.Strips) != 40 || len(c.Hover.Names) != 2 {
		t.Errorf("%d strips, %v under the pointer", len(c.Strips), c.Hover.Names)
	}
}

func TestThinKeepsTheMeanOfShares(t *testing.T) {
	xs, ys := make([]float64, 1201), make([]float64, 1201)
	for i := range xs {
		xs[i], ys[i] = float64(i), float64(i%3)
	}
	x, y := thin(xs, ys, 600)
	if len(x) != len(y) || len(x) > 600 || len(x) < 300 || y[0] != 1 || x[0] != 1 {
		t.Errorf("%d points, the first %v, %v", len(x), x[0], y[0])
	}
	if x, _ := thin(xs[:600], ys[:600], 600); len(x) != 600 {
		t.Errorf("%d points of 600", len(x))
	}
}

// A curve ends at its longest value, where one sample is left, and not beyond.
func TestPercentileCurvesEndWithTheirSamples(t *testing.T) {
	h := histogram()
	for i := range 100 {
		_ = h.RecordValue(int64(1_000_000 * (i + 1)))
	}
	big := histogram()
	_ = big.RecordValues(5_000_000, 100_000)
	c := percentilePlot([]curve{{name: "few", hist: h}, {name: "many", hist: big}})
	few := c.Hover.Text[0]
	last := ""
	for i, v := range few {
		if v != "" {
			last = c.Hover.Head[i] + " " + v
		}
	}
	if last != "99.0 % 100 ms" {
		t.Errorf("100 samples end at %s", last)
	}
	if end := c.Hover.Text[1]; end[len(end)-1] == "" || !strings.HasPrefix(c.Hover.Head[len(c.Hover.Head)-1], "99.999") {
		t.Errorf("100,000 samples end at %q of %s", end[len(end)-1], c.Hover.Head[len(c.Hover.Head)-1])
	}
}
