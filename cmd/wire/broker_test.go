package wire

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// view is one way to see the broker: its name, its bootstrap address, and how many brokers
// it shows.
type view struct {
	name, addr string
	nodes      int
}

var views []view

// peerIsKafka says that the broker of WIRE_BROKERS is Apache Kafka, which serves what
// penstock refuses.
var peerIsKafka = os.Getenv("WIRE_PEER") == "kafka"

func TestMain(m *testing.M) {
	stop, err := findBrokers()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
	code := m.Run()
	summary()
	stop(code != 0)
	os.Exit(code)
}

// tally is what one client has passed and failed.
type tally struct {
	ok, failed int
	ms         int64
}

var (
	tallies  = map[string]*tally{}
	reported sync.Mutex
)

// report prints the line of one case and counts it.
func report(client, name, view, verdict string, ms int64) {
	reported.Lock()
	defer reported.Unlock()
	fmt.Printf("%s %s %s %s %d\n", client, name, view, verdict, ms)
	t := tallies[client]
	if t == nil {
		t = &tally{}
		tallies[client] = t
	}
	t.ms += ms
	if verdict == "ok" {
		t.ok++
	} else {
		t.failed++
	}
}

func summary() {
	fmt.Println()
	for _, client := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[client]
		fmt.Printf("wire: %-20s %3d cases ok, %d failed, %5.1f s\n", client, t.ok, t.failed, float64(t.ms)/1000)
	}
}

// findBrokers fills views; stop ends what it started, and shows the log of a broker whose
// tests failed.
func findBrokers() (stop func(failed bool), err error) {
	if s := os.Getenv("WIRE_BROKERS"); s != "" {
		for _, kv := range strings.Split(s, ",") {
			name, addr, ok := strings.Cut(kv, "=")
			if !ok {
				return nil, fmt.Errorf("WIRE_BROKERS takes view=address, not %q", kv)
			}
			views = append(views, view{name, addr, 1})
		}
		return func(bool) {}, nil
	}
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		return nil, err
	}
	const shards = 2
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	port, core, admin := freePort(1), freePort(shards), freePort(1)
	cmd := penstock(filepath.Join(dir, "data"), shards, port, core, admin)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	views = []view{{"normal", addr(port), 1}, {"cores", addr(core), shards}}
	stop = func(failed bool) {
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if said, _ := os.ReadFile(log.Name()); failed || err != nil {
			fmt.Fprintf(os.Stderr, "the broker ended with %v and said:\n%s", err, said)
		}
		os.RemoveAll(dir)
	}
	for _, v := range views {
		if err := reachable(v.addr); err != nil {
			stop(true)
			return nil, err
		}
	}
	return stop, nil
}

// penstock is the one place that knows how the broker is started.
func penstock(data string, shards, port, core, admin int) *exec.Cmd {
	return exec.Command(binary(), "serve", "--data", data, "--shards", strconv.Itoa(shards), "--kafka", addr(port),
		"--core-ports", "on", "--core-port", strconv.Itoa(core), "--admin", addr(admin),
		"--set", "group.initial.rebalance.delay.ms=0", "--set", "auto.create.topics.enable=false")
}

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// freePort finds n free ports in a row and returns the first. They lie below the range from
// which the kernel takes ports for clients: those would take one while the broker starts.
func freePort(n int) int {
	for {
		port := 10_000 + rand.IntN(20_000)
		free := true
		for i := 0; i < n && free; i++ {
			l, err := net.Listen("tcp", addr(port+i))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return port
		}
	}
}

func reachable(addr string) error {
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
