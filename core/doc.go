// Package core is the vocabulary that every other package speaks: numbers that
// must not be mixed up, the words for what can go wrong, the catalog of topics,
// and the few interfaces that join the loop (netio), the shard and the store.
//
// It imports the standard library only, does no I/O and starts no goroutine.
//
//	     netio                        shard                      segment
//	sockets, sendfile   <-Loop-   one per core, the    -Worker->  files, sync
//	                    -Handler->   only writer       <-Extent-
package core
