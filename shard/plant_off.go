//go:build !plant_early_ack && !plant_no_fold

package shard

// Planted mistakes, each behind a build tag of its name. The simulator must find them:
//
//	go test -tags plant_early_ack ./shard/sim
//	go test -tags plant_no_fold ./shard/sim
const (
	earlyAck = false // appends are acknowledged before they are durable
	noFold   = false // what producers wrote is forgotten at a start
)
