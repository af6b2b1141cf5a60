package shard

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// openAll opens the partitions of the first catalog, with what recovery found.
func (s *Shard) openAll() error {
	s.catalog = s.cfg.Catalog.Load()
	for _, t := range s.catalog.Topics {
		for i, owner := range t.Partitions {
			if owner != s.cfg.ID {
				continue
			}
			id := core.PartitionID{Topic: t.ID, Index: int32(i)}
			var found *segment.Recovered
			if s.cfg.Recovery != nil {
				found = s.cfg.Recovery.Logs[id]
			}
			if err := s.open(t, id, found); err != nil {
				return fmt.Errorf("restore partition %d of %s: %w", i, t.Name, err)
			}
		}
	}
	s.cfg.Recovery = nil
	return nil
}

// open opens one partition and restores its folds. For a new one it does no I/O.
func (s *Shard) open(t *core.Topic, id core.PartitionID, found *segment.Recovered) error {
	p := &partition{id: id, epoch: s.catalog.Starts, producers: newProducers()}
	p.log = s.store.Open(id, logConfig(t), found)
	p.setTopic(t)
	if t.Internal && s.cfg.Services != nil {
		if logic := s.cfg.Services(s, t, id); logic != nil {
			p.svc = &service{p: p, logic: logic}
			p.svc.deadline.svc = p.svc
			s.timers.set(&p.svc.deadline, s.clock.mono) // one tick to begin with
		}
	}
	s.parts[id] = p
	if found != nil && found.Quarantined != nil {
		s.quarantine(p) // recovery has reported it
		return nil
	}
	p.w.highWatermark, p.w.exposed = p.log.End(), p.log.End() // all that was found counts
	p.refresh()
	if found != nil && planted != noFold {
		err := p.replay(found, s.clock.mono.Milliseconds())
		var damage *segment.CorruptError
		switch {
		case errors.As(err, &damage):
			s.quarantine(p)
			if s.cfg.OnFailure != nil {
				s.cfg.OnFailure(p.id, err)
			}
			return nil
		case err != nil:
			return err
		}
	}
	p.epochs.append(p.epoch, p.w.logEnd)
	return nil
}

// quarantine refuses everything that is asked of a partition. The others serve.
func (s *Shard) quarantine(p *partition) {
	p.refuses = core.ErrQuarantined
	s.stats.Quarantined++
}

// replay restores the folds from the snapshot and the batches that came after it.
func (p *partition) replay(found *segment.Recovered, now int64) error {
	start := p.log.Start()
	own, service := start, start
	if len(found.Blob) > 0 && found.BlobAt <= p.log.End() {
		own, service = p.restore(found.Blob, start, found.BlobAt, now)
	}
	if own < start {
		// What lay between the snapshot and the log start is gone. A producer that is not
		// known may go on; one that is known with an old sequence could not.
		p.producers, own = newProducers(), start
	}
	from := own
	if p.svc != nil {
		core.Assert(start <= service && service <= own, "a service goes on above what the log's own folds hold")
		p.svc.applied, from = service, service
	}
	if from >= p.log.End() || planted == staleFold && len(found.Blob) > 0 {
		return nil
	}
	return p.log.Scan(from, func(b []byte) error {
		h, err := batch.Parse(b)
		if err != nil {
			return err
		}
		if h.Last() >= own { // the log may start within a batch
			at := int64(-1)
			if h.Attrs&batch.AttrLogAppendTime != 0 {
				at = h.MaxTime
				p.lastTime = max(p.lastTime, at)
			}
			p.producers.append(&h, h.Base, at, now)
			p.epochs.append(h.Epoch, h.Base)
		}
		if p.svc != nil {
			p.svc.logic.Apply(b[:h.Size])
			p.svc.applied = h.Last() + 1
		}
		return nil
	})
}

func logConfig(t *core.Topic) segment.LogConfig {
	c := &t.Config
	return segment.LogConfig{Durability: c.Durability, SegmentBytes: c.SegmentBytes, SegmentMs: c.SegmentMs,
		RetentionMs: c.RetentionMs, RetentionBytes: c.RetentionBytes, FlushMs: c.FlushMs, FlushMessages: c.FlushMessages,
		Vital: t.Internal}
}

// adopt takes in the published catalog if it is another one: first what is gone, then
// what is new or has changed.
func (s *Shard) adopt() {
	next, old := s.cfg.Catalog.Load(), s.catalog
	if next == old {
		return
	}
	s.catalog = next
	gone, changed := difference(old.Topics, next.Topics)
	for _, t := range gone {
		wrote := false
		for i := range t.Partitions {
			if p := s.parts[core.PartitionID{Topic: t.ID, Index: int32(i)}]; p != nil {
				wrote = wrote || p.log.End() > 0
				s.remove(p)
			}
		}
		s.depart(t.ID, wrote)
	}
	for _, t := range changed {
		for i, owner := range t.Partitions {
			id := core.PartitionID{Topic: t.ID, Index: int32(i)}
			p := s.parts[id]
			switch {
			case p != nil:
				s.reconfigure(p, t)
			case owner == s.cfg.ID:
				err := s.open(t, id, nil)
				core.Assert(err == nil, "a new partition could not be opened")
			}
		}
	}
}

// difference compares the topics of two catalogs, which are sorted by name: what is gone,
// and what is new or has changed. What has not is the same pointer in both.
func difference(old, next []*core.Topic) (gone, changed []*core.Topic) {
	i, j := 0, 0
	for i < len(old) || j < len(next) {
		switch {
		case i < len(old) && j < len(next) && old[i] == next[j]:
			i, j = i+1, j+1
		case j == len(next) || i < len(old) && old[i].Name < next[j].Name:
			gone = append(gone, old[i])
			i++
		case i == len(old) || next[j].Name < old[i].Name:
			changed = append(changed, next[j])
			j++
		default:
			if old[i].ID != next[j].ID { // deleted, and created again
				gone = append(gone, old[i])
			}
			changed = append(changed, next[j])
			i, j = i+1, j+1
		}
	}
	return gone, changed
}

// reconfigure takes in the settings of a topic. Appends that wait for a sync do not any
// more if the topic has ceased to be synced.
func (s *Shard) reconfigure(p *partition, t *core.Topic) {
	p.setTopic(t)
	if p.refuses == core.ErrQuarantined {
		return
	}
	s.store.SetConfig(p.log, logConfig(t))
	p.refresh()
	s.advanced(p)
	s.settle(p)
}

// remove ends a partition whose topic was deleted.
func (s *Shard) remove(p *partition) {
	delete(s.parts, p.id)
	for _, l := range []*list{&p.pending, &p.waits, &p.reads} {
		for m := l.pop(); m != nil; m = l.pop() {
			if l == &p.pending {
				s.pendings--
			}
			s.refuse(m, core.ErrUnknownTopicID)
		}
	}
	if v := p.svc; v != nil {
		s.timers.clear(&v.deadline)
		for i := range v.calls {
			if m := v.calls[i].m; m != nil {
				v.calls[i].m = nil
				s.refuse(m, core.ErrNotCoordinator)
			}
		}
	}
	s.store.Remove(p.log)
}
