// Package load puts load on a Kafka broker: requests that were encoded before the run
// are sent over plain connections and their answers looked at as little as a client
// may. A goroutine per connection, or two with a fixed rate, and no allocation per
// request. It works against any Kafka broker, and against bench/floor.
package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/codec/kafka"
)

// Congestion is the TCP congestion control of the client's end: with bbr a loopback has
// half the throughput at twice the CPU.
const Congestion = "cubic"

const callTimeout = 30 * time.Second

// dial connects with Congestion.
func dial(addr string) (net.Conn, error) { return Dialer(Congestion).Dial(context.Background(), addr) }

// Dialer connects with a TCP congestion control; if the system does not allow it, that is
// an error, for the figures would not be comparable. "" is the system's own.
type Dialer string

// Dial connects.
func (d Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return d.DialContext(ctx, "tcp", addr)
}

// DialContext connects, in the form that other packages want.
func (d Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n := net.Dialer{Timeout: callTimeout}
	if d != "" {
		n.Control = func(_, _ string, c syscall.RawConn) (err error) {
			err2 := c.Control(func(fd uintptr) {
				if err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, string(d)); err != nil {
					err = fmt.Errorf("set the congestion control %s: %w", string(d), err)
				}
			})
			if err == nil {
				err = err2
			}
			return err
		}
	}
	return n.DialContext(ctx, network, addr)
}

// Client asks a broker for what happens once, one request at a time.
type Client struct {
	c    net.Conn
	next int32
}

// Dial opens a Client.
func Dial(addr string) (*Client, error) {
	c, err := dial(addr)
	return &Client{c: c}, err
}

// Close closes the connection.
func (c *Client) Close() { _ = c.c.Close() }

// Ask sends a request at its version and reads the answer.
func (c *Client) Ask(req kmsg.Request) (kmsg.Response, error) {
	c.next++
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-bench"))
	_ = c.c.SetDeadline(time.Now().Add(callTimeout))
	if _, err := c.c.Write(f.AppendRequest(nil, req, c.next)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.c, head[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.c, frame); err != nil {
		return nil, err
	}
	skip := 4
	if req.IsFlexible() && req.Key() != kafka.ApiVersions {
		skip++
	}
	resp := req.ResponseKind()
	return resp, resp.ReadFrom(frame[skip:])
}

// CreateTopic creates a topic with settings.
func (c *Client) CreateTopic(name string, partitions int, configs map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(5)
	req.TimeoutMillis = int32(callTimeout.Milliseconds())
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), 1
	for k, v := range configs {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = k, kmsg.StringPtr(v)
		t.Configs = append(t.Configs, cfg)
	}
	req.Topics = append(req.Topics, t)
	resp, err := c.Ask(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("create topic %s: error %d %s", name, t.ErrorCode, text(t.ErrorMessage))
		}
	}
	return nil
}

// DeleteTopic deletes a topic.
func (c *Client) DeleteTopic(name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.SetVersion(4)
	req.TimeoutMillis = int32(callTimeout.Milliseconds())
	req.TopicNames = []string{name}
	resp, err := c.Ask(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.DeleteTopicsResponse).Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("delete topic %s: error %d", name, t.ErrorCode)
		}
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Ready says whether the broker answers.
func (c *Client) Ready() error {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(1)
	_, err := c.Ask(req)
	return err
}
