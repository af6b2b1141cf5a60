// Package floor is the least that a server can do for the loads of bench/load, to
// measure a broker against: it reads the same frames and answers as many bytes, and does
// nothing with them. It runs in a process of its own, so that the kernel counts its CPU
// apart.
package floor

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
)

// congestion is that of bench/load: both ends of a connection need it.
const congestion = "cubic"

// Main runs a floor until it fails or the process is ended. The arguments are those of
// Args. When it listens it prints its address as one line.
func Main(args []string) error {
	f := flag.NewFlagSet("floor", flag.ContinueOnError)
	kind := f.String("kind", "", "produce (gnet) or fetch (sendfile)")
	head := f.String("head", "", "the answer, in hex, without its length; of a fetch up to the records")
	tail := f.String("tail", "", "of a fetch, in hex: what follows the records")
	pass := f.Bool("pass", false, "of a produce: keep nothing of the frames")
	buffer := f.Int("buffer", ReadBuffer, "of a produce: bytes that one read takes")
	size := f.Int("size", 0, "of a fetch: bytes of records")
	file := f.String("file", "", "of a fetch: the file that the records are sent from")
	if err := f.Parse(args); err != nil {
		return err
	}
	h, err := hex.DecodeString(*head)
	t, err2 := hex.DecodeString(*tail)
	if err := errors.Join(err, err2); err != nil || len(h) < 4 {
		return fmt.Errorf("bad answer: %w", err)
	}
	if *kind == "fetch" {
		return serveFetch(h, t, *file, *size)
	}
	return serveProduce(h, *pass, *buffer)
}

// ReadBuffer is what one read takes in the broker, in bytes.
const ReadBuffer = 64 << 10

// ProduceArgs are the arguments of Main for the floor of a produce: a server with a read
// buffer of so many bytes that holds each frame whole before it answers, or, with pass,
// one that keeps nothing.
func ProduceArgs(answer []byte, buffer int, pass bool) []string {
	return []string{"-kind", "produce", "-head", hex.EncodeToString(answer), "-buffer", fmt.Sprint(buffer), fmt.Sprintf("-pass=%v", pass)}
}

// FetchArgs are the arguments of Main for the floor of a fetch: size bytes of the file
// between head and tail.
func FetchArgs(head, tail []byte, file string, size int) []string {
	return []string{"-kind", "fetch", "-head", hex.EncodeToString(head), "-tail", hex.EncodeToString(tail),
		"-file", file, "-size", fmt.Sprint(size)}
}
