package segment

import (
	"encoding/binary"
	"fmt"
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
		id, err := readArenaID(fsys, "shards/0")
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := fsys.Map(file, id.size)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint32(m.Bytes()[8:], arenaVersion+1)
	}
}

// DrawnRows are the rows of the table in docs/format.md.
func DrawnRows() []string {
	row := func(file, magic string, version, head, unit int) string {
		return fmt.Sprintf("| %s | `%s` | %d | %d | %d |", file, magic, version, head, unit)
	}
	var arena [8]byte
	binary.LittleEndian.PutUint64(arena[:], arenaMagic)
	return []string{
		row("segment", segMagic, segVersion, segHeader, prefixSize),
		row("index", idxMagic, idxVersion, idxHead, idxBlock),
		row("journal", string(journalMagic[:]), journalVersion, journalStart, journalPage),
		row("journal group", string(groupMagic[:]), journalVersion, groupHeaderSize, entrySize),
		row("checkpoint", ckMagic, ckVersion, ckHead, ckMark),
		row("arena", string(arena[:]), arenaVersion, arenaHeader, arenaRecord),
		row("arena id", aidMagic, 1, aidSize, 0),
		row("quarantine", strings.TrimSpace(quarantineHead), 1, len(quarantineHead), 0),
		fmt.Sprintf("%d batches of a block", blockBatches),
		fmt.Sprintf("`%s`", arenaName(0)), fmt.Sprintf("`%s`", indexName(core.PartitionID{}, 0)), fmt.Sprintf("`%s`", segName(core.PartitionID{}, 0)),
		fmt.Sprintf("`%s`", checkpointName("shards/0", 0)), fmt.Sprintf("`%s`", shardDir(0)+"/"+arenaIDName), "`" + partitionDir(core.PartitionID{}) + "/" + quarantineName + "`",
	}
}

// CheckDrawn reads the golden files and encodes what it read: the bytes are the same.
func CheckDrawn(t *testing.T, fsys FS, id core.PartitionID) {
	t.Helper()
	read := func(name string) []byte {
		f, err := fsys.Open(name, ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return b
	}
	same := func(what string, got, want []byte) {
		if string(got) != string(want) {
			t.Errorf("%s is encoded otherwise than in version 1", what)
		}
	}
	aid, err := readArenaID(fsys, "shards/0")
	if err != nil || aid.size != 40<<10 {
		t.Fatal(err, aid)
	}
	same("an arena id", aid.encode(), read("shards/0/"+arenaIDName))
	seg := read(segName(id, 0))
	same("a segment header", segHead(id, 0), seg[:segHeader])
	f, _ := fsys.Open(segName(id, 0), ReadOnly)
	x, h, err := loadIndex(fsys, f, id, 0, core.FilePos(len(seg)))
	if err != nil {
		t.Fatal(err)
	}
	same("an index", encodeIndex(h, &x), read(indexName(id, 0)))
	c, err := latestCheckpoint(fsys, "shards/0")
	if err != nil || len(c.marks) != 2 {
		t.Fatal(err, c)
	}
	same("a checkpoint", encodeCheckpoint(c.seq, c.jseq, c.marks), read(checkpointName("shards/0", c.seq)))
	ring := read("shards/0/journal")
	head, err := decodeJournalHeader(ring)
	if err != nil {
		t.Fatal(err)
	}
	page := make([]byte, journalPage)
	head.encode(page)
	same("a journal header", page, ring[:journalPage])
	same("the second journal header", page, ring[journalPage:journalStart])
	group, ok := decodeGroupHeader(ring[journalStart:], head.identity)
	if !ok {
		t.Fatal("no group is at the beginning of the ring")
	}
	entries, ok := decodeEntries(ring[journalStart:], group, nil)
	if !ok || len(entries) == 0 {
		t.Fatal("the first group does not check out")
	}
	same("a journal group", encodeGroup(nil, &group, entries), ring[journalStart:][:group.tableEnd()])
}

// MarksOf lists the partitions that the latest checkpoint in a directory marks.
func MarksOf(t *testing.T, fsys FS, dir string) (ids []core.PartitionID) {
	t.Helper()
	ck, err := latestCheckpoint(fsys, dir)
	if err != nil || !ck.found {
		t.Fatalf("no checkpoint in %s: %v", dir, err)
	}
	for _, m := range ck.marks {
		ids = append(ids, m.id)
	}
	return ids
}
