package versus

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/load"
	"github.com/penstock/penstock/bench/run"
)

// server is a broker that was started to be measured.
type server struct {
	name    string
	addr    string
	cores   string // address of the first per-core port, "" if there is none
	log     string // file of its stdout and stderr
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	started time.Duration // from the start of its process to its first answer
}

// start starts a broker and waits until it answers.
func start(s server, argv []string) (*server, error) {
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = command(argv)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	s.done = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	const startMax = 60 * time.Second
	for time.Since(began) < startMax {
		if ready(s.addr) {
			s.started = time.Since(began)
			return &s, nil
		}
		select {
		case <-s.done:
			return nil, s.failure("ended as it started")
		case <-time.After(2 * time.Millisecond):
		}
	}
	err = s.failure(fmt.Sprintf("does not answer at %s after %s", s.addr, startMax))
	s.end()
	return nil, err
}

// command is one that does not get our Ctrl-C, so that it ends when we have looked at it,
// and that does not outlive us.
func command(argv []string) *exec.Cmd {
	c := exec.Command(argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// ready says whether a broker answers and knows of itself.
func ready(addr string) bool {
	c, err := load.Dial(addr)
	if err != nil {
		return false
	}
	defer c.Close()
	return c.Ready() == nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

func (s *server) failure(what string) error {
	b, _ := os.ReadFile(s.log)
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	const shown = 12
	lines = lines[max(0, len(lines)-shown):]
	return fmt.Errorf("%s %s; its last lines:\n%s", s.name, what, bytes.Join(lines, []byte("\n")))
}

// end ends it; what does not end is killed.
func (s *server) end() {
	if s == nil {
		return
	}
	const endMax = 20 * time.Second
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(endMax):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// usage of a broker; one that is gone is an error.
func (s *server) usage() (u usage, err error) {
	got, ok := run.Watch(s.pid())
	if !ok {
		return u, s.failure("is gone")
	}
	return usage(got), nil
}

// freePorts finds n ports in a row that nobody listens on.
func freePorts(n int) (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		first := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		free := first+n < 65536
		for i := range n {
			if l, err := net.Listen("tcp", local(first+i)); err != nil {
				free = false
			} else {
				_ = l.Close()
			}
		}
		if free {
			return first, nil
		}
	}
	return 0, fmt.Errorf("there are no %d free ports in a row", n)
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// startPenstock starts penstock with its data in dir and its arenas in arena.
func (o *Options) startPenstock(dir, arena string, cores int) (*server, error) {
	port, err := freePorts(2 + cores)
	if err != nil {
		return nil, err
	}
	argv := append(append([]string{}, o.Penstock...), "--data", filepath.Join(dir, "data"), "--arena-dir", arena, "--kafka", local(port), "--admin", local(port+1),
		"--core-ports", "on", "--core-port", strconv.Itoa(port+2), "--congestion-control", load.Congestion, "--log", "json")
	return start(server{name: "penstock", addr: local(port), cores: local(port + 2), log: filepath.Join(dir, "penstock.log")}, argv)
}

// kafkaFlags are those that kafka-server-start.sh and kafka-run-class.sh give the JVM when
// nobody asks for others, without those of logging: there is no log4j binding, so Kafka
// writes no log, which is to its advantage.
func kafkaFlags(dir string) []string {
	return []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
		"-Xlog:gc*:file=" + filepath.Join(dir, "kafkaServer-gc.log") + ":time,tags:filecount=10,filesize=100M",
		"-Dcom.sun.management.jmxremote=true", "-Dcom.sun.management.jmxremote.authenticate=false", "-Dcom.sun.management.jmxremote.ssl=false",
		"-Dkafka.logs.dir=" + dir}
}

// properties are Kafka's config/server.properties, and what one node needs. Only the last
// line is no default of either: it makes a deleted topic's files go at once, and not in
// the middle of a later round.
func properties(dir string, port int) string {
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=%[3]s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://%[2]s,CONTROLLER://%[3]s
advertised.listeners=PLAINTEXT://%[2]s,CONTROLLER://%[3]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=%[1]s
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.segment.delete.delay.ms=1000
`, filepath.Join(dir, "data"), local(port), local(port+1))
}

// startKafka formats a directory if it is new and starts Kafka on it.
func (o *Options) startKafka(dir string) (*server, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(conf, []byte(properties(dir, port)), 0o644); err != nil {
		return nil, err
	}
	class := filepath.Join(o.Libs, "*")
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); errors.Is(err, os.ErrNotExist) {
		out, err := command([]string{"java", "-cp", class, "kafka.tools.StorageTool", "format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", conf}).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("format Kafka's directory: %w\n%s", err, out)
		}
	}
	argv := append(append([]string{"java"}, kafkaFlags(dir)...), "-cp", class, "kafka.Kafka", conf)
	return start(server{name: "Kafka", addr: local(port), log: filepath.Join(dir, "kafka.log")}, argv)
}

// kafkaVersion is told by the name of its jar.
func kafkaVersion(libs string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(libs, "kafka_2.13-*.jar"))
	if len(found) != 1 {
		return "", fmt.Errorf("there are no jars of Apache Kafka in %s: sh cmd/wire/kafka-peer/jars.sh gets them", libs)
	}
	v := strings.TrimPrefix(filepath.Base(found[0]), "kafka_2.13-")
	return strings.TrimSuffix(v, ".jar"), nil
}
