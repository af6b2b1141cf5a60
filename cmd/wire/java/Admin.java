import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;

/** The calls of the Java AdminClient, one case each. The source fits clients 2.8 and 4. */
class Admin {
    static final long FIRST = System.currentTimeMillis() - 1_800_000; // not so far past that retention takes it
    final String addr, prefix;
    final int nodes;

    Admin(String addr, String prefix, int nodes) {
        this.addr = addr;
        this.prefix = prefix;
        this.nodes = nodes;
    }

    String run(String name) throws Exception {
        String topic = prefix + "-" + name;
        try (AdminClient a = AdminClient.create(Agent.settings(addr, "request.timeout.ms", "15000", "default.api.timeout.ms", "20000"))) {
            get(a.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all());
            settle();
            switch (name) {
                case "describe-topics": describeTopics(a, topic); break;
                case "describe-cluster": describeCluster(a); break;
                case "configs": configs(a, topic); break;
                case "create-partitions": createPartitions(a, topic); break;
                case "delete-records": deleteRecords(a, topic); break;
                case "list-offsets": listOffsets(a, topic); break;
                case "log-dirs": logDirs(a, topic); break;
                case "groups": groups(a, topic); break;
                case "delete-topics": deleteTopics(a, topic); break;
                default: throw new IllegalArgumentException("no case " + name);
            }
        }
        return "";
    }

    /** settle waits for Apache Kafka, which answers before its brokers know. */
    static void settle() throws Exception {
        if ("kafka".equals(System.getenv("WIRE_PEER"))) Thread.sleep(1000);
    }

    static <T> T get(KafkaFuture<T> f) throws Exception { return f.get(Agent.PATIENCE_MS, TimeUnit.MILLISECONDS); }

    static void want(boolean ok, String what) {
        if (!ok) throw new IllegalStateException(what);
    }

    static void refused(Class<?> error, KafkaFuture<?> f) throws Exception {
        try {
            get(f);
        } catch (ExecutionException e) {
            want(error.isInstance(e.getCause()), "refused with " + e.getCause() + ", not " + error.getSimpleName());
            return;
        }
        throw new IllegalStateException("not refused with " + error.getSimpleName());
    }

    /** either calls the first of two methods that this version of the client has: 4.0 dropped the older names. */
    @SuppressWarnings("unchecked")
    static <T> T either(Object o, String newer, String older) throws Exception {
        for (String name : new String[] {newer, older}) {
            try {
                return (T) o.getClass().getMethod(name).invoke(o);
            } catch (NoSuchMethodException e) {
                continue;
            }
        }
        throw new IllegalStateException("neither " + newer + " nor " + older);
    }

    TopicDescription describe(AdminClient a, String topic) throws Exception {
        KafkaFuture<Map<String, TopicDescription>> all = either(a.describeTopics(List.of(topic)), "allTopicNames", "all");
        return get(all).get(topic);
    }

