package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
)

// scenes is what TestTranscripts plays, by API: the requests that are recorded, and what
// has to be there before, which is not.
var scenes = map[int16]func(*recorder){
	codec.Produce: func(r *recorder) {
		id := r.topic("t", 2)
		r.say("one batch for a partition that is there, and one that is not", produceOf("t", id, -1, someBatch(2, nil), someBatch(1, nil), someBatch(1, nil)))
		r.say("a batch with a wrong CRC", produceOf("t", id, 1, append(someBatch(1, nil)[:60], 9, 9, 9, 9, 9, 9, 9, 9)))
		r.say("a topic that is not there", produceOf("nowhere", core.TopicID{9}, 1, someBatch(1, nil)))
		req := produceOf("t", id, 2, someBatch(1, nil))
		r.say("acks that do not exist", req)
		req = produceOf("t", id, -1, someBatch(1, nil))
		req.TransactionID = text("tx")
		r.say("a transaction", req)
		r.say("without acks there is no answer", produceOf("t", id, 0, someBatch(1, nil)))
		r.say("and an error closes the connection", produceOf("nowhere", core.TopicID{9}, 0, someBatch(1, nil)))
	},
	codec.Fetch: func(r *recorder) {
		id := r.topic("t", 3)
		r.helper().ask(produceOf("t", id, -1, someBatch(2, nil), someBatch(1, nil)), 13)
		r.say("records, records from within a batch, nothing, and no such partition", fetchOf("t", id, 0, 1, 0, 0, 0, 0))
		req := fetchOf("t", id, 500, 1, 1, 2)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch, req.IsolationLevel = 7, 1
		r.say("an epoch of the future, and an offset out of range", req)
		r.say("a topic that is not there", fetchOf("nowhere", core.TopicID{9}, 500, 1, 0))
		if r.version >= 7 {
			req = fetchOf("t", id, 0, 1, 2)
			req.SessionID, req.SessionEpoch = 5, 1
			r.say("a session that is not there", req)
		}
	},
	codec.ListOffsets: func(r *recorder) {
		id := r.topic("t", 1)
		r.helper().ask(produceOf("t", id, -1, someBatch(3, nil)), 13)
		for _, c := range []struct {
			what string
			at   int64
		}{{"the earliest", -2}, {"the latest", -1}, {"the largest timestamp", -3}, {"by time", 1_000_000}, {"after the last", 1_000_001}, {"a special timestamp that is not one", -9}} {
			r.say(c.what, &kmsg.ListOffsetsRequest{ReplicaID: -1, TimeoutMillis: 1000, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: "t",
				Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: c.at, CurrentLeaderEpoch: -1}}}}})
		}
		r.say("no such partition", &kmsg.ListOffsetsRequest{ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: "t",
			Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: 7, CurrentLeaderEpoch: -1}}}}})
	},
	codec.Metadata: func(r *recorder) {
		r.topic("t", 2)
		all := kmsg.NewPtrMetadataRequest()
		r.say("all topics", all)
		some := kmsg.NewPtrMetadataRequest()
		for _, name := range []string{"t", "not/valid", "made.by.asking"} {
			some.Topics = append(some.Topics, kmsg.MetadataRequestTopic{Topic: &name})
		}
		some.AllowAutoTopicCreation = true
		r.say("a topic that is there, one that cannot be, and one that is made", some)
		if r.version >= 4 {
			none := kmsg.NewPtrMetadataRequest()
			none.Topics = []kmsg.MetadataRequestTopic{{Topic: text("nowhere")}}
			r.say("a topic that is not to be made", none)
		}
	},
	codec.ApiVersions: func(r *recorder) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = "a-client", "1.0", -1
		r.say("what is served", req)
		if r.version >= 3 {
			req.ClientSoftwareName = "a client"
			r.say("a bad name", req)
		}
		if r.version >= 5 {
			req.ClientSoftwareName, req.NodeID = "a-client", 77
			r.say("another node was meant", req)
		}
		req = kmsg.NewPtrApiVersionsRequest()
		r.text.WriteString("\n== a version of the future: the answer is of version 0\n")
		frame := []byte{0, 0, 0, 15, 0, 18, 0, 99, 0, 0, 0, 9, 0, 2, 'm', 'e', 0, 1, 2}
		r.text.WriteString(dump('>', frame))
		r.hear(frame, req)
	},
	codec.CreateTopics: func(r *recorder) {
		r.topic("there", 1)
		one := func(what string, t kmsg.CreateTopicsRequestTopic) {
			r.say(what, &kmsg.CreateTopicsRequest{TimeoutMillis: 1000, Topics: []kmsg.CreateTopicsRequestTopic{t}})
		}
		one("two partitions", kmsg.CreateTopicsRequestTopic{Topic: "a", NumPartitions: 2, ReplicationFactor: 1, Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: text("5000")}}})
		one("defaults", kmsg.CreateTopicsRequestTopic{Topic: "b", NumPartitions: -1, ReplicationFactor: -1})
		one("a name that is taken", kmsg.CreateTopicsRequestTopic{Topic: "there", NumPartitions: 1, ReplicationFactor: 1})
		one("a name that is not valid", kmsg.CreateTopicsRequestTopic{Topic: "not/valid", NumPartitions: 1, ReplicationFactor: 1})
		one("three replicas", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 3})
		one("no partitions", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 0, ReplicationFactor: 1})
		one("compaction", kmsg.CreateTopicsRequestTopic{Topic: "c", NumPartitions: 1, ReplicationFactor: 1, Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "cleanup.policy", Value: text("compact")}}})
	},
	codec.DeleteTopics: func(r *recorder) {
		id := r.topic("t", 1)
		req := &kmsg.DeleteTopicsRequest{TimeoutMillis: 1000, TopicNames: []string{"t", "nowhere", offsetsName}}
		if r.version >= 6 {
			req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: id}, {Topic: text("nowhere")}, {TopicID: core.TopicID{9}}, {Topic: text(offsetsName)}}
		}
		r.say("one that is there, and others that cannot be deleted", req)
	},
	codec.DeleteRecords: func(r *recorder) {
		id := r.topic("t", 1)
		r.helper().ask(produceOf("t", id, -1, someBatch(1, nil)), 13)
		r.helper().ask(produceOf("t", id, -1, someBatch(2, nil)), 13)
		r.say("beyond the end", deleteRecords("t", 0, 9))
		r.say("below an offset", deleteRecords("t", 0, 1))
		r.say("all", deleteRecords("t", 0, -1))
		r.say("no such partition", deleteRecords("t", 3, -1))
		r.say("the broker's own", deleteRecords(offsetsName, 0, -1))
	},
	codec.InitProducerID: func(r *recorder) {
		r.say("a new id", &kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 1000})
		if r.version >= 3 {
			r.say("in the place of another", &kmsg.InitProducerIDRequest{ProducerID: 0, ProducerEpoch: 3})
			r.say("an id without an epoch", &kmsg.InitProducerIDRequest{ProducerID: 0, ProducerEpoch: -1})
		}
		r.say("of a transaction", &kmsg.InitProducerIDRequest{TransactionalID: text("tx"), TransactionTimeoutMillis: 1000, ProducerID: -1, ProducerEpoch: -1})
	},
	codec.OffsetForLeaderEpoch: func(r *recorder) {
		id := r.topic("t", 1)
		r.helper().ask(produceOf("t", id, -1, someBatch(3, nil)), 13)
		for _, c := range []struct {
			what           string
			index          int32
			current, epoch int32
		}{{"the present one", 0, -1, 0}, {"one that is not known", 0, -1, -5}, {"for a leader of the future", 0, 9, 0}, {"no such partition", 4, -1, 0}} {
			r.say(c.what, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t",
				Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{Partition: c.index, CurrentLeaderEpoch: c.current, LeaderEpoch: c.epoch}}}}})
		}
	},
	codec.DescribeConfigs: func(r *recorder) {
		r.topic("t", 1)
		r.say("some settings of a topic, of a topic that is not there, of the broker, of a broker that is not there, of something else",
			&kmsg.DescribeConfigsRequest{IncludeSynonyms: true, IncludeDocumentation: true, Resources: []kmsg.DescribeConfigsRequestResource{
				{ResourceType: 2, ResourceName: "t", ConfigNames: []string{"retention.ms", "penstock.durability"}}, {ResourceType: 2, ResourceName: "nowhere"},
				{ResourceType: 4, ResourceName: "1"}, {ResourceType: 4, ResourceName: "9"}, {ResourceType: 8, ResourceName: "1"}}})
	},
	codec.AlterConfigs: func(r *recorder) {
		r.topic("t", 1)
		alter := func(what string, kind int8, name, key, v string) {
			r.say(what, &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceType(kind), ResourceName: name, Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: &v}}}}})
		}
		alter("a setting of a topic", 2, "t", "retention.ms", "5000")
		alter("a value that is not one", 2, "t", "retention.ms", "soon")
		alter("a setting that is not honoured", 2, "t", "retention.m", "1")
		alter("a topic that is not there", 2, "nowhere", "retention.ms", "1")
		alter("the broker", 4, "1", "num.partitions", "7")
	},
	codec.IncrementalAlterConfigs: func(r *recorder) {
		r.topic("t", 1)
		alter := func(what, key string, op int8, v *string) {
			r.say(what, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t",
				Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: kmsg.IncrementalAlterConfigOp(op), Value: v}}}}})
		}
		alter("set", "retention.ms", opSet, text("5000"))
		alter("delete", "retention.ms", opDelete, nil)
		alter("append what is there", "cleanup.policy", opAppend, text("delete"))
		alter("append what is not supported", "cleanup.policy", opAppend, text("compact"))
		alter("subtract from what is no list", "retention.ms", opSubtract, text("1"))
	},
	codec.CreatePartitions: func(r *recorder) {
		r.topic("t", 2)
		r.topic("u", 2)
		r.say("more, fewer, and of a topic that is not there", &kmsg.CreatePartitionsRequest{TimeoutMillis: 1000, Topics: []kmsg.CreatePartitionsRequestTopic{
			{Topic: "t", Count: 3}, {Topic: "u", Count: 1}, {Topic: "nowhere", Count: 9}}})
		r.say("on two brokers", &kmsg.CreatePartitionsRequest{TimeoutMillis: 1000, Topics: []kmsg.CreatePartitionsRequestTopic{
			{Topic: "t", Count: 4, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{1, 2}}}}}})
	},
	codec.DescribeLogDirs: func(r *recorder) {
		id := r.topic("t", 2)
		r.helper().ask(produceOf("t", id, -1, someBatch(3, nil)), 13)
		r.say("of one topic, and of one that is not there", &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 5}}, {Topic: "nowhere", Partitions: []int32{0}}}})
	},
	codec.DescribeCluster: func(r *recorder) {
		r.say("the brokers", &kmsg.DescribeClusterRequest{EndpointType: 1})
		if r.version >= 1 {
			r.say("the controllers", &kmsg.DescribeClusterRequest{EndpointType: 2})
		}
	},
	codec.DescribeTopicPartitions: func(r *recorder) {
		r.topic("a", 2)
		r.topic("b", 1)
		r.say("two partitions at most, of three topics", &kmsg.DescribeTopicPartitionsRequest{Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "b"}, {Topic: "a"}, {Topic: "nowhere"}}, ResponsePartitionLimit: 2})
		r.say("and on", &kmsg.DescribeTopicPartitionsRequest{Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "b"}, {Topic: "a"}, {Topic: "nowhere"}}, ResponsePartitionLimit: 2,
			Cursor: &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "b"}})
	},
}

// helper is another connection, for what is not recorded.
func (r *recorder) helper() *client { return r.b.open(1, 0) }

// topic makes a topic.
func (r *recorder) topic(name string, partitions int32) core.TopicID {
	req := &kmsg.CreateTopicsRequest{TimeoutMillis: 1000, Topics: []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}}}
	resp := r.helper().ask(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]
	if resp.ErrorCode != 0 {
		r.b.t.Fatal(*resp.ErrorMessage)
	}
	return resp.TopicID
}

func deleteRecords(topic string, index int32, offset int64) kmsg.Request {
	return &kmsg.DeleteRecordsRequest{TimeoutMillis: 1000, Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: index, Offset: offset}}}}}
}
