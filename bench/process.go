package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server under measurement.
type process struct {
	pid  int
	cmd  *exec.Cmd     // nil: not ours to end
	done chan struct{} // closed when it has ended

	mu     sync.Mutex
	stdout []string
	errs   []string  // the last lines of stderr that are not of the garbage collector
	pauses []float64 // ms; each stop of the world that gctrace told of
	cycles int       // of the garbage collector
}

// start starts a command. Go processes are asked to tell of each garbage collection.
func start(argv []string, env ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "GODEBUG=gctrace=1"), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
	var readers sync.WaitGroup
	readers.Go(func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.mu.Lock()
			p.stdout = append(p.stdout, s.Text())
			p.mu.Unlock()
		}
	})
	readers.Go(func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.line(s.Text())
		}
	})
	go func() {
		readers.Wait()
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// attach takes a server that somebody else has started.
func attach(pid int) *process { return &process{pid: pid, done: make(chan struct{})} }

// line takes a line of stderr. What gctrace writes looks like
//
//	gc 7 @1.5s 0%: 0.018+1.3+0.076 ms clock, …
//
// of which the first and the third number are stops of the world.
func (p *process) line(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest, ok := strings.CutPrefix(s, "gc "); ok {
		if _, clock, ok := strings.Cut(rest, "%: "); ok {
			clock, _, _ = strings.Cut(clock, " ms clock")
			if parts := strings.Split(clock, "+"); len(parts) == 3 {
				for _, i := range []int{0, 2} {
					if ms, err := strconv.ParseFloat(parts[i], 64); err == nil {
						p.pauses = append(p.pauses, ms)
					}
				}
				p.cycles++
				return
			}
		}
	}
	if p.errs = append(p.errs, s); len(p.errs) > 20 {
		p.errs = p.errs[1:]
	}
}

// collector returns the pauses and cycles seen so far.
func (p *process) collector() (pauses []float64, cycles int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]float64(nil), p.pauses...), p.cycles
}

// firstLine waits for the first line of stdout.
func (p *process) firstLine() (string, error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		lines := p.stdout
		p.mu.Unlock()
		if len(lines) > 0 {
			return lines[0], nil
		}
		if p.ended() {
			break
		}
	}
	return "", p.failure("said nothing")
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) failure(what string) error {
	if p.cmd == nil {
		return fmt.Errorf("process %d: %s", p.pid, what)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s: %s\n%s\n%s", strings.Join(p.cmd.Args, " "), what, strings.Join(p.stdout, "\n"), strings.Join(p.errs, "\n"))
}

// end ends the process, by a signal that it cannot catch if kill is set.
func (p *process) end(kill bool) {
	if p.cmd == nil {
		return
	}
	sig := os.Interrupt
	if kill {
		sig = os.Kill
	}
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// usage is what the kernel has counted for a process.
type usage struct {
	CPU  float64 // seconds on a CPU, of all threads
	Anon int64   // resident bytes that are not of a file
	at   time.Time
}

// usage reads the counters. Threads that have ended are missing; Go keeps its threads.
func (p *process) usage() usage {
	u := usage{at: time.Now()}
	dir := fmt.Sprintf("/proc/%d", p.pid)
	tasks, _ := filepath.Glob(dir + "/task/*/schedstat")
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		if f := bytes.Fields(b); len(f) > 0 {
			ns, _ := strconv.ParseFloat(string(f[0]), 64)
			u.CPU += ns / 1e9
		}
	}
	u.Anon = field(dir+"/status", "RssAnon:") << 10
	return u
}

// field reads the number behind a name in a file of /proc.
func field(path, name string) int64 {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// deviceWritten is how many bytes have been written to the disk that holds dir, by
// anyone, after everything has been written back. A process's own count (write_bytes)
// would be too high: it counts whole folios of which only a part is dirty.
func deviceWritten(dir string) int64 {
	f, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Syncfs(int(f.Fd())) != nil || unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if f := strings.Fields(string(b)); err == nil && len(f) > 6 {
		n, _ := strconv.ParseInt(f[6], 10, 64)
		return n * 512
	}
	return 0
}
