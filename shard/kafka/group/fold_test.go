package group

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// dump is a fold in words, whatever the order of its lists.
func dump(f *fold) string {
	var lines []string
	for _, im := range f.list {
		lines = append(lines, fmt.Sprintf("%s %x", im.id, im.meta))
		for i := range im.offsets {
			lines = append(lines, fmt.Sprintf("%s %+v", im.id, im.offsets[i]))
		}
	}
	return strings.Join(append(sorted(lines), fmt.Sprint(f.bytes)), "\n")
}

// randomBatch is one batch of random records of a few groups, at an offset.
func randomBatch(rt *rapid.T, base core.Offset) []byte {
	var b builder
	b.begin(rapid.Int64Range(0, 1e9).Draw(rt, "time"))
	for n := rapid.IntRange(1, 5).Draw(rt, "records"); n > 0; n-- {
		group := rapid.SampledFrom([]string{"g", "h", "ij", ""}).Draw(rt, "group")
		gone := rapid.IntRange(0, 2).Draw(rt, "gone") == 0
		var value []byte
		if rapid.Bool().Draw(rt, "meta") {
			if !gone {
				value = appendGroupValue(nil, &live{generation: rapid.Int32().Draw(rt, "gen")}, nil)
			}
			b.add(appendGroupKey(nil, group), value)
			continue
		}
		tp := topicPartition{rapid.SampledFrom([]string{"a", "bc"}).Draw(rt, "topic"), rapid.Int32Range(0, 3).Draw(rt, "partition")}
		if !gone {
			c := committed{offset: core.Offset(rapid.Int64().Draw(rt, "offset")), epoch: -1, metadata: rapid.SampledFrom([]string{"", "text"}).Draw(rt, "text"), expires: -1}
			switch rapid.IntRange(0, 2).Draw(rt, "version") {
			case 0:
				c.expires = 5
			case 1:
				c.topicID = core.TopicID{1}
			}
			value = appendCommitted(nil, &c)
		}
		b.add(appendOffsetKey(nil, group, tp), value)
	}
	p := b.finish()
	batch.Stamp{Base: base, AppendTime: -1}.Apply(p[:batch.HeaderSize], p[batch.HeaderSize:])
	return p
}

// live is a group, where a group's id is called group.
type live = group

func TestASnapshotAndTheRestOfTheLogAreTheWholeLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whole, part := newFold(), newFold()
		for n := rapid.IntRange(0, 20).Draw(rt, "batches"); n > 0; n-- {
			b := randomBatch(rt, whole.next)
			whole.apply(b)
			part.apply(b)
			whole.check()
			if rapid.IntRange(0, 3).Draw(rt, "snapshot") == 0 {
				blob := part.snapshot(nil)
				part = newFold()
				if err := part.restore(blob); err != nil {
					rt.Fatal(err)
				}
				part.check()
			}
		}
		if whole.foreign != 0 || dump(&whole) != dump(&part) || whole.next != part.next || whole.written != part.written {
			rt.Fatalf("whole:\n%s\nfrom snapshots:\n%s", dump(&whole), dump(&part))
		}
	})
}

func TestADamagedSnapshotIsRefusedAndLeavesNothing(t *testing.T) {
	w := newWorld(t, Options{})
	w.commitSimple("g", "a", 0, 5)
	blob := w.c.Snapshot(nil)
	for n := 0; n < len(blob); n++ {
		c := newCoordinator(w, core.PartitionID{}, Options{})
		if c.Restore(blob[:n]) == nil || len(c.fold.list) != 0 {
			t.Fatalf("the first %d of %d bytes are taken for a snapshot", n, len(blob))
		}
	}
	if newCoordinator(w, core.PartitionID{}, Options{}).Restore(append(blob, 0)) == nil {
		t.Fatal("a snapshot with a byte too many is taken")
	}
}

func (w *world) commitSimple(group, topic string, partition int32, offset int64) uint32 {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.SetVersion(9)
	r.Group, r.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: partition, Offset: offset, LeaderEpoch: 1})
	r.Topics = append(r.Topics, t)
	return w.ask("simple", r)
}

