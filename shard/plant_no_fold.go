//go:build plant_no_fold

package shard

const (
	earlyAck = false
	noFold   = true
)
