package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// bellKind is what a bell announces.
type bellKind uint8

// The bells of a loop.
const (
	bellTurn  bellKind = iota // the callbacks of this turn are through; an eventfd that is always readable, armed once per turn
	bellRing                  // another goroutine wants something; an eventfd
	bellTimer                 // a timerfd
	bellReady                 // blocked sockets are writable; stands for the nested epoll
	bellCount
)

// bell is a descriptor of ours that gnet takes for a connection, so that its callbacks
// come on the loop. gnet enrols sockets only: one end of a socket pair is enrolled and
// the descriptor behind its number is then replaced (dup3) by an eventfd or timerfd,
// which gnet reads as it reads connections: 8 bytes. So a bell costs one read. With one
// socket pair in front of a nested epoll it is a read, a write to set the bell again, an
// epoll_wait to learn what rang, and a read of that (BenchmarkRing: 1.0 us in all).
type bell struct {
	kind bellKind
	src  int   // the eventfd or timerfd
	fd   int   // gnet's number for it
	err  error // why it could not be attached
}

// bells are what a loop needs besides gnet's epoll.
type bells struct {
	all       [bellCount]*bell
	gnetEpoll int
	nested    int // epoll of connections that wait to become writable; readable itself when one is
	events    []unix.EpollEvent
	event     unix.EpollEvent // argument of epoll_ctl; here, so that it is not allocated
	polled    [1]unix.PollFd  // gnet's epoll
}

func (b *bells) open() error {
	b.nested, b.gnetEpoll = -1, -1
	b.events = make([]unix.EpollEvent, 256)
	for k := range b.all {
		b.all[k] = &bell{kind: bellKind(k), src: -1}
	}
	var err error
	if b.nested, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	for _, k := range []bellKind{bellTurn, bellReady} { // every read takes 1: they stay readable for ever
		if b.all[k].src, err = eventfd(unix.EFD_SEMAPHORE, 1<<62); err != nil {
			return err
		}
	}
	if b.all[bellRing].src, err = eventfd(0, 0); err != nil {
		return err
	}
	b.all[bellTimer].src, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	return os.NewSyscallError("timerfd_create", err)
}

func eventfd(flags int, count uint64) (int, error) {
	fd, err := unix.Eventfd(0, flags|unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("eventfd", err)
	}
	if count > 0 {
		err = eventfdAdd(fd, count)
	}
	return fd, err
}

func eventfdAdd(fd int, n uint64) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], n)
	_, err := unix.Write(fd, b[:])
	return os.NewSyscallError("write", err)
}

func (b *bells) close() {
	for _, l := range b.all {
		if l.src >= 0 {
			_ = unix.Close(l.src)
		}
	}
	if b.nested >= 0 {
		_ = unix.Close(b.nested)
	}
}

// socket is a connection for gnet to enrol.
func socket() (net.Conn, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer func() { _ = unix.Close(p[1]) }() // nothing is ever sent; gnet's end is replaced
	f := os.NewFile(uintptr(p[0]), "bell")
	defer func() { _ = f.Close() }() // FileConn has its own descriptor
	return net.FileConn(f)
}

// attach runs in OnOpen of a bell, on the loop.
func (b *bells) attach(l *bell, c gnet.Conn) error {
	ep, err := gnetEpoll(c)
	if err != nil {
		return err
	}
	b.gnetEpoll, l.fd = ep, c.Fd()
	// That the descriptor can be taken out proves that this is the epoll it is in.
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_DEL, l.fd, nil); err != nil {
		return fmt.Errorf("gnet's epoll is not where it was found: %w", err)
	}
	if err := unix.Dup3(l.src, l.fd, unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("dup3", err)
	}
	switch l.kind {
	case bellTurn:
		return b.ctl(ep, unix.EPOLL_CTL_ADD, l.fd, unix.EPOLLONESHOT, uint64(l.fd))
	case bellReady: // the nested epoll is what gnet waits for, and this is what it then reads
		return b.ctl(ep, unix.EPOLL_CTL_ADD, b.nested, unix.EPOLLIN, uint64(l.fd))
	default:
		return b.ctl(ep, unix.EPOLL_CTL_ADD, l.fd, unix.EPOLLIN, uint64(l.fd))
	}
}

