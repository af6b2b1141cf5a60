package top

import (
	"charm.land/lipgloss/v2"
)

// paint is how tones look.
type paint struct {
	on    bool // else everything is plain text
	stale bool // the figures are old, and step back
}

// The colours are of the middle: each can be read on white and on black alike, so nothing
// depends on whether a terminal tells what it has. Bubble Tea turns them into what the
// terminal has, and into none with NO_COLOR.
const (
	colorQuiet   = "#767676"
	colorMarked  = "#2f78c4"
	colorWarning = "#a86400"
	colorBad     = "#d9383a"
)

var styles = map[tone]lipgloss.Style{
	quiet:   lipgloss.NewStyle().Foreground(lipgloss.Color(colorQuiet)),
	strong:  lipgloss.NewStyle().Bold(true),
	marked:  lipgloss.NewStyle().Foreground(lipgloss.Color(colorMarked)).Bold(true),
	warning: lipgloss.NewStyle().Foreground(lipgloss.Color(colorWarning)),
	bad:     lipgloss.NewStyle().Foreground(lipgloss.Color(colorBad)).Bold(true),
}

func (p *paint) text(t tone, s string) string {
	if p.stale {
		t = quiet
	}
	if !p.on || t == plain || s == "" {
		return s
	}
	return styles[t].Render(s)
}
