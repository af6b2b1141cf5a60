package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
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
