package versus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/bench"
	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/result"
	"github.com/penstock/penstock/bench/run"
	"github.com/penstock/penstock/bench/workload"
)

// Options of a run.
type Options struct {
	Penstock []string // command that starts it: "bin/penstock serve"
	Libs     string   // directory of Kafka's jars
	Dir      string   // where the data go, which are deleted after
	Save     string   // directory for the results of all runs, for penstock bench compare; "": none
	Rounds   int
	Warmup   time.Duration // of each run
	Duration time.Duration // of each run
	JVM      time.Duration // of load before anything is measured
	Records  int           // that Kafka's own tests move
	Quick    bool          // without what takes long
	Only     *regexp.Regexp
	Log      func(string)
}

// usage of a process.
type usage = result.Usage

// versus is a run under way.
type versus struct {
	Options
	dir, arena string
	brokers    map[string]*server
	starts     map[string][]float64 // s, by broker
	idle       map[string][]usage
	version    string // of Kafka
	ballast    bench.Ballast
	report     *Report
}

// Run measures. What was measured so far comes with an error, also with the context's.
func Run(ctx context.Context, o Options) (*Report, error) {
	v := &versus{Options: o, brokers: map[string]*server{}, starts: map[string][]float64{}, idle: map[string][]usage{}, report: &Report{Options: o}}
	var err error
	if v.version, err = kafkaVersion(o.Libs); err != nil {
		return v.report, err
	}
	defer v.close()
	err = v.all(ctx)
	return v.report, err
}

func (v *versus) all(ctx context.Context) (err error) {
	if v.dir, err = os.MkdirTemp(v.Dir, "penstock-versus-"); err != nil {
		return err
	}
	if v.arena, err = os.MkdirTemp("/dev/shm", "penstock-versus-"); err != nil {
		return fmt.Errorf("penstock's arenas want to lie in memory: %w", err)
	}
	r := v.report
	r.Kafka = v.version
	if r.Congestion, err = acceptedCongestion(); err != nil {
		return err
	}
	if err := v.startTimes(ctx); err != nil {
		return err
	}
	for _, name := range []string{Kafka, Penstock} {
		v.say("%s: %s of load to warm up", name, v.JVM)
		for _, w := range v.warm() {
			if _, err := v.once(ctx, side{name, name, "os", "normal"}, w); err != nil {
				return err
			}
		}
	}
	for _, s := range scenarios() {
		if v.Only != nil && !v.Only.MatchString(s.name) || s.full && v.Quick {
			continue
		}
		began := time.Now()
		got, err := v.scenario(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Outcomes = append(r.Outcomes, *got)
		v.say("%s: %.0f s", s.name, time.Since(began).Seconds())
	}
	return v.memory()
}

func (v *versus) say(format string, args ...any) {
	if v.Log != nil {
		v.Log(fmt.Sprintf(format, args...))
	}
}

// close ends and deletes everything.
func (v *versus) close() {
	for _, b := range v.brokers {
		b.end()
	}
	v.ballast.Release()
	for _, d := range []string{v.dir, v.arena} {
		if d != "" {
			_ = os.RemoveAll(d)
		}
	}
}

// startTimes starts each broker some times on a new directory; the last ones stay.
func (v *versus) startTimes(ctx context.Context) error {
	for round := range v.Rounds {
		for _, name := range inTurn([]string{Kafka, Penstock}, round) {
			if err := ctx.Err(); err != nil {
				return err
			}
			v.brokers[name].end()
			delete(v.brokers, name)
			dir := filepath.Join(v.dir, fmt.Sprintf("%s-%d", name, round))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			b, err := v.startOne(name, dir, round)
			if err != nil {
				return err
			}
			v.brokers[name] = b
			v.starts[name] = append(v.starts[name], b.started.Seconds())
			u, err := b.usage()
			if err != nil {
				return err
			}
			v.idle[name] = append(v.idle[name], u)
		}
	}
	v.report.start(v.starts, v.idle)
	return nil
}

func (v *versus) startOne(name, dir string, round int) (*server, error) {
	if name == Kafka {
		return v.startKafka(dir)
	}
	arena := filepath.Join(v.arena, fmt.Sprint(round))
	if err := os.MkdirAll(arena, 0o755); err != nil {
		return nil, err
	}
	const coresMax = 64 // ports kept free for its cores
	return v.startPenstock(dir, arena, coresMax)
}

// inTurn is the order of a round: every other one goes backwards, so that nobody always
// comes after the same one.
func inTurn[T any](of []T, round int) []T {
	out := append([]T(nil), of...)
	if round%2 == 1 {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// scenario runs all rounds of one load.
func (v *versus) scenario(ctx context.Context, s scenario) (*Outcome, error) {
	w := v.timed(s.work, s.name)
	out := &Outcome{scenario: s, runs: make([][]*result.Result, len(s.sides)), told: make([][]told, len(s.sides))}
	order := make([]int, len(s.sides))
	for i := range order {
		order[i] = i
	}
	least := 0.0
	for round := range v.Rounds + 1 { // the first is dropped
		for _, i := range inTurn(order, round) {
			r, t, err := v.one(ctx, s, s.sides[i], w)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.sides[i].name, err)
			}
			if round == 0 {
				if got := max(r.Produced.RecordsS, r.Consumed.RecordsS); least == 0 || got < least {
					least = got
				}
				continue
			}
			out.runs[i], out.told[i] = append(out.runs[i], r), append(out.told[i], t)
			if v.Save != "" {
				if _, err := r.Save(filepath.Join(v.Save, s.sides[i].broker+"-"+s.sides[i].durability+"-"+s.sides[i].view), "json"); err != nil {
					return nil, err
				}
			}
		}
		if round == 0 && s.half {
			w.Rate = int64(least / 2)
			v.say("%s: the slower side reaches %.0f records/s; the rate is %d", s.name, least, w.Rate)
		}
	}
	return out, nil
}

// one is one run of one side.
func (v *versus) one(ctx context.Context, s scenario, on side, w workload.Workload) (*result.Result, told, error) {
	if s.load != own {
		return v.tool(ctx, s.load, on, w)
	}
	r, err := v.once(ctx, on, w)
	return r, told{}, err
}

// once puts a load on one side.
func (v *versus) once(ctx context.Context, on side, w workload.Workload) (*result.Result, error) {
	if err := v.calm(ctx); err != nil {
		return nil, err
	}
	w.Durability, w.View = on.durability, on.view
	b := v.brokers[on.broker]
	r, err := run.Run(ctx, run.Config{Workload: w, Client: b.client(on.view), Timeout: 60 * time.Second, Congestion: load.Congestion, BrokerPID: b.pid(), Tool: "bench kafka", Command: os.Args})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, errors.Join(err, b.failure("was under load"))
	case r.Interrupted:
		return nil, context.Canceled
	}
	r.Target.Software = v.software(on.broker)
	if v.report.Congestion == load.Congestion {
		// It warns of the system's default, which the connections here do not have.
		r.Notes = slices.DeleteFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "The system's default congestion control") })
	}
	return r, r.Finish()
}

