package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// What clients that misbehave may cost: a broker's memory grows by no more than a bound,
// and others are served meanwhile.

// grown fails the test if the broker has more memory of its own than before and max.
func (p *process) grown(before, max int64) {
	p.t.Helper()
	n := p.resident() - before
	p.t.Logf("memory grew by %s", formatSize(n))
	if n > max && !raceOn { // the race detector multiplies memory
		p.t.Errorf("memory grew by %s; at most %s are allowed", formatSize(n), formatSize(max))
	}
}

// served has another client do the usual, a few times.
func served(t *testing.T, addr, topic string) {
	t.Helper()
	c := connect(t, addr)
	for range 10 {
		base, err := c.produce(topic, 0, oneBatch("others go on"))
		if err != nil {
			t.Fatal("another client: ", err)
		}
		if r, err := c.fetch(topic, 0, base); err != nil || len(r.RecordBatches) == 0 {
			t.Fatal("another client: ", err)
		}
	}
	c.close()
}

// withTopic starts a broker with a topic.
func withTopic(t *testing.T, partitions int, more ...string) (p *process, addr string) {
	t.Helper()
	p = launch(t, small(t.TempDir(), memoryDir(t), more...)...)
	addr = p.ready().Listeners[0].Address
	if err := connect(t, addr).createTopic("t", partitions, nil); err != nil {
		t.Fatal(err)
	}
	served(t, addr, "t") // what the first client costs is not counted
	return p, addr
}

// A client that promises a frame of 256 MiB is told at once that this is too much.
func TestFrameOf256MiBIsRefused(t *testing.T) {
	p, addr := withTopic(t, 1)
	before := p.resident()
	for range 20 {
		c := connect(t, addr)
		if _, err := c.c.Write(binary.BigEndian.AppendUint32(nil, 256<<20)); err != nil {
			t.Fatal(err)
		}
		_ = c.c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("not closed: %d bytes, %v", n, err)
		}
	}
	p.grown(before, 16<<20)
	served(t, addr, "t")
	if !strings.Contains(p.said(), "impossible length") {
		t.Errorf("the log does not say why: %s", p.said())
	}
}

// A frame of 256 MiB that is allowed by the settings, and that its client never
// finishes, costs what has come of it; more of them wait, or cost no more than the bound.
func TestFrameOf256MiBUnfinished(t *testing.T) {
	p, addr := withTopic(t, 1, "--shards", "1", "--set", "socket.request.max.bytes=270000000")
	before := p.resident()
	var wg sync.WaitGroup
	defer wg.Wait()
	var clients []*client
	var sent [4]atomic.Int64
	for i := range sent { // 1 GiB is promised, and all but a little of it sent
		c := connect(t, addr)
		defer c.close()
		clients = append(clients, c)
		wg.Go(func() {
			_ = c.c.SetWriteDeadline(time.Now().Add(patience))
			piece := binary.BigEndian.AppendUint32(nil, 256<<20)
			for total := 0; total < 255<<20; {
				n, err := c.c.Write(piece)
				total += n
				sent[i].Store(int64(total))
				if err != nil {
					return // it waits for room, until the test has seen enough
				}
				if piece = make([]byte, 1<<20); total > 1<<20 {
					piece[4] = byte(total)
				}
			}
		})
	}
	poll(t, "a frame is as good as there", func() bool {
		for i := range sent {
			if sent[i].Load() >= 255<<20 {
				return true
			}
		}
		return false
	})
	served(t, addr, "t")
	p.grown(before, 256<<20+256<<20) // half a GiB has room for one of them
	for _, c := range clients {
		c.close()
	}
	if !raceOn {
		poll(t, "the memory is given back", func() bool { return p.resident()-before < 64<<20 })
	}
}

// What loops keep of unfinished requests is a share of the memory, however many they are.
func TestUnfinishedRequestsGetAShareOfTheMemory(t *testing.T) {
	for _, c := range []struct {
		memory int64
		loops  int
		want   int
	}{{0, 4, 0}, {64 << 30, 2, 512 << 20}, {8 << 30, 4, 256 << 20}, {1 << 30, 4, 32 << 20}, {1 << 20, 256, 512}, {1, 256, 1}} {
		if got := heldMax(c.memory, c.loops); got != c.want {
			t.Errorf("%d bytes and %d loops: %d; want %d", c.memory, c.loops, got, c.want)
		}
	}
}

// Pipelining without reading: the broker stops to read, and keeps little; when the
// client reads at last, every answer comes, in order.
func TestPipeliningWithoutReadingIsBounded(t *testing.T) {
	p, addr := withTopic(t, 500)
	before := p.resident()
	c := connect(t, addr)
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(1)
	const requests = 20_000 // of about 20 KiB of answer each
	wrote := make(chan error, 1)
	var sent atomic.Int64
	go func() {
		for range requests {
			if _, err := c.c.Write(c.frame(req)); err != nil {
				wrote <- err
				return
			}
			sent.Add(1)
		}
		wrote <- nil
	}()
	still := int64(-1)
	poll(t, "the broker reads no more", func() bool {
		n := sent.Load()
		same := n == still && n > 0
		still = n
		served(t, addr, "t")
		return same
	})
	p.grown(before, 96<<20) // most of it is for the collector; all answers together are 400 MiB
	var head [8]byte
	for i := range requests {
		_ = c.c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c.c, head[:]); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if id := int(binary.BigEndian.Uint32(head[4:])); id != i+1 {
			t.Fatalf("answer %d has the number %d", i+1, id)
		}
		if _, err := io.CopyN(io.Discard, c.c, int64(binary.BigEndian.Uint32(head[:]))-4); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	p.grown(before, 96<<20) // most of it is for the collector; all answers together are 400 MiB
}

