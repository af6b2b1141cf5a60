package cli

import (
	"bytes"
	"os"
	"testing"
)

// Colours are for terminals; NO_COLOR and TERM=dumb take them away, CLICOLOR_FORCE gives them.
func TestColor(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT PROVEN HERE: no terminals: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	for _, c := range []struct {
		no, force, term string
		tty, other      bool
	}{
		{"", "", "xterm", true, false},
		{"1", "", "xterm", false, false},
		{"", "", "dumb", false, false},
		{"", "1", "dumb", true, true},
		{"", "0", "xterm", true, false},
	} {
		t.Setenv("NO_COLOR", c.no)
		t.Setenv("CLICOLOR_FORCE", c.force)
		t.Setenv("TERM", c.term)
		if tty, other := Color(terminal), Color(&bytes.Buffer{}); tty != c.tty || other != c.other {
			t.Errorf("%+v: %v on a terminal, %v elsewhere", c, tty, other)
		}
	}
}
