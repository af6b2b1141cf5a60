package records

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

func (tp topicPartition) String() string { return fmt.Sprintf("%s/%d", tp.topic, tp.partition) }

// never is the end of what has no end.
const never = int64(1<<63 - 1)

// bounds are the offsets of one partition that are to be read: next <= offset < stop.
//
// Invariant: from <= next, and next only grows; a partition is done when next >= stop.
type bounds struct {
	from       int64 // where reading begins: next, or the end of the log if that is less
	next, stop int64
}

func (b bounds) done() bool { return b.next >= b.stop }

// resolver turns a span into the bounds of partitions. It asks the broker, by ListOffsets,
// for nothing that the span does not need.
type resolver struct {
	adm       *kadm.Client
	span      span
	toEnd     bool // -e: where nothing is said, the end is the end of the log
	committed bool // the log ends where the last open transaction begins
}

// resolve finds the bounds of these partitions of topics. Partitions is nil for all.
func (r *resolver) resolve(ctx context.Context, want map[string][]int32) (map[topicPartition]*bounds, error) {
	topics := slices.Sorted(maps.Keys(want))
	if len(topics) == 0 {
		return nil, nil
	}
	q := question{r: r, ctx: ctx, topics: topics, answers: map[int64]kadm.ListedOffsets{}}
	out := map[topicPartition]*bounds{}
	for _, t := range topics {
		for _, p := range want[t] {
			q.tp = topicPartition{t, p}
			b := &bounds{stop: never}
			begin := q.offset(r.span.begin, 0)
			b.next = max(begin, q.listed(startOfLog))
			b.from = b.next
			if place := r.span.begin.place; place == atExact || place == afterStart {
				b.from = min(b.next, q.listed(endOfLog))
			}
			if r.toEnd {
				b.stop = q.listed(endOfLog)
			}
			if r.span.bounded() { // with -e the log may end before the range does
				stop := q.offset(r.span.end, begin)
				if !r.toEnd || stop < b.stop {
					b.stop = stop
				}
			}
			if q.err != nil {
				return nil, q.err
			}
			out[q.tp] = b
		}
	}
	return out, nil
}

// ListOffsets' names for the two ends of a log.
const (
	startOfLog = -2
	endOfLog   = -1
)

// question is a resolver at work on one partition. The first error stays.
type question struct {
	r       *resolver
	ctx     context.Context
	topics  []string
	answers map[int64]kadm.ListedOffsets // by time, or by the names of the two ends
	tp      topicPartition
	err     error
}

// offset is the offset of a position; begin is that of the range, if it has one.
func (q *question) offset(p position, begin int64) int64 {
	switch p.place {
	case atEnd:
		return q.listed(endOfLog)
	case atExact:
		return p.n
	case afterStart:
		return q.listed(startOfLog) + p.n
	case beforeEnd:
		return max(q.listed(endOfLog)-p.n, q.listed(startOfLog))
	case atTime:
		return q.atTime(p.n)
	case timeAfter:
		return q.atTime(q.r.span.begin.n + p.n)
	case afterBegin:
		return max(begin, q.listed(startOfLog)) + p.n
	}
	return q.listed(startOfLog)
}

// atTime is the offset of the first record that is not older, or the end of the log.
func (q *question) atTime(ms int64) int64 {
	if at := q.listed(max(ms, 0)); at >= 0 {
		return at
	}
	return q.listed(endOfLog)
}

func (q *question) listed(at int64) int64 {
	if q.err != nil {
		return 0
	}
	answer, asked := q.answers[at]
	if !asked {
		switch adm := q.r.adm; {
		case at == startOfLog:
			answer, q.err = adm.ListStartOffsets(q.ctx, q.topics...)
		case at == endOfLog && q.r.committed:
			answer, q.err = adm.ListCommittedOffsets(q.ctx, q.topics...)
		case at == endOfLog:
			answer, q.err = adm.ListEndOffsets(q.ctx, q.topics...)
		default:
			answer, q.err = adm.ListOffsetsAfterMilli(q.ctx, at, q.topics...)
		}
		if q.err != nil {
			return 0
		}
		q.answers[at] = answer
	}
	o, ok := answer.Lookup(q.tp.topic, q.tp.partition)
	switch {
	case !ok:
		q.err = fmt.Errorf("the broker lists no offset of %s: the partition has gone", q.tp)
	case o.Err != nil:
		q.err = fmt.Errorf("the offsets of %s: %w", q.tp, o.Err)
	}
	return o.Offset
}

