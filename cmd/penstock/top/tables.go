package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sight is one of the four tables: its columns, what sorts by each, and its rows.
type sight struct {
	name    string
	key     string
	columns []column
	// begin is the column that it is sorted by at first. Numbers go from the largest
	// down, text and the numbers of cores go up; reversed turns both around.
	begin int
}

var sights = [partCount]sight{
	cores: {"cores", "1", []column{
		{name: "core", width: 4},
		{name: "busy", width: 4},
		{name: "", width: 10, left: true, drop: 12},
		{name: "req/s", width: 5},
		{name: "in/s", width: 6, drop: 1},
		{name: "out/s", width: 6, drop: 1},
		{over: "to", name: "sync", width: 4, drop: 7},
		{over: "under", name: "way", width: 5, drop: 9},
		{over: "output", name: "queued", width: 6, drop: 8},
		{over: "sync", name: "p50", width: 6, drop: 10},
		{over: "sync", name: "p99", width: 6, drop: 4},
		{over: "produce", name: "p99", width: 7, drop: 2},
		{over: "fetch", name: "p99", width: 6, drop: 3},
		{name: "conns", width: 5, drop: 5},
		{name: "parts", width: 5, drop: 6},
		{over: "crossed", name: "req/s", width: 7, drop: 11},
	}, 0},
	topics: {"topics", "t", []column{
		{name: "topic", width: 16, left: true, grow: 60},
		{name: "parts", width: 5, drop: 4},
		{name: "in/s", width: 6},
		{name: "rec/s", width: 6, drop: 1},
		{name: "records", width: 7, drop: 3},
		{name: "size", width: 6, drop: 2},
		{name: "durable", width: 8, left: true, drop: 5},
		{name: "refused", width: 7, rare: true},
	}, 2},
	groups: {"groups", "g", []column{
		{name: "group", width: 16, left: true, grow: 60},
		{name: "state", width: 8, left: true, grow: 18, drop: 3},
		{name: "members", width: 7, drop: 4},
		{name: "lag", width: 6},
		{name: "read/s", width: 6, drop: 1},
		{name: "topics", width: 6, drop: 7},
		{name: "furthest behind", width: 18, left: true, grow: 50, drop: 6},
	}, 3},
	clients: {"clients", "c", []column{
		{name: "client", width: 14, left: true, grow: 40},
		{name: "from", width: 15, left: true, grow: 47, drop: 4},
		{name: "core", width: 4, drop: 5},
		{name: "age", width: 6, drop: 3},
		{name: "req/s", width: 5, drop: 1},
		{name: "in/s", width: 6},
		{name: "out/s", width: 6, drop: 0},
		{name: "software", width: 8, left: true, grow: 40, drop: 6},
	}, 5},
}

// line is one row with what each of its columns sorts by: a float64 or a string.
type line struct {
	cells []cell
	keys  []any
}

func (l *line) word(s string) {
	s = safe(s)
	l.put(s, s, plain)
}

func (l *line) put(text string, key any, t tone) {
	l.cells, l.keys = append(l.cells, cell{text, t}), append(l.keys, key)
}

func (l *line) number(v float64, write func(float64) string) { l.put(write(v), v, plain) }

func (l *line) rate(v *float64, write func(float64) string) {
	l.put(known(v, write), order(v), plain)
}

// order puts what is not known below everything else.
func order(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}

// build makes the table of a part, sorted.
func build(r *Report, p part, by int, reversed bool) *table {
	var all []line
	switch p {
	case cores:
		all = coreLines(r)
	case topics:
		all = topicLines(r)
	case groups:
		all = groupLines(r)
	case clients:
		all = clientLines(r)
	}
	slices.SortStableFunc(all, func(a, b line) int {
		c := compareKeys(a.keys[by], b.keys[by])
		if down(p, by) != reversed {
			c = -c
		}
		return cmp.Or(c, compareKeys(a.keys[0], b.keys[0]))
	})
	t := &table{columns: sights[p].columns, sorted: by}
	for _, l := range all {
		t.rows = append(t.rows, l.cells)
	}
	return t
}

