package core

import "time"

// Env is where a shard gets time and randomness from. Production and the simulator
// each have one. Values are constant during one step of a shard.
type Env interface {
	// Mono is a clock that never goes back, from an arbitrary zero.
	Mono() time.Duration
	// Wall is milliseconds since 1970-01-01 UTC. It may jump.
	Wall() int64
	// Rand is 64 random bits.
	Rand() uint64
}

// Job is work that may block, done beside the loop that asked for it.
type Job interface {
	// Run happens on the worker, once. It touches nothing that the loop owns.
	Run()
	// Done happens on the loop that submitted the job, after Run, once.
	Done()
}

// Worker runs jobs one at a time in the order of Submit, and hands each back to its
// loop. A shard has several: one syncs the journal, one writes segments, one
// syncs these, one reads. In the simulator the scheduler decides when each runs.
type Worker interface {
	Submit(Job)
}
