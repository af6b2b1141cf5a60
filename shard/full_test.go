package shard

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// While the disk is full the broker's own topics, offsets of groups among them, take
// records as far as the journal and the arena go, durably; then they refuse as others do,
// and nobody waits. With room all goes on.
func TestServicesGoOnWhileTheDiskIsFull(t *testing.T) {
	for body, least := range map[int]int{100: 5000, 60 << 10: 60} { // the journal is used up, or the arena
		tp, in := topic("t", core.Synced), topic("in", core.Synced)
		in.Internal = true
		var service *sum
		r := newRig(t, 1, tp, in)
		r.services = func(_ session.Host, _ *core.Topic, p core.PartitionID) session.Service {
			service = &sum{t: t, p: p}
			return service
		}
		r.start(1)
		f, user, own := r.open(0, 1), part(tp, 0), part(in, 0)
		b := makeBatch(-1, -1, -1, 1, 256<<10)
		want(t, r.append(f, user, b), core.Done, core.OK, 0)
		want(t, r.call(f, own, 2, "x"), core.Done, core.OK, 0)
		r.pass(3 * time.Second)
		r.disk.SetFull(0)
		for n := 0; r.append(f, user, b).Outcome == core.Done; n++ {
			if r.pass(200 * time.Millisecond); n > 100 {
				t.Fatal("no append is ever refused")
			}
		}
		want(t, &f.last, core.Refused, core.ErrDiskFull, 0)
		done, before := 0, f.count
		for r.call(f, own, 2, strings.Repeat("x", body)).Outcome == core.Done {
			if done++; f.count != before+done || done > 20_000 {
				t.Fatalf("%d of %d calls are answered", f.count-before, done)
			}
			if done == least { // the writer tries again meanwhile
				r.pass(1100 * time.Millisecond)
				want(t, r.append(f, user, b), core.Refused, core.ErrDiskFull, 0)
				before++
			}
		}
		if f.count != before+done+1 {
			t.Fatalf("after %d calls nobody answers", done)
		}
		if f.last.Outcome != core.Refused || f.last.Code != core.ErrDiskFull || done < least {
			t.Errorf("bodies of %d bytes: after %d calls: outcome %d, %v; want at least %d", body, done, f.last.Outcome, f.last.Code, least)
		}
		if len(r.failures) > 0 {
			t.Errorf("a full disk was taken for a failed one: %v", r.failures)
		}
		r.disk.SetFull(-1)
		if end, want := r.leastOf(2, own), core.Offset(2+2*done); end != want {
			t.Errorf("a power cut leaves %d of %d records", end, want)
		}
		r.pass(2 * time.Second)
		if c := r.append(f, user, b); c.Outcome != core.Done {
			t.Errorf("with room again: %v", c.Code)
		}
		want(t, r.call(f, own, 2, "x"), core.Done, core.OK, 0)
		if service.records != uint64(2*done+4) {
			t.Errorf("%d records are applied; want %d", service.records, 2*done+4)
		}
	}
}
