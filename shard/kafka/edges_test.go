package kafka

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// The edges of what requests may say: the last value that is taken and the first that is
// not, and what stands in an answer only sometimes.

func TestAFetchIsEnoughAtExactlyMinBytesAndAtMaxBytes(t *testing.T) {
	batch := int32(len(someBatch(10, nil)))
	for _, c := range []struct {
		name     string
		min, max int32
		answered bool
	}{{"exactly", batch, 1 << 20, true}, {"a byte short", batch + 1, 1 << 20, false}, {"no room for more", 1 << 20, batch, true}, {"none at all", 1 << 20, 10, true}} {
		f := newFake(t, normalListener, Options{})
		topic := f.fill(1, 10)
		req := fetchOf("t", topic.ID, 500, c.min, 0)
		req.MaxBytes = c.max
		if f.give(f.frame(req, 13)); len(f.out) > 0 != c.answered {
			t.Errorf("%s: answered %v", c.name, len(f.out) > 0)
		}
	}
}

// Else it would be woken at once, again and again, by what it has read already.
func TestAFetchWaitsForWhatComesBehindWhatItHasRead(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.fill(1, 10)
	f.give(f.frame(fetchOf("t", topic.ID, 500, 1<<20, 0), 13))
	if len(f.waits) != 1 || f.waits[0].From != 10 {
		t.Fatalf("%+v", f.waits)
	}
}

func TestWhatAPartitionHeldBeforeItGrewLeavesRoomForItWhole(t *testing.T) {
	batch := int32(len(someBatch(10, nil)))
	f := newFake(t, normalListener, Options{})
	topic := f.fill(1, 10)
	req := fetchOf("t", topic.ID, 500, 2*batch, 0)
	req.MaxBytes = 2 * batch
	f.give(f.frame(req, 13))
	f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID}, Batch: someBatch(10, nil)})
	f.run()
	if p := f.answer(req, 13, 1).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(p.RecordBatches) != int(2*batch) {
		t.Fatalf("%d bytes, want %d", len(p.RecordBatches), 2*batch)
	}
}

// Two partitions are read at once, each with the right to its first batch: only one of
// them may use it.
func TestASmallBatchBehindOneThatIsTooLargeIsNotSent(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0, 0)
	for i, n := range []int{20, 100} { // partition 1 comes first
		f.append(&session.Append{Partition: core.PartitionID{Topic: topic.ID, Index: int32(i)}, Batch: someBatch(n, nil)})
	}
	req := fetchOf("t", topic.ID, 0, 1, 0, 0)
	req.MaxBytes = 600
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 500
	}
	got := f.ask(req, 13).(*kmsg.FetchResponse).Topics[0].Partitions
	if len(got[0].RecordBatches) != 0 || len(got[1].RecordBatches) == 0 {
		t.Fatalf("%d and %d bytes", len(got[0].RecordBatches), len(got[1].RecordBatches))
	}
}

func TestTheLogStartIsToldByProduceAndFetch(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.fill(1, 10)
	f.log(core.PartitionID{Topic: topic.ID}).start = 4
	p := f.ask(produceOf("t", topic.ID, 1, someBatch(1, nil)), 9).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	r := f.ask(fetchOf("t", topic.ID, 0, 1, 4), 12).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if p.LogStartOffset != 4 || r.LogStartOffset != 4 {
		t.Fatalf("%d, %d", p.LogStartOffset, r.LogStartOffset)
	}
}

// Epoch 0 asks for a new session and -1 for none, and both end the one that is named
// (KIP-227): there is nothing to be missed. Any other goes on with one that is not there.
func TestOnlyAFetchThatGoesOnWithASessionMissesIt(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	for _, c := range []struct {
		id, epoch int32
		want      int16
	}{{0, -1, 0}, {0, 0, 0}, {5, -1, 0}, {5, 0, 0}, {5, 3, 70}, {0, 3, 70}, {5, -2, 70}} {
		req := fetchOf("t", topic.ID, 0, 1, 0)
		req.SessionID, req.SessionEpoch = c.id, c.epoch
		if resp := f.ask(req, 12).(*kmsg.FetchResponse); resp.ErrorCode != c.want || resp.SessionID != 0 || (len(resp.Topics) == 1) != (c.want == 0) {
			t.Errorf("%+v: %+v", c, resp)
		}
	}
}

func TestAPartitionThatIsGoneHasNoLeaderToNameNorAnEpoch(t *testing.T) {
	s := newFake(t, normalListener, Options{}).s.(*Session)
	if node, epoch, nodes := s.hint(core.PartitionID{Topic: core.TopicID{9}}, nil); node != -1 || epoch != -1 || nodes != nil {
		t.Fatal(node, epoch, nodes)
	}
}

