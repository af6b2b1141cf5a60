package top

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

var rewrite = flag.Bool("rewrite", false, "write the expected frames anew")

// screen drives a model as a terminal would, without one.
type screen struct {
	t    *testing.T
	m    *model
	wait time.Duration // of the last wait that was asked for
	asks int           // reads that were asked for
}

func newScreen(t *testing.T, width, height int) *screen {
	s := &screen{t: t, m: newModel("127.0.0.1:9644", time.Second)}
	s.m.read = func(part, int) tea.Cmd { s.asks++; return func() tea.Msg { return nil } }
	s.m.wait = func(d time.Duration, _ int) tea.Cmd { s.wait = d; return func() tea.Msg { return nil } }
	s.m.Init()
	s.m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// sees gives the model what the broker said t seconds after its start.
func (s *screen) sees(t int64) *screen {
	s.m.Update(readMsg{s.m.generation, only(broker(t), s.m.part), nil, begin.Add(time.Duration(t) * time.Second)})
	return s
}

func (s *screen) fails(t int64, err error) *screen {
	s.m.Update(readMsg{s.m.generation, nil, err, begin.Add(time.Duration(t) * time.Second)})
	return s
}

var keyCodes = map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
	"home": tea.KeyHome, "end": tea.KeyEnd, "tab": tea.KeyTab, "esc": tea.KeyEscape, "space": tea.KeySpace}

func (s *screen) press(keys ...string) *screen {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Code: keyCodes[k]}
		if msg.Code == 0 {
			msg = tea.KeyPressMsg{Code: rune(k[0]), Text: k}
		}
		if msg.String() != k {
			s.t.Fatalf("the key %q is %q", k, msg.String())
		}
		s.m.Update(msg)
	}
	return s
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// frame is the text of the screen, checked for its size.
func (s *screen) frame() string {
	s.t.Helper()
	content := s.m.View().Content
	lines := strings.Split(content, "\n")
	if len(lines) > s.m.height {
		s.t.Errorf("%d lines in a terminal of %d", len(lines), s.m.height)
	}
	for _, l := range lines {
		if w := lipgloss.Width(l); w > s.m.width {
			s.t.Errorf("%d cells in a terminal of %d: %q", w, s.m.width, l)
		}
	}
	return content
}

func (s *screen) shows(want ...string) *screen {
	s.t.Helper()
	f := s.frame()
	for _, w := range want {
		if !strings.Contains(f, w) {
			s.t.Errorf("there is no %q in\n%s", w, f)
		}
	}
	return s
}

func (s *screen) hides(not ...string) *screen {
	s.t.Helper()
	f := s.frame()
	for _, w := range not {
		if strings.Contains(f, w) {
			s.t.Errorf("there is a %q in\n%s", w, f)
		}
	}
	return s
}

// TestFrames holds what the screen looks like: testdata/frames.txt, to be read as a
// person would. go test -run Frames -rewrite writes it anew.
func TestFrames(t *testing.T) {
	var b strings.Builder
	put := func(title, frame string) {
		fmt.Fprintf(&b, "==== %s\n%s\n\n", title, frame)
	}
	for _, size := range [][2]int{{80, 24}, {40, 24}, {130, 18}, {40, 10}} {
		for _, k := range []string{"1", "t", "g", "c"} {
			s := newScreen(t, size[0], size[1]).press(k).sees(11520).sees(11521)
			put(fmt.Sprintf("%dx%d, %s", size[0], size[1], k), s.frame())
		}
	}
	put("80x24, before the first answer", newScreen(t, 80, 24).frame())
	put("80x24, after one answer", newScreen(t, 80, 24).sees(100).frame())
	put("80x24, help", newScreen(t, 80, 24).sees(100).sees(101).press("?").frame())
	put("40x24, help", newScreen(t, 40, 24).sees(100).sees(101).press("?").frame())
	put("80x24, the broker is gone", newScreen(t, 80, 24).sees(100).sees(101).fails(102, refused()).fails(109, refused()).frame())
	put("80x24, the broker is back", newScreen(t, 80, 24).sees(100).sees(101).fails(102, refused()).sees(3).sees(4).frame())
	put("80x24, paused", newScreen(t, 80, 24).sees(100).sees(101).press("p").sees(200).frame())
	s := newScreen(t, 80, 24).sees(100)
	s.m.Update(readMsg{s.m.generation, only(hurt(101), s.m.part), nil, begin.Add(101 * time.Second)})
	put("80x24, a disk has failed and data are damaged", s.frame())
	a, e := broker(100), broker(101)
	r := compare(a, e)
	r.Admin = "127.0.0.1:9644"
	put("text, 100 columns", strings.Join(text(r, 100, false), "\n"))
	put("text, wide", strings.Join(text(r, wideColumns, true), "\n"))
	golden(t, "frames.txt", b.String())
}

// hurt is a broker with a disk that has failed and damaged data.
func hurt(t int64) *sample {
	s := broker(t)
	s.shards.Shards[1].Failed = "sync the journal: input/output error\n\x1b[2J"
	s.shards.Shards[0].Quarantined, s.shards.Shards[3].Quarantined = 1, 1200
	return s
}

// TestAlarmsAreSeen holds that what is lost is said in every table, at every size, and in
// every form.
func TestAlarmsAreSeen(t *testing.T) {
	const failed, quarantined = "STORAGE FAILED on core 1", "QUARANTINED: 1201 partitions"
	for _, size := range [][2]int{{200, 50}, {80, 24}, {40, 24}, {40, 10}} {
		for _, k := range []string{"1", "t", "g", "c", "?"} {
			s := newScreen(t, size[0], size[1]).press(k)
			if s.sees(100).hides("STORAGE", "QUARANTINED"); s.m.err != nil {
				t.Fatal(s.m.err)
			}
			s.m.Update(readMsg{s.m.generation, only(hurt(101), s.m.part), nil, begin.Add(101 * time.Second)})
			s.shows(failed, quarantined)
		}
	}
	r := compare(broker(100), hurt(101))
	lines := strings.Join(text(r, 60, false), "\n")
	for _, want := range []string{failed + ": sync the journal: input/output error", quarantined + " are refused because of damaged data (1 on core 0, 1200 on core 3); the broker's log says which and what to do\n"} {
		if !strings.Contains(lines, want) || strings.Contains(lines, "\x1b") {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"id":1,"storage_failed":"sync the journal`) || !strings.Contains(string(b), `"partitions_quarantined":1201`) {
		t.Errorf("%v: %s", err, b)
	}
	if a := alarms(compare(nil, broker(1))); a != nil {
		t.Errorf("nothing is wrong: %q", a)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d of %s is\n%q; if that is meant, go test ./cmd/penstock/top -run Frames -rewrite", i+1, path, g[i])
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d lines are missing at the end", len(w)-len(g))
	}
}

func refused() error {
	return (&source{addr: "127.0.0.1:9644"}).unreachable(context.Background(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
}
