package client

import "github.com/twmb/franz-go/pkg/kversion"

// releases of Kafka, newest first.
var releases = []struct {
	name string
	apis func() *kversion.Versions
}{
	{"4.4", kversion.V4_4_0}, {"4.3", kversion.V4_3_0}, {"4.2", kversion.V4_2_0}, {"4.1", kversion.V4_1_0}, {"4.0", kversion.V4_0_0},
	{"3.9", kversion.V3_9_0}, {"3.8", kversion.V3_8_0}, {"3.7", kversion.V3_7_0}, {"3.6", kversion.V3_6_0}, {"3.5", kversion.V3_5_0},
	{"3.4", kversion.V3_4_0}, {"3.3", kversion.V3_3_0}, {"3.2", kversion.V3_2_0}, {"3.1", kversion.V3_1_0}, {"3.0", kversion.V3_0_0},
	{"2.8", kversion.V2_8_0}, {"2.7", kversion.V2_7_0}, {"2.6", kversion.V2_6_0}, {"2.5", kversion.V2_5_0}, {"2.4", kversion.V2_4_0},
	{"2.3", kversion.V2_3_0}, {"2.2", kversion.V2_2_0}, {"2.1", kversion.V2_1_0}, {"2.0", kversion.V2_0_0}, {"1.1", kversion.V1_1_0},
	{"1.0", kversion.V1_0_0}, {"0.11", kversion.V0_11_0}, {"0.10", kversion.V0_10_0},
}

// KafkaLevel is the newest release of Kafka whose version of every API is reached, among
// the APIs that are served at all: highest holds the highest version of each.
func KafkaLevel(highest map[int16]int16) string {
	for _, r := range releases {
		reached := true
		r.apis().EachMaxKeyVersion(func(key, version int16) {
			if have, ok := highest[key]; ok && have < version {
				reached = false
			}
		})
		if reached {
			return r.name
		}
	}
	return ""
}
