package shard

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
)

// run is a producers fold with the log that it folds.
type run struct {
	t    *testing.T
	ps   producers
	next core.Offset
	now  int64
}

func newRun(t *testing.T) *run { return &run{t: t, ps: newProducers()} }

// send does what the shard does with a batch of n records; it returns the base offset.
func (r *run) send(pid int64, epoch int16, sequence int32, n int32) (core.Offset, core.Code) {
	h := batch.Header{ProducerID: pid, ProducerEpoch: epoch, Sequence: sequence, LastDelta: n - 1, Count: n}
	repeat, code := r.ps.check(&h)
	if code != core.OK {
		return -1, code
	}
	if repeat != nil {
		return repeat.base, core.OK
	}
	base := r.next
	r.ps.append(&h, base, -1, r.now)
	r.next += core.Offset(n)
	return base, core.OK
}

func (r *run) want(base core.Offset, code core.Code, pid int64, epoch int16, sequence, n int32) {
	r.t.Helper()
	got, c := r.send(pid, epoch, sequence, n)
	if got != base || c != code {
		r.t.Errorf("producer %d epoch %d sequence %d: offset %d, %v; want %d, %v", pid, epoch, sequence, got, c, base, code)
	}
}

func TestAnExactRepeatOfOneOfTheLastFiveBatchesHasTheOriginalOffset(t *testing.T) {
	r := newRun(t)
	for i := range int32(6) {
		r.want(core.Offset(i*2), core.OK, 7, 0, i*2, 2)
	}
	for i := int32(1); i < 6; i++ {
		r.want(core.Offset(i*2), core.OK, 7, 0, i*2, 2)
	}
	r.want(-1, core.ErrSequence, 7, 0, 0, 2) // the sixth last
	r.want(-1, core.ErrSequence, 7, 0, 2, 1) // not exact
	r.want(-1, core.ErrSequence, 7, 0, 13, 1)
	r.want(12, core.OK, 7, 0, 12, 1)
}

func TestSequencesWrapFromTheLargestIntegerToZero(t *testing.T) {
	r := newRun(t)
	r.want(0, core.OK, 1, 0, math.MaxInt32-1, 2)
	r.want(2, core.OK, 1, 0, 0, 3)
	r.want(0, core.OK, 1, 0, math.MaxInt32-1, 2)
	r = newRun(t)
	r.want(0, core.OK, 1, 0, math.MaxInt32-1, 4) // wraps within the batch
	r.want(4, core.OK, 1, 0, 2, 1)
}

func TestAnUnknownProducerMayBeginAnywhere(t *testing.T) {
	r := newRun(t)
	r.want(0, core.OK, 9, 3, 4711, 1)
	r.want(1, core.OK, 9, 3, 4712, 1)
}

func TestAStaleEpochIsRefusedAndANewOneBeginsAtZero(t *testing.T) {
	r := newRun(t)
	r.want(0, core.OK, 1, 5, 0, 1)
	r.want(-1, core.ErrProducerEpoch, 1, 4, 1, 1)
	r.want(-1, core.ErrSequence, 1, 6, 1, 1)
	r.want(1, core.OK, 1, 6, 0, 1)
	r.want(-1, core.ErrProducerEpoch, 1, 5, 1, 1)
	r.want(1, core.OK, 1, 6, 0, 1)
}

func TestProducersExpireAfterADayAndTheirNumberIsBounded(t *testing.T) {
	r := newRun(t)
	r.want(0, core.OK, 1, 0, 0, 1)
	r.now = producerExpiry / 2
	r.want(1, core.OK, 2, 0, 0, 1)
	r.now = producerExpiry
	r.want(2, core.OK, 3, 0, 0, 1)
	if _, ok := r.ps.byID[1]; ok || len(r.ps.byID) != 2 {
		t.Errorf("after a day: %v", r.ps.byID)
	}
	for i := range int64(producersMax) {
		r.send(100+i, 0, 0, 1)
	}
	if _, ok := r.ps.byID[3]; ok || len(r.ps.byID) != producersMax {
		t.Errorf("%d producers are kept", len(r.ps.byID))
	}
}

func TestNoClockThatIsSetMakesAProducerForgotten(t *testing.T) {
	tp := topic("t", core.Synced)
	for name, restart := range restarts {
		r := newRig(t, 1, tp)
		p := part(tp, 0)
		want(t, r.append(r.open(0, 1), p, makeBatch(7, 0, 0, 2, 10)), core.Done, core.OK, 0)
		for i, years := range []int64{10, -20} {
			r.skew += years * 365 * 24 * 3600_000
			restart(r)
			f := r.open(0, 2+2*i)
			r.append(f, p, makeBatch(int64(8+i), 0, 0, 1, 10)) // a new producer makes room
			want(t, r.append(f, p, makeBatch(7, 0, 0, 2, 10)), core.Done, core.OK, 0)
			if got := r.append(f, p, makeBatch(7, 0, 5, 1, 10)); got.Code != core.ErrSequence {
				t.Errorf("a broker that %s: a producer was forgotten after %d years of one moment: %v", name, years, got.Code)
			}
		}
	}
}

