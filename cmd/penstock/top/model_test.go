package top

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// column is the cells of one column of the frame's table, as words, in order of the rows.
func (s *screen) column(heading string) (out []string) {
	s.t.Helper()
	lines := strings.Split(s.frame(), "\n")
	for i, l := range lines {
		if !strings.HasPrefix(strings.TrimSpace(l), heading) {
			continue
		}
		for _, l := range lines[i+1 : len(lines)-1] {
			if f := strings.Fields(l); len(f) > 0 {
				out = append(out, f[0])
			}
		}
		return out
	}
	s.t.Fatalf("there is no column %q in\n%s", heading, s.frame())
	return nil
}

func (s *screen) order(heading string, want ...string) {
	s.t.Helper()
	if got := s.column(heading); strings.Join(got, " ") != strings.Join(want, " ") {
		s.t.Errorf("rows %v; want %v", got, want)
	}
}

func TestSorting(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101)
	s.order("core", "0", "1", "2", "3")
	s.press("r").order("core", "3", "2", "1", "0")
	s.press("s").shows("sort: busy").order("core", "0", "1", "2", "3") // a number: the largest first
	s.press("r").order("core", "3", "2", "1", "0")
	seen := map[string]bool{}
	for range sortable(cores) {
		seen[s.m.sortName()] = true
		s.press("s").shows("sort: " + s.m.sortName())
	}
	if len(seen) != len(sortable(cores)) || s.m.sortName() != "busy" {
		t.Errorf("s goes through %d of %d columns and ends at %s", len(seen), len(sortable(cores)), s.m.sortName())
	}
	s.press("g").sees(101).sees(102).order("group", "empty", "fraud", "search-indexer", "billing")
	s.press("t").sees(102).sees(103)
	if got := s.column("topic"); got[0] != "audit" || got[len(got)-1] != "orders" {
		t.Errorf("topics by their rate: %v", got)
	}
	// What is sorted by is shown, however narrow the terminal is.
	s = newScreen(t, 40, 24).sees(100).sees(101).hides("parts")
	for s.m.sortName() != "parts" {
		s.press("s")
	}
	s.shows("  parts")
}

func TestScrolling(t *testing.T) {
	s := newScreen(t, 80, 24).press("c").sees(100).sees(101)
	s.shows("1–14 of 30", "service-29").hides("service-15")
	s.press("down").shows("2–15 of 30", "service-15").hides("service-29")
	s.press("up", "up").shows("1–14 of 30")
	s.press("end").shows("17–30 of 30", "service-00")
	s.press("down").shows("17–30 of 30")
	s.press("pgup").shows("3–16 of 30")
	s.press("home", "pgdown").shows("15–28 of 30")
	s.m.Update(tea.WindowSizeMsg{Width: 80, Height: 60})
	s.shows("service-29", "service-00").hides(" of 30")
	s.m.Update(tea.WindowSizeMsg{Width: 40, Height: 12})
	s.shows(" of 30")
}

func TestEverySizeFits(t *testing.T) {
	for width := 1; width < 160; width += 7 {
		for height := 1; height < 40; height += 5 {
			for _, k := range []string{"1", "t", "g", "c", "?"} {
				s := newScreen(t, width, height).press(k).sees(100).sees(101)
				s.frame()
				s.fails(102, refused()).frame()
			}
			if t.Failed() {
				return
			}
		}
	}
}

func TestDisconnect(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101).fails(102, refused())
	s.shows("no answer for 0s: connect: connection refused", "88%")
	if s.wait != time.Second {
		t.Errorf("asks again after %v", s.wait)
	}
	s.fails(175, refused()).shows("no answer for 1m13s")
	s.sees(176).hides("no answer").shows("88%", "every 1s")
	s.fails(177, errors.New("the broker is starting")).shows("the broker is starting")
	s.fails(178, refused()).fails(180, refused()).shows("no answer for 3s")
}

func TestRestart(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101).shows("88%")
	s.fails(102, refused()).sees(2)
	s.hides("88%", "-").shows("started anew", "up 2s", "requests       –/s")
	s.sees(3).shows("started anew", "88%")
	s.sees(20).hides("started anew")
}

func TestPause(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101).shows("up 1m41s").press("p")
	s.sees(160).shows("up 1m41s", "paused").press("p").shows("up 2m40s").hides("paused")
	// Another table is not in what is held.
	s.press("p", "t").sees(161).shows("orders", "up 2m41s").hides("paused")
}

// TestChangeOfTable holds that an answer to an older question is not shown, and that one
// chain of questions goes on, not two.
func TestChangeOfTable(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101)
	old, asks := s.m.generation, s.asks
	s.press("t")
	if s.asks != asks+1 {
		t.Fatalf("%d questions after the change; want 1", s.asks-asks)
	}
	s.m.Update(tickMsg{old})
	s.m.Update(readMsg{old, only(broker(500), cores), nil, begin})
	if s.asks != asks+1 {
		t.Error("the older chain goes on")
	}
	s.shows("33.6k/s", "up 1m41s", "waiting for an answer").hides("8m20s", "no topics")
}

// TestQuickChange holds that a change of the table, milliseconds after an answer, leaves
// the rates that were there.
func TestQuickChange(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101).press("t")
	next := only(broker(101), topics)
	for i := range next.shards.Shards {
		next.shards.Shards[i].At += 0.02
		next.shards.Shards[i].Requests += 5000
	}
	s.m.Update(readMsg{s.m.generation, next, nil, begin})
	s.shows("33.6k/s")
	if s.wait != soon {
		t.Errorf("waits %v for the first rates of the table", s.wait)
	}
}

// TestScreenKeepsRates holds that rows whose counts are those of the answer before keep
// their rates on the screen.
func TestScreenKeepsRates(t *testing.T) {
	s := newScreen(t, 80, 24).press("t").sees(100).sees(101).shows("50.4MB")
	same := only(broker(102), topics)
	same.topics = broker(101).topics
	s.m.Update(readMsg{s.m.generation, same, nil, begin})
	s.shows("50.4MB", "up 1m42s")
}

func TestHelpAndQuit(t *testing.T) {
	s := newScreen(t, 80, 24).sees(100).sees(101).press("?").shows("imbalance: the busiest core over the mean", "interpolated")
	s.press("?").hides("interpolated").press("?", "esc").hides("interpolated").press("?", "c").hides("interpolated")
	for _, k := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := s.m.Update(k)
		if cmd == nil {
			t.Fatalf("%s does nothing", k)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", k)
		}
	}
}

func TestClientsCannotWriteToTheTerminal(t *testing.T) {
	s := newScreen(t, 130, 60).press("c").sees(100).sees(101).shows("·[2Jevil··")
	for _, r := range s.frame() {
		if r < ' ' && r != '\n' || r == 0x202e {
			t.Fatalf("%q is in the frame", r)
		}
	}
}