// A client that asks for much and never reads.
func TestNeverReadingIsBounded(t *testing.T) {
	p, addr := withTopic(t, 1)
	c := connect(t, addr)
	big := strings.Repeat("x", 900<<10)
	for range 16 {
		if _, err := c.produce("t", 0, oneBatch(big)); err != nil {
			t.Fatal(err)
		}
	}
	before := p.resident()
	for range 8 {
		c := connect(t, addr)
		_ = c.c.(*net.TCPConn).SetReadBuffer(16 << 10)
		_ = c.c.SetWriteDeadline(time.Now().Add(patience))
		for range 50 { // 8 clients x 50 x 8 MiB
			if _, err := c.c.Write(c.frame(fetchRequest("t", 0, 0, 8<<20))); err != nil {
				t.Fatal(err)
			}
		}
	}
	served(t, addr, "t")
	served(t, addr, "t")
	p.grown(before, 32<<20)
	p.signal(syscall.SIGTERM) // nobody waits for them to read
	if code := p.ended(); code != 0 || !strings.Contains(p.said(), "everything is synced") {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}

// launchLimited starts a broker that may have so many descriptors.
func launchLimited(t *testing.T, n string, args ...string) *process {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("NOT PROVEN HERE: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launchExe(t, sh, append([]string{"-c", "ulimit -n " + n + ` && exec "$0" "$@"`, exe}, args...)...)
}

// More clients than the descriptors allow: those that are served go on to be, segments
// can be opened, and who comes later is told at once.
func TestMoreClientsThanDescriptors(t *testing.T) {
	p := launchLimited(t, "1200", small(t.TempDir(), memoryDir(t))...)
	addr := p.ready().Listeners[0].Address
	first := connect(t, addr)
	if err := first.createTopic("t", 1, nil); err != nil {
		t.Fatal(err)
	}
	before := p.resident()
	open, refused := 0, 0
	var clients []*client
	for range 1500 {
		c, err := dialKafka(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if _, err := c.topics(); err != nil {
			refused++
			continue
		}
		open++
		clients = append(clients, c)
	}
	t.Logf("%d clients are served, %d were refused", open, refused)
	poll(t, "the log says so", func() bool { return strings.Contains(p.said(), "clients are refused: as many connections as") })
	if _, body := get("http://" + p.ready().Admin + "/v1/status"); !strings.Contains(body, `"refused": `+strconv.Itoa(refused)) {
		t.Errorf("the status does not say that %d were refused: %s", refused, body)
	}
	if open < 50 || refused < 1000 {
		t.Error("want some served and most refused")
	}
	if err := first.createTopic("wide", 60, nil); err != nil {
		t.Error(err)
	}
	for i := range int32(60) {
		if _, err := first.produce("wide", i, oneBatch("x")); err != nil {
			t.Error(err)
		}
	}
	p.grown(before, 32<<20)
	for _, c := range clients {
		c.close()
	}
	poll(t, "there is room again", func() bool {
		c, err := dialKafka(addr)
		if err != nil {
			return false
		}
		defer c.close()
		_, err = c.topics()
		return err == nil
	})
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}

// Descriptors that run out all the same, as when the machine has none left.
func TestDescriptorsExhausted(t *testing.T) {
	p, addr := withTopic(t, 1)
	first := connect(t, addr)
	if _, err := first.produce("t", 0, oneBatch("x")); err != nil {
		t.Fatal(err)
	}
	pid := p.cmd.Process.Pid
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(fds) + 12), Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	before := p.resident()
	refused := 0
	for range 100 {
		c := connect(t, addr)
		if _, err := c.topics(); err != nil {
			refused++
		}
		if _, err := first.produce("t", 0, oneBatch("x")); err != nil {
			t.Fatal("the first client: ", err)
		}
		if r, err := first.fetch("t", 0, 0); err != nil || len(r.RecordBatches) == 0 {
			t.Fatal("the first client: ", err)
		}
	}
	t.Logf("%d of 100 were refused", refused)
	poll(t, "the log says so", func() bool { return strings.Contains(p.said(), "clients are refused: no file descriptor was left") })
	if refused < 50 {
		t.Error("the descriptors did not run out")
	}
	p.grown(before, 32<<20)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	served(t, addr, "t")
}

// A client that ends its side after its questions gets all the answers, also those that
// wait for the disk, and then the end.
func TestAnswersAfterTheClientHasEndedItsSide(t *testing.T) {
	_, addr := withTopic(t, 4)
	for range 20 {
		c := connect(t, addr)
		var in []byte
		for i := range int32(50) {
			in = append(in, c.frame(produceRequest("t", i%4, oneBatch(strings.Repeat("x", 5000))))...)
		}
		in = append(in, c.frame(fetchRequest("t", 0, 0, 8<<20))...)
		if _, err := c.c.Write(in); err != nil {
			t.Fatal(err)
		}
		if err := c.c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			resp, err := c.answer(produceRequest("t", 0, nil))
			if err == nil {
				_, err = produced(resp)
			}
			if err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
		}
		if _, err := c.answer(fetchRequest("t", 0, 0, 8<<20)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("after the last answer: %d bytes, %v", n, err)
		}
	}
}
