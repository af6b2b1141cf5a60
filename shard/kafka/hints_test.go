package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka/group"
	"github.com/penstock/penstock/shard/session"
)

// In the normal view node 1 leads everything; in the per-core view the owner does.
var views = []struct {
	listener int
	node     int32
	host     string
	port     int32
}{{normalListener, 1, "127.0.0.1", 9092}, {coreListener, 1002, "core.example", 9193}}

func TestAProduceToTheWrongLeaderNamesTheRightOneInTheViewOfTheListener(t *testing.T) {
	for _, view := range views {
		for v := int16(3); v <= 13; v++ {
			f := newFake(t, view.listener, Options{})
			topic := f.topic("t", 0, 1)
			f.refuse = core.ErrNotLeader
			req := produceOf("t", topic.ID, -1, []byte{}, someBatch(1, nil))
			resp := f.ask(req, v).(*kmsg.ProduceResponse)
			bad, p := resp.Topics[0].Partitions[0], resp.Topics[0].Partitions[1]
			if p.ErrorCode != 6 || bad.ErrorCode != 87 || bad.CurrentLeader.LeaderID != -1 {
				t.Fatalf("version %d: %+v", v, resp)
			}
			if v < 10 {
				continue
			}
			if p.CurrentLeader.LeaderID != view.node || p.CurrentLeader.LeaderEpoch != 3 || len(resp.Brokers) != 1 {
				t.Fatalf("version %d: %+v", v, resp)
			}
			if b := resp.Brokers[0]; b.NodeID != view.node || b.Host != view.host || b.Port != view.port || b.Rack == nil || *b.Rack != "host" {
				t.Fatalf("version %d: %+v", v, b)
			}
		}
	}
}

func TestAFetchFromTheWrongLeaderOrAFencedEpochNamesTheRightOne(t *testing.T) {
	for _, view := range views {
		for v := int16(9); v <= 18; v++ {
			f := newFake(t, view.listener, Options{})
			topic := f.topic("t", 0, 1, 1)
			req := fetchOf("t", topic.ID, 500, 1, 0, 0, 0)
			req.Topics[0].Partitions[1].CurrentLeaderEpoch = 2 // before the last unclean start
			f.refuseRead = map[int32]core.Code{2: core.ErrStopping}
			resp := f.ask(req, v).(*kmsg.FetchResponse)
			p := resp.Topics[0].Partitions
			if p[0].ErrorCode != 0 || p[1].ErrorCode != 74 || p[2].ErrorCode != 6 || p[0].CurrentLeader.LeaderID != -1 {
				t.Fatalf("version %d: %+v", v, p)
			}
			if v < 16 {
				continue
			}
			for _, i := range []int{1, 2} {
				if p[i].CurrentLeader.LeaderID != view.node || p[i].CurrentLeader.LeaderEpoch != 3 {
					t.Fatalf("version %d: %+v", v, p[i])
				}
			}
			if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != view.node || resp.Brokers[0].Host != view.host || resp.Brokers[0].Port != view.port {
				t.Fatalf("version %d: %+v", v, resp.Brokers)
			}
		}
	}
}

func TestALeaderHintIsLeftOutIfThereIsNoSuchPartitionAnyMore(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.topic("t", 0)
	f.refuse = core.ErrStopping
	f.hold = true
	req := produceOf("t", topic.ID, -1, someBatch(1, nil))
	f.give(f.frame(req, 13))
	f.catalog = core.NewCatalog(9, 3, nil)
	f.hold = false
	f.run()
	resp := f.answer(req, 13, 1).(*kmsg.ProduceResponse)
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 6 || p.CurrentLeader.LeaderID != -1 || len(resp.Brokers) != 0 {
		t.Fatalf("%+v", resp)
	}
}

// A refused wait is not tried again: reads still work then, and one would follow the other
// until the store is closed.
func TestAFetchThatWaitsWhenTheBrokerStopsIsAnsweredAtOnceAndOnce(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	topic := f.fill(3, 10)
	req := fetchOf("t", topic.ID, 500, 1<<20, 0, 10, 10)
	f.give(f.frame(req, 16))
	for _, w := range f.waits {
		f.queue = append(f.queue, session.Completion{Ticket: w.Ticket, Outcome: core.Refused, Code: core.ErrStopping})
	}
	f.waits = nil
	reads := len(f.extents)
	f.run()
	resp := f.answer(req, 16, 1).(*kmsg.FetchResponse)
	failed := 0
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode == 6 && p.CurrentLeader.LeaderID == 1 {
			failed++
		}
	}
	if failed == 0 || len(resp.Brokers) != 1 || len(f.extents) != reads || len(f.waits) != 0 || len(f.out) != 0 || f.holding() != 0 {
		t.Fatalf("%d partitions failed, %d were read again, %d waits are left: %+v", failed, len(f.extents)-reads, len(f.waits), resp)
	}
}

func TestRequestsUnderWayWhenTheBrokerStopsAreAnswered(t *testing.T) {
	b := newWorld(t, 2, 2, group.Options{})
	waiting, producing := b.open(0, 0), b.open(1, 0)
	fetch := fetchOf("t", b.topic("t").ID, 5000, 1, 0, 0)
	waiting.send(fetch, 16)
	b.syncer().stuck = true
	produce := produceOf("t", b.topic("t").ID, -1, someBatch(1, nil))
	producing.send(produce, 13)
	for _, s := range b.shards {
		s.Stop(func(error) {})
	}
	b.pump()
	if resp := waiting.take(fetch); resp == nil || resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode != 6 {
		t.Errorf("the fetch: %+v", resp)
	}
	if resp := producing.take(produce); resp != nil {
		t.Errorf("the produce is not durable and was answered: %+v", resp)
	}
	b.syncer().stuck = false
	b.pump()
	if resp := producing.take(produce); resp == nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("the produce: %+v", resp)
	}
}
