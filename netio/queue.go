package netio

import "github.com/penstock/penstock/core"

// run is one piece of output: bytes of ours, or an extent.
type run struct {
	buf []byte      // lent by the pool; nil for an extent
	ext core.Extent // with its hold
	off int         // bytes of it that have been sent
}

// size is how many bytes of the run have not been sent.
func (r *run) size() int {
	if r.buf != nil {
		return len(r.buf) - r.off
	}
	return r.ext.Len - r.off
}

// bytes is the rest of a run that lies in memory, or nil.
func (r *run) bytes() []byte {
	if r.buf != nil {
		return r.buf[r.off:]
	}
	if r.ext.Mem != nil {
		return r.ext.Mem[r.off:r.ext.Len]
	}
	return nil
}

// queue is the output of one connection in order. A connection has one only while
// something is queued, so idle connections cost no memory.
type queue struct {
	runs []run
	head int // the first that has not been sent whole
}

const (
	bufFirst  = 4 << 10  // the first buffer of a queue
	bufNext   = 64 << 10 // the later ones
	queuesMax = 256      // queues kept for re-use
	runsMax   = 1024     // and the runs that one of them may have room for
)

// queueOf returns the queue of a connection, which then has one.
func (l *Loop) queueOf(c *conn) *queue {
	if c.q == nil {
		if n := len(l.queues); n > 0 {
			c.q, l.queues = l.queues[n-1], l.queues[:n-1]
		} else {
			c.q = new(queue)
		}
	}
	return c.q
}

// push adds a run at the end.
func (q *queue) push(r run) {
	if q.head > 64 && 2*q.head > len(q.runs) { // a queue that is never quite empty
		n := copy(q.runs, q.runs[q.head:])
		clear(q.runs[n:])
		q.runs, q.head = q.runs[:n], 0
	}
	q.runs = append(q.runs, r)
}

// tail returns the last run if it is bytes with room for n more, else a new one.
func (l *Loop) tail(c *conn, n int) *run {
	q := l.queueOf(c)
	if k := len(q.runs); k > q.head {
		if r := &q.runs[k-1]; r.buf != nil && cap(r.buf)-len(r.buf) >= n {
			return r
		}
	}
	size := bufFirst
	if c.queued > 0 {
		size = bufNext
	}
	q.push(run{buf: l.bufs.get(max(n, size))})
	return &q.runs[len(q.runs)-1]
}

// sent takes n bytes off the head, and gives back what has left whole.
func (l *Loop) sent(c *conn, n int) {
	c.queued -= n
	l.stats.Queued -= int64(n)
	l.stats.BytesOut += int64(n)
	c.bytesOut += int64(n)
	q := c.q
	for n > 0 {
		r := &q.runs[q.head]
		if size := r.size(); n < size {
			r.off += n
			return
		} else {
			n -= size
		}
		l.giveBack(r)
		q.head++
	}
	if q.head == len(q.runs) {
		l.dropOutput(c)
	}
}

func (l *Loop) giveBack(r *run) {
	if r.buf != nil {
		l.bufs.put(r.buf)
	} else {
		r.ext.Release()
	}
	*r = run{}
}

// dropOutput gives back what is queued, and the queue.
func (l *Loop) dropOutput(c *conn) {
	q := c.q
	if q == nil {
		return
	}
	for i := q.head; i < len(q.runs); i++ {
		l.giveBack(&q.runs[i])
	}
	l.stats.Queued -= int64(c.queued)
	c.q, c.queued = nil, 0
	q.runs, q.head = q.runs[:0], 0
	if len(l.queues) < queuesMax && cap(q.runs) <= runsMax {
		l.queues = append(l.queues, q)
	}
}
