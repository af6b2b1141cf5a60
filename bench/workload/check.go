package workload

import (
	"fmt"
	"time"
)

// New is a workload of a kind with the defaults of that kind.
func New(kind string) Workload {
	w := Workload{
		Name: kind, Kind: kind, Topics: 1, Partitions: 8,
		RecordSize: 1 << 10, BatchSize: 16 << 10, Keys: "none", KeySize: 8, Compression: "none", Payload: Random,
		InFlight: 5, Acks: "all", FetchMax: 1 << 20, FetchMin: 1,
		Warmup: Time(5 * time.Second), Duration: Time(30 * time.Second), Client: Wire, View: "normal",
	}
	if kind != Consume {
		w.Producers = 4
	}
	if kind != Produce {
		w.Consumers = 4
	}
	if kind == Consume {
		w.Backlog, w.InFlight = 512<<20, 1
	}
	return w
}

// Values of fields that others compare with.
const (
	Random = "random" // Payload
	Wire   = "wire"   // Client
	Franz  = "franz"
	Cores  = "cores" // View
)

// Produces says whether records are sent while it is measured.
func (w *Workload) Produces() bool { return w.Kind != Consume }

// Consumes says whether records are read.
func (w *Workload) Consumes() bool { return w.Kind != Produce }

// Check says what does not fit together, with what to change.
func (w *Workload) Check() error {
	switch {
	case w.Kind == "":
		return fmt.Errorf("kind is missing: it is produce, consume, e2e or mixed")
	case w.Topics < 1 || w.Partitions < 1:
		return fmt.Errorf("topics and partitions must be at least 1")
	case w.Duration <= 0:
		return fmt.Errorf("duration must be more than nothing")
	case w.InFlight < 1:
		return fmt.Errorf("in_flight must be at least 1")
	case w.BatchSize < 1 && w.BatchRecords < 1:
		return fmt.Errorf("batch_size or batch_records must be at least 1")
	case w.Produces() && w.Producers < 1:
		return fmt.Errorf("producers must be at least 1 for kind %s", w.Kind)
	case w.Consumes() && w.Consumers < 1:
		return fmt.Errorf("consumers must be at least 1 for kind %s", w.Kind)
	case !w.Produces() && w.Producers > 0:
		return fmt.Errorf("producers have no meaning for kind %s: the backlog is written by connections of its own", w.Kind)
	case !w.Consumes() && w.Consumers+w.Groups > 0:
		return fmt.Errorf("consumers and groups have no meaning for kind %s", w.Kind)
	case w.Keys != "none" && w.KeySize < 1:
		return fmt.Errorf("key_size must be at least 1 with keys: %s", w.Keys)
	case w.Backlog > 0 && (w.Kind == Produce || w.Kind == EndToEnd):
		return fmt.Errorf("backlog_bytes has no meaning for kind %s: it is for consume and mixed", w.Kind)
	case w.Consumes() && w.FetchMax < 1:
		return fmt.Errorf("fetch_max_bytes must be at least 1")
	}
	if err := w.checkClient(); err != nil {
		return err
	}
	return w.checkSpread()
}

func (w *Workload) checkClient() error {
	switch {
	case w.Client == Wire && w.Idempotent:
		return fmt.Errorf("idempotent needs client: franz; the wire client sends batches that were encoded before")
	case w.Client == Wire && w.Groups > 0:
		return fmt.Errorf("groups need client: franz; the wire client reads partitions that are assigned by hand (groups: 0)")
	case w.Client == Wire && w.Kind == EndToEnd && w.Compression != "none":
		return fmt.Errorf("e2e with compression needs client: franz; the wire client writes the send time into a batch that was encoded before, which cannot be done in a compressed one")
	case w.Client == Franz && w.Kind == Consume && w.Rate > 0:
		return fmt.Errorf("a rate for consume needs client: wire; franz-go reads ahead by itself")
	case w.Kind == Consume && w.Rate > 0 && w.InFlight > 1:
		return fmt.Errorf("a rate for consume needs in_flight: 1; there are %d", w.InFlight)
	case w.Client == Franz && w.Kind == Consume && w.InFlight > 1:
		return fmt.Errorf("franz-go has one fetch in flight per connection: remove in_flight: %d", w.InFlight)
	case w.Idempotent && w.InFlight != 5:
		return fmt.Errorf("idempotent has 5 requests in flight, franz-go's own number: remove in_flight: %d", w.InFlight)
	case w.Idempotent && w.Acks != "all":
		return fmt.Errorf("idempotent needs acks: all")
	case w.Groups > w.Consumers:
		return fmt.Errorf("%d groups need at least as many consumers, there are %d", w.Groups, w.Consumers)
	case w.Groups > 0 && w.Pinned:
		return fmt.Errorf("pinned consumers have partitions assigned by hand: use groups: 0")
	}
	return nil
}

// checkSpread wants something to do for every client.
func (w *Workload) checkSpread() error {
	parts := w.Topics * w.Partitions
	if w.Pinned && w.Topics > 1 {
		if n := max(w.Producers, w.Consumers); n > w.Topics {
			return fmt.Errorf("pinned: %d clients need as many topics, there are %d", n, w.Topics)
		}
	}
	if w.Pinned && w.Producers > parts {
		return fmt.Errorf("pinned: %d producers need as many partitions, there are %d", w.Producers, parts)
	}
	if w.Groups == 0 && w.Consumers > parts {
		return fmt.Errorf("%d consumers need as many partitions, there are %d: add partitions, or remove consumers", w.Consumers, parts)
	}
	return nil
}

// Assign is which partitions client i of n has, as indexes topic*Partitions+partition.
// Pinned clients share out whole topics, or the partitions of the one topic; consumers
// that are not pinned share out partitions, and producers that are not pinned have all of
// them, each beginning at another one.
func (w *Workload) Assign(i, n int, consumer bool) []int {
	var out []int
	total := w.Topics * w.Partitions
	switch {
	case w.Pinned && w.Topics > 1:
		for t := i; t < w.Topics; t += n {
			for p := range w.Partitions {
				out = append(out, t*w.Partitions+p)
			}
		}
	case w.Pinned || consumer:
		for p := i; p < total; p += n {
			out = append(out, p)
		}
	default:
		for k := range total {
			out = append(out, (i*total/n+k)%total)
		}
	}
	return out
}
