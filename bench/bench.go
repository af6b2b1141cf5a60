package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/penstock/penstock/bench/load"
)

// Options of a run.
type Options struct {
	// Broker is the command that starts the broker, to which flags for the data directory,
	// the ports and one shard are added: "penstock serve".
	Broker []string
	// Addr and PID are of a broker that runs already, instead of Broker: any broker that
	// speaks Kafka, such as Apache Kafka. Scenarios that need to start it are left out.
	Addr string
	PID  int
	// Floor is the command that calls floor.Main with the arguments that are added.
	Floor []string
	Dir   string // for data, which are deleted; on the disk to be measured
	// Rounds in which all variants take their turn, and how long each measures then.
	Rounds   int
	Duration time.Duration
	Warmup   time.Duration
	Only     *regexp.Regexp // of the names of scenarios; nil is all
	Long     bool           // also what takes minutes and 10 GB
	Log      func(string)   // progress; may be nil
}

// Run measures, and returns what it has measured so far along with an error. It stops
// at the end of the present scenario when the context ends.
func Run(ctx context.Context, o Options) (Result, error) {
	defaults(&o)
	r := Result{Machine: machine(o.Dir), Options: o}
	b := &bench{Options: o, result: &r}
	for _, s := range scenarios {
		if o.Only != nil && !o.Only.MatchString(s.name) || s.long && !o.Long || s.own && o.Addr != "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
		began := time.Now()
		err := s.run(b)
		b.stop()
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.name, err)
		}
		b.say("%s: %.0f s", s.name, time.Since(began).Seconds())
	}
	return r, nil
}

func defaults(o *Options) {
	if o.Addr != "" {
		o.Broker = nil
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	if o.Warmup == 0 {
		o.Warmup = 500 * time.Millisecond
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
}

// bench is a run under way.
type bench struct {
	Options
	result *Result
	dir    string   // of the broker's data
	arena  string   // of its arenas
	broker *process // nil: not running
	addr   string
	admin  *load.Client

	adminAddr string // of its HTTP
	shards    int    // of the broker; 0: one
	corePorts bool   // it has them,
	coreAddr  string // and this is the first
	floors    []*process
	topics    int
	starts    []float64 // seconds
	ballast   Ballast
}

func (b *bench) say(format string, args ...any) { b.Log(fmt.Sprintf(format, args...)) }

// serve starts the broker on a new directory, or on the one that there is.
func (b *bench) serve(env ...string) error {
	if b.dir == "" {
		dir, err := os.MkdirTemp(b.Dir, "penstock-bench-")
		if err != nil {
			return err
		}
		b.dir = dir
	}
	if err := b.makeArena(); err != nil {
		return err
	}
	if b.Addr != "" {
		b.addr, b.broker = b.Addr, attach(b.PID)
		var err error
		b.admin, err = load.Dial(b.addr)
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	b.addr = "127.0.0.1:" + strconv.Itoa(ports[0])
	b.adminAddr = "127.0.0.1:" + strconv.Itoa(ports[1])
	argv := append(append([]string{}, b.Broker...), "--data", filepath.Join(b.dir, "data"), "--arena-dir", b.arena, "--kafka", b.addr, "--admin", b.adminAddr,
		"--shards", strconv.Itoa(max(b.shards, 1)), "--congestion-control", load.Congestion, "--log", "json")
	if b.corePorts {
		first, err := freeRun(b.shards)
		if err != nil {
			return err
		}
		b.coreAddr = "127.0.0.1:" + strconv.Itoa(first)
		argv = append(argv, "--core-ports", "on", "--core-port", strconv.Itoa(first))
	} else {
		argv = append(argv, "--core-ports", "off")
	}
	if b.broker, err = start(argv, env...); err != nil {
		return err
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if b.admin, err = load.Dial(b.addr); err == nil {
			if err = b.admin.Ready(); err == nil {
				return nil
			}
			b.admin.Close()
		}
		if b.broker.ended() {
			break
		}
	}
	b.admin = nil
	return b.broker.failure("does not serve")
}

// stop ends everything and deletes the data.
func (b *bench) stop() {
	for _, p := range b.floors {
		p.end(true)
	}
	b.floors = nil
	b.endBroker(false)
	b.ballast.Release()
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
		b.dir = ""
	}
	if b.arena != "" {
		_ = os.RemoveAll(b.arena)
		b.arena = ""
	}
}

// makeArena makes a directory for the broker's arenas where it would put them itself: in
// memory. What a killed broker leaves there is deleted with it.
func (b *bench) makeArena() (err error) {
	const memory = "/dev/shm"
	root := b.dir
	if _, err := os.Stat(memory); err == nil {
		root = memory
	}
	if b.arena == "" {
		b.arena, err = os.MkdirTemp(root, "penstock-bench-")
	}
	return err
}

func (b *bench) endBroker(kill bool) {
	if b.admin != nil {
		b.admin.Close()
		b.admin = nil
	}
	if b.broker != nil {
		b.broker.end(kill)
		b.broker = nil
	}
}

// floor starts a floor and returns it with its address.
func (b *bench) floor(args []string) (*process, string, error) {
	p, err := start(append(append([]string{}, b.Floor...), args...))
	if err != nil {
		return nil, "", err
	}
	b.floors = append(b.floors, p)
	addr, err := p.firstLine()
	if err != nil {
		return nil, "", err
	}
	for range 1000 { // gnet listens a little later
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return p, addr, c.Close()
		}
		time.Sleep(time.Millisecond)
	}
	return p, addr, p.failure("does not listen")
}

// topic makes a topic of a new name.
func (b *bench) topic(partitions int, durability string) (string, error) {
	b.topics++
	name := fmt.Sprintf("bench-%d-%04d", os.Getpid(), b.topics)
	config := map[string]string{"penstock.durability": durability}
	if b.Addr != "" { // what Kafka calls it
		config = map[string]string{"flush.messages": "9223372036854775807"}
		if durability == "synced" {
			config["flush.messages"] = "1"
		}
	}
	err := b.admin.CreateTopic(name, partitions, config)
	if b.Addr != "" {
		time.Sleep(time.Second) // Kafka answers before the partitions have leaders
	}
	return name, err
}

// sample is one measurement of one variant.
type sample struct {
	load.Stats
	CPU  float64 // seconds of the server
	Disk float64 // bytes that reached the disk per byte of records; 0: not measured
	Anon int64   // at the end
}

// perGB and perRequest are the two forms of cost.
func (s sample) perGB() float64      { return s.CPU / (float64(s.Bytes) / 1e9) }
func (s sample) perRequest() float64 { return s.CPU / float64(s.Requests) * 1e6 }

// measured runs a load against a server and adds what the server used meanwhile. run is
// given the mark to be called at the beginning and at the end of the measurement.
func measured(p *process, run func(mark func()) (load.Stats, error)) (sample, error) {
	var at []usage
	stats, err := run(func() { at = append(at, p.usage()) })
	if err != nil {
		return sample{}, fmt.Errorf("%w\n%w", err, p.failure("under load"))
	}
	first, last := at[0], at[len(at)-1]
	return sample{Stats: stats, CPU: last.CPU - first.CPU, Anon: last.Anon}, nil
}

func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before all have been taken
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// freeRun finds n ports in a row and returns the first.
func freeRun(n int) (first int, err error) {
	for range 100 {
		ports, err := freePorts(1)
		if err != nil {
			return 0, err
		}
		free := ports[0]+n <= 1<<16
		for i := 1; i < n && free; i++ {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(ports[0]+i))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return ports[0], nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row were found", n)
}
