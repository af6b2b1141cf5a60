package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// pass lets time go by up to the deadline that the session has set, and beyond if it
// must.
func (f *fake) pass(d time.Duration) {
	for until, again := f.mono+d, 0; ; {
		if f.closed || f.deadline == 0 || f.deadline > until {
			f.mono = until
			return
		}
		if again++; f.deadline > f.mono {
			again = 0
		}
		if again > 2 {
			f.t.Fatal("a deadline that has been served comes again and again")
		}
		f.mono = max(f.mono, f.deadline)
		f.deadline = 0
		f.tick()
	}
}

func TestAProduceThatIsNotDurableInTimeIsTimedOutAndItsDataStay(t *testing.T) {
	for _, v := range []int16{3, 9, 13} {
		f := newFake(t, normalListener, Options{})
		topic := f.topic("t", 0, 0)
		f.hold = true
		req := produceOf("t", topic.ID, -1, someBatch(2, nil), someBatch(1, nil))
		f.give(f.frame(req, v))
		f.pass(999 * time.Millisecond)
		if len(f.out) > 0 {
			t.Fatal("it was answered before its time was up")
		}
		late := f.queue[1]
		f.queue = f.queue[:1]
		f.hold = false
		f.run() // partition 0 is durable, partition 1 is not
		f.pass(time.Millisecond)
		resp := f.answer(req, v, 1).(*kmsg.ProduceResponse).Topics[0].Partitions
		if resp[0].ErrorCode != 0 || resp[0].BaseOffset != 0 || resp[1].ErrorCode != 7 || resp[1].BaseOffset != -1 {
			t.Fatalf("version %d: %+v", v, resp)
		}
		if end := f.log(core.PartitionID{Topic: topic.ID, Index: 1}).end; end != 1 {
			t.Fatalf("the data went: the log ends at %d", end)
		}
		// The answer that comes late is nobody's, also while the slot is used again.
		f.hold = true
		f.give(f.frame(req, v))
		f.queue = append([]session.Completion{late}, f.queue...)
		f.hold = false
		f.run()
		if resp := f.answer(req, v, 2).(*kmsg.ProduceResponse).Topics[0].Partitions; resp[0].BaseOffset != 2 || resp[1].BaseOffset != 1 {
			t.Fatalf("version %d: %+v", v, resp)
		}
	}
}

func TestEveryProduceUnderWayHasItsOwnTimeAndAnswersStayInOrder(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	slow, quick := produceOf("t", core.TopicID{}, -1, someBatch(1, nil)), produceOf("t", core.TopicID{}, 1, someBatch(1, nil))
	slow.TimeoutMillis, quick.TimeoutMillis = 5000, 100
	f.hold = true
	f.give(append(f.frame(slow, 9), f.frame(quick, 9)...))
	f.pass(4999 * time.Millisecond)
	f.queue, f.hold = f.queue[1:], false // the first completion never comes, the second one too late
	if f.run(); len(f.out) > 0 {
		t.Fatal("the second answer has overtaken the first")
	}
	f.pass(time.Millisecond)
	for i, req := range []*kmsg.ProduceRequest{slow, quick} {
		if code := f.answer(req, 9, int32(i+1)).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 7 {
			t.Errorf("answer %d: %d", i, code)
		}
	}
	f.pass(20 * time.Minute)
	if !f.closed {
		t.Error("the connection is idle and was not closed")
	}
}

func TestAProduceWithoutAcksHasNoTimeToKeep(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	f.topic("t", 0)
	f.hold = true
	f.give(f.frame(produceOf("t", core.TopicID{}, 0, someBatch(1, nil)), 9))
	if f.pass(5 * time.Second); f.closed || len(f.out) > 0 {
		t.Fatalf("closed %v, %d bytes", f.closed, len(f.out))
	}
}

