package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
)

// makeBatch is a valid batch of one record's offsets with n bytes of noise.
func makeBatch(base core.Offset, records int32, n int, r *rand.Rand) []byte {
	b := make([]byte, 61+n)
	be := binary.BigEndian
	be.PutUint64(b, uint64(base))
	be.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	be.PutUint32(b[23:], uint32(records-1))
	be.PutUint32(b[57:], uint32(records))
	for i := 61; i < len(b); i++ {
		b[i] = byte(r.Uint32())
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// nullFile takes everything and costs nothing.
type nullFile struct{ File }

func (nullFile) WritevAt([][]byte, int64) error { return nil }
func (nullFile) Datasync() error                { return nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) {
	return len(p), nil
}

func TestAGroupAllocatesNothing(t *testing.T) {
	j := &journal{f: nullFile{}, head: journalStart, size: 1 << 20}
	r := rand.New(rand.NewPCG(1, 1))
	data := [][]byte{makeBatch(0, 1, 3000, r), makeBatch(1, 1, 3000, r)}
	var g group
	once := func() {
		g.reset()
		for _, b := range data {
			g.entries = append(g.entries, entry{kind: entryData, size: int64(len(b))})
			g.bufs = append(g.bufs, b)
		}
		if !j.reserve(&g) {
			t.Fatal("no room")
		}
		g.Run()
		g.Done()
		j.release(g.sequence())
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations per group", n)
	}
}

func TestTheRingIsFullUntilARelease(t *testing.T) {
	j := &journal{head: journalStart, size: journalStart + 10*journalPage}
	take := func() *group {
		g := &group{entries: []entry{{kind: entryData, size: 2 * journalPage}}} // 3 pages
		if !j.reserve(g) {
			return nil
		}
		return g
	}
	a, b, c := take(), take(), take()
	if c == nil || take() != nil {
		t.Fatal("want room for exactly three groups")
	}
	if j.used() != 9*journalPage {
		t.Errorf("%d bytes used", j.used())
	}
	j.release(a.sequence())
	if take() != nil {
		t.Fatal("a group that would end where the oldest begins cannot be told from an empty ring")
	}
	j.release(b.sequence())
	if d := take(); d == nil || d.pos != journalStart {
		t.Fatal("want the group at the start of the ring")
	}
	j.release(j.sequence)
	if j.used() != 0 {
		t.Errorf("%d bytes used", j.used())
	}
}

// The decoder of groups looks at bytes that anyone may have written: no panic, no read
// beyond, and no more entries than the bytes hold.
func FuzzGroupHeader(f *testing.F) {
	id := [16]byte{1, 2, 3}
	h := groupHeader{id, 7, 3, journalPage, 2}
	f.Add(encodeGroup(nil, &h, []entry{{kind: entryData, size: 100}, {kind: entryTrim, base: 5}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := decodeGroupHeader(p, id)
		if !ok {
			return
		}
		entries, ok := decodeEntries(p, h, nil)
		if !ok {
			return
		}
		if len(entries) != int(h.count) || len(entries)*entrySize > len(p) {
			t.Fatalf("%d entries of %d in %d bytes", len(entries), h.count, len(p))
		}
		again := encodeGroup(nil, &h, entries)
		if got, _ := decodeEntries(again, h, nil); len(got) != len(entries) {
			t.Fatal("what was decoded does not encode")
		}
		var sum int64
		for _, e := range entries {
			sum += e.size
		}
		if h.tableEnd()+sum > int64(h.bytes) {
			t.Fatal("the entries hold more than the group")
		}
	})
}

func TestAHeaderOfANewerVersionIsRefused(t *testing.T) {
	p := make([]byte, journalPage)
	h := journalHeader{identity: [16]byte{9}, generation: 3, size: 1 << 20}
	h.encode(p)
	if got, err := decodeJournalHeader(p); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	p[11]++
	if _, err := decodeJournalHeader(p); !errors.Is(err, errNewerJournal) {
		t.Errorf("a newer version: %v", err)
	}
	p[20]++
	if _, err := decodeJournalHeader(p); !errors.Is(err, errNotJournal) {
		t.Errorf("damage: %v", err)
	}
	if _, err := decodeJournalHeader(nil); !errors.Is(err, errNotJournal) {
		t.Errorf("nothing: %v", err)
	}
}
