// Package netio runs the event loops: one per shard, on gnet, which is imported here
// only. It knows sockets, back-pressure and sendfile, and is blind to protocols.
//
//	accept goroutine --Enroll--> gnet loop --OnTraffic--> Handler.Receive
//	                               |   ^                      |
//	                        EndTurn|   | nested epoll:        | Send, SendExtent
//	                               v   | EPOLLOUT, ring, timer, end of turn
//	                        flush of each connection's queue: writev, MSG_MORE + sendfile
//
// What gnet lacks is added here: accept that survives the lack of descriptors (the
// engine runs without a listener), an own bounded and ordered output queue that is the
// only writer of its descriptor (queue.go), write readiness by a second epoll nested in
// gnet's own (nested.go), and a pause of reading by changing the interest in gnet's epoll.
package netio
