package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// fill makes a topic of n partitions, each with these batches.
func (f *fake) fill(n int, sizes ...int) *core.Topic {
	topic := f.topic("t", make([]core.ShardID, n)...)
	for i := range n {
		id := core.PartitionID{Topic: topic.ID, Index: int32(i)}
		for _, records := range sizes {
			f.append(&session.Append{Partition: id, Batch: someBatch(records, nil)})
		}
	}
	return topic
}

func TestAFetchNeverExceedsMaxBytesButForTheFirstBatchOfTheFirstNonEmptyPartition(t *testing.T) {
	small, large := len(someBatch(10, nil)), len(someBatch(100, nil))
	for _, c := range []struct {
		name                 string
		sizes                []int
		maxBytes, partMax    int32
		partitions, nonEmpty int
		bytes                int
		held                 int // at once, at most
	}{
		{"room for all", []int{10, 10}, 1 << 20, 1 << 20, 5, 5, 10 * small, 10 * small},
		{"two batches each, room for one each", []int{10, 10}, 1 << 20, int32(small), 5, 5, 5 * small, 5 * small},
		{"max_bytes ends within the third", []int{10, 10}, int32(5 * small), 1 << 20, 5, 3, 5 * small, 5 * small},
		{"the first batch is too large for its partition", []int{100}, 1 << 20, int32(small), 5, 1, large, 5 * large},
		{"the first batch is too large for the answer", []int{100, 10}, int32(small), 1 << 20, 5, 1, large, large},
		{"nothing is allowed at all", []int{10}, 0, 0, 5, 1, small, small},
		{"a negative limit", []int{10}, -5, -5, 5, 1, small, small},
		{"more partitions than are read at once", []int{10}, 1 << 30, 1, 3 * readsMax, 1, small, readsMax * small},
	} {
		f := newFake(t, normalListener, Options{})
		topic := f.fill(c.partitions, c.sizes...)
		req := fetchOf("t", topic.ID, 0, 1, make([]int64, c.partitions)...)
		req.MaxBytes = c.maxBytes
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = c.partMax
		}
		bytes, nonEmpty := 0, 0
		for _, p := range f.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions {
			if bytes += len(p.RecordBatches); len(p.RecordBatches) > 0 {
				nonEmpty++
			}
			if p.ErrorCode != 0 || p.HighWatermark <= 0 {
				t.Fatalf("%s: %+v", c.name, p)
			}
		}
		if bytes != c.bytes || nonEmpty != c.nonEmpty {
			t.Errorf("%s: %d bytes in %d partitions, want %d in %d", c.name, bytes, nonEmpty, c.bytes, c.nonEmpty)
		}
		if f.heldMax > c.held {
			t.Errorf("%s: it held %d bytes at once", c.name, f.heldMax)
		}
	}
}

func TestAFetchNeverExceedsTheBrokersFetchMaxBytes(t *testing.T) {
	batch := len(someBatch(10, nil))
	f := newFake(t, normalListener, Options{FetchMax: 3 * batch})
	topic := f.fill(5, 10)
	req := fetchOf("t", topic.ID, 0, 1, 0, 0, 0, 0, 0)
	req.MaxBytes = 1<<31 - 1
	bytes := 0
	for _, p := range f.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions {
		bytes += len(p.RecordBatches)
	}
	if bytes != 3*batch {
		t.Errorf("%d bytes, want %d", bytes, 3*batch)
	}
}

// Idle partitions stand before the busy one, and together they use up max_bytes.
func TestABusyPartitionIsReadThoughTheIdleOnesBeforeItCouldHaveFilledTheAnswer(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", make([]core.ShardID, 100)...)
	req := fetchOf("t", topic.ID, 500, 1, make([]int64, 100)...)
	req.MaxBytes = 2 << 20 // 1 MiB each: the first two are granted all
	f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID, Index: 77}, Batch: someBatch(1, nil)})
	got := f.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions[77]
	if len(got.RecordBatches) == 0 {
		t.Fatalf("%+v", got)
	}
}

// However the partitions are answered and however large they are, extents are let go.
func TestEveryExtentThatAFetchHeldIsReleased(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.fill(20, 10, 10)
	req := fetchOf("t", topic.ID, 500, 1<<20, make([]int64, 20)...)
	f.give(f.frame(req, 13)) // too little: it waits, and holds what there is
	if f.holding() == 0 || len(f.waits) != 20 {
		t.Fatalf("it holds %d bytes and waits for %d partitions", f.holding(), len(f.waits))
	}
	f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID, Index: 3}, Batch: someBatch(10, nil)})
	f.run()
	if f.pass(500e6); f.out == nil {
		t.Fatal("no answer")
	}
	f.answer(req, 13, 1)
	if f.holding() != 0 {
		t.Fatalf("%d bytes are still held after the answer", f.holding())
	}
	f.give(f.frame(req, 13))
	f.fx.Reset()
	f.s.Closed(&f.fx)
	if f.holding() != 0 {
		t.Fatalf("%d bytes are still held after the connection", f.holding())
	}
}

// The second partition's batch is too large for what the first has left; the third's is
// not, and takes its place.
func TestWhatATooLargeBatchDoesNotUseIsLeftForTheOthers(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0, 0, 0)
	for i, n := range []int{10, 100, 100} { // partition 1 comes first
		f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID, Index: int32(i)}, Batch: someBatch(n, nil)})
	}
	req := fetchOf("t", topic.ID, 0, 1, 0, 0, 0)
	req.MaxBytes = 1000
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 500 // two of them are all, and both are exceeded
	}
	got := f.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions
	if len(got[0].RecordBatches) == 0 || len(got[1].RecordBatches) == 0 || len(got[2].RecordBatches) != 0 {
		t.Fatalf("%d, %d and %d bytes", len(got[0].RecordBatches), len(got[1].RecordBatches), len(got[2].RecordBatches))
	}
}

// It is read again from where it was, and what it held may not stand in its own way.
func TestAPartitionThatGrowsWhileItIsWaitedForIsReadAgainWhole(t *testing.T) {
	batch := len(someBatch(10, nil))
	f := newFake(t, normalListener, Options{})
	topic := f.fill(1, 10)
	req := fetchOf("t", topic.ID, 500, int32(batch+1), 0)
	req.MaxBytes = int32(2*batch - 1)
	f.give(f.frame(req, 13))
	f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID}, Batch: someBatch(10, nil)})
	f.run()
	f.pass(500e6)
	if n := len(f.answer(req, 13, 1).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches); n != batch {
		t.Fatalf("%d bytes, want one batch of %d", n, batch)
	}
}
