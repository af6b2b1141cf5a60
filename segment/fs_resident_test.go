package segment_test

import (
	"testing"

	"github.com/penstock/penstock/segment"
)

// What has just been written is in the page cache, where the kernel can tell; what is
// not in the file is not.
func TestTheRealFileSystemKnowsWhatIsResident(t *testing.T) {
	f, err := segment.NewOSFS(t.TempDir()).Open("x", segment.Create)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	if !f.Resident(0, 4096) {
		t.Skip("this kernel has no cachestat: ranges are read ahead instead")
	}
	if !f.Resident(5000, 1<<20-5000) {
		t.Error("what was written is not resident")
	}
	if f.Resident(0, 1<<20+1) {
		t.Error("a range beyond the end is resident")
	}
}
