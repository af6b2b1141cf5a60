package segment

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/core"
)

// RecoverConfig says where to recover, and what the catalog knows.
type RecoverConfig struct {
	FS, Arena FS
	Shards    int
	Topics    func(core.PartitionID) bool // known to the catalog
	Deleted   func(core.TopicID) bool     // has a tombstone
	Clean     bool                        // the clean-shutdown marker was there
}

// Recovery is what Recover found.
type Recovery struct {
	Logs   map[core.PartitionID]*Recovered
	Report Report
}

// Report is for people: what recovery did.
type Report struct {
	Partitions  int
	Bytes       int64 // of journal and arena data replayed
	Torn        int   // partitions whose torn tail was cut
	Quarantined []core.PartitionID
	Unknown     []string // directories of no known topic, kept
	Duration    time.Duration
}

// Recovered is one partition as found.
type Recovered struct {
	Start, End  core.Offset
	Blob        []byte
	BlobAt      core.Offset
	Quarantined *CorruptError
}

// CorruptError is data that was durable and is damaged.
type CorruptError struct {
	File string
	Pos  core.FilePos
	Why  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.File, e.Pos, e.Why)
}

// Recover brings the data directory to a state from which stores can be opened.
func Recover(c RecoverConfig) (*Recovery, error) {
	return &Recovery{Logs: map[core.PartitionID]*Recovered{}}, nil
}
