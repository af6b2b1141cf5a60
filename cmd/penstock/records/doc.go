// Package records holds the verbs that move records: produce and consume.
//
// Both speak the public Kafka protocol only, through franz-go, and both understand the
// words of the two tools that people know: kcat and rpk. What they take over is
//
//	formats   kgo's RecordFormatter and RecordReader, whose letters are rpk's, behind a
//	          small pre-pass that gives kcat's letters their meaning (format.go)
//	offsets   one grammar that holds both (offsets.go), resolved to exact numbers by
//	          ListOffsets before the first record is read (resolve.go)
//	records   one JSON form that consume writes and produce reads, lossless (json.go)
//
//	stdin or files -> input -> record, line -> kgo -> acknowledgement -> ledger -> summary
//	kgo -> poll -> reader: in range? -> printer -> stdout -> flush -> commit
//
// What the package does not do: decode with a schema registry, filter by content, or
// write in transactions.
package records
