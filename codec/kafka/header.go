package kafka

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed means that bytes of the peer are not what the protocol says. The
// connection is closed, as Kafka does.
var ErrMalformed = errors.New("malformed request")

// ErrUnserved means a key or version that is not served. Kafka closes the connection,
// and so do we: clients find out that way what a broker knows.
var ErrUnserved = errors.New("API key or version not served")

// Header is the header of a request, with what follows it.
type Header struct {
	Key         int16
	Version     int16
	Correlation int32  // opaque; may be negative
	ClientID    []byte // nil is null; aliases the frame
	Body        []byte // aliases the frame
}

// ReadHeader reads the header of a request; frame is what follows the length.
//
// ApiVersions is let through at any version from 0 on, for its answer to a version that
// we do not know is a body of version 0 with UNSUPPORTED_VERSION (KIP-511); the body of
// such a request is not to be read. Any other key or version that is not served is
// ErrUnserved.
func ReadHeader(frame []byte) (Header, error) {
	if len(frame) < 10 {
		return Header{}, ErrMalformed
	}
	be := binary.BigEndian
	h := Header{Key: int16(be.Uint16(frame)), Version: int16(be.Uint16(frame[2:])), Correlation: int32(be.Uint32(frame[4:]))}
	api := Lookup(h.Key)
	if api == nil || h.Version < 0 || !api.Serves(h.Version) && h.Key != ApiVersions {
		return h, ErrUnserved
	}
	n := int(int16(be.Uint16(frame[8:])))
	rest := frame[10:]
	if n < -1 || n > len(rest) {
		return h, ErrMalformed
	}
	if n >= 0 { // the client id is never compact, not even in header version 2
		h.ClientID, rest = rest[:n:n], rest[n:]
	}
	if h.Version >= api.Flexible {
		r := reader{b: rest}
		r.skipTags()
		if r.bad {
			return h, ErrMalformed
		}
		rest = rest[r.at:]
	}
	h.Body = rest
	return h, nil
}

// BeginResponse appends the four bytes of the length, to be filled in by EndResponse,
// and the response header. The header of ApiVersions is always version 0, without tags:
// its client does not know yet what we speak (KIP-511).
func BeginResponse(dst []byte, key, version int16, correlation int32) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	if key != ApiVersions {
		if api := Lookup(key); api != nil && version >= api.Flexible {
			dst = append(dst, 0)
		}
	}
	return dst
}

// EndResponse fills in the length of the response that began at dst[at]. beside is the
// number of bytes that will be sent between those of dst: the records of a Fetch.
func EndResponse(dst []byte, at, beside int) {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4+beside))
}
