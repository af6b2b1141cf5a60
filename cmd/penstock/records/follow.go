package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

const (
	idle    = 250 * time.Millisecond // without records, before it is asked whether any are left
	refresh = 5 * time.Second        // between looks for new topics and partitions
)

// reading is a run of consume.
type reading struct {
	*consumer
	cl      *kgo.Client
	asking  *kgo.Client // for questions: those of cl stand behind its fetches, which wait for records
	adm     *kadm.Client
	resolve resolver
	bounded bool // it ends by itself
	talk    io.Writer
	print   printer
	printed int64

	// mu guards what follows from the callbacks of a group, which come from goroutines of
	// the client: the partitions that are read, and since when there are none.
	mu     sync.Mutex
	bounds map[topicPartition]*bounds
	bare   time.Time
	failed error // of a callback

	marks map[topicPartition]kgo.EpochOffset // printed, and perhaps not written yet
	away  bool                               // no broker answered the last time
}

func newReading(c *consumer, cmd *cobra.Command) *reading {
	return &reading{consumer: c, bounded: c.exit || c.span.bounded(), talk: cmd.ErrOrStderr(),
		print: printer{w: cmd.OutOrStdout(), write: c.write}, bounds: map[topicPartition]*bounds{}, marks: map[topicPartition]kgo.EpochOffset{}}
}

// begin finds the partitions and their bounds. A group finds its own in assigned.
func (r *reading) begin(ctx context.Context) error {
	r.resolve = resolver{r.adm, r.span, r.exit, r.committed}
	asking, cancel := context.WithTimeout(ctx, r.conn.Timeout)
	defer cancel()
	want, err := selected(asking, r.adm, r.topics, r.regex, r.numbers)
	if err != nil {
		return err
	}
	if len(want) == 0 && r.bounded {
		return cli.Fail(cli.ExitFailed, "no topic fits %s; penstock topic list shows those that exist", joined(r.topics))
	} else if len(want) == 0 {
		note(r.talk, "no topic fits %s yet; waiting for one (Ctrl-C ends)", joined(r.topics))
	}
	r.bare = time.Now()
	if r.group != "" {
		r.cl, err = r.conn.Client(r.options(r)...)
		return err
	}
	found, err := r.resolve.resolve(asking, want)
	if err != nil {
		return err
	}
	if r.cl, err = r.conn.Client(r.options(r)...); err == nil {
		r.add(found)
	}
	return err
}

// add reads these partitions too.
func (r *reading) add(found map[topicPartition]*bounds) {
	from := map[string]map[int32]kgo.Offset{}
	for tp, b := range found {
		r.bounds[tp] = b
		if b.done() {
			continue
		}
		if from[tp.topic] == nil {
			from[tp.topic] = map[int32]kgo.Offset{}
		}
		from[tp.topic][tp.partition] = kgo.NewOffset().At(b.from)
	}
	r.cl.AddConsumePartitions(from)
}

// follow reads until the bounds are reached, ctx ends, or nothing can be read any more.
func (r *reading) follow(ctx context.Context) error {
	looked, waiting := time.Now(), false
	for !r.over() {
		wait := refresh
		if r.bounded || !waiting {
			wait = idle
		}
		polling, cancel := context.WithTimeout(ctx, wait)
		fetches := r.cl.PollFetches(polling)
		cancel()
		err := r.take(fetches)
		if r.group != "" {
			r.cl.AllowRebalance()
		}
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fetches.NumRecords() > 0:
		case r.bounded:
			if err := r.skip(ctx); err != nil {
				return err
			}
			if !waiting && !r.exit && r.group == "" && !r.over() && terminal(r.talk) {
				note(r.talk, "waiting for records of %s, which do not reach the end of the range yet (Ctrl-C ends; -e does not wait)", joined(r.topics))
			}
			waiting = true
		case !waiting:
			waiting = true
			if r.printed == 0 && terminal(r.talk) {
				note(r.talk, "waiting for records of %s (Ctrl-C ends)", joined(r.topics))
			}
		}
		if !r.exit && !r.span.bounded() && time.Since(looked) > refresh {
			r.refresh(ctx)
			looked = time.Now()
		}
	}
	return nil
}

