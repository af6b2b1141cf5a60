package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/perf"
)

// underLoad starts a broker and a workload that goes on until the broker ends. It returns
// when some of the workload has been acknowledged.
func underLoad(t *testing.T, args []string) (p *process, h *history, join func()) {
	t.Helper()
	p = launch(t, args...)
	addr := p.ready().Listeners[0].Address
	h = newHistory(func(int64) {}, 1<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.run(addr); err == nil {
			t.Error("the workload came to its end before the broker")
		}
	})
	poll(t, "the workload has come to its trims and its deletions", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		trims, deletes := 0, 0
		for _, a := range h.acts {
			if a.acked && a.kind == actTrim {
				trims++
			}
			if a.acked && a.kind == actDelete {
				deletes++
			}
		}
		return trims > 3 && deletes > 1
	})
	return p, h, wg.Wait
}

// thenAllIsThere starts the broker again and compares. It returns what the start found,
// and leaves the broker running.
func thenAllIsThere(t *testing.T, h *history, args []string) (*process, facts) {
	t.Helper()
	p := launch(t, args...)
	f := p.ready()
	if len(f.Recovery.Quarantined) > 0 || len(f.Recovery.Unknown) > 0 {
		t.Errorf("%+v", f.Recovery)
	}
	var sum tally
	for _, err := range h.all().check(connect(t, f.Listeners[0].Address), &sum) {
		t.Error(err)
	}
	t.Logf("acknowledged and there: %d records, %d topics, %d group offsets; %d batches sent again were known; %s",
		sum.records, sum.topics, sum.commits, sum.again, f.Recovery.words())
	return p, f
}

// SIGTERM under load: everything acknowledged is there, the exit code is 0, and the next
// start has nothing to replay.
func TestStopDrainsUnderLoad(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	args := small(dir, arena)
	p, h, join := underLoad(t, args)
	ready := p.ready()
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.said())
	}
	join()
	if s := p.said(); !strings.Contains(s, "stopped: everything is synced") {
		t.Errorf("it said: %s", s)
	}
	if _, err := os.Stat(filepath.Join(dir, cleanMarker)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(ready.ArenaDir); !os.IsNotExist(err) {
		t.Errorf("the arenas stayed behind in %s: %v", ready.ArenaDir, err)
	}
	_, f := thenAllIsThere(t, h, args)
	if !f.Recovery.Clean || f.Recovery.Replayed > 0 {
		t.Errorf("%+v", f.Recovery)
	}
}

// A second signal does not wait, and loses as little.
func TestSecondSignalIsFasterAndAsSafe(t *testing.T) {
	for range 20 {
		dir, arena := t.TempDir(), memoryDir(t)
		args := small(dir, arena)
		p, h, join := underLoad(t, args)
		p.signal(syscall.SIGTERM)
		p.signal(syscall.SIGINT)
		if code := p.ended(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.said())
		}
		join()
		hurried := strings.Contains(p.said(), "stopped at once")
		next, _ := thenAllIsThere(t, h, args)
		next.kill()
		if hurried || t.Failed() {
			return
		}
	}
	t.Error("the second signal never came before the end")
}

// SIGKILL under load: everything acknowledged is there, in all durabilities, also when
// the next start puts its arenas elsewhere.
func TestKillLosesNothing(t *testing.T) {
	dir, arena, other := t.TempDir(), memoryDir(t), memoryDir(t)
	p, h, join := underLoad(t, small(dir, arena))
	left := p.ready().ArenaDir
	p.kill()
	join()
	if _, err := os.Stat(left); err != nil {
		t.Fatal(err)
	}
	_, f := thenAllIsThere(t, h, small(dir, other))
	if f.Recovery.Clean || f.Recovery.Replayed == 0 {
		t.Errorf("%+v", f.Recovery)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the arenas of the last run stayed behind in %s: %v", left, err)
	}
	if !strings.HasPrefix(f.ArenaDir, other) {
		t.Errorf("arenas in %s", f.ArenaDir)
	}
}

// The clean marker is gone while a broker serves, so that a kill is seen as one.
func TestCleanMarkerIsOfTheLastStop(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	marked := func() bool {
		_, err := os.Stat(filepath.Join(dir, cleanMarker))
		return err == nil
	}
	p := launch(t, small(dir, arena)...)
	p.ready()
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 || !marked() {
		t.Fatalf("exit code %d, marker %v", code, marked())
	}
	p = launch(t, small(dir, arena)...)
	if f := p.ready(); !f.Recovery.Clean || marked() {
		t.Errorf("clean %v, marker %v", f.Recovery.Clean, marked())
	}
	p.kill()
	if f := launch(t, small(dir, arena)...).ready(); f.Recovery.Clean {
		t.Error("a kill counts as a clean stop")
	}
}

