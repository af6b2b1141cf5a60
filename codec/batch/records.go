package batch

import (
	"errors"
	"io"

	"github.com/penstock/penstock/core"
)

// Compression is the codec of a batch, as its attributes name it.
type Compression int16

// The codecs of Kafka.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Compression returns the codec of the batch; above Zstd there are none.
func (h *Header) Compression() Compression { return Compression(h.Attrs & AttrCompression) }

// errStop ends a walk early without an error.
var errStop = errors.New("stop")

// Records calls fn for each record of the batch b, whose header is h, in order, until
// fn returns an error, which it then returns. The record is fn's until fn returns.
//
// A compressed batch is decompressed while it is walked, up to limit bytes: beyond them
// it is ErrTooLarge, however small b is. Neither that nor a length in b makes it
// allocate more than about twice the limit. Records are as the header says: as many,
// with rising offsets within the batch, and nothing behind the last; else the batch is
// ErrCorruptBatch. The CRC is not checked.
func Records(b []byte, h Header, limit int, fn func(Record) error) error {
	if len(b) < h.Size || h.Size < HeaderSize {
		return core.ErrCorruptBatch
	}
	body := b[HeaderSize:h.Size]
	if h.Compression() == None {
		return walk(&window{b: body, full: true}, h, fn)
	}
	d, err := open(h.Compression(), body, limit)
	if err != nil {
		return err
	}
	defer d.close()
	return walk(&d.window, h, fn)
}

func walk(w *window, h Header, fn func(Record) error) error {
	last := int32(-1)
	for range h.Count {
		b, err := w.next()
		if err != nil {
			return err
		}
		var r Record
		timeDelta, offsetDelta, ok := r.parse(b)
		if !ok || offsetDelta <= last || offsetDelta > h.LastDelta {
			return core.ErrCorruptBatch
		}
		last = offsetDelta
		r.Offset = h.Base + core.Offset(offsetDelta)
		r.Timestamp = h.BaseTime + timeDelta
		if h.Attrs&AttrLogAppendTime != 0 {
			r.Timestamp = h.MaxTime
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return w.end()
}

// window is the part of the records that is in memory: all of an uncompressed batch, or
// as much as was needed for the record last read.
//
//	0 <= at <= len(b) <= cap(b);  taken + what is still to be read <= limit
type window struct {
	b     []byte
	at    int
	full  bool // no more comes; b may be the caller's
	r     io.Reader
	taken int // bytes read from r
	limit int
}

// next returns the body of the next record.
func (w *window) next() ([]byte, error) {
	const lengthMax = 5
	if err := w.need(lengthMax); err != nil {
		return nil, err
	}
	c := cursor{b: w.b, at: w.at}
	n := int(c.int32())
	if c.bad || n < 0 {
		return nil, core.ErrCorruptBatch
	}
	w.at = c.at
	if err := w.need(n); err != nil {
		return nil, err
	}
	if n > len(w.b)-w.at {
		return nil, core.ErrCorruptBatch
	}
	b := w.b[w.at : w.at+n : w.at+n]
	w.at += n
	return b, nil
}

// end says whether there is nothing behind the last record.
func (w *window) end() error {
	if err := w.need(1); err != nil {
		return err
	}
	if w.at < len(w.b) {
		return core.ErrCorruptBatch
	}
	return nil
}

// need reads until n bytes are there, or no more come. It grows with the bytes that do
// come, not with what a length says.
func (w *window) need(n int) error {
	for len(w.b)-w.at < n && !w.full {
		if w.at > 0 {
			w.b = w.b[:copy(w.b, w.b[w.at:])]
			w.at = 0
		}
		if len(w.b) == cap(w.b) {
			w.b = append(w.b, 0)[:len(w.b)]
		}
		free := w.b[len(w.b):cap(w.b)]
		if rest := w.limit - w.taken; rest < len(free) {
			free = free[:rest+1] // the byte too many shows a batch that is too large
		}
		m, err := w.r.Read(free)
		w.b = w.b[:len(w.b)+m]
		w.taken += m
		switch {
		case w.taken > w.limit || err == core.ErrTooLarge:
			return core.ErrTooLarge
		case err == io.EOF:
			w.full = true
		case err != nil || m == 0:
			return core.ErrCorruptBatch
		}
	}
	return nil
}

// FirstAtOrAfter finds the first record of the batch with a timestamp >= ts; ok is false
// if there is none. limit is as in Records.
func FirstAtOrAfter(b []byte, ts int64, limit int) (off core.Offset, at int64, ok bool, err error) {
	h, err := Parse(b)
	if err != nil {
		return 0, 0, false, err
	}
	if h.Attrs&AttrLogAppendTime != 0 { // all records have the same
		return h.Base, h.MaxTime, h.MaxTime >= ts && h.Count > 0, nil
	}
	err = Records(b, h, limit, func(r Record) error {
		if r.Timestamp < ts {
			return nil
		}
		off, at, ok = r.Offset, r.Timestamp, true
		return errStop
	})
	if err == errStop {
		err = nil
	}
	return off, at, ok, err
}

// MaxTimestamp finds the first of the records with the largest timestamp; of a batch
// without records it is -1, at the base. limit is as in Records.
func MaxTimestamp(b []byte, limit int) (off core.Offset, ts int64, err error) {
	h, err := Parse(b)
	if err != nil {
		return 0, 0, err
	}
	if h.Attrs&AttrLogAppendTime != 0 {
		return h.Base, h.MaxTime, nil
	}
	off, ts = h.Base, -1
	first := true
	err = Records(b, h, limit, func(r Record) error {
		if first || r.Timestamp > ts {
			off, ts, first = r.Offset, r.Timestamp, false
		}
		return nil
	})
	return off, ts, err
}