// selected are the partitions to read: all of the topics, or those that -p names.
func selected(ctx context.Context, adm *kadm.Client, topics []string, regex bool, parts []int32) (map[string][]int32, error) {
	var match func(string) bool
	if regex {
		var err error
		if match, err = matcher(topics); err != nil {
			return nil, err
		}
		topics = nil
	}
	m, err := adm.Metadata(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := map[string][]int32{}
	for name, t := range m.Topics {
		if regex && (t.IsInternal || !match(name)) {
			continue
		}
		if t.Err != nil {
			return nil, noTopic(ctx, adm, name, t.Err)
		}
		have := t.Partitions.Numbers()
		if len(parts) == 0 {
			out[name] = have
			continue
		}
		for _, p := range parts {
			if !slices.Contains(have, p) {
				return nil, cli.Fail(cli.ExitFailed, "%s has no partition %d: it has %d, numbered from 0; penstock topic describe %s shows them", name, p, len(have), name)
			}
		}
		out[name] = parts
	}
	return out, nil
}

// noTopic says that a topic cannot be read or written, and which name may be meant.
func noTopic(ctx context.Context, adm *kadm.Client, name string, err error) error {
	if !isUnknownTopic(err) {
		return fmt.Errorf("the topic %s: %w", name, err)
	}
	var known []string
	if all, err := adm.ListTopics(ctx); err == nil {
		known = all.Names()
	}
	return cli.Fail(cli.ExitFailed, "there is no topic %q%s", name, cli.Hint(name, known, "penstock topic list lists them, penstock topic create "+name+" makes it"))
}

// after asks the leader of a partition whether anything is left to read between next and
// stop. What was compacted away and what a transaction left behind takes offsets and is
// never delivered, so that a reader would wait for it for ever.
func (r *resolver) after(ctx context.Context, cl *kgo.Client, tp topicPartition, b bounds) (next int64, err error) {
	m, err := r.adm.Metadata(ctx, tp.topic)
	if err != nil {
		return b.next, err
	}
	t := m.Topics[tp.topic]
	if t.Err != nil {
		return b.next, t.Err
	}
	req := kmsg.NewPtrFetchRequest()
	level := kgo.ReadUncommitted()
	if r.committed {
		level, req.IsolationLevel = kgo.ReadCommitted(), 1
	}
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, 1<<20
	rt, rp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	rt.Topic, rt.TopicID = tp.topic, t.ID
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = tp.partition, b.next, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := cl.Broker(int(t.Partitions[tp.partition].Leader)).Request(ctx, req)
	if err != nil {
		return b.next, err
	}
	topics := resp.(*kmsg.FetchResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return b.next, nil
	}
	answer := &topics[0].Partitions[0]
	o := kgo.ProcessFetchPartitionOpts{Offset: b.next, Topic: tp.topic, Partition: tp.partition, IsolationLevel: level}
	fp, next := kgo.ProcessFetchPartition(o, answer, kgo.DefaultDecompressor(), nil)
	switch {
	case errors.Is(fp.Err, kerr.OffsetOutOfRange): // trimmed away meanwhile
		starts, err := r.adm.ListStartOffsets(ctx, tp.topic)
		start, _ := starts.Lookup(tp.topic, tp.partition)
		if err = errors.Join(err, start.Err); err != nil {
			return b.next, err
		}
		next = start.Offset
	case kerr.IsRetriable(fp.Err):
		return b.next, nil
	case fp.Err != nil:
		return b.next, fp.Err
	case len(fp.Records) > 0:
		next = fp.Records[0].Offset
	}
	return max(b.next, next), nil
}

func joined[T any](of []T) string {
	var b strings.Builder
	for i, v := range of {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v)
	}
	return b.String()
}
