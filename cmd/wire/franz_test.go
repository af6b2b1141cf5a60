package wire

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go; a nil assignor is range.
type franz struct {
	addr     string
	assignor kgo.GroupBalancer
}

func TestFranz(t *testing.T) {
	t.Parallel()
	testDriver(t, "franz-go", func(v view) driver { return franz{v.addr, nil} })
}

func (f franz) cooperative() driver { return franz{f.addr, kgo.CooperativeStickyBalancer()} }

func (f franz) transactional(id string) error {
	c, err := f.client(kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := within()
	defer cancel()
	_, _, err = c.ProducerID(ctx)
	return err
}

func (f franz) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (f franz) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(f.addr))...)
}

func (f franz) create(topic string, parts int32, rf int16, settings map[string]string) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := within()
	defer cancel()
	set := map[string]*string{}
	for k, v := range settings {
		set[k] = kadm.StringPtr(v)
	}
	_, err = kadm.NewClient(c).CreateTopic(ctx, parts, rf, set, topic)
	return err
}

func (f franz) produce(topic, codec string, idempotent bool, rs []record) error {
	by := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(by[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.ProducerBatchMaxBytes(4 << 20)}
	if len(rs) != 1 { // the one record that is too large must reach the broker
		opts = append(opts, kgo.ProducerBatchMaxBytes(1_000_000))
	}
	if !idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	c, err := f.client(opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := within()
	defer cancel()
	var out []*kgo.Record
	for _, r := range rs {
		out = append(out, &kgo.Record{Topic: topic, Partition: r.part, Key: r.key, Value: r.value,
			Timestamp: time.UnixMilli(r.ms), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(r.header)}}})
	}
	return c.ProduceSync(ctx, out...).FirstErr()
}

func fromFranz(r *kgo.Record) record {
	out := record{part: r.Partition, offset: r.Offset, key: r.Key, value: r.Value, ms: r.Timestamp.UnixMilli()}
	if len(r.Headers) == 1 && r.Headers[0].Key == "h" {
		out.header = string(r.Headers[0].Value)
	}
	return out
}

func (f franz) fetch(topic string, part int32, from int64, n int) ([]record, error) {
	c, err := f.client(kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {part: kgo.NewOffset().At(from)}}))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := within()
	defer cancel()
	var rs []record
	for len(rs) < n {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return rs, err
		}
		fs.EachRecord(func(r *kgo.Record) { rs = append(rs, fromFranz(r)) })
	}
	return rs[:n], nil
}

func (f franz) offsetAt(topic string, part int32, ms int64) (int64, error) {
	c, err := f.client()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := within()
	defer cancel()
	os, err := kadm.NewClient(c).ListOffsetsAfterMilli(ctx, ms, topic)
	if err != nil {
		return 0, err
	}
	o, _ := os.Lookup(topic, part)
	return o.Offset, o.Err
}

type franzMember struct {
	c    *kgo.Client
	ch   chan record
	stop context.CancelFunc
}

func (f franz) join(group, topic string) (member, error) {
	assignor := f.assignor
	if assignor == nil {
		assignor = kgo.RangeBalancer()
	}
	c, err := f.client(kgo.ConsumerGroup(group), kgo.Balancers(assignor), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.SessionTimeout(10*time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &franzMember{c, make(chan record, 100_000), stop}
	go func() {
		for ctx.Err() == nil {
			c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { m.ch <- fromFranz(r) })
		}
	}()
	return m, nil
}

func (m *franzMember) records() <-chan record { return m.ch }

func (m *franzMember) leave() error {
	m.stop()
	ctx, cancel := within()
	defer cancel()
	err := m.c.CommitUncommittedOffsets(ctx)
	m.c.Close()
	return err
}
