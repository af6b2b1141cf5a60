package bench

import (
	"fmt"

	"github.com/penstock/penstock/bench/floor"
	"github.com/penstock/penstock/bench/load"
)

// scenario is one part of a run. It begins with nothing running.
type scenario struct {
	name string
	long bool // takes minutes
	own  bool // only with a broker that we start
	run  func(*bench) error
}

var scenarios = []scenario{
	{"page cache", false, false, (*bench).pageCache},
	{"produce 1 MiB", false, false, func(b *bench) error { return b.produceBatches("1 MiB", 1<<20) }},
	{"produce 64 KiB", false, false, func(b *bench) error { return b.produceBatches("64 KiB", 64<<10) }},
	{"produce 16 KiB", false, false, func(b *bench) error {
		return b.produceRequests("produce 16 KiB, 16 connections, one in flight each", 16<<10, 16, 1, 10, 14)
	}},
	{"produce 1 KiB", false, false, func(b *bench) error {
		return b.produceRequests("produce 1 KiB, 2 connections, 64 in flight each", 1<<10, 2, 64, 0.8, 1.5)
	}},
	{"fetch 1 MiB", false, false, func(b *bench) error { return b.fetchBatches("1 MiB", 1<<20, 64<<10, 0.28) }},
	{"fetch 64 KiB", false, false, func(b *bench) error { return b.fetchBatches("64 KiB", 64<<10, 64<<10, 0.32) }},
	{"fetch 16 KiB", false, false, func(b *bench) error { return b.fetchRequests("fetch 16 KiB", 16<<10) }},
	{"fetch 1 KiB", false, false, func(b *bench) error { return b.fetchRequests("fetch 1 KiB", 1<<10) }},
	{"commit latency", false, false, (*bench).commitLatency},
	{"steady", false, true, (*bench).steady},
	{"cold reads", false, true, (*bench).coldReads},
	{"slow readers", false, false, (*bench).slowReaders},
	{"idle", false, true, (*bench).idle},
	{"start", true, true, (*bench).startAfterKill},
	{"size: shards", false, true, (*bench).sizeShards},
	{"size: partitions", false, true, (*bench).sizePartitions},
	{"size: connections", false, true, (*bench).sizeConnections},
	{"size: idle connections", false, true, (*bench).sizeIdle},
}

const recordSize = 1000 // with what a record needs around it, about 1 KiB

func (b *bench) shape(addr string, conns, depth int) load.Shape {
	return load.Shape{Addr: addr, Conns: conns, Depth: depth, Warmup: b.Warmup, Duration: b.Duration}
}

// produceTo measures a produce to a topic made for it, which is deleted after.
func (b *bench) produceTo(p load.Produce, durability string) (sample, error) {
	topic, err := b.topic(p.Partitions, durability)
	if err != nil {
		return sample{}, err
	}
	p.Topic, p.Addr = topic, b.addr
	before := deviceWritten(b.Dir)
	b.ballast.Hold()
	b.ballast.Release()
	s, err := measured(b.broker, func(mark func()) (load.Stats, error) { p.Mark = mark; return p.Run() })
	if err != nil {
		return s, err
	}
	s.Disk = float64(deviceWritten(b.Dir)-before) / float64(s.Total)
	err = b.admin.DeleteTopic(topic)
	b.ballast.Hold() // the pages that its files had
	return s, err
}

// produceFloor measures the same load against a floor.
func produceFloor(f *process, p load.Produce, addr string) (sample, error) {
	p.Addr = addr
	return measured(f, func(mark func()) (load.Stats, error) { p.Mark = mark; return p.Run() })
}

// produceFloors are the servers that a produce is measured against, all in turn.
func (b *bench) produceFloors(answer []byte) ([]*rival, error) {
	rivals := []*rival{
		{what: "a bare gnet server", note: "holds each frame whole, then answers; reads 64 KiB at a time, as the broker does", args: floor.ProduceArgs(answer, floor.ReadBuffer, false)},
		{what: "one that reads 256 KiB at a time", note: "which never copies a frame of 64 KiB", args: floor.ProduceArgs(answer, 4*floor.ReadBuffer, false)},
		{what: "one that keeps nothing", note: "receiving alone", args: floor.ProduceArgs(answer, floor.ReadBuffer, true)},
	}
	for _, r := range rivals {
		var err error
		if r.process, r.addr, err = b.floor(r.args); err != nil {
			return nil, err
		}
	}
	return rivals, nil
}

