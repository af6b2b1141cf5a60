package shard

import (
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// LatencyBounds are the upper bounds of the counts of Latency but the last. The clock is
// read at the turns of the loop, so finer ones would tell nothing.
var LatencyBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Latency is a histogram: Counts[i] is how many took at most LatencyBounds[i] and more
// than the bound before; the last count has no bound. It is a value, so a copy of Stats
// holds it whole.
type Latency struct {
	Counts [len(LatencyBounds) + 1]int64 `json:"counts"`
	Sum    time.Duration                 `json:"sum_ns"`
}

func (l *Latency) add(d time.Duration, n int64) {
	i := 0
	for i < len(LatencyBounds) && d > LatencyBounds[i] {
		i++
	}
	l.Counts[i] += n
	l.Sum += time.Duration(n) * d
}

// Count is how many there were.
func (l *Latency) Count() (n int64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

// answered is requests of one kind that came in one turn and were answered in this one.
type answered struct {
	session.Answered
	n int64
}

// countAnswers takes the requests that a step has answered. How long they took is known
// at the end of the turn.
func (s *Shard) countAnswers() {
	for _, a := range s.fx.Answered {
		if k := len(s.answers); k > 0 && s.answers[k-1].Answered == a {
			s.answers[k-1].n++
			continue
		}
		s.answers = append(s.answers, answered{a, 1})
	}
}

// endAnswers counts the answers of a turn, with one look at the clock for all of them:
// from the beginning of the turn in which a request came to the last step of the one that
// answers it. What the network takes is not in it.
func (s *Shard) endAnswers() {
	if len(s.answers) == 0 {
		return
	}
	now := s.cfg.Env.Mono()
	for _, a := range s.answers {
		s.stats.Requests += a.n
		switch took := now - a.Began; a.Kind {
		case session.ProduceRequest:
			s.stats.Produce.add(took, a.n)
		case session.FetchRequest:
			s.stats.Fetch.add(took, a.n)
		}
	}
	s.answers = s.answers[:0]
}

// timedWorker measures the jobs of a worker. All but Run of its jobs is on the loop.
type timedWorker struct {
	core.Worker
	env   core.Env
	into  *Latency
	spare []*timedJob
}

type timedJob struct {
	job  core.Job
	w    *timedWorker
	took time.Duration
}

// Submit implements core.Worker.
func (w *timedWorker) Submit(job core.Job) {
	var j *timedJob
	if n := len(w.spare); n > 0 {
		j, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		j = &timedJob{w: w}
	}
	j.job = job
	w.Worker.Submit(j)
}

func (j *timedJob) Run() {
	begin := j.w.env.Mono()
	j.job.Run()
	j.took = j.w.env.Mono() - begin
}

func (j *timedJob) Done() {
	job := j.job
	j.job = nil
	j.w.into.add(j.took, 1)
	j.w.spare = append(j.w.spare, j)
	job.Done()
}
