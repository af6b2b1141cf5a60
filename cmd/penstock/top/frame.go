package top

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// frame draws everything, in at most height lines of at most width cells:
//
//	who answers, for how long                          how it is read
//	the broker as a whole: load, traffic, latency, queues
//	the tables that there are
//	one of them
//	the keys, or what there is to say
func (m *model) frame() string {
	p := m.paint
	head := []string{m.title(&p)}
	if m.err != nil {
		p.stale = true
	}
	r := m.shown()
	roomy := m.height >= 18
	space := func() {
		if roomy {
			head = append(head, "")
		}
	}
	for _, a := range alarms(r) {
		head = append(head, " "+p.text(bad, cut(a, m.width-2)))
	}
	space()
	if r != nil && m.height >= 12 && !m.help {
		head = append(head, summary(&p, &r.Total, m.width, m.height >= 22)...)
		space()
	}
	head = append(head, m.tabs(&p))
	space()
	m.bodyRows = max(m.height-len(head)-1, 0)
	var body []string
	at, all := 0, 0
	switch {
	case m.help:
		body, at, all = m.helpLines(&p)
	case r == nil, r.part != m.part:
		body = []string{" " + p.text(quiet, "waiting for an answer …")}
	default:
		body, at, all = m.body(&p, r)
	}
	body = body[:min(len(body), m.bodyRows)]
	for len(body) < m.bodyRows {
		body = append(body, "")
	}
	lines := append(head, body...)
	lines = append(lines, m.foot(at, all))
	for i, l := range lines {
		if lipgloss.Width(l) > m.width { // a terminal too small for what stays in any
			lines[i] = lipgloss.NewStyle().MaxWidth(max(m.width, 1)).Render(l)
		}
	}
	return strings.Join(lines[:min(len(lines), max(m.height, 1))], "\n")
}

// alarms are what a person must see whichever table is shown, a line each.
func alarms(r *Report) (lines []string) {
	if r == nil {
		return nil
	}
	var where []string
	for i := range r.Cores {
		c := &r.Cores[i]
		if c.Failed != "" {
			lines = append(lines, fmt.Sprintf("STORAGE FAILED on core %d: %s; it acknowledges nothing any more, and the broker's log says what to do", c.ID, safe(c.Failed)))
		}
		if c.Quarantined > 0 {
			where = append(where, fmt.Sprintf("%d on core %d", c.Quarantined, c.ID))
		}
	}
	if n := r.Total.Quarantined; n > 0 {
		lines = append(lines, fmt.Sprintf("QUARANTINED: %s refused because of damaged data (%s); the broker's log says which and what to do", were(n), strings.Join(where, ", ")))
	}
	return lines
}

func were(partitions int64) string {
	if partitions == 1 {
		return "1 partition is"
	}
	return fmt.Sprintf("%d partitions are", partitions)
}

// body is the table, and which of its rows it shows: from, and of how many.
func (m *model) body(p *paint, r *Report) (lines []string, from, all int) {
	t := build(r, m.part, m.by[m.part], m.reversed[m.part])
	if len(t.rows) == 0 {
		return []string{" " + p.text(quiet, nothing(m.part))}, 0, 0
	}
	heading := len(t.lines(p, m.width-1, 0, 0))
	m.bodyRows -= heading
	m.top[m.part] = max(min(m.top[m.part], len(t.rows)-m.bodyRows), 0)
	lines = t.lines(p, m.width-1, m.top[m.part], max(m.bodyRows, 0))
	m.bodyRows += heading
	return lines, m.top[m.part], len(t.rows)
}

func nothing(p part) string {
	switch p {
	case topics:
		return "no topics; penstock topic create NAME makes one"
	case groups:
		return "no consumer groups"
	case clients:
		return "no clients are connected"
	}
	return "the broker names no cores"
}

func (m *model) title(p *paint) string {
	name, up := "penstock", ""
	if r := m.shown(); r != nil {
		name, up = "penstock "+safe(r.Version), "  up "+age(r.Uptime)
	}
	right := p.text(quiet, "every "+m.interval.String())
	switch {
	case m.err != nil:
		right = p.text(bad, "no answer")
	case m.paused:
		right = p.text(warning, "paused")
	}
	for _, left := range []string{
		" " + p.text(strong, name) + "  " + m.addr + p.text(quiet, up),
		" " + p.text(strong, "penstock") + "  " + m.addr + p.text(quiet, up),
		" " + p.text(strong, "penstock") + "  " + m.addr,
	} {
		if line := spread(left, right, m.width); line != left && lipgloss.Width(line) <= m.width {
			return line
		}
	}
	return spread(" "+p.text(strong, cut(m.addr, m.width-1)), right, m.width)
}

// spread puts right at the right edge, or leaves it out where there is no room.
func spread(left, right string, width int) string {
	room := width - lipgloss.Width(left) - lipgloss.Width(right) - 1
	if room < 2 || right == "" {
		return left
	}
	return left + strings.Repeat(" ", room) + right
}

