package core

import (
	"math/rand/v2"
	"time"
)

var started = time.Now()

// Mono is the clock of System.Mono: time since the process started. Any goroutine may
// call it.
func Mono() time.Duration { return time.Since(started) }

// System is the Env of production. It asks the kernel on every call; a shard keeps what
// it was told for the length of a turn.
type System struct{}

// Mono is the time since the process started.
func (System) Mono() time.Duration { return Mono() }

// Wall is the system's clock in milliseconds.
func (System) Wall() int64 { return time.Now().UnixMilli() }

// Rand is 64 bits of the runtime's seeded generator; not for secrets.
func (System) Rand() uint64 { return rand.Uint64() }
