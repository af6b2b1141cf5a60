package top

import (
	"fmt"
)

// wideColumns is room for every column.
const wideColumns = 250

// rowsMax is how many rows of a table a person gets who did not ask for all.
const rowsMax = 20

// text is a report in lines: what the screen shows, all tables one below the other.
func text(r *Report, width int, all bool) []string {
	p := &paint{}
	head := fmt.Sprintf(" penstock %s  %s  up %s", safe(r.Version), r.Admin, age(r.Uptime))
	if r.Seconds > 0 {
		head += fmt.Sprintf("  over %s", span(r.Seconds))
	}
	lines := []string{head, ""}
	if r.Restarted {
		lines = append(lines, " The broker has started anew between the two answers: there are no rates.", "")
	}
	for _, a := range alarms(r) { // whole, however wide: they are rare, and of weight
		lines = append(lines, " "+a)
	}
	if len(alarms(r)) > 0 {
		lines = append(lines, "")
	}
	lines = append(lines, summary(p, &r.Total, width, true)...)
	for i := range sights {
		t := build(r, part(i), sights[i].begin, false)
		t.sorted = -1
		if len(t.rows) == 0 {
			lines = append(lines, "", " "+nothing(part(i)))
			continue
		}
		n := len(t.rows)
		if part(i) != cores && !all {
			n = min(n, rowsMax)
		}
		lines = append(lines, "")
		lines = append(lines, t.lines(p, width-1, 0, n)...)
		if n < len(t.rows) {
			lines = append(lines, fmt.Sprintf(" and %d more %s; -o wide shows all", len(t.rows)-n, sights[i].name))
		}
	}
	return append(lines, "", " Percentiles are of this interval, interpolated within histogram buckets.")
}
