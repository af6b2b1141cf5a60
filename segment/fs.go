package segment

import "github.com/penstock/penstock/core"

// FS is the one seam to files. Names are relative to a root and use slashes. The real
// one is osFS; fakes crash, tear, lose, refuse and fail the Nth call. Everything may
// block: it is called in jobs and before a shard serves, never on a loop.
type FS interface {
	// Open opens a file. Missing: an error that is fs.ErrNotExist, unless mode is Create.
	Open(name string, mode Mode) (File, error)
	// MkdirAll makes directories and their parents, durably. To make many in one call
	// takes one sync for each parent, and not for each of them.
	MkdirAll(names ...string) error
	// ReadDir lists the names in a directory, sorted; a missing directory is empty.
	ReadDir(name string) ([]string, error)
	Rename(from, to string) error
	// Remove removes a file or an empty directory; a missing one is no error.
	Remove(name string) error
	// SyncDir makes the entries of a directory durable.
	SyncDir(name string) error
	// Free is the free space in bytes.
	Free() (int64, error)
	// Map maps a file of exactly size bytes, shared and populated; it is made, zeroed,
	// if it is missing or of another size (fresh is then true).
	Map(name string, size int64) (m Mapping, fresh bool, err error)
	// Boot identifies the present boot of the machine: what is only in memory
	// (Map on tmpfs) survives the death of the process, but not another boot.
	Boot() string
}

// Mode is how a file is opened.
type Mode uint8

// The modes. Create makes the file and fails if it exists.
const (
	ReadOnly Mode = iota
	ReadWrite
	Create
)

// File is an open file. Short writes are errors. After an error of Datasync the file,
// and the store above it, are not written again: a second sync would lie.
type File interface {
	core.File
	WriteAt(p []byte, pos int64) (int, error)
	// WritevAt writes bufs one after the other, in as few system calls as possible.
	WritevAt(bufs [][]byte, pos int64) error
	// Datasync makes data and size durable (fdatasync).
	Datasync() error
	// Allocate reserves [pos, pos+n) and keeps the size; a full disk is core.ErrDiskFull.
	Allocate(pos, n int64) error
	// Writeback starts writing a range back, without waiting and without promise.
	Writeback(pos, n int64) error
	// WillNeed reads a range ahead.
	WillNeed(pos, n int64) error
	// Resident says that all of a range is in the page cache; false also if that is not
	// known. It alone never blocks, and is called on the loop.
	Resident(pos, n int64) bool
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// Mapping is mapped memory. Its pages are resident from the start.
type Mapping interface {
	Bytes() []byte
	Close() error
}
