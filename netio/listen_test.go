package netio

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func echo(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(frame(opEcho, 1)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 6))
	return err
}

// More connections than the limit are closed at once; the others are served.
func TestLimit(t *testing.T) {
	s := serve(t, Config{})
	s.limit.open.Add(s.limit.max - 3)
	t.Cleanup(func() { s.limit.open.Add(3 - s.limit.max) })
	var cs []*net.TCPConn
	for range 3 {
		cs = append(cs, s.dial())
		if err := echo(cs[len(cs)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := echo(s.dial()); err == nil {
		t.Error("a connection over the limit was served")
	}
	_ = cs[0].Close()
	await(t, "there is a place again", func() bool { return s.limit.Open() < int(s.limit.max) })
	if err := echo(s.dial()); err != nil {
		t.Error(err)
	}
	if s.ln.Refused() != 1 {
		t.Errorf("%d were refused", s.ln.Refused())
	}
}

const starved = "NETIO_TEST_DESCRIPTORS"

// A broker without descriptors serves the connections it has, and accepts again when
// there are some. The test runs in a process of its own with a low limit.
func TestDescriptorExhaustion(t *testing.T) {
	if os.Getenv(starved) != "" {
		exhaust(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDescriptorExhaustion$", "-test.v")
	cmd.Env = append(os.Environ(), starved+"=1")
	out, err := cmd.CombinedOutput()
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "_test.go") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func exhaust(t *testing.T) {
	s := serve(t, Config{})
	first := s.dial()
	if err := echo(first); err != nil {
		t.Fatal(err)
	}
	// The clients live in this process too: take all descriptors but a few, by dup.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: 100}); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.Dup(2)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	give := func(n int) {
		for range n {
			_ = unix.Close(taken[len(taken)-1])
			taken = taken[:len(taken)-1]
		}
	}
	for range 3 {
		before := s.ln.Exhausted()
		give(1)
		late, err := net.Dial("tcp", s.ln.Addr().String()) // takes the one that was given
		if err != nil {
			t.Fatal(err)
		}
		await(t, "accept found no descriptor", func() bool { return s.ln.Exhausted() > before })
		for range 20 {
			if err := echo(first); err != nil {
				t.Fatal("the open connection is not served: ", err)
			}
		}
		_ = late.SetDeadline(time.Now().Add(patience))
		if _, err := late.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the late client was not told: ", err)
		}
		_ = late.Close()
		fd, err := unix.Dup(2) // what late had
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, fd)
	}
	give(10)
	c := s.dial()
	if err := echo(c); err != nil {
		t.Error("accept did not go on: ", err)
	}
	t.Logf("accept found no descriptor %d times, %d clients were refused, and then one was served", s.ln.Exhausted(), s.ln.Refused())
	give(len(taken))
}

// The congestion control of the settings is that of the connections.
func TestCongestion(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	if err != nil {
		t.Skip(err)
	}
	for _, name := range strings.Fields(string(b)) {
		s := serve(t, Config{Congestion: name})
		if err := echo(s.dial()); err != nil {
			t.Fatal(err)
		}
		s.do(func() {
			for id := range s.conns {
				got, err := unix.GetsockoptString(s.l.get(id).fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
				if err != nil || got != name {
					t.Errorf("%q instead of %q, %v", got, name, err)
				}
			}
		})
	}
}
