package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// beBroker makes the test's own binary run as penstock: the tests of the process start
// it, and so test what was compiled with them, the race detector included.
const beBroker = "RUN_AS_PENSTOCK"

func TestMain(m *testing.M) {
	if os.Getenv(beBroker) != "" {
		main()
		return
	}
	endAtOnce()
	// Under nohup it is ignored, and would be by the processes that tests start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// endAtOnce takes from the processes that tests start the second for which the race
// detector holds each back at its end.
func endAtOnce() {
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
}

// patience is how long a test waits for what has to happen, on a machine that is busy.
const patience = 120 * time.Second

// process is a penstock process.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu    sync.Mutex
	lines []string // of stdout
	errs  bytes.Buffer
}

// launch starts penstock with arguments, and ends it with the test.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launchExe(t, exe, args...)
}

// launchExe starts another binary than this one.
func launchExe(t *testing.T, exe string, args ...string) *process {
	t.Helper()
	p := &process{t: t, done: make(chan struct{})}
	p.cmd = exec.Command(exe, args...)
	p.cmd.Env = append(os.Environ(), beBroker+"=1")
	p.cmd.Stderr = lockedWriter{p}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if said := p.said(); strings.Contains(said, "WARNING: DATA RACE") { // one that is killed has no exit code for it
			t.Errorf("%v:\n%s", args, said)
		}
	})
	return p
}

type lockedWriter struct{ p *process }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.errs.Write(b)
}

// said is everything that the process has printed: stdout, then stderr.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n") + "\n" + p.errs.String()
}

// kill ends the process as SIGKILL does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits for the end of the process and returns its exit code.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the process has not ended; it said:\n%s", p.said())
	}
	return p.cmd.ProcessState.ExitCode()
}

// event is one line of the log.
type event struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Facts *facts `json:"facts"`
}

// ready waits for the event that says that clients are served.
func (p *process) ready() facts {
	p.t.Helper()
	f, err := p.started()
	if err != nil {
		p.t.Fatal(err)
	}
	return *f
}

// started is ready, where a refusal to start is an outcome.
func (p *process) started() (f *facts, err error) {
	p.t.Helper()
	poll(p.t, "the broker is ready", func() bool {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		for line := range strings.Lines(p.said()) {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Msg == "ready" {
				f = e.Facts
				return true
			}
		}
		if ended {
			err = fmt.Errorf("the process has ended: %s", p.said())
		}
		return ended
	})
	return f, err
}

// poll waits for a condition.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// memoryDir is a directory in memory, deleted with the test: arenas left in /dev/shm
// would take the machine's memory. In a container that has next to nothing there it is on
// the disk.
func memoryDir(t *testing.T) string {
	t.Helper()
	root := "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil || int64(st.Bavail)*st.Frsize < 256<<20 {
		root = ""
	}
	dir, err := os.MkdirTemp(root, "penstock-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// small are the arguments of a small broker on ports of its own.
func small(data, arena string, more ...string) []string {
	return append([]string{"serve", "--data", data, "--arena-dir", arena, "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--core-ports", "off",
		"--shards", "2", "--arena", "8MiB", "--journal", "16MiB", "--checkpoint", "2MiB", "--log", "json"}, more...)
}

// get asks the admin port.
func get(url string) (code int, body string) {
	resp, err := (&http.Client{Timeout: patience}).Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// resident is the memory of the process that is its own: files and /dev/shm are not.
func (p *process) resident() int64 {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kb << 10
		}
	}
	p.t.Fatal("the kernel does not tell RssAnon")
	return 0
}

// freePorts finds n ports in a row that are free, and returns the first. They lie below
// the range from which the kernel takes ports for clients: those would take one while the
// broker starts.
func freePorts(t *testing.T, n int) string {
	t.Helper()
next:
	for range 1000 {
		first := 10_000 + rand.IntN(20_000)
		for p := first; p < first+n; p++ {
			l, err := net.Listen("tcp", joinHostPort("127.0.0.1", p))
			if err != nil {
				continue next
			}
			_ = l.Close()
		}
		return strconv.Itoa(first)
	}
	t.Fatal("no ports are free")
	return ""
}
