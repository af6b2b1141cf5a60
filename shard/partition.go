package shard

import (
	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// watermarks are the positions of a partition. In a synced topic:
//
//	logStart            durable = highWatermark            logEnd
//	   |  synced, readable  |  appended, not yet readable     |
//
// in an interval or os topic highWatermark = logEnd.
//
// Invariant: logStart <= durable <= logEnd, logStart <= highWatermark <= logEnd;
// synced: highWatermark <= max(durable, exposed).
type watermarks struct {
	logStart      core.Offset
	durable       core.Offset
	highWatermark core.Offset // never falls
	logEnd        core.Offset
	exposed       core.Offset // what could be read when the topic became synced
	synced        bool
}

func (w *watermarks) check() {
	core.Assert(w.logStart <= w.durable && w.durable <= w.logEnd, "logStart <= durable <= logEnd does not hold")
	core.Assert(w.logStart <= w.highWatermark && w.highWatermark <= w.logEnd, "logStart <= highWatermark <= logEnd does not hold")
	core.Assert(!w.synced || planted == earlyRead || w.highWatermark <= max(w.durable, w.exposed), "a synced partition lets readers see what a power cut takes back")
}

// partition is one partition that this shard owns.
type partition struct {
	id        core.PartitionID
	topic     *core.Topic
	log       *segment.Log
	epoch     core.Epoch // of new batches
	w         watermarks
	producers producers
	epochs    epochs
	lastTime  int64     // of the newest batch, with LogAppendTime
	pending   list      // appends that are not yet durable, in the order of their offsets
	waits     list      // for the high watermark to rise
	reads     list      // for bytes to be loaded
	refuses   core.Code // what everything is refused with, if it is quarantined
	broken    bool      // nothing can be appended any more
	svc       *service  // of an internal topic; nil: none
	appended  int64     // bytes
}

// refresh takes the log's positions over.
func (p *partition) refresh() {
	w := &p.w
	w.logStart, w.logEnd = p.log.Start(), p.log.End()
	w.durable = max(p.log.Durable(), w.logStart) // what is gone is durably gone
	if w.synced && planted != earlyRead {
		w.highWatermark = max(w.highWatermark, w.durable) // so it follows the log start too
	} else {
		w.highWatermark = w.logEnd
	}
	w.check()
}

// setTopic takes in a topic's configuration.
func (p *partition) setTopic(t *core.Topic) {
	p.topic = t
	synced := t.Config.Durability == core.Synced
	if synced && !p.w.synced {
		p.w.exposed = p.w.highWatermark
	}
	p.w.synced = synced
}

// bounds fills in the positions of an answer.
func (p *partition) bounds(m *message) {
	c := &m.c
	c.Epoch, c.LogStart, c.HighWatermark = p.epoch, p.w.logStart, p.w.highWatermark
	c.LastStable, c.End = p.w.highWatermark, p.w.logEnd
}

// checkEpoch compares the epoch that a reader knows with the partition's (KIP-320).
func (p *partition) checkEpoch(e core.Epoch) core.Code {
	switch {
	case e < 0 || e == p.epoch:
		return core.OK
	case e < p.epoch:
		return core.ErrFencedLeaderEpoch
	}
	return core.ErrUnknownLeaderEpoch
}

// append appends one batch, unless it repeats one. The answer follows at once in
// interval and os topics, else with the group commit.
func (s *Shard) append(p *partition, m *message) {
	h, err := batch.Parse(m.body)
	switch {
	case err != nil:
		s.refuse(m, core.ErrCorruptBatch)
		return
	case p.topic.Internal && !m.trusted:
		s.refuse(m, core.ErrInvalidTopic)
		return
	case s.stopping.on:
		s.refuse(m, core.ErrStopping)
		return
	case p.broken:
		s.refuse(m, core.ErrStorage)
		return
	}
	repeat, code := p.producers.check(&h)
	if code != core.OK {
		s.refuse(m, code)
		return
	}
	p.bounds(m)
	if repeat != nil {
		s.stats.Repeats++
		m.c.Base, m.c.Timestamp, m.last = repeat.base, repeat.time, repeat.last()
		s.acknowledge(p, m)
		return
	}
	st := batch.Stamp{Base: p.log.End(), Epoch: p.epoch, AppendTime: -1}
	if p.topic.Config.LogAppendTime {
		st.AppendTime = max(p.lastTime, s.Wall())
		if planted == timeFalls {
			st.AppendTime = s.Wall()
		}
	}
	if err := p.log.Append(m.body, st); err != nil {
		if err == core.ErrBusy && s.holdAgain(m) {
			return
		}
		code := codeOf(err)
		if code == core.ErrBusy || code == core.ErrDiskFull {
			p.producers.refused(&h)
		}
		s.refuse(m, code)
		return
	}
	p.lastTime = max(p.lastTime, st.AppendTime)
	p.producers.append(&h, st.Base, st.AppendTime, s.clock.mono.Milliseconds())
	p.epochs.append(st.Epoch, st.Base)
	if p.svc != nil {
		p.svc.remember(m.body, st)
		if planted == earlyApply {
			p.svc.catchUp(p.log.End())
		}
	}
	s.stats.Appends++
	s.stats.AppendBytes += int64(len(m.body))
	p.appended += int64(len(m.body))
	m.c.Base, m.c.Timestamp, m.last = st.Base, st.AppendTime, st.Base+core.Offset(h.LastDelta)
	p.refresh()
	p.bounds(m)
	s.acknowledge(p, m)
	if !p.w.synced {
		s.advanced(p)
	}
}

// acknowledge answers an append, or lets it wait for its group commit behind those that
// came before it.
func (s *Shard) acknowledge(p *partition, m *message) {
	m.body = nil // borrowed: the log has its copy
	if !p.w.synced || planted == earlyAck || p.pending.head == nil && m.last < p.w.durable {
		s.answer(m)
		return
	}
	p.pending.push(m)
	s.pendings++
}

// settle answers the appends that have become durable.
func (s *Shard) settle(p *partition) {
	for m := p.pending.head; m != nil && (m.last < p.w.durable || !p.w.synced); m = p.pending.head {
		p.pending.remove(m)
		s.pendings--
		m.c.HighWatermark, m.c.LastStable = p.w.highWatermark, p.w.highWatermark
		s.answer(m)
	}
}

// advanced follows when the high watermark may have risen: the service sees what is
// new, then the waits that it ends are answered.
func (s *Shard) advanced(p *partition) {
	if p.svc != nil {
		p.svc.catchUp(p.w.highWatermark)
	}
	for m := p.waits.head; m != nil; {
		next := m.at.next
		if p.w.highWatermark > m.from && (planted != lostWake || m.from%8 != 0) {
			p.waits.remove(m)
			p.bounds(m)
			s.answer(m)
		}
		m = next
	}
}

// read answers committed bytes, whole batches from the one that holds m.from.
func (s *Shard) read(p *partition, m *message) {
	if code := p.checkEpoch(m.epoch); code != core.OK {
		p.bounds(m)
		s.refuse(m, code)
		return
	}
	p.refresh()
	p.bounds(m)
	if m.from < p.w.logStart || m.from > p.w.logEnd {
		s.refuse(m, core.ErrOffsetRange)
		return
	}
	if m.from >= p.w.highWatermark || m.max <= 0 {
		s.answer(m)
		return
	}
	ext, n, ready, err := p.log.Read(m.from, p.w.highWatermark, m.max, m.first, m.ext[:0])
	m.ext = ext
	switch {
	case err != nil:
		s.refuse(m, codeOf(err))
	case !ready:
		core.Assert(len(ext) == 0, "a read that is not ready holds extents")
		p.reads.push(m)
	default:
		s.stats.Reads++
		s.stats.ReadBytes += int64(n)
		m.c.Bytes, m.c.Extents = n, m.ext
		s.answer(m)
	}
}

// retryReads tries the reads again that waited for bytes to be loaded.
func (s *Shard) retryReads(p *partition) {
	for n := p.reads.count; n > 0; n-- { // those that are not ready yet go to the end
		s.read(p, p.reads.pop())
	}
}

// wait is answered at once if there is something above m.from already.
func (s *Shard) wait(p *partition, m *message) {
	p.refresh()
	switch {
	case s.stopping.on:
		s.refuse(m, core.ErrStopping)
	case p.w.highWatermark > m.from:
		p.bounds(m)
		s.answer(m)
	default:
		p.waits.push(m)
	}
}

// codeOf is the reason in a refusal of the log.
func codeOf(err error) core.Code {
	if c, ok := err.(core.Code); ok {
		return c
	}
	return core.ErrStorage
}
