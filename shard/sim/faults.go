package sim

import (
	"errors"

	"github.com/penstock/penstock/core"
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
