package floor

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// produceFloor is one gnet loop that answers each frame. It waits until gnet holds the
// frame whole, as a server that reads frames through gnet does; or, with pass, it counts
// its way through the bytes and keeps none of them, which is what receiving alone costs.
type produceFloor struct {
	gnet.BuiltinEventEngine
	answer []byte // with its length; the correlation id is the request's
	pass   bool
}

// frames is where a connection stands: rest bytes of a frame are still to come.
type frames struct {
	rest int
	out  []byte
}

func (p *produceFloor) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(&frames{})
	_ = unix.SetsockoptString(c.Fd(), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
	return nil, gnet.None
}

func (p *produceFloor) OnTraffic(c gnet.Conn) gnet.Action {
	f := c.Context().(*frames)
	f.out = f.out[:0]
	const headSize = 12 // length, key, version, correlation id
	for {
		have := c.InboundBuffered()
		if f.rest > 0 {
			n, _ := c.Discard(min(have, f.rest))
			if f.rest -= n; f.rest > 0 || n == 0 {
				break
			}
			continue
		}
		if have < headSize {
			break
		}
		b, err := c.Peek(headSize)
		if err != nil {
			return gnet.Close
		}
		size := 4 + int(binary.BigEndian.Uint32(b))
		if !p.pass {
			if have < size {
				break
			}
			if b, err = c.Next(size); err != nil {
				return gnet.Close
			}
			size = 0
		}
		f.rest = size
		at := len(f.out)
		f.out = append(f.out, p.answer...)
		copy(f.out[at+4:], b[8:12])
	}
	if len(f.out) > 0 {
		_, _ = c.Write(f.out)
	}
	return gnet.None
}

func serveProduce(answer []byte, pass bool, buffer int) error {
	p := &produceFloor{pass: pass, answer: append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)}
	// gnet does not say which port it got: take one that is free, then give it to gnet.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	_ = l.Close()
	fmt.Println(addr)
	return gnet.Run(p, "tcp://"+addr, gnet.WithNumEventLoop(1), gnet.WithLockOSThread(false), gnet.WithReadBufferCap(buffer),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay))
}
