package sim

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka/group"
	"github.com/penstock/penstock/shard/session"
)

// The offsets of groups are a fold over an internal topic. It is synced, so an offset
// that was committed or fetched is never followed by a lower one, whatever crashes, and
// whichever shard the partition is on.
const (
	offsetsTopic  = "__consumer_offsets"
	offsetsParts  = 4
	groupsMax     = 6
	commitVersion = 8
	fetchVersion  = 7
)

// committer is a group without members that commits rising offsets, one at a time.
type committer struct {
	w     *world
	group string
	sent  int64 // the newest
	floor int64 // committed, or fetched
	busy  bool  // a commit is under way, or was when its connection went: until a start
}

func newCommitters(w *world) (cs []*committer) {
	for i := range groupsMax {
		cs = append(cs, &committer{w: w, group: fmt.Sprintf("group-%d", i)})
	}
	return cs
}

// service is shard.Config.Services.
func (w *world) service(h session.Host, t *core.Topic, p core.PartitionID) session.Service {
	if t.Name != offsetsTopic {
		return nil
	}
	return group.New(h, p, group.Options{CompactMin: 8 << 10, ExpiryInterval: 1 << 40})
}

// coordinator is the partition that the group's offsets are in.
func (g *committer) coordinator() core.PartitionID {
	return core.PartitionID{Topic: g.w.catalog.now().Topic(offsetsTopic).ID, Index: group.Partition(g.group, offsetsParts)}
}

// commit sends the next offset. What it is committed for is a partition that is always
// there.
func (g *committer) commit(c *client) {
	if g.busy {
		return
	}
	g.busy = true
	g.sent++
	offset, w := g.sent, g.w
	req := kmsg.OffsetCommitRequest{Version: commitVersion, Group: g.group, Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{
		Topic: offsetsTopic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset, LeaderEpoch: -1}}}}}
	generation := w.generation
	c.send(&op{kind: opCommit, call: session.Call{Partition: g.coordinator(), Kind: req.Key(), Version: commitVersion, Body: callBody(req.AppendTo(nil))},
		onAnswer: func(a *session.Completion) {
			if generation != w.generation {
				return
			}
			g.busy = false
			resp := kmsg.OffsetCommitResponse{Version: commitVersion}
			if a.Outcome != core.Done || resp.ReadFrom(a.Body) != nil {
				w.assert(a.Outcome != core.Done, "the answer to a commit cannot be read")
				return
			}
			code := resp.Topics[0].Partitions[0].ErrorCode
			if code != 0 && !w.failed && !w.mishap.full {
				w.failf("%s: a commit was refused with %d", g.group, code)
			}
			if code == 0 {
				g.floor = max(g.floor, offset)
				w.tracef("%s committed %d", g.group, offset)
			}
		}})
}

// fetch asks for the offset, and checks that it has not gone back.
func (g *committer) fetch() *op {
	w, floor, generation := g.w, g.floor, g.w.generation
	req := kmsg.OffsetFetchRequest{Version: fetchVersion, Group: g.group, Topics: []kmsg.OffsetFetchRequestTopic{{Topic: offsetsTopic, Partitions: []int32{0}}}}
	return &op{kind: opFetchOffset, call: session.Call{Partition: g.coordinator(), Kind: req.Key(), Version: fetchVersion, Body: callBody(req.AppendTo(nil))},
		onAnswer: func(a *session.Completion) {
			resp := kmsg.OffsetFetchResponse{Version: fetchVersion}
			if generation != w.generation || a.Outcome != core.Done {
				return
			}
			w.assert(resp.ReadFrom(a.Body) == nil && resp.ErrorCode == 0, "offsets cannot be fetched")
			got := max(resp.Topics[0].Partitions[0].Offset, 0)
			if got < floor || got > g.sent {
				w.failf("%s: the committed offset is %d; it was %d, and nobody has sent more than %d", g.group, got, floor, g.sent)
			}
			g.floor = max(g.floor, got)
		}}
}

// callBody puts a client's name and address before a request.
func callBody(request []byte) (b []byte) {
	for _, s := range []string{"sim", "nowhere"} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return append(b, request...)
}
