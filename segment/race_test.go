package segment_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// beside is a worker on a goroutine of its own; drain hands back what has run.
type beside struct {
	todo chan core.Job
	mu   sync.Mutex
	ran  []core.Job
	out  int // submitted and not drained
}

func newBeside() *beside {
	w := &beside{todo: make(chan core.Job, 4096)}
	go func() {
		for j := range w.todo {
			j.Run()
			w.mu.Lock()
			w.ran = append(w.ran, j)
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *beside) Submit(j core.Job) { w.out++; w.todo <- j }

func (w *beside) drain() {
	w.mu.Lock()
	ran := w.ran
	w.ran = nil
	w.mu.Unlock()
	for _, j := range ran {
		w.out--
		j.Done()
	}
}

// Jobs touch nothing that the loop changes meanwhile, with caches so small that
// everything is dropped and loaded again: for the race detector.
func TestJobsAndLoopShareNothing(t *testing.T) {
	for seed := range uint64(3) {
		g := newRig(t, rand.New(rand.NewPCG(seed, 100)), fakefs.New(), core.Durability(seed), 0)
		workers := []*beside{newBeside(), newBeside(), newBeside(), newBeside()}
		c := g.config()
		c.Shard, c.IndexBytes, c.FilesMax, c.WarmBytes = 1, 1, 1, 1
		c.Sync, c.Write, c.Read, c.Flush = workers[0], workers[1], workers[2], workers[3]
		var err error
		if g.store, err = segment.OpenStore(c); err != nil {
			t.Fatal(err)
		}
		drain := func() (out int) {
			for _, w := range workers {
				w.drain()
				out += w.out
			}
			return out
		}
		for i := range 8 {
			g.model = append(g.model, &model{id: core.PartitionID{Topic: core.TopicID{1}, Index: int32(i)}})
			g.logs = append(g.logs, g.store.Open(g.model[i].id, g.cfg, nil))
		}
		for n := range 6000 {
			i := g.r.IntN(len(g.logs))
			l := g.logs[i]
			switch k := g.r.IntN(20); {
			case k < 12:
				_ = g.append(i, 80+g.r.IntN(2000))
			case k < 17 && l.End() > l.Start():
				at := l.Start() + core.Offset(g.r.Int64N(int64(l.End()-l.Start())))
				if ext, _, ready, err := l.Read(at, l.End(), 3000, true, nil); err == nil && ready {
					g.expect(i, at, bytesOf(t, ext))
				}
			case k == 17 && n%10 == 0:
				l.Trim(l.Start()+(l.Durable()-l.Start())/2, func(error) {})
			case k == 18 && n%100 == 0:
				g.store.Remove(l)
				g.model[i] = &model{id: core.PartitionID{Topic: core.TopicID{2}, Index: int32(n)}}
				g.logs[i] = g.store.Open(g.model[i].id, g.cfg, nil)
			case k == 19:
				l.FindTime(g.r.Int64N(1<<42), n%2 == 0, l.End(), func(core.Offset, int64, error) {})
			}
			g.clock.now += 5
			if n%4 == 0 {
				g.store.Tick()
			}
			g.store.Commit()
			drain()
		}
		stopped := false
		g.store.Shutdown(func(err error) {
			if stopped = true; err != nil {
				t.Error(err)
			}
		})
		for !stopped || drain() > 0 {
			drain()
		}
		for _, w := range workers {
			close(w.todo)
		}
		if g.failed != nil {
			t.Fatalf("seed %d: %v", seed, g.failed)
		}
	}
}
