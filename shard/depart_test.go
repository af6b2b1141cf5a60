package shard

import (
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

func TestADeletedTopicIsGoneAfterTheCheckpointsThatLeaveNothingOfIt(t *testing.T) {
	written, empty, other := topic("a", core.Synced), topic("b", core.Synced), topic("c", core.Synced)
	r := newRig(t, 2, written, empty, other)
	told := map[core.TopicID][]core.ShardID{}
	for _, s := range r.shards {
		s.cfg.Gone = func(shard core.ShardID, ids []core.TopicID) {
			for _, id := range ids {
				told[id] = append(told[id], shard)
			}
		}
	}
	f := r.open(0, 1)
	want(t, r.append(f, part(written, 1), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	for _, name := range []string{"a", "b"} {
		r.do(f, func(fx *session.Effects) {
			fx.Change = append(fx.Change, session.Change{Ticket: f.ticket(1), Command: core.Command{Kind: core.DeleteTopic, Topic: name}})
		})
		r.pump()
	}
	r.pass(time.Second)
	if got := told[empty.ID]; len(got) != 2 {
		t.Errorf("of a topic without records shards %v have nothing left; want both", got)
	}
	if got := told[written.ID]; !slices.Equal(got, []core.ShardID{0}) {
		t.Errorf("of a topic with records on shard 1 shards %v have nothing left", got)
	}
	store := r.shards[1].store
	for before := store.Stats().Checkpoints; store.Stats().Checkpoints < before+departCheckpoints; {
		if len(told[written.ID]) != 1 {
			t.Fatalf("told after %d checkpoints", store.Stats().Checkpoints-before)
		}
		if c := r.append(f, part(other, 1), makeBatch(-1, -1, -1, 1, 1<<20)); c.Outcome != core.Done {
			t.Fatal(c.Code)
		}
		r.pass(200 * time.Millisecond)
	}
	r.pass(time.Second)
	if got := told[written.ID]; !slices.Equal(got, []core.ShardID{0, 1}) {
		t.Errorf("after the checkpoints shards %v have nothing left", got)
	}
	if len(told) != 2 || len(r.shards[1].departed.topics) != 0 {
		t.Errorf("%d topics were told, %d are kept", len(told), len(r.shards[1].departed.topics))
	}
}

func TestABrokerThatWritesNothingForgetsDeletedTopicsToo(t *testing.T) {
	tp := topic("a", core.Synced)
	r := newRig(t, 2, tp)
	told := 0
	for _, s := range r.shards {
		s.cfg.Gone = func(core.ShardID, []core.TopicID) { told++ }
	}
	f := r.open(0, 1)
	want(t, r.append(f, part(tp, 1), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 0)
	r.pass(10 * time.Second)
	r.do(f, func(fx *session.Effects) {
		fx.Change = append(fx.Change, session.Change{Ticket: f.ticket(1), Command: core.Command{Kind: core.DeleteTopic, Topic: "a"}})
	})
	r.pass(departCheckpoints*departEvery - time.Second)
	if told != 1 {
		t.Errorf("%d shards have told; one may have something left", told)
	}
	r.pass(departEvery + 2*time.Second)
	if n := r.shards[0].store.Stats().Checkpoints; n > 0 {
		t.Errorf("a shard with nothing of it made %d checkpoints", n)
	}
	if told != 2 || len(r.shards[1].departed.topics) > 0 {
		t.Errorf("%d shards have told; want both", told)
	}
	made, turns := r.shards[1].store.Stats().Checkpoints, r.turns()
	r.pass(5 * time.Minute)
	if now := r.shards[1].store.Stats().Checkpoints; now != made || r.turns()-turns > 2*11 {
		t.Errorf("then %d checkpoints were made, in %d turns; nothing waits for them", now-made, r.turns()-turns)
	}
}
