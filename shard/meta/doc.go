// Package meta keeps the catalog on one node: topics, their configuration, who owns
// each partition, which producer ids are given out, and how often the broker started
// unclean. It is the catalog's single writer. Its interface is commands in, an
// immutable catalog out, so that a raft group or etcd can stand here later.
//
//	command --decide--> event --append + sync--> file --apply--> catalog, published
//
// The file (meta/catalog) is a snapshot followed by events; every record is framed:
//
//	0     4     8
//	| len | crc | JSON, len bytes |        little-endian, CRC32C over the JSON
//
// A bad record at the end is a write that was never acknowledged and is cut off. A bad
// record that valid ones follow is corruption: nothing is guessed, the start is refused.
package meta
