//go:build powercut

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/segment/powercut"
)

const (
	powerCutDisk   = 96 << 20
	powerCutImages = 200
	plantedImages  = 40
	recoveries     = 4
	recoveryImages = 12

	powerCutBatches = 60
)

// Power cuts of the whole broker: a process serves clients with its data on the recorded
// disk, and is started again on what a power cut at any moment may have left of it. The
// arena lies on tmpfs, which a power cut empties: each start has a new one.
func TestPowerCutsOfABroker(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rig, h := recordBroker(t, exe)
	sum := checkImages(t, exe, rig, h, powerCutImages, t.Errorf)
	if sum.replayed == 0 || sum.records == 0 || sum.topics == 0 || sum.commits == 0 || sum.again == 0 {
		t.Errorf("the images did not reach what they are to prove: %+v", sum)
	}
}

// Power cuts while the broker recovers from a power cut: what it has repaired, and what
// it has emptied since, may be lost or torn in its turn.
func TestPowerCutsOfARecovery(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	first, h := recordBroker(t, exe)
	var sum cuts
	for seed := range uint64(recoveries) {
		disk, at := first.Cut(seed)
		want := knownAt(h, first, at)
		rig := powercut.RecordOn(t, disk, func(_ *powercut.Rig, dir string) {
			arena := memoryDir(t)
			defer func() { _ = os.RemoveAll(arena) }()
			p := launchExe(t, exe, small(dir, arena)...)
			p.ready()
			p.kill()
		})
		rig.Images(recoveryImages, seed, func(dir string, again int) {
			for _, err := range checkImage(t, exe, dir, want, &sum) {
				t.Errorf("cut at %d, and in the recovery at %d: %v", at, again, err)
			}
		})
	}
	t.Logf("%d recoveries, %d images of each: %s", recoveries, recoveryImages, sum)
	if sum.replayed == 0 || sum.records == 0 {
		t.Error("the images did not reach what they are to prove")
	}
}

// The same test over brokers that make a mistake on purpose.
func TestPowerCutsCatchPlantedMistakes(t *testing.T) {
	powercut.Need(t)
	exe := filepath.Join(t.TempDir(), "planted")
	if out, err := exec.Command("go", "test", "-c", "-tags", "plant", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, mistake := range []string{"early ack", "early trim", "catalog not synced"} {
		t.Run(mistake, func(t *testing.T) {
			t.Setenv("RUN_WITH_MISTAKE", mistake) // see plant_test.go
			caught := 0
			rig, h := recordBroker(t, exe)
			checkImages(t, exe, rig, h, plantedImages, func(format string, args ...any) {
				if caught++; caught == 1 {
					t.Logf("caught: "+format, args...)
				}
			})
			t.Logf("caught %d times", caught)
			if caught == 0 {
				t.Error("the mistake was not caught")
			}
		})
	}
}

// recordBroker records a run of a broker under a workload.
func recordBroker(t *testing.T, exe string) (*powercut.Rig, *history) {
	t.Helper()
	var h *history
	rig := powercut.Record(t, powerCutDisk, func(rig *powercut.Rig, dir string) {
		arena := memoryDir(t)
		defer func() { _ = os.RemoveAll(arena) }()
		p := launchExe(t, exe, small(dir, arena, "--checkpoint", "1MiB")...)
		addr := p.ready().Listeners[0].Address
		h = newHistory(rig.Mark, powerCutBatches)
		if err := h.run(addr); err != nil {
			t.Errorf("the workload: %v\n%s", err, p.said())
		}
		p.signal(syscall.SIGKILL) // the files have to be closed; the cuts lie before this
		p.ended()
	})
	writes, flushes, marks := rig.Counts()
	t.Logf("%d writes, %d flushes, %d acknowledgements and beginnings", writes, flushes, marks)
	if t.Failed() {
		t.FailNow()
	}
	return rig, h
}

// checkImages checks images of a recorded run; what is wrong with them is told to wrong.
func checkImages(t *testing.T, exe string, rig *powercut.Rig, h *history, images int, wrong func(format string, args ...any)) (sum cuts) {
	rig.Images(images, 11, func(dir string, at int) {
		for _, err := range checkImage(t, exe, dir, knownAt(h, rig, at), &sum) {
			wrong("cut at %d: %v", at, err)
		}
	})
	t.Logf("%d images: %s", images, sum)
	return sum
}

// cuts is what the images held.
type cuts struct {
	tally
	replayed, torn int
}

func (c cuts) String() string {
	return fmt.Sprintf("%d had replayed something, %d had torn tails; acknowledged and there: %d records, %d topics, %d group offsets; %d batches sent again were known",
		c.replayed, c.torn, c.records, c.topics, c.commits, c.again)
}

// knownAt is what clients knew when the power was cut.
func knownAt(h *history, rig *powercut.Rig, at int) *state {
	var ids []int
	for _, id := range rig.Acked(at) {
		ids = append(ids, int(id))
	}
	s := h.until(ids)
	s.lossy = true
	return s
}

// checkImage starts the broker on an image and compares what it serves with what was
// acknowledged.
func checkImage(t *testing.T, exe, dir string, want *state, sum *cuts) (wrong []error) {
	arena := memoryDir(t)
	defer func() { _ = os.RemoveAll(arena) }()
	p := launchExe(t, exe, small(dir, arena)...)
	defer p.kill()
	f, err := p.started()
	if err != nil {
		return []error{fmt.Errorf("the broker does not start: %w", err)}
	}
	if f.Recovery.Replayed > 0 {
		sum.replayed++
	}
	if f.Recovery.Torn > 0 {
		sum.torn++
	}
	if len(f.Recovery.Quarantined) > 0 {
		wrong = append(wrong, fmt.Errorf("quarantined: %s", strings.Join(f.Recovery.Quarantined, "; ")))
	}
	c, err := dialKafka(f.Listeners[0].Address)
	if err != nil {
		return append(wrong, err)
	}
	defer c.close()
	return append(wrong, want.check(c, &sum.tally)...)
}
