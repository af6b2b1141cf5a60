package group

import "testing"

// What is seen is what ListGroups and OffsetFetch answer; a topic that is gone has no
// offsets, and looking changes nothing.
func TestSeen(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.c.Seen(nil); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	w.commitSimple("g", "a", 0, 42)
	w.release()
	w.commitSimple("g", "b", 0, 7)
	w.release()
	got := w.c.Seen(nil)
	if len(got) != 1 || got[0].Name != "g" || got[0].State != "Empty" || got[0].Members != 0 || len(got[0].Offsets) != 2 {
		t.Fatalf("%+v", got)
	}
	if o := got[0].Offsets[0]; o != (SeenOffset{w.topics["a"], "a", 0, 42}) {
		t.Errorf("%+v", o)
	}
	w.deleteTopic("a")
	if got = w.c.Seen(got[:0]); len(got) != 1 || len(got[0].Offsets) != 1 || got[0].Offsets[0].Offset != 7 {
		t.Errorf("after the topic was deleted: %+v", got)
	}
}
