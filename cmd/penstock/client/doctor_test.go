package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listener serves each connection with a function, until the end of the test.
func listener(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// fakeBroker answers ApiVersions and Metadata, the latter with these addresses.
func fakeBroker(t *testing.T, apis []int16, brokers ...kmsg.MetadataResponseBroker) string {
	return listener(t, func(c net.Conn) {
		for {
			var head [12]byte // size, key, version, correlation id
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			rest := make([]byte, binary.BigEndian.Uint32(head[:])-8)
			if _, err := io.ReadFull(c, rest); err != nil {
				return
			}
			var resp kmsg.Response
			switch key := int16(binary.BigEndian.Uint16(head[4:])); {
			case key == 18:
				r := kmsg.NewPtrApiVersionsResponse()
				for _, k := range apis {
					r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: 4})
				}
				resp = r
			case key == 3 && len(brokers) > 0:
				r := kmsg.NewPtrMetadataResponse()
				r.ClusterID, r.Brokers = kmsg.StringPtr("c"), brokers
				resp = r
			case key == 17:
				r := kmsg.NewPtrSASLHandshakeResponse()
				r.ErrorCode, r.SupportedMechanisms = 33, []string{"SCRAM-SHA-512"}
				resp = r
			default:
				return
			}
			resp.SetVersion(int16(binary.BigEndian.Uint16(head[6:])))
			body := resp.AppendTo(append([]byte{0, 0, 0, 0}, head[8:12]...))
			binary.BigEndian.PutUint32(body, uint32(len(body)-4))
			if _, err := c.Write(body); err != nil {
				return
			}
		}
	})
}

func at(host string, port int32) kmsg.MetadataResponseBroker {
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 7, host, port
	return b
}

// self is a broker that advertises its own address by another name.
func self(t *testing.T, addr string) kmsg.MetadataResponseBroker {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n := int32(0)
	for _, c := range port {
		n = n*10 + int32(c-'0')
	}
	return at("localhost", n)
}

func TestDoctorNamesTheTrap(t *testing.T) {
	quiet := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	says := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Write([]byte(s))
			quiet(c)
		}
	}
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	closed := listener(t, quiet)
	other := fakeBroker(t, []int16{3, 18}, at("127.0.0.1", 1))
	all := []int16{3, 17, 18}
	for name, c := range map[string]struct {
		addr string
		want string // of the last step that failed
		fix  string
		dead bool
	}{
		"a port that is closed":    {"127.0.0.1:1", "refused: the machine is there", "penstock serve", true},
		"a name that is not known": {"nosuch.invalid:9092", "the name is not known here", "/etc/hosts", true},
		"no port":                  {"a:b:c", "it is not HOST:PORT", "brackets", true},
		"HTTP":                     {strings.TrimPrefix(web.URL, "http://"), "it speaks HTTP", "9644", false},
		"TLS":                      {strings.TrimPrefix(secure.URL, "https://"), "it speaks TLS, and was spoken to in plaintext (its certificate is for example.com", "security.protocol=SSL", false},
		"SSH":                      {listener(t, says("SSH-2.0-OpenSSH_9\r\n")), "it is an SSH server", "9092", false},
		"AMQP":                     {listener(t, says("AMQP\x00\x00\x09\x01")), "it speaks AMQP", "9092", false},
		"anything else":            {listener(t, says("+PONG and more\r\n")), `it does not speak Kafka; it answers "+PONG`, "9092", false},
		"nothing is said":          {closed, "says nothing", "log", false},
		"it hangs up":              {listener(t, func(net.Conn) {}), "ends the connection without an answer", "log", false},
		"a controller":             {fakeBroker(t, []int16{18}), "KRaft controller", "controller.listener.names", false},
		"users":                    {fakeBroker(t, all), "SASL: SCRAM-SHA-512", "SASL_PLAINTEXT", false},
		"0.0.0.0":                  {fakeBroker(t, all, at("0.0.0.0", 9092)), "every address of a machine", "advertised.listeners=PLAINTEXT://127.0.0.1:", false},
		"no such host":             {fakeBroker(t, all, at("kafka-1.invalid", 9092)), "the name is not known here", "--advertised 127.0.0.1:", false},
		"another port":             {fakeBroker(t, all, at("127.0.0.1", 1)), "refused", "advertised: 127.0.0.1:", false},
		"not Kafka there":          {fakeBroker(t, all, self(t, strings.TrimPrefix(web.URL, "http://"))), "it speaks HTTP", "advertised: 127.0.0.1:", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &diagnosis{Address: c.addr, show: func(step) {}, patience: 2 * time.Second}
			d.examine(context.Background())
			last := step{OK: true}
			for _, s := range d.Steps {
				if !s.OK {
					last = s
				}
			}
			if last.OK || !strings.Contains(last.Detail, c.want) || !strings.Contains(strings.Join(d.Fix, "\n"), c.fix) || d.dead != c.dead {
				t.Errorf("%+v\nfix: %q, dead: %v\nwant %q, %q", d.Steps, d.Fix, d.dead, c.want, c.fix)
			}
		})
	}
	d := &diagnosis{Address: fakeBroker(t, all, self(t, other)), show: func(step) {}, patience: time.Minute}
	if d.examine(context.Background()); len(d.Fix) != 0 || !d.Steps[len(d.Steps)-1].OK {
		t.Errorf("a broker at another address that is fine: %+v, %q", d.Steps, d.Fix)
	}
}

func TestAdvertisedTraps(t *testing.T) {
	far := net.ParseIP("10.0.0.7")
	for host, trap := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "0.0.0.0": true, "::": true, "": true, "10.0.0.7": false, "kafka": false} {
		if (advertisedTrap(host, 9092, far) != "") != trap {
			t.Errorf("%q: %q", host, advertisedTrap(host, 9092, far))
		}
	}
	if advertisedTrap("localhost", 9092, net.ParseIP("127.0.0.1")) != "" || advertisedTrap("kafka", 0, far) == "" {
		t.Error("loopback is fine from loopback, and port 0 is none")
	}
}
