package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// record is what every client must carry unchanged; offset is filled by fetches.
type record struct {
	part       int32
	offset     int64
	key, value []byte
	header     string // value of the header "h"
	ms         int64
}

// driver is a client library under test. Go clients implement it; the cases are written once.
type driver interface {
	codecs() []string
	create(topic string, parts int32, rf int16) error
	produce(topic, codec string, idempotent bool, rs []record) error
	fetch(topic string, part int32, from int64, n int) ([]record, error)
	offsetAt(topic string, part int32, ms int64) (int64, error)
	join(group, topic string) (member, error)
}

// member is in a group: it hands over what it reads and commits until it leaves.
type member interface {
	records() <-chan record
	leave() error
}

const patience = 20 * time.Second

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// runSerial names the topics of one run, so that a broker can be used again.
var runSerial = time.Now().UnixNano() / 1e6

func testDriver(t *testing.T, name string, open func(view) driver) {
	for _, v := range views {
		d := open(v)
		prefix := fmt.Sprintf("%s-%s-%d", name, v.name, runSerial)
		topic := prefix + "-t"
		cases := []struct {
			name string
			run  func() error
		}{{"create", func() error { return d.create(topic, 3, 1) }}}
		for _, codec := range d.codecs() {
			cases = append(cases, struct {
				name string
				run  func() error
			}{"produce-" + codec, func() error { return roundTrip(d, prefix+"-"+codec, codec, false) }})
		}
		cases = append(cases, []struct {
			name string
			run  func() error
		}{
			{"idempotent", func() error { return roundTrip(d, prefix+"-idem", "none", true) }},
			{"seek-time", func() error { return seekTime(d, prefix+"-seek") }},
			{"large", func() error { return large(d, prefix+"-large") }},
			{"partitions-64", func() error { return many(d, prefix+"-many") }},
			{"errors", func() error { return refusals(d, topic) }},
			{"group-rebalance", func() error { return rebalance(d, d, prefix+"-group") }},
		}...)
		for _, c := range cases {
			runCase(t, name, c.name, v.name, c.run)
		}
	}
}

func runCase(t *testing.T, client, name, view string, run func() error) {
	t.Helper()
	t.Run(client+"/"+name+"/"+view, func(t *testing.T) {
		start := time.Now()
		err := run()
		verdict := "ok"
		if err != nil {
			verdict = "FAIL"
			t.Error(err)
		}
		fmt.Fprintf(os.Stdout, "%s %s %s %s %d\n", client, name, view, verdict, time.Since(start).Milliseconds())
	})
}

const firstMs = 1_700_000_000_000

func sample(n int, parts int32) []record {
	rs := make([]record, n)
	for i := range rs {
		rs[i] = record{part: int32(i) % parts, key: []byte(fmt.Sprintf("key-%d", i)),
			value:  bytes.Repeat([]byte(fmt.Sprintf("value %d \x00\xff\n", i)), 1+i%20),
			header: fmt.Sprintf("header-%d", i), ms: firstMs + int64(i)*10}
	}
	return rs
}

func same(got, want []record) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if !bytes.Equal(g.key, w.key) || !bytes.Equal(g.value, w.value) || g.header != w.header || g.ms != w.ms || g.offset != int64(i) {
			return fmt.Errorf("record %d: offset %d key %q header %q time %d, %d bytes; want key %q header %q time %d, %d bytes",
				i, g.offset, g.key, g.header, g.ms, len(g.value), w.key, w.header, w.ms, len(w.value))
		}
	}
	return nil
}

