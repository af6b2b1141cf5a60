package kafka

import (
	"github.com/penstock/penstock/codec/batch"
	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

const (
	zstd         = 4 // the last of the compressions
	zstdFrom     = 7 // version of Produce
	millisecond0 = -1
)

// checkBatch says whether the records of one partition may be appended: exactly one
// batch of format 2, whole and undamaged, with a header that a client may send. Records
// are not decompressed: header and CRC decide.
func checkBatch(b []byte, version int16, topic *core.TopicConfig, now int64) (code int16, why string) {
	if len(b) == 0 {
		return codec.InvalidRecord, "a produce holds exactly one batch per partition, not none"
	}
	if len(b) > 16 && b[16] < batch.Magic {
		return codec.InvalidRecord, "the batch is of an old format; only format 2 is served"
	}
	h, err := batch.Parse(b)
	if err != nil {
		return codec.CorruptMessage, "the batch is not well-formed"
	}
	if h.Size < len(b) {
		return codec.InvalidRecord, "a produce holds exactly one batch per partition, not several"
	}
	if len(b) > int(topic.MaxMessageBytes) {
		return codec.MessageTooLarge, core.ErrTooLarge.String()
	}
	if _, err := batch.Valid(b); err != nil {
		return codec.CorruptMessage, "the batch is damaged"
	}
	switch compression := h.Attrs & batch.AttrCompression; {
	case h.Attrs&batch.AttrControl != 0:
		return codec.InvalidRecord, "clients do not write control batches"
	case h.Attrs&batch.AttrTransactional != 0:
		return codec.InvalidRecord, refusedTransactional
	case h.Count <= 0 || h.LastDelta != h.Count-1:
		return codec.InvalidRecord, "the number of records is not that of the offsets"
	case h.ProducerID >= 0 && (h.Sequence < 0 || h.ProducerEpoch < 0):
		return codec.InvalidRecord, "a batch with a producer id has an epoch and a sequence"
	case compression > zstd || compression == zstd && version < zstdFrom:
		return codec.UnsupportedCompressionType, core.ErrUnsupportedCompression.String()
	case h.Attrs&batch.AttrLogAppendTime != 0:
		return codec.InvalidTimestamp, "clients do not set the log append time"
	}
	return checkTime(&h, topic, now)
}

// checkTime compares the times in the header with what the topic allows; -1 means none.
func checkTime(h *batch.Header, topic *core.TopicConfig, now int64) (code int16, why string) {
	if topic.LogAppendTime {
		return codec.NoError, ""
	}
	late := h.MaxTime != millisecond0 && h.MaxTime-now > topic.TimestampAfterMaxMs
	early := h.BaseTime != millisecond0 && now-h.BaseTime > topic.TimestampBeforeMaxMs
	if late || early {
		return codec.InvalidTimestamp, core.ErrInvalidTimestamp.String()
	}
	return codec.NoError, ""
}
