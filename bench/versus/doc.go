// Package versus measures Apache Kafka and penstock side by side: both run on this
// machine, on the same cores, and take the same loads in turns, round by round.
//
//	round 0  Kafka  Penstock            dropped: the JVM compiles, files and caches warm
//	round 1  Kafka  Penstock            the ratio of a round is of neighbours,
//	round 2  Penstock  Kafka            so what drifts on the machine drifts out of it
//
// Runs whose loads are not the same have no ratio: it is refused, not printed.
package versus
