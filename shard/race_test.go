package shard

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard/session"
)

// busyLoop is a loop on a goroutine of its own, for the race detector.
type busyLoop struct {
	testLoop
	wake  chan struct{}
	funcs chan func()
}

func (l *busyLoop) Ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *busyLoop) run(s *Shard, done *sync.WaitGroup) {
	defer done.Done()
	for {
		select {
		case <-l.wake:
			s.Wake()
		case fn, ok := <-l.funcs:
			if !ok {
				return
			}
			fn()
		}
		s.EndTurn()
	}
}

// chatty keeps some requests under way, to every shard in turn, until it has had n answers.
type chatty struct {
	id      core.ConnID
	shard   core.ShardID
	topic   *core.Topic
	left    int
	k       int
	batch   []byte
	done    chan struct{}
	refused int
}

func (c *chatty) ask(fx *session.Effects) {
	c.k++
	t := session.Ticket{Conn: c.id, Shard: c.shard, Slot: uint32(c.k)}
	p := part(c.topic, c.k/7%len(c.topic.Partitions))
	switch c.k % 4 {
	case 0:
		fx.Read = append(fx.Read, session.Read{Ticket: t, Partition: p, Epoch: -1, Max: 5000, First: true})
	case 1:
		fx.Wait = append(fx.Wait, session.Wait{Ticket: t, Partition: p, From: 1 << 40})
		fx.Cancel = append(fx.Cancel, t)
	default:
		fx.Append = append(fx.Append, session.Append{Ticket: t, Partition: p, Batch: c.batch})
	}
}

func (c *chatty) Receive(in []byte, fx *session.Effects) (int, int, error) {
	for range 20 {
		c.ask(fx)
	}
	return len(in), 0, nil
}

func (c *chatty) Complete(a *session.Completion, fx *session.Effects) {
	for i := range a.Extents {
		fx.SendExtent(a.Extents[i])
	}
	if a.Outcome == core.Refused && a.Code != core.ErrBusy {
		c.refused++
	}
	if c.left--; c.left == 0 {
		close(c.done)
	} else if c.left >= 20 {
		c.ask(fx)
	}
}

func (c *chatty) Writable(*session.Effects)                {}
func (c *chatty) Tick(_ time.Duration, _ *session.Effects) {}
func (c *chatty) Closed(*session.Effects)                  {}

func TestShardsOnTheirOwnGoroutines(t *testing.T) {
	const shards, answers = 3, 6000
	tp := topic("t", core.Synced)
	for i := range shards {
		tp.Partitions = append(tp.Partitions, core.ShardID(i))
	}
	var catalog atomic.Pointer[core.Catalog]
	catalog.Store(core.NewCatalog(1, 1, []*core.Topic{tp}))
	disk, memory := fakefs.New(), fakefs.New()
	var all []*Shard
	var loops []*busyLoop
	var workers []*Worker
	var done sync.WaitGroup
	chats := make([]*chatty, shards)
	for i := range shards {
		l := &busyLoop{testLoop: testLoop{paused: map[core.ConnID]bool{}}, wake: make(chan struct{}, 1), funcs: make(chan func())}
		chats[i] = &chatty{shard: core.ShardID(i), topic: tp, left: answers, batch: makeBatch(-1, -1, -1, 1, 3000), done: make(chan struct{})}
		var ws [4]*Worker
		for k := range ws {
			ws[k] = NewWorker(l.Ring)
		}
		workers = append(workers, ws[:]...)
		s, err := New(Config{ID: core.ShardID(i), Env: core.System{}, Loop: l, Cluster: &core.Cluster{Shards: shards}, Catalog: &catalog,
			Store: segment.Config{FS: disk, Arena: memory, ArenaBytes: 4 << 20, ChunkBytes: 16 << 10, JournalBytes: 4 << 20, CheckpointBytes: 1 << 20,
				Sync: ws[0], Write: ws[1], Read: ws[2]},
			Control: ws[3],
			Sessions: func(_ session.Host, c core.ConnInfo) session.Session {
				chats[i].id = c.ID // of the loop from here on, until done is closed
				return chats[i]
			}})
		if err != nil {
			t.Fatal(err)
		}
		all, loops = append(all, s), append(loops, l)
	}
	Connect(all)
	for i, l := range loops {
		done.Add(1)
		go l.run(all[i], &done)
	}
	for i, l := range loops {
		l.funcs <- func() {
			all[i].Open(core.ConnInfo{ID: core.MakeConnID(1, 1)})
			_, _, _ = all[i].Receive(core.MakeConnID(1, 1), oneByte)
		}
	}
	for i := range loops {
		<-chats[i].done
	}
	stopped := make(chan error, shards)
	for i, l := range loops {
		l.funcs <- func() { all[i].Stop(func(err error) { stopped <- err }) }
	}
	for range loops {
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
	for i, l := range loops {
		close(l.funcs)
		if chats[i].refused > 0 {
			t.Errorf("shard %d: %d requests were refused", i, chats[i].refused)
		}
		t.Logf("shard %d: %+v", i, *all[i].Stats())
	}
	done.Wait()
	for _, w := range workers {
		w.Stop()
	}
}
