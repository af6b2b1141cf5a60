package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// external runs a suite of another language once per view. It prints `case ok|FAIL ms why`
// and must end with the line `done`: a suite that dies half-way is a failure.
func external(t *testing.T, client string, command ...string) {
	for _, v := range views {
		t.Run(client+"/"+v.name, func(t *testing.T) {
			prefix := fmt.Sprintf("%s-%s-%d", client, v.name, runSerial)
			cmd := exec.Command(command[0], append(command[1:], v.addr, prefix)...)
			var complaint bytes.Buffer
			cmd.Stderr = &complaint
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
			defer kill.Stop()
			done := false
			for s := bufio.NewScanner(out); s.Scan(); {
				f := strings.SplitN(s.Text(), " ", 4)
				if s.Text() == "done" {
					done = true
				} else if len(f) >= 3 && (f[1] == "ok" || f[1] == "FAIL") {
					fmt.Printf("%s %s %s %s %s\n", client, f[0], v.name, f[1], f[2])
					if f[1] == "FAIL" {
						t.Error(s.Text())
					}
				}
			}
			if err := cmd.Wait(); err != nil || !done {
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

func kcat(stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("kcat", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	return string(out), err
}

// TestKcat has the topics made by franz-go, because kcat makes none.
func TestKcat(t *testing.T) {
	for _, v := range views {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd", "idempotent"} {
			runCase(t, "kcat", "produce-"+codec, v.name, func() error {
				topic := fmt.Sprintf("kcat-%s-%s-%d", codec, v.name, runSerial)
				if err := (franz{v.addr}).create(topic, 1, 1); err != nil {
					return err
				}
				var want strings.Builder
				for i := range 300 {
					fmt.Fprintf(&want, "key-%d|value %d\n", i, i)
				}
				args := []string{"-P", "-E", "-b", v.addr, "-t", topic, "-p", "0", "-K", "|", "-H", "h=1"}
				if codec == "idempotent" {
					args = append(args, "-X", "enable.idempotence=true")
				} else {
					args = append(args, "-z", codec)
				}
				if _, err := kcat([]byte(want.String()), args...); err != nil {
					return err
				}
				got, err := kcat(nil, "-C", "-q", "-e", "-b", v.addr, "-t", topic, "-o", "beginning", "-f", "%k|%s\n")
				if err == nil && got != want.String() {
					err = fmt.Errorf("%d bytes came back of %d", len(got), want.Len())
				}
				return err
			})
		}
	}
}
