package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/shard/kafka/group"
)

// join brings a member into its group, of which it is the only one, and syncs.
func (c *client) join(id, assignment string) (member string, generation int32) {
	c.b.t.Helper()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = id, "consumer", 10000, 60000
	subscription := kmsg.ConsumerMemberMetadata{Topics: []string{"t"}}
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription.AppendTo(nil)}}
	join.MemberID = c.ask(join, 9).(*kmsg.JoinGroupResponse).MemberID
	j := c.ask(join, 9).(*kmsg.JoinGroupResponse)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = id, j.MemberID, j.Generation
	sync.ProtocolType, sync.Protocol = text("consumer"), text("range")
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: j.MemberID, MemberAssignment: []byte(assignment)}}
	if s := c.ask(sync, 5).(*kmsg.SyncGroupResponse); j.ErrorCode != 0 || s.ErrorCode != 0 || string(s.MemberAssignment) != assignment {
		c.b.t.Fatalf("%+v\n%+v", j, s)
	}
	return j.MemberID, j.Generation
}

func (c *client) commit(id, member string, generation int32, offset int64) int16 {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = id, member, generation
	meta := fmt.Sprint("of ", offset)
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: offset, LeaderEpoch: 3, Metadata: &meta}}}}
	return c.ask(req, 9).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

func (c *client) committed(id string) (int64, string) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: id, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	p := c.ask(req, 9).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	return p.Offset, *p.Metadata
}

func (c *client) heartbeat(id, member string, generation int32) int16 {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = id, member, generation
	return c.ask(req, 4).(*kmsg.HeartbeatResponse).ErrorCode
}

// Members, assignments and offsets are records of the partition that coordinates the
// group: whichever shard owns it at a start folds them, from a snapshot if there is one,
// and the members go on in their generation. So often that the partition is compacted.
func TestGroupsAreRestoredFromTheirPartitionByWhicheverShardOwnsIt(t *testing.T) {
	b := newWorld(t, 2, 4, group.Options{CompactMin: 4 << 10, CompactBatch: 1 << 10})
	const groups = 6
	type state struct {
		member     string
		generation int32
		offset     int64
	}
	have := map[string]*state{}
	for i := range groups {
		id := fmt.Sprint("g", i)
		s := &state{}
		s.member, s.generation = b.open(i%2, 0).join(id, "assignment of "+id)
		have[id] = s
	}
	for round, start := range []struct {
		clean bool
		n, by int
	}{{true, 2, 1}, {false, 3, 0}, {true, 1, 0}, {false, 4, 2}, {false, 2, 0}, {true, 2, 1}} {
		c := b.open(0, 0)
		for id, s := range have {
			for range 12 {
				s.offset++
				if code := c.commit(id, s.member, s.generation, s.offset); code != 0 {
					t.Fatalf("round %d: the commit of %s failed with %d", round, id, code)
				}
			}
		}
		b.restart(start.clean, start.n, start.by)
		c = b.open(start.n-1, 0)
		for id, s := range have {
			if offset, meta := c.committed(id); offset != s.offset || meta != fmt.Sprint("of ", s.offset) {
				t.Fatalf("round %d: %s is at %d (%q), it was at %d", round, id, offset, meta, s.offset)
			}
			if code := c.heartbeat(id, s.member, s.generation); code != 0 {
				t.Fatalf("round %d: the heartbeat of %s failed with %d", round, id, code)
			}
			d := kmsg.NewPtrDescribeGroupsRequest()
			d.Groups = []string{id}
			g := c.ask(d, 6).(*kmsg.DescribeGroupsResponse).Groups[0]
			if g.State != "Stable" || len(g.Members) != 1 || g.Members[0].MemberID != s.member || string(g.Members[0].MemberAssignment) != "assignment of "+id {
				t.Fatalf("round %d: %+v", round, g)
			}
		}
	}
	trimmed := false
	for i := range 4 {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: offsetsName, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: int32(i), Timestamp: -2, CurrentLeaderEpoch: -1}}}}
		trimmed = trimmed || b.open(0, 0).ask(req, 7).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset > 0
	}
	if !trimmed {
		t.Error("no partition was compacted: the test does not test that")
	}
	c := b.open(0, 0)
	b.pass(11 * time.Second) // sessions end also after a restart
	for id, s := range have {
		if code := c.heartbeat(id, s.member, s.generation); code != 25 {
			t.Errorf("%s is silent and still a member: %d", id, code)
		}
	}
}

// The log may have been trimmed to its end, with nothing behind it that would say so: what
// an older snapshot holds had been deleted.
func TestADeletedGroupDoesNotComeBackFromASnapshotOlderThanTheLog(t *testing.T) {
	for _, after := range []int{0, 3} { // commits of another group that follow
		b := newWorld(t, 2, 1, group.Options{CompactMin: 4 << 10, CompactBatch: 1 << 10})
		c := b.open(0, 0)
		c.commit("g", "", -1, 7)
		b.restart(true, 2, 0) // a snapshot
		c = b.open(0, 0)
		for i := range int64(60) {
			c.commit("g", "", -1, i)
		}
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"g"}
		if code := c.ask(req, 2).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode; code != 0 {
			t.Fatal(code)
		}
		for range after {
			c.commit("h", "", -1, 9)
		}
		ends := kmsg.NewPtrListOffsetsRequest()
		ends.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: offsetsName, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -2, CurrentLeaderEpoch: -1}}}}
		if start := c.ask(ends, 7).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset; start < 2 {
			t.Fatalf("the log starts at %d: it was not trimmed, and nothing is tested", start)
		}
		b.restart(false, 2, 1)
		c = b.open(1, 0)
		if offset, _ := c.committed("g"); offset != -1 {
			t.Errorf("with %d commits behind: the deleted group is back at %d", after, offset)
		}
		if offset, _ := c.committed("h"); after > 0 && offset != 9 {
			t.Errorf("the other group is at %d", offset)
		}
	}
}

// Offsets are kept by their own rules, and never lost because their segments are old.
func TestOffsetsOutliveTheRetentionOfTopics(t *testing.T) {
	b := newRealWorld(t, 2)
	b.groups = group.Options{OffsetsRetention: 100 * 24 * time.Hour}
	b.start(2)
	r := &recorder{client: b.open(0, 0)}
	r.topic("t", 1)
	r.client.commit("g", "", -1, 7)
	for range 20 {
		b.now += 24 * time.Hour
		b.pass(20 * time.Millisecond)
	}
	for _, clean := range []bool{true, false} {
		if offset, _ := b.open(0, 0).committed("g"); offset != 7 {
			t.Fatalf("the offset is %d", offset)
		}
		if clean {
			for _, s := range b.shards {
				s.Stop(func(error) {})
			}
			b.pump()
		}
		b.disk, b.memory = b.disk.Kill(), b.memory.Kill()
		b.start(2)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: offsetsName, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -2, CurrentLeaderEpoch: -1}}}}
	if p := b.open(0, 0).ask(list, 7).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; p.Offset != 0 {
		t.Errorf("the log of the offsets starts at %d", p.Offset)
	}
}