// down says whether a column is sorted from the largest down: numbers are, but those
// that are names.
func down(p part, by int) bool {
	c := sights[p].columns[by]
	return !c.left && c.name != "core"
}

// sortable are the columns that s walks through.
func sortable(p part) (out []int) {
	for i, c := range sights[p].columns {
		if c.name != "" {
			out = append(out, i)
		}
	}
	return out
}

func compareKeys(a, b any) int {
	if s, ok := a.(string); ok {
		return cmp.Compare(s, b.(string))
	}
	return cmp.Compare(a.(float64), b.(float64))
}

func coreLines(r *Report) (out []line) {
	for i := range r.Cores {
		c := &r.Cores[i]
		var l line
		l.number(float64(c.ID), whole)
		t := load(c.Busy)
		l.put(known(c.Busy, percent), order(c.Busy), t)
		l.put(bar(c.Busy, 10), 0.0, t)
		l.rate(c.Requests, count)
		l.rate(c.BytesIn, size)
		l.rate(c.BytesOut, size)
		l.number(float64(c.Pending), count)
		l.number(float64(c.UnderWay), count)
		l.number(float64(c.Queued), size)
		l.put(p50(c.Sync), order(c.Sync.P50), plain)
		for _, v := range []Latency{c.Sync, c.Produce, c.Fetch} {
			l.put(p99(v), order(v.P99), plain)
		}
		l.number(float64(c.Connections), count)
		l.number(float64(c.Partitions), count)
		l.rate(c.Crossed, count)
		out = append(out, l)
	}
	return out
}

// whole writes a number that is a name.
func whole(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// load is the tone of a busy share: a core that has no time left is what others wait for.
func load(v *float64) tone {
	switch {
	case v == nil:
		return plain
	case *v >= 0.95:
		return bad
	case *v >= 0.8:
		return warning
	}
	return plain
}

// bar draws a share of width cells, in eighths.
func bar(v *float64, width int) string {
	if v == nil {
		return ""
	}
	eighths := int(min(max(*v, 0), 1)*float64(8*width) + 0.5)
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}

func topicLines(r *Report) (out []line) {
	for i := range r.Topics {
		t := &r.Topics[i]
		var l line
		l.word(t.Name)
		l.number(float64(len(t.Partitions)), count)
		l.rate(t.Appended, size)
		l.rate(t.Added, count)
		l.number(float64(t.Records), count)
		l.number(float64(t.Bytes), size)
		l.word(t.Durability)
		if t.Refused > 0 {
			l.put(strconv.Itoa(t.Refused), float64(t.Refused), bad)
		} else {
			l.put("", 0.0, plain)
		}
		out = append(out, l)
	}
	return out
}

func groupLines(r *Report) (out []line) {
	for i := range r.Groups {
		g := &r.Groups[i]
		var l line
		l.word(g.Name)
		l.word(g.State)
		l.number(float64(g.Members), count)
		l.number(float64(g.Lag), count)
		l.rate(g.Committed, count)
		l.number(float64(g.Topics), count)
		l.word(furthest(g))
		out = append(out, l)
	}
	return out
}

// furthest is the partition in which a group has the most to read.
func furthest(g *Group) string {
	worst := -1
	for i, o := range g.Offsets {
		if o.Lag > 0 && (worst < 0 || o.Lag > g.Offsets[worst].Lag) {
			worst = i
		}
	}
	if worst < 0 {
		return ""
	}
	o := g.Offsets[worst]
	return fmt.Sprintf("%s/%d by %s", o.Topic, o.Partition, count(float64(o.Lag)))
}

func clientLines(r *Report) (out []line) {
	for i := range r.Clients {
		c := &r.Clients[i]
		var l line
		l.word(c.ID)
		l.word(c.Remote)
		l.number(float64(c.Shard), whole)
		l.number(c.Age, age)
		l.rate(c.RequestRate, count)
		l.rate(c.InRate, size)
		l.rate(c.OutRate, size)
		l.word(c.Software)
		out = append(out, l)
	}
	return out
}