func TestOnlyTheThreeKindsOfAcksAreKnown(t *testing.T) {
	for acks, want := range map[int16]int16{-2: 21, -1: 0, 1: 0, 2: 21} {
		f := newFake(t, normalListener, Options{})
		f.topic("t", 0)
		if p := f.ask(produceOf("t", core.TopicID{}, acks, someBatch(1, nil)), 9).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != want {
			t.Errorf("acks %d: %d", acks, p.ErrorCode)
		}
	}
}

func TestInternalTopicsAreNotForClientsToWriteOrTrim(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic(offsetsName, 0)
	topic.Internal = true
	if p := f.ask(produceOf(offsetsName, topic.ID, 1, someBatch(1, nil)), 9).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 17 || f.log(core.PartitionID{Topic: topic.ID}).end != 0 {
		t.Errorf("Produce: %d", p.ErrorCode)
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: offsetsName, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}}}
	if p := f.ask(req, 2).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 17 {
		t.Errorf("DeleteRecords: %d", p.ErrorCode)
	}
	dt := f.ask(kmsg.NewPtrDescribeTopicPartitionsRequest(), 0).(*kmsg.DescribeTopicPartitionsResponse)
	if md := metadata(f, 12, false, nil); !md.Topics[0].IsInternal || !dt.Topics[0].IsInternal {
		t.Error("it is not told to be internal")
	}
}

func TestTheTopicsBoundsOfTimestampsHoldUnlessItStampsItsOwn(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *core.TopicConfig)
		ts     uint64 // 1_000_000 is now
		want   int16
	}{
		{"past", func(c *core.TopicConfig) { c.TimestampBeforeMaxMs = 10 }, 1_000_000 - 11, 32},
		{"not past", func(c *core.TopicConfig) { c.TimestampBeforeMaxMs = 10 }, 1_000_000 - 10, 0},
		{"future", func(c *core.TopicConfig) { c.TimestampAfterMaxMs = 10 }, 1_000_000 + 11, 32},
		{"not future", func(c *core.TopicConfig) { c.TimestampAfterMaxMs = 10 }, 1_000_000 + 10, 0},
		{"its own", func(c *core.TopicConfig) { c.TimestampAfterMaxMs, c.LogAppendTime = 10, true }, 2_000_000, 0},
	} {
		f := newFake(t, normalListener, Options{})
		c.change(&f.topic("t", 0).Config)
		b := someBatch(1, func(b []byte) { binary.BigEndian.PutUint64(b[27:], c.ts) })
		if p := f.ask(produceOf("t", core.TopicID{}, 1, b), 9).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != c.want {
			t.Errorf("%s: %d", c.name, p.ErrorCode)
		}
	}
}

func TestNoMoreThanSixtyFourProducesOfAConnectionAreUnderWay(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	req := produceOf("t", core.TopicID{}, 1, someBatch(1, nil))
	var b []byte
	for range 70 {
		b = append(b, f.frame(req, 9)...)
	}
	f.hold = true
	if f.give(b); len(f.queue) != 64 || !f.paused {
		t.Fatalf("%d appends, paused %v", len(f.queue), f.paused)
	}
	f.hold = false
	f.run()
	for i := range int32(70) {
		f.answer(req, 9, i+1)
	}
}

// Each of these requests takes 28 bytes, and its answer many more: a client that sends a
// thousand of them at once may not make a step hold all their answers.
func TestAStepStartsNoMoreRequestsOnceItsAnswersAreLarge(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", make([]core.ShardID, 1000)...)
	req := kmsg.NewPtrMetadataRequest()
	var b []byte
	for range 100 {
		b = append(b, f.frame(req, 1)...)
	}
	f.fx.Reset()
	used, _, err := f.s.Receive(b, &f.fx)
	if err != nil || used == 0 || used > len(b)/2 {
		t.Fatalf("%d of %d bytes: %v", used, len(b), err)
	}
}

func TestTopicNamesAreKafkas(t *testing.T) {
	for name, want := range map[string]bool{"": false, ".": false, "..": false, "...": true, "a.b_c-D9": true, "a b": false, "é": false, "a\x00": false,
		strings.Repeat("x", 249): true, strings.Repeat("x", 250): false} {
		if validName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestApiVersionsComparesTheClusterAndTheNodeThatWereMeant(t *testing.T) {
	for _, c := range []struct {
		version int16
		cluster *string
		node    int32
		want    int16
	}{{5, nil, -1, 0}, {5, text("clusterclusterclusterC"), 1, 0}, {5, text("another"), -1, 129}, {5, text("another"), 1, 129}, {5, nil, 0, 129}, {5, nil, 2, 129}, {4, text("another"), 2, 0}} {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.ClusterID, req.NodeID = "a", "1", c.cluster, c.node
		if resp := f.ask(req, c.version).(*kmsg.ApiVersionsResponse); resp.ErrorCode != c.want || len(resp.ApiKeys) < 2 {
			t.Errorf("%+v: %d", c, resp.ErrorCode)
		}
	}
}
