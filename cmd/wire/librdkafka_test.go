package wire

import (
	"context"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// rdkafka is confluent-kafka-go, over the librdkafka that it brings along.
type rdkafka struct{ addr, assignor string }

func TestConfluent(t *testing.T) {
	t.Parallel()
	testDriver(t, "confluent-kafka-go", func(v view) driver { return rdkafka{v.addr, "range"} })
}

func (d rdkafka) cooperative() driver { return rdkafka{d.addr, "cooperative-sticky"} }

func (d rdkafka) transactional(id string) error {
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": d.addr, "transactional.id": id,
		"go.logs.channel.enable": true, "go.logs.channel": make(chan kafka.LogEvent, 1000)})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := within()
	defer cancel()
	return p.InitTransactions(ctx)
}

func (d rdkafka) codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func (d rdkafka) create(topic string, parts int32, rf int16, settings map[string]string) error {
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": d.addr})
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := within()
	defer cancel()
	rs, err := a.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: topic, NumPartitions: int(parts), ReplicationFactor: int(rf), Config: settings}})
	if err == nil && rs[0].Error.Code() != kafka.ErrNoError {
		err = rs[0].Error
	}
	return err
}

func (d rdkafka) produce(topic, codec string, idempotent bool, rs []record) error {
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": d.addr, "acks": "all", "linger.ms": 5, "compression.type": codec,
		"enable.idempotence": idempotent, "message.max.bytes": 4 << 20, "batch.size": 1_000_000,
		"topic.metadata.propagation.max.ms": 1000})
	if err != nil {
		return err
	}
	defer p.Close()
	reports := make(chan kafka.Event, len(rs))
	for _, r := range rs {
		err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: r.part}, Key: r.key, Value: r.value,
			Timestamp: time.UnixMilli(r.ms), Headers: []kafka.Header{{Key: "h", Value: []byte(r.header)}}}, reports)
		if err != nil {
			return err
		}
	}
	end := time.After(patience)
	for range rs {
		select {
		case e := <-reports:
			if err := e.(*kafka.Message).TopicPartition.Error; err != nil {
				return err
			}
		case <-end:
			return context.DeadlineExceeded
		}
	}
	return nil
}

func fromRdkafka(m *kafka.Message) record {
	r := record{part: m.TopicPartition.Partition, offset: int64(m.TopicPartition.Offset), key: m.Key, value: m.Value, ms: m.Timestamp.UnixMilli()}
	if len(m.Headers) == 1 && m.Headers[0].Key == "h" {
		r.header = string(m.Headers[0].Value)
	}
	return r
}

func (d rdkafka) consumer(group string) (*kafka.Consumer, error) {
	return kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": d.addr, "group.id": group, "heartbeat.interval.ms": 300,
		"session.timeout.ms": 10000, "partition.assignment.strategy": d.assignor, "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 1000})
}

func (d rdkafka) fetch(topic string, part int32, from int64, n int) ([]record, error) {
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": d.addr, "group.id": "none", "auto.offset.reset": "error", "enable.auto.commit": false})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: part, Offset: kafka.Offset(from)}}); err != nil {
		return nil, err
	}
	var rs []record
	for end := time.Now().Add(patience); len(rs) < n; {
		if time.Now().After(end) {
			return rs, context.DeadlineExceeded
		}
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			rs = append(rs, fromRdkafka(e))
		case kafka.Error:
			return rs, e
		}
	}
	return rs, nil
}

func (d rdkafka) offsetAt(topic string, part int32, ms int64) (int64, error) {
	c, err := d.consumer("none")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ps, err := c.OffsetsForTimes([]kafka.TopicPartition{{Topic: &topic, Partition: part, Offset: kafka.Offset(ms)}}, int(patience.Milliseconds()))
	if err != nil {
		return 0, err
	}
	return int64(ps[0].Offset), ps[0].Error
}

type rdkafkaMember struct {
	c    *kafka.Consumer
	ch   chan record
	stop context.CancelFunc
	done chan struct{}
}

func (d rdkafka) join(group, topic string) (member, error) {
	c, err := d.consumer(group)
	if err != nil {
		return nil, err
	}
	if err := c.Subscribe(topic, nil); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &rdkafkaMember{c, make(chan record, 100_000), stop, make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if e, ok := c.Poll(50).(*kafka.Message); ok {
				m.ch <- fromRdkafka(e)
			}
		}
	}()
	return m, nil
}

func (m *rdkafkaMember) records() <-chan record { return m.ch }

func (m *rdkafkaMember) leave() error {
	m.stop()
	<-m.done
	return m.c.Close()
}
