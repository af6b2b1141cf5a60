package meta

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// producerBlock is how many producer ids one sync gives out.
const producerBlock = 1000

// Options are what new topics are made of.
type Options struct {
	Env        core.Env
	Shards     int
	Partitions int32 // num.partitions: what -1 means
	Defaults   core.TopicConfig
	// PartitionsMax bounds the partitions of the whole broker.
	PartitionsMax int
}

// Controller is the single writer of the catalog. All methods but Catalog are called by
// one goroutine at a time, and may block on the disk.
type Controller struct {
	opt     Options
	file    *file
	state   *state
	catalog atomic.Pointer[core.Catalog]
	nextPID int64                                  // the next producer id of the block that state.Producers has reserved
	failed  error                                  // a write that failed for another reason than a full disk: final
	gone    map[core.TopicID]map[core.ShardID]bool // tombstones, and the shards that have nothing left of them
}

// Open reads or makes the catalog under meta/.
func Open(seam segment.FS, opt Options) (*Controller, error) {
	c := &Controller{opt: opt, state: newState(), gone: map[core.TopicID]map[core.ShardID]bool{}}
	var err error
	if c.file, err = openFile(seam, c.state); err != nil {
		return nil, err
	}
	if c.file.f == nil {
		if c.state.Cluster, err = newClusterID(); err != nil {
			return nil, err
		}
	}
	if c.file.end > c.file.base || c.file.f == nil {
		// The last process may have ended because a sync failed: the page cache then shows
		// events that never reach the disk, and would stand as a gap before those to come.
		if err := c.file.rewrite(c.state); err != nil {
			return nil, fmt.Errorf("write %s: %w", fileName, err)
		}
	}
	if err := c.file.keep(0); err != nil && !errors.Is(err, core.ErrDiskFull) {
		return nil, fmt.Errorf("reserve space for %s: %w", fileName, err)
	}
	c.nextPID = c.state.Producers // the rest of the last block is lost: ids are never given twice
	return c, c.publish()
}

// newClusterID is a random id in Kafka's form.
func newClusterID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// Catalog is where the present catalog is published. Any goroutine may load it.
func (c *Controller) Catalog() *atomic.Pointer[core.Catalog] { return &c.catalog }

// ClusterID is the broker's identity for ever.
func (c *Controller) ClusterID() string { return c.state.Cluster }

// IsDeleted says whether a topic has a tombstone: only then may its files go.
func (c *Controller) IsDeleted(id core.TopicID) bool {
	_, ok := c.state.Deleted[id]
	return ok
}

// UncleanStart counts a start that followed no clean shutdown: the leader epoch of new
// batches rises, durably, before any is written.
func (c *Controller) UncleanStart() error {
	n := c.state.Starts + 1
	return c.commit(&event{Starts: &n})
}

// commit makes an event durable, folds it in and publishes the catalog.
func (c *Controller) commit(e *event) error {
	if c.failed != nil {
		return c.failed
	}
	e.Revision = c.state.Revision + 1
	if err := c.file.append(e, c.mayMakeRoom(e)); err != nil {
		err = fmt.Errorf("write %s: %w", fileName, err)
		if !errors.Is(err, core.ErrDiskFull) {
			c.failed = err
		}
		return err
	}
	c.state.apply(e)
	if c.file.worthRewriting() {
		err := c.file.rewrite(c.state)
		if err != nil && !errors.Is(err, core.ErrDiskFull) { // with room, after a later event
			c.failed = fmt.Errorf("rewrite %s: %w", fileName, err)
		}
	}
	return c.publish()
}

// mayMakeRoom says that an event may take what is kept for a full disk: it ends a topic,
// changes its settings, or comes at a start. New topics, partitions and producers wait.
func (c *Controller) mayMakeRoom(e *event) bool {
	for id, t := range e.Put {
		if old := c.state.Topics[id]; old == nil || len(old.Owners) != len(t.Owners) {
			return false
		}
	}
	return e.Producers == nil
}

func (c *Controller) publish() error {
	cat, err := c.state.catalog(c.opt.Defaults)
	if err != nil {
		return fmt.Errorf("the catalog holds a setting that this version does not know: %w", err)
	}
	c.catalog.Store(cat)
	return nil
}

// Close closes the file. Everything in it is durable already.
func (c *Controller) Close() error { return c.file.f.Close() }
