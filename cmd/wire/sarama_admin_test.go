package wire

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// testSarama runs the cases of all drivers, and the ClusterAdmin of sarama, which asks in
// versions of its own choice.
func testSarama(t *testing.T, name string, version *sarama.KafkaVersion) {
	t.Parallel()
	testDriver(t, name, func(v view) driver { return sar{v.addr, version} })
	for _, v := range views {
		prefix := fmt.Sprintf("%s-%s-%d", name, v.name, runSerial)
		runCase(t, name, "admin-topics", v.name, func() error { return saramaTopics(sar{v.addr, version}, prefix+"-admin", v.nodes) })
		runCase(t, name, "admin-groups", v.name, func() error { return saramaGroups(sar{v.addr, version}, prefix+"-groups") })
	}
}

// later says whether this configuration has what came after Kafka 1.0: DescribeConfigs in a
// version that is still served, and DeleteGroups.
func (s sar) later() bool { return s.version == nil || *s.version != sarama.V1_0_0_0 }

func saramaTopics(s sar, topic string, nodes int) error {
	if err := ready(s, topic, 2); err != nil {
		return err
	}
	a, err := sarama.NewClusterAdmin([]string{s.addr}, s.config())
	if err != nil {
		return err
	}
	defer a.Close()
	if brokers, controller, err := a.DescribeCluster(); err != nil || len(brokers) != nodes || controller < 0 {
		return fmt.Errorf("%d brokers, controller %d, %w", len(brokers), controller, err)
	}
	hour := "3600000"
	if err := a.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &hour}, false); err != nil {
		return err
	}
	if s.later() {
		got, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		if err != nil || len(got) != 1 || got[0].Value != hour {
			return fmt.Errorf("retention.ms is %v, %w", got, err)
		}
	}
	if err := ready(s, topic+"-more", 1); err != nil {
		return err
	}
	if err := a.CreatePartitions(topic+"-more", 4, nil, false); err != nil {
		return err
	}
	if got, err := a.DescribeTopics([]string{topic + "-more"}); err != nil || len(got) != 1 || len(got[0].Partitions) != 4 {
		return fmt.Errorf("the topic is %+v, want 4 partitions, %w", got, err)
	}
	if err := s.produce(topic, "none", false, sample(10, 1)); err != nil {
		return err
	}
	if err := a.DeleteRecords(topic, map[int32]int64{0: 4}); err != nil {
		return err
	}
	if start, err := s.offsetAt(topic, 0, sarama.OffsetOldest); err != nil || start != 4 {
		return fmt.Errorf("the log starts at %d, want 4, %w", start, err)
	}
	if err := a.DeleteTopic(topic); err != nil {
		return err
	}
	return refused("deleting twice", a.DeleteTopic(topic), "not exist")
}

func saramaGroups(s sar, topic string) error {
	if err := ready(s, topic, 1); err != nil {
		return err
	}
	if err := s.produce(topic, "none", false, sample(10, 1)); err != nil {
		return err
	}
	m, err := s.join(topic, topic)
	if err != nil {
		return err
	}
	end := time.After(patience)
	for n := range 10 {
		select {
		case <-m.records():
		case <-end:
			return errors.Join(fmt.Errorf("%d records of 10 came", n), m.leave())
		}
	}
	a, err := sarama.NewClusterAdmin([]string{s.addr}, s.config())
	if err != nil {
		return err
	}
	defer a.Close()
	d, err := a.DescribeConsumerGroups([]string{topic})
	if err != nil || len(d) != 1 || d[0].State != "Stable" || len(d[0].Members) != 1 {
		return fmt.Errorf("the group is %+v, %w", d, err)
	}
	if err := m.leave(); err != nil { // commits what was marked
		return err
	}
	if all, err := a.ListConsumerGroups(); err != nil || all[topic] != "consumer" {
		return fmt.Errorf("the list of groups says %q, %w", all[topic], err)
	}
	offsets, err := a.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	if b := offsets.GetBlock(topic, 0); b == nil || b.Offset != 10 {
		return fmt.Errorf("committed is %+v, want 10", b)
	}
	if !s.later() {
		return nil
	}
	return a.DeleteConsumerGroup(topic)
}
