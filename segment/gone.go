package segment

import "github.com/penstock/penstock/core"

// RemoveEmpty removes the directories of a deleted topic once they hold no file. It
// reports whether nothing is left; that is durable after SyncTopics. It blocks.
func RemoveEmpty(fs FS, id core.TopicID) (gone bool, err error) {
	top := "topics/" + id.Hex()
	parts, err := fs.ReadDir(top)
	if err != nil {
		return false, err
	}
	for _, p := range parts {
		files, err := fs.ReadDir(top + "/" + p)
		if err != nil || len(files) > 0 {
			return false, err
		}
		if err := fs.SyncDir(top + "/" + p); err != nil { // the removal of its files
			return false, err
		}
		if err := fs.Remove(top + "/" + p); err != nil {
			return false, err
		}
	}
	return true, fs.Remove(top)
}

// SyncTopics makes the removal of topics' directories durable. It blocks.
func SyncTopics(fs FS) error {
	if err := fs.MkdirAll("topics"); err != nil { // nothing may have been written yet
		return err
	}
	return fs.SyncDir("topics")
}
