package top

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// model is what the screen shows. It learns everything from messages, and asks for the
// next ones by commands: read gives a readMsg, wait a tickMsg.
type model struct {
	addr     string
	interval time.Duration
	read     func(part, int) tea.Cmd
	wait     func(time.Duration, int) tea.Cmd
	paint    paint

	width, height int
	part          part
	by            [partCount]int // what each table is sorted by
	reversed      [partCount]bool
	top           [partCount]int // the first row that is shown
	help          bool
	helpTop       int
	paused        bool
	bodyRows      int // of the last frame, for a page

	base      *sample // what the next rates count from
	report    *Report // the newest
	held      *Report // what is shown while paused
	restarted bool    // the broker has started anew a short while ago

	err    error     // why there is no answer; nil when there is
	silent time.Time // since when
	at     time.Time // of the last message

	// generation numbers the chains of reading and waiting: only the newest goes on, for
	// a change of the table begins another one.
	generation int
}

// readMsg is an answer of the admin port, or why there is none.
type readMsg struct {
	generation int
	sample     *sample
	err        error
	at         time.Time
}

// tickMsg says that the next read is due.
type tickMsg struct{ generation int }

func newModel(addr string, interval time.Duration) *model {
	m := &model{addr: addr, interval: interval, width: 80, height: 24}
	for p := range sights {
		m.by[p] = sights[p].begin
	}
	return m
}

// Init asks for the first sample.
func (m *model) Init() tea.Cmd { return m.read(m.part, m.generation) }

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		if msg.generation == m.generation {
			return m, m.read(m.part, m.generation)
		}
	case readMsg:
		if msg.generation == m.generation {
			return m, m.take(msg)
		}
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

// soon is how long the first rates may keep a person waiting.
const soon = time.Second

// take takes an answer, and asks for the next one.
func (m *model) take(msg readMsg) tea.Cmd {
	m.at = msg.at
	if msg.err != nil {
		if m.err == nil {
			m.silent = msg.at
		}
		m.err = msg.err
		return m.wait(m.interval, m.generation)
	}
	m.err = nil
	before := m.report
	m.report = compare(m.base, msg.sample)
	if before != nil && !m.report.Restarted {
		m.report.carry(before)
	}
	m.restarted = m.report.Restarted || m.restarted && m.report.Uptime < 10
	fresh := m.base == nil || m.report.Restarted || m.base.part != msg.sample.part
	if fresh && before != nil && !m.report.Restarted && m.report.Seconds < m.interval.Seconds()/2 {
		// Another table was chosen a moment ago: too little time for rates.
		m.report.Total, m.report.Cores = before.Total, before.Cores
	}
	m.base = msg.sample
	if fresh {
		return m.wait(min(m.interval, soon), m.generation)
	}
	return m.wait(m.interval, m.generation)
}

// shown is the report that the frame shows.
func (m *model) shown() *Report {
	if m.paused && m.held != nil {
		return m.held
	}
	return m.report
}

func (m *model) press(key string) tea.Cmd {
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "?", "h":
		m.help, m.helpTop = !m.help, 0
	case "esc":
		m.help = false
	case "p", "space":
		m.paused = !m.paused
		m.held = m.report
	case "1":
		return m.turn(cores)
	case "t", "2":
		return m.turn(topics)
	case "g", "3":
		return m.turn(groups)
	case "c", "4":
		return m.turn(clients)
	case "tab", "right":
		return m.turn((m.part + 1) % partCount)
	case "shift+tab", "left":
		return m.turn((m.part + partCount - 1) % partCount)
	case "s":
		m.sortNext()
	case "r", "S":
		m.reversed[m.part] = !m.reversed[m.part]
		m.top[m.part] = 0
	default:
		m.scroll(key)
	}
	return nil
}

// turn shows another table, and asks for what is in it.
func (m *model) turn(to part) tea.Cmd {
	m.help = false
	if to == m.part {
		return nil
	}
	m.part = to
	// What is held has nothing of the other table.
	m.paused, m.held = false, nil
	m.generation++
	return m.read(m.part, m.generation)
}

func (m *model) sortNext() {
	all := sortable(m.part)
	next := all[0]
	for i, c := range all {
		if c == m.by[m.part] {
			next = all[(i+1)%len(all)]
		}
	}
	m.by[m.part], m.reversed[m.part], m.top[m.part] = next, false, 0
}

func (m *model) scroll(key string) {
	at := &m.top[m.part]
	if m.help {
		at = &m.helpTop
	}
	page := max(m.bodyRows-1, 1)
	switch key {
	case "up", "k":
		*at--
	case "down", "j":
		*at++
	case "pgup", "ctrl+b":
		*at -= page
	case "pgdown", "ctrl+f":
		*at += page
	case "home":
		*at = 0
	case "end", "G":
		*at = 1 << 30 // the frame brings it back to the last page
	}
	*at = max(*at, 0)
}

// View is the frame.
func (m *model) View() tea.View {
	v := tea.NewView(m.frame())
	v.AltScreen = true
	v.WindowTitle = "penstock top " + m.addr
	return v
}