func (v *versus) software(broker string) string {
	if broker == Kafka {
		return "Apache Kafka " + v.version
	}
	return broker
}

// client makes clients of one view, with the same TCP settings for both brokers.
func (s *server) client(view string) func(...kgo.Opt) (*kgo.Client, error) {
	addr := s.addr
	if view == workload.Cores {
		addr = s.cores
	}
	return func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.Dialer(load.Dialer(load.Congestion).DialContext)}, opts...)...)
	}
}

// calm waits until the topics of the run before are gone, their pages written back or
// dropped, and the brokers at rest, and warms memory that the host may have taken.
func (v *versus) calm(ctx context.Context) error {
	const (
		calmMax   = 20 * time.Second
		dirtyMax  = 32 << 20
		restShare = 0.1 // of a CPU, of both: a JVM is never quite at rest
	)
	for began := time.Now(); time.Since(began) < calmMax; {
		gone, _ := filepath.Glob(filepath.Join(v.dir, Kafka+"-*", "data", "*-delete"))
		if f, err := os.Open(v.dir); err == nil {
			_ = unix.Syncfs(int(f.Fd()))
			_ = f.Close()
		}
		used, at := v.used(), time.Now()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if len(gone) == 0 && dirty() < dirtyMax && v.used()-used < restShare*time.Since(at).Seconds() {
			break
		}
	}
	v.ballast.Hold()
	v.ballast.Release()
	return ctx.Err()
}

// used is the CPU seconds of the brokers so far. One that is gone counts as none: the run
// that follows says so.
func (v *versus) used() (s float64) {
	for _, b := range v.brokers {
		if u, err := b.usage(); err == nil {
			s += u.CPUSeconds
		}
	}
	return s
}

// memory reads what the brokers hold after all the load.
func (v *versus) memory() error {
	for _, name := range []string{Kafka, Penstock} {
		u, err := v.brokers[name].usage()
		if err != nil {
			return err
		}
		v.report.after(name, u)
	}
	return nil
}

// acceptedCongestion is the congestion control of a connection that was accepted on the
// loopback without asking for one, which is what Kafka's connections have.
func acceptedCongestion() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	c, err := load.Dialer(load.Congestion).Dial(context.Background(), l.Addr().String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	a, err := l.Accept()
	if err != nil {
		return "", err
	}
	defer a.Close()
	raw, err := a.(*net.TCPConn).SyscallConn()
	if err != nil {
		return "", err
	}
	var name string
	var err2 error
	err = raw.Control(func(fd uintptr) { name, err2 = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) })
	return name, errors.Join(err, err2)
}
