package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/penstock/penstock/core"
)

// The journal file, all numbers big-endian:
//
//	0       4096    8192                                                    size
//	|header |header |group|group|group|…zeros, written ahead…|…not written…|
//
// Header, twice with the same content, each synced before the other is written, so
// that a torn or rotten one leaves the other:
//
//	0         8        12       16        32          40     48
//	|"PENSJRNL"|version |crc    |identity  |generation |size  |zeros…
//	                      `-- CRC32C of bytes 16 to 48
//
// Group, at a multiple of 4096, never across the end of the ring:
//
//	0      4     8         24        32        40    44     48  64
//	|"PSJG"|crc  |identity |sequence |released |bytes|count |0  |count entries|data|zeros to 4096
//	        `-- CRC32C from byte 8 to the end of the entries
//
// Entry, 56 bytes; its data lie in the order of the entries, size bytes each:
//
//	0    4     8      24       32   40    48    56
//	|kind|index|topic |segment |pos |base |size |
//
// Identity is random and made anew at each start, so that no group of an earlier life,
// and no bytes that a producer sent, are taken for a group of this one. A sequence is
// the generation (how often the journal was opened) in the upper 24 bits and a count
// from 1 below: it grows for ever. Released is the last sequence that a checkpoint had
// made unnecessary when the group was written. Data carry the CRCs of their batches.
const (
	journalVersion  = 1
	journalPage     = 4096
	journalStart    = 2 * journalPage // of the ring
	groupHeaderSize = 64
	entrySize       = 56
	generationShift = 40
)

var (
	journalMagic = [8]byte{'P', 'E', 'N', 'S', 'J', 'R', 'N', 'L'}
	groupMagic   = [4]byte{'P', 'S', 'J', 'G'}
	journalCRC   = crc32.MakeTable(crc32.Castagnoli)
)

// entryKind says what an entry of a group does.
type entryKind uint8

const (
	entryData entryKind = 1 // size bytes belong at pos of the segment file; base is the first offset
	entryTrim entryKind = 2 // base is the new log start; no data
)

// entry is one effect of a group on one partition.
type entry struct {
	kind      entryKind
	partition core.PartitionID
	segment   core.Offset // base of the segment file
	pos       core.FilePos
	base      core.Offset
	size      int64
}

// journalHeader is the content of a header page.
type journalHeader struct {
	identity   [16]byte
	generation uint64
	size       int64
}

func (h *journalHeader) encode(p []byte) {
	clear(p[:journalPage])
	be := binary.BigEndian
	copy(p, journalMagic[:])
	be.PutUint32(p[8:], journalVersion)
	copy(p[16:], h.identity[:])
	be.PutUint64(p[32:], h.generation)
	be.PutUint64(p[40:], uint64(h.size))
	be.PutUint32(p[12:], crc32.Checksum(p[16:48], journalCRC))
}

var (
	errNotJournal   = errors.New("the header does not check out")
	errNewerJournal = errors.New("the journal was written by a newer version of penstock: use that version, it can empty it by a clean stop")
)

func decodeJournalHeader(p []byte) (h journalHeader, err error) {
	be := binary.BigEndian
	if len(p) < journalPage || [8]byte(p[:8]) != journalMagic || be.Uint32(p[12:]) != crc32.Checksum(p[16:48], journalCRC) {
		return h, errNotJournal
	}
	if be.Uint32(p[8:]) != journalVersion {
		return h, errNewerJournal
	}
	h = journalHeader{[16]byte(p[16:32]), be.Uint64(p[32:]), int64(be.Uint64(p[40:]))}
	return h, nil
}

// groupHeader is the fixed part of a group.
type groupHeader struct {
	identity           [16]byte
	sequence, released uint64
	bytes, count       uint32 // bytes of the whole group; entries
}

func (h *groupHeader) tableEnd() int64 { return groupHeaderSize + int64(h.count)*entrySize }

// encodeGroup appends the header and the entries to dst.
func encodeGroup(dst []byte, h *groupHeader, entries []entry) []byte {
	be := binary.BigEndian
	at := len(dst)
	dst = append(dst, groupMagic[:]...)
	dst = be.AppendUint32(dst, 0)
	dst = append(dst, h.identity[:]...)
	dst = be.AppendUint64(dst, h.sequence)
	dst = be.AppendUint64(dst, h.released)
	dst = be.AppendUint32(dst, h.bytes)
	dst = be.AppendUint32(dst, h.count)
	dst = append(dst, make([]byte, groupHeaderSize-48)...)
	for i := range entries {
		e := &entries[i]
		dst = append(dst, byte(e.kind), 0, 0, 0)
		dst = be.AppendUint32(dst, uint32(e.partition.Index))
		dst = append(dst, e.partition.Topic[:]...)
		dst = be.AppendUint64(dst, uint64(e.segment))
		dst = be.AppendUint64(dst, uint64(e.pos))
		dst = be.AppendUint64(dst, uint64(e.base))
		dst = be.AppendUint64(dst, uint64(e.size))
	}
	be.PutUint32(dst[at+4:], crc32.Checksum(dst[at+8:], journalCRC))
	return dst
}

// decodeGroupHeader decodes the fixed part. It does not check the CRC, which needs the
// entries; ok means that the numbers are possible for a group of this journal.
func decodeGroupHeader(p []byte, identity [16]byte) (h groupHeader, ok bool) {
	if len(p) < groupHeaderSize || [4]byte(p[:4]) != groupMagic || [16]byte(p[8:24]) != identity {
		return h, false
	}
	be := binary.BigEndian
	h = groupHeader{identity, be.Uint64(p[24:]), be.Uint64(p[32:]), be.Uint32(p[40:]), be.Uint32(p[44:])}
	return h, h.bytes > 0 && h.bytes%journalPage == 0 && h.tableEnd() <= int64(h.bytes)
}

// decodeEntries decodes the entries of a group from p, which holds the header and all
// entries, appending them to dst.
func decodeEntries(p []byte, h groupHeader, dst []entry) ([]entry, bool) {
	be := binary.BigEndian
	if int64(len(p)) < h.tableEnd() || be.Uint32(p[4:]) != crc32.Checksum(p[8:h.tableEnd()], journalCRC) {
		return dst, false
	}
	room := int64(h.bytes) - h.tableEnd()
	for i := range int(h.count) {
		b := p[groupHeaderSize+i*entrySize:]
		e := entry{
			kind:      entryKind(b[0]),
			partition: core.PartitionID{Topic: core.TopicID(b[8:24]), Index: int32(be.Uint32(b[4:]))},
			segment:   core.Offset(be.Uint64(b[24:])), pos: core.FilePos(be.Uint64(b[32:])),
			base: core.Offset(be.Uint64(b[40:])), size: int64(be.Uint64(b[48:])),
		}
		if e.size < 0 || e.size > room || e.kind != entryData && (e.kind != entryTrim || e.size != 0) {
			return dst, false
		}
		room -= e.size
		dst = append(dst, e)
	}
	return dst, true
}
