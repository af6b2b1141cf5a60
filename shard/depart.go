package shard

import (
	"time"

	"github.com/penstock/penstock/core"
)

// departed is the topics that were deleted and of which this shard may still hold what
// recovery would make files from: entries of the journal, marks of a checkpoint. The
// catalog's writer forgets a topic when every shard has nothing left.
//
//	adopt --> topics, waiting for checkpoints --tick--> job on Control: Config.Gone
type departed struct {
	topics  []departure   // in the order of their deletion
	telling bool          // a job is under way
	lookAt  time.Duration // while there are topics: a tick is wanted, and a checkpoint of it
}

// departure is one topic, and how many checkpoints the store has made when it is gone.
type departure struct {
	topic core.TopicID
	after int64
}

// departCheckpoints is how many checkpoints end before nothing is left of a log: one may
// be under way when it is removed, a group that was collected may go to the journal after
// the next one has begun, and the third covers that group and names no such log.
const departCheckpoints = 3

// departEvery is how often the store is asked for a checkpoint while topics wait. One that
// is written to makes more of them by itself; with one that is not, a topic is gone after
// about a minute.
const departEvery = 20 * time.Second

// depart notes a deleted topic. A shard that has never written any of it is done at once.
func (s *Shard) depart(t core.TopicID, wrote bool) {
	d := departure{topic: t, after: s.store.Stats().Checkpoints}
	if wrote && planted != earlyDepart {
		d.after += departCheckpoints
	}
	if len(s.departed.topics) == 0 {
		s.departed.lookAt = s.clock.mono + departEvery
	}
	s.departed.topics = append(s.departed.topics, d)
}

// departing says that topics wait, and that there is somebody to tell.
func (s *Shard) departing() bool {
	d := &s.departed
	return len(d.topics) > 0 && !d.telling && s.cfg.Gone != nil && !s.stopping.on
}

// tellDeparted tells the catalog's writer of topics of which nothing is left. It runs with
// every tick of the store, and asks for a checkpoint every departEvery.
func (s *Shard) tellDeparted() {
	if !s.departing() {
		return
	}
	d := &s.departed
	j := &goneJob{s: s}
	made, rest := s.store.Stats().Checkpoints, d.topics[:0]
	for _, t := range d.topics {
		if t.after <= made {
			j.topics = append(j.topics, t.topic)
		} else {
			rest = append(rest, t)
		}
	}
	if d.topics = rest; len(j.topics) > 0 {
		d.telling = true
		s.changing++
		s.cfg.Control.Submit(j)
	}
	if s.clock.mono >= d.lookAt {
		d.lookAt = s.clock.mono + departEvery
		if len(rest) > 0 {
			s.store.Checkpoint()
		}
	}
}

// goneJob tells of topics.
type goneJob struct {
	s      *Shard
	topics []core.TopicID
}

// Run implements core.Job.
func (j *goneJob) Run() { j.s.cfg.Gone(j.s.cfg.ID, j.topics) }

// Done implements core.Job.
func (j *goneJob) Done() {
	j.s.departed.telling = false
	j.s.changing--
}
