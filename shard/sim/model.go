package sim

import (
	"bytes"
	"fmt"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// model is what the clients may rely on.
type model struct {
	w     *world
	parts []*part // in order of creation; deleted ones stay
	byID  map[core.PartitionID]*part
	sent  []*sent              // by number
	found map[core.Offset]bool // base offsets read by the audit that runs
	next  core.Offset          // where the last read ended
	// The log append time of the batch before, in one answer.
	lastTime int64
}

// part is what is known of one partition.
//
// Invariant: trimmed <= startMax; safe <= seen.
type part struct {
	id           core.PartitionID
	topic        string
	retention    bool  // the log start may rise by itself
	keepMs       int64 // what is younger stays; -1: retention is not by time alone
	alwaysSynced bool  // since it was created
	mayLose      bool  // a power cut has come over it while it was not always synced
	damaged      bool  // a bit of it has flipped: nothing is expected of it but an answer
	mayForget    bool  // a restart has come after its start had been trimmed
	placed       map[core.Offset]*sent
	seen         core.Offset // everything below was acknowledged, or read, or lay before something that was
	safe         core.Offset // everything below survives a power cut
	readable     core.Offset // the high watermark, as seen since the start
	trimmed      core.Offset // acknowledged: the log start is not below
	startMax     core.Offset // asked for: the log start is not above, but for retention
	epoch        core.Epoch
}

// add takes in a topic's partitions from the one with this index on.
func (m *model) add(t *core.Topic, from int) {
	if t.Internal {
		return
	}
	c := &t.Config
	for i := from; i < len(t.Partitions); i++ {
		p := &part{id: core.PartitionID{Topic: t.ID, Index: int32(i)}, topic: t.Name, retention: c.RetentionBytes >= 0 || c.RetentionMs >= 0, keepMs: -1,
			alwaysSynced: c.Durability == core.Synced, placed: map[core.Offset]*sent{}}
		if c.RetentionBytes < 0 {
			p.keepMs = c.RetentionMs
		}
		m.parts = append(m.parts, p)
		m.byID[p.id] = p
	}
}

// restart forgets what only holds as long as the broker lives.
func (m *model) restart() {
	for _, p := range m.parts {
		p.readable = 0
	}
}

func (m *model) neverMoreAlwaysSynced(id core.TopicID) {
	for _, p := range m.parts {
		if p.id.Topic == id {
			p.alwaysSynced = false
		}
	}
}

func (p *part) String() string { return fmt.Sprintf("%s/%d", p.topic, p.id.Index) }

// answer checks one completion.
func (m *model) answer(o *op, a *session.Completion) {
	w := m.w
	if o.part != nil && o.part.damaged {
		return
	}
	if a.Outcome == core.Refused {
		w.assert(a.Code != core.OK, "a refusal has no reason")
		w.refusals[a.Code]++
		m.refused(o, a)
		return
	}
	if a.Outcome != core.Done || o.part == nil {
		return
	}
	p := o.part
	switch o.kind {
	case opAppend:
		b := o.batch
		last := a.Base + core.Offset(b.count)
		m.place(p, b, a.Base, "acknowledged")
		b.acked, b.time = true, a.Timestamp
		m.reach(p, last, o.synced && w.isSynced(p))
		w.tracef("ack %v batch %d at %d", p, b.number, a.Base)
	case opRead:
		m.read(o, a)
	case opWait:
		m.bounds(p, a)
		w.assert(a.HighWatermark > o.from, "a wait ended, and there is nothing to read")
	case opBounds:
		m.bounds(p, a)
	case opTrim:
		w.assert(a.LogStart >= o.from, "a trim left more than was asked")
		p.trimmed = max(p.trimmed, o.from)
		w.tracef("trimmed %v to %d", p, o.from)
	}
}

// refused checks that a refusal has a reason that can be.
func (m *model) refused(o *op, a *session.Completion) {
	w := m.w
	switch a.Code {
	case core.ErrStorage, core.ErrDiskFull:
		w.assert(w.failed || w.mishap.full || w.mishap.planned || w.cutting, "the storage fails and nobody made it fail")
	case core.ErrQuarantined, core.ErrCorruptBatch, core.ErrInvalidTopic, core.ErrUnsupported, core.ErrNotLeader:
		w.failf("%v: %s", o.part, a.Code)
	case core.ErrUnknownTopicID, core.ErrUnknownPartition:
		w.assert(w.catalog.deleted(o.part.id.Topic), "a topic that was not deleted is not known")
	case core.ErrOffsetRange:
		p := o.part
		w.assert(o.kind == opRead || o.kind == opTrim, "an offset out of range where there is none")
		if o.kind == opRead {
			m.bounds(p, a)
			w.assert(o.from < a.LogStart || o.from > a.End, "an offset in range was refused")
		}
	}
}

// reach notes that everything below to was acknowledged or read.
func (m *model) reach(p *part, to core.Offset, safe bool) {
	p.seen = max(p.seen, to)
	if safe {
		p.safe = max(p.safe, to)
	}
}

// place notes where a batch lies. It lies nowhere else, and nothing else lies there.
func (m *model) place(p *part, b *sent, base core.Offset, how string) {
	w := m.w
	if b.part != p {
		w.failf("%v: batch %d of %v was %s", p, b.number, b.part, how)
	}
	if b.refused {
		w.failf("%v: batch %d was refused, and then %s at %d", p, b.number, how, base)
	}
	if b.placed && b.base != base {
		w.failf("%v: batch %d was %s at %d, and it was at %d before", p, b.number, how, base, b.base)
	}
	if other := p.placed[base]; other != nil && other != b {
		w.failf("%v: batch %d was %s at %d, where batch %d was before", p, b.number, how, base, other.number)
	}
	if !b.placed {
		b.seen = w.wall()
	}
	b.placed, b.base = true, base
	p.placed[base] = b
}

// bounds checks the positions in an answer.
func (m *model) bounds(p *part, a *session.Completion) {
	w := m.w
	ok := a.LogStart <= a.HighWatermark && a.HighWatermark <= a.End && a.LastStable == a.HighWatermark
	if !ok {
		w.failf("%v: log start %d, high watermark %d, last stable %d, end %d", p, a.LogStart, a.HighWatermark, a.LastStable, a.End)
	}
	if a.LogStart > p.startMax && w.auditing && p.mayLose && p.safe <= p.startMax {
		p.startMax = a.LogStart // a power cut has taken the oldest segment of a topic that is not synced
	}
	if a.LogStart > p.startMax && !p.retention {
		w.failf("%v: the log begins at %d, and nobody asked for more than %d", p, a.LogStart, p.startMax)
	}
	if a.LogStart > p.startMax && p.keepMs >= 0 {
		m.tooEarly(p, a.LogStart)
	}
	if a.Epoch < p.epoch {
		w.failf("%v: the epoch fell from %d to %d", p, p.epoch, a.Epoch)
	}
	p.epoch = a.Epoch
	p.readable = max(p.readable, a.HighWatermark)
}

// tooEarly checks that retention by time has deleted nothing young. A record whose
// timestamp lies in the future is as old as it has been there.
func (m *model) tooEarly(p *part, start core.Offset) {
	w := m.w
	for base, b := range p.placed {
		if age := w.wallMax - min(b.newest, b.seen) + w.skewed; base >= p.startMax && base+core.Offset(b.count) <= start && age+1000 <= p.keepMs {
			w.failf("%v: batch %d at %d was deleted at the age of %d ms; retention is %d ms", p, b.number, base, age, p.keepMs)
		}
	}
}

// read checks what a read gave.
func (m *model) read(o *op, a *session.Completion) {
	w, p := m.w, o.part
	m.bounds(p, a)
	var buf bytes.Buffer
	for i := range a.Extents {
		buf.Write(w.load(&a.Extents[i]))
	}
	b := buf.Bytes()
	w.assert(len(b) == a.Bytes, "a read gives another number of bytes than it says")
	if len(b) == 0 {
		if o.first && o.from < a.HighWatermark {
			w.failf("%v: a read at %d gave nothing, and the high watermark is %d", p, o.from, a.HighWatermark)
		}
		return
	}
	next, count := core.Offset(-1), 0
	for ; len(b) > 0; count++ {
		h, err := batch.Parse(b)
		if err != nil || h.Size > len(b) {
			w.failf("%v: a read at %d gave %d bytes that are no whole batch: %v", p, o.from, len(b), err)
		}
		next = m.readBatch(o, a, b[:h.Size], next)
		b = b[h.Size:]
	}
	if a.Bytes > o.max && (count > 1 || !o.first) {
		w.failf("%v: a read of at most %d bytes gave %d in %d batches", p, o.max, a.Bytes, count)
	}
}

// readBatch checks one batch of an answer. next is where it must begin, -1: it is the
// first and holds o.from. It returns where the following one must begin.
func (m *model) readBatch(o *op, a *session.Completion, b []byte, next core.Offset) core.Offset {
	w, p := m.w, o.part
	h, err := batch.Valid(b)
	if err != nil {
		w.failf("%v: a batch that was read at %d has a wrong checksum", p, h.Base)
	}
	if next < 0 && (h.Base > o.from || h.Last() < o.from) || next >= 0 && h.Base != next {
		w.failf("%v: a read at %d gave the batch %d to %d; expected %d", p, o.from, h.Base, h.Last(), next)
	}
	if h.Last() >= a.HighWatermark {
		w.failf("%v: offset %d was read, and the high watermark is %d", p, h.Last(), a.HighWatermark)
	}
	n := number(b)
	if n >= len(m.sent) || !m.sent[n].same(b) {
		w.failf("%v: the bytes at %d are not what was sent", p, h.Base)
	}
	if h.Attrs&batch.AttrLogAppendTime != 0 {
		if t := m.sent[n].time; t >= 0 && t != h.MaxTime || next >= 0 && h.MaxTime < m.lastTime {
			w.failf("%v: the batch at %d has the append time %d; acknowledged was %d, and the batch before it has %d", p, h.Base, h.MaxTime, t, m.lastTime)
		}
		m.lastTime = h.MaxTime
	}
	if h.Epoch > w.catalog.now().Starts {
		w.failf("%v: the batch at %d has the epoch %d", p, h.Base, h.Epoch)
	}
	if m.found != nil {
		m.found[h.Base] = true
	}
	m.next = h.Last() + 1
	m.place(p, m.sent[n], h.Base, "read")
	m.reach(p, h.Last()+1, p.alwaysSynced)
	return h.Last() + 1
}

// audited compares what a partition holds after a restart with what must be there. start
// and end are its bounds, found has the base offsets of its batches.
func (m *model) audited(p *part, start, end core.Offset, found map[core.Offset]bool, power bool) {
	w := m.w
	if start < p.trimmed {
		w.failf("%v: the log begins at %d again; it had been trimmed to %d", p, start, p.trimmed)
	}
	// Producers are folded from the log: of what lay below its start nothing is known.
	p.mayForget = p.mayForget || start > 0
	must := p.seen
	if power && !p.alwaysSynced {
		must = p.safe
	}
	if end < must {
		w.failf("%v: the log ends at %d after the restart; everything below %d was acknowledged or read", p, end, must)
	}
	for base, b := range p.placed {
		switch {
		case found[base]:
		case base < start: // with it the broker may have forgotten its producer
			delete(p.placed, base)
			b.placed, b.base, b.time = false, -1, -1
		case base < must:
			w.failf("%v: batch %d at %d is lost", p, b.number, base)
		default: // lost, as it may be
			delete(p.placed, base)
			b.placed, b.acked, b.base, b.time = false, false, -1, -1
		}
	}
	p.seen = min(p.seen, end)
}
