package segment

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/penstock/penstock/core"
)

// MakeNewer makes a file say that its format is newer than this program, with the
// checksum that a newer program would write.
func MakeNewer(t *testing.T, fsys FS, file string, id core.PartitionID) {
	t.Helper()
	le, be := binary.LittleEndian, binary.BigEndian
	change := func(name string, size int64, fn func(b []byte)) {
		f, err := fsys.Open(name, ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			size, _ = f.Size()
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		fn(b)
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case strings.HasSuffix(file, "journal"):
		change(file, journalStart, func(b []byte) {
			for _, h := range [][]byte{b[:journalPage], b[journalPage:]} {
				be.PutUint32(h[8:], journalVersion+1)
			}
		})
	case strings.HasSuffix(file, "checkpoint."):
		for _, n := range []string{"a", "b"} {
			if _, err := fsys.Open(file+n, ReadOnly); err != nil {
				continue
			}
			change(file+n, 0, func(b []byte) {
				le.PutUint32(b[8:], ckVersion+1)
				le.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
			})
		}
	case file == ".log":
		change(segName(id, 0), segHeader, func(b []byte) {
			le.PutUint32(b[8:], segVersion+1)
			le.PutUint32(b[segCRC:], crc32.Checksum(b[:segCRC], castagnoli))
		})
	default:
		_, size, err := readArenaID(fsys, "shards/0")
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := fsys.Map(file, size)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint32(m.Bytes()[8:], arenaVersion+1)
	}
}