// A disk that refuses the journal ends the broker, which says so; nothing is acknowledged
// after that, and what had been is there at the next start.
func TestStorageFailureEndsTheBroker(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	p := launch(t, small(dir, arena)...)
	c := connect(t, p.ready().Listeners[0].Address)
	if err := c.createTopic("t", 1, nil); err != nil {
		t.Fatal(err)
	}
	base, err := c.produce("t", 0, oneBatch("kept"))
	if err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 1, Max: 1} // every write beyond the first byte of a file fails with EFBIG
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &none, nil); err != nil {
		t.Skipf("NOT PROVEN HERE: prlimit: %v", err)
	}
	if _, err := c.produce("t", 0, oneBatch("lost")); err == nil {
		t.Error("acknowledged after the disk had failed")
	}
	if code := p.ended(); code != 1 || !strings.Contains(p.said(), "the storage has failed") {
		t.Errorf("exit code %d: %s", code, p.said())
	}
	if _, err := os.Stat(filepath.Join(dir, cleanMarker)); err == nil {
		t.Error("this was no clean stop")
	}
	c = connect(t, launch(t, small(dir, arena)...).ready().Listeners[0].Address)
	if r, err := c.fetch("t", 0, base); err != nil || len(r.RecordBatches) == 0 {
		t.Error("the acknowledged record is gone:", err)
	}
}

// While a broker stops it is not ready, and says so.
func TestNotReadyUnlessServing(t *testing.T) {
	s := &server{}
	for _, phase := range []string{phaseStarting, phaseRecovering, phaseStopping} {
		s.enter(phase)
		if err := s.isReady(); err == nil || !strings.Contains(err.Error(), phase) {
			t.Errorf("%s: %v", phase, err)
		}
		if err := s.health(); err != nil {
			t.Errorf("%s: %v", phase, err)
		}
		if m := s.status().(map[string]any); m["state"] != phase {
			t.Errorf("%s: %v", phase, m)
		}
	}
}

// What the admin port says is what is the case.
func TestAdminPort(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	p, h, join := underLoad(t, small(dir, arena))
	url := "http://" + p.ready().Admin
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(url + path); code != 200 || !strings.Contains(body, `"ok"`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	type status struct {
		State string
		Facts facts
		Disk  struct {
			Usable int64 `json:"usable_bytes"`
		}
		Shards []struct {
			Loop struct {
				Connections int64
				BytesIn     int64 `json:"bytes_in"`
			}
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // shards publish from time to time
		code, body := get(url + "/v1/status")
		var st status
		if err := json.Unmarshal([]byte(body), &st); err != nil || code != 200 {
			t.Fatalf("%d %v: %s", code, err, body)
		}
		connections, in := int64(0), int64(0)
		for _, s := range st.Shards {
			connections, in = connections+s.Loop.Connections, in+s.Loop.BytesIn
		}
		if st.State == phaseServing && st.Facts.Cluster != "" && len(st.Shards) == 2 && st.Disk.Usable > 0 && connections >= 8 && in > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s", body)
		}
	}
	if code, body := get(url + "/"); code != 200 || !strings.Contains(body, "/v1/status") {
		t.Errorf("/: %d %s", code, body)
	}
	if code, _ := get(url + "/none"); code != 404 {
		t.Errorf("/none: %d", code)
	}
	p.signal(syscall.SIGTERM)
	for ended := false; !ended; {
		before := strings.Contains(p.said(), `"stopping`)
		if code, body := get(url + "/readyz"); before && code == 200 {
			t.Errorf("ready while it stops: %s", body)
		}
		select {
		case <-p.done:
			ended = true
		default:
		}
	}
	join()
	_ = h
}

// A log that is no terminal's is one JSON object per line, with a time, a level and a
// message.
func TestLogIsOneJSONObjectPerLine(t *testing.T) {
	p := launch(t, small(t.TempDir(), memoryDir(t))...)
	f := p.ready()
	p.signal(syscall.SIGTERM)
	p.ended()
	lines := strings.Split(strings.TrimSpace(p.said()), "\n")
	if len(lines) != 3 { // ready, stopping, stopped
		t.Errorf("%d lines: %s", len(lines), p.said())
	}
	for _, line := range lines {
		var e struct {
			Time  time.Time
			Level string
			Msg   string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time.IsZero() || e.Level != "INFO" || e.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if f.Version == "" || f.Cluster == "" || f.Data.Free <= 0 || f.Shards != 2 || f.CPUs < 1 || len(f.Listeners) != 1 || f.Admin == "" || f.Durability.SyncProbes < 1 || f.ReadyMs < 1 {
		t.Errorf("%+v", f)
	}
}

// The banner says what a person wants to know, and nothing that the broker does not.
func TestBanner(t *testing.T) {
	dir, arena := t.TempDir(), memoryDir(t)
	p := launch(t, small(dir, arena, "--log", "text", "--core-ports", "on", "--core-port", freePorts(t, 2))...)
	poll(t, "the banner is out", func() bool {
		return strings.Contains(p.said(), " top --admin ") && strings.HasSuffix(p.said(), "\n")
	})
	banner := p.said()
	for _, want := range []string{
		"penstock " + version, "linux/", // version
		"data        " + dir, "free; empty\n", // data, recovery
		"2 on ", "8 MiB of arena (" + perf.FileSystem(arena) + ") and 16 MiB of journal", // shards
		"one broker, advertised as connected, plaintext", "core 0 of 2", "core 1 of 2", // addresses
		"/healthz  /readyz  /v1/status", // admin
		"security    off, loopback only",
		"durability  synced", "waits for the disk's sync; fdatasync of 4 KiB takes ",
		"ready in ",
		"  echo hello | " + os.Args[0] + " produce demo -b 127.0.0.1:",
	} {
		if !strings.Contains(banner, want) {
			t.Errorf("%q is not in\n%s", want, banner)
		}
	}
	t.Log("\n" + banner)
	// What it says to try works as it stands, in a shell that knows nothing of the broker.
	_, next, _ := strings.Cut(banner, "ready in ")
	for i, want := range []string{"demo/0@0  1 record", "hello\n", "core  busy"} {
		line := strings.Split(next, "\n")[2+i]
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = append(os.Environ(), beBroker+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s; want %q", line, err, out, want)
		}
	}
	p.signal(syscall.SIGINT)
	if code := p.ended(); code != 0 || !strings.Contains(p.said(), "everything is synced") {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}

// On a terminal the banner is what comes without being asked for.
func TestBannerOnATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("NOT PROVEN HERE: no terminals: %v", err)
	}
	defer func() { _ = master.Close() }()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("NOT PROVEN HERE: no terminals: %v", err)
	}
	defer func() { _ = slave.Close() }()
	cmd := exec.Command(os.Args[0], small(t.TempDir(), memoryDir(t), "--log", "auto")...)
	cmd.Env = append(os.Environ(), beBroker+"=1")
	cmd.Stdout, cmd.Stderr = slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var said []byte
	for buf := make([]byte, 4096); !bytes.Contains(said, []byte(" top --admin 127.0.0.1:")); {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, buf[:n]...)
	}
	if !bytes.HasPrefix(said, []byte("penstock ")) || bytes.Contains(said, []byte(`{"time"`)) {
		t.Errorf("%s", said)
	}
}

