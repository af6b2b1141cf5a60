package shard

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// ask answers a question about one partition, or makes a small change of it.
func (s *Shard) ask(p *partition, m *message) {
	p.refresh()
	p.bounds(m)
	if code := p.checkEpoch(m.epoch); code != core.OK {
		s.refuse(m, code)
		return
	}
	switch m.query {
	case session.QueryBounds:
		s.answer(m)
	case session.QuerySize:
		m.c.Size = p.log.Size()
		s.answer(m)
	case session.QueryEpochEnd:
		m.c.Epoch, m.c.Base = p.epochs.endOf(core.Epoch(m.arg), p.w.highWatermark)
		s.answer(m)
	case session.QueryTime, session.QueryMaxTime:
		s.findTime(p, m)
	case session.QueryTrim:
		s.trim(p, m)
	default:
		s.refuse(m, core.ErrUnsupported)
	}
}

// findTime reads batches beside the loop; only what can be read is looked at.
func (s *Shard) findTime(p *partition, m *message) {
	s.looking++
	p.log.FindTime(m.arg, m.query == session.QueryMaxTime, p.w.highWatermark, func(off core.Offset, ts int64, err error) {
		s.looking--
		if err != nil {
			s.refuse(m, codeOf(err))
			return
		}
		m.c.Base, m.c.Timestamp = off, ts
		s.answer(m)
	})
}

// trim deletes what lies below m.arg. Only what can be read can be deleted (KIP-107).
func (s *Shard) trim(p *partition, m *message) {
	to := core.Offset(m.arg)
	if to == -1 {
		to = p.w.highWatermark
	}
	switch {
	case to < 0 || to > p.w.highWatermark:
		s.refuse(m, core.ErrOffsetRange)
		return
	case s.stopping.on:
		s.refuse(m, core.ErrStopping)
		return
	}
	if planted == earlyTrim {
		p.log.Trim(to, func(error) {})
		p.refresh()
		m.c.LogStart = p.log.Start()
		s.answer(m)
		return
	}
	s.looking++
	p.log.Trim(to, func(err error) {
		s.looking--
		if err != nil {
			m.c.Outcome, m.c.Code = core.Unknown, codeOf(err)
			s.answer(m)
			return
		}
		m.c.LogStart = p.log.Start()
		s.answer(m)
	})
	p.refresh()
}
