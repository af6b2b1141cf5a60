package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstock/penstock/cmd/penstock/cli"
)

// places finds the offsets in partitions that an Offset means.
type places struct {
	to          cli.Offset
	start, high kadm.ListedOffsets
	times       kadm.ListedOffsets // of OffsetTime
}

func findPlaces(ctx context.Context, adm *kadm.Client, to cli.Offset, ts kadm.TopicDetails) (*places, error) {
	p := &places{to: to}
	var err error
	if p.start, p.high, err = ranges(ctx, adm, ts); err != nil {
		return nil, err
	}
	if to.Kind == cli.OffsetTime && len(ts) > 0 {
		p.times, err = some(adm.ListOffsetsAfterMilli(ctx, to.Time.UnixMilli(), ts.Names()...))
	}
	return p, err
}

// bounds are the log start and the high watermark of a partition.
func (p *places) bounds(topic string, partition int32) (start, high int64, err error) {
	s, ok1 := p.start.Lookup(topic, partition)
	h, ok2 := p.high.Lookup(topic, partition)
	if err := errors.Join(s.Err, h.Err); err != nil {
		return 0, 0, cli.Refusal(err, "")
	}
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("there is no partition %d; penstock topic describe %s shows those that exist", partition, topic)
	}
	return s.Offset, h.Offset, nil
}

// at is the offset in a partition, kept within its bounds; moved says that it was not
// within them. plus and minus are the places that OffsetPlus and OffsetMinus count from.
func (p *places) at(topic string, partition int32, plus, minus int64) (offset int64, moved bool, err error) {
	start, high, err := p.bounds(topic, partition)
	if err != nil {
		return 0, false, err
	}
	switch p.to.Kind {
	case cli.OffsetStart:
		offset = start
	case cli.OffsetEnd:
		offset = high
	case cli.OffsetAt:
		offset = p.to.N
	case cli.OffsetPlus:
		if offset = plus + p.to.N; offset < plus {
			offset = high // past all numbers
		}
	case cli.OffsetMinus:
		offset = minus - p.to.N
	case cli.OffsetTime:
		o, ok := p.times.Lookup(topic, partition)
		switch {
		case !ok:
			return 0, false, errors.New("the broker has not told the offset of the time")
		case o.Err != nil:
			return 0, false, cli.Refusal(o.Err, "")
		}
		if offset = o.Offset; offset < 0 {
			offset = high
		}
	}
	within := min(max(offset, start), high)
	return within, within != offset, nil
}
