package floor

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// turnMax is how much of a file is sent to one connection before the others get a turn.
const turnMax = 1 << 20

// fetchFloor is one epoll loop: for each frame a header with MSG_MORE, a range of the
// file by sendfile, and a tail.
type fetchFloor struct {
	ep, file   int
	fileSize   int64
	head, tail []byte // head with the length of the whole
	size       int
	conns      map[int32]*reader
	buf        []byte
}

// reader is one connection. At most one answer is being sent; the others wait as counts.
type reader struct {
	fd     int
	in     []byte // of a frame that is not whole
	asked  []uint32
	head   []byte // of the answer being sent, what is left
	at     int64  // in the file
	left   int
	tail   []byte
	active bool
	out    bool // waits for EPOLLOUT
}

func serveFetch(head, tail []byte, path string, size int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() // and so it stays open: the loop holds only its number
	info, err := file.Stat()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	lf, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer lf.Close()
	ep, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	f := &fetchFloor{ep: ep, file: int(file.Fd()), fileSize: info.Size(), tail: tail, size: size, conns: map[int32]*reader{}, buf: make([]byte, 64<<10)}
	f.head = append(binary.BigEndian.AppendUint32(nil, uint32(len(head)+size+len(tail))), head...)
	lfd := int32(lf.Fd())
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(lfd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: lfd}); err != nil {
		return err
	}
	fmt.Println(l.Addr())
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(ep, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == lfd {
				f.accept(int(lfd))
				continue
			}
			if r := f.conns[e.Fd]; r != nil && !f.step(r, e.Events) {
				delete(f.conns, e.Fd)
				_ = unix.Close(r.fd)
			}
		}
	}
}

func (f *fetchFloor) accept(lfd int) {
	fd, _, err := unix.Accept4(lfd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
	f.conns[int32(fd)] = &reader{fd: fd}
	_ = unix.EpollCtl(f.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// step reads what there is and sends what it can; false ends the connection.
func (f *fetchFloor) step(r *reader, events uint32) bool {
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		n, err := unix.Read(r.fd, f.buf)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR || n == 0 {
			return false
		}
		r.in = append(r.in, f.buf[:max(n, 0)]...)
		for len(r.in) >= 12 {
			size := 4 + int(binary.BigEndian.Uint32(r.in))
			if len(r.in) < size {
				break
			}
			r.asked = append(r.asked, binary.BigEndian.Uint32(r.in[8:]))
			r.in = r.in[:copy(r.in, r.in[size:])]
		}
	}
	blocked, ok := f.send(r)
	if ok && blocked != r.out {
		r.out = blocked
		mask := uint32(unix.EPOLLIN)
		if blocked {
			mask |= unix.EPOLLOUT
		}
		_ = unix.EpollCtl(f.ep, unix.EPOLL_CTL_MOD, r.fd, &unix.EpollEvent{Events: mask, Fd: int32(r.fd)})
	}
	return ok
}

// send sends until nothing is asked, the socket is full or the turn is over.
func (f *fetchFloor) send(r *reader) (blocked, ok bool) {
	for budget := turnMax; budget > 0; {
		if !r.active {
			if len(r.asked) == 0 {
				return false, true
			}
			r.head = append(r.head[:0], f.head...)
			binary.BigEndian.PutUint32(r.head[4:], r.asked[0])
			r.asked = r.asked[:copy(r.asked, r.asked[1:])]
			if r.at+int64(f.size) > f.fileSize {
				r.at = 0
			}
			r.left, r.tail, r.active = f.size, f.tail, true
		}
		var n int
		var err error
		switch {
		case len(r.head) > 0:
			n, err = unix.SendmsgN(r.fd, r.head, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT|unix.MSG_MORE)
			r.head = r.head[max(n, 0):]
		case r.left > 0:
			n, err = unix.Sendfile(r.fd, f.file, &r.at, min(r.left, budget))
			r.left -= max(n, 0)
			budget -= max(n, 0)
		default:
			n, err = unix.SendmsgN(r.fd, r.tail, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			r.tail = r.tail[max(n, 0):]
			r.active = len(r.tail) > 0
		}
		if err == unix.EAGAIN {
			return true, true
		}
		if err != nil && err != unix.EINTR {
			return false, false
		}
	}
	return true, true // level-triggered EPOLLOUT brings the next turn
}
