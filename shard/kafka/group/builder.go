package group

import "github.com/penstock/penstock/codec/batch"

// builder makes the batches of one step. They stay valid until reset, which a
// batch.Builder's own do not.
type builder struct {
	batch.Builder
	done       []byte // the batches of this step
	time       int64
	key, value []byte // lent to the codecs of records
}

func (b *builder) reset() { b.done = b.done[:0] }

// begin starts a batch whose records all have this time, in ms.
func (b *builder) begin(time int64) {
	b.Reset()
	b.time = time
}

// add adds a record; a nil value is a tombstone.
func (b *builder) add(key, value []byte) { b.Add(b.time, key, value) }

// finish returns the batch.
func (b *builder) finish() []byte {
	from := len(b.done)
	b.done = append(b.done, b.Finish()...)
	return b.done[from:len(b.done):len(b.done)]
}

// recordsMax bounds what a compressed batch may become. We write none that are.
const recordsMax = 64 << 20

// records walks the records of a batch.
func records(b []byte, h batch.Header, fn func(key, value []byte)) error {
	return batch.Records(b, h, recordsMax, func(r batch.Record) error {
		fn(r.Key, r.Value)
		return nil
	})
}
