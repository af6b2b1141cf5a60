// Package sim runs whole brokers, without network, on one goroutine: shards, their
// stores and the catalog on a fake disk, workers whose jobs run when the scheduler says
// so, a fake clock, clients, and crashes with another number of shards after them.
// Everything that happens follows from a seed.
//
//	          .-- one shard has a turn: input, rings, timers, finished jobs
//	seed --> scheduler -- one worker runs one job
//	          |-- a client asks for something, or its connection ends
//	          |-- time passes, or the wall clock is set
//	          |-- a call of the file system fails, or the disk is full for a while
//	          `-- the process is killed, the power fails, or it is stopped; it starts anew,
//	              and in that may be cut off as well; meanwhile index files may be lost,
//	              and bits of segments flip
//
// Clients append (also idempotently, with retries, five batches under way, new epochs and
// ghosts of old ones), read, wait, trim, commit and fetch offsets of groups, and create,
// alter, extend and delete topics of all durabilities, retentions and kinds of time.
//
// A model holds what was promised: what was acknowledged or read stays where it was, byte
// for byte, after a kill in every topic, and after a power cut in synced ones; offsets of
// groups never go back; a change of the catalog that was answered is there, everywhere;
// what was deleted does not come back and leaves no file; everything is answered, and
// nothing is left over when all is at rest. The build tag plant makes brokers break each
// of these promises on purpose, to see that the model notices: see shard/plant.go.
package sim
