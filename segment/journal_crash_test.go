package segment_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

const ringSize = 160 << 10

// story writes random groups into a small ring, with a checkpoint now and then, until
// it has written n or a call fails. A group's base is its number.
type story struct {
	acked      int    // groups acknowledged
	checkpoint uint64 // sequence released, durable as far as the journal knows
	released   int    // groups below this number are released
	sequences  []uint64
	err        error
}

func (s *story) write(f segment.FS, n int, r *rand.Rand) {
	if s.err = f.MkdirAll("shards/0"); s.err != nil {
		return
	}
	w, err := segment.OpenJournalWriter(f, "shards/0", ringSize)
	if s.err = err; err != nil {
		return
	}
	for s.acked < n {
		// Two batches in three buffers that cut across them.
		base := core.Offset(s.acked)
		b := append(segment.MakeBatch(base*2, 1, r.IntN(9000), r), segment.MakeBatch(base*2+1, 1, r.IntN(5000), r)...)
		i, k := r.IntN(len(b)/2), len(b)/2+r.IntN(len(b)/2)
		seq, ok, err := w.Write(0, base*2, b[:i], b[i:k], b[k:])
		if s.err = err; err != nil {
			return
		}
		if !ok { // full: a checkpoint of all but the last two
			s.released = s.acked - 2
			s.checkpoint = s.sequences[s.released-1]
			w.Release(s.checkpoint)
			continue
		}
		s.sequences = append(s.sequences, seq)
		s.acked++
	}
}

// check replays an image: all that was acknowledged and not released is there, in
// order, and at most one group beyond.
func (s *story) check(t *testing.T, f segment.FS) {
	t.Helper()
	next := core.Offset(s.released)
	groups, _, err := segment.Replay(f, "shards/0", s.checkpoint, func(base core.Offset, data []byte) {
		if base != next*2 {
			t.Fatalf("group %d replayed; want %d", base/2, next)
		}
		next++
	})
	if err != nil {
		t.Fatalf("replay: %v (acknowledged %d, released %d, replayed %d)", err, s.acked, s.released, groups)
	}
	if int(next) < s.acked || int(next) > s.acked+1 {
		t.Fatalf("replayed up to group %d; acknowledged %d", next, s.acked)
	}
}

func TestAJournalSurvivesAPowerCutDuringAnyCall(t *testing.T) {
	whole := fakefs.New()
	var s story
	s.write(whole, 40, rand.New(rand.NewPCG(1, 1)))
	if s.err != nil || s.released == 0 {
		t.Fatalf("the story: %v, released %d: want the ring to go round", s.err, s.released)
	}
	s.check(t, whole)
	s.check(t, whole.Kill())
	for cut := 1; cut <= whole.Changes(); cut++ {
		f := fakefs.New()
		f.CutAt(cut)
		var s story
		s.write(f, 40, rand.New(rand.NewPCG(1, 1)))
		if !errors.Is(s.err, fakefs.ErrPowerCut) && cut < whole.Changes() {
			t.Fatalf("cut %d: %v", cut, s.err)
		}
		for seed := range uint64(6) {
			s.check(t, f.Crash(rand.New(rand.NewPCG(uint64(cut), seed))))
		}
	}
}

func TestAnErrorOfTheJournalIsFinal(t *testing.T) {
	boom := errors.New("input/output error")
	for _, op := range fakefs.Ops() {
		for n := 1; ; n++ {
			f := fakefs.New()
			f.FailNth(op, n, boom)
			var s story
			s.write(f, 12, rand.New(rand.NewPCG(2, 2)))
			if f.Pending() {
				break
			}
			if s.err == nil {
				t.Fatalf("failure %d of %s was not noticed", n, op)
			}
			s.check(t, f.Crash(rand.New(rand.NewPCG(uint64(n), 3))))
		}
	}
	f := fakefs.New()
	_ = f.MkdirAll("shards/0")
	w, err := segment.OpenJournalWriter(f, "shards/0", ringSize)
	if err != nil {
		t.Fatal(err)
	}
	b := segment.MakeBatch(0, 1, 100, rand.New(rand.NewPCG(1, 1)))
	f.FailNth(fakefs.OpSync, 1, boom)
	for range 3 { // the second sync would succeed
		if _, _, err := w.Write(0, 0, b); !errors.Is(err, boom) {
			t.Fatalf("after a failed sync: %v", err)
		}
	}
}