// rival is a server beside the broker, and what was measured of it.
type rival struct {
	what, note string
	args       []string
	process    *process
	addr       string
	cost       []float64 // CPU s/GB
	os         []float64 // what os costs, to it
	synced     []float64
}

// produceBatches is the main comparison: the floors, os and synced, in CPU per GB.
func (b *bench) produceBatches(what string, size int) error {
	if err := b.serve(); err != nil {
		return err
	}
	p := load.Produce{Shape: b.shape("", 4, 4), Topic: "bench-0000", Partitions: 16, Acks: 1, RecordSize: recordSize, BatchSize: size}
	rivals, err := b.produceFloors(p.Answer())
	if err != nil {
		return err
	}
	// Once without counting: the journal writes its files for the first time.
	if _, err := b.produceTo(p, "synced"); err != nil {
		return err
	}
	var osCost, osDisk, osRate, syncCost, syncDisk, syncRate, anon []float64
	for range b.Rounds {
		for _, r := range rivals {
			s, err := produceFloor(r.process, p, r.addr)
			if err != nil {
				return err
			}
			r.cost = append(r.cost, s.perGB())
		}
		p.Acks = 1
		o, err := b.produceTo(p, "os")
		if err != nil {
			return err
		}
		p.Acks = -1
		s, err := b.produceTo(p, "synced")
		if err != nil {
			return err
		}
		for _, r := range rivals {
			least := r.cost[len(r.cost)-1]
			r.os, r.synced = append(r.os, o.perGB()/least), append(r.synced, s.perGB()/least)
		}
		osCost, osDisk, osRate = append(osCost, o.perGB()), append(osDisk, o.Disk), append(osRate, rate(o))
		syncCost, syncDisk, syncRate = append(syncCost, s.perGB()), append(syncDisk, s.Disk), append(syncRate, rate(s))
		anon = append(anon, float64(s.Anon)/1e6)
	}
	name := "produce " + what + " batches"
	for _, r := range rivals {
		b.row(Row{Name: name + ": " + r.what, Unit: "CPU s/GB", Note: r.note}, r.cost...)
	}
	b.row(Row{Name: name + ", os", Unit: "CPU s/GB", Good: 0.35, Alarm: 0.5}, osCost...)
	b.row(Row{Name: name + ", os: disk", Unit: "bytes per byte", Good: 1.1}, osDisk...)
	b.row(Row{Name: name + ", os: rate", Unit: "GB/s"}, osRate...)
	b.row(Row{Name: name + ", synced", Unit: "CPU s/GB"}, syncCost...)
	b.row(Row{Name: name + ", synced: disk", Unit: "bytes per byte", Good: 2.1}, syncDisk...)
	rated := Row{Name: name + ", synced: rate", Unit: "GB/s"}
	if size >= 1<<20 {
		rated.Good, rated.AtLeast = 1, true
	}
	b.row(rated, syncRate...)
	for i, r := range rivals {
		o, s := Row{Name: name + ", os: to " + r.what, Unit: "times"}, Row{Name: name + ", synced: to " + r.what, Unit: "times"}
		if i == 0 {
			o.Good, s.Good = 2.2, 4.5
		}
		b.row(o, r.os...)
		b.row(s, r.synced...)
	}
	b.row(Row{Name: name + ", synced: resident heap under load", Unit: "MB"}, anon...)
	return nil
}

func rate(s sample) float64 { return float64(s.Bytes) / 1e9 / s.Elapsed.Seconds() }

