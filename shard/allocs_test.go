package shard

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/kafka"
	"github.com/penstock/penstock/shard/session"
)

// frame is a request as it comes from a client.
func frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 7)
}

const recordsMax = 10 // of each batch

// records is a batch of a producer; -1: of none.
func records(pid int64, sequence int32) []byte {
	var b batch.Builder
	for i := range int64(recordsMax) {
		b.Add(1_000_000+i, []byte("key"), make([]byte, 100))
	}
	return b.FinishAs(pid, 0, sequence)
}

func produceFrame(tp *core.Topic, partition int32, records []byte) []byte {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = tp.Name, append(t.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 30_000, append(req.Topics, t)
	return frame(req, 9)
}

func fetchFrame(tp *core.Topic, partition int32, from int64) []byte {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, from, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.TopicID, t.Partitions = tp.ID, append(t.Partitions, p)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch, req.Topics = 500, 1, 1500, -1, append(req.Topics, t)
	return frame(req, 13)
}

// The bytes of a request go in, and the bytes of its answer come out: through the session,
// the effects, the ring if the partition is another shard's, the log, the group commit and
// the completion. Only the disk is not there.
func TestFromBytesToBytesNothingIsAllocated(t *testing.T) {
	const runs = 1000
	for _, d := range []core.Durability{core.Synced, core.OS} {
		tp := topic("t", d)
		tp.Config.LogAppendTime = d == core.OS
		r := newRig(t, 2, tp)
		r.sessions = func(h session.Host, c core.ConnInfo) session.Session { return kafka.New(h, c, kafka.Options{}) }
		id := core.MakeConnID(1, 1)
		if !r.shards[0].Open(core.ConnInfo{ID: id, Local: netip.MustParseAddrPort("127.0.0.1:9092")}) {
			t.Fatal("the connection was refused")
		}
		give := func(in []byte) {
			sent := r.loops[0].sent
			if used, _, err := r.shards[0].Receive(id, in); used != len(in) || err != nil {
				t.Fatal(used, err)
			}
			r.shards[0].EndTurn()
			r.pump()
			if r.loops[0].sent == sent {
				t.Fatal("no answer")
			}
		}
		r.idle = true
		for where := range int32(2) {
			produce, fetch := produceFrame(tp, where, records(-1, -1)), fetchFrame(tp, where, 20)
			var sequence [][]byte // of an idempotent producer
			for i := range int32(runs + 20) {
				sequence = append(sequence, produceFrame(tp, where, records(7, i*recordsMax)))
			}
			for _, in := range sequence[:19] {
				give(in)
			}
			sequence = sequence[19:]
			give(produce)
			give(produce)
			for range 300 { // all memory that is kept has been made
				give(produce)
				give(fetch)
			}
			for name, next := range map[string]func() []byte{
				"produce": func() []byte { return produce },
				"fetch":   func() []byte { return fetch },
				"idempotent produce": func() []byte {
					in := sequence[0]
					sequence = sequence[1:]
					return in
				},
			} {
				t.Run(fmt.Sprintf("%s, %s, to shard %d", d, name, where), func(t *testing.T) {
					before := r.shards[where].stats
					if n := testing.AllocsPerRun(runs, func() { give(next()) }); n != 0 {
						t.Errorf("%v allocations per request", n)
					}
					after := r.shards[where].stats
					if n := after.Appends - before.Appends + after.Reads - before.Reads; n != runs+1 {
						t.Errorf("%d of %d appends or reads", n, runs+1)
					}
				})
			}
		}
	}
}
