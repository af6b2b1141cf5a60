package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/bench/crowd"
	"github.com/penstock/penstock/bench/load"
)

// What is equal in all sizes: the bytes, the batch, the requests in flight. Connections
// and partitions have their turn, one request each; with 10,000 partitions a pass gives
// each of them one batch.
const (
	sizeBatch    = 64 << 10
	sizeInFlight = 16
	sizePass     = 10_000 // batches
	sizePasses   = 3      // the first is not measured
	sizeGood     = 1.3    // times what the smallest size costs
	sizeParts    = 16     // partitions while connections or shards vary,
	sizeConns    = 16     // and connections while those or partitions do
)

// sized is one size, and what was measured of it.
type sized struct {
	what              string
	on                *bench
	partitions, conns int
	coreView          bool

	produce, fetch []float64 // CPU s/GB
	load           []float64 // CPU s/GB of the load, of both
}

// sizeShards compares one shard with two. With two, a client of the normal port reaches
// the wrong core half of the time, and one of the per-core ports never does.
func (b *bench) sizeShards() error {
	one, two := b.beside(1, false), b.beside(2, true)
	defer one.stop()
	defer two.stop()
	for _, s := range []*bench{one, two} {
		if err := s.serve(); err != nil {
			return err
		}
	}
	return b.sizes([]*sized{
		{what: "1 shard", on: one, partitions: sizeParts, conns: sizeConns},
		{what: "2 shards, per-core ports", on: two, partitions: sizeParts, conns: sizeConns, coreView: true},
		{what: "2 shards, normal port", on: two, partitions: sizeParts, conns: sizeConns},
	})
}

// beside is another broker of the same run.
func (b *bench) beside(shards int, corePorts bool) *bench {
	return &bench{Options: b.Options, result: b.result, shards: shards, corePorts: corePorts}
}

func (b *bench) sizePartitions() error {
	if err := b.serve(); err != nil {
		return err
	}
	var all []*sized
	for _, n := range []int{1, 100, 1_000, 10_000} {
		all = append(all, &sized{what: count(n, "partition"), on: b, partitions: n, conns: sizeConns})
	}
	return b.sizes(all)
}

func (b *bench) sizeConnections() error {
	if err := b.serve(); err != nil {
		return err
	}
	var all []*sized
	for _, n := range []int{1, 100, 1_000, connsMost()} {
		all = append(all, &sized{what: count(n, "connection"), on: b, partitions: sizeParts, conns: n})
	}
	return b.sizes(all)
}

// connsMost is 10,000, or what the limit of open files leaves: a broker keeps half of its
// descriptors, and some more, from connections. Go has raised the limit as far as it may.
func connsMost() int {
	const most, kept = 10_000, 512 + 88
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil || lim.Cur/2 > most+kept {
		return most
	}
	return max(int(lim.Cur/2)-kept, 1_001)
}

// count is a number with its noun: "1 partition", "10,000 partitions".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d %s", n/1000, n%1000, what)
	}
	return fmt.Sprintf("%d %s", n, what)
}

// sizeRoundsMax bounds the time that the sizes take: a round is about three minutes.
const sizeRoundsMax = 3

// sizes measures all sizes in turn, and compares each with the first one of its round.
func (b *bench) sizes(all []*sized) error {
	p := load.Produce{RecordSize: recordSize, BatchSize: sizeBatch}
	batch, records := p.Batch()
	for range min(b.Rounds, sizeRoundsMax) {
		for _, s := range all {
			began := time.Now()
			if err := s.measure(batch, records); err != nil {
				return fmt.Errorf("%s: %w", s.what, err)
			}
			i := len(s.produce) - 1
			b.say("  %s: produce %.3g, fetch %.3g, load %.3g CPU s/GB; %.1f s", s.what, s.produce[i], s.fetch[i], s.load[i], time.Since(began).Seconds())
		}
	}
	for _, kind := range []struct {
		name string
		of   func(*sized) []float64
	}{
		{"produce", func(s *sized) []float64 { return s.produce }},
		{"fetch", func(s *sized) []float64 { return s.fetch }},
	} {
		least := kind.of(all[0])
		for i, s := range all {
			cost := kind.of(s)
			name := fmt.Sprintf("size: %s 64 KiB, os, %s", kind.name, s.what)
			ratios := make([]float64, len(cost))
			for k := range cost {
				ratios[k] = cost[k] / least[k]
			}
			b.row(Row{Name: name, Unit: "CPU s/GB"}, cost...)
			if i > 0 {
				b.row(Row{Name: name + ": to " + all[0].what, Unit: "times", Good: sizeGood}, ratios...)
			}
		}
	}
	return nil
}