// produceRequests is about what a request costs.
func (b *bench) produceRequests(what string, size, conns, depth int, good, alarm float64) error {
	if err := b.serve(); err != nil {
		return err
	}
	p := load.Produce{Shape: b.shape("", conns, depth), Topic: "bench-0000", Partitions: 16, Acks: 1, RecordSize: min(recordSize, size-100), BatchSize: size}
	fp, addr, err := b.floor(floor.ProduceArgs(p.Answer(), floor.ReadBuffer, false))
	if err != nil {
		return err
	}
	var least, cost, rates []float64
	for range b.Rounds {
		f, err := produceFloor(fp, p, addr)
		if err != nil {
			return err
		}
		s, err := b.produceTo(p, "os")
		if err != nil {
			return err
		}
		least, cost, rates = append(least, f.perRequest()), append(cost, s.perRequest()), append(rates, float64(s.Requests)/s.Elapsed.Seconds()/1000)
	}
	b.row(Row{Name: what + ": bare gnet server", Unit: "CPU us/request"}, least...)
	b.row(Row{Name: what + ", os", Unit: "CPU us/request", Good: good, Alarm: alarm}, cost...)
	b.row(Row{Name: what + ", os: rate", Unit: "thousand/s"}, rates...)
	return nil
}

// fill makes a topic with so many bytes in batches of one size, and a Fetch of it.
func (b *bench) fill(partitions, batch int, bytes int64, durability string) (load.Fetch, error) {
	topic, err := b.topic(partitions, durability)
	if err != nil {
		return load.Fetch{}, err
	}
	p := load.Produce{Shape: load.Shape{Addr: b.addr, Conns: 1, Depth: 4}, Topic: topic, Partitions: partitions, Acks: 1,
		RecordSize: min(recordSize, batch-100), BatchSize: batch}
	one, records := p.Batch()
	if err := p.Fill(int(bytes) / len(one)); err != nil {
		return load.Fetch{}, fmt.Errorf("filling a topic: %w\n%w", err, b.broker.failure(""))
	}
	return load.Fetch{Topic: topic, Partitions: partitions, BatchSize: len(one), Records: records}, nil
}

// fetchBatches compares fetches by sendfile with a bare sendfile loop.
func (b *bench) fetchBatches(what string, size, batch int, good float64) error {
	if err := b.serve(); err != nil {
		return err
	}
	f, err := b.fill(4, batch, 512<<20, "os")
	if err != nil {
		return err
	}
	f.MaxBytes = size
	whole := max(size/f.BatchSize, 1) * f.BatchSize
	path, err := b.file(512 << 20)
	if err != nil {
		return err
	}
	head, tail := f.Answer(whole)
	fp, addr, err := b.floor(floor.FetchArgs(head, tail, path, whole))
	if err != nil {
		return err
	}
	var least, cost, ratio, rates []float64
	for range b.Rounds {
		f.Shape = b.shape(addr, 4, 4)
		l, err := measured(fp, func(mark func()) (load.Stats, error) { f.Mark = mark; return f.Run() })
		if err != nil {
			return err
		}
		f.Shape = b.shape(b.addr, 4, 4)
		s, err := measured(b.broker, func(mark func()) (load.Stats, error) { f.Mark = mark; return f.Run() })
		if err != nil {
			return err
		}
		least, cost, ratio, rates = append(least, l.perGB()), append(cost, s.perGB()), append(ratio, s.perGB()/l.perGB()), append(rates, rate(s))
	}
	name := "fetch " + what
	b.row(Row{Name: name + ": bare sendfile loop", Unit: "CPU s/GB"}, least...)
	b.row(Row{Name: name, Unit: "CPU s/GB", Good: good, Alarm: 0.45}, cost...)
	b.row(Row{Name: name + ": to the bare loop", Unit: "times", Good: 1.3}, ratio...)
	b.row(Row{Name: name + ": rate", Unit: "GB/s"}, rates...)
	return nil
}

// fetchRequests is about what a small fetch costs.
func (b *bench) fetchRequests(what string, size int) error {
	if err := b.serve(); err != nil {
		return err
	}
	f, err := b.fill(4, size, 64<<20, "os")
	if err != nil {
		return err
	}
	f.MaxBytes = size
	var cost, rates []float64
	for range b.Rounds {
		f.Shape = b.shape(b.addr, 4, 4)
		s, err := measured(b.broker, func(mark func()) (load.Stats, error) { f.Mark = mark; return f.Run() })
		if err != nil {
			return err
		}
		cost, rates = append(cost, s.perRequest()), append(rates, float64(s.Requests)/s.Elapsed.Seconds()/1000)
	}
	b.row(Row{Name: what + ", one partition a request", Unit: "CPU us/request", Good: 11, Alarm: 15}, cost...)
	b.row(Row{Name: what + ": rate", Unit: "thousand/s"}, rates...)
	return nil
}
