package shard

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
)

func TestARingKeepsOrderAndLosesNothing(t *testing.T) {
	const n = 200_000
	r := newRing(64)
	ms := make([]message, n)
	go func() {
		for i := range ms {
			ms[i].arg = int64(i)
			for !r.push(&ms[i]) {
				runtime.Gosched()
			}
		}
	}()
	for i := range n {
		m := r.pop()
		for ; m == nil; m = r.pop() {
			runtime.Gosched()
		}
		if m.arg != int64(i) {
			t.Fatalf("message %d came as number %d", m.arg, i)
		}
	}
}

func TestAListRemovesFromAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var l list
	var model, free []*message
	for range 100 {
		free = append(free, &message{})
	}
	for range 20_000 {
		switch k := r.IntN(4); {
		case k == 0 && len(free) > 0:
			m := free[0]
			free = free[1:]
			l.push(m)
			model = append(model, m)
		case k == 1 && len(free) > 0:
			m := free[0]
			free = free[1:]
			l.pushFront(m)
			model = slices.Insert(model, 0, m)
		case k == 2 && len(model) > 0:
			i := r.IntN(len(model))
			l.remove(model[i])
			free = append(free, model[i])
			model = slices.Delete(model, i, i+1)
		case k == 3:
			if m := l.pop(); m != nil {
				if m != model[0] {
					t.Fatal("pop is not the first")
				}
				free = append(free, m)
				model = model[1:]
			}
		}
		i := 0
		for m := l.head; m != nil; m = m.at.next {
			if model[i] != m {
				t.Fatal("the list and the model differ")
			}
			i++
		}
		if i != len(model) || l.count != i {
			t.Fatalf("%d messages, count %d; want %d", i, l.count, len(model))
		}
	}
}

func TestTimersComeInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var ts timers
	ds := make([]deadline, 200)
	set := map[*deadline]time.Duration{}
	for range 20_000 {
		d := &ds[r.IntN(len(ds))]
		switch r.IntN(4) {
		case 0, 1:
			at := time.Duration(r.IntN(1000))
			ts.set(d, at)
			set[d] = at
		case 2:
			ts.clear(d)
			delete(set, d)
		case 3:
			now := time.Duration(r.IntN(1000))
			least := time.Duration(1 << 40)
			for _, at := range set {
				least = min(least, at)
			}
			got := ts.due(now)
			if (got != nil) != (least <= now) || got != nil && set[got] != least {
				t.Fatalf("due(%d) is %+v; the earliest is %d", now, got, least)
			}
			if got != nil {
				delete(set, got)
			}
		}
		if len(ts.heap) != len(set) {
			t.Fatalf("%d deadlines; want %d", len(ts.heap), len(set))
		}
	}
}

func TestBuffersAreKeptByClassAndWithinABound(t *testing.T) {
	var p pool
	for _, n := range []int{0, 1, bufMin, bufMin + 1, 100_000, 1<<20 + 12, bufMax} {
		b := p.buffer(n)
		if cap(b) < n || cap(b) > max(bufMin, 2*n) {
			t.Errorf("a buffer for %d bytes has %d", n, cap(b))
		}
		p.giveBack(b)
		if allocs := testing.AllocsPerRun(10, func() { p.giveBack(p.buffer(n)) }); allocs != 0 {
			t.Errorf("%d bytes: %v allocations", n, allocs)
		}
	}
	p.giveBack(make([]byte, 5000)) // of no class
	for range 100 {
		p.giveBack(make([]byte, bufMax))
	}
	if p.kept > keptMax {
		t.Errorf("%d bytes are kept", p.kept)
	}
}

type testJob struct {
	n   int
	out *[]int
}

func (j *testJob) Run()  {}
func (j *testJob) Done() { *j.out = append(*j.out, j.n) }

func TestAWorkerHandsJobsBackInOrder(t *testing.T) {
	rung := make(chan struct{}, 1)
	w := NewWorker(func() {
		select {
		case rung <- struct{}{}:
		default:
		}
	})
	var out []int
	const n = 10_000
	for i := range n {
		w.Submit(&testJob{n: i, out: &out})
	}
	for len(out) < n {
		<-rung
		w.Drain()
	}
	w.Stop()
	for i, got := range out {
		if got != i {
			t.Fatalf("job %d was number %d", got, i)
		}
	}
	var _ core.Worker = w
}
