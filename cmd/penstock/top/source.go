package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cmd/penstock/cli"
	"github.com/penstock/penstock/cmd/penstock/status"
)

// DefaultAdmin is where the admin port of a broker is that was started without
// configuration.
const DefaultAdmin = "127.0.0.1:9644"

// answerMax bounds what is read of one answer: 64 MiB are 250,000 connections.
const answerMax = 64 << 20

// sample is what the admin port said at one time. What was not asked for is nil.
type sample struct {
	part    part
	shards  status.Shards
	topics  []status.Topic
	groups  []status.Group
	clients []status.Client
}

// part is what a sample holds beside the shards, which are always in it: a screen asks
// for what it shows, for the clients of a large broker are megabytes.
type part int

const (
	cores part = iota
	topics
	groups
	clients
	partCount
	everything = partCount
)

// source reads the admin port at an address.
type source struct {
	addr string
	http *http.Client
}

func newSource(addr string, patience time.Duration) *source {
	addr = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(addr), "http://"), "/")
	if !strings.Contains(addr, ":") || strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]") {
		addr += ":9644"
	}
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	// No proxy: the admin port is on this host, or at the end of a tunnel.
	return &source{addr: addr, http: &http.Client{Timeout: patience, Transport: &http.Transport{Proxy: nil}}}
}

// read takes one sample. Its error is one for a person, with the exit code.
func (s *source) read(ctx context.Context, p part) (*sample, error) {
	out := &sample{part: p}
	if err := s.get(ctx, status.ShardsPath, &out.shards); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		is   part
		path string
		into any
	}{{topics, status.TopicsPath, &out.topics}, {groups, status.GroupsPath, &out.groups}, {clients, status.ClientsPath, &out.clients}} {
		if p == part.is || p == everything {
			if err := s.get(ctx, part.path, part.into); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (s *source) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		return cli.Usage("--admin %s is not host:port", s.addr)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return s.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	switch {
	case err != nil:
		return s.unreachable(ctx, err)
	case resp.StatusCode == http.StatusNotFound:
		return cli.Fail(cli.ExitFailed, "%s answers, but has no %s: it is not the admin port of a Penstock, or of an older one; the banner of penstock serve shows the address", s.addr, path)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return cli.Fail(cli.ExitUnreachable, "the broker at %s does not serve yet: %s; try again in a moment (%s/readyz says when)", s.addr, whyNot(body), s.addr)
	case resp.StatusCode != http.StatusOK:
		return cli.Fail(cli.ExitFailed, "%s answered %s with %q: %s", s.addr, path, resp.Status, firstLine(body))
	case len(body) > answerMax:
		return cli.Fail(cli.ExitFailed, "%s answered %s with more than %d MiB, which is more than top reads; /metrics has the same in sums", s.addr, path, answerMax>>20)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return cli.Fail(cli.ExitFailed, "%s answered %s with something other than the JSON of Penstock (%v); is it the admin port, and is the broker as new as this penstock?", s.addr, path, err)
	}
	return nil
}

func (s *source) unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &cli.Error{Code: cli.ExitUnreachable, Err: &silence{s.addr, reason(err)}}
}

// silence is an admin port that does not answer.
type silence struct {
	addr string
	why  error
}

func (e *silence) Unwrap() error { return e.why }
func (e *silence) Error() string {
	return fmt.Sprintf("no admin port answers at %s: %v; start a broker with penstock serve, or say with --admin where its admin port is (key admin of its configuration, a line of its banner); it listens on loopback only, so for another host: ssh -L 9644:127.0.0.1:9644 HOST", e.addr, e.why)
}

// reason is the cause at the bottom of an error of HTTP, without the URL.
func reason(err error) error {
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return op.Err
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("it accepted the connection and did not answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection without an answer")
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

// whyNot is the reason in an answer of 503.
func whyNot(body []byte) string {
	var answer struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Reason == "" {
		return firstLine(body)
	}
	return safe(answer.Reason)
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return fmt.Sprintf("%.120q", line)
}
