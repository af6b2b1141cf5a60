package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peerPatience is how long one answer may take, if the verb's timeout allows it.
const peerPatience = 5 * time.Second

// answerMax is the longest answer that is read: the metadata of very many partitions.
const answerMax = 256 << 20

// peer is a plain connection to what may be a broker.
type peer struct {
	conn     net.Conn
	addr     string
	patience time.Duration // for one answer
	remote   net.IP
	next     int32
	top      map[int16]int16 // highest versions, after versions
}

func dial(ctx context.Context, addr string, patience time.Duration) (*peer, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &peer{conn: conn, addr: addr, patience: patience}
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		p.remote = a.IP
	}
	return p, nil
}

func (p *peer) close() { _ = p.conn.Close() }

// strange is an answer that is none of Kafka's.
type strange struct{ head []byte }

func (s *strange) Error() string { return fmt.Sprintf("an answer that begins with %q", s.head) }

// ask sends a request of a version and reads its answer.
func (p *peer) ask(req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	p.next++
	_ = p.conn.SetDeadline(time.Now().Add(p.patience))
	if _, err := p.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("penstock-doctor")).AppendRequest(nil, req, p.next)); err != nil {
		return nil, err
	}
	head := make([]byte, 8)
	if n, err := io.ReadFull(p.conn, head); err != nil {
		if n > 0 {
			return nil, &strange{head[:n]}
		}
		return nil, err
	}
	size, id := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	if size < 4 || size > answerMax || id != uint32(p.next) {
		_ = p.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // for what it is, a little more helps
		more := make([]byte, 56)
		n, _ := io.ReadFull(p.conn, more)
		return nil, &strange{append(head, more[:n]...)}
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if len(body) == 0 {
			return nil, &strange{head}
		}
		body = body[1:] // tags, of which there are none here
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, &strange{append(head, body[:min(len(body), 56)]...)}
	}
	return resp, nil
}

// versions asks for the versions that are served, and so finds out whether Kafka's
// protocol is spoken at all.
func (d *diagnosis) versions(p *peer) bool {
	began := time.Now()
	what := "ask " + p.addr + " for its versions (ApiVersions)"
	resp, err := p.ask(kmsg.NewPtrApiVersionsRequest(), 0) // every broker answers version 0
	if err != nil {
		why, fix := protocolFault(err, p.addr, p.patience)
		d.add(what, began, false, "%s", why)
		d.fix(fix...)
		return false
	}
	r := resp.(*kmsg.ApiVersionsResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		d.add(what, began, false, "it refuses: %v", err)
		d.fix("look into the broker's log")
		return false
	}
	p.top = map[int16]int16{}
	for _, k := range r.ApiKeys {
		p.top[k.ApiKey] = k.MaxVersion
	}
	level := KafkaLevel(p.top)
	if d.Level == "" {
		d.Level = level
	}
	return d.add(what, began, true, "%d APIs, as of Kafka %s", len(p.top), level)
}

