package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/netio"
	"github.com/penstock/penstock/netio/admin"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/shard/kafka"
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

// listen opens the ports last: whoever connects is served.
func (s *server) listen() error {
	limit := netio.NewLimit(s.connectionsMax())
	var turn atomic.Uint32
	spread := func() *netio.Loop { return s.loops[turn.Add(1)%uint32(len(s.loops))] }
	for i := range s.cluster.Listeners {
		c := &s.cluster.Listeners[i]
		next := spread
		if c.Core != core.NormalView {
			var own atomic.Uint32 // the shards that this broker stands for
			n := (len(s.loops) - c.Core + s.cluster.Brokers - 1) / s.cluster.Brokers
			next = func() *netio.Loop { return s.loops[c.Core+int(own.Add(1)%uint32(n))*s.cluster.Brokers] }
		}
		l, err := netio.Listen(c.Bind, i, next, limit)
		if err != nil {
			return portError(err, c.Bind, map[bool]string{true: "--kafka", false: "--core-port, or switch these ports off with --core-ports off"}[c.Core == core.NormalView])
		}
		s.listeners = append(s.listeners, l)
		c.Bind = l.Addr().String()
		if c.Port == 0 {
			c.Port = int32(l.Addr().Port())
		}
		s.facts.Listeners = append(s.facts.Listeners, s.describe(c))
	}
	var err error
	s.admin, err = admin.Listen(s.cfg.Admin, admin.Source{Health: s.health, Ready: s.isReady, Status: s.status})
	if err != nil {
		return portError(err, s.cfg.Admin, "--admin")
	}
	s.facts.Admin = s.admin.Addr()
	s.facts.Security = "off, loopback only: nobody is authenticated yet"
	if !loopback(s.cfg.Kafka) {
		s.facts.Security = "INSECURE: everybody who reaches " + s.cfg.Kafka + " may read, write and delete everything"
	}
	return nil
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

// connectionsMax leaves descriptors for segments and for the process itself.
func (s *server) connectionsMax() int {
	var lim unix.Rlimit
	allowed := 1024
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil {
		allowed = int(min(lim.Cur, 1<<24))
	}
	allowed = max(16, allowed/2-spareFiles)
	if s.cfg.Connections > 0 {
		return min(s.cfg.Connections, allowed)
	}
	return allowed
}

// isReady is nil while clients are served.
func (s *server) isReady() error {
	if !s.serving.Load() {
		return errors.New("the broker is starting or stopping")
	}
	for i, sh := range s.shards {
		if f := sh.Stats().Failed; f != "" {
			return fmt.Errorf("shard %d acknowledges nothing any more: %s", i, f)
		}
	}
	return nil
}

// health asks every loop to turn.
func (s *server) health() error {
	for i, l := range s.loops {
		turned := make(chan struct{})
		go l.Do(func() { close(turned) })
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
	type shardStatus struct {
		Shard int         `json:"shard"`
		Loop  netio.Stats `json:"loop"`
		Stats any         `json:"stats"`
	}
	var shards []shardStatus
	for i, sh := range s.shards {
		shards = append(shards, shardStatus{i, s.loops[i].Stats(), sh.Stats()})
	}
	return map[string]any{"facts": s.facts, "shards": shards, "catalog_revision": s.meta.Catalog().Load().Revision}
}

func (s *server) topicDefaults() core.TopicConfig {
	def, err := core.ParseTopicConfig(core.DefaultTopicConfig(), s.cfg.Topic)
	core.Assert(err == nil, "the topic defaults were checked at the start")
	return def
}

// brokerSettings is what DescribeConfigs shows of the broker: Kafka's names that are
// honoured.
func (s *server) brokerSettings() []kafka.BrokerSetting {
	return s.cfg.Broker
}
