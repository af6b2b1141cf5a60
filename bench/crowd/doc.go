// Package crowd puts load on a broker over any number of connections, from one goroutine.
// bench/load has a goroutine and a buffer of a quarter MiB for each connection, which is
// right for a few of them; with ten thousand that would measure the load. Here a
// connection is a descriptor in an epoll and 100 bytes:
//
//	request k --> connection k mod n, partition k mod m --> the broker
//	   ^                                                       |
//	   `----------- an answer, wherever it comes, -------------'
//	                makes room for the next request
//
// So many requests are in flight at any time, however many connections and partitions
// there are, and each of these has its turn: what differs between two runs is their
// number alone. How much is sent is given in bytes, not in time, so that each run asks
// for the same work. What is fetched is dropped in the kernel, without a copy.
package crowd
