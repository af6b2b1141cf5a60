package shard

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock/core"
)

// BenchmarkOneAppendAmongPartitions is a turn with one synced append, its commit and its
// answer, on a shard with so many partitions. It must not grow with them: per turn a
// shard looks at what is dirty only.
func BenchmarkOneAppendAmongPartitions(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		for _, dirty := range []int{1, 100, 1000} {
			if dirty > n {
				continue
			}
			b.Run(fmt.Sprintf("%d/%d-in-turn", n, dirty), func(b *testing.B) {
				r, tp := manyPartitions(b, n)
				f := r.open(0, 1)
				f.keep = false
				r.idle = true
				data := makeBatch(-1, -1, -1, 1, 100)
				for i := range n { // all of them have been written to
					r.append(f, part(tp, i), data)
				}
				r.pass(3 * time.Second) // and are idle
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r.append(f, part(tp, i%dirty), data)
				}
			})
		}
	}
}

// BenchmarkAnIdleTick is a tick of the store when nothing is dirty.
func BenchmarkAnIdleTick(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := manyPartitions(b, n)
			for b.Loop() {
				r.now += r.shards[0].store.NextTick()
				r.pump()
			}
		})
	}
}

// BenchmarkOneTopicCreatedAmong is a change of the catalog as a shard takes it in.
func BenchmarkOneTopicCreatedAmong(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var topics []*core.Topic
			for i := range n {
				t := topic(fmt.Sprintf("%06d", i), core.Synced)
				topics = append(topics, t)
			}
			r := newRig(b, 1, topics...)
			one, two := r.catalog.Load(), core.NewCatalog(2, 5, append(topics[:len(topics):len(topics)], topic("z", core.Synced)))
			for i := 0; b.Loop(); i++ {
				if r.catalog.Store(one); i%2 == 0 {
					r.catalog.Store(two)
				}
				r.shards[0].adopt()
			}
		})
	}
}

// manyPartitions is one shard with one topic of n partitions.
func manyPartitions(b testing.TB, n int) (*rig, *core.Topic) {
	tp := topic("t", core.Synced)
	r := newRig(b, 1, tp)
	wide := *tp
	wide.Partitions = make([]core.ShardID, n)
	r.catalog.Store(core.NewCatalog(2, 5, []*core.Topic{&wide}))
	r.shards[0].adopt()
	r.pump()
	return r, &wide
}