// measure is one turn of a size: a topic is made, filled, read, and deleted.
func (s *sized) measure(batch []byte, records int) error {
	b := s.on
	topic, err := b.topic(s.partitions, "os")
	if err != nil {
		return err
	}
	at := crowd.Target{Addr: b.addr}
	for i := range s.partitions {
		at.Partitions = append(at.Partitions, int32(i))
	}
	targets := []crowd.Target{at}
	if s.coreView {
		if targets, err = crowd.Targets(b.coreAddr, topic); err != nil {
			return err
		}
	}
	c, err := crowd.Open(targets, s.conns)
	if err != nil {
		return err
	}
	defer c.Close()
	b.ballast.Hold()
	b.ballast.Release()
	a := crowd.Amount{InFlight: sizeInFlight, Warm: sizePass * int64(len(batch)), Bytes: (sizePasses - 1) * sizePass * int64(len(batch))}
	self := 0.0
	cost := func(run func(a crowd.Amount) (crowd.Stats, error)) (float64, error) {
		m, err := measured(b.broker, func(mark func()) (load.Stats, error) {
			a.Mark = mark
			st, err := run(a)
			self += st.CPU / (float64(st.Bytes) / 1e9) / 2
			return load.Stats{Requests: st.Requests, Bytes: st.Bytes, Total: st.Bytes, Elapsed: st.Elapsed}, err
		})
		return m.perGB(), err
	}
	produce, err := cost(func(a crowd.Amount) (crowd.Stats, error) { return c.Produce(a, topic, 1, batch) })
	if err != nil {
		return err
	}
	// A little more than three passes were sent: what was in flight at the end.
	log := crowd.Log{Batches: sizePass * sizePasses / s.partitions, BatchSize: len(batch), Records: records}
	fetch, err := cost(func(a crowd.Amount) (crowd.Stats, error) { return c.Fetch(a, topic, log) })
	if err != nil {
		return err
	}
	s.produce, s.fetch, s.load = append(s.produce, produce), append(s.fetch, fetch), append(s.load, self)
	if err := b.admin.DeleteTopic(topic); err != nil {
		return err
	}
	err = b.broker.rest()
	b.ballast.Hold() // the pages that its files had
	return err
}

// sizeIdle is the CPU that a broker uses that 1,000 clients are connected to, of whom
// nobody asks anything.
func (b *bench) sizeIdle() error {
	if err := b.serve(); err != nil {
		return err
	}
	c, err := crowd.Open([]crowd.Target{{Addr: b.addr}}, 1000)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := b.broker.rest(); err != nil {
		return err
	}
	var used []float64
	for range min(b.Rounds, sizeRoundsMax) {
		before := b.broker.usage()
		time.Sleep(5 * time.Second)
		after := b.broker.usage()
		used = append(used, (after.CPU-before.CPU)/after.at.Sub(before.at).Seconds()*100)
	}
	b.row(Row{Name: "size: idle, with 1,000 connections", Unit: "% of a CPU", Good: 1}, used...)
	return nil
}

// rest returns when a process has nothing left to do: less than 2 % of a CPU.
func (p *process) rest() error {
	const look, least, patience = 200 * time.Millisecond, 0.02, 60 * time.Second
	before := p.usage()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		time.Sleep(look)
		now := p.usage()
		if now.CPU-before.CPU < least*now.at.Sub(before.at).Seconds() {
			return nil
		}
		before = now
	}
	return p.failure("is not at rest after " + patience.String())
}
