package wire

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent is java/Agent.java at the other end of a pipe: one process for all requests, which
// run side by side.
type agent struct {
	cmd       *exec.Cmd
	complaint bytes.Buffer
	mu        sync.Mutex // over in and calls
	in        io.WriteCloser
	calls     map[string]*call
}

// call is one request: its records as they come, and then its end.
type call struct {
	number string
	recs   chan record
	result string
	err    error
	done   chan struct{}
}

// startAgent compiles the sources against the client of that version and starts them.
func startAgent(t *testing.T, version string) *agent {
	t.Helper()
	libs := filepath.Join(cache(), "java-"+version, "*")
	classes := t.TempDir()
	if out, err := exec.Command("javac", "-nowarn", "-d", classes, "-cp", libs, "java/Agent.java", "java/Admin.java").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := &agent{calls: map[string]*call{}}
	a.cmd = exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", classes+string(os.PathListSeparator)+libs, "Agent")
	a.cmd.Stderr = &a.complaint
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go a.read(out)
	t.Cleanup(func() {
		a.in.Close()
		kill := time.AfterFunc(patience, func() { a.cmd.Process.Kill() })
		a.cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("java: %s", a.complaint.Bytes())
		}
	})
	return a
}

func (a *agent) read(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		a.mu.Lock()
		c := a.calls[f[0]]
		a.mu.Unlock()
		switch f[1] {
		case "rec":
			c.recs <- parseRecord(f[2])
			continue
		case "ok":
			c.result = f[2]
		default:
			c.err = errors.New(f[2])
		}
		close(c.done)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		select {
		case <-c.done:
		default:
			c.err = errors.New("java has ended")
			close(c.done)
		}
	}
}

// start sends a request: operation, bootstrap address, arguments.
func (a *agent) start(fields ...any) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &call{number: strconv.Itoa(len(a.calls)), recs: make(chan record, 100_000), done: make(chan struct{})}
	a.calls[c.number] = c
	line := c.number
	for _, f := range fields {
		line += fmt.Sprintf("\t%v", f)
	}
	if _, err := io.WriteString(a.in, line+"\n"); err != nil {
		c.err = err
		close(c.done)
	}
	return c
}

func (c *call) wait() (string, error) {
	select {
	case <-c.done:
		return c.result, c.err
	case <-time.After(3 * patience):
		return "", errors.New("no answer from java")
	}
}

func (a *agent) call(fields ...any) (string, error) { return a.start(fields...).wait() }

func formatRecord(r record) string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d|%d|%s|%s|%s|%d", r.part, r.offset, b(r.key), b(r.value), b([]byte(r.header)), r.ms)
}

func parseRecord(s string) (r record) {
	f := strings.Split(s, "|")
	part, _ := strconv.ParseInt(f[0], 10, 32)
	r.part = int32(part)
	r.offset, _ = strconv.ParseInt(f[1], 10, 64)
	r.key, _ = base64.StdEncoding.DecodeString(f[2])
	r.value, _ = base64.StdEncoding.DecodeString(f[3])
	header, _ := base64.StdEncoding.DecodeString(f[4])
	r.header = string(header)
	r.ms, _ = strconv.ParseInt(f[5], 10, 64)
	return r
}

// java is the Java client as a driver.
type java struct {
	*agent
	view     view
	assignor string
}

func TestJava(t *testing.T)    { testJava(t, "4.3.1") }
func TestJavaOld(t *testing.T) { testJava(t, "2.8.2") }

func testJava(t *testing.T, version string) {
	t.Parallel()
	a, name := startAgent(t, version), "java-"+version
	testDriver(t, name, func(v view) driver { return java{a, v, "range"} })
	for _, v := range views {
		for _, c := range []string{"describe-topics", "describe-cluster", "configs", "create-partitions", "delete-records",
			"list-offsets", "log-dirs", "groups", "delete-topics"} {
			runCase(t, name, "admin-"+c, v.name, func() error {
				_, err := a.call("admin", v.addr, c, fmt.Sprintf("%s-%s-%d", name, v.name, runSerial), v.nodes)
				return err
			})
		}
	}
}

func (d java) cooperative() driver { return java{d.agent, d.view, "cooperative-sticky"} }

func (d java) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (d java) create(topic string, parts int32, rf int16, settings map[string]string) error {
	var kvs []string
	for k, v := range settings {
		kvs = append(kvs, k+"="+v)
	}
	_, err := d.call("create", d.view.addr, topic, parts, rf, strings.Join(kvs, ","))
	return err
}

func (d java) produce(topic, codec string, idempotent bool, rs []record) error {
	fields := []any{"produce", d.view.addr, topic, codec, idempotent}
	for _, r := range rs {
		fields = append(fields, formatRecord(r))
	}
	_, err := d.call(fields...)
	return err
}

func (d java) fetch(topic string, part int32, from int64, n int) ([]record, error) {
	c := d.start("fetch", d.view.addr, topic, part, from, n)
	_, err := c.wait()
	var rs []record
	for len(c.recs) > 0 {
		rs = append(rs, <-c.recs)
	}
	return rs, err
}

func (d java) offsetAt(topic string, part int32, ms int64) (int64, error) {
	s, err := d.call("offset-at", d.view.addr, topic, part, ms)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(s, 10, 64)
}

func (d java) transactional(id string) error {
	_, err := d.call("transactional", d.view.addr, id)
	return err
}

type javaMember struct {
	java
	joined *call
}

func (d java) join(group, topic string) (member, error) {
	return javaMember{d, d.start("join", d.view.addr, group, topic, d.assignor)}, nil
}

func (m javaMember) records() <-chan record { return m.joined.recs }

func (m javaMember) leave() error {
	if _, err := m.call("leave", m.view.addr, m.joined.number); err != nil {
		return err
	}
	_, err := m.joined.wait()
	return err
}
