package shard

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// carry carries out the effects of one step, in the order that the contract gives. One
// of c and v is nil.
func (s *Shard) carry(c *conn, v *service) {
	fx := &s.fx
	for i := range fx.Append {
		a := &fx.Append[i]
		m := s.asked(kindAppend, c, v, a.Ticket, a.Partition)
		m.body = a.Batch
		s.route(m, c)
	}
	for i := range fx.Read {
		r := &fx.Read[i]
		m := s.asked(kindRead, c, v, r.Ticket, r.Partition)
		m.from, m.epoch, m.max, m.first = r.From, r.Epoch, r.Max, r.First
		s.route(m, c)
	}
	for i := range fx.Wait {
		w := &fx.Wait[i]
		m := s.asked(kindWait, c, v, w.Ticket, w.Partition)
		m.from = w.From
		waitsOf(c, v).push(m)
		s.route(m, c)
	}
	for _, t := range fx.Cancel {
		if m := waitsOf(c, v).find(t); m != nil {
			s.recall(m)
		}
	}
	for i := range fx.Query {
		q := &fx.Query[i]
		m := s.asked(kindQuery, c, v, q.Ticket, q.Partition)
		m.query, m.epoch, m.arg = q.Kind, q.Epoch, q.Arg
		s.route(m, c)
	}
	for i := range fx.Call {
		q := &fx.Call[i]
		m := s.asked(kindCall, c, v, q.Ticket, q.Partition)
		m.api, m.version, m.body = q.Kind, q.Version, q.Body
		s.own(m) // its step comes later
		s.route(m, c)
	}
	for i := range fx.Change {
		s.begin(s.asked(kindChange, c, v, fx.Change[i].Ticket, core.PartitionID{}), fx.Change[i].Command)
	}
	for i := range fx.Reply {
		s.replied(v, &fx.Reply[i])
	}
	s.countAnswers()
	if c != nil {
		s.output(c)
	}
	d := deadlineOf(c, v)
	switch {
	case fx.Deadline > 0:
		s.timers.set(d, fx.Deadline)
	case fx.Deadline < 0:
		s.timers.clear(d)
	}
}

// output does what concerns the connection itself.
func (s *Shard) output(c *conn) {
	fx := &s.fx
	for i := range fx.Out {
		o := &fx.Out[i]
		if o.Extent.Pin != nil || o.Extent.Len > 0 {
			s.cfg.Loop.SendExtent(c.id, o.Extent)
		} else if len(o.Bytes) > 0 {
			s.cfg.Loop.Send(c.id, o.Bytes)
		}
	}
	if len(fx.Append) > 0 && (s.held.head != nil || s.store.Pressure()) {
		s.press(c)
	}
	s.pause(c, pausedSession, fx.Pause)
	if fx.Close {
		s.cfg.Loop.Close(c.id, false)
	}
}

func waitsOf(c *conn, v *service) *waitList {
	if c != nil {
		return &c.waits
	}
	return &v.waits
}

func deadlineOf(c *conn, v *service) *deadline {
	if c != nil {
		return &c.deadline
	}
	return &v.deadline
}

// asked makes the message of a request.
func (s *Shard) asked(k kind, c *conn, v *service, t session.Ticket, p core.PartitionID) *message {
	m := s.message(k)
	m.svc, m.ticket, m.partition, m.trusted = v, t, p, v != nil
	if c != nil {
		m.conn = c.id
	}
	return m
}

// route takes a request to the owner of its partition.
func (s *Shard) route(m *message, c *conn) {
	if p := s.parts[m.partition]; p != nil {
		m.owner = s.cfg.ID
		if m.kind == kindAppend && s.held.head != nil {
			s.hold(m)
			return
		}
		s.handleOn(m)
		return
	}
	owner, ok := s.catalog.Owner(m.partition)
	m.owner = owner
	if !ok {
		m.owner = s.cfg.ID
		s.refuse(m, s.whyNot(m.partition))
		return
	}
	core.Assert(owner != s.cfg.ID, "a partition of this shard has not been opened")
	s.send(owner, m, c)
}

