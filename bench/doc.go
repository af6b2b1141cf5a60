// Package bench measures a broker beside what the machine could do: broker and floor
// take turns on the same load in one run, and what counts is the cost (CPU seconds of
// the server, from the kernel's schedstat) and the ratio between the two. Absolute rates
// on a shared machine are noise; they are reported and not judged.
//
//	      round 1                     round 2                    …  median of the rounds
//	floor │ os │ synced │ floor │ os │ synced │ …                   and of the ratios
//	  `-- bench/floor: a bare gnet server, or a bare sendfile loop
//	load: bench/load, pre-encoded frames, the same client for all of them
//
// Both ends of every connection use TCP cubic: bbr halves a loopback.
package bench
