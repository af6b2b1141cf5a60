//go:build plant

package shard

// planted is the mistake that all shards of this process make.
var planted mistake

// Mistakes names those that Plant knows.
func Mistakes() []string {
	return []string{string(earlyAck), string(earlyRead), string(noFold), string(staleFold), string(serviceAhead),
		string(earlyApply), string(shortWindow), string(lostMessage), string(lostCredit), string(lostWake), string(noDoorbell), string(earlyTrim),
		string(loneAdopt), string(earlyDepart), string(noEpoch), string(timeFalls)}
}

// Plant makes the shards of this process make a mistake.
func Plant(name string) { planted = mistake(name) }
