package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cache is where setup.sh puts what is installed and not kept in the repository.
func cache() string {
	if s := os.Getenv("WIRE_CACHE"); s != "" {
		return s
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "penstock-wire")
}

// external runs a suite of another language once per view. Its arguments are the bootstrap
// address, a prefix for topics, and penstock or kafka. It prints `case ok|FAIL ms why` and
// must end with the line `done`: a suite that dies half-way is a failure.
func external(t *testing.T, client string, command ...string) {
	t.Parallel()
	peer := "penstock"
	if peerIsKafka {
		peer = "kafka"
	}
	for _, v := range views {
		t.Run(client+"/"+v.name, func(t *testing.T) {
			prefix := fmt.Sprintf("%s-%s-%d", client, v.name, runSerial)
			cmd := exec.Command(command[0], append(slices.Clone(command[1:]), v.addr, prefix, peer)...)
			var complaint bytes.Buffer
			cmd.Stderr = &complaint
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(3*time.Minute, func() { cmd.Process.Kill() })
			defer kill.Stop()
			done := false
			for s := bufio.NewScanner(out); s.Scan(); {
				f := strings.SplitN(s.Text(), " ", 4)
				if s.Text() == "done" {
					done = true
				} else if len(f) >= 3 && (f[1] == "ok" || f[1] == "FAIL") {
					ms, _ := strconv.ParseInt(f[2], 10, 64)
					report(client, f[0], v.name, f[1], ms)
					if f[1] == "FAIL" {
						t.Error(s.Text())
					}
				}
			}
			if err := cmd.Wait(); err != nil || !done {
				report(client, "suite", v.name, "FAIL", 0)
				t.Errorf("%v, complete: %v\n%s", err, done, complaint.Bytes())
			}
		})
	}
}

func TestKafkaPython(t *testing.T) {
	external(t, "kafka-python", filepath.Join(cache(), "py", "bin", "python"), "python/suite.py")
}

func TestKafkaPythonOld(t *testing.T) {
	external(t, "kafka-python-2.0.2", filepath.Join(cache(), "py202", "bin", "python"), "python/suite.py")
}

func TestKafkaJS(t *testing.T) { external(t, "kafkajs", "node", "node/suite.js") }
