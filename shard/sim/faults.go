package sim

import (
	"errors"
	"strconv"
	"strings"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
)

// errDevice is what the file system answers when it has been told to fail.
var errDevice = errors.New("input/output error")

// mishap is what goes wrong with the disk in one life of the broker.
type mishap struct {
	planned bool // one call fails
	full    bool // the disk is full for a while
	relief  int  // steps until there is room again
}

// failing are the calls that may fail while the broker lives.
var failing = []fakefs.Op{fakefs.OpSync, fakefs.OpSync, fakefs.OpWrite, fakefs.OpCreate, fakefs.OpAllocate, fakefs.OpTruncate,
	fakefs.OpRemove, fakefs.OpSyncDir, fakefs.OpMkdir, fakefs.OpOpen, fakefs.OpRead, fakefs.OpRename, fakefs.OpAny}

// plan lets the nth call of some kind fail, or the disk run full.
func (w *world) plan(within int) {
	switch w.r.IntN(8) {
	case 0:
		w.mishap.planned = true
		w.stats.mishaps++
		w.disk.FailNth(failing[w.r.IntN(len(failing))], 1+w.r.IntN(within), errDevice)
	case 1:
		w.mishap.full, w.mishap.relief = true, 1+w.r.IntN(800)
		w.stats.full++
		w.disk.SetFull(int64(w.r.IntN(300 << 10)))
	}
}

// recede makes room again when it is time.
func (w *world) recede() {
	if w.mishap.relief > 0 {
		if w.mishap.relief--; w.mishap.relief == 0 {
			w.disk.SetFull(-1)
		}
	}
}

// heal is a new life: nothing is planned.
func (w *world) heal() {
	w.mishap = mishap{}
	w.disk.FailNth(fakefs.OpAny, 0, nil)
	w.disk.SetFull(-1)
}

// decay is what happens to the disk while the broker is down. Index files may be damaged
// or go: they are made again, and nobody sees it. A bit of a segment may flip: that costs
// its partition at most, and no other anything.
func (w *world) decay() {
	if len(w.model.parts) == 0 || w.r.IntN(3) > 0 {
		return
	}
	p := w.model.parts[w.r.IntN(len(w.model.parts))]
	dir := "topics/" + p.id.Topic.Hex() + "/" + strconv.Itoa(int(p.id.Index))
	names, err := w.disk.ReadDir(dir)
	if err != nil {
		w.failf("the disk cannot be looked at: %v", err)
	}
	for _, name := range names {
		name = dir + "/" + name
		switch index := strings.HasSuffix(name, ".index"); {
		case index && w.r.IntN(4) == 0:
			_ = w.disk.Remove(name)
			w.stats.indexes++
		case index && w.r.IntN(4) == 0:
			w.stats.indexes++
			w.flip(name)
		case !index && !p.damaged && w.r.IntN(5) == 0:
			w.stats.flips++
			p.damaged = true
			w.flip(name)
		}
	}
}

// flip flips a bit of a file.
func (w *world) flip(name string) {
	f, err := w.disk.Open(name, segment.ReadOnly)
	if err != nil {
		w.failf("the disk cannot be looked at: %v", err)
	}
	if size, err := f.Size(); err == nil && size > 0 {
		pos := w.r.Int64N(size)
		w.tracef("a bit of %s flips at %d", name, pos)
		err = w.disk.FlipBit(name, pos)
		w.assert(err == nil, "no bit can be flipped")
	}
}

// excused says that an error follows from what was done to the disk.
func (w *world) excused(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, fakefs.ErrPowerCut):
		return w.cutting
	case errors.Is(err, core.ErrDiskFull):
		return w.mishap.full
	}
	return w.mishap.planned && !w.disk.Pending()
}
