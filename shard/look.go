package shard

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// What people look at is asked for now and then, by a task on the loop. The hot path
// counts nothing for it but the bytes of each partition.

// PartitionStats is where a partition stands.
type PartitionStats struct {
	ID            core.PartitionID
	LogStart      core.Offset
	HighWatermark core.Offset
	LogEnd        core.Offset
	Bytes         int64     // in its segments, the tail in memory included
	Appended      int64     // bytes, since the start
	Refuses       core.Code // what everything is refused with; OK: it serves
}

// Look appends where the given partitions stand; those that this shard does not have are
// left out. It is called on the loop, so a caller with many asks for some at a time.
func (s *Shard) Look(ids []core.PartitionID, dst []PartitionStats) []PartitionStats {
	for _, id := range ids {
		if p := s.parts[id]; p != nil {
			start := p.log.Start()
			dst = append(dst, PartitionStats{ID: id, LogStart: start, HighWatermark: max(p.w.highWatermark, start), LogEnd: p.log.End(),
				Bytes: p.log.Size(), Appended: p.appended, Refuses: p.refuses})
		}
	}
	return dst
}

// Service is the state machine of an internal partition of this shard, or nil. It is
// called on the loop, where alone the answer may be used.
func (s *Shard) Service(id core.PartitionID) session.Service {
	if p := s.parts[id]; p != nil && p.svc != nil {
		return p.svc.logic
	}
	return nil
}

// Client is what the client of a connection says of itself. It is called on the loop.
func (s *Shard) Client(id core.ConnID) (c session.Client, ok bool) {
	if conn := s.conns.get(id); conn != nil {
		if k, is := conn.session.(session.Known); is {
			return k.Client(), true
		}
	}
	return c, false
}
