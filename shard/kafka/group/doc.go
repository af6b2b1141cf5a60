// Package group is the coordinator of classic consumer groups: who is in a group, who
// reads what, and which offsets have been committed. It is a session.Service: one
// Coordinator lives with each partition of __consumer_offsets, on the shard that owns
// it, and answers for the groups whose ids hash to that partition.
//
//	         join                    every member has joined,
//	       (first one)                or its time is up
//	Empty -----------> Preparing -----------------------> Completing
//	|  ^               Rebalance <----------------------- Rebalance
//	|  |                |     ^    join, leave, time-out      |
//	|  '----------------'     |                               | the leader's assignment
//	|   nobody is left        '------------------- Stable <---' is durable
//	|                          join, leave, time-out
//	'-> Dead: its tombstones are on their way
//
// What must survive is records in Kafka's own format (records.go): offsets, and the
// group as of its last stable generation. They take effect in Apply, where the fold
// (fold.go) keeps them; answers that promise something leave when their append is
// done. Everything else (who waits, timers, votes) is as volatile as in Kafka: after a
// restart the members of the last stable generation are there with fresh session
// timers, and their heartbeats go on without a rebalance.
//
// It refuses to know what protocols mean: subscriptions and assignments are bytes,
// which makes eager and cooperative assignors the same to it. The two exceptions are
// Kafka's own: the topics of "consumer" subscriptions, which protect offsets from
// expiry and deletion. Groups of KIP-848 and transactional offsets are not served.
package group
