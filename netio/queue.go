package netio

import (
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

const (
	turnMax  = 1 << 20  // bytes that one connection sends per turn
	smallMax = 32 << 10 // file ranges below this are read and sent with the bytes around them
	iovMax   = 64       // runs that one writev takes
)

// queue is the output of one connection, in order: runs of bytes in buf, and extents.
// It is the only writer of the descriptor.
type queue struct {
	items []item
	head  int    // first item that is not sent whole
	buf   []byte // bytes of the items that are not extents
	size  int    // bytes not yet sent
}

// item is buf[off:off+left], or the extent if it has a length.
type item struct {
	off, left int
	ext       core.Extent // Pos, Len and Mem advance as it is sent
}

func (q *queue) push(p []byte) {
	q.size += len(p)
	if n := len(q.items); n > q.head {
		if last := &q.items[n-1]; last.ext.Len == 0 && last.off+last.left == len(q.buf) {
			last.left += len(p)
			q.buf = append(q.buf, p...)
			return
		}
	}
	q.items = append(q.items, item{off: len(q.buf), left: len(p)})
	q.buf = append(q.buf, p...)
}

func (q *queue) pushExtent(e core.Extent) {
	if e.Len == 0 {
		e.Release()
		return
	}
	q.size += e.Len
	q.items = append(q.items, item{ext: e})
}

func (q *queue) empty() bool { return q.head == len(q.items) }

// reset keeps the memory of a small queue and drops that of a large one.
func (q *queue) reset() {
	clear(q.items)
	q.items, q.head, q.buf = q.items[:0], 0, q.buf[:0]
	if cap(q.buf) > 256<<10 {
		q.buf = nil
	}
}

// release gives back every hold, when the connection is gone.
func (q *queue) release() {
	for i := q.head; i < len(q.items); i++ {
		q.items[i].ext.Release()
	}
	q.reset()
	q.size = 0
}

// outcome is how a flush ended.
type outcome uint8

const (
	drained outcome = iota
	again           // the socket is full
	yielded         // the turn's share is used up
	broken
)

// flush sends as much as the socket takes, up to turnMax. scratch is for small ranges.
func (q *queue) flush(fd int, iov *[iovMax][]byte, scratch []byte) outcome {
	budget := turnMax
	for !q.empty() {
		if budget <= 0 {
			return yielded
		}
		runs, bytes, big := q.gather(iov, scratch)
		var n int
		var err error
		if runs > 0 {
			n, err = send(fd, iov[:runs], big)
		} else {
			bytes = min(q.items[q.head].ext.Len, budget)
			n, err = sendFile(fd, &q.items[q.head].ext, bytes)
			if n == 0 && err == nil {
				return broken // the file is shorter than its extent
			}
		}
		clear(iov[:runs])
		switch {
		case err == unix.EAGAIN:
			return again
		case err == unix.EINTR:
			continue
		case err != nil:
			return broken
		}
		q.sent(n)
		budget -= n
		if n < bytes {
			return again
		}
	}
	q.reset()
	return drained
}

// gather collects runs from the head on, up to a large file range (big), which is left
// to sendfile. Small file ranges are read into scratch; what then is not sent is read
// again.
func (q *queue) gather(iov *[iovMax][]byte, scratch []byte) (runs, bytes int, big bool) {
	for i := q.head; i < len(q.items) && runs < iovMax && bytes < turnMax; i++ {
		it := &q.items[i]
		switch {
		case it.ext.Len == 0:
			iov[runs] = q.buf[it.off : it.off+it.left]
		case it.ext.Mem != nil:
			iov[runs] = it.ext.Mem[:it.ext.Len]
		case it.ext.Len < smallMax && it.ext.Len <= len(scratch):
			n, err := it.ext.File.ReadAt(scratch[:it.ext.Len], int64(it.ext.Pos))
			if n < it.ext.Len {
				_ = err // sendfile will meet the same and say so
				return runs, bytes, runs > 0
			}
			iov[runs] = scratch[:n]
			scratch = scratch[n:]
		default:
			return runs, bytes, runs > 0
		}
		bytes += len(iov[runs])
		runs++
	}
	return runs, bytes, false
}

// send is one writev; more says that file bytes follow at once.
func send(fd int, runs [][]byte, more bool) (int, error) {
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if more {
		flags |= unix.MSG_MORE
	}
	if len(runs) == 1 {
		return unix.SendmsgN(fd, runs[0], nil, nil, flags)
	}
	return unix.SendmsgBuffers(fd, runs, nil, nil, flags)
}

func sendFile(fd int, e *core.Extent, n int) (int, error) {
	pos := int64(e.Pos)
	return unix.Sendfile(fd, e.File.Fd(), &pos, n)
}

// sent takes n bytes off the head.
func (q *queue) sent(n int) {
	q.size -= n
	for n > 0 {
		it := &q.items[q.head]
		if it.ext.Len == 0 {
			k := min(n, it.left)
			it.off, it.left, n = it.off+k, it.left-k, n-k
			if it.left > 0 {
				return
			}
			q.head++
			continue
		}
		k := min(n, it.ext.Len)
		if it.ext.Mem != nil {
			it.ext.Mem = it.ext.Mem[k:]
		}
		it.ext.Pos += core.FilePos(k)
		it.ext.Len -= k
		n -= k
		if it.ext.Len > 0 {
			return
		}
		it.ext.Release()
		it.ext = core.Extent{}
		q.head++
	}
}
