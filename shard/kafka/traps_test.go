package kafka

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

func TestApiVersionsTooNewIsAnsweredNotClosed(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.give([]byte{0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff, 0})
	resp := f.answer(kmsg.NewPtrApiVersionsRequest(), 0, 5).(*kmsg.ApiVersionsResponse)
	if resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 || f.closed {
		t.Fatalf("%+v closed %v", resp, f.closed)
	}
}

func TestApiVersionsHeaderHasNoTagsAndProduceBeginsAtZero(t *testing.T) {
	for v := int16(0); v <= 5; v++ {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = "a-client", "1.2", -1
		resp := f.ask(req, v).(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(codec.Versions) || resp.ApiKeys[0].MinVersion != 0 || resp.ApiKeys[0].MaxVersion != 13 {
			t.Fatalf("version %d: %+v", v, resp)
		}
	}
}

func TestApiVersionsWithABadSoftwareNameIsAnInvalidRequestNotAClose(t *testing.T) {
	for _, name := range []string{"", "-a", "a b", "a."} {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = name, "1", -1
		if resp := f.ask(req, 3).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 42 || f.closed {
			t.Fatalf("%q: %d", name, resp.ErrorCode)
		}
	}
}

func TestApiVersionsOfAClientThatMeantAnotherClusterIsRebootstrapRequired(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = "a", "1", 2
	if resp := f.ask(req, 5).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 129 {
		t.Fatal(resp.ErrorCode)
	}
}

func TestAnUnknownKeyOrVersionClosesTheConnectionWithoutAPanic(t *testing.T) {
	for _, b := range [][]byte{
		{0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		{0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff},
		{0, 0, 0, 10, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		{0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, // Produce 0 is advertised, and not served
	} {
		f := newFake(t, normalListener, Options{})
		if f.give(b); !f.closed || len(f.out) > 0 {
			t.Fatalf("% x: closed %v, %d bytes", b, f.closed, len(f.out))
		}
	}
}

func TestANegativeOrOversizeFrameClosesTheConnection(t *testing.T) {
	for _, b := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x7f, 0, 0, 0}} {
		f := newFake(t, normalListener, Options{})
		if f.give(b); !f.closed {
			t.Fatalf("% x", b)
		}
	}
}

func TestAnswersLeaveInTheOrderOfTheRequestsAndProducesOverlap(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	a := produceOf("t", core.TopicID{}, -1, someBatch(1, nil))
	var b []byte
	for range 3 {
		b = append(b, f.frame(a, 9)...)
	}
	m := kmsg.NewPtrMetadataRequest()
	b = append(b, f.frame(m, 0)...)
	f.hold = true
	f.give(b)
	if len(f.queue) != 3 || !f.paused || len(f.out) > 0 {
		t.Fatalf("%d appends under way, paused %v: want 3, and the Metadata waiting", len(f.queue), f.paused)
	}
	f.queue[0], f.queue[2] = f.queue[2], f.queue[0] // the last is done first
	f.hold = false
	f.run()
	for i := range int32(3) {
		f.answer(a, 9, i+1)
	}
	f.answer(m, 0, 4)
}

func TestACutFrameGivesTheSameAnswerAsAWholeOne(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	m := kmsg.NewPtrMetadataRequest()
	for _, c := range f.frame(m, 9) {
		f.give([]byte{c})
	}
	f.answer(m, 9, 1)
}

func TestAcksZeroHasNoAnswerAndAnErrorClosesTheConnection(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	f.give(f.frame(produceOf("t", topic.ID, 0, someBatch(1, nil)), 9))
	if len(f.out) > 0 || f.closed || f.log(core.PartitionID{Topic: topic.ID}).end != 1 {
		t.Fatal("it was answered, closed, or not appended")
	}
	f.give(f.frame(produceOf("nowhere", core.TopicID{}, 0, someBatch(1, nil)), 9))
	if len(f.out) > 0 || !f.closed {
		t.Fatal("an error did not close the connection")
	}
}

func TestOneBadPartitionDoesNotFailTheOthers(t *testing.T) {
	for v := int16(3); v <= 13; v++ {
		f := newFake(t, normalListener, Options{})
		topic := f.topic("t", 0, 1, 0)
		bad := someBatch(1, nil)
		bad[60]++
		bad[len(bad)-1]++
		req := produceOf("t", topic.ID, -1, someBatch(2, nil), bad, someBatch(1, nil), someBatch(1, nil))
		resp := f.ask(req, v).(*kmsg.ProduceResponse)
		want := []int16{0, 2, 0, 3}
		for i, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != want[i] || p.LogAppendTime != -1 {
				t.Fatalf("version %d partition %d: error %d, append time %d", v, i, p.ErrorCode, p.LogAppendTime)
			}
		}
	}
}

func TestBatchesThatAClientMayNotSendAreRefused(t *testing.T) {
	be := binary.BigEndian
	for _, c := range []struct {
		name    string
		version int16
		want    int16
		batch   []byte
	}{
		{"control", 9, 87, someBatch(1, func(b []byte) { b[22] = 0x20 })},
		{"count", 9, 87, someBatch(2, func(b []byte) { be.PutUint32(b[57:], 1) })},
		{"none", 9, 87, someBatch(1, func(b []byte) { be.PutUint32(b[57:], 0) })},
		{"sequence", 9, 87, someBatch(1, func(b []byte) { be.PutUint64(b[43:], 5) })},
		{"zstd before 7", 6, 76, someBatch(1, func(b []byte) { b[22] = 4 })},
		{"zstd", 7, 0, someBatch(1, func(b []byte) { b[22] = 4 })},
		{"append time", 9, 32, someBatch(1, func(b []byte) { b[22] = 8 })},
		{"future", 9, 32, someBatch(1, func(b []byte) { be.PutUint64(b[27:], 1_000_000+3600_001) })},
		{"two batches", 9, 87, append(someBatch(1, nil), someBatch(1, nil)...)},
		{"old format", 9, 87, someBatch(1, func(b []byte) { b[16] = 1 })},
		{"too large", 9, 10, someBatch(200_000, nil)},
		{"empty", 9, 87, []byte{}},
		{"any epoch", 9, 0, someBatch(1, func(b []byte) { be.PutUint32(b[12:], 77) })},
	} {
		f := newFake(t, normalListener, Options{})
		f.topic("t", 0)
		resp := f.ask(produceOf("t", core.TopicID{}, 1, c.batch), c.version).(*kmsg.ProduceResponse)
		if got := resp.Topics[0].Partitions[0].ErrorCode; got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestInvalidTopicNamesAre17InProduceMetadataAndCreateTopics(t *testing.T) {
	f := newFake(t, normalListener, Options{AutoCreate: true})
	p := f.ask(produceOf("not/valid", core.TopicID{}, 1, someBatch(1, nil)), 9).(*kmsg.ProduceResponse)
	m := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = text("not/valid")
	m.Topics, m.AllowAutoTopicCreation = append(m.Topics, mt), true
	md := f.ask(m, 12).(*kmsg.MetadataResponse)
	c := kmsg.NewPtrCreateTopicsRequest()
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = "not/valid", 1, 1
	c.Topics = append(c.Topics, ct)
	cr := f.ask(c, 7).(*kmsg.CreateTopicsResponse)
	if p.Topics[0].Partitions[0].ErrorCode != 17 || md.Topics[0].ErrorCode != 17 || cr.Topics[0].ErrorCode != 17 {
		t.Fatal(p.Topics[0].Partitions[0].ErrorCode, md.Topics[0].ErrorCode, cr.Topics[0].ErrorCode)
	}
}

func TestFetchReturnsTheRecordsAtEveryVersion(t *testing.T) {
	for v := int16(4); v <= 18; v++ {
		f := newFake(t, normalListener, Options{})
		topic := f.topic("t", 0, 1)
		f.ask(produceOf("t", topic.ID, -1, someBatch(3, nil), someBatch(1, nil)), 9)
		resp := f.ask(fetchOf("t", topic.ID, 0, 1, 1, 0), v).(*kmsg.FetchResponse) // 1 lies inside the first batch
		p := resp.Topics[0].Partitions
		if resp.SessionID != 0 || len(p) != 2 || !bytes.Equal(p[0].RecordBatches, f.log(core.PartitionID{Topic: topic.ID}).batches[0]) || len(p[1].RecordBatches) == 0 || p[0].HighWatermark != 3 {
			t.Fatalf("version %d: %+v", v, resp)
		}
	}
}

func TestTheFirstBatchIsReturnedWholeAboveMaxBytes(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0, 0)
	f.ask(produceOf("t", topic.ID, -1, someBatch(100, nil), someBatch(100, nil)), 9)
	full, want := make([]int, 2), len(someBatch(100, nil))
	for range 2 {
		req := fetchOf("t", topic.ID, 0, 1, 0, 0)
		req.MaxBytes = 10
		resp := f.ask(req, 12).(*kmsg.FetchResponse)
		got := 0
		for i, p := range resp.Topics[0].Partitions {
			if n := len(p.RecordBatches); n == want {
				got++
				full[i]++
			} else if n != 0 || p.RecordBatches == nil {
				t.Fatalf("partition %d has %d bytes", i, n)
			}
		}
		if got != 1 {
			t.Fatalf("%d partitions have records, want 1", got)
		}
	}
	if full[0] != 1 || full[1] != 1 {
		t.Fatal("the same partition was served twice: the other starves")
	}
}

func TestFetchWaitsForMinBytesAndIsWokenByAProduce(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0, 0)
	req := fetchOf("t", topic.ID, 500, 1, 0, 0)
	f.give(f.frame(req, 13))
	if len(f.out) > 0 || len(f.waits) != 2 || f.fx.Deadline != f.mono+500*time.Millisecond {
		t.Fatalf("%d waits, deadline %v", len(f.waits), f.fx.Deadline)
	}
	id := core.PartitionID{Topic: topic.ID, Index: 1}
	l := f.log(id)
	l.batches, l.end = append(l.batches, someBatch(1, nil)), 1
	for i, w := range f.waits {
		if w.Partition == id {
			f.waits = append(f.waits[:i], f.waits[i+1:]...)
			f.queue = append(f.queue, sessionDone(w.Ticket))
			break
		}
	}
	f.run()
	resp := f.answer(req, 13, 1).(*kmsg.FetchResponse)
	if len(resp.Topics[0].Partitions[1].RecordBatches) == 0 || len(f.waits) != 0 {
		t.Fatal("no records, or a wait was left behind")
	}
}

func TestFetchAnswersEmptyAndNotNullWhenItsTimeIsUp(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	req := fetchOf("t", topic.ID, 500, 1, 0)
	f.give(f.frame(req, 12))
	f.mono += 500 * time.Millisecond
	f.tick()
	resp := f.answer(req, 12, 1).(*kmsg.FetchResponse)
	if p := resp.Topics[0].Partitions[0]; p.RecordBatches == nil || len(p.RecordBatches) != 0 || p.ErrorCode != 0 {
		t.Fatalf("%+v", p)
	}
}

func TestFetchErrorsArePerPartitionAndAnswerAtOnce(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	for _, c := range []struct {
		name    string
		version int16
		want    int16
		change  func(*kmsg.FetchRequest)
	}{
		{"beyond the end", 12, 1, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 1 }},
		{"old epoch", 12, 74, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 2 }},
		{"new epoch", 12, 75, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 4 }},
		{"unknown id", 13, 100, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = core.TopicID{9} }},
		{"unknown name", 12, 3, func(r *kmsg.FetchRequest) { r.Topics[0].Topic = "x" }},
	} {
		req := fetchOf("t", topic.ID, 500, 1, 0)
		c.change(req)
		resp := f.ask(req, c.version).(*kmsg.FetchResponse)
		if got := resp.Topics[0].Partitions[0].ErrorCode; got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestATopicDeletedUnderAPendingFetchIsUnknown(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	req := fetchOf("t", topic.ID, 500, 1, 0)
	f.give(f.frame(req, 13))
	f.catalog = core.NewCatalog(9, 3, nil)
	f.queue = append(f.queue, sessionDone(f.waits[0].Ticket))
	f.waits = nil
	f.run()
	if p := f.answer(req, 13, 1).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 100 {
		t.Fatal(p.ErrorCode)
	}
}

func TestATopicDeletedUnderAPendingFetchByNameIsUnknownToo(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	req := fetchOf("t", f.topic("t", 0).ID, 500, 1, 0)
	f.give(f.frame(req, 12))
	f.catalog = core.NewCatalog(9, 3, nil)
	f.queue = append(f.queue, sessionDone(f.waits[0].Ticket))
	f.waits = nil
	f.run()
	if p := f.answer(req, 12, 1).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 3 {
		t.Fatal(p.ErrorCode)
	}
}

func TestAFetchWithoutPartitionsIsAnsweredAtOnce(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	for v := int16(4); v <= 18; v++ {
		req := fetchOf("t", core.TopicID{}, 500, 1)
		req.Topics = nil
		if resp := f.ask(req, v).(*kmsg.FetchResponse); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			t.Fatalf("version %d: %+v", v, resp)
		}
	}
}

