package segment

import (
	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// Log is one partition.
type Log struct {
	s                   *Store
	id                  core.PartitionID
	cfg                 LogConfig
	start, durable, end core.Offset
}

// ID names the partition.
func (l *Log) ID() core.PartitionID { return l.id }

// Start is the first offset that may be read.
func (l *Log) Start() core.Offset { return l.start }

// Durable is the offset below which everything survives a power cut.
func (l *Log) Durable() core.Offset { return l.durable }

// End is the offset of the next record.
func (l *Log) End() core.Offset { return l.end }

// Size is the log in bytes.
func (l *Log) Size() int64 { return 0 }

// Append copies one valid batch into the tail, stamped; st.Base is l.End().
func (l *Log) Append(b []byte, st batch.Stamp) error { return core.ErrUnsupported }

// Read appends held extents of whole batches to dst, from the one that holds from.
func (l *Log) Read(from, limit core.Offset, max int, first bool, dst []core.Extent) (ext []core.Extent, n int, ready bool, err error) {
	return dst, 0, true, core.ErrUnsupported
}

// Scan calls fn with each batch from the one that holds from; it blocks.
func (l *Log) Scan(from core.Offset, fn func(b []byte) error) error { return core.ErrUnsupported }

// FindTime finds the first record at or after ts (or the one with the newest time).
func (l *Log) FindTime(ts int64, max bool, limit core.Offset, done func(off core.Offset, ts int64, err error)) {
	done(0, 0, core.ErrUnsupported)
}

// Trim moves the log start; done is called when that is durable.
func (l *Log) Trim(to core.Offset, done func(error)) { done(core.ErrUnsupported) }
