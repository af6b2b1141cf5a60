package versus

import (
	"fmt"
	"math"
	"slices"

	"github.com/penstock/penstock/bench/result"
)

// Outcome is what a scenario's sides made of it, round by round.
type Outcome struct {
	scenario
	runs [][]*result.Result // by side and round
	told [][]told           // of Kafka's own tests
}

// compare sets two sides against each other. It refuses what has no honest ratio: other
// loads, other durability where that is not the point of the pair, other TCP settings,
// rounds that are missing, and runs that were cut short.
func (o *Outcome) compare(p pair) (*result.Comparison, error) {
	a, b := o.side(p.a), o.side(p.b)
	if len(a.Runs) != len(b.Runs) || len(a.Runs) == 0 {
		return nil, fmt.Errorf("%s has %d rounds and %s has %d", a.Name, len(a.Runs), b.Name, len(b.Runs))
	}
	first := a.Runs[0]
	for _, s := range []result.Side{a, b} {
		for i, r := range s.Runs {
			switch {
			case r.Interrupted:
				return nil, fmt.Errorf("round %d of %s was cut short", i+1, s.Name)
			case r.Workload.Durability != first.Workload.Durability && !p.unequal:
				return nil, fmt.Errorf("durability is not equal: %s in %s and %s in %s", first.Workload.Durability, a.Name, r.Workload.Durability, s.Name)
			case r.Machine.Congestion != first.Machine.Congestion:
				return nil, fmt.Errorf("TCP settings are not equal: %s in %s and %s in %s", first.Machine.Congestion, a.Name, r.Machine.Congestion, s.Name)
			case r.Broker == nil:
				return nil, fmt.Errorf("the broker's process was not seen in round %d of %s", i+1, s.Name)
			}
		}
	}
	return result.Compare([]result.Side{a, b}, false)
}

func (o *Outcome) side(i int) result.Side { return result.Side{Name: o.sides[i].name, Runs: o.runs[i]} }

// values takes one figure of each round of a side.
func values[R any](runs []R, of func(R) float64) (out []float64) {
	for _, r := range runs {
		out = append(out, of(r))
	}
	return out
}

// spread is the median with the ends.
func spread(vs []float64) result.Spread {
	if len(vs) == 0 {
		return result.Spread{}
	}
	s := slices.Sorted(slices.Values(vs))
	n := len(s)
	return result.Spread{Known: true, Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1]}
}

// ratios is a over b, round by round; nothing is known if rounds are missing or b has a
// zero.
func ratios(a, b []float64) result.Spread {
	if len(a) != len(b) || slices.Contains(b, 0) {
		return result.Spread{}
	}
	var rs []float64
	for i := range a {
		rs = append(rs, a[i]/b[i])
	}
	return spread(rs)
}

// ahead says who a ratio speaks for; nobody, where the rounds do not agree or it is one.
func ahead(ratio result.Spread, moreIsBetter bool, a, b string) string {
	const near = 0.01
	switch {
	case !ratio.Known || ratio.Min <= 1 && ratio.Max >= 1 || math.Abs(ratio.Median-1) < near:
		return "neither"
	case (ratio.Min > 1) == moreIsBetter:
		return a
	}
	return b
}

// check is a goal with what came of it.
type check struct {
	goal
	of    string // scenario
	sides string
	ratio result.Spread
	why   string // there is no ratio
}

// met says whether the median is within the bound, and whether all rounds are.
func (c check) met() (median, all bool) {
	return c.ratio.Known && c.ratio.Median >= c.atLeast, c.ratio.Known && c.ratio.Min >= c.atLeast
}

// behind is a side of a pair that did not take the load which was offered in some round:
// its latencies are then of another load than the other side's, and meet no goal.
func (o *Outcome) behind(p pair) (side int, ok bool) {
	const reached = 0.99
	for _, i := range []int{p.a, p.b} {
		for _, r := range o.runs[i] {
			if got := max(r.Produced.RecordsS, r.Consumed.RecordsS); r.Workload.Open() && got < reached*float64(r.Workload.Rate) {
				return i, true
			}
		}
	}
	return 0, false
}

// checks are the goals of a pair against its comparison, or against why there is none.
func (o *Outcome) checks(p pair, c *result.Comparison, refused error) (out []check) {
	for _, g := range p.goals {
		k := check{goal: g, of: o.name, sides: o.sides[p.a].name + " / " + o.sides[p.b].name, why: "it was not measured"}
		if refused != nil {
			k.why = refused.Error()
		} else if i, ok := o.behind(p); ok {
			k.why = "the rate was not reached in every round of " + o.sides[i].name
		} else {
			for _, row := range c.Rows {
				if row.Metric == g.metric && row.Ratios[0].Known {
					k.ratio, k.why = row.Ratios[0], ""
				}
			}
		}
		out = append(out, k)
	}
	return out
}
