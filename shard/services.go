package shard

import (
	"encoding/binary"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// service hosts the state machine of one internal partition. It sees what it appended
// once that can be read, in order, before the completion:
//
//	append --> log, and backlog --high watermark--> Apply --> Complete
type service struct {
	p        *partition
	logic    session.Service
	deadline deadline
	waits    waitList
	calls    []openCall
	free     []uint32 // in calls
	backlog  []byte   // batches as stamped, appended and not yet applied
	head     int      // in backlog: the next one
	applied  core.Offset
	begun    bool // it has had its first tick, which comes before any call
}

// openCall is a call that has not been answered.
type openCall struct {
	m   *message
	gen uint32
}

// remember keeps a batch until it may be applied.
func (v *service) remember(b []byte, st batch.Stamp) {
	if v.head == len(v.backlog) {
		v.backlog, v.head = v.backlog[:0], 0
	}
	at := len(v.backlog)
	v.backlog = append(v.backlog, b...)
	st.Apply(v.backlog[at:at+batch.HeaderSize], v.backlog[at+batch.HeaderSize:])
}

// catchUp applies the batches below the high watermark.
func (v *service) catchUp(highWatermark core.Offset) {
	for v.head < len(v.backlog) {
		b := v.backlog[v.head:]
		h, err := batch.Parse(b)
		core.Assert(err == nil && h.Base >= v.applied, "the backlog of a service is damaged")
		if h.Last() >= highWatermark {
			return
		}
		v.logic.Apply(b[:h.Size])
		v.applied = h.Last() + 1
		v.head += h.Size
	}
}

// call takes a request for the partition's service. It has its own step.
func (s *Shard) call(p *partition, m *message) {
	switch {
	case p.svc == nil:
		s.refuse(m, core.ErrNotCoordinator)
	case s.stopping.on:
		s.refuse(m, core.ErrStopping)
	default:
		m.host = p.svc
		s.inbox.push(m)
	}
}

// stepCall is the step of one call. The service knows it by a ticket of ours: that of
// the asker means nothing here.
func (s *Shard) stepCall(m *message) {
	v := m.host
	if s.parts[m.partition] != v.p {
		s.refuse(m, core.ErrNotCoordinator)
		return
	}
	if !v.begun {
		s.timers.clear(&v.deadline)
		s.tickService(v)
	}
	var slot uint32
	if n := len(v.free); n > 0 {
		slot, v.free = v.free[n-1], v.free[:n-1]
	} else {
		slot = uint32(len(v.calls))
		v.calls = append(v.calls, openCall{})
	}
	o := &v.calls[slot]
	o.m = m
	o.gen++
	call := session.Call{Ticket: session.Ticket{Shard: s.cfg.ID, Slot: slot, Part: o.gen},
		Partition: m.partition, Kind: m.api, Version: m.version, Body: m.body}
	s.fx.Reset()
	v.logic.Call(&call, &s.fx)
	s.carry(nil, v)
}

// tickService is the step of a service whose deadline has come.
func (s *Shard) tickService(v *service) {
	v.begun = true
	s.fx.Reset()
	v.logic.Tick(s.clock.mono, &s.fx)
	s.carry(nil, v)
}

// replied answers a call.
func (s *Shard) replied(v *service, r *session.Reply) {
	core.Assert(v != nil && int(r.Ticket.Slot) < len(v.calls), "a reply to no call")
	o := &v.calls[r.Ticket.Slot]
	m := o.m
	core.Assert(m != nil && o.gen == r.Ticket.Part, "a call is replied to twice")
	o.m = nil
	v.free = append(v.free, r.Ticket.Slot)
	if cap(m.buf) < len(r.Body) {
		s.pool.giveBack(m.buf)
		m.buf = s.pool.buffer(len(r.Body))
	}
	m.buf = append(m.buf[:0], r.Body...)
	m.c.Outcome, m.c.Code, m.c.Body = r.Outcome, r.Code, m.buf
	s.answer(m)
}

// blobVersion is the form of a partition's snapshot:
//
//	version u8, producers, epochs, lastTime i64, service u8,
//	and if that is 1: applied i64, the service's own snapshot
const blobVersion = 2

// snapshot appends the folds. Those of the shard are as of the log's end; the
// service's is as of what it has applied, and says so.
func (p *partition) snapshot(dst []byte) []byte {
	be := binary.BigEndian
	dst = append(dst, blobVersion)
	dst = p.producers.snapshot(dst)
	dst = p.epochs.snapshot(dst)
	dst = be.AppendUint64(dst, uint64(p.lastTime))
	if p.svc == nil {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	applied := p.svc.applied
	if planted == serviceAhead {
		applied = p.log.End()
	}
	dst = be.AppendUint64(dst, uint64(applied))
	return p.svc.logic.Snapshot(dst)
}

// restore takes the folds from a snapshot that was made when the log ended at `at`. It
// returns from where each goes on; what is not usable begins at start. A service's
// snapshot that is older than the log start is not usable: what came between is gone.
func (p *partition) restore(blob []byte, start, at core.Offset, now int64) (own, service core.Offset) {
	r := blobReader{b: blob}
	if r.u8() == blobVersion {
		p.producers.restore(&r, now)
		p.epochs.restore(&r)
		p.lastTime = int64(r.u64())
	} else {
		r.bad = true
	}
	has := r.u8()
	if r.bad {
		p.producers, p.epochs, p.lastTime = newProducers(), epochs{}, 0
		return start, start
	}
	if p.svc == nil || has != 1 {
		return at, start
	}
	applied := core.Offset(r.u64())
	if r.bad || applied > at || applied < start || p.svc.logic.Restore(r.b) != nil {
		return at, start
	}
	return at, applied
}
