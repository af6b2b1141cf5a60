package wire

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// view is one way to see the broker: its name and bootstrap address.
type view struct{ name, addr string }

var views []view

func TestMain(m *testing.M) {
	stop, err := findBrokers()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func findBrokers() (stop func(), err error) {
	if s := os.Getenv("WIRE_BROKERS"); s != "" {
		for _, kv := range strings.Split(s, ",") {
			name, addr, ok := strings.Cut(kv, "=")
			if !ok {
				return nil, fmt.Errorf("WIRE_BROKERS takes view=address, not %q", kv)
			}
			views = append(views, view{name, addr})
		}
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		return nil, err
	}
	port, core, admin := freePort(1), freePort(2), freePort(1)
	cmd := penstock(filepath.Join(dir, "data"), port, core, admin)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	views = []view{{"normal", addr(port)}, {"cores", addr(core)}}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		os.RemoveAll(dir)
	}
	for _, v := range views {
		if err := reachable(v.addr, 30*time.Second); err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// penstock is the one place that knows how the broker is started.
func penstock(data string, port, core, admin int) *exec.Cmd {
	bin := os.Getenv("PENSTOCK")
	if bin == "" {
		bin = "../../bin/penstock"
	}
	cmd := exec.Command(bin, "serve", "--data", data, "--shards", "2", "--kafka", addr(port),
		"--core-ports", "on", "--core-port", strconv.Itoa(core), "--admin", addr(admin),
		"--set", "group.initial.rebalance.delay.ms=0", "--set", "auto.create.topics.enable=false")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd
}

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// freePort finds n free ports in a row and returns the first.
func freePort(n int) int {
	for {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		free := true
		for i := 1; i < n && free; i++ {
			l, err := net.Listen("tcp", addr(port+i))
			if free = err == nil; free {
				l.Close()
			}
		}
		first.Close()
		if free {
			return port
		}
	}
}

func reachable(addr string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}