// Java takes a full answer that lacks a partition, or has one too many, for an error; also
// one that is empty without a throttle time.
func TestAFetchThatAsksForASessionIsGivenNoneAndExactlyItsPartitions(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.fill(3, 1)
	f.topic("u", 0)
	for v := int16(7); v <= 18; v++ {
		req := fetchOf("t", topic.ID, 0, 1, 1, 0, 9) // at the end, records, out of range
		req.SessionEpoch = 0
		resp := f.ask(req, v).(*kmsg.FetchResponse)
		if resp.SessionID != 0 || resp.ErrorCode != 0 || resp.ThrottleMillis != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 3 {
			t.Fatalf("version %d: %+v", v, resp)
		}
		for i, p := range resp.Topics[0].Partitions {
			if p.Partition != int32(i) || p.ErrorCode != []int16{0, 0, 1}[i] || len(p.RecordBatches) > 0 != (i == 1) {
				t.Fatalf("version %d: %+v", v, p)
			}
		}
	}
}

func TestConsumersOlderThanFetch4AreRefusedAndNothingIsConverted(t *testing.T) {
	for v := range int16(4) {
		f := newFake(t, normalListener, Options{})
		f.give(f.frame(fetchOf("t", f.topic("t", 0).ID, 0, 1, 0), v))
		if !f.closed || len(f.out) > 0 {
			t.Errorf("Fetch %d: closed %v, %d bytes", v, f.closed, len(f.out))
		}
	}
	if r := codec.Lookup(codec.Fetch); r.Advertised != 4 {
		t.Errorf("Fetch is advertised from %d on", r.Advertised)
	}
}

