//go:build !plant_early_ack

package shard

// earlyAck is a planted mistake: with the build tag plant_early_ack appends are
// acknowledged before they are durable. The simulator must find it.
const earlyAck = false
