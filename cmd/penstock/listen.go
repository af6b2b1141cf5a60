package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/cmd/penstock/metrics"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/netio/admin"
	"github.com/penstock/penstock/perf"
	"github.com/penstock/penstock/segment"
)

const createMode = segment.Create

func splitHostPort(s string) (host string, port int32, ok bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return s, 0, false
	}
	n, err := strconv.Atoi(p)
	return h, int32(n), err == nil
}

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// corePorts is how many per-core ports there are.
func (s *server) corePorts() int {
	sign := ""
	if s.cfg.CorePorts == "auto" {
		sign = perf.Container()
	}
	if s.cfg.CorePorts == "off" || sign != "" {
		s.facts.CorePorts = "off"
		if sign != "" {
			s.facts.CorePorts = fmt.Sprintf("off: this looks like a container (%s); --core-ports on opens them", sign)
		}
		return 0
	}
	return min(s.facts.Shards, coresMax)
}

// binds lists the addresses of the Kafka ports, the normal one first.
func (s *server) binds() []string {
	out := []string{s.cfg.Kafka}
	host, _, _ := splitHostPort(s.cfg.Kafka)
	for i := range s.corePorts() {
		out = append(out, joinHostPort(host, s.cfg.CorePort+i))
	}
	return out
}

// openAdmin comes before what takes long, so that /readyz can say what goes on.
func (s *server) openAdmin() (err error) {
	eyes := s.viewer()
	s.admin, err = admin.Listen(s.cfg.Admin, admin.Source{Health: s.health, Ready: s.isReady, Status: s.status,
		Views: s.views(eyes), Metrics: metrics.Handler(s.metrics(eyes))})
	if err != nil {
		return portError(err, s.cfg.Admin, "--admin")
	}
	s.facts.Admin = s.admin.Addr()
	return nil
}

// tryPorts finds out before the recovery whether the ports can be had after it. It holds
// all of them at once, so that none is wanted twice.
func (s *server) tryPorts() (err error) {
	if err := netio.Congestion(s.cfg.Congestion); err != nil {
		return fmt.Errorf("congestion_control %s: %w; sysctl net.ipv4.tcp_available_congestion_control lists what there is", s.cfg.Congestion, err)
	}
	ours := map[string]bool{s.facts.Admin: true}
	for i, addr := range s.binds() {
		if ours[addr] {
			return fmt.Errorf("%s is wanted twice: by the normal port, the admin port or a per-core port; choose another with %s", addr, portFlag(i > 0))
		}
		l, e := netio.Listen(addr, i, nil, nil)
		if e != nil {
			return errors.Join(err, portError(e, addr, portFlag(i > 0)))
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ours[l.Addr().String()] = true
	}
	return nil
}

// portFlag names the setting to change.
func portFlag(ofCore bool) string {
	if ofCore {
		return "--core-port, or switch these ports off with --core-ports off"
	}
	return "--kafka"
}

// listen opens the ports last, and accepts when all are known: whoever connects is served,
// and told the right ones.
func (s *server) listen() error {
	s.limit = netio.NewLimit(s.connectionsMax())
	for i := range s.cluster.Listeners {
		c := &s.cluster.Listeners[i]
		l, err := netio.Listen(c.Bind, i, spread(s.loops, c.Core, s.cluster.Brokers), s.limit)
		if err != nil {
			return portError(err, c.Bind, portFlag(c.Core != core.NormalView))
		}
		s.listeners = append(s.listeners, l)
		c.Bind = l.Addr().String()
		if c.Port == 0 {
			c.Port = int32(l.Addr().Port())
		}
		s.facts.Listeners = append(s.facts.Listeners, s.describe(c))
	}
	for _, l := range s.listeners {
		l.Start()
	}
	s.stopped = make(chan struct{})
	go s.watch(s.stopped)
	s.facts.Security = "off, loopback only: nobody is authenticated yet; --kafka HOST:9092 --insecure opens it to a network that is trusted"
	if !loopback(s.cfg.Kafka) {
		s.facts.Security = "INSECURE: everybody who reaches " + s.cfg.Kafka + " may read, write and delete everything"
	}
	return nil
}

// spread chooses the loops of one listener's connections in turn: of the normal port all,
// of a per-core port those of the shards that its broker stands for. Any goroutine.
func spread(loops []*netio.Loop, of, brokers int) func() *netio.Loop {
	first, step := 0, 1
	if of != core.NormalView {
		first, step = of, brokers
	}
	var turn atomic.Uint32
	n := uint32((len(loops) - first + step - 1) / step)
	return func() *netio.Loop { return loops[first+int(turn.Add(1)%n)*step] }
}

func (s *server) describe(c *core.Listener) listenerFacts {
	f := listenerFacts{Protocol: c.Protocol, Address: c.Bind, View: "one broker", Security: "plaintext", Advertised: "as connected"}
	if c.Advertised != "" {
		f.Advertised = joinHostPort(c.Advertised, int(c.Port))
	}
	if c.Core != core.NormalView {
		f.View = fmt.Sprintf("core %d of %d", c.Core, s.cluster.Brokers)
	}
	return f
}

func portError(err error, addr, flag string) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("the port of %s is taken: stop the process that listens there (ss -ltnp shows it), or choose another with %s", addr, flag)
	}
	return fmt.Errorf("listen on %s: %w; choose another address with %s", addr, err, flag)
}