// gnetEpoll reads the descriptor of gnet's epoll from private fields: gnet has no way to
// pause reading, nor to tell that a socket is writable. gnet's version is pinned; a loop
// that does not find the fields does not start.
func gnetEpoll(c gnet.Conn) (fd int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this version of gnet keeps its epoll elsewhere (v2.10.0 is expected): %v", r)
		}
	}()
	poller := reflect.ValueOf(c).Elem().FieldByName("loop").Elem().FieldByName("poller")
	return int(poller.Elem().FieldByName("fd").Int()), nil
}

// ctl is epoll_ctl with a token of 64 bits.
func (b *bells) ctl(ep, op, fd int, events uint32, token uint64) error {
	b.event = unix.EpollEvent{Events: events, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, op, fd, &b.event))
}

// endTurn makes bellTurn ring after the events of this turn.
func (b *bells) endTurn() {
	fd := b.all[bellTurn].fd
	err := b.ctl(b.gnetEpoll, unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLONESHOT, uint64(fd))
	core.Assert(err == nil, "the end of a turn cannot be asked for")
}

// sleep waits until there is something in gnet's epoll. What came with the turn's bell
// and has not been handled yet is there still: all but gnet's own descriptor are levels.
func (b *bells) sleep() {
	b.polled[0] = unix.PollFd{Fd: int32(b.gnetEpoll), Events: unix.POLLIN}
	_, _ = unix.Poll(b.polled[:], -1) // interrupted: gnet finds nothing, and sleeps
}

// read sets whether gnet reads a connection. Without EPOLLPRI: an urgent byte is a
// level that gnet's read never takes away, so one of them kept a core busy for ever.
func (b *bells) read(c *conn, on bool) error {
	events := uint32(0) // errors and hang-ups are still reported
	if on {
		events = unix.EPOLLIN
	}
	return b.ctl(b.gnetEpoll, unix.EPOLL_CTL_MOD, c.fd, events, uint64(c.fd))
}

// watch asks once for the connection to become writable. The same descriptor may be in
// two epolls; a dup of it would hold back the FIN.
func (b *bells) watch(c *conn) error {
	op := unix.EPOLL_CTL_MOD
	if !c.watched {
		op = unix.EPOLL_CTL_ADD
	}
	err := b.ctl(b.nested, op, c.fd, unix.EPOLLOUT|unix.EPOLLONESHOT, uint64(c.id))
	c.watched = c.watched || err == nil
	return err
}

func (b *bells) unwatch(c *conn) {
	if c.watched {
		c.watched = false
		_ = unix.EpollCtl(b.nested, unix.EPOLL_CTL_DEL, c.fd, nil) // its generation covers an event already taken
	}
}

// ready fetches the connections that have become writable.
func (b *bells) ready() []unix.EpollEvent {
	n, err := unix.EpollWait(b.nested, b.events, 0)
	if err != nil {
		return nil // interrupted: it is still readable
	}
	return b.events[:n]
}

func token(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd)) }

// setTimer makes bellTimer ring after d.
func (b *bells) setTimer(d time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(d)))}
	err := unix.TimerfdSettime(b.all[bellTimer].src, 0, &spec, nil)
	core.Assert(err == nil, "the timer of a loop cannot be set")
}

// probeTimeout is how long the self-test waits for gnet.
const probeTimeout = 10 * time.Second

// probe is the self-test at the start: each bell has to ring. It is on the loop.
type probe struct {
	seen [bellCount]bool
	done chan struct{}
}

// probeToken is no connection: the largest slot and generation.
const probeToken = ^uint64(0)

// check runs the self-test.
func (l *Loop) check() error {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer func() { _, _ = unix.Close(p[0]), unix.Close(p[1]) }()
	done := make(chan struct{})
	started := make(chan struct{})
	l.post(task{done: started, fn: func() {
		l.probe = &probe{done: done}
		err = l.bells.ctl(l.bells.nested, unix.EPOLL_CTL_ADD, p[0], unix.EPOLLOUT|unix.EPOLLONESHOT, probeToken)
		l.bells.setTimer(1)
		l.arm()
		l.probed(bellRing)
	}})
	for _, c := range []chan struct{}{started, done} {
		select {
		case <-c:
		case <-time.After(probeTimeout):
			return errors.New("gnet does not ring the bells of a loop as v2.10.0 does")
		}
		if err != nil { // written before started is closed
			return err
		}
	}
	return nil
}

func (l *Loop) probed(k bellKind) {
	if l.probe == nil {
		return
	}
	l.probe.seen[k] = true
	for _, ok := range l.probe.seen {
		if !ok {
			return
		}
	}
	close(l.probe.done)
	l.probe = nil
}
