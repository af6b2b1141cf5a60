package records

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// commitEvery is how much may be printed twice after a crash.
const commitEvery = time.Second

// groupOptions make a member. Between a poll and what follows from it the group does not
// move partitions, so what is printed here is committed here.
func (r *reading) groupOptions() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(r.group), kgo.BlockRebalanceOnPoll(), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitEvery),
		kgo.AdjustFetchOffsetsFn(r.assigned), kgo.OnPartitionsRevoked(r.revoked), kgo.OnPartitionsLost(r.lost),
	}
	if r.regex {
		opts = append(opts, kgo.ConsumeRegex())
	}
	return opts
}

// mark gives the group what was written out.
func (r *reading) mark() {
	commit := map[string]map[int32]kgo.EpochOffset{}
	for tp, o := range r.marks {
		if commit[tp.topic] == nil {
			commit[tp.topic] = map[int32]kgo.EpochOffset{}
		}
		commit[tp.topic][tp.partition] = o
	}
	r.cl.MarkCommitOffsets(commit)
	clear(r.marks)
}

// assigned says where to begin partitions that this member gets: where the group left off,
// or where -o says if it has committed nothing there.
func (r *reading) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	want := map[string][]int32{}
	for t, ps := range offsets {
		for p := range ps {
			want[t] = append(want[t], p)
		}
	}
	found, err := r.resolve.resolve(ctx, want)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			r.failed = err
		}
		return nil, err
	}
	for tp, b := range found {
		if at := offsets[tp.topic][tp.partition].EpochOffset(); at.Offset >= 0 {
			b.next, b.from = at.Offset, at.Offset
			continue
		}
		offsets[tp.topic][tp.partition] = kgo.NewOffset().At(b.from)
	}
	for tp, b := range found {
		r.bounds[tp] = b
	}
	return offsets, nil
}

// revoked commits what was printed of partitions that go to another member.
func (r *reading) revoked(ctx context.Context, cl *kgo.Client, gone map[string][]int32) {
	_ = cl.CommitMarkedOffsets(ctx) // what is not committed, the other member prints again
	r.lost(ctx, cl, gone)
}

func (r *reading) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, ps := range gone {
		for _, p := range ps {
			delete(r.bounds, topicPartition{t, p})
		}
	}
	r.bare = time.Now()
}