// over says that there is nothing left to read.
func (r *reading) over() bool {
	if r.count > 0 && r.printed >= r.count {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return true
	}
	if !r.bounded {
		return false
	}
	for _, b := range r.bounds {
		if !b.done() {
			return false
		}
	}
	// A member that has no partitions may get some when the group has settled.
	return r.group == "" || len(r.bounds) > 0 || time.Since(r.bare) > r.conn.Timeout
}

// take prints what a poll brought, and then marks it for the group to commit.
func (r *reading) take(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		return fmt.Errorf("%s: %w", topicPartition{e.Topic, e.Partition}, cli.Refusal(e.Err, ""))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		tp := topicPartition{p.Topic, p.Partition}
		if b := r.bounds[tp]; b != nil && err == nil && !b.done() {
			if err = r.partition(tp, b, &p.FetchPartition); err == nil && b.done() && r.group == "" { // a group may bring it back
				r.cl.PauseFetchPartitions(map[string][]int32{tp.topic: {tp.partition}})
			}
		}
	})
	if err == nil {
		err = r.print.flush()
	}
	if err == nil && r.group != "" {
		r.mark()
	}
	return err
}

// partition prints the records of one partition that are within its bounds.
func (r *reading) partition(tp topicPartition, b *bounds, p *kgo.FetchPartition) error {
	var last *kgo.Record
	for _, rec := range p.Records {
		if rec.Offset < b.next {
			continue
		}
		if rec.Offset >= b.stop || r.count > 0 && r.printed >= r.count {
			if rec.Offset >= b.stop {
				b.next = b.stop
			}
			break
		}
		if err := r.print.record(p, rec); err != nil {
			return err
		}
		r.printed++
		b.next, last = rec.Offset+1, rec
	}
	if last != nil {
		r.marks[tp] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
	}
	return nil
}

// skip moves on partitions behind offsets that no record has, so that they can end.
func (r *reading) skip(ctx context.Context) error {
	r.mu.Lock()
	left := map[topicPartition]bounds{}
	for tp, b := range r.bounds {
		if !b.done() {
			left[tp] = *b
		}
	}
	r.mu.Unlock()
	asking, cancel := context.WithTimeout(ctx, r.conn.Timeout)
	defer cancel()
	for tp, b := range left {
		next, err := r.resolve.after(asking, r.asking, tp, b)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", tp, cli.Refusal(err, ""))
		}
		r.mu.Lock()
		if now := r.bounds[tp]; now != nil && now.next == b.next && next >= now.stop {
			now.next = now.stop
		}
		r.mu.Unlock()
	}
	return nil
}

// refresh looks for partitions that were made meanwhile, and says when no broker answers
// and when one does again.
func (r *reading) refresh(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, r.conn.Timeout)
	defer cancel()
	want, err := selected(asking, r.adm, r.topics, r.regex, r.numbers)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		if !r.away {
			note(r.talk, "%s; trying again", cli.Refusal(r.conn.Unreachable(err), ""))
		}
		r.away = true
		return
	case r.away:
		note(r.talk, "a broker answers again")
		r.away = false
	}
	if r.group != "" {
		return
	}
	fresh := map[topicPartition]*bounds{}
	for t, ps := range want {
		for _, p := range ps {
			if tp := (topicPartition{t, p}); r.bounds[tp] == nil {
				fresh[tp] = &bounds{stop: never}
			}
		}
	}
	if len(fresh) > 0 {
		r.add(fresh)
	}
}

// end commits what was printed and leaves the group.
func (r *reading) end() error {
	r.mu.Lock()
	failed := r.failed
	r.mu.Unlock()
	if r.group == "" {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.conn.Timeout)
	defer cancel()
	err := r.cl.CommitMarkedOffsets(ctx)
	if err != nil {
		err = fmt.Errorf("what was printed last is not committed, the group %s will see it again: %w", r.group, cli.Refusal(err, ""))
	}
	return errors.Join(failed, err, leave(ctx, r.cl))
}

// leave tells the group at once; without it the others would wait for the session to end.
func leave(ctx context.Context, cl *kgo.Client) error {
	if err := cl.LeaveGroupContext(ctx); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("leave the group: %w", err)
	}
	return nil
}
