package netio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// Tokens of the nested epoll that are no connections: a connection's token is its
// core.ConnID, whose generation is never 0.
const (
	tokenRing = iota + 1
	tokenTimer
	tokenTurn
)

// nested is a second epoll that hangs in gnet's. It holds the write interest of blocked
// connections, the ring, the timer and the end of the turn. gnet knows it as the bell: a
// connection (one end of a socket pair) that always has an unread byte, so that gnet
// calls OnTraffic(bell) on the loop whenever something in the nested epoll is ready.
type nested struct {
	ep, ring, timer, turn int
	bellEnd, bellPeer     int
	gnetEpoll             int
	rung                  atomic.Bool
	armed                 bool // the end of this turn has been asked for
	events                []unix.EpollEvent
}

func newNested() (*nested, error) {
	n := &nested{events: make([]unix.EpollEvent, 256)}
	var err error
	if n.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if n.ring, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if n.turn, err = unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if n.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return n, errors.Join(
		n.add(n.ring, tokenRing, unix.EPOLLIN),
		n.add(n.timer, tokenTimer, unix.EPOLLIN),
		n.add(n.turn, tokenTurn, unix.EPOLLONESHOT)) // armed by endTurnWanted
}

func (n *nested) add(fd int, token uint64, events uint32) error {
	ev := event(token, events)
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(n.ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

func event(token uint64, events uint32) unix.EpollEvent {
	return unix.EpollEvent{Events: events, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
}

func tokenOf(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd)) }

// pair makes the two ends of the bell; the returned connection is enrolled into gnet.
func (n *nested) pair() (net.Conn, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	n.bellPeer = p[1]
	f := os.NewFile(uintptr(p[0]), "bell")
	defer func() { _ = f.Close() }() // FileConn has its own descriptor
	return net.FileConn(f)
}

// attach runs in OnOpen of the bell, on the loop.
func (n *nested) attach(c gnet.Conn) error {
	ep, err := gnetEpoll(c)
	if err != nil {
		return err
	}
	n.gnetEpoll, n.bellEnd = ep, c.Fd()
	if err := n.interest(n.bellEnd, 0); err != nil {
		return err
	}
	if _, err := unix.Write(n.bellPeer, []byte{1}); err != nil {
		return os.NewSyscallError("write", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n.bellEnd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, n.ep, &ev))
}

// gnetEpoll reads the descriptor of gnet's epoll from a private field: gnet has no way
// to pause reading or to learn that a socket is writable. The version of gnet is pinned,
// and a loop whose field has moved does not start.
func gnetEpoll(c gnet.Conn) (fd int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this version of gnet keeps its epoll elsewhere: %v", r)
		}
	}()
	poller := reflect.ValueOf(c).Elem().FieldByName("loop").Elem().FieldByName("poller")
	return int(poller.Elem().FieldByName("fd").Int()), nil
}

// interest sets what gnet's epoll reports of a descriptor; 0 pauses reading.
func (n *nested) interest(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(n.gnetEpoll, unix.EPOLL_CTL_MOD, fd, &ev))
}

// endTurnWanted makes the bell ring after the events of this turn.
func (n *nested) endTurnWanted() {
	if n.armed {
		return
	}
	n.armed = true
	ev := event(tokenTurn, unix.EPOLLIN|unix.EPOLLONESHOT)
	err := unix.EpollCtl(n.ep, unix.EPOLL_CTL_MOD, n.turn, &ev)
	core.Assert(err == nil, "the end of a turn cannot be asked for")
}

// wantWrite asks once for a connection to become writable.
func (n *nested) wantWrite(c *conn) error {
	op := unix.EPOLL_CTL_MOD
	if !c.watched {
		op, c.watched = unix.EPOLL_CTL_ADD, true
	}
	ev := event(uint64(c.id), unix.EPOLLOUT|unix.EPOLLONESHOT)
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(n.ep, op, c.fd, &ev))
}

func (n *nested) forget(c *conn) {
	if c.watched {
		_ = unix.EpollCtl(n.ep, unix.EPOLL_CTL_DEL, c.fd, nil) // the descriptor is about to be closed
	}
}

// wake makes the loop call Wake soon. Any goroutine.
func (n *nested) wake() {
	if n.rung.CompareAndSwap(false, true) {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(n.ring, one[:]) // full means that it is ringing
	}
}

// take clears the ring before its work is looked for, so that no ring is lost.
func (n *nested) take() {
	var b [8]byte
	_, _ = unix.Read(n.ring, b[:])
	n.rung.Store(false)
}

func (n *nested) setTimer(at time.Duration) {
	var spec unix.ItimerSpec
	if at > 0 {
		spec.Value = unix.NsecToTimespec(max(1, int64(at-core.Mono())))
	}
	err := unix.TimerfdSettime(n.timer, 0, &spec, nil)
	core.Assert(err == nil, "the timer of a loop cannot be set")
}

func (n *nested) close() {
	for _, fd := range []int{n.ep, n.ring, n.timer, n.turn, n.bellPeer} {
		_ = unix.Close(fd)
	}
}