// roundTrip writes 300 records to 3 partitions and reads them back byte for byte.
func roundTrip(d driver, topic, codec string, idempotent bool) error {
	if err := d.create(topic, 3, 1); err != nil {
		return err
	}
	rs := sample(300, 3)
	if err := d.produce(topic, codec, idempotent, rs); err != nil {
		return err
	}
	for p := int32(0); p < 3; p++ {
		var want []record
		for _, r := range rs {
			if r.part == p {
				want = append(want, r)
			}
		}
		got, err := d.fetch(topic, p, 0, len(want))
		if err != nil {
			return err
		}
		if err := same(got, want); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return nil
}

func seekTime(d driver, topic string) error {
	if err := d.create(topic, 1, 1); err != nil {
		return err
	}
	if err := d.produce(topic, "gzip", false, sample(100, 1)); err != nil {
		return err
	}
	for ms, want := range map[int64]int64{0: 0, firstMs: 0, firstMs + 1: 1, firstMs + 500: 50, firstMs + 985: 99} {
		got, err := d.offsetAt(topic, 0, ms)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("first offset at or after %d is %d, want %d", ms, got, want)
		}
	}
	rs, err := d.fetch(topic, 0, 50, 1)
	if err != nil {
		return err
	}
	if len(rs) != 1 || rs[0].offset != 50 {
		return fmt.Errorf("a fetch inside of a batch began elsewhere: %v", rs)
	}
	return nil
}

func large(d driver, topic string) error {
	if err := d.create(topic, 1, 1); err != nil {
		return err
	}
	rs := sample(3, 1)
	for i := range rs {
		rs[i].value = bytes.Repeat([]byte{byte(i), 7, 0}, 300_000)
	}
	if err := d.produce(topic, "none", false, rs); err != nil {
		return err
	}
	got, err := d.fetch(topic, 0, 0, 3)
	if err != nil {
		return err
	}
	return same(got, rs)
}

func many(d driver, topic string) error {
	if err := d.create(topic, 64, 1); err != nil {
		return err
	}
	if err := d.produce(topic, "none", true, sample(640, 64)); err != nil {
		return err
	}
	for _, p := range []int32{0, 31, 63} {
		got, err := d.fetch(topic, p, 0, 10)
		if err != nil {
			return err
		}
		if len(got) != 10 || string(got[9].key) != fmt.Sprintf("key-%d", 576+p) {
			return fmt.Errorf("partition %d does not hold its records", p)
		}
	}
	return nil
}

// refusals holds that each wrong request has the error that Kafka gives, in the client's words.
func refusals(d driver, topic string) error {
	huge := sample(1, 1)
	huge[0].value = bytes.Repeat([]byte{1, 9}, 750_000)
	_, outOfRange := d.fetch(topic, 0, 1<<40, 1)
	for _, c := range []struct {
		what string
		err  error
		says string
	}{
		{"a topic that exists", d.create(topic, 1, 1), "exist"},
		{"an invalid topic name", d.create("no spaces", 1, 1), "valid"},
		{"three replicas", d.create(topic+"-rf3", 1, 3), "replication"},
		{"a record too large", d.produce(topic, "none", false, huge), "large"},
		{"an offset out of range", outOfRange, "range"},
	} {
		if c.err == nil {
			return fmt.Errorf("%s was not refused", c.what)
		}
		if !strings.Contains(strings.ToLower(c.err.Error()), c.says) {
			return fmt.Errorf("%s: %q does not say %q", c.what, c.err, c.says)
		}
	}
	return nil
}

// rebalance has two members read one topic until both have had records; then one leaves
// and the other must read what is written to every partition.
func rebalance(a, b driver, topic string) error {
	if err := a.create(topic, 4, 1); err != nil {
		return err
	}
	first, err := a.join(topic, topic)
	if err != nil {
		return err
	}
	second, err := b.join(topic, topic)
	if err != nil {
		return errors.Join(err, first.leave())
	}
	end := time.After(2 * patience)
	var one, two int
	for one == 0 || two == 0 {
		if err := a.produce(topic, "none", false, sample(8, 4)); err != nil {
			return err
		}
		pause := time.After(200 * time.Millisecond)
	drain:
		for {
			select {
			case <-first.records():
				one++
			case <-second.records():
				two++
			case <-pause:
				break drain
			case <-end:
				return fmt.Errorf("two members read %d and %d records", one, two)
			}
		}
	}
	if err := second.leave(); err != nil {
		return err
	}
	last := sample(4, 4)
	for i := range last {
		last[i].header = "after"
	}
	if err := a.produce(topic, "none", false, last); err != nil {
		return err
	}
	seen := map[int32]bool{}
	for len(seen) < 4 {
		select {
		case r := <-first.records():
			if r.header == "after" {
				seen[r.part] = true
			}
		case <-end:
			return fmt.Errorf("after one left, the other read %d of 4 partitions", len(seen))
		}
	}
	return first.leave()
}
