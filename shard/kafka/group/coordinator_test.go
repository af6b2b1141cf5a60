package group

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

var served = map[int16]int16{keyOffsetCommit: 2, keyOffsetFetch: 1, keyJoinGroup: 0, keyHeartbeat: 0, keyLeaveGroup: 0, keySyncGroup: 0,
	keyDescribeGroups: 0, keyListGroups: 0, keyDeleteGroups: 0, keyOffsetDelete: 0}

// FuzzCall: whatever the bytes, there is one answer at most, none that cannot be read,
// and no end of the process. (Arrays and tags that the bytes do not hold are refused by
// the reader in front of us.)
func FuzzCall(f *testing.F) {
	for key, low := range served {
		req := kmsg.RequestForKey(key)
		req.SetVersion(low)
		f.Add(key, low, req.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		low, ok := served[key]
		if !ok || version < low || version > kmsg.RequestForKey(key).MaxVersion() || tagged(key, version) {
			return
		}
		w := newWorld(t, Options{})
		w.askRaw("c", key, version, body)
		for i := range w.answers {
			if w.answers[i].code == core.OK {
				w.decodeAnswer(&w.answers[i])
			}
		}
		if len(w.answers) == 0 && key != keyJoinGroup {
			t.Fatal("no answer")
		}
	})
}

// tagged versions have counts that kmsg does not check against the bytes: a fuzzer finds
// those at once, and they never come here.
func tagged(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	return req.IsFlexible()
}

func TestACallThatCannotBeReadIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	for key, low := range served {
		w.askRaw("c", key, low, []byte{0xff})
	}
	w.slot++
	w.calls[w.slot] = asked{who: "c"}
	w.step(func(fx *session.Effects) {
		w.c.Call(&session.Call{Ticket: session.Ticket{Slot: w.slot}, Kind: keyHeartbeat, Body: []byte{0, 9, 'x'}}, fx)
	})
	for _, a := range w.answers {
		if a.code != core.ErrInvalidRequest && a.key != keyListGroups {
			t.Errorf("%s: %v", kmsg.NameForKey(a.key), a.code)
		}
	}
	if len(w.answers) != len(served)+1 {
		t.Errorf("%d answers to %d requests", len(w.answers), len(served)+1)
	}
}

func TestHeartbeatsAllocateNothing(t *testing.T) {
	w := newWorld(t, Options{})
	p := &talker{world: w, names: map[string]string{}, ids: map[string]string{}}
	p.play("c1 join g v=3")
	p.play("c1 sync g gen=1 member=c1/1 assign=c1/1:x")
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.Generation, r.MemberID = "g", 1, p.id("c1/1")
	r.SetVersion(3)
	call := session.Call{Kind: keyHeartbeat, Version: 3, Body: append([]byte{0, 1, 'c', 0, 0}, r.AppendTo(nil)...)}
	var fx session.Effects
	n := testing.AllocsPerRun(100, func() {
		fx.Reset()
		w.c.Call(&call, &fx)
	})
	if n > 0 && !core.Invariants {
		t.Errorf("a heartbeat allocates %v times", n)
	}
	if len(fx.Reply) != 1 || fx.Reply[0].Body[5] != 0 {
		t.Fatalf("answer: %+v", fx.Reply)
	}
}

// TestTimersFireInOrderAndNotBeforeTheirTime compares the heap with a plain list.
func TestTimersFireInOrderAndNotBeforeTheirTime(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var h timers
	all := make([]timer, 20)
	now := time.Duration(1)
	for i := 0; i < 20000; i++ {
		k := &all[rnd.IntN(len(all))]
		switch rnd.IntN(4) {
		case 0, 1:
			h.set(k, now+time.Duration(rnd.IntN(100)+1))
		case 2:
			h.stop(k)
		default:
			now += time.Duration(rnd.IntN(30))
			for f := h.pop(now); f != nil; f = h.pop(now) {
				if f.due != 0 || f.pos != 0 {
					t.Fatal("a timer that fired is still on")
				}
			}
			for n := range all {
				if all[n].due != 0 && all[n].due <= now {
					t.Fatal("a timer did not fire")
				}
			}
		}
		h.check()
	}
}

func BenchmarkOffsetCommit(b *testing.B) {
	w := newWorld(nil, Options{})
	r := kmsg.NewPtrOffsetCommitRequest()
	r.SetVersion(7)
	r.Group, r.Generation = "g", -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "a"
	for i := int32(0); i < 4; i++ {
		t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: i, Offset: 7})
	}
	r.Topics = append(r.Topics, t)
	call := session.Call{Kind: keyOffsetCommit, Version: 7, Body: append([]byte{0, 1, 'c', 0, 0}, r.AppendTo(nil)...)}
	var fx session.Effects
	b.ReportAllocs()
	for b.Loop() {
		fx.Reset()
		w.c.Call(&call, &fx)
		done := session.Completion{Ticket: fx.Append[0].Ticket}
		w.c.Apply(fx.Append[0].Batch)
		fx.Reset()
		w.c.Complete(&done, &fx)
		if len(fx.Append) > 0 || len(fx.Query) > 0 { // a compaction
			w.c.compactEnd()
			clear(w.c.ops)
		}
	}
}
