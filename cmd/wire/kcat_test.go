package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func kcat(stdin []byte, args ...string) (string, error) {
	ctx, cancel := within()
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
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
	t.Parallel()
	for _, v := range views {
		prefix := fmt.Sprintf("kcat-%s-%d", v.name, runSerial)
		f := franz{v.addr, nil}
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd", "idempotent"} {
			runCase(t, "kcat", "produce-"+codec, v.name, func() error { return kcatRoundTrip(f, prefix+"-"+codec, codec) })
		}
		for _, c := range []struct {
			name string
			run  func(franz, string) error
		}{{"metadata", kcatMetadata}, {"seek-time", kcatSeekTime}, {"large", kcatLarge}, {"errors", kcatErrors}, {"group-rebalance", kcatGroup}} {
			runCase(t, "kcat", c.name, v.name, func() error { return c.run(f, prefix+"-"+c.name) })
		}
	}
}

func kcatRoundTrip(f franz, topic, codec string) error {
	if err := ready(f, topic, 1); err != nil {
		return err
	}
	var in, want strings.Builder
	for i := range 300 {
		fmt.Fprintf(&in, "key-%d|value %d\n", i, i)
		fmt.Fprintf(&want, "%d key-%d|value %d h=1,more=of it\n", i, i, i)
	}
	args := []string{"-P", "-E", "-b", f.addr, "-t", topic, "-p", "0", "-K", "|", "-H", "h=1", "-H", "more=of it"}
	if codec == "idempotent" {
		args = append(args, "-X", "enable.idempotence=true")
	} else {
		args = append(args, "-z", codec)
	}
	if _, err := kcat([]byte(in.String()), args...); err != nil {
		return err
	}
	got, err := kcat(nil, "-C", "-q", "-e", "-b", f.addr, "-t", topic, "-o", "beginning", "-f", "%o %k|%s %h\n")
	if err == nil && got != want.String() {
		err = fmt.Errorf("%d bytes came back of %d: %.80q", len(got), want.Len(), got)
	}
	return err
}

// kcatMetadata has kcat list a topic of many partitions, write to them all, and read them all.
func kcatMetadata(f franz, topic string) error {
	if err := ready(f, topic, 64); err != nil {
		return err
	}
	list, err := kcat(nil, "-L", "-b", f.addr, "-t", topic)
	if err != nil {
		return err
	}
	if n := strings.Count(list, ", isrs: "); n != 64 {
		return fmt.Errorf("kcat -L lists %d partitions: %s", n, list)
	}
	var in strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&in, "key-%d|value %d\n", i, i)
	}
	if _, err := kcat([]byte(in.String()), "-P", "-E", "-b", f.addr, "-t", topic, "-K", "|"); err != nil {
		return err
	}
	got, err := kcat(nil, "-C", "-q", "-e", "-b", f.addr, "-t", topic, "-o", "beginning", "-f", "%p %k|%s\n")
	if err != nil {
		return err
	}
	parts := map[string]bool{}
	seen := map[string]bool{}
	for line := range strings.Lines(got) {
		part, kv, _ := strings.Cut(line, " ")
		parts[part], seen[kv] = true, true
	}
	if len(seen) != 2000 || len(parts) < 60 || strings.Count(got, "\n") != 2000 {
		return fmt.Errorf("%d lines, %d records of 2000, from %d partitions", strings.Count(got, "\n"), len(seen), len(parts))
	}
	return nil
}

// kcatSeekTime: kcat sets no times, so franz-go writes.
func kcatSeekTime(f franz, topic string) error {
	if err := ready(f, topic, 1); err != nil {
		return err
	}
	if err := f.produce(topic, "gzip", true, sample(100, 1)); err != nil {
		return err
	}
	for ms, want := range map[int64]string{firstMs: "0", firstMs + 1: "1", firstMs + 500: "50", firstMs + 985: "99"} {
		got, err := kcat(nil, "-C", "-q", "-c", "1", "-b", f.addr, "-t", topic, "-p", "0", "-o", fmt.Sprintf("s@%d", ms), "-f", "%o %T")
		if err != nil {
			return err
		}
		if o, _, _ := strings.Cut(got, " "); o != want {
			return fmt.Errorf("the first record at or after %d is %q, want offset %s", ms, got, want)
		}
		query, err := kcat(nil, "-Q", "-b", f.addr, "-t", fmt.Sprintf("%s:0:%d", topic, ms))
		if err != nil {
			return err
		}
		if !strings.Contains(query, "offset "+want+"\n") {
			return fmt.Errorf("asked for the offset at %d, kcat says %q, want %s", ms, query, want)
		}
	}
	return nil
}

func kcatLarge(f franz, topic string) error {
	if err := ready(f, topic, 1); err != nil {
		return err
	}
	value := bytes.Repeat([]byte("large "), 150_000)
	if _, err := kcat(value, "-P", "-E", "-b", f.addr, "-t", topic, "-p", "0", "-D", "\x01", "-X", "message.max.bytes=4194304"); err != nil {
		return err
	}
	got, err := kcat(nil, "-C", "-q", "-e", "-b", f.addr, "-t", topic, "-o", "beginning", "-f", "%s")
	if err == nil && got != string(value) {
		err = fmt.Errorf("%d bytes came back of %d", len(got), len(value))
	}
	return err
}

func kcatErrors(f franz, topic string) error {
	if err := ready(f, topic, 1); err != nil {
		return err
	}
	huge := bytes.Repeat([]byte{'x', 'y'}, 750_000)
	_, err := kcat(huge, "-P", "-b", f.addr, "-t", topic, "-p", "0", "-D", "\x01", "-X", "message.max.bytes=4194304")
	if err := refused("a record too large", err, "too large"); err != nil {
		return err
	}
	_, err = kcat(nil, "-C", "-e", "-b", f.addr, "-t", topic+"-absent", "-p", "0", "-X", "topic.metadata.propagation.max.ms=1000")
	if err := refused("an unknown topic", err, "unknown topic"); err != nil {
		return err
	}
	_, err = kcat(nil, "-C", "-e", "-b", f.addr, "-t", topic, "-p", "0", "-o", "1000", "-X", "auto.offset.reset=error")
	return refused("an offset out of range", err, "range|reset")
}

// kcatGroup is the case of rebalance with two kcat.
func kcatGroup(f franz, topic string) error {
	return rebalance(topic, kcatDriver{f}, kcatDriver{f})
}

// kcatDriver joins with kcat and does all else with franz-go.
type kcatDriver struct{ franz }

// kcatMember is `kcat -G`, which prints what it reads, and leaves on SIGTERM.
type kcatMember struct {
	cmd *exec.Cmd
	ch  chan record
}

func (d kcatDriver) join(group, topic string) (member, error) {
	cmd := exec.Command("kcat", "-b", d.addr, "-q", "-u", "-f", "%p %h\n", "-X", "auto.offset.reset=earliest",
		"-X", "heartbeat.interval.ms=300", "-X", "session.timeout.ms=10000", "-G", group, topic)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := kcatMember{cmd, make(chan record, 100_000)}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			var r record
			if _, err := fmt.Sscanf(s.Text(), "%d h=%s", &r.part, &r.header); err == nil {
				m.ch <- r
			}
		}
	}()
	return m, nil
}

func (m kcatMember) records() <-chan record { return m.ch }

func (m kcatMember) leave() error {
	m.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() { m.cmd.Process.Kill() })
	defer kill.Stop()
	return m.cmd.Wait()
}
