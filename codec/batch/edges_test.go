package batch

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/penstock/penstock/core"
)

// one is a batch of a single record of this time.
func one(ts int64) []byte {
	var w Builder
	w.Add(ts, nil, []byte("v"))
	return bytes.Clone(w.Finish())
}

func TestTheBoundsOfATopicHoldToTheByteAndTheMillisecond(t *testing.T) {
	r := Rules{Version: 9, SizeMax: len(one(0)), Now: 1000, BeforeMax: 10, AfterMax: 20}
	for ts, want := range map[int64]core.Code{989: core.ErrInvalidTimestamp, 990: core.OK, 1000: core.OK, 1020: core.OK, 1021: core.ErrInvalidTimestamp} {
		if _, code, why := CheckProduce(one(ts), r); code != want {
			t.Errorf("%d: %v %s", ts, code, why)
		}
	}
	r.SizeMax--
	if _, code, _ := CheckProduce(one(1000), r); code != core.ErrTooLarge {
		t.Errorf("a byte too many: %v", code)
	}
}

func TestABatchOfAProducerHasAnEpochAndASequence(t *testing.T) {
	for _, c := range []struct {
		producer int64
		epoch    int16
		sequence int32
		want     core.Code
	}{{-1, -1, -1, core.OK}, {5, 0, 0, core.OK}, {5, -1, 0, core.ErrInvalidRecord}, {5, 0, -1, core.ErrInvalidRecord}, {0, 0, 0, core.OK}, {-2, 0, 0, core.ErrInvalidRecord}} {
		var w Builder
		w.Add(1000, nil, nil)
		if _, code, why := CheckProduce(w.FinishAs(c.producer, c.epoch, c.sequence), openRules); code != c.want {
			t.Errorf("%+v: %v %s", c, code, why)
		}
	}
}

func TestABatchDoesNotBeginBelowOffsetZero(t *testing.T) {
	b := one(1)
	binary.BigEndian.PutUint64(b, 1<<64-1)
	if _, err := Parse(b); err == nil {
		t.Error("base offset -1 passes")
	}
}

// The clock of a machine may say 0, and the record then has that time and not its own.
func TestRecordsOfLogAppendTimeHaveTheTimeOfTheAppend(t *testing.T) {
	for _, now := range []int64{0, 77} {
		b := one(1000)
		Stamp{Base: 3, Epoch: 1, AppendTime: now}.Apply(b[:HeaderSize], b[HeaderSize:])
		h, err := Valid(b)
		if err != nil {
			t.Fatal(err)
		}
		err = Records(b, h, limit, func(r Record) error {
			if r.Timestamp != now || r.Offset != 3 {
				t.Errorf("%+v, want the time %d", r, now)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTwoRecordsOfABatchDoNotHaveOneOffset(t *testing.T) {
	var w Builder
	w.Add(1, nil, nil)
	w.Add(1, nil, nil)
	b := w.Finish()
	b[len(b)-4] = 0 // the offset delta of the last: key, value and headers follow it
	h, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := Records(b, h, limit, func(Record) error { return nil }); err != core.ErrCorruptBatch {
		t.Error(err)
	}
}
