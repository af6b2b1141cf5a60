package crowd

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/bench/load"
)

// Target is an address, and the partitions that are asked for there.
type Target struct {
	Addr       string
	Partitions []int32
}

// Crowd is connections that are open and do nothing until a load is put on them.
type Crowd struct {
	targets []Target
	turns   []int // of the partitions of each target, who is next
	conns   []conn
	next    int // of conns, who sends the next request
	epoll   int
	events  []unix.EpollEvent
	scratch []byte
}

// conn is one connection.
type conn struct {
	fd     int
	target int
	out    []byte // of a request of which the socket took only a part
	head   []byte // of an answer, as far as it has come
	skip   int    // bytes of the answer that are still to come, and dropped
	worth  int    // bytes of records that the answer counts for
	owed   int    // answers
}

// acceptedAfter is how many connections are made before the broker is asked whether it
// has taken them: more than its backlog holds would be tried again by the kernel after a
// second.
const acceptedAfter = 256

// Open makes n connections to a broker, spread over its addresses in turn.
func Open(targets []Target, n int) (*Crowd, error) { return open(targets, n, true) }

// Dial is Open for a server that answers nothing else than the load.
func Dial(targets []Target, n int) (*Crowd, error) { return open(targets, n, false) }

func open(targets []Target, n int, ask bool) (*Crowd, error) {
	c := &Crowd{targets: targets, turns: make([]int, len(targets)), events: make([]unix.EpollEvent, 256), scratch: make([]byte, 1<<20)}
	var err error
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	for i := range n {
		fd, err := dial(targets[i%len(targets)].Addr)
		if err == nil {
			c.conns = append(c.conns, conn{fd: fd, target: i % len(targets)})
			err = c.listen(unix.EPOLL_CTL_ADD, i, unix.EPOLLIN)
		}
		if err == nil && ask && ((i+1)%acceptedAfter < len(targets) || i+1 == n) {
			err = c.taken(i % len(targets))
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("connection %d of %d to %s: %w", i+1, n, targets[i%len(targets)].Addr, err)
		}
	}
	return c, nil
}

// taken returns when the broker has accepted all connections to a target: it takes them
// in order, and answers one that is made now.
func (c *Crowd) taken(target int) error {
	a, err := load.Dial(c.targets[target].Addr)
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Ready()
}

// dial makes a connection that the Go runtime does not watch: its epoll, beside ours,
// would cost the broker's side, which wakes both.
func dial(addr string) (fd int, err error) {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return -1, err
	}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("socket: %w (ulimit -n has to be above the number of connections)", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, load.Congestion); err != nil {
		return -1, fmt.Errorf("set the congestion control %s: %w", load.Congestion, err)
	}
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return -1, err
	}
	// Closed by a reset: ten thousand ports that wait for two minutes after each run
	// would be all that there are.
	if err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return -1, err
	}
	sa := &unix.SockaddrInet4{Port: to.Port}
	copy(sa.Addr[:], to.IP.To4())
	if err = unix.Connect(fd, sa); err != nil {
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, unix.SetNonblock(fd, true)
}

// listen sets what is waited for on a connection.
func (c *Crowd) listen(op, i int, events uint32) error {
	return unix.EpollCtl(c.epoll, op, c.conns[i].fd, &unix.EpollEvent{Events: events, Fd: int32(i)})
}

// Close closes all connections.
func (c *Crowd) Close() {
	for i := range c.conns {
		_ = unix.Close(c.conns[i].fd)
	}
	c.conns = nil
	_ = unix.Close(c.epoll)
}

// Targets are the brokers that lead the partitions of a topic.
func Targets(addr, topic string) ([]Target, error) {
	c, err := load.Dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(7)
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	resp, err := c.Ask(req)
	if err != nil {
		return nil, err
	}
	m := resp.(*kmsg.MetadataResponse)
	led := map[int32][]int32{}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return nil, fmt.Errorf("partition %d of %s: error %d", p.Partition, topic, p.ErrorCode)
			}
			led[p.Leader] = append(led[p.Leader], p.Partition)
		}
	}
	var targets []Target
	for _, b := range m.Brokers {
		if parts := led[b.NodeID]; len(parts) > 0 {
			slices.Sort(parts)
			targets = append(targets, Target{net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), parts})
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("nobody leads a partition of %s", topic)
	}
	return targets, nil
}

// patience is how long nothing may come.
const patience = 30 * time.Second
