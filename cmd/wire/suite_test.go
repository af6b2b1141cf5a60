package wire

import (
	"bytes"
	"context"
	"fmt"
	"slices"
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
	create(topic string, parts int32, rf int16, settings map[string]string) error
	produce(topic, codec string, idempotent bool, rs []record) error
	fetch(topic string, part int32, from int64, n int) ([]record, error)
	offsetAt(topic string, part int32, ms int64) (int64, error)
	transactional(id string) error
	join(group, topic string) (member, error)
}

// cooperator is a driver that knows cooperative assignors; it joins with range otherwise.
type cooperator interface{ cooperative() driver }

// member is in a group: it hands over what it reads and commits until it leaves.
type member interface {
	records() <-chan record
	leave() error
}

// patience is how long a test waits for what has to happen, on a machine that is busy.
const patience = 60 * time.Second

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// runSerial names the topics of one run, so that a broker can be used again.
var runSerial = time.Now().UnixNano() / 1e6

// testDriver runs every case in every view. The caller has called t.Parallel: clients run
// side by side, the cases of one client one after the other.
func testDriver(t *testing.T, name string, open func(view) driver) {
	for _, v := range views {
		d := open(v)
		prefix := fmt.Sprintf("%s-%s-%d", name, v.name, runSerial)
		topic := prefix + "-t"
		cases := []struct {
			name string
			run  func() error
		}{{"create", func() error { return d.create(topic, 3, 1, map[string]string{"retention.ms": "3600000"}) }}}
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
			{"errors", func() error { return refusals(d, prefix+"-err") }},
			{"transactional-id", func() error { return transactional(d, prefix) }},
			{"group-rebalance", func() error { return rebalance(prefix+"-group", d, d) }},
		}...)
		if c, ok := d.(cooperator); ok {
			cases = append(cases, struct {
				name string
				run  func() error
			}{"group-cooperative", func() error { return rebalance(prefix+"-coop", c.cooperative(), c.cooperative()) }})
		}
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
		report(client, name, view, verdict, time.Since(start).Milliseconds())
	})
}

// firstMs is the time of the first record: past, but not so far that retention takes it.
var firstMs = time.Now().UnixMilli() - 1_800_000

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

// ready makes a topic that can be used at once. penstock answers when it can; Apache Kafka
// before its brokers know the topic.
func ready(d driver, topic string, parts int32) error { return readyWith(d, topic, parts, nil) }

func readyWith(d driver, topic string, parts int32, settings map[string]string) error {
	err := d.create(topic, parts, 1, settings)
	if err == nil && peerIsKafka {
		time.Sleep(time.Second)
	}
	return err
}

