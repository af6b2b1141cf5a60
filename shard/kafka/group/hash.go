package group

import "unicode/utf16"

// Partition is the partition of __consumer_offsets, of n, that coordinates a group:
// Java's String.hashCode without its sign, modulo n, as Kafka does it.
func Partition(group string, n int32) int32 {
	if n <= 0 {
		return 0
	}
	var h uint32
	for _, r := range group {
		if r1, r2 := utf16.EncodeRune(r); r > 0xffff {
			h = (h*31+uint32(r1))*31 + uint32(r2)
		} else {
			h = h*31 + uint32(r)
		}
	}
	return int32(h&0x7fffffff) % n
}
