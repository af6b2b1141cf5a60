package shard

// mistake is one that is made on purpose, in a build with the tag plant, to see that the
// simulator finds it:
//
//	go test -tags plant ./shard/sim -run Planted
type mistake string

const (
	noMistake    mistake = ""
	earlyAck     mistake = "early ack"              // appends are acknowledged before they are durable
	earlyRead    mistake = "early read"             // readers of a synced topic see what is not durable
	noFold       mistake = "no fold"                // what producers wrote is forgotten at a start
	staleFold    mistake = "stale fold"             // what came after the snapshot is not folded in
	serviceAhead mistake = "snapshot ahead"         // a service's snapshot claims what it has not applied
	earlyApply   mistake = "early apply"            // a service sees what is not durable
	shortWindow  mistake = "short window"           // four batches of a producer are known and not five
	lostMessage  mistake = "lost message"           // a ring drops a message now and then
	lostCredit   mistake = "lost credit"            // a credit is not given back now and then
	lostWake     mistake = "lost wake"              // a wait is passed over now and then
	noDoorbell   mistake = "no doorbell"            // a peer that sleeps is not woken
	earlyTrim    mistake = "early trim"             // a trim is answered before it is durable
	loneAdopt    mistake = "adopted by one"         // a change of the catalog reaches one shard only
	earlyDepart  mistake = "early departure"        // a deleted topic is forgotten while the journal knows it
	noEpoch      mistake = "producers never fenced" // an old epoch of a producer may write on
	timeFalls    mistake = "append time falls"      // log append time follows the clock back
)
