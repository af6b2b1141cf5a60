package kafka

import "encoding/binary"

// Node is a broker named in an answer, for clients to go to (KIP-951).
type Node struct {
	ID   int32
	Host string
	Port int32
	Rack string // empty is null
}

// appendUvarint appends an unsigned number as Kafka's compact lengths and tags are.
func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func sizeUvarint(v uint32) (n int) {
	for n = 1; v >= 0x80; n++ {
		v >>= 7
	}
	return n
}

// appendLength appends the length of an array or of bytes; -1 is null.
func appendLength(dst []byte, flexible bool, n int) []byte {
	if flexible {
		return appendUvarint(dst, uint32(n+1))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// appendString appends a string that is not null.
func appendString[S []byte | string](dst []byte, flexible bool, s S) []byte {
	if flexible {
		dst = appendUvarint(dst, uint32(len(s)+1))
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	}
	return append(dst, s...)
}

// appendText appends a nullable string, null if it is empty.
func appendText(dst []byte, flexible bool, s string) []byte {
	switch {
	case s != "":
		return appendString(dst, flexible, s)
	case flexible:
		return append(dst, 0)
	}
	return append(dst, 0xff, 0xff)
}

// appendLeader appends the value of a CurrentLeader tag, with its number.
func appendLeader(dst []byte, tag byte, leader, epoch int32) []byte {
	dst = append(dst, tag, 4+4+1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(leader))
	dst = binary.BigEndian.AppendUint32(dst, uint32(epoch))
	return append(dst, 0)
}

// appendNodes appends the tag section at the end of a Produce or Fetch response: tag 0
// holds the nodes that the leaders named in it are (KIP-951); none if there are none.
func appendNodes(dst []byte, nodes []Node) []byte {
	if len(nodes) == 0 {
		return append(dst, 0)
	}
	size := sizeUvarint(uint32(len(nodes) + 1))
	for i := range nodes {
		n := &nodes[i]
		size += 4 + sizeUvarint(uint32(len(n.Host)+1)) + len(n.Host) + 4 + 1 + 1
		if n.Rack != "" {
			size += sizeUvarint(uint32(len(n.Rack)+1)) - 1 + len(n.Rack)
		}
	}
	dst = append(dst, 1, 0)
	dst = appendUvarint(dst, uint32(size))
	dst = appendLength(dst, true, len(nodes))
	for i := range nodes {
		n := &nodes[i]
		dst = binary.BigEndian.AppendUint32(dst, uint32(n.ID))
		dst = appendString(dst, true, n.Host)
		dst = binary.BigEndian.AppendUint32(dst, uint32(n.Port))
		dst = appendText(dst, true, n.Rack)
		dst = append(dst, 0)
	}
	return dst
}