// A flipped bit in a group that has a successor is corruption; in the last one it
// cannot be told from a torn write, and the group is cut; in what is free it is nothing.
func TestAFlippedBitIsCorruptionUnlessInTheLastGroup(t *testing.T) {
	f := fakefs.New()
	var s story
	s.write(f, 6, rand.New(rand.NewPCG(3, 3)))
	if s.err != nil {
		t.Fatal(s.err)
	}
	seen := map[string]int{}
	for pos := int64(8192); pos < 80<<10; pos += 97 {
		g := f.Kill()
		if g.FlipBit("shards/0/journal", pos) != nil {
			break
		}
		got := 0
		_, _, err := segment.Replay(g, "shards/0", 0, func(base core.Offset, _ []byte) {
			if base%2 != 0 || int(base/2) < got {
				t.Fatalf("bit at %d: group %d replayed after %d", pos, base/2, got)
			}
			got++
		})
		var corrupt *segment.CorruptError
		switch {
		case errors.As(err, &corrupt) && got == s.acked-1: // the others are replayed
			seen["corrupt"]++
		case err == nil && got == s.acked:
			seen["harmless"]++ // padding, or base offset's neighbours that no checksum covers
		case err == nil && got == s.acked-1:
			seen["cut"]++
		default:
			t.Fatalf("bit at %d: %v, replayed %d", pos, err, got)
		}
	}
	if seen["corrupt"] < 50 || seen["cut"] < 10 {
		t.Errorf("%v", seen)
	}
}

func TestANewLifeOfTheJournalForgetsTheOld(t *testing.T) {
	f := fakefs.New()
	var s story
	s.write(f, 5, rand.New(rand.NewPCG(4, 4)))
	if _, err := segment.OpenJournalWriter(f, "shards/0", ringSize); err != nil {
		t.Fatal(err)
	}
	if n, torn, err := segment.Replay(f, "shards/0", 0, func(core.Offset, []byte) {}); n != 0 || torn || err != nil {
		t.Errorf("%d groups, torn %v, %v", n, torn, err)
	}
}

func TestOneDamagedHeaderOfTheJournalIsSurvivedAndTwoAreReported(t *testing.T) {
	f := fakefs.New()
	var s story
	s.write(f, 5, rand.New(rand.NewPCG(5, 5)))
	for _, pos := range []int64{20, 4096 + 20} {
		g := f.Kill()
		_ = g.FlipBit("shards/0/journal", pos)
		s.check(t, g)
	}
	_ = f.FlipBit("shards/0/journal", 20)
	_ = f.FlipBit("shards/0/journal", 4096+20)
	var corrupt *segment.CorruptError
	if _, _, err := segment.Replay(f, "shards/0", 0, func(core.Offset, []byte) {}); !errors.As(err, &corrupt) {
		t.Errorf("want a CorruptError, not %v", err)
	}
}

func TestAJournalOlderThanItsCheckpointIsReported(t *testing.T) {
	f := fakefs.New()
	var s story
	s.write(f, 5, rand.New(rand.NewPCG(6, 6)))
	var corrupt *segment.CorruptError
	for _, from := range []uint64{2 << 40, 1<<40 + 2} {
		_, _, err := segment.Replay(f, "shards/0", from, func(core.Offset, []byte) {})
		if want := from == 2<<40; errors.As(err, &corrupt) != want {
			t.Errorf("from %x: %v", from, err)
		}
	}
}
