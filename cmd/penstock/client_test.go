package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/codec/kafka"
)

// client is a plain Kafka client: one request at a time, and nothing is tried twice.
// Its methods return errors, so that any goroutine may use one.
type client struct {
	c    net.Conn
	next int32
}

func dialKafka(addr string) (*client, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{c: c}, nil
}

// connect is dialKafka for the test's own goroutine.
func connect(t *testing.T, addr string) *client {
	t.Helper()
	c, err := dialKafka(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func (c *client) close() { _ = c.c.Close() }

// frame is a request as it goes over the wire.
func (c *client) frame(req kmsg.Request) []byte {
	c.next++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, c.next)
}

// ask sends a request and reads its answer.
func (c *client) ask(req kmsg.Request) (kmsg.Response, error) {
	_ = c.c.SetDeadline(time.Now().Add(patience))
	if _, err := c.c.Write(c.frame(req)); err != nil {
		return nil, err
	}
	return c.answer(req)
}

// answer reads the answer to a request that has been sent.
func (c *client) answer(req kmsg.Request) (kmsg.Response, error) {
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	var head [4]byte
	if _, err := io.ReadFull(c.c, head[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.c, frame); err != nil {
		return nil, err
	}
	skip := 4
	if req.IsFlexible() && req.Key() != kafka.ApiVersions {
		skip++
	}
	resp := req.ResponseKind()
	return resp, resp.ReadFrom(frame[skip:])
}

// code makes an error of a Kafka error code.
func code(what string, n int16) error {
	switch n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %w", what, errOutOfRange)
	}
	return fmt.Errorf("%s: error code %d", what, n)
}

var errOutOfRange = errors.New("the offset is out of range")

func (c *client) createTopic(name string, partitions int, configs map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	req.TimeoutMillis = 60_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), 1
	for k, v := range configs {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = k, kmsg.StringPtr(v)
		t.Configs = append(t.Configs, cfg)
	}
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	return code("create topic "+name, resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

func (c *client) deleteTopic(name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.SetVersion(4)
	req.TimeoutMillis = 60_000
	req.TopicNames = []string{name}
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	return code("delete topic "+name, resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
}

// topics lists the topics that exist, with their numbers of partitions.
func (c *client) topics() (map[string]int, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.Topics = nil
	resp, err := c.ask(req)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if err := code("metadata of "+*t.Topic, t.ErrorCode); err != nil {
			return nil, err
		}
		out[*t.Topic] = len(t.Partitions)
	}
	return out, nil
}

// brokers lists where the brokers say that they are to be reached, by node id.
func (c *client) brokers() (map[int32]string, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := c.ask(req)
	if err != nil {
		return nil, err
	}
	out := map[int32]string{}
	for _, b := range resp.(*kmsg.MetadataResponse).Brokers {
		out[b.NodeID] = joinHostPort(b.Host, int(b.Port))
	}
	return out, nil
}

// producer asks for a producer id.
func (c *client) producer() (id int64, epoch int16, err error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.SetVersion(4)
	req.TransactionTimeoutMillis = 60_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := c.ask(req)
	if err != nil {
		return 0, 0, err
	}
	r := resp.(*kmsg.InitProducerIDResponse)
	return r.ProducerID, r.ProducerEpoch, code("init producer id", r.ErrorCode)
}

func produceRequest(topic string, partition int32, b []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = -1, 60_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, b
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produced reads the outcome of a produceRequest.
func produced(resp kmsg.Response) (base int64, err error) {
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, code("produce", p.ErrorCode)
}

func (c *client) produce(topic string, partition int32, b []byte) (base int64, err error) {
	resp, err := c.ask(produceRequest(topic, partition, b))
	if err != nil {
		return 0, err
	}
	return produced(resp)
}

func (c *client) deleteRecords(topic string, partition int32, to int64) (start int64, err error) {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.SetVersion(1)
	req.TimeoutMillis = 60_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, to
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(req)
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	return r.LowWatermark, code("delete records", r.ErrorCode)
}

func (c *client) commit(group, topic string, partition int32, at int64) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.SetVersion(8)
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	return code("commit", resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

// committed returns a group's offset, or -1.
func (c *client) committed(group, topic string, partition int32) (int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.SetVersion(7)
	req.Group = group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, t)
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		resp, err := c.ask(req)
		if err != nil {
			return 0, err
		}
		r := resp.(*kmsg.OffsetFetchResponse)
		if r.ErrorCode == coordinatorLoading && time.Now().Before(end) {
			continue
		}
		if err := code("offsets of "+group, r.ErrorCode); err != nil {
			return 0, err
		}
		return r.Topics[0].Partitions[0].Offset, nil
	}
}

const coordinatorLoading = 14

// start is the log start of a partition.
func (c *client) start(topic string, partition int32) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.SetVersion(6)
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, earliest
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.ask(req)
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return r.Offset, code("list offsets", r.ErrorCode)
}

const earliest = -2 // a timestamp of ListOffsets

// read calls fn for each record from the log start, which it returns, to the high
// watermark.
func (c *client) read(topic string, partition int32, fn func(offset int64, value []byte)) (start int64, err error) {
	start, err = c.start(topic, partition)
	for at := start; err == nil; {
		from := at
		at, err = c.readSome(topic, partition, at, fn)
		if at == from {
			break
		}
	}
	return start, err
}

// readSome calls fn for what one fetch brings, and returns where the next one begins:
// where this one did, if that is the high watermark.
func (c *client) readSome(topic string, partition int32, at int64, fn func(offset int64, value []byte)) (next int64, err error) {
	r, err := c.fetch(topic, partition, at)
	if err == nil {
		err = code("fetch", r.ErrorCode)
	}
	next = at
	for err == nil {
		b := r.RecordBatches
		n := batch.Size(b)
		if n == 0 || n > len(b) {
			break
		}
		var h batch.Header
		if h, err = batch.Valid(b[:n]); err != nil {
			break
		}
		err = batch.Records(b[:n], h, 64<<20, func(r batch.Record) error {
			if int64(r.Offset) >= at {
				fn(int64(r.Offset), r.Value)
			}
			return nil
		})
		next, r.RecordBatches = int64(h.Last())+1, b[n:]
	}
	if err == nil && next == at && at < r.HighWatermark {
		err = fmt.Errorf("nothing comes below the high watermark %d", r.HighWatermark)
	}
	if err != nil {
		err = fmt.Errorf("%s-%d at %d: %w", topic, partition, at, err)
	}
	return next, err
}

func fetchRequest(topic string, partition int32, at int64, max int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 0, max
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at, max
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func (c *client) fetch(topic string, partition int32, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	resp, err := c.ask(fetchRequest(topic, partition, at, 8<<20))
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := code("fetch", r.ErrorCode); err != nil {
		return nil, err
	}
	return &r.Topics[0].Partitions[0], nil
}

// oneBatch is a batch of records without keys, of no producer.
func oneBatch(values ...string) []byte {
	var w batch.Builder
	for _, v := range values {
		w.Add(1_700_000_000_000, nil, []byte(v))
	}
	return w.Finish()
}
