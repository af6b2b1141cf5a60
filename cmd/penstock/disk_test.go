package main

import (
	"path/filepath"
	"testing"
)

func TestTheDiskIsToldWithItsAbsolutePathSizeAndRoom(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(filepath.Dir(dir))
	d, err := newDisk("./" + filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	if total, usable := d.space(); d.dir != dir || total <= 0 || usable < 0 || usable > total {
		t.Errorf("%s: %d of %d bytes", d.dir, usable, total)
	}
	d.dir += "/gone"
	d.look()
	if total, usable := d.space(); total != -1 || usable != -1 {
		t.Errorf("of a directory that is not there: %d of %d bytes", usable, total)
	}
}
