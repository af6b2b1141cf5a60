package kafka

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka/group"
)

// These tests ask a whole broker; see world.

// syncer is the sync worker of the shard that owns partition 0 of t.
func (b *world) syncer() *brokerWorker { return b.workers[0] }

func (c *client) produce(acks int16, batches ...[]byte) *kmsg.ProduceResponse {
	return c.ask(produceOf("t", core.TopicID{}, acks, batches...), 9).(*kmsg.ProduceResponse)
}

func (c *client) fetch(version int16, from int64) kmsg.FetchResponseTopicPartition {
	c.b.t.Helper()
	return c.ask(fetchOf("t", c.b.topic("t").ID, 0, 1, from), version).(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

func TestOnlyBaseOffsetAndLeaderEpochOfABatchAreRewrittenAndItsCrcStays(t *testing.T) {
	b := newWorld(t, 2, 2, group.Options{})
	c := b.open(1, 0)
	sent := someBatch(3, func(b []byte) { binary.BigEndian.PutUint32(b[12:], 0) }) // librdkafka says epoch 0, Java -1
	c.produce(-1, sent)
	c.produce(-1, sent)
	got := c.fetch(12, 3).RecordBatches
	if len(got) != len(sent) || binary.BigEndian.Uint64(got) != 3 || binary.BigEndian.Uint32(got[12:]) != 3 {
		t.Fatalf("% x", got)
	}
	if !bytes.Equal(got[8:12], sent[8:12]) || !bytes.Equal(got[16:], sent[16:]) {
		t.Fatalf("other bytes have changed:\n% x\n% x", got, sent)
	}
}

func TestLogAppendTimeIsStampedWithANewCrcAndTold(t *testing.T) {
	b := newWorld(t, 1, 1, group.Options{})
	topic := *b.topic("t")
	topic.Config.LogAppendTime = true
	b.catalog.Store(core.NewCatalog(1, 3, []*core.Topic{&topic}))
	b.start(1)
	c := b.open(0, 0)
	p := c.produce(-1, someBatch(2, nil)).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.LogAppendTime != b.Wall() {
		t.Fatalf("%+v", p)
	}
	h, err := batch.Valid(c.fetch(12, 0).RecordBatches)
	if err != nil || h.Attrs&batch.AttrLogAppendTime == 0 || h.MaxTime != b.Wall() || h.BaseTime != 1_000_000 {
		t.Fatalf("%+v %v", h, err)
	}
}

func TestWithCreateTimeTheLogAppendTimeIsMinusOne(t *testing.T) {
	c := newWorld(t, 1, 1, group.Options{}).open(0, 0)
	if p := c.produce(1, someBatch(1, nil)).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LogAppendTime != -1 {
		t.Fatalf("%+v", p)
	}
}

func TestAFetchOffsetInsideABatchReturnsThatWholeBatch(t *testing.T) {
	c := newWorld(t, 2, 1, group.Options{}).open(1, 0)
	for range 3 {
		c.produce(-1, someBatch(10, nil))
	}
	for from := range int64(30) {
		got := c.fetch(13, from).RecordBatches
		if len(got) == 0 || int64(binary.BigEndian.Uint64(got)) != from/10*10 {
			t.Fatalf("from %d: % x", from, got[:min(len(got), 8)])
		}
	}
}

func TestAFetchBetweenHighWatermarkAndLogEndIsEmptyAndNotOutOfRange(t *testing.T) {
	b := newWorld(t, 1, 1, group.Options{})
	c, other := b.open(0, 0), b.open(0, 0)
	c.produce(-1, someBatch(2, nil))
	b.syncer().stuck = true
	req := produceOf("t", core.TopicID{}, -1, someBatch(3, nil))
	c.send(req, 9) // appended: the log ends at 5, and 2 is the high watermark
	for from, want := range map[int64]int16{2: 0, 3: 0, 5: 0, 6: 1, -1: 1} {
		p := other.fetch(12, from)
		if p.ErrorCode != want || len(p.RecordBatches) != 0 || want == 0 && p.HighWatermark != 2 {
			t.Errorf("from %d: %+v", from, p)
		}
	}
	b.syncer().stuck = false
	b.pump()
	if resp := c.take(req); resp == nil || other.fetch(12, 2).HighWatermark != 5 {
		t.Error("the produce was not answered, or its records cannot be read")
	}
}

func TestReadCommittedReadsUpToTheHighWatermarkAndNamesNoAbortedTransactions(t *testing.T) {
	c := newWorld(t, 1, 1, group.Options{}).open(0, 0)
	c.produce(-1, someBatch(2, nil))
	for isolation, null := range map[int8]bool{0: true, 1: false} {
		req := fetchOf("t", c.b.topic("t").ID, 0, 1, 0)
		req.IsolationLevel = isolation
		p := c.ask(req, 11).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.LastStableOffset != 2 || p.HighWatermark != 2 || len(p.RecordBatches) == 0 || len(p.AbortedTransactions) != 0 || (p.AbortedTransactions == nil) != null {
			t.Errorf("isolation %d: %+v", isolation, p)
		}
	}
}

// produceAs sends an idempotent batch of two records.
func (c *client) produceAs(pid int64, epoch int16, sequence int32) (int16, int64) {
	p := c.produce(-1, someBatch(2, func(b []byte) {
		binary.BigEndian.PutUint64(b[43:], uint64(pid))
		binary.BigEndian.PutUint16(b[51:], uint16(epoch))
		binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	})).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// As KIP-360 has it for a producer without transactions: it bumps its epoch itself and
// begins at 0, or asks for a new id. Its old self is fenced.
func TestAnIdempotentProducerRecoversWithItsNextEpochOrANewIdAndTheOldOneIsFenced(t *testing.T) {
	b := newWorld(t, 2, 1, group.Options{})
	for round := range 2 { // the second one after a crash
		c := b.open(1, 0)
		base := c.fetch(12, 0).HighWatermark
		pid := int64(7 + round)
		for _, s := range []struct {
			epoch    int16
			sequence int32
			code     int16
			base     int64
		}{
			{0, 0, 0, base}, {0, 2, 0, base + 2}, {0, 0, 0, base}, {0, 6, 45, -1}, // a repeat, a gap
			{1, 4, 45, -1}, {1, 0, 0, base + 4}, {0, 4, 47, -1}, {1, 2, 0, base + 6}, // the next epoch begins at 0, the last one is fenced
		} {
			if code, at := c.produceAs(pid, s.epoch, s.sequence); code != s.code || at != s.base {
				t.Fatalf("round %d, %+v: error %d at %d", round, s, code, at)
			}
		}
		b.restart(false, 2, 1)
		c = b.open(0, 0)
		if code, at := c.produceAs(pid, 1, 0); code != 0 || at != base+4 {
			t.Fatalf("a repeat after a crash: error %d at %d", code, at)
		}
		if code, _ := c.produceAs(pid, 0, 4); code != 47 {
			t.Fatalf("the old epoch after a crash: error %d", code)
		}
		if code, _ := c.produceAs(pid+100, 3, 55); code != 0 {
			t.Fatalf("a producer that nobody knows: error %d", code)
		}
	}
}

func TestAFetchOfManyPartitionsPassesOverTheIdleOnesAcrossShards(t *testing.T) {
	b := newWorld(t, 3, 60, group.Options{})
	c := b.open(1, 0)
	batches := make([][]byte, 60)
	for i := range batches {
		batches[i] = someBatch(1, nil)
	}
	c.produce(-1, batches...)
	size := len(batches[0])
	req := fetchOf("t", b.topic("t").ID, 500, 1, slices.Repeat([]int64{1}, 60)...)
	req.Topics[0].Partitions[41].FetchOffset = 0
	req.MaxBytes = int32(size)
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = int32(size)
	}
	for i, p := range c.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 || p.HighWatermark != 1 || (len(p.RecordBatches) > 0) != (i == 41) {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
}