// descriptorsMax is the limit of open files.
func descriptorsMax() int {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return 1024
	}
	return int(min(lim.Cur, 1<<24))
}

// segmentsMax is how many idle segments a shard keeps open, with up to two descriptors
// each: half of all are for segments, and those in use come on top.
func segmentsMax(shards int) int { return min(max(descriptorsMax()/8/shards, 16), 4096) }

// connectionsMax leaves descriptors for segments and for the process itself.
func (s *server) connectionsMax() int {
	allowed := max(16, descriptorsMax()/2-spareFiles)
	if s.cfg.Connections > 0 {
		return min(s.cfg.Connections, allowed)
	}
	return allowed
}

// isReady is nil while clients are served.
func (s *server) isReady() error {
	r := s.running.Load()
	if phase := *s.phase.Load(); phase != phaseServing || r == nil {
		return errors.New("the broker is " + phase)
	}
	for i, sh := range r.shards {
		if f := sh.Stats().Failed; f != "" {
			return fmt.Errorf("shard %d acknowledges nothing any more: %s", i, f)
		}
	}
	if diskFull(r.shards) {
		return fmt.Errorf("the disk of %s is full, so no records are taken in: %s", s.disk.dir, fullRemedy)
	}
	return nil
}

// health asks every loop to turn. A loop that has ended is not stuck.
func (s *server) health() error {
	r := s.running.Load()
	if r == nil {
		return nil // starting; whoever answers is alive
	}
	for i, l := range r.loops {
		turned := make(chan struct{})
		go func() {
			l.Do(func() {})
			close(turned)
		}()
		select {
		case <-turned:
		case <-time.After(healthPatient):
			return fmt.Errorf("the loop of shard %d has not turned for %s", i, healthPatient)
		}
	}
	return nil
}

// status is what /v1/status shows.
func (s *server) status() any {
	out := map[string]any{"state": *s.phase.Load(), "version": version}
	r := s.running.Load()
	if r == nil {
		return out
	}
	shards := r.fullShards()
	total, usable := s.disk.space()
	out["disk"] = map[string]int64{"total_bytes": total, "usable_bytes": usable}
	out["connections"] = map[string]any{"open": s.limit.Open(), "max": s.limit.Max(), "turned_away": s.refusals()}
	out["log_lines_dropped"] = s.lines.dropped.Load()
	out["facts"], out["shards"], out["catalog_revision"] = r.facts, shards, r.catalog.Load().Revision
	return out
}

func (s *server) topicDefaults() core.TopicConfig {
	def, err := core.ParseTopicConfig(core.DefaultTopicConfig(), s.cfg.Topic)
	core.Assert(err == nil, "the topic defaults were checked at the start")
	return def
}
