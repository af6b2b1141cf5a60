package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// beVerb makes the test's own binary run the verbs, so that what is tested ends and is
// interrupted as a process is.
const beVerb = "RUN_AS_PENSTOCK_VERB"

// patience is how long a test waits for what has to happen, on a machine that is busy.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(beVerb) != "" {
		root := &cobra.Command{Use: "penstock", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(Commands()...)
		root.SetFlagErrorFunc(cli.FlagError)
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		context.AfterFunc(ctx, stop)
		err := root.ExecuteContext(ctx)
		cli.Report(os.Stderr, err)
		os.Exit(cli.ExitCode(err))
	}
	if os.Getenv("GORACE") == "" { // the race detector holds each verb back for a second at its end
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	code := m.Run()
	if theBroker.stop != nil {
		theBroker.stop()
	}
	os.Exit(code)
}

// theBroker is a penstock that all tests of the package share; each has topics of its own.
var theBroker struct {
	once sync.Once
	addr string
	err  error
	stop func()
}

func broker(t *testing.T) string {
	t.Helper()
	theBroker.once.Do(func() { theBroker.addr, _, theBroker.stop, theBroker.err = startBroker() })
	if theBroker.err != nil {
		t.Fatal(theBroker.err)
	}
	return theBroker.addr
}

var readyLine = regexp.MustCompile(`"msg":"ready".*?"advertised"`)
var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func startBroker() (addr string, p *os.Process, stop func(), err error) {
	dir, err := os.MkdirTemp("", "records-test-")
	if err != nil {
		return "", nil, nil, err
	}
	exe := filepath.Join(dir, "penstock")
	if out, err := exec.Command("go", "build", "-o", exe, "..").CombinedOutput(); err != nil {
		return "", nil, nil, fmt.Errorf("build penstock: %w: %s", err, out)
	}
	var log locked
	cmd := exec.Command(exe, "serve", "--data", filepath.Join(dir, "data"), "--arena-dir", filepath.Join(dir, "arena"), "--kafka", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--core-ports", "off", "--shards", "2", "--arena", "8MiB", "--journal", "16MiB", "--checkpoint", "2MiB", "--log", "json", "--set", "group.initial.rebalance.delay.ms=0")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return "", nil, nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if at := readyLine.FindString(log.String()); at != "" {
			return address.FindString(at), cmd.Process, stop, nil
		}
	}
	stop()
	return "", nil, nil, fmt.Errorf("the broker is not ready: %s", log.String())
}

// locked is a buffer that a process writes and a test reads.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// verb is a running produce or consume.
type verb struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err locked
	done     chan struct{}
}

// start runs a verb; ended or interrupt ends it, and the end of the test does.
func start(t *testing.T, stdin io.Reader, args ...string) *verb {
	t.Helper()
	v := &verb{t: t, done: make(chan struct{})}
	v.cmd = exec.Command(os.Args[0], args...)
	v.cmd.Env = append(os.Environ(), beVerb+"=1", "PENSTOCK_BROKERS="+broker(t))
	v.cmd.Stdout, v.cmd.Stderr, v.cmd.Stdin = &v.out, &v.err, stdin
	v.run()
	return v
}

func (v *verb) run() {
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	go func() {
		_ = v.cmd.Wait() // its exit code is looked at
		close(v.done)
	}()
	v.t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		<-v.done
		if said := v.err.String(); strings.Contains(said, "WARNING: DATA RACE") { // one that is killed has no exit code for it
			v.t.Error(said)
		}
	})
}

// ends waits for the end of a verb with this exit code and returns what it printed.
func (v *verb) ends(code int) string {
	v.t.Helper()
	select {
	case <-v.done:
	case <-time.After(patience):
		v.t.Fatalf("%v has not ended; it printed %.2000q and said %s", v.cmd.Args[1:], v.out.String(), v.err.String())
	}
	if got := v.cmd.ProcessState.ExitCode(); got != code {
		v.t.Fatalf("%v ended with %d, not %d; it printed %.2000q and said %s", v.cmd.Args[1:], got, code, v.out.String(), v.err.String())
	}
	return v.out.String()
}

func (v *verb) interrupt() {
	v.t.Helper()
	if err := v.cmd.Process.Signal(syscall.SIGINT); err != nil {
		v.t.Fatal(err)
	}
}

func (v *verb) prints(what string) {
	v.t.Helper()
	poll(v.t, fmt.Sprintf("%v prints %q", v.cmd.Args[1:], what), func() bool { return strings.Contains(v.out.String(), what) })
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// run is start and ends.
func run(t *testing.T, code int, stdin string, args ...string) (out, talk string) {
	t.Helper()
	v := start(t, strings.NewReader(stdin), args...)
	out = v.ends(code)
	return out, v.err.String()
}

func client(t *testing.T) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func topic(t *testing.T, name string, partitions int32) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	forEver := map[string]*string{"retention.ms": kadm.StringPtr("-1")} // some records are old
	if _, err := client(t).CreateTopic(ctx, partitions, 1, forEver, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// expect compares what a verb printed.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got  %.1000q\nwant %.1000q", got, want)
	}
}

// kcat runs Debian's kcat against the same broker.
func kcat(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("kcat", append([]string{"-b", broker(t)}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("kcat %v: %v: %s", args, err, exit.Stderr)
		}
		t.Skip("kcat is not installed (apt install kcat)")
	}
	return string(out)
}
