package segment

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/penstock/penstock/core"
)

// A file named "quarantined" in the directory of a partition says that acknowledged
// records of it may be missing, for a reason that the next start could not see: the
// damaged file lies elsewhere, and has been put aside. The first line is the format,
// the second the reason; the rest tells a person what to do.
const (
	quarantineName = "quarantined"
	quarantineHead = "penstock quarantine 1\n"
	quarantineTail = "\nThis partition is refused until this file is removed. Removing it accepts what is missing.\n"
)

// ownedBy is the partitions that a shard may have written to in the last run.
func (r *recovery) ownedBy(shard core.ShardID) map[core.PartitionID]bool {
	owned := map[core.PartitionID]bool{}
	if r.c.Owners != nil {
		if r.every == nil {
			r.every = r.c.Owners()
		}
		for id, s := range r.every {
			if s == shard {
				owned[id] = true
			}
		}
		return owned
	}
	for id := range r.marks {
		owned[id] = true
	}
	for _, id := range r.listed() {
		owned[id] = true
	}
	return owned
}

// listed is the partitions that have a directory. An error is met again by verifyAll.
func (r *recovery) listed() (ids []core.PartitionID) {
	topics, _ := r.c.FS.ReadDir("topics")
	for _, t := range topics {
		parts, _ := r.c.FS.ReadDir("topics/" + t)
		for _, p := range parts {
			if id, ok := parsePartition(t, p); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// hadJournal says that a shard had a journal once: it is made before the arena's id.
func (r *recovery) hadJournal(dir string) bool {
	names, err := r.c.FS.ReadDir(dir)
	return err == nil && slices.Contains(names, arenaIDName)
}

// wanted says that the catalog knows a partition.
func (r *recovery) wanted(id core.PartitionID) bool {
	return (r.c.Topics == nil || r.c.Topics(id)) && (r.c.Deleted == nil || !r.c.Deleted(id.Topic))
}

// markDoubts writes the reason into the directory of each partition in doubt, before
// the file that caused it is put aside.
func (r *recovery) markDoubts() error {
	for _, id := range sortedKeys(r.doubt) {
		if !r.wanted(id) {
			delete(r.doubt, id)
			continue
		}
		if err := writeQuarantine(r.c.FS, id, r.doubt[id]); err != nil {
			return err
		}
	}
	return nil
}

func writeQuarantine(fsys FS, id core.PartitionID, why string) error {
	dir := partitionDir(id)
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	f, err := fsys.Open(dir+"/"+quarantineName, Create)
	if errors.Is(err, fs.ErrExist) {
		return nil // it is in quarantine already
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(quarantineHead+why+quarantineTail), 0)
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// quarantined is why a partition was put into quarantine; nil: it was not.
func quarantined(fsys FS, id core.PartitionID) (*CorruptError, error) {
	name := partitionDir(id) + "/" + quarantineName
	f, err := fsys.Open(name, ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, 0)
	if n > 0 {
		err = nil
	}
	lines := strings.SplitN(string(b[:n]), "\n", 3)
	why := "it was put into quarantine, and the reason is not readable"
	if len(lines) > 1 && lines[0]+"\n" == quarantineHead {
		why = lines[1]
	}
	return &CorruptError{name, 0, why}, errors.Join(err, f.Close())
}

// keepAside gives files of a directory other names, those that are there.
func (r *recovery) keepAside(dir string, files []string) error {
	names, err := r.c.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, bad := range files {
		if !slices.Contains(names, bad[len(dir)+1:]) {
			continue
		}
		aside := ""
		for n := 1; aside == "" || slices.Contains(names, aside[len(dir)+1:]); n++ {
			aside = bad + ".damaged-" + itoa(n)
		}
		if err := r.c.FS.Rename(bad, aside); err != nil {
			return err
		}
		for i := range r.out.Report.Damaged {
			if d := &r.out.Report.Damaged[i]; d.Err.File == bad {
				d.Kept = aside
			}
		}
	}
	return r.c.FS.SyncDir(dir)
}
