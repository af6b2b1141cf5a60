package result

import (
	"math"
	"strconv"
)

// axis maps values to 0..1000, the units of a plot, from left to right or bottom to top.
type axis struct {
	min, max float64
	log      bool
	ticks    []tick
}

// tick is one mark of an axis. A minor one is left out where there is little room.
type tick struct {
	Pos   float64 // 0..100, percent of the axis
	Label string
	Minor bool
}

const plotUnits = 1000

func (a *axis) pos(v float64) float64 {
	lo, hi := a.min, a.max
	if a.log {
		v, lo, hi = math.Log10(max(v, a.min)), math.Log10(lo), math.Log10(hi)
	}
	if hi <= lo {
		return 0
	}
	return math.Round(10*plotUnits*(v-lo)/(hi-lo)) / 10
}

// End says that a mark stands at the right end, where its label must not stick out.
func (t tick) End() bool { return t.Pos > 97 }

func (a *axis) mark(v float64, label string, minor bool) {
	a.ticks = append(a.ticks, tick{a.pos(v) / plotUnits * 100, label, minor})
}

// linear is an axis from zero that holds top, with about five marks.
func linear(top float64, label func(float64) string) axis {
	if top <= 0 || math.IsNaN(top) || math.IsInf(top, 0) {
		top = 1
	}
	step := niceStep(top / 4)
	a := axis{max: step * math.Ceil(top/step*1.0001)}
	for i := 0; float64(i)*step <= a.max*1.0001; i++ {
		a.mark(float64(i)*step, label(float64(i)*step), i%2 == 1)
	}
	return a
}

// niceStep is the smallest of 1, 2, 2.5 and 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 2.5, 5} {
		if f*p >= v {
			return f * p
		}
	}
	return 10 * p
}

// timeAxis is an axis of seconds.
func timeAxis(from, to float64) axis {
	a := axis{min: from, max: max(to, from+1)}
	step := 1.0
	for _, step = range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400} {
		if (a.max-a.min)/step <= 8 {
			break
		}
	}
	for i, v := 0, math.Ceil(from/step)*step; v <= a.max*1.0001; i, v = i+1, v+step {
		a.mark(v, strconv.FormatFloat(v, 'f', -1, 64), i%2 == 1)
	}
	return a
}

// latencyAxis is a logarithmic axis of ns that holds min and max, marked at powers of ten
// and at 2 and 5 times them.
func latencyAxis(lo, hi float64) axis {
	lo, hi = max(lo, 1), max(hi, 2)
	var all []float64
	for p := math.Pow(10, math.Floor(math.Log10(lo))); p <= hi*10; p *= 10 {
		all = append(all, p, 2*p, 5*p)
	}
	for len(all) > 2 && all[1] <= lo {
		all = all[1:]
	}
	end := 1
	for end < len(all)-1 && all[end] < hi {
		end++
	}
	all = all[:end+1]
	a := axis{min: all[0], max: all[end], log: true}
	wide := a.max/a.min > 600 // more than that and only powers of ten are marked
	for _, v := range all {
		power := math.Abs(math.Log10(v)-math.Round(math.Log10(v))) < 1e-9
		if wide && !power {
			continue
		}
		a.mark(v, shortDuration(v), !power)
	}
	return a
}

// shortDuration writes ns of a mark without needless digits: 10 ms, 200 µs.
func shortDuration(ns float64) string {
	for _, u := range []struct {
		f    float64
		name string
	}{{1e9, " s"}, {1e6, " ms"}, {1e3, " µs"}, {1, " ns"}} {
		if ns >= u.f*0.9999 {
			return strconv.FormatFloat(math.Round(ns/u.f*100)/100, 'f', -1, 64) + u.name
		}
	}
	return "0"
}

// ninesAxis is the axis of percentiles: each step to the right is ten times rarer.
func ninesAxis(nines float64) axis {
	a := axis{max: max(math.Ceil(nines), 2)}
	a.mark(0, "0 %", true)
	a.mark(math.Log10(2), "50 %", false)
	label := "9"
	for i := 1.0; i <= a.max; i++ {
		switch {
		case i == 1:
			label = "90"
		case i == 2:
			label = "99"
		case i == 3:
			label = "99.9"
		default:
			label += "9"
		}
		a.mark(i, label+" %", i != 2 && i != a.max && (i != 4 || a.max < 6))
	}
	return a
}