// In a narrow terminal lines are broken between words, and nothing is lost.
func TestBannerNarrow(t *testing.T) {
	f := facts{Listeners: []listenerFacts{{Address: "0.0.0.0:9092"}}, Durability: durabilityFacts{Default: "synced"}, Security: "a word of 30 letters: " + strings.Repeat("x", 30)}
	f.Data.Note = "naïve Größe: " + strings.Repeat("ö", 20)
	var wide bytes.Buffer
	f.banner(&wide, 0)
	for _, width := range []int{40, 60, 80, 100} {
		var b bytes.Buffer
		f.banner(&b, width)
		facts, _, _ := strings.Cut(b.String(), "\n  echo hello") // what is to be copied stays whole
		for _, line := range strings.Split(facts, "\n") {
			if utf8.RuneCountInString(line) > max(width, 55) {
				t.Errorf("%d columns: %q", width, line)
			}
		}
		if got := strings.Join(strings.Fields(b.String()), " "); got != strings.Join(strings.Fields(wide.String()), " ") {
			t.Errorf("%d columns: %s", width, b.String())
		}
	}
	for address, want := range map[string]string{"0.0.0.0:9092": "demo\n", "0.0.0.0:9093": "demo -b 127.0.0.1:9093\n", "[::]:9092": "demo\n", "192.0.2.1:9092": "demo -b 192.0.2.1:9092\n"} {
		f.Listeners[0].Address, f.Admin = address, "127.0.0.1:9644"
		if got := f.next("bin/penstock"); !strings.HasPrefix(got, "  echo hello | bin/penstock produce "+want) || !strings.HasSuffix(got, " top\n") {
			t.Errorf("%s: %s", address, got)
		}
	}
	if got := f.next("/opt/it's/penstock"); !strings.Contains(got, `| '/opt/it'\''s/penstock' produce`) {
		t.Error(got)
	}
}

// The banner's less usual lines.
func TestBannerSaysWhatIsWrong(t *testing.T) {
	f := facts{Listeners: []listenerFacts{{Address: "0.0.0.0:9092"}}, Durability: durabilityFacts{Default: "os"}}
	f.Recovery = recoveryFacts{Partitions: 3, Replayed: 5 << 20, Torn: 1, Quarantined: []string{"topic x, partition 1: damaged"}, Unknown: []string{"topics/77"}}
	f.ArenaNote, f.CorePorts = "no room", "off: this looks like a container (/.dockerenv)"
	f.Orphans = []orphan{{"/dev/shm/penstock-x", "/srv/gone", 96 << 20}}
	var b bytes.Buffer
	f.banner(&b, 0)
	for _, want := range []string{"not stopped cleanly, recovered 3 partitions, replayed 5 MiB, cut 1 torn tail in 0 ms", "QUARANTINED", "damaged", "topics/77", "no room",
		"/.dockerenv", "96 MiB", "/srv/gone", "rm -r /dev/shm/penstock-x", "does NOT wait"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