func TestSnapshotsOfFoldsRoundTrip(t *testing.T) {
	r := newRun(t)
	for i := range int32(50) {
		r.now = int64(i)
		r.send(int64(i%7), 2, i/7*3, 3)
	}
	e := epochs{}
	e.append(1, 0)
	e.append(4, 100)
	p := partition{producers: r.ps, epochs: e, lastTime: 99}
	blob := p.snapshot(nil)

	q := partition{producers: newProducers()}
	if own, _ := q.restore(blob, 0, 150, 0); own != 150 {
		t.Fatalf("the snapshot was not used: %d", own)
	}
	if got := q.snapshot(nil); string(got) != string(blob) || q.lastTime != 99 || len(q.producers.byID) != 7 {
		t.Errorf("restored differently:\n%x\n%x", got, blob)
	}
	r.ps = q.producers
	r.want(r.next, core.OK, 0, 2, 8*3, 3)
	for n := range blob {
		if own, _ := q.restore(blob[:n], 0, 150, 0); own != 0 || len(q.producers.byID) != 0 {
			t.Fatalf("a snapshot cut after %d bytes was used", n)
		}
	}
}

// docs/format.md draws it: another form is another version.
func TestTheFormOfASnapshotStays(t *testing.T) {
	r := newRun(t)
	r.send(7, 3, 40, 2)
	r.send(7, 3, 42, 1)
	e := epochs{}
	e.append(5, 9)
	p := partition{producers: r.ps, epochs: e, lastTime: 0x1122}
	const form = "02" + // version
		"00000001" + "0000000000000007" + "0003" + "02" +
		"0000000000000000" + "00000001" + "00000028" + "ffffffffffffffff" +
		"0000000000000002" + "00000000" + "0000002a" + "ffffffffffffffff" +
		"00000001" + "00000005" + "0000000000000009" +
		"0000000000001122" + "00"
	if got := hex.EncodeToString(p.snapshot(nil)); got != form {
		t.Errorf("a snapshot is\n%s; it was\n%s", got, form)
	}
}

func TestEpochsEndWhereTheNextBegins(t *testing.T) {
	var e epochs
	e.append(2, 0)
	e.append(2, 5)
	e.append(3, 10) // nothing was written in 3
	e.append(4, 10)
	e.append(7, 20)
	for _, c := range []struct {
		ask   core.Epoch
		epoch core.Epoch
		end   core.Offset
	}{{-1, -1, -1}, {0, 0, 0}, {1, 1, 0}, {2, 2, 10}, {3, 2, 10}, {4, 4, 20}, {6, 4, 20}, {7, 7, 33}, {8, -1, -1}, {9, -1, -1}} {
		if epoch, end := e.endOf(c.ask, 33); epoch != c.epoch || end != c.end {
			t.Errorf("epoch %d: %d ends at %d; want %d at %d", c.ask, epoch, end, c.epoch, c.end)
		}
	}
}

func TestWhatFollowsARefusedFirstBatchDoesNotTakeItsPlace(t *testing.T) {
	r := newRun(t)
	r.ps.refused(&batch.Header{ProducerID: 7, Sequence: 0})
	r.want(-1, core.ErrSequence, 7, 0, 3, 2)
	r.ps.refused(&batch.Header{ProducerID: 7, Sequence: 3}) // not the first any more
	r.want(0, core.OK, 7, 0, 0, 3)
	r.want(3, core.OK, 7, 0, 3, 2)
	if len(r.ps.awaited) != 0 {
		t.Error(r.ps.awaited)
	}
	r.ps.refused(&batch.Header{ProducerID: 8, Sequence: 5})
	r.want(5, core.OK, 8, 1, 0, 1) // it has given that batch up
	r.ps.refused(&batch.Header{ProducerID: 8, ProducerEpoch: 1, Sequence: 1})
	r.want(6, core.OK, 8, 1, 1, 1) // known
	for pid := range int64(awaitedMax + 1) {
		r.ps.refused(&batch.Header{ProducerID: 100 + pid})
	}
	if len(r.ps.awaited) != 1 {
		t.Error(len(r.ps.awaited))
	}
}
