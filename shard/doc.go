// Package shard runs one core: it owns partitions, connections and memory, and is the
// only writer of all three. Everything here runs on the loop of the shard; nothing
// locks, blocks or starts a goroutine (workers.go holds the one exception).
//
//	loop --Open, Receive, Drained, Closed, Wake, EndTurn--> Shard
//	                                                          |
//	           .----------------- one step -------------------.
//	           v                                              |
//	session or service --Effects--> carry --own partition--> handle --> answer
//	           ^                      |                         ^          |
//	           |                      `--another's: ring--> its handle     |
//	           `---Complete, Call--- inbox <--own-- or <--ring--from other-'
//
// A step is one call of a session or service and the carrying out of its effects.
// Steps never nest: an answer that is ready at once waits in the inbox for its own step.
//
// A request is a message. It belongs to the shard that asks, goes to the owner of the
// partition and comes back as its own answer, so that an answer always has memory.
// What an owner may hold for long (a wait, a call) costs nothing but that message; what
// it answers soon takes one of a bounded number of credits (see mailbox.go).
package shard