// metadata asks for the brokers, as every client does first.
func (d *diagnosis) metadata(ctx context.Context, p *peer) (*kmsg.MetadataResponse, bool) {
	began := time.Now()
	what := "ask " + p.addr + " for the brokers (Metadata)"
	top, served := p.top[int16(kmsg.Metadata)]
	if !served {
		d.add(what, began, false, "it does not serve that: this looks like the port of a KRaft controller")
		d.fix("connect clients to a listener of the brokers, not to the one in controller.listener.names")
		return nil, false
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // of no topic, from version 1 on
	resp, err := p.ask(req, min(top, req.MaxVersion()))
	if err != nil {
		if mechanisms := saslMechanisms(ctx, p.addr, p.patience); mechanisms != "" {
			d.add(what, began, false, "it wants a user first (SASL: %s)", mechanisms)
			d.fix("give clients security.protocol=SASL_PLAINTEXT (or SASL_SSL), sasl.mechanism and a user, or use a port without authentication")
			return nil, false
		}
		d.add(what, began, false, "the connection ended: %v", err)
		d.fix("look into the broker's log")
		return nil, false
	}
	r := resp.(*kmsg.MetadataResponse)
	if r.ClusterID != nil && d.Cluster == "" {
		d.Cluster = *r.ClusterID
	}
	if len(r.Brokers) == 0 {
		d.add(what, began, false, "it names no broker")
		d.fix("wait until the brokers have joined the cluster; the broker's log says what it waits for")
		return nil, false
	}
	return r, d.add(what, began, true, "%s of cluster %s", counted(len(r.Brokers), "broker"), d.Cluster)
}

// saslMechanisms are those that a port wants, "" for one that wants none.
func saslMechanisms(ctx context.Context, addr string, patience time.Duration) string {
	p, err := dial(ctx, addr, patience)
	if err != nil {
		return ""
	}
	defer p.close()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = "PENSTOCK-DOCTOR"
	resp, err := p.ask(req, 1)
	if err != nil {
		return ""
	}
	r := resp.(*kmsg.SASLHandshakeResponse)
	if kerr.ErrorForCode(r.ErrorCode) != kerr.UnsupportedSaslMechanism {
		return ""
	}
	return strings.Join(r.SupportedMechanisms, ", ")
}

// dialFault says why nothing was reached, and what to do.
func dialFault(err error, host, port string) (why, fix string) {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name is not known here: " + dns.Err, "use a name that resolves here"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused: the machine is there, and nothing listens on port " + port,
			"start the broker (penstock serve), or look which port it has (ss -ltn), and whether it listens on this address: one on 127.0.0.1 is not seen from elsewhere (--kafka, Kafka's listeners=)"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to " + host + " from here", "check the address, and the network between (ip route get " + host + ")"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "no answer: packets are dropped on the way, or the machine is off", "check the address, and the firewalls between for port " + port
	}
	return err.Error(), "check the address"
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// protocolFault says what is at an address that takes connections and does not speak
// Kafka in plaintext.
func protocolFault(err error, addr string, patience time.Duration) (why string, fix []string) {
	var s *strange
	if errors.As(err, &s) {
		head := string(s.head)
		switch {
		case s.head[0] == 0x15 && len(s.head) > 1 && s.head[1] == 3: // a TLS alert
			return tlsFault(certificate(addr, patience))
		case strings.HasPrefix(head, "HTTP/"):
			return httpFault(firstLine(head))
		case strings.HasPrefix(head, "SSH-"):
			return "it is an SSH server: " + firstLine(head), []string{"use the broker's Kafka port: 9092 unless it was changed"}
		case strings.HasPrefix(head, "AMQP"):
			return "it speaks AMQP, not Kafka", []string{"use the broker's Kafka port: 9092 unless it was changed"}
		}
		return fmt.Sprintf("it does not speak Kafka; it answers %q", s.head), []string{"use the broker's Kafka port: 9092 unless it was changed"}
	}
	if cert := certificate(addr, patience); cert != "" { // some end the connection without a word
		return tlsFault(cert)
	}
	if isTimeout(err) {
		if line := httpLine(addr, patience); line != "" { // it waits for the end of a line
			return httpFault(line)
		}
		return "it takes the connection and says nothing: not a Kafka port, or the broker hangs", []string{"look into the broker's log; a proxy between may wait for something else (PROXY protocol, TLS)"}
	}
	return "it ends the connection without an answer: " + err.Error(), []string{"look into the broker's log: it may turn away clients of this address, or have no connection left"}
}

func httpFault(line string) (why string, fix []string) {
	return "it speaks HTTP, not Kafka: " + line, []string{"use the broker's Kafka port: 9092 unless it was changed; 9644 is Penstock's admin port, 8080 and 8082 are often a console's"}
}

// httpLine is the first line that an HTTP server answers, "" for anything else.
func httpLine(addr string, patience time.Duration) string {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return ""
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return ""
	}
	head := make([]byte, 64)
	n, _ := io.ReadAtLeast(c, head, 16)
	if line := firstLine(string(head[:n])); strings.HasPrefix(line, "HTTP/") {
		return line
	}
	return ""
}

func tlsFault(cert string) (why string, fix []string) {
	return "it speaks TLS, and was spoken to in plaintext" + cert, []string{
		"connect to the broker's plaintext port, or give clients security.protocol=SSL with a truststore (this version of penstock connects in plaintext only)",
	}
}

// certificate is what a TLS port shows of itself, "" for none. Nothing is sent over it, so
// nothing needs to be verified.
func certificate(addr string, patience time.Duration) string {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		var alert tls.AlertError
		if errors.As(err, &alert) {
			return " (it wants a certificate)"
		}
		return ""
	}
	defer func() { _ = c.Close() }()
	if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 {
		names := certs[0].DNSNames
		if len(names) == 0 {
			names = []string{certs[0].Subject.CommonName}
		}
		return " (its certificate is for " + strings.Join(names, ", ") + ")"
	}
	return " (it shows no certificate)"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

// advertisedTrap names the classic faults of an advertised address, "" for none of them.
// reached is the address that we came in on.
func advertisedTrap(host string, port int32, reached net.IP) string {
	ip := net.ParseIP(host)
	switch {
	case host == "":
		return "the address has no host"
	case port <= 0 || port > 65535:
		return fmt.Sprintf("%d is no port", port)
	case ip != nil && ip.IsUnspecified():
		return "that means every address of a machine, and is none that a client can connect to"
	case (strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()) && !reached.IsLoopback():
		return "a client on another machine would connect to itself"
	}
	return ""
}