func TestAnUnknownTopicIdIsAnsweredWithTheIdItWasAskedFor(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	id := core.TopicID{9, 8}
	fetched := f.ask(fetchOf("", id, 500, 1, 0), 13).(*kmsg.FetchResponse).Topics[0]
	produced := f.ask(produceOf("", id, -1, someBatch(1, nil)), 13).(*kmsg.ProduceResponse).Topics[0]
	m := kmsg.NewPtrMetadataRequest()
	m.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}}
	md := f.ask(m, 12).(*kmsg.MetadataResponse).Topics[0]
	if fetched.TopicID != id || fetched.Partitions[0].ErrorCode != 100 || produced.TopicID != id || produced.Partitions[0].ErrorCode != 100 ||
		md.TopicID != id || md.ErrorCode != 100 || md.Topic != nil {
		t.Fatalf("%+v\n%+v\n%+v", fetched, produced, md)
	}
}

func TestCorrelationIdsAreOpaqueAndMayBeNegative(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	for _, id := range []int32{-1, -1 << 31, 0, 1<<31 - 1} {
		f.next = id - 1
		f.ask(kmsg.NewPtrMetadataRequest(), 9)
	}
}

func TestLeaderEpochsAreRealInMetadataListOffsetsAndEpochEnds(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.fill(1, 5)
	if p := metadata(f, 7, false, nil).Topics[0].Partitions[0]; p.LeaderEpoch != 3 {
		t.Errorf("Metadata: %+v", p)
	}
	if p := listOffset(f, 4, -1); p.LeaderEpoch != 3 || p.Offset != 5 {
		t.Errorf("ListOffsets: %+v", p)
	}
	d := kmsg.NewPtrDescribeTopicPartitionsRequest()
	if p := f.ask(d, 0).(*kmsg.DescribeTopicPartitionsResponse).Topics[0].Partitions[0]; p.LeaderEpoch != 3 {
		t.Errorf("DescribeTopicPartitions: %+v", p)
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{LeaderEpoch: 3, CurrentLeaderEpoch: 3}}}}
	if p := f.ask(req, 4).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderEpoch != 3 || p.EndOffset != 5 {
		t.Errorf("OffsetForLeaderEpoch: %+v", p)
	}
}
