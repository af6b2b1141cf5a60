package segment

import "github.com/penstock/penstock/core"

// node is a place in a list of what was used, the latest first. It is embedded in what
// is listed: moving it allocates nothing.
type node[T any] struct {
	prev, next *node[T]
	is         *T
}

// list is a ring with itself as the end.
type list[T any] struct {
	end   node[T]
	count int
}

func (n *node[T]) listed() bool { return n.next != nil }

// use puts x, whose node is n, in front.
func (l *list[T]) use(x *T, n *node[T]) {
	if l.end.next == nil {
		l.end.prev, l.end.next = &l.end, &l.end
	}
	if l.end.next == n {
		return
	}
	l.drop(n)
	n.is, n.prev, n.next = x, &l.end, l.end.next
	n.prev.next, n.next.prev = n, n
	l.count++
}

// drop takes a node out, if it is in.
func (l *list[T]) drop(n *node[T]) {
	if n.listed() {
		n.prev.next, n.next.prev = n.next, n.prev
		n.prev, n.next = nil, nil
		l.count--
	}
}

// oldest calls fn from the one that was used longest ago, until it says enough. fn may
// drop the one that it is called with.
func (l *list[T]) oldest(fn func(*T) (enough bool)) {
	for n := l.end.prev; n != nil && n != &l.end; {
		before := n.prev
		if fn(n.is) {
			return
		}
		n = before
	}
}

// cache bounds what a store keeps in memory and open: slots of index blocks, and
// segments with descriptors. It belongs to the loop.
type cache struct {
	blocks    list[indexBlock] // whose slots may be dropped
	blocksMax int
	segs      list[segfile] // with a descriptor
	segsMax   int
	free      []*indexSlots
	closing   []File // given up, for the read worker to close
}

const (
	blocksMin = 64 // a read needs up to three at a time: with fewer, two reads could drop each other's for ever
	filesMin  = 8
	evictLook = 32 // of the oldest, to find some that can be given up
)

func newCache(indexBytes int64, filesMax int) cache {
	return cache{blocksMax: max(int(indexBytes/(blockBatches*8)), blocksMin), segsMax: max(filesMax, filesMin)}
}

// slots is memory for a new block.
func (c *cache) slots() *indexSlots {
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		return s
	}
	return new(indexSlots)
}

// keep counts a full block, as the one that was used last.
func (c *cache) keep(g *segfile, b *indexBlock) {
	b.seg = g
	c.blocks.use(b, &b.node)
	if c.blocks.count <= c.blocksMax {
		return
	}
	looked := 0
	c.blocks.oldest(func(old *indexBlock) bool {
		if old.seg.jobs == 0 && old != b {
			c.forgetSlots(old)
		}
		looked++
		return c.blocks.count <= c.blocksMax || looked > evictLook
	})
}

func (c *cache) forgetSlots(b *indexBlock) {
	c.blocks.drop(&b.node)
	if len(c.free) < blocksMin {
		c.free = append(c.free, b.slots)
	}
	b.slots = nil
}

// touch says that a block was used.
func (c *cache) touch(b *indexBlock) {
	if b.node.listed() {
		c.blocks.use(b, &b.node)
	}
}

// opened counts a segment with a descriptor, as the one that was used last, and gives up
// those of the oldest that nobody needs if there are too many.
func (c *cache) opened(g *segfile) {
	c.segs.use(g, &g.node)
	if c.segs.count <= c.segsMax {
		return
	}
	looked := 0
	c.segs.oldest(func(old *segfile) bool {
		if old != g && old.idle() {
			c.release(old)
		}
		looked++
		return c.segs.count <= c.segsMax || looked > evictLook
	})
}

// idle says that no job and no reader has anything to do with a segment.
func (g *segfile) idle() bool {
	return g.jobs == 0 && !g.loading && g.written == g.end && !g.unsynced && !g.pin.Held()
}

// release gives up the descriptors of a segment, and its index if that is on disk. What
// needs them opens and loads them again.
func (c *cache) release(g *segfile) {
	c.segs.drop(&g.node)
	if g.file != nil {
		c.closing = append(c.closing, g.file)
	}
	if g.w.file != nil && g.w.file != g.file {
		c.closing = append(c.closing, g.w.file)
	}
	g.file, g.w.file = nil, nil
	if g.sealed && g.indexed {
		c.forget(g)
	}
}

// forget drops the index of a segment.
func (c *cache) forget(g *segfile) {
	for _, b := range g.idx.blocks {
		if b.node.listed() {
			c.forgetSlots(b)
		}
	}
	g.idx, g.loaded = index{}, false
}

// adopt gives a segment the index that a job has made.
func (c *cache) adopt(g *segfile, x index) {
	core.Assert(!g.loaded, "an index was loaded twice")
	g.idx, g.loaded = x, true
	for _, b := range x.blocks {
		if b.slots != nil {
			c.keep(g, b)
		}
	}
}

// closeJob closes descriptors, on the read worker.
type closeJob struct{ files []File }

// Run ignores errors: the files were only read, or are synced.
func (j *closeJob) Run() {
	for _, f := range j.files {
		_ = f.Close()
	}
}

// Done implements core.Job.
func (j *closeJob) Done() {}

// closeReleased hands over the descriptors that were given up.
func (s *Store) closeReleased() {
	if len(s.cache.closing) > 0 {
		s.cfg.Read.Submit(&closeJob{append([]File(nil), s.cache.closing...)})
		clear(s.cache.closing)
		s.cache.closing = s.cache.closing[:0]
	}
}
