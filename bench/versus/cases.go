package versus

import (
	"time"

	"github.com/penstock/penstock/bench/workload"
)

// Brokers.
const (
	Kafka    = "Kafka"
	Penstock = "Penstock"
)

// side is one of those that a load is put on.
type side struct {
	name       string
	broker     string
	durability string // of the topics: os or synced
	view       string // normal or cores
}

var (
	kafkaDefault   = side{"Kafka", Kafka, "os", "normal"}
	kafkaFlush     = side{"Kafka, flush.messages=1", Kafka, "synced", "normal"}
	penstockOS     = side{"Penstock, os", Penstock, "os", "normal"}
	penstockSynced = side{"Penstock, synced", Penstock, "synced", "normal"}
	penstockCores  = side{"Penstock, os, per-core ports", Penstock, "os", "cores"}
)

// goal is a bound that we hold ourselves to: the median of a ratio, at least.
type goal struct {
	metric  string
	atLeast float64
}

// pair is two sides of a case whose ratio is taken, a over b.
type pair struct {
	a, b    int
	unequal bool // durability differs, which is the point
	goals   []goal
}

// kinds of load.
const (
	own       = ""                         // bench/run
	producing = "kafka-producer-perf-test" // Kafka's own
	consuming = "kafka-consumer-perf-test"
)

// scenario is one load with the sides that take it.
type scenario struct {
	name  string
	load  string // own, producing or consuming
	work  workload.Workload
	half  bool // at half the rate that the slower side reaches
	sides []side
	pairs []pair
	full  bool // not in a quick run
}

// produce is records of 1 KiB in batches of a size.
func produce(batch int) workload.Workload {
	w := workload.New(workload.Produce)
	w.RecordSize, w.BatchSize = 1<<10, batch
	return w
}

var produceGoals = []goal{{"cpu_per_gb", 5}}

// memoryGoal is of what the brokers hold after all the load.
var memoryGoal = goal{"rss", 4}

// scenarios are all of them, in their order.
func scenarios() []scenario {
	small := workload.New(workload.Produce)
	small.RecordSize, small.BatchRecords = 100, 1
	small.InFlight = 16
	consume := workload.New(workload.Consume)
	consume.BatchSize = 64 << 10
	mixed := workload.New(workload.Mixed)
	mixed.BatchSize = 64 << 10
	e2e := workload.New(workload.EndToEnd)
	all := []side{kafkaDefault, penstockOS, kafkaFlush, penstockSynced}
	pairs := []pair{{0, 1, false, produceGoals}, {2, 3, false, nil}, {0, 3, true, []goal{{"cpu_per_gb", 2}}}}
	base := []side{kafkaDefault, penstockOS}
	flushed := []side{kafkaFlush, penstockSynced}
	tools := []side{kafkaDefault, penstockOS}
	one := func(goals ...goal) []pair { return []pair{{0, 1, false, goals}} }
	views := []side{penstockOS, penstockCores}
	return []scenario{
		{name: "produce, 1 KiB records in 16 KiB batches", work: produce(16 << 10), sides: all, pairs: pairs},
		{name: "produce, 1 KiB records in 64 KiB batches", work: produce(64 << 10), sides: all, pairs: pairs},
		{name: "produce, 1 KiB records in 1 MiB batches", work: produce(1 << 20), sides: all, pairs: pairs},
		{name: "produce, 100-byte records, one per batch, 16 in flight", work: small, sides: base, pairs: one(goal{"cpu_per_million", 3})},
		{name: "consume, 64 KiB batches, from the page cache", work: consume, sides: base, pairs: one(goal{"cpu_per_gb", 2})},
		{name: "mixed, 64 KiB batches", work: mixed, sides: base, pairs: one(goal{"cpu_per_gb", 3})},
		{name: "produce at half load, 16 KiB batches", work: produce(16 << 10), half: true, sides: base, pairs: one(goal{"p99.9", 3})},
		{name: "produce at half load, 16 KiB batches, synced", work: produce(16 << 10), half: true, sides: flushed, pairs: one(), full: true},
		{name: "end to end at half load, 16 KiB batches", work: e2e, half: true, sides: base, pairs: one(goal{"p99.9", 3}), full: true},
		{name: "produce by Kafka's own test, 1 KiB records, its defaults", load: producing, work: tool(producing), sides: tools, pairs: one()},
		{name: "consume by Kafka's own test, 1 KiB records, its defaults", load: consuming, work: tool(consuming), sides: tools, pairs: one()},
		{name: "views: produce, 16 KiB batches, one in flight", work: inFlight(produce(16<<10), 1), sides: views, pairs: one()},
		{name: "views: produce, 16 KiB batches, 16 in flight", work: inFlight(produce(16<<10), 16), sides: views, pairs: one()},
	}
}

func inFlight(w workload.Workload, n int) workload.Workload {
	w.InFlight = n
	return w
}

// tool is what Kafka's own tests do, in the words of a workload.
func tool(name string) workload.Workload {
	w := workload.New(workload.Produce)
	if name == consuming {
		w = workload.New(workload.Consume)
		w.Consumers, w.Groups, w.Backlog = 1, 1, 0
	} else {
		w.Producers, w.Idempotent = 1, true
	}
	w.Client, w.Partitions = name, toolPartitions
	return w
}

const toolPartitions = 8

// timed gives a workload the times of the run.
func (o *Options) timed(w workload.Workload, name string) workload.Workload {
	w.Name, w.Warmup, w.Duration = name, workload.Time(o.Warmup), workload.Time(o.Duration)
	if w.Kind == workload.Consume && w.Backlog > 0 && o.Quick {
		w.Backlog = 256 << 20
	}
	return w
}

// warm are the loads that each broker has before the first round: 10 s of the JVM's time
// and more, over all the code that is measured.
func (o *Options) warm() []workload.Workload {
	mixed, small := workload.New(workload.Mixed), produce(16<<10)
	small.RecordSize, small.BatchRecords = 100, 1
	out := []workload.Workload{mixed, small}
	for i := range out {
		out[i].Name, out[i].Warmup, out[i].Duration = "warm-up", 0, workload.Time(o.JVM/time.Duration(len(out)))
	}
	return out
}
