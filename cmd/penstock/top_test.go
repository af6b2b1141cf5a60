package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// watcher is penstock top on a terminal.
type watcher struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	done   chan struct{}

	mu   sync.Mutex
	seen []byte // everything that it has written
	wide bool
}

// watch starts penstock top on a terminal of 100 columns and 30 lines.
func watch(t *testing.T, environment []string, args ...string) *watcher {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, master: master, done: make(chan struct{})}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.resize()
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.Command(exe, append([]string{"top"}, args...)...)
	w.cmd.Env = append(append(os.Environ(), beBroker+"=1", "TERM=xterm-256color", "COLUMNS="), environment...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = slave, slave, slave
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go w.drain()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // it may have ended
		<-w.done
		_ = master.Close()
	})
	return w
}

func (w *watcher) drain() {
	buf := make([]byte, 1<<16)
	for {
		n, err := w.master.Read(buf)
		w.mu.Lock()
		w.seen = append(w.seen, buf[:n]...)
		w.mu.Unlock()
		if err != nil {
			break // nobody has the other side open any more
		}
	}
	_ = w.cmd.Wait() // its code is asked for below
	close(w.done)
}

// resize makes the terminal a column wider or narrower: the screen is written as a whole.
func (w *watcher) resize() {
	w.wide = !w.wide
	size := unix.Winsize{Col: 100, Row: 30}
	if w.wide {
		size.Col++
	}
	if err := unix.IoctlSetWinsize(int(w.master.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		w.t.Fatal(err)
	}
}

var controls = regexp.MustCompile("\x1b\\[[0-9;:<>?$]*[A-Za-z]|\x1b\\][^\x07]*\x07")

func (w *watcher) text(from int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return controls.ReplaceAllString(string(w.seen[from:]), "")
}

// shows waits until all of it is on the screen.
func (w *watcher) shows(want ...string) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		w.mu.Lock()
		from := len(w.seen)
		w.mu.Unlock()
		w.resize()
		for next := time.Now().Add(300 * time.Millisecond); time.Now().Before(next); time.Sleep(5 * time.Millisecond) {
			missing := 0
			text := w.text(from)
			for _, s := range want {
				if !strings.Contains(text, s) {
					missing++
				}
			}
			if missing == 0 {
				return
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("%q is not on the screen:\n%s", want, w.text(from))
		}
	}
}

func (w *watcher) press(keys string) {
	w.t.Helper()
	if _, err := io.WriteString(w.master, keys); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watcher) ended() int {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Fatalf("top has not ended:\n%s", w.text(0))
	}
	return w.cmd.ProcessState.ExitCode()
}

func TestTopOnATerminal(t *testing.T) {
	data, arena := t.TempDir(), memoryDir(t)
	broker := launch(t, small(data, arena)...)
	f := broker.ready()
	s := shell{t: t, broker: f.Listeners[0].Address}
	s.ok("topic", "create", "orders")
	w := watch(t, nil, "--admin", f.Admin, "--interval", "200ms")
	w.shows("imbalance", "under way", "conns")
	w.press("t")
	w.shows("orders", "durable")
	w.press("g")
	w.shows("no consumer groups")
	w.press("1")
	broker.kill()
	w.shows("no answer for", "connection refused", "asking again")
	again := launch(t, small(data, arena, "--admin", f.Admin)...)
	again.ready()
	w.shows("the broker has started anew", "every 200ms")
	w.press("q")
	if code := w.ended(); code != 0 {
		t.Errorf("q ends it with %d", code)
	}
	if text := string(w.seen); !strings.Contains(text, "\x1b[?1049h") || !strings.Contains(text, "\x1b[?1049l") {
		t.Error("the screen that was there before is not given back")
	}
	colors := regexp.MustCompile("\x1b\\[[0-9;]*[34]8;|\x1b\\[([0-9;]*;)?[39][0-7]m")
	if !colors.Match(w.seen) {
		t.Error("a terminal with colours sees none")
	}
	w = watch(t, []string{"NO_COLOR=1"}, "--admin", f.Admin, "--interval", "200ms")
	w.shows("imbalance")
	w.press("\x03")
	if code := w.ended(); code != 0 || colors.Match(w.seen) {
		t.Errorf("NO_COLOR: ended with %d, colours %q", code, colors.Find(w.seen))
	}
	w = watch(t, []string{"TERM=dumb"}, "--admin", f.Admin, "--interval", "200ms")
	if code := w.ended(); code != 0 || strings.ContainsRune(string(w.seen), '\x1b') || !strings.Contains(string(w.seen), "imbalance") {
		t.Errorf("TERM=dumb: ended with %d:\n%q", code, w.seen)
	}
	again.kill()
	w = watch(t, nil, "--admin", f.Admin)
	if code := w.ended(); code != cli.ExitUnreachable || !strings.Contains(string(w.seen), "no admin port answers at "+f.Admin) {
		t.Errorf("without a broker it ended with %d:\n%q", code, w.seen)
	}
}