// TestCompactionKeepsThePartitionBoundedAndLosesNothing has random commits, deletions,
// failures and restarts, from the log alone or from an old snapshot, around compactions
// of a batch at a time. Beside the log runs a fold that has seen everything.
func TestCompactionKeepsThePartitionBoundedAndLosesNothing(t *testing.T) {
	compactions := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, Options{CompactMin: 2000, CompactBatch: 150})
		all := newFold()
		var blob []byte
		look := func() {
			for _, l := range w.written {
				all.apply(l.batch)
			}
			compactions += len(w.trimmed)
			w.written, w.trimmed, w.answers = nil, nil, nil
			if dump(&w.c.fold) != dump(&all) {
				rt.Fatalf("the fold is\n%s\nand should be\n%s", dump(&w.c.fold), dump(&all))
			}
		}
		for n := rapid.IntRange(100, 400).Draw(rt, "steps"); n > 0; n-- {
			group := rapid.SampledFrom([]string{"g", "h", "i", "j", "k"}).Draw(rt, "group")
			switch rapid.IntRange(0, 30).Draw(rt, "act") {
			case 0:
				r := kmsg.NewPtrDeleteGroupsRequest()
				r.SetVersion(2)
				r.Groups = []string{group}
				w.ask("admin", r)
			case 1, 2:
				w.hold = true
			case 3, 4:
				w.hold = false
				w.release()
			case 5, 6, 7:
				if len(w.queue) > 0 {
					w.releaseOne()
				}
			case 8:
				w.failAll(core.Refused, core.ErrBusy)
			case 12:
				w.failFirst()
			case 9:
				blob = w.c.Snapshot(nil)
			case 10:
				w.boot(nil)
			case 11:
				w.boot(blob)
			default:
				w.commitSimple(group, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "topic"), rapid.Int32Range(0, 3).Draw(rt, "partition"), int64(n))
			}
			look()
		}
		w.hold = false
		w.release()
		look()
		size := 0
		for _, l := range w.log {
			size += len(l.batch)
		}
		if size > 2000+6*int(w.c.fold.bytes)+8000 {
			rt.Fatalf("%d bytes of log hold %d that live", size, w.c.fold.bytes)
		}
	})
	if compactions == 0 {
		t.Fatal("there was no compaction")
	}
	t.Logf("%d compactions", compactions)
}

// failAll refuses what is not durable; the offsets that it would have got are given again.
func (w *world) failAll(outcome core.Outcome, code core.Code) {
	w.fail(outcome, code)
	w.end = w.start
	if n := len(w.log); n > 0 {
		w.end = w.log[n-1].last + 1
	}
}

// failFirst refuses the oldest append alone; those behind it move up.
func (w *world) failFirst() {
	if len(w.queue) > 0 {
		l := w.queue[0]
		w.queue = w.queue[1:]
		w.end = l.base
		for i := range w.queue {
			k := &w.queue[i]
			k.base, k.last = w.end, w.end+k.last-k.base
			w.end = k.last + 1
			batch.Stamp{Base: k.base, Epoch: 1, AppendTime: -1}.Apply(k.batch[:batch.HeaderSize], k.batch[batch.HeaderSize:])
		}
		w.complete(session.Completion{Ticket: l.ticket, Outcome: core.Refused, Code: core.ErrBusy})
	}
}

func TestRecordsOfALaterVersionStopCompaction(t *testing.T) {
	w := newWorld(t, Options{CompactMin: 100})
	var b builder
	b.begin(0)
	b.add([]byte{0, 3, 0, 0}, []byte{1})
	w.c.Apply(b.finish())
	commit := func() {
		t.Helper()
		for i := int64(0); i < 100; i++ {
			w.commitSimple("g", "a", 0, i)
		}
		if len(w.trimmed) != 0 {
			t.Fatal("the log was trimmed, and records with it that are not understood")
		}
	}
	commit()
	// The snapshot of a snapshot knows of them too, though their batch is not read again.
	w.boot(w.c.Snapshot(nil))
	w.boot(w.c.Snapshot(nil))
	commit()
	if w.c.fold.foreign != 1 {
		t.Errorf("%d records are not understood; want 1", w.c.fold.foreign)
	}
	w = newWorld(t, Options{CompactMin: 100}) // without such a record there would have been a trim
	for i := int64(0); len(w.trimmed) == 0; i++ {
		if w.commitSimple("g", "a", 0, i); i > 100 {
			t.Fatal("nothing is ever compacted here")
		}
	}
}

