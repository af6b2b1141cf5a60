package kafka

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// steady gives a request again and again, and answers what it asks for without the fake,
// which allocates.
func steady(t *testing.T, f *fake, frame []byte, answer func(fx *session.Effects) session.Completion) {
	t.Helper()
	var fx session.Effects
	var c session.Completion // outside of the step: it would escape
	step := func() {
		fx.Reset()
		if used, _, err := f.s.Receive(frame, &fx); used != len(frame) || err != nil {
			t.Fatal(used, err)
		}
		c = answer(&fx)
		fx.Reset()
		f.s.Complete(&c, &fx)
		if len(fx.Out) == 0 {
			t.Fatal("no answer")
		}
	}
	for range 200 { // every slot has its buffer
		step()
	}
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Fatalf("%v allocations per request", n)
	}
}

func TestAProduceAllocatesNothingInSteadyState(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	for _, v := range []int16{7, 9, 13} {
		steady(t, f, f.frame(produceOf("t", topic.ID, -1, someBatch(10, nil)), v), func(fx *session.Effects) session.Completion {
			return session.Completion{Ticket: fx.Append[0].Ticket, Base: 5, Timestamp: -1}
		})
	}
}

func TestAFetchAllocatesNothingInSteadyState(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	ext := []core.Extent{{Mem: make([]byte, 100), Len: 100}}
	for _, v := range []int16{4, 12, 18} {
		steady(t, f, f.frame(fetchOf("t", topic.ID, 500, 1, 0), v), func(fx *session.Effects) session.Completion {
			return session.Completion{Ticket: fx.Read[0].Ticket, HighWatermark: 1, Bytes: 100, Extents: ext}
		})
	}
}

func TestAConnectionKeepsOneAnswerBufferAndNoLargeOnes(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	for i := range 300 {
		f.topic(fmt.Sprint("topic-", i), 0, 1, 0, 1)
	}
	kept := func() (n int) {
		for i := range f.s.(*Session).slots {
			n += cap(f.s.(*Session).slots[i].out)
		}
		return n
	}
	var frame []byte
	for range 3 * slotsMax {
		f.give(f.frame(kmsg.NewPtrMetadataRequest(), 12))
		frame, f.out = f.out, nil
	}
	if n := kept(); n < len(frame) || n > 2*len(frame)+1024 {
		t.Errorf("%d bytes are kept, for answers of %d", n, len(frame))
	}
	id := f.topic("many", make([]core.ShardID, 3*partsKept)...).ID
	f.give(f.frame(fetchOf("many", id, 0, 1, make([]int64, 3*partsKept)...), 13))
	f.out = nil
	f.give(f.frame(fetchOf("many", id, 0, 1, 0), 13))
	f.give(f.frame(kmsg.NewPtrHeartbeatRequest(), 4))
	if s := f.s.(*Session); cap(s.fetch.parts) > partsKept || cap(s.fetch.cuts) > partsKept || kept() > 2*keptMax {
		t.Errorf("after a large fetch: %d parts, %d cuts, %d bytes", cap(s.fetch.parts), cap(s.fetch.cuts), kept())
	}
}
