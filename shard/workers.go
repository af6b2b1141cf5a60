package shard

import (
	"sync"

	"github.com/penstock/penstock/core"
)

// Worker is the core.Worker of production: one goroutine that runs jobs in the order of
// Submit, and a queue of finished ones that Drain hands back on the loop. Its mutex is
// held for a few stores at a time; it is the only one below netio.
type Worker struct {
	ring     func()
	mu       sync.Mutex
	work     sync.Cond
	todo     jobQueue
	finished jobQueue
	stopped  bool
	done     chan struct{}
	draining jobQueue // of the loop
}

// NewWorker starts a worker. ring wakes the loop, which then calls Drain.
func NewWorker(ring func()) *Worker {
	w := &Worker{ring: ring, done: make(chan struct{})}
	w.work.L = &w.mu
	go w.run()
	return w
}

// Submit implements core.Worker. It never blocks.
func (w *Worker) Submit(j core.Job) {
	w.mu.Lock()
	w.todo.push(j)
	w.mu.Unlock()
	w.work.Signal()
}

func (w *Worker) run() {
	defer close(w.done)
	for {
		w.mu.Lock()
		for w.todo.empty() && !w.stopped {
			w.work.Wait()
		}
		if w.todo.empty() {
			w.mu.Unlock()
			return
		}
		j := w.todo.pop()
		w.mu.Unlock()
		j.Run()
		w.mu.Lock()
		first := w.finished.empty()
		w.finished.push(j)
		w.mu.Unlock()
		if first {
			w.ring()
		}
	}
}

// Drain calls Done of the jobs that have run. It is called on the loop.
func (w *Worker) Drain() {
	w.mu.Lock()
	w.draining, w.finished = w.finished, w.draining
	w.mu.Unlock()
	for !w.draining.empty() {
		w.draining.pop().Done()
	}
}

// Stop ends the goroutine after the jobs that were submitted, and waits for it. Jobs
// that Drain has not handed back by then never are.
func (w *Worker) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.work.Signal()
	<-w.done
}

// jobQueue is a first-in first-out queue that keeps its memory.
type jobQueue struct {
	jobs []core.Job
	head int
}

func (q *jobQueue) empty() bool { return q.head == len(q.jobs) }

func (q *jobQueue) push(j core.Job) {
	if q.head > 0 && len(q.jobs) == cap(q.jobs) {
		n := copy(q.jobs, q.jobs[q.head:])
		clear(q.jobs[n:])
		q.jobs, q.head = q.jobs[:n], 0
	}
	q.jobs = append(q.jobs, j)
}

func (q *jobQueue) pop() core.Job {
	j := q.jobs[q.head]
	q.jobs[q.head] = nil
	q.head++
	if q.empty() {
		q.jobs, q.head = q.jobs[:0], 0
	}
	return j
}
