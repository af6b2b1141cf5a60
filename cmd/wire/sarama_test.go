package wire

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// sar is sarama; version nil is its default configuration. The old one takes the versions
// that its configuration implies without asking the broker.
type sar struct {
	addr    string
	version *sarama.KafkaVersion
}

func TestSarama(t *testing.T)    { testSarama(t, "sarama", nil) }
func TestSaramaAs2(t *testing.T) { testSarama(t, "sarama-as-2.0", &sarama.V2_0_0_0) }
func TestSaramaAs1(t *testing.T) { testSarama(t, "sarama-as-1.0", &sarama.V1_0_0_0) }

func (s sar) config() *sarama.Config {
	c := sarama.NewConfig()
	if s.version != nil {
		c.Version = *s.version
		c.ApiVersionsRequest = false
	}
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	c.Producer.Retry.Max = 20 // a new topic's leader may need a moment
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return c
}

func (s sar) codecs() []string {
	if s.version != nil { // zstd is younger than 2.0
		return []string{"none", "gzip", "snappy", "lz4"}
	}
	return []string{"none", "gzip", "snappy", "lz4", "zstd"}
}

func (s sar) create(topic string, parts int32, rf int16, settings map[string]string) error {
	a, err := sarama.NewClusterAdmin([]string{s.addr}, s.config())
	if err != nil {
		return err
	}
	defer a.Close()
	set := map[string]*string{}
	for k, v := range settings {
		set[k] = &v
	}
	return a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: parts, ReplicationFactor: rf, ConfigEntries: set}, false)
}

func (s sar) produce(topic, codec string, idempotent bool, rs []record) error {
	c := s.config()
	if err := c.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return err
	}
	c.Producer.RequiredAcks = sarama.WaitForAll
	if len(rs) == 1 { // the one record that is too large must reach the broker
		c.Producer.MaxMessageBytes = 4 << 20
	}
	if idempotent {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	p, err := sarama.NewSyncProducer([]string{s.addr}, c)
	if err != nil {
		return err
	}
	defer p.Close()
	var out []*sarama.ProducerMessage
	for _, r := range rs {
		out = append(out, &sarama.ProducerMessage{Topic: topic, Partition: r.part, Key: sarama.ByteEncoder(r.key), Value: sarama.ByteEncoder(r.value),
			Timestamp: time.UnixMilli(r.ms), Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(r.header)}}})
	}
	err = p.SendMessages(out)
	if all, ok := err.(sarama.ProducerErrors); ok && len(all) > 0 {
		return all[0].Err
	}
	return err
}

func fromSarama(m *sarama.ConsumerMessage) record {
	r := record{part: m.Partition, offset: m.Offset, key: m.Key, value: m.Value, ms: m.Timestamp.UnixMilli()}
	if len(m.Headers) == 1 && string(m.Headers[0].Key) == "h" {
		r.header = string(m.Headers[0].Value)
	}
	return r
}

func (s sar) fetch(topic string, part int32, from int64, n int) ([]record, error) {
	c, err := sarama.NewConsumer([]string{s.addr}, s.config())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	p, err := c.ConsumePartition(topic, part, from)
	if err != nil {
		return nil, err
	}
	defer p.AsyncClose()
	var rs []record
	end := time.After(patience)
	for len(rs) < n {
		select {
		case m := <-p.Messages():
			rs = append(rs, fromSarama(m))
		case err := <-p.Errors():
			return rs, err
		case <-end:
			return rs, context.DeadlineExceeded
		}
	}
	return rs, nil
}

func (s sar) transactional(id string) error {
	c := s.config()
	c.Producer.Transaction.ID, c.Producer.Idempotent, c.Net.MaxOpenRequests = id, true, 1
	c.Producer.RequiredAcks, c.Producer.Transaction.Retry.Max = sarama.WaitForAll, 3
	p, err := sarama.NewAsyncProducer([]string{s.addr}, c)
	if err == nil {
		p.AsyncClose()
	}
	return err
}

func (s sar) offsetAt(topic string, part int32, ms int64) (int64, error) {
	c, err := sarama.NewClient([]string{s.addr}, s.config())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.GetOffset(topic, part, ms)
}

type sarMember struct {
	g    sarama.ConsumerGroup
	ch   chan record
	stop context.CancelFunc
	done chan struct{}
}

func (s sar) join(group, topic string) (member, error) {
	c := s.config()
	c.Consumer.Return.Errors = false
	g, err := sarama.NewConsumerGroup([]string{s.addr}, group, c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &sarMember{g, make(chan record, 100_000), stop, make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if g.Consume(ctx, []string{topic}, m) != nil {
				return
			}
		}
	}()
	return m, nil
}

func (m *sarMember) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (m *sarMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *sarMember) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for r := range c.Messages() {
		m.ch <- fromSarama(r)
		s.MarkMessage(r, "")
	}
	return nil
}

func (m *sarMember) records() <-chan record { return m.ch }

func (m *sarMember) leave() error {
	m.stop()
	<-m.done
	return m.g.Close()
}
