// Package wire passes real Kafka clients over a real broker, through every view it has.
//
// WIRE_BROKERS="normal=127.0.0.1:9092,cores=127.0.0.1:9192" names a running broker. Without
// it the tests start bin/penstock, or what PENSTOCK names, themselves. With WIRE_PEER=kafka
// that broker is Apache Kafka (kafka-peer/start.sh), which serves what penstock refuses; the
// suite passes there as well, which proves the suite.
//
// The cases of suite_test.go are written once, over the interface driver. Go clients
// implement it, and so does Java, at the end of a pipe (java/Agent.java). Python and Node
// have suites of their own with the same cases, because what they do in their own words is
// what is tested. kcat can neither make topics nor set times: franz-go does that for it.
//
// verbs_test.go runs penstock's own verbs, against every view and against an Apache Kafka that
// it starts.
//
// Each case prints one line, client case view ok|FAIL ms, and each client a line at the end.
// Clients run side by side. setup.sh installs all that is needed; a missing tool is a failure.
package wire
