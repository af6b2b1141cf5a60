// Package wire passes real Kafka clients over a real broker, through every view it has.
//
// WIRE_BROKERS="normal=127.0.0.1:9092,cores=127.0.0.1:9192" names a running broker (Apache
// Kafka too: kafka-peer/start.sh). Without it the tests start bin/penstock themselves.
// Each case prints one line: client case view ok|FAIL ms. A missing tool is a failure.
package wire