// adminRequests are those with a timeout of their own, each for two things.
func adminRequests(ms int32) map[string]struct {
	req   kmsg.Request
	codes func(kmsg.Response) []int16
} {
	create, remove := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrDeleteTopicsRequest()
	grow, cut := kmsg.NewPtrCreatePartitionsRequest(), kmsg.NewPtrDeleteRecordsRequest()
	create.TimeoutMillis, remove.TimeoutMillis, grow.TimeoutMillis, cut.TimeoutMillis = ms, ms, ms, ms
	records := kmsg.DeleteRecordsRequestTopic{Topic: "t"}
	for i := range int32(2) {
		name := string(rune('a' + i))
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 1, ReplicationFactor: 1})
		remove.Topics = append(remove.Topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
		grow.Topics = append(grow.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: 2})
		records.Partitions = append(records.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: i, Offset: 1})
	}
	cut.Topics = append(cut.Topics, records)
	type request = struct {
		req   kmsg.Request
		codes func(kmsg.Response) []int16
	}
	return map[string]request{
		"CreateTopics": {create, func(r kmsg.Response) (c []int16) {
			for _, t := range r.(*kmsg.CreateTopicsResponse).Topics {
				c = append(c, t.ErrorCode)
			}
			return c
		}},
		"DeleteTopics": {remove, func(r kmsg.Response) (c []int16) {
			for _, t := range r.(*kmsg.DeleteTopicsResponse).Topics {
				c = append(c, t.ErrorCode)
			}
			return c
		}},
		"CreatePartitions": {grow, func(r kmsg.Response) (c []int16) {
			for _, t := range r.(*kmsg.CreatePartitionsResponse).Topics {
				c = append(c, t.ErrorCode)
			}
			return c
		}},
		"DeleteRecords": {cut, func(r kmsg.Response) (c []int16) {
			for _, p := range r.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions {
				c = append(c, p.ErrorCode)
			}
			return c
		}},
	}
}

func TestAdminRequestsAreTimedOutForWhatIsNotDoneInTime(t *testing.T) {
	for _, ms := range []int32{1500, 0, -1} {
		for name, c := range adminRequests(ms) {
			f := newFake(t, normalListener, Options{})
			f.topic("t", 0, 0)
			f.hold = true
			v := c.req.MaxVersion()
			f.give(f.frame(c.req, v))
			if ms > 0 {
				f.pass(time.Duration(ms-1) * time.Millisecond)
			}
			if len(f.queue) != 2 || len(f.out) > 0 {
				t.Fatalf("%s: %d under way, %d bytes out", name, len(f.queue), len(f.out))
			}
			late := f.queue[1]
			f.queue = f.queue[:1]
			f.hold = false
			f.run()
			f.pass(time.Millisecond)
			if got := c.codes(f.answer(c.req, v, 1)); got[0] == 7 || got[1] != 7 {
				t.Errorf("%s with %d ms: %d", name, ms, got)
			}
			f.queue = append(f.queue, late)
			if f.run(); len(f.out) > 0 || f.closed {
				t.Errorf("%s: the late completion did something", name)
			}
		}
	}
}

func TestAFetchWaitsAsLongAsItsMaxWaitAndNoLonger(t *testing.T) {
	for _, ms := range []int32{-1, 0, 1, 500} {
		f := newFake(t, normalListener, Options{})
		topic := f.topic("t", 0)
		req := fetchOf("t", topic.ID, ms, 1, 0)
		f.give(f.frame(req, 13))
		if ms > 0 {
			if f.pass(time.Duration(ms-1) * time.Millisecond); len(f.out) > 0 {
				t.Fatalf("%d ms: answered too early", ms)
			}
			f.pass(time.Millisecond)
		}
		f.answer(req, 13, 1)
		if len(f.waits) > 0 {
			t.Errorf("%d ms: a wait was left behind", ms)
		}
	}
}

func TestAnIdleConnectionIsClosedAfterTenMinutesAndNotWhileARequestIsUnderWay(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	f.ask(kmsg.NewPtrMetadataRequest(), 9)
	if f.pass(10*time.Minute - time.Millisecond); f.closed {
		t.Fatal("closed before its time")
	}
	f.give(f.frame(fetchOf("t", topic.ID, 1<<31-1, 1, 0), 13)) // it waits for weeks
	if f.pass(time.Hour); f.closed {
		t.Fatal("closed while a fetch was waiting")
	}
	f = newFake(t, normalListener, Options{})
	f.topic("t", 0)
	f.hold = true
	f.give(f.frame(produceOf("t", core.TopicID{}, 0, someBatch(1, nil)), 9))
	if f.pass(time.Hour); f.closed {
		t.Fatal("closed while a produce was under way")
	}
	f = newFake(t, normalListener, Options{IdleMax: time.Minute})
	if f.pass(time.Minute); !f.closed || f.deadline != 0 {
		t.Fatalf("closed %v, deadline %v: a connection that has never sent anything is idle too, and no deadline follows its end", f.closed, f.deadline)
	}
}
