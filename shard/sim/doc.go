// Package sim runs whole brokers, without network, on one goroutine: shards, their
// stores on a fake disk, workers whose jobs run when the scheduler says so, a fake
// clock, clients that append, read, wait, trim, create and delete, and crashes with
// another number of shards after them. Everything that happens follows from a seed.
//
//	          .-- one shard has a turn: input, rings, timers, finished jobs
//	seed --> scheduler -- one worker runs one job
//	          |-- a client asks for something
//	          |-- time passes
//	          `-- the process is killed, the power fails, or it is stopped; it starts anew
//
// A model holds what was promised: what was acknowledged or read stays where it was, byte
// for byte, after a kill in every topic, and after a power cut in synced ones.
package sim
