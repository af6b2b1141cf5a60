package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// stuck is a reader of the log that takes nothing until it is let go.
type stuck struct {
	bytes.Buffer
	going chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.going
	return s.Buffer.Write(p)
}

// A log that nobody reads stops nobody, and says how much was lost.
func TestLogThatNobodyReadsStopsNobody(t *testing.T) {
	w := &stuck{going: make(chan struct{})}
	o := newOutlet(w)
	const lines = 3 * outletMax
	for range lines {
		if n, err := o.Write([]byte("a line\n")); n != 7 || err != nil {
			t.Fatal(n, err)
		}
	}
	close(w.going)
	o.flush()
	written, dropped := strings.Count(w.String(), "a line\n"), int(o.dropped.Load())
	if written+dropped != lines || written < outletMax || dropped < outletMax {
		t.Errorf("%d lines written and %d dropped of %d", written, dropped, lines)
	}
}

// Whoever reads the log may go away; the broker serves on, and stops as it should.
func TestReaderOfTheLogGoesAway(t *testing.T) {
	args := small(t.TempDir(), memoryDir(t))
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), beBroker+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(first, `"ready"`) {
		t.Fatal(first, err)
	}
	_ = out.(io.Closer).Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil { // two more lines
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the broker ended with %v", err)
	}
}

// The end of the terminal is a stop like another.
func TestHangUpStopsCleanly(t *testing.T) {
	p := launch(t, small(t.TempDir(), memoryDir(t))...)
	p.ready()
	p.signal(syscall.SIGHUP)
	if code := p.ended(); code != 0 || !strings.Contains(p.said(), "everything is synced") {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}
