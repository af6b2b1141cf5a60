// Package kafka is the Kafka protocol as a state machine: one Session per connection,
// one file per API. It cuts frames, decodes, asks the shard, and answers in order.
//
//	bytes --> frame --> header --> slot --> Append, Read, Query, Call, Change
//	                                |                  |
//	bytes <-- answers, in order <-- slot <-- Complete -'
//
// A slot is one request. Requests start one at a time, as in Kafka, except that
// consecutive Produces overlap; answers leave in the order of the requests. While a
// request that came in may not start yet, reading rests (fx.Pause).
//
// It refuses to know sockets, files, clocks and shards: what it needs it asks of its
// session.Host, and what it wants done it leaves in Effects. Fetch sessions (KIP-227),
// transactions, quotas, TLS and users are not served.
package kafka
