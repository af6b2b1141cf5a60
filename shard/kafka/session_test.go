package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

func TestAPanicInADecoderClosesItsConnectionAndNothingElse(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	s := f.s.(*Session)
	if s.decodeWith(&codec.Header{Key: codec.Metadata}, func(int16, []byte) error { panic("a bug of somebody's") }) {
		t.Error("it was taken for decoded")
	}
	if f.give(f.frame(kmsg.NewPtrMetadataRequest(), 9)); !f.closed || len(f.out) > 0 {
		t.Errorf("closed %v, %d bytes", f.closed, len(f.out))
	}
}

func TestABodyThatDoesNotHoldWhatItSaysClosesTheConnection(t *testing.T) {
	for i := range codec.Versions {
		r := &codec.Versions[i]
		for v := r.Min; v <= r.Max; v++ {
			if r.Key == codec.ApiVersions {
				continue // answers INVALID_REQUEST, or has no body
			}
			f := newFake(t, normalListener, Options{})
			f.topic(offsetsName, 0)
			req := kmsg.RequestForKey(r.Key)
			req.SetVersion(v)
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
			body := len(req.AppendTo(nil))
			if body == 0 {
				continue // ListGroups
			}
			cut := frame[:len(frame)-1]
			cut[3]--
			if f.give(cut); !f.closed || len(f.out) > 0 {
				t.Errorf("%s version %d with its last byte missing: closed %v, %d bytes", r.Name, v, f.closed, len(f.out))
			}
		}
	}
}

func TestAnswersAreOwedUntilTheyAreGivenButNotForAProduceWithoutAcks(t *testing.T) {
	f := newFake(t, normalListener, Options{})
	id := f.topic("t", 0).ID
	s := f.s.(*Session)
	f.hold = true
	f.give(f.frame(produceOf("t", id, 0, someBatch(1, nil)), 9))
	if s.Owes() {
		t.Error("an answer is owed for acks=0")
	}
	f.give(f.frame(produceOf("t", id, -1, someBatch(1, nil)), 9))
	if !s.Owes() {
		t.Error("no answer is owed for acks=-1")
	}
	f.hold = false
	if f.run(); s.Owes() {
		t.Error("an answer is owed that has been given")
	}
}