// summary is the broker in three lines, in as many blocks as there is room for; where
// that is little and the screen is tall, the latencies are below.
func summary(p *paint, t *Total, width int, tall bool) []string {
	latency := func(l Latency) string { return fmt.Sprintf("%6s  p99 %7s", p50(l), p99(l)) }
	blocks := []struct {
		names  [3]string
		labels int
		values [3]string
		room   int
		tones  [3]tone
		before string
	}{
		{[3]string{"busy", "imbalance", "clients"}, 9, [3]string{known(t.Busy, percent), known(t.Imbalance, ratio), count(float64(t.Connections))}, 5, [3]tone{load(t.Busy), plain, plain}, ""},
		{[3]string{"requests", "in", "out"}, 8, [3]string{known(t.Requests, count) + "/s", known(t.BytesIn, size) + "/s", known(t.BytesOut, size) + "/s"}, 8, [3]tone{}, ""},
		{[3]string{"sync", "produce", "fetch"}, 7, [3]string{latency(t.Sync), latency(t.Produce), latency(t.Fetch)}, 19, [3]tone{}, "p50 "},
		{[3]string{"to sync", "under way", "queued"}, 9, [3]string{count(float64(t.Pending)), count(float64(t.UnderWay)), size(float64(t.Queued))}, 6, [3]tone{}, ""},
	}
	lines := []string{"", "", ""}
	var done []string
	used := 0
	for _, b := range blocks {
		need := 1 + b.labels + 2 + len(b.before) + b.room
		if used > 0 {
			need += 2
		}
		if used+need > width {
			if !tall || width >= 60 || len(done) > 0 {
				break
			}
			done, lines, used, need = append(lines, ""), []string{"", "", ""}, 0, need-2
		}
		lead := " "
		if used > 0 {
			lead = "   "
		}
		used += need
		for i := range lines {
			value := fmt.Sprintf("%*s", b.room, b.values[i])
			if b.before != "" {
				value = p.text(quiet, b.before) + strings.Replace(value, "p99", p.text(quiet, "p99"), 1)
			}
			lines[i] += lead + p.text(quiet, fmt.Sprintf("%-*s", b.labels+2, b.names[i])) + p.text(b.tones[i], value)
		}
	}
	return append(done, lines...)
}

func ratio(v float64) string { return fmt.Sprintf("%.2f", v) }

func (m *model) tabs(p *paint) string {
	var parts []string
	for i, s := range sights {
		if part(i) == m.part {
			parts = append(parts, p.text(marked, s.key+" "+s.name))
			continue
		}
		parts = append(parts, p.text(quiet, s.key)+" "+s.name)
	}
	apart := "    "
	if m.width < 50 {
		apart = "  "
	}
	return " " + strings.Join(parts, apart)
}

// foot is the last line: what there is to say, else the keys; then the rows.
func (m *model) foot(from, all int) string {
	p := &m.paint
	right := ""
	if rows := m.rows(); all > rows && rows > 0 {
		right = p.text(quiet, fmt.Sprintf("%d–%d of %d", from+1, min(from+rows, all), all))
	}
	if text, t := m.news(); text != "" {
		return spread(" "+p.text(t, cut(text, m.width-2)), right, m.width)
	}
	left := ""
	for i, k := range m.keys() {
		next := left
		if i > 0 {
			next += "   "
		} else {
			next += " "
		}
		next += p.text(strong, k[0]) + " " + p.text(quiet, k[1])
		if lipgloss.Width(next)+2+lipgloss.Width(right) > m.width {
			break
		}
		left = next
	}
	return spread(left, right, m.width)
}

// keys are those that the last line names, the most useful first.
func (m *model) keys() [][2]string {
	if m.help {
		return [][2]string{{"q", "quit"}, {"?", "back"}, {"↑↓", "scroll"}}
	}
	pause := "pause"
	if m.paused {
		pause = "go on"
	}
	return [][2]string{{"q", "quit"}, {"?", "help"}, {"s", "sort: " + m.sortName()}, {"p", pause}, {"r", "reverse"}, {"↑↓", "scroll"}}
}

// rows is how many rows of the table the last frame had room for.
func (m *model) rows() int {
	if m.help {
		return m.bodyRows
	}
	heading := 1
	for _, c := range sights[m.part].columns {
		if c.over != "" {
			heading = 2
		}
	}
	return m.bodyRows - heading
}

func (m *model) sortName() string {
	c := sights[m.part].columns[m.by[m.part]]
	return strings.TrimSpace(c.over + " " + c.name)
}

func (m *model) news() (string, tone) {
	var gone *silence
	switch {
	case m.err != nil && errors.As(m.err, &gone):
		return fmt.Sprintf("no answer for %s: %v; asking again every %s", age(m.at.Sub(m.silent).Truncate(time.Second).Seconds()), gone.why, m.interval), bad
	case m.err != nil:
		return m.err.Error(), bad
	case m.restarted:
		return "the broker has started anew; everything counts from there", warning
	}
	return "", plain
}

const helpText = `1 cores, t topics, g groups, c clients, Tab the next
s sort by the next column, r the other way round
↑ ↓ PgUp PgDn Home End scroll; p hold the picture, and go on
q quit, ? back

busy: share of the time in which a core's loop had work
imbalance: the busiest core over the mean; 1.00 is even
to sync: appends that wait for the disk
under way: requests that have no answer yet
queued: bytes of answers that clients have not taken yet
sync: of one group commit; produce: from the request to its answer; fetch: the same, without the wait for data
p50, p99: of the last interval, interpolated between the bounds of histogram buckets; > is above the largest bound
crossed: requests passed on to the core that owns the partition
–: not known; a rate needs two answers of one run of the broker`

// helpLines is the page of help as far as there is room.
func (m *model) helpLines(p *paint) (lines []string, from, all int) {
	for l := range strings.Lines(helpText) {
		for w := range strings.SplitSeq(lipgloss.Wrap(strings.TrimSuffix(l, "\n"), max(m.width-2, 10), " "), "\n") {
			lines = append(lines, strings.TrimRight(" "+w, " "))
		}
	}
	all = len(lines)
	m.helpTop = max(min(m.helpTop, all-m.bodyRows), 0)
	return lines[m.helpTop:], m.helpTop, all
}
