//go:build plant_early_ack

package shard

const (
	earlyAck = true
	noFold   = false
)