// What a shard cannot say for sure is a timeout, which clients try again; what was taken
// back is no longer led here.
func TestEveryOutcomeOfAnAppendIsAnErrorThatClientsKnow(t *testing.T) {
	for _, c := range []struct {
		outcome core.Outcome
		code    core.Code
		want    int16
	}{{core.Done, core.OK, 0}, {core.Unknown, core.ErrStorage, 7}, {core.Cancelled, core.OK, 6}, {core.Refused, core.ErrDiskFull, 56}, {core.Refused, core.ErrBusy, 7}, {core.Refused, core.ErrStopping, 6}, {core.Refused, core.ErrSequence, 45}} {
		f := newFake(t, normalListener, Options{})
		f.topic("t", 0)
		f.hold = true
		req := produceOf("t", core.TopicID{}, 1, someBatch(1, nil))
		f.give(f.frame(req, 9))
		f.queue[0].Outcome, f.queue[0].Code = c.outcome, c.code
		f.hold = false
		f.run()
		p := f.answer(req, 9, 1).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != c.want || c.want != 0 && p.BaseOffset != -1 || (p.ErrorMessage != nil) != (c.outcome == core.Refused) {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

func TestAnAssignmentOfReplicasMaySayOnlyWhatIsSoAnyway(t *testing.T) {
	type assignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment
	to := func(partition int32, nodes ...int32) kmsg.CreateTopicsRequestTopicReplicaAssignment {
		return kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: partition, Replicas: nodes}
	}
	for _, c := range []struct {
		partitions int32
		factor     int16
		assigned   assignment
		configs    []kmsg.CreateTopicsRequestTopicConfig
		want       int16
		made       int32
	}{
		{-1, -1, assignment{to(1, 1), to(0, 1)}, nil, 0, 2},
		{-1, -1, assignment{to(0, 1), to(1, 1, 2)}, nil, 39, -1},
		{-1, -1, assignment{to(0, 1, 1)}, nil, 39, -1},
		{-1, -1, assignment{to(0)}, nil, 39, -1},
		{-1, -1, assignment{to(0, 2)}, nil, 39, -1},           // there is no such broker
		{-1, -1, assignment{to(0, 1), to(2, 1)}, nil, 39, -1}, // and partition 1?
		{-1, -1, assignment{to(1, 1)}, nil, 39, -1},
		{-1, -1, assignment{to(-1, 1)}, nil, 39, -1},
		{-1, -1, assignment{to(0, 1), to(0, 1)}, nil, 39, -1},
		{2, -1, assignment{to(0, 1), to(1, 1)}, nil, 42, -1},
		{-1, 1, assignment{to(0, 1)}, nil, 42, -1},
		{1, 1, nil, []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: text("1")}, {Name: "retention.ms", Value: text("2")}}, 42, -1},
		{1, 1, nil, []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}, 40, -1},
	} {
		f := newFake(t, normalListener, Options{})
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 1000
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "n", NumPartitions: c.partitions, ReplicationFactor: c.factor, ReplicaAssignment: c.assigned, Configs: c.configs}}
		if r := f.ask(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != c.want || r.NumPartitions != c.made || (r.ErrorMessage == nil) != (c.want == 0) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// Where the view has several brokers the catalog's writer chooses among them, and an
// assignment would be a wish that nobody keeps.
func TestAnAssignmentAmongTheCoresIsRefused(t *testing.T) {
	f := newFake(t, coreListener, Options{})
	f.topic("t", 0, 1)
	req := kmsg.NewPtrCreateTopicsRequest()
	assigned := kmsg.CreateTopicsRequestTopicReplicaAssignment{Replicas: []int32{1001}}
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "n", NumPartitions: -1, ReplicationFactor: -1, ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{assigned}}}
	if r := f.ask(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 39 {
		t.Errorf("%+v", r)
	}
	if code := createPartitions(f, "t", 3, false, []int32{1001}); code != 39 {
		t.Errorf("CreatePartitions: %d", code)
	}
}

func createPartitions(f *fake, topic string, count int32, dry bool, assigned ...[]int32) int16 {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly = dry
	rt := kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: count}
	for _, replicas := range assigned {
		rt.Assignment = append(rt.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
	}
	req.Topics = append(req.Topics, rt)
	return f.ask(req, 3).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode
}

func TestNewPartitionsMayBeAssignedOnlyAsTheyAreAnyway(t *testing.T) {
	type assigned = [][]int32
	for _, c := range []struct {
		count    int32
		assigned assigned
		want     int16
	}{
		{4, nil, 0}, {4, assigned{{1}, {1}}, 0}, {4, assigned{{1}}, 39}, {4, assigned{{1}, {1}, {1}}, 39}, {4, assigned{{1}, {2}}, 39},
		{4, assigned{{1}, {1, 1}}, 39}, {4, assigned{{1}, {}}, 39}, {1, assigned{{1}}, 37},
	} {
		f := newFake(t, normalListener, Options{})
		f.topic("t", 0, 1)
		if got := createPartitions(f, "t", c.count, false, c.assigned...); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestATopicThatCannotBeMadeByAskingIsAnError(t *testing.T) {
	for refusal, want := range map[core.Code]int16{core.ErrPolicy: 44, core.ErrTopicExists: 5, core.ErrStopping: 6} {
		f := newFake(t, normalListener, Options{AutoCreate: true})
		f.refuseChange = refusal
		m := metadata(f, 12, true, []string{"new"}).Topics[0]
		if m.ErrorCode != want || *m.Topic != "new" || len(m.Partitions) != 0 {
			t.Errorf("%v: %+v", refusal, m)
		}
	}
}
