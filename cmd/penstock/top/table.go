package top

import (
	"slices"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
)

// tone is what a piece of text is to the eye. plain is the terminal's own colour: most of
// a frame is.
type tone int

const (
	plain tone = iota
	quiet      // labels
	strong
	marked // where one is
	warning
	bad
)

// cell is one value of a table.
type cell struct {
	text string
	tone tone
}

// column is one column. Its heading has two lines, so that a narrow column of numbers can
// say what it is.
type column struct {
	over, name string
	width      int  // at least so much, whatever the values: a frame does not jump
	left       bool // text; numbers stand at the right
	grow       int  // may take up to so much where there is room
	drop       int  // what goes first where there is none; 0 stays, and so does what is sorted by
	rare       bool // is there only when a row has something in it
}

// table is headings and rows, of which a frame shows some.
type table struct {
	columns []column
	rows    [][]cell
	sorted  int // the column that it is sorted by
}

const gap = 2

// fit chooses the columns that width has room for, by index, and their widths.
func (t *table) fit(width int) (shown, widths []int) {
	for i, c := range t.columns {
		if !c.rare || i == t.sorted || slices.ContainsFunc(t.rows, func(r []cell) bool { return r[i].text != "" }) {
			shown = append(shown, i)
		}
	}
	need := func() int {
		n := 1 - gap
		for _, i := range shown {
			n += t.columns[i].width + gap
		}
		return n
	}
	for need() > width {
		worst := -1
		for _, i := range shown {
			if d := t.columns[i].drop; d > 0 && i != t.sorted && (worst < 0 || d >= t.columns[worst].drop) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == worst })
	}
	room := width - need()
	for _, i := range shown {
		c := t.columns[i]
		if c.grow > c.width && room > 0 {
			longest := c.width
			for _, r := range t.rows {
				longest = max(longest, lipgloss.Width(r[i].text))
			}
			more := min(longest, c.grow) - c.width
			more = max(min(more, room), 0)
			c.width += more
			room -= more
		}
		widths = append(widths, c.width)
	}
	return shown, widths
}

// lines draws the heading and the rows from top on, at most height lines of rows.
func (t *table) lines(p *paint, width, top, height int) []string {
	shown, widths := t.fit(width)
	out := make([]string, 0, height+2)
	if slices.ContainsFunc(shown, func(i int) bool { return t.columns[i].over != "" }) {
		out = append(out, t.row(p, shown, widths, width, func(i int) cell { return cell{t.columns[i].over, quiet} }))
	}
	out = append(out, t.row(p, shown, widths, width, func(i int) cell {
		if i == t.sorted {
			return cell{t.columns[i].name, marked}
		}
		return cell{t.columns[i].name, quiet}
	}))
	for _, r := range t.rows[min(top, len(t.rows)):min(top+height, len(t.rows))] {
		out = append(out, t.row(p, shown, widths, width, func(i int) cell { return r[i] }))
	}
	return out
}

func (t *table) row(p *paint, shown, widths []int, width int, at func(int) cell) string {
	var b strings.Builder
	room := width - 1
	b.WriteString(" ")
	for j, i := range shown {
		c := at(i)
		text := cut(c.text, min(widths[j], room))
		pad := strings.Repeat(" ", max(min(widths[j], room)-lipgloss.Width(text), 0))
		last := j == len(shown)-1
		switch {
		case !t.columns[i].left:
			b.WriteString(pad + p.text(c.tone, text))
		case last:
			b.WriteString(p.text(c.tone, text))
		default:
			b.WriteString(p.text(c.tone, text) + pad)
		}
		room -= widths[j] + gap
		if last || room <= 0 {
			break
		}
		b.WriteString(strings.Repeat(" ", gap))
	}
	return strings.TrimRight(b.String(), " ")
}

// cut shortens text to width cells; the last one says so.
func cut(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	r := []rune(s)
	for len(r) > 0 && lipgloss.Width(string(r)) > width-1 {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// safe makes text that a client chose harmless to a terminal: no control characters, and
// none that change the direction.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, s)
}
