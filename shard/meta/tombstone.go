package meta

import (
	"bytes"
	"maps"
	"slices"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
)

// A tombstone is what lets the files of a topic be removed, and it must outlive all that
// could bring them back: files whose removal is not durable yet, and the journal and the
// arena of each shard, from which recovery would write them anew. So it is forgotten at
// two points only:
//
//	start: recovery has removed the files and emptied every journal --> Sweep
//	later: each shard has made checkpoints without the topic -----> Gone, once per shard
//
// and at both only after the directories have been seen empty and removed, durably. A
// crash before the event is durable leaves the tombstone, and the next start sweeps it.

// Sweep forgets the tombstones whose files are gone. It comes after recovery, before any
// store is opened.
func (c *Controller) Sweep() error {
	return c.forget(slices.SortedFunc(maps.Keys(c.state.Deleted), byBytes))
}

// Gone says that a shard has nothing left of these topics that could make files again.
// With the last shard that says so the tombstones go.
func (c *Controller) Gone(shard core.ShardID, ids []core.TopicID) error {
	var all []core.TopicID
	for _, id := range ids {
		if !c.IsDeleted(id) {
			continue
		}
		by := c.gone[id]
		if by == nil {
			by = map[core.ShardID]bool{}
			c.gone[id] = by
		}
		if by[shard] = true; len(by) == c.opt.Shards {
			delete(c.gone, id)
			all = append(all, id)
		}
	}
	return c.forget(all)
}

// forget drops the tombstones of the topics of which no file is left. Where one is left,
// because it could not be removed, the tombstone stays for the next start.
func (c *Controller) forget(ids []core.TopicID) error {
	var gone []core.TopicID
	for _, id := range ids {
		ok, err := segment.RemoveEmpty(c.file.fs, id)
		if err != nil {
			return err
		}
		if ok {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := segment.SyncTopics(c.file.fs); err != nil {
		return err
	}
	return c.commit(&event{Forget: gone})
}

func byBytes(a, b core.TopicID) int { return bytes.Compare(a[:], b[:]) }