    void produce(String topic, int part, int from, int to) throws Exception {
        try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(Agent.settings(addr, "acks", "all", "max.block.ms", "5000"))) {
            for (int i = from; i < to; i++) p.send(new ProducerRecord<>(topic, part, FIRST + 10 * i, null, ("v" + i).getBytes()));
        }
    }

    void describeTopics(AdminClient a, String topic) throws Exception {
        TopicDescription t = describe(a, topic);
        want(t.partitions().size() == 2 && !t.isInternal(), "" + t);
        want(!t.topicId().equals(Uuid.ZERO_UUID), "no topic id");
        for (TopicPartitionInfo p : t.partitions()) want(p.leader() != null && p.replicas().size() == 1 && p.isr().size() == 1, "" + p);
        want(get(a.listTopics().names()).contains(topic), "not in the list of topics");
        KafkaFuture<Map<String, TopicDescription>> absent = either(a.describeTopics(List.of(topic + "-absent")), "allTopicNames", "all");
        refused(UnknownTopicOrPartitionException.class, absent);
    }

    void describeCluster(AdminClient a) throws Exception {
        DescribeClusterResult c = a.describeCluster();
        Set<Integer> ids = get(c.nodes()).stream().map(Node::id).collect(Collectors.toSet());
        want(get(c.clusterId()) != null, "no cluster id");
        want(ids.size() == nodes && ids.contains(get(c.controller()).id()), ids + ", controller " + get(c.controller()));
    }

    ConfigEntry config(AdminClient a, ConfigResource r, String name) throws Exception {
        return get(a.describeConfigs(List.of(r)).all()).get(r).get(name);
    }

    void configs(AdminClient a, String topic) throws Exception {
        ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry before = config(a, r, "retention.ms");
        want(before.value().equals("604800000") && before.isDefault(), "" + before);
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "3600000"), AlterConfigOp.OpType.SET);
        get(a.incrementalAlterConfigs(Map.of(r, List.of(set))).all());
        settle();
        ConfigEntry after = config(a, r, "retention.ms");
        want(after.value().equals("3600000") && after.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "" + after);
        AlterConfigOp reset = new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE);
        get(a.incrementalAlterConfigs(Map.of(r, List.of(reset))).all());
        settle();
        want(config(a, r, "retention.ms").value().equals("604800000"), "the default does not come back");
        AlterConfigOp bad = new AlterConfigOp(new ConfigEntry("no.such.setting", "1"), AlterConfigOp.OpType.SET);
        refused(InvalidConfigurationException.class, a.incrementalAlterConfigs(Map.of(r, List.of(bad))).all());
        int broker = get(a.describeCluster().nodes()).iterator().next().id();
        ConfigResource b = new ConfigResource(ConfigResource.Type.BROKER, "" + broker);
        want(config(a, b, "num.partitions") != null, "the broker does not tell num.partitions");
    }

    void createPartitions(AdminClient a, String topic) throws Exception {
        get(a.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
        settle();
        want(describe(a, topic).partitions().size() == 5, "not 5 partitions");
        refused(InvalidPartitionsException.class, a.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        produce(topic, 4, 0, 3);
        want(offset(a, topic, 4, OffsetSpec.latest()) == 3, "the new partition does not take records");
    }

    long offset(AdminClient a, String topic, int part, OffsetSpec spec) throws Exception {
        TopicPartition tp = new TopicPartition(topic, part);
        return get(a.listOffsets(Map.of(tp, spec)).partitionResult(tp)).offset();
    }

    void deleteRecords(AdminClient a, String topic) throws Exception {
        TopicPartition tp = new TopicPartition(topic, 0);
        produce(topic, 0, 0, 10);
        DeletedRecords d = get(a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(tp));
        want(d.lowWatermark() == 4 && offset(a, topic, 0, OffsetSpec.earliest()) == 4, "the log does not start at 4");
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(Agent.settings(addr))) {
            c.assign(List.of(tp));
            c.seekToBeginning(List.of(tp));
            ConsumerRecords<byte[], byte[]> rs = ConsumerRecords.empty();
            for (long end = System.currentTimeMillis() + Agent.PATIENCE_MS; rs.isEmpty() && System.currentTimeMillis() < end; ) rs = c.poll(Duration.ofMillis(200));
            want(!rs.isEmpty() && rs.iterator().next().offset() == 4, "reading does not begin at 4");
        }
        refused(OffsetOutOfRangeException.class, a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(1000))).all());
    }

    void listOffsets(AdminClient a, String topic) throws Exception {
        produce(topic, 1, 0, 10);
        want(offset(a, topic, 1, OffsetSpec.earliest()) == 0 && offset(a, topic, 1, OffsetSpec.latest()) == 10, "earliest or latest");
        want(offset(a, topic, 1, OffsetSpec.forTimestamp(FIRST + 41)) == 5, "by time");
        want(offset(a, topic, 1, OffsetSpec.forTimestamp(FIRST + 1000)) == -1, "by a time after the last");
        try {
            OffsetSpec max = (OffsetSpec) OffsetSpec.class.getMethod("maxTimestamp").invoke(null); // since 3.0
            want(offset(a, topic, 1, max) == 9, "of the largest time");
        } catch (NoSuchMethodException old) {
            return;
        }
    }

    void logDirs(AdminClient a, String topic) throws Exception {
        produce(topic, 0, 0, 10);
        List<Integer> ids = get(a.describeCluster().nodes()).stream().map(Node::id).collect(Collectors.toList());
        Set<TopicPartition> seen = new HashSet<>();
        long size = 0;
        for (Map<String, LogDirDescription> dirs : get(a.describeLogDirs(ids).allDescriptions()).values()) {
            for (LogDirDescription d : dirs.values()) {
                want(d.error() == null, "" + d.error());
                for (Map.Entry<TopicPartition, ReplicaInfo> e : d.replicaInfos().entrySet()) {
                    if (!e.getKey().topic().equals(topic)) continue;
                    want(seen.add(e.getKey()), e.getKey() + " is told twice");
                    size += e.getValue().size();
                }
            }
        }
        want(seen.size() == 2 && size > 0, seen + " of " + size + " bytes");
    }

    void groups(AdminClient a, String topic) throws Exception {
        produce(topic, 0, 0, 10);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(Agent.settings(addr, "group.id", topic, "auto.offset.reset", "earliest", "client.id", "its-client"))) {
            c.subscribe(List.of(topic));
            int got = 0;
            for (long end = System.currentTimeMillis() + Agent.PATIENCE_MS; got < 10 && System.currentTimeMillis() < end; ) got += c.poll(Duration.ofMillis(200)).count();
            c.commitSync(Map.of(tp, new OffsetAndMetadata(10, "its metadata")));
            ConsumerGroupDescription d = get(a.describeConsumerGroups(List.of(topic)).all()).get(topic);
            want(d.members().size() == 1 && d.partitionAssignor().equals("range") && ("" + d).contains("tate=Stable"), "" + d);
            MemberDescription m = d.members().iterator().next();
            want(m.clientId().equals("its-client") && m.assignment().topicPartitions().size() == 2, "" + m);
            refused(GroupNotEmptyException.class, a.deleteConsumerGroups(List.of(topic)).all());
            refused(GroupSubscribedToTopicException.class, a.deleteConsumerGroupOffsets(topic, Set.of(tp)).all());
        }
        want(get(a.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(topic)), "not in the list of groups");
        OffsetAndMetadata o = get(a.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()).get(tp);
        want(o.offset() == 10, "" + o);
        get(a.alterConsumerGroupOffsets(topic, Map.of(tp, new OffsetAndMetadata(3, Optional.empty(), "altered"))).all());
        o = get(a.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()).get(tp);
        want(o.offset() == 3 && o.metadata().equals("altered"), "" + o);
        get(a.deleteConsumerGroupOffsets(topic, Set.of(tp)).all());
        o = get(a.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata()).get(tp);
        want(o == null, "a deleted offset is still there: " + o);
        get(a.deleteConsumerGroups(List.of(topic)).all());
        want(get(a.listConsumerGroups().all()).stream().noneMatch(g -> g.groupId().equals(topic)), "a deleted group is in the list");
        refused(GroupIdNotFoundException.class, a.deleteConsumerGroups(List.of(topic)).all());
    }

    void deleteTopics(AdminClient a, String topic) throws Exception {
        produce(topic, 0, 0, 10);
        Uuid old = describe(a, topic).topicId();
        get(a.deleteTopics(List.of(topic)).all());
        settle();
        KafkaFuture<Map<String, TopicDescription>> gone = either(a.describeTopics(List.of(topic)), "allTopicNames", "all");
        refused(UnknownTopicOrPartitionException.class, gone);
        refused(UnknownTopicOrPartitionException.class, a.deleteTopics(List.of(topic)).all());
        get(a.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all());
        settle();
        want(!describe(a, topic).topicId().equals(old), "a new topic has the id of a deleted one");
        want(offset(a, topic, 0, OffsetSpec.latest()) == 0, "a new topic has records of a deleted one");
    }
}
