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
//
// Every queue has a bound, and none drops. "Requests" are those that connections have
// under way: a session takes on a bounded number and then no more input.
//
//	queue              bound
//	ring               RingMax messages; when it is full: parked, or answers
//	link.parked        requests of connections that are then paused. Bodies: CrowdMax in
//	                   all, then no connection is read from, and the step that passed it
//	link.flying        as many as the ring has slots, and creditBytes of bodies
//	link.answers       requests of the peer: its credits, and its waits and calls; an
//	                   answer is its request's own memory
//	inbox              requests; inboxStepMax steps in a turn
//	held               CrowdMax as above, and the credits of the peers; heldMax in any case
//	pressed            twice the connections
//	pending, reads,    requests
//	waits, calls
//	service.backlog    what the store takes before it is under pressure, and held
//	jobs of a worker   sync and write: one; read: one for each segment and each lookup by
//	                   time; control: one for each change under way, and one for departed
//	departed           deleted topics, until the third checkpoint after
//	pool               freeMax messages, keptMax bytes
package shard
