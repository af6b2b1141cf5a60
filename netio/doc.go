// Package netio runs the event loops, one per shard, on gnet, which nobody else imports.
// It knows sockets, back-pressure and sendfile; it is blind to protocols.
//
//	accept goroutine --Enroll--> gnet's loop --OnTraffic--> input --> Handler.Receive
//	                                 ^                                   |
//	          EPOLLOUT, ring, timer, |                   Send, SendExtent|
//	          end of turn: bells     |                                   v
//	                             +---+--- end of turn: EndTurn, then flush of the queues
//	                                      (one sendmsg; MSG_MORE + sendfile)
//
// What gnet lacks is added here, each in one file: an accept that survives the lack of
// descriptors (listen.go), memory bounds and a pause of reading (input.go), an ordered
// output queue that is the only writer of its descriptor (queue.go, output.go), write
// readiness, rings, a timer and the end of a turn (bell.go), and a sleep that does not
// wake the scheduler (turn.go).
//
// A turn is the callbacks between two calls of Handler.EndTurn. What a handler asks for
// while it is being called (close, resume) happens at the end of the turn, before EndTurn.
package netio