// whyNot says why this shard does not have a partition.
func (s *Shard) whyNot(id core.PartitionID) core.Code {
	if s.catalog.TopicByID(id.Topic) == nil {
		return core.ErrUnknownTopicID
	}
	if _, ok := s.catalog.Owner(id); !ok {
		return core.ErrUnknownPartition
	}
	return core.ErrNotLeader
}

// handle does what another shard asks for.
func (s *Shard) handle(m *message) {
	switch m.kind {
	case kindAdopt:
		s.adopt()
		s.answer(m)
	case kindCancel:
		s.cancel(m.target)
		s.answer(m)
	case kindAppend:
		if s.held.head != nil || s.store.Pressure() {
			s.hold(m)
			return
		}
		s.handleOn(m)
	default:
		s.handleOn(m)
	}
}

// handleOn does what is asked of a partition of this shard.
func (s *Shard) handleOn(m *message) {
	p := s.parts[m.partition]
	if p == nil {
		s.adopt() // the asker may know a newer catalog
		if p = s.parts[m.partition]; p == nil {
			s.refuse(m, s.whyNot(m.partition))
			return
		}
	}
	switch {
	case p.refuses != core.OK:
		s.refuse(m, p.refuses)
		return
	case s.stopping.closed:
		s.refuse(m, core.ErrStopping)
		return
	}
	switch m.kind {
	case kindAppend:
		s.append(p, m)
	case kindRead:
		s.read(p, m)
	case kindWait:
		s.wait(p, m)
	case kindQuery:
		s.ask(p, m)
	case kindCall:
		s.call(p, m)
	default:
		core.Fail("a message of an unknown kind")
	}
}

func (s *Shard) refuse(m *message, code core.Code) {
	s.stats.Refused++
	m.c.Outcome, m.c.Code = core.Refused, code
	s.answer(m)
}

// answer sends a message back to where it came from.
func (s *Shard) answer(m *message) {
	core.Assert(!m.answered, "a ticket is answered twice")
	m.answered = true
	m.c.Ticket = m.ticket
	if m.home == s {
		s.inbox.push(m)
	} else {
		s.reply(m)
	}
}

// recall takes a wait of ours back, wherever it is.
func (s *Shard) recall(m *message) {
	if m.owner == s.cfg.ID {
		s.cancel(m)
		return
	}
	if m.recalls {
		return
	}
	m.recalls = true
	k := s.message(kindCancel)
	k.target = m
	s.send(m.owner, k, nil)
}

// cancel answers a wait with Cancelled unless it has been answered. It runs where the
// partition is: until the cancel is back the asker leaves the wait as it is.
func (s *Shard) cancel(m *message) {
	if m.answered {
		return
	}
	m.in.remove(m)
	m.c.Outcome = core.Cancelled
	s.answer(m)
}

// work runs the steps that wait in the inbox, and those that they lead to.
func (s *Shard) work() {
	for n := 0; n < inboxStepMax; n++ {
		m := s.inbox.pop()
		if m == nil {
			return
		}
		if m.kind == kindCall && !m.answered {
			s.stepCall(m)
		} else {
			s.deliver(m)
		}
	}
}

// deliver gives an answer to whoever asked.
func (s *Shard) deliver(m *message) {
	switch m.kind {
	case kindCancel:
		w := m.target
		w.recalls = false
		if w.back {
			s.put(w)
		}
		s.put(m)
		return
	case kindAdopt:
		s.adopted(m.change)
		s.put(m)
		return
	}
	s.fx.Reset()
	c := s.conns.get(m.conn)
	switch {
	case m.svc != nil:
		if m.kind == kindWait {
			m.svc.waits.remove(m)
		}
		m.svc.logic.Complete(&m.c, &s.fx)
		s.carry(nil, m.svc)
	case c != nil:
		if m.kind == kindWait {
			c.waits.remove(m)
		}
		c.session.Complete(&m.c, &s.fx)
		s.carry(c, nil)
	default:
		for i := range m.ext {
			m.ext[i].Release()
		}
	}
	s.put(m)
}
