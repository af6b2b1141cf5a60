package segment

import (
	"slices"

	"github.com/penstock/penstock/core"
)

// dropJob removes files. It runs on the flush worker: to remove a file of GiBs takes as
// long as to forget its pages, and what is appended meanwhile must find room. One is
// under way at a time. It starts when no write and no flush is, which may have made or
// opened the files; those that come later know nothing of them.
type dropJob struct {
	s      *Store
	flying bool
	tasks  []dropTask
}

// dropTask deletes a segment file of a log, or with seg nil its directory.
type dropTask struct {
	id     core.PartitionID
	seg    *segfile
	closed bool
}

// dropMax is how many files a job removes at most: a flush may wait for it.
const dropMax = 16

// start takes up what is to be removed.
func (j *dropJob) start() {
	s := j.s
	n := min(len(s.drops), dropMax)
	if n == 0 || j.flying {
		return
	}
	j.tasks = append(j.tasks, s.drops[:n]...)
	s.drops = slices.Delete(s.drops, 0, n)
	j.flying = true
	s.cfg.Flush.Submit(j)
}

// Run implements core.Job.
func (j *dropJob) Run() {
	fs := j.s.cfg.FS
	for i, d := range j.tasks {
		if d.seg == nil {
			_ = fs.Remove(partitionDir(d.id)) // what stays is removed by the next start
			continue
		}
		_ = fs.Remove(segName(d.id, d.seg.base)) // it is below the log start: likewise
		_ = fs.Remove(indexName(d.id, d.seg.base))
		if !d.seg.pin.Held() { // nobody takes a new hold: it is in no log any more
			d.seg.close()
			j.tasks[i].closed = true
		}
	}
}

// Done implements core.Job.
func (j *dropJob) Done() {
	s := j.s
	j.flying = false
	for _, d := range j.tasks {
		if d.seg != nil && !d.closed {
			s.zombies = append(s.zombies, d) // a reader holds it: closed later
		}
	}
	clear(j.tasks)
	j.tasks = j.tasks[:0]
	s.Commit()
}
