package shard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka"
	"github.com/penstock/penstock/shard/session"
)

func TestLatencyCountsByBounds(t *testing.T) {
	var l Latency
	l.add(0, 2)
	l.add(LatencyBounds[0], 1)
	l.add(LatencyBounds[0]+1, 1)
	l.add(LatencyBounds[len(LatencyBounds)-1], 1)
	l.add(time.Hour, 3)
	want := map[int]int64{0: 3, 1: 1, len(LatencyBounds) - 1: 1, len(LatencyBounds): 3}
	for i, n := range l.Counts {
		if n != want[i] {
			t.Errorf("%d in %d, want %d", n, i, want[i])
		}
	}
	if sum := 2*LatencyBounds[0] + 1 + 10*time.Second + 3*time.Hour; l.Sum != sum || l.Count() != 8 {
		t.Error(l.Sum, sum, l.Count())
	}
	for i := 1; i < len(LatencyBounds); i++ {
		if LatencyBounds[i] <= LatencyBounds[i-1] {
			t.Error("the bounds do not grow")
		}
	}
}

// talker is a rig with one Kafka connection at shard 0.
func talker(t *testing.T, r *rig) (id core.ConnID, give func(in []byte)) {
	r.sessions = func(h session.Host, c core.ConnInfo) session.Session { return kafka.New(h, c, kafka.Options{}) }
	id = core.MakeConnID(1, 1)
	if !r.shards[0].Open(core.ConnInfo{ID: id, Local: netip.MustParseAddrPort("127.0.0.1:9092")}) {
		t.Fatal("the connection was refused")
	}
	return id, func(in []byte) {
		t.Helper()
		if used, _, err := r.shards[0].Receive(id, in); used != len(in) || err != nil {
			t.Fatal(used, err)
		}
		r.shards[0].EndTurn()
	}
}

// A Produce takes from its arrival to the end of the turn that answers it: here the disk
// is slow. A Fetch does not count the wait for the data. Whoever asked is named.
func TestRequestsAreTimed(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	id, give := talker(t, r)
	s := r.shards[0]
	give(fetchFrame(tp, 0, 0)) // waits
	if st := s.StatsNow(); st.Requests != 0 {
		t.Fatalf("%d requests have ended", st.Requests)
	}
	r.now += 100 * time.Millisecond
	other := core.MakeConnID(2, 1)
	if !s.Open(core.ConnInfo{ID: other, Local: netip.MustParseAddrPort("127.0.0.1:9092")}) {
		t.Fatal("the connection was refused")
	}
	in := produceFrame(tp, 0, records(-1, -1))
	if used, _, err := s.Receive(other, in); used != len(in) || err != nil {
		t.Fatal(used, err)
	}
	s.EndTurn()
	r.now += 30 * time.Millisecond
	r.pump()
	st := s.StatsNow()
	if st.Requests != 2 || st.Produce.Count() != 1 || st.Produce.Sum != 30*time.Millisecond {
		t.Errorf("%d requests, produce %+v", st.Requests, st.Produce)
	}
	if st.Fetch.Count() != 1 || st.Fetch.Sum != 0 {
		t.Errorf("fetch %+v: it waited for data only", st.Fetch)
	}
	if st.Sync.Count() != 1 {
		t.Errorf("sync %+v", st.Sync)
	}
	if c, ok := s.Client(id); !ok || c.ID != "test" || c.Requests != 1 {
		t.Errorf("%+v %v", c, ok)
	}
	if _, ok := s.Client(core.MakeConnID(9, 1)); ok {
		t.Error("a connection that is not open has a client")
	}
	ids := []core.PartitionID{{Topic: tp.ID}, {Topic: tp.ID, Index: 7}}
	got := s.Look(ids, nil)
	if len(got) != 1 || got[0].LogEnd != recordsMax || got[0].HighWatermark != recordsMax || got[0].LogStart != 0 || got[0].Appended < 1000 || got[0].Bytes != got[0].Appended {
		t.Errorf("%+v", got)
	}
	if s.Service(ids[0]) != nil {
		t.Error("a topic of clients has a service")
	}
}

// A worker that measures does what the worker does, and keeps its memory.
func TestTimedWorker(t *testing.T) {
	r := newRig(t, 1, topic("t", core.Synced))
	var l Latency
	inner := &testWorker{}
	w := &timedWorker{Worker: inner, env: rigEnv{r}, into: &l}
	for i := range 3 {
		ran, done := false, false
		w.Submit(&timedTestJob{run: func() { ran = true; r.now += time.Duration(i+1) * time.Second }, done: func() { done = true }})
		j := inner.todo[0]
		inner.todo = inner.todo[:0]
		j.Run()
		if !ran || done {
			t.Fatal("the job did not run, or is done too early")
		}
		if j.Done(); !done {
			t.Fatal("the job is not done")
		}
	}
	if l.Count() != 3 || l.Sum != 6*time.Second || len(w.spare) != 1 {
		t.Errorf("%+v, %d spare", l, len(w.spare))
	}
}

type timedTestJob struct{ run, done func() }

func (j *timedTestJob) Run()  { j.run() }
func (j *timedTestJob) Done() { j.done() }