// The bytes are those that Kafka's OffsetCommitKey, OffsetCommitValue and
// GroupMetadataKey have (clients/…/message/*.json); kmsg is not asked.
func TestRecordsHaveKafkasBytes(t *testing.T) {
	id := core.TopicID{0xab, 15: 0xcd}
	for _, c := range []struct{ got, want []byte }{
		{appendOffsetKey(nil, "g", topicPartition{"to", 3}), []byte("\x00\x01\x00\x01g\x00\x02to\x00\x00\x00\x03")},
		{appendGroupKey(nil, "g"), []byte("\x00\x02\x00\x01g")},
		{appendCommitted(nil, &committed{offset: 5, epoch: 7, metadata: "m", time: 9, expires: -1}), []byte("\x00\x03\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x07\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09")},
		{appendCommitted(nil, &committed{offset: 5, epoch: 7, metadata: "m", time: 9, expires: 10}), []byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x0a")},
		{appendCommitted(nil, &committed{offset: 5, epoch: 7, time: 9, expires: -1, topicID: id}), append([]byte("\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x07\x01\x00\x00\x00\x00\x00\x00\x00\x09\x01\x00\x10"), id[:]...)},
	} {
		if string(c.got) != string(c.want) {
			t.Errorf("%q; want %q", c.got, c.want)
		}
	}
}

func TestGroupsGoToThePartitionThatKafkaWouldChoose(t *testing.T) {
	for group, hash := range map[string]int32{"": 0, "hello": 99162322, "polygenelubricants": -1 << 31, "é": 233, "😀": 1772899, "console-consumer-1": -1} {
		h := Partition(group, 1<<31-1)
		if hash >= 0 && h != hash || hash == -1<<31 && h != 0 {
			t.Errorf("%q: %d; Java's hash is %d", group, h, hash)
		}
		if n := Partition(group, 16); n < 0 || n > 15 || n != h%16 && hash >= 0 {
			t.Errorf("%q: partition %d of 16", group, n)
		}
	}
}

// TestOffsetsOfATopicThatIsNotReadAnyMoreExpireWhileTheGroupLives: KIP-211.
func TestOffsetsOfATopicThatIsNotReadAnyMoreExpireWhileTheGroupLives(t *testing.T) {
	p := &talker{world: newWorld(t, Options{}), names: map[string]string{}, ids: map[string]string{}}
	for _, line := range []string{"c1 join g v=3 session=30m", "c1 sync g gen=1 member=c1/1 assign=c1/1:x", "c1 commit g gen=1 member=c1/1 a:0=1 b:0=2", "c1 describe g"} {
		p.play(line)
	}
	for i := 0; i < 7*24*3-1; i++ {
		p.advance(20 * time.Minute)
		if n := len(p.c.fold.byID["g"].offsets); n != 2 {
			t.Fatalf("%d offsets are left after %v", n, time.Duration(i+1)*20*time.Minute)
		}
		p.play("c1 heartbeat g gen=1 member=c1/1")
	}
	p.advance(20 * time.Minute)
	im := p.c.fold.byID["g"]
	if len(im.offsets) != 1 || im.offsets[0].topic != "a" {
		t.Fatalf("left: %+v; want the one of a, which is still read", im.offsets)
	}
}

func TestOffsetsGoWithTheirTopicAlsoWhenThereAreMoreThanABatchHolds(t *testing.T) {
	w := newWorld(t, Options{CompactBatch: 100})
	for i := int32(0); i < 4; i++ {
		w.commitSimple("g", "a", i, 1)
		w.commitSimple("h", "a", i, 1)
	}
	w.deleteTopic("a")
	w.written = nil
	w.step(func(fx *session.Effects) { w.c.Tick(w.mono, fx) })
	if len(w.c.fold.list) != 0 || len(w.written) < 4 || len(w.c.groups) != 0 {
		t.Fatalf("left: %s; in %d batches", dump(&w.c.fold), len(w.written))
	}
}

// A value of version 4 is read by ourselves: what it holds must be what kmsg reads.
func TestATaggedOffsetIsReadAsKmsgReadsItAndDamageCostsNothing(t *testing.T) {
	v := kmsg.OffsetCommitValue{Version: 4, Offset: 7, LeaderEpoch: 3, Metadata: "text", CommitTimestamp: 9, TopicID: core.TopicID{1, 2}}
	v.UnknownTags.Set(5, []byte("later"))
	value := v.AppendTo(nil)
	want := committed{offset: 7, epoch: 3, metadata: "text", time: 9, expires: -1, topicID: core.TopicID{1, 2}}
	if c, err := readCommitted(value); err != nil || c != want {
		t.Errorf("%+v %v", c, err)
	}
	for n := range value {
		if c, err := readCommitted(value[:n]); err == nil {
			t.Errorf("%d of %d bytes: %+v", n, len(value), c)
		}
	}
	if _, err := readCommitted(append(value, 0)); err == nil {
		t.Error("a byte too many")
	}
	untagged := kmsg.OffsetCommitValue{Version: 4, Offset: 7}
	billions := append(untagged.AppendTo(nil), 0)
	copy(billions[len(billions)-2:], "\xff\xff")
	if _, err := readCommitted(append(billions, 0xff, 0xff, 0x0f)); err == nil {
		t.Error("2^32-1 tags")
	}
	group := kmsg.GroupMetadataValue{Version: 4}
	if _, err := readGroupValue(group.AppendTo(nil)); err != errForeign {
		t.Error(err)
	}
}

// FuzzFold: whatever a record or a snapshot holds, the fold stays whole, and what it took
// comes back out of its own snapshot.
func FuzzFold(f *testing.F) {
	f.Add([]byte(nil), appendGroupKey(nil, "g"), appendGroupValue(nil, &live{generation: 3}, nil))
	f.Add([]byte(nil), appendOffsetKey(nil, "g", topicPartition{"a", 1}), appendCommitted(nil, &committed{offset: 5, epoch: -1, expires: -1, topicID: core.TopicID{1}}))
	one := newFold()
	one.record(appendOffsetKey(nil, "g", topicPartition{"a", 1}), appendCommitted(nil, &committed{offset: 5, epoch: -1, expires: -1}))
	one.record(appendGroupKey(nil, "h"), appendGroupValue(nil, &live{generation: 3}, nil))
	f.Add(one.snapshot(nil), []byte{0, 1}, []byte{0})
	f.Fuzz(func(t *testing.T, blob, key, value []byte) {
		fold := newFold()
		if fold.restore(blob) != nil {
			fold = newFold()
		}
		fold.check()
		fold.record(key, value)
		fold.record(key, nil)
		fold.record(key, value)
		fold.check()
		again := newFold()
		if err := again.restore(fold.snapshot(nil)); err != nil {
			t.Fatal(err)
		}
		if again.check(); dump(&again) != dump(&fold) {
			t.Fatalf("%s\n%s", dump(&fold), dump(&again))
		}
		for _, im := range fold.list {
			if im.meta != nil {
				_, _ = readGroupValue(im.meta)
			}
		}
	})
}

func TestATrimWaitsForWhatACompactionLeftOut(t *testing.T) {
	w := newWorld(t, Options{CompactMin: 2000, CompactBatch: 100}) // a group a batch
	w.commitSimple("left", "a", 0, 65)
	w.commitSimple("other", "a", 0, 1)
	w.hold = true
	for n := int64(0); !w.c.compact.on; n++ {
		if n == 100 {
			t.Fatal("no compaction")
		}
		w.commitSimple("other", "a", 0, n)
		w.releaseOne()
	}
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.SetVersion(2)
	r.Groups = []string{"left"}
	w.ask("admin", r) // the tombstones are behind the first batch of the compaction
	for n := 0; n < 10 && len(w.queue) > 1; n++ {
		w.releaseOne()
	}
	w.failAll(core.Refused, core.ErrBusy)
	w.hold = false
	w.release()
	before := dump(&w.c.fold)
	w.boot(nil)
	if len(w.c.fold.list) != 2 {
		t.Errorf("before the restart\n%s\nafter it\n%s", before, dump(&w.c.fold))
	}
}
