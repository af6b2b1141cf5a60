package bench

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/bench/crowd"
	"github.com/penstock/penstock/bench/floor"
	"github.com/penstock/penstock/bench/load"
)

// A crowd asks for as much as it is told, over more connections than requests in flight,
// and finds out when an answer is not what it should be.
func TestACrowdRunsAgainstTheFloors(t *testing.T) {
	b := &bench{Options: options(t), result: &Result{}}
	b.dir = b.Dir
	defer b.stop()
	const size, conns, want = 64 << 10, 40, 300
	p := load.Produce{Topic: "bench-0000", RecordSize: 1000, BatchSize: size}
	batch, records := p.Batch()
	open := func(args []string) *crowd.Crowd {
		t.Helper()
		_, addr, err := b.floor(args)
		if err != nil {
			t.Fatal(err)
		}
		c, err := crowd.Dial([]crowd.Target{{Addr: addr, Partitions: []int32{0, 1, 2}}}, conns)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	marks := 0
	amount := func(size int) crowd.Amount {
		marks = 0
		return crowd.Amount{InFlight: 16, Warm: 100 * int64(size), Bytes: want * int64(size), Mark: func() { marks++ }}
	}
	judge := func(s crowd.Stats, err error, size int) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if s.Requests < want-16 || s.Requests > want+16 || s.Bytes != s.Requests*int64(size) || marks != 2 {
			t.Errorf("%+v after %d marks, instead of %d requests of %d bytes", s, marks, want, size)
		}
	}
	c := open(floor.ProduceArgs(p.Answer(), floor.ReadBuffer, false))
	s, err := c.Produce(amount(len(batch)), "bench-0000", 1, batch)
	judge(s, err, len(batch))

	path, err := b.file(4 << 20)
	if err != nil {
		t.Fatal(err)
	}
	head, tail := load.Fetch{Topic: "bench-0000"}.Answer(len(batch))
	c = open(floor.FetchArgs(head, tail, path, len(batch)))
	log := crowd.Log{Batches: 7, BatchSize: len(batch), Records: records}
	s, err = c.Fetch(amount(len(batch)), "bench-0000", log)
	judge(s, err, len(batch))
	log.BatchSize += 100
	if _, err := c.Fetch(amount(len(batch)), "bench-0000", log); err == nil || !strings.Contains(err.Error(), "cannot hold a batch") {
		t.Errorf("too short an answer: %v", err)
	}
}
