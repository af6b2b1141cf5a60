package group

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// topicPartition names what an offset is for. Clients name topics, so offsets are kept
// by name; the topic's id, kept with the offset, tells a topic from its successor.
type topicPartition struct {
	topic     string
	partition int32
}

// committed is a committed offset.
type committed struct {
	offset   core.Offset
	epoch    core.Epoch // of the leader when the record was read; -1: not known
	metadata string
	time     int64        // ms, of the commit
	expires  int64        // ms; -1: by the broker's retention
	topicID  core.TopicID // zero: not known
}

// entry is one offset of an image.
type entry struct {
	topicPartition
	committed
}

// image is the durable part of a group.
type image struct {
	id      string
	index   int     // in fold.list
	meta    []byte  // the value of its last group metadata record; nil: none
	offsets []entry // in no order that means anything
	at      map[topicPartition]int
}

// fold is what the records of the partition say, and nothing else. Its lists make every
// walk over it deterministic, which a Go map would not.
//
// Invariant: list[i].index == i, an image without metadata and offsets is not kept,
// bytes is the sum of the sizes of the records that would rebuild it.
type fold struct {
	byID    map[string]*image
	list    []*image
	topics  map[string]*topicUse
	bytes   int64       // of the live records
	written int64       // bytes of batches applied since the last compaction
	next    core.Offset // after the last record applied
	made    []*image    // since the coordinator looked
	foreign int         // records that we do not understand: from then on nothing is compacted
}

// topicUse counts the offsets of a topic, and lends its one copy of the name to them.
type topicUse struct {
	name  string
	count int
	id    core.TopicID // that they were committed for; zero: not known
	mixed bool         // not all for the same one
}

// stale says whether some of the offsets may be those of a topic that is gone, if this
// is the one that has its name now.
func (u *topicUse) stale(now *core.Topic) bool {
	return now == nil || u.mixed || !u.id.IsZero() && u.id != now.ID
}

func (u *topicUse) add(id core.TopicID) {
	switch {
	case id.IsZero() || u.id == id:
	case u.id.IsZero():
		u.id = id
	default:
		u.mixed = true
	}
}

// recordOverhead is about what a record costs in a batch beside its key and value.
const recordOverhead = 12

func newFold() fold {
	return fold{byID: map[string]*image{}, topics: map[string]*topicUse{}}
}

// apply takes one batch. A batch or record that cannot be read is counted and passed
// over: the log keeps it, because compaction stops.
func (f *fold) apply(b []byte) {
	h, err := batch.Parse(b)
	if err != nil || records(b, h, f.record) != nil {
		f.foreign++
	}
	f.written += int64(len(b))
	f.next = max(f.next, h.Last()+1)
}

func (f *fold) record(key, value []byte) {
	version := keyVersion(key)
	switch version {
	case 0, 1:
		var k kmsg.OffsetCommitKey
		if safely(func() error { return k.UnsafeReadFrom(key) }) != nil {
			f.foreign++
			return
		}
		f.offset(k.Group, topicPartition{k.Topic, k.Partition}, value)
	case 2:
		var k kmsg.GroupMetadataKey
		if safely(func() error { return k.UnsafeReadFrom(key) }) != nil {
			f.foreign++
			return
		}
		f.metadata(k.Group, value)
	default:
		f.foreign++
	}
}

// offset takes an offset record; the strings of its key are borrowed.
func (f *fold) offset(group string, tp topicPartition, value []byte) {
	if value == nil {
		if im := f.byID[group]; im != nil {
			f.dropOffset(im, tp)
			f.tidy(im)
		}
		return
	}
	c, err := readCommitted(value)
	if err != nil {
		f.foreign++
		return
	}
	f.setOffset(f.image(group), tp, c)
}

// metadata takes a group metadata record; the id is borrowed.
func (f *fold) metadata(group string, value []byte) {
	im := f.byID[group]
	if len(value) == 0 {
		if im != nil {
			f.setMeta(im, nil)
			f.tidy(im)
		}
		return
	}
	if im == nil {
		im = f.image(group)
	}
	f.setMeta(im, append([]byte(nil), value...))
}

// image returns the image of the group, made if there is none.
func (f *fold) image(group string) *image {
	im := f.byID[group]
	if im == nil {
		im = &image{id: strings.Clone(group), index: len(f.list), at: map[topicPartition]int{}}
		f.byID[im.id] = im
		f.list = append(f.list, im)
		f.made = append(f.made, im)
	}
	return im
}

func (f *fold) setMeta(im *image, value []byte) {
	f.bytes += metaSize(im.id, value) - metaSize(im.id, im.meta)
	im.meta = value
}

func (f *fold) setOffset(im *image, tp topicPartition, c committed) {
	if i, ok := im.at[tp]; ok {
		f.topics[tp.topic].add(c.topicID)
		e := &im.offsets[i]
		f.bytes += int64(len(c.metadata) - len(e.metadata))
		e.committed = c
		return
	}
	use := f.topics[tp.topic]
	if use == nil {
		use = &topicUse{name: strings.Clone(tp.topic)}
		f.topics[use.name] = use
	}
	use.count++
	use.add(c.topicID)
	tp.topic = use.name
	im.at[tp] = len(im.offsets)
	im.offsets = append(im.offsets, entry{tp, c})
	f.bytes += offsetSize(im.id, &im.offsets[len(im.offsets)-1])
}

func (f *fold) dropOffset(im *image, tp topicPartition) {
	i, ok := im.at[tp]
	if !ok {
		return
	}
	f.bytes -= offsetSize(im.id, &im.offsets[i])
	last := len(im.offsets) - 1
	use := f.topics[tp.topic]
	if use.count--; use.count == 0 {
		delete(f.topics, use.name)
	}
	delete(im.at, tp)
	if i != last {
		im.offsets[i] = im.offsets[last]
		im.at[im.offsets[i].topicPartition] = i
	}
	im.offsets[last] = entry{}
	im.offsets = im.offsets[:last]
}

// tidy forgets an image that holds nothing.
func (f *fold) tidy(im *image) {
	if im.meta != nil || len(im.offsets) > 0 {
		return
	}
	last := f.list[len(f.list)-1]
	f.list[im.index] = last
	last.index = im.index
	f.list[len(f.list)-1] = nil
	f.list = f.list[:len(f.list)-1]
	delete(f.byID, im.id)
}

// metaSize is about the size of a group metadata record.
func metaSize(group string, value []byte) int64 {
	if value == nil {
		return 0
	}
	return int64(recordOverhead + 4 + len(group) + len(value))
}

// offsetSize is about the size of an offset record.
func offsetSize(group string, e *entry) int64 {
	return int64(recordOverhead + 10 + len(group) + len(e.topic) + 42 + len(e.metadata))
}

func (f *fold) check() {
	core.Assert(len(f.list) == len(f.byID), "the groups of a fold are not the groups of its list")
	if !core.Invariants {
		return
	}
	var bytes int64
	for i, im := range f.list {
		core.Assert(im.index == i && f.byID[im.id] == im, "an image is not where it says")
		core.Assert(im.meta != nil || len(im.offsets) > 0, "an image is kept that holds nothing")
		core.Assert(len(im.at) == len(im.offsets), "the offsets of an image are not its index")
		bytes += metaSize(im.id, im.meta)
		for k := range im.offsets {
			bytes += offsetSize(im.id, &im.offsets[k])
		}
	}
	core.Assert(bytes == f.bytes, "the live size of a fold is not the sum of its records")
}
