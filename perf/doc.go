// Package perf is what the machine gives and how a core uses it: how many CPUs there
// are, whether this is a container, how long the disk takes to sync.
package perf
