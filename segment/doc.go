// Package segment keeps bytes: the arena, the journal and the segments of one shard.
// It knows record batches and offsets, and nothing of replication, topics' names,
// protocols or sockets. Nothing here blocks the loop: what may block is a core.Job.
//
//	append --store--> chunk of the arena  (memory that survives the process)
//	                    |            |
//	      synced: group |            | full, idle or checkpoint
//	        commit      v            v
//	     journal, one per shard    segment file, one chain per partition
//	     pwritev + fdatasync       pwritev in large pieces; sendfile reads it
//
// A chunk is a window on its segment: its bytes belong at [pos, pos+len) of the file
// (segment base, pos), whether they have been written there yet or not. So replay,
// of the journal or of the arena, is one rule: write the bytes where they belong.
//
// One worker writes segments and asks the kernel to write them back; beside it another
// syncs them, writes checkpoints (flush.go) and removes files (drop.go), so that what is
// appended finds room.
//
// A sealed segment has an index file beside it. Indexes and descriptors are bounded, and
// loaded again by the read worker; so is a range of a file that is not in the page cache,
// before it is handed out. docs/format.md draws every file.
package segment