// roundTrip writes 300 records to 3 partitions and reads them back byte for byte.
func roundTrip(d driver, topic, codec string, idempotent bool) error {
	if err := ready(d, topic, 3); err != nil {
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
	if err := ready(d, topic, 1); err != nil {
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

// large has records just below the limit, and one of 3 MB where the topic allows it: a fetch
// must return its batch whole, above every limit of the client.
func large(d driver, topic string) error {
	if err := ready(d, topic, 1); err != nil {
		return err
	}
	rs := sample(3, 1)
	for i := range rs {
		rs[i].value = bytes.Repeat([]byte{byte(i), 7, 0}, 300_000)
	}
	if err := writeAndRead(d, topic, rs); err != nil {
		return err
	}
	if err := readyWith(d, topic+"-huge", 1, map[string]string{"max.message.bytes": "8388608"}); err != nil {
		return err
	}
	rs = sample(1, 1)
	rs[0].value = bytes.Repeat([]byte{1, 2, 3}, 1_000_000)
	return writeAndRead(d, topic+"-huge", rs)
}

func writeAndRead(d driver, topic string, rs []record) error {
	if err := d.produce(topic, "none", false, rs); err != nil {
		return err
	}
	got, err := d.fetch(topic, 0, 0, len(rs))
	if err != nil {
		return err
	}
	return same(got, rs)
}

func many(d driver, topic string) error {
	if err := ready(d, topic, 64); err != nil {
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
	if err := ready(d, topic, 1); err != nil {
		return err
	}
	huge := sample(1, 1)
	huge[0].value = bytes.Repeat([]byte{1, 9}, 750_000)
	_, outOfRange := d.fetch(topic, 0, 1<<40, 1)
	cases := []struct {
		what string
		err  error
		says string // alternatives, in lower case
	}{
		{"a topic that exists", d.create(topic, 1, 1, nil), "exist"},
		{"an invalid topic name", d.create("no spaces", 1, 1, nil), "valid"},
		{"three replicas", d.create(topic+"-rf3", 1, 3, nil), "replication"},
		{"an unknown setting", d.create(topic+"-set", 1, 1, map[string]string{"no.such.setting": "1"}), "config|no.such.setting"},
		{"a record too large", d.produce(topic, "none", false, huge), "large"},
		{"an offset out of range", outOfRange, "range"},
		{"an unknown topic", d.produce(topic+"-absent", "none", false, sample(1, 1)), "unknown topic|unknown_topic|not exist|not present"},
	}
	if !peerIsKafka {
		compact := d.create(topic+"-compact", 1, 1, map[string]string{"cleanup.policy": "compact"})
		cases = append(cases, cases[0])
		cases[len(cases)-1].what, cases[len(cases)-1].err, cases[len(cases)-1].says = "compaction", compact, "config|compact"
	}
	for _, c := range cases {
		if err := refused(c.what, c.err, c.says); err != nil {
			return err
		}
	}
	return nil
}

func refused(what string, err error, says string) error {
	if err == nil {
		return fmt.Errorf("%s was not refused", what)
	}
	for _, s := range strings.Split(says, "|") {
		if strings.Contains(strings.ToLower(err.Error()), s) {
			return nil
		}
	}
	return fmt.Errorf("%s: %q does not say %q", what, err, says)
}

// transactional holds that penstock refuses a transactional id, by name, and that the refusal
// is the broker's: Apache Kafka serves the same client.
func transactional(d driver, id string) error {
	err := d.transactional(id)
	if peerIsKafka {
		return err
	}
	says := "transactional"
	if _, ok := d.(rdkafka); ok { // it shows the text of the answer
		says = "transactions are not supported"
	}
	return refused("a transactional id", err, says)
}

// rebalance has members of one group read one topic until each has had records; then all but
// the first leave, one by one, and the first must read what is written to every partition.
// Records are written all the while, or the first member could read all there is before the
// last has joined.
func rebalance(topic string, drivers ...driver) error {
	const parts = 6
	if err := ready(drivers[0], topic, parts); err != nil {
		return err
	}
	var members []member
	defer func() {
		for _, m := range members {
			m.leave()
		}
	}()
	for _, d := range drivers {
		m, err := d.join(topic, topic)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	counts := make([]int, len(members))
	for end := time.Now().Add(2 * patience); slices.Contains(counts, 0); {
		if time.Now().After(end) {
			return fmt.Errorf("the members read %d records", counts)
		}
		if err := drivers[0].produce(topic, "none", false, sample(12, parts)); err != nil {
			return err
		}
		pause := time.Now().Add(200 * time.Millisecond)
		for i, m := range members {
			counts[i] += drain(m, pause)
		}
	}
	for len(members) > 1 {
		last := members[len(members)-1]
		members = members[:len(members)-1]
		if err := last.leave(); err != nil {
			return err
		}
	}
	return readsAll(drivers[0], members[0], topic, parts)
}

// drain counts what a member has read, waiting for it until then.
func drain(m member, then time.Time) (n int) {
	for {
		select {
		case <-m.records():
			n++
		case <-time.After(max(0, time.Until(then))):
			return n
		}
	}
}

// readsAll has the last member of a group read one new record of every partition.
func readsAll(d driver, m member, topic string, parts int32) error {
	last := sample(int(parts), parts)
	for i := range last {
		last[i].header = "after"
	}
	if err := d.produce(topic, "none", false, last); err != nil {
		return err
	}
	seen := map[int32]bool{}
	for end := time.After(2 * patience); len(seen) < int(parts); {
		select {
		case r := <-m.records():
			if r.header == "after" {
				seen[r.part] = true
			}
		case <-end:
			return fmt.Errorf("after the others left, the first read %d of %d partitions", len(seen), parts)
		}
	}
	return nil
}
