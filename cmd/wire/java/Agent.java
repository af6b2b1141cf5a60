import java.io.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;

/**
 * The Java client at the end of a pipe, so that the cases of suite_test.go are its cases. A request is a line
 * of fields with tabs between them: number, operation, bootstrap address, arguments. Answers begin with the
 * number: "rec" and a record, any number of times, then "ok" and the results, or "error" and what went wrong.
 * Requests run side by side. A record is partition|offset|key|value|header h|time, the bytes in base64.
 */
public class Agent {
    static final int PATIENCE_MS = 20_000;
    static final Map<String, CountDownLatch> leaving = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ExecutorService all = Executors.newCachedThreadPool();
        for (String line; (line = in.readLine()) != null; ) {
            String[] f = line.split("\t", -1);
            if (f[1].equals("join")) leaving.put(f[0], new CountDownLatch(1));
            all.submit(() -> {
                try {
                    say(f[0], "ok", serve(f));
                } catch (Throwable t) {
                    say(f[0], "error", why(t));
                }
            });
        }
        System.exit(0);
    }

    static synchronized void say(String number, String kind, String rest) {
        System.out.print(number + "\t" + kind + "\t" + rest + "\n");
        System.out.flush();
    }

    /** why names every error of the chain: Java wraps what the broker said. */
    static String why(Throwable t) {
        StringBuilder s = new StringBuilder();
        for (; t != null; t = t.getCause()) s.append(t.getClass().getSimpleName()).append(": ").append(t.getMessage()).append("; ");
        return s.toString().replaceAll("[\\t\\n]", " ");
    }

    static String serve(String[] f) throws Exception {
        String addr = f[2];
        switch (f[1]) {
            case "create": return create(addr, f[3], Integer.parseInt(f[4]), Short.parseShort(f[5]), f[6]);
            case "produce": return produce(addr, f[3], f[4], f[5].equals("true"), Arrays.asList(f).subList(6, f.length));
            case "fetch": return fetch(f[0], addr, new TopicPartition(f[3], Integer.parseInt(f[4])), Long.parseLong(f[5]), Integer.parseInt(f[6]));
            case "offset-at": return offsetAt(addr, new TopicPartition(f[3], Integer.parseInt(f[4])), Long.parseLong(f[5]));
            case "join": return join(f[0], addr, f[3], f[4], f[5]);
            case "leave": leaving.remove(f[3]).countDown(); return "";
            case "transactional": return transactional(addr, f[3]);
            case "admin": return new Admin(addr, f[4], Integer.parseInt(f[5])).run(f[3]);
            default: throw new IllegalArgumentException("no operation " + f[1]);
        }
    }

    static Properties settings(String addr, String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        for (String s : new String[] {"key.serializer", "value.serializer"}) p.put(s, "org.apache.kafka.common.serialization.ByteArraySerializer");
        for (String s : new String[] {"key.deserializer", "value.deserializer"}) p.put(s, "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
        return p;
    }

    static String create(String addr, String topic, int parts, short rf, String configs) throws Exception {
        Map<String, String> set = new HashMap<>();
        for (String kv : configs.split(",")) if (!kv.isEmpty()) set.put(kv.split("=")[0], kv.split("=")[1]);
        try (AdminClient a = AdminClient.create(settings(addr))) {
            a.createTopics(List.of(new NewTopic(topic, parts, rf).configs(set))).all().get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
        return "";
    }

    static byte[] bytes(String base64) { return Base64.getDecoder().decode(base64); }

    static String base64(byte[] b) { return b == null ? "" : Base64.getEncoder().encodeToString(b); }

    static String produce(String addr, String topic, String codec, boolean idempotent, List<String> records) throws Exception {
        Properties p = settings(addr, "acks", "all", "compression.type", codec, "enable.idempotence", "" + idempotent, "linger.ms", "5",
            "max.request.size", "4194304", "max.block.ms", "5000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String record : records) {
                String[] r = record.split("\\|", -1);
                ProducerRecord<byte[], byte[]> out = new ProducerRecord<>(topic, Integer.parseInt(r[0]), Long.parseLong(r[5]), bytes(r[2]), bytes(r[3]));
                out.headers().add("h", bytes(r[4]));
                sent.add(producer.send(out));
            }
            producer.flush();
            for (Future<RecordMetadata> s : sent) s.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
        return "";
    }

    static void record(String number, ConsumerRecord<byte[], byte[]> r) {
        Header h = r.headers().lastHeader("h");
        say(number, "rec", r.partition() + "|" + r.offset() + "|" + base64(r.key()) + "|" + base64(r.value()) + "|" + base64(h == null ? null : h.value()) + "|" + r.timestamp());
    }

    static String fetch(String number, String addr, TopicPartition tp, long from, int n) {
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(settings(addr, "auto.offset.reset", "none", "enable.auto.commit", "false",
                "fetch.max.wait.ms", "100"))) { // close waits for the last fetch
            c.assign(List.of(tp));
            c.seek(tp, from);
            int got = 0;
            for (long end = System.currentTimeMillis() + PATIENCE_MS; got < n; ) {
                if (System.currentTimeMillis() > end) throw new IllegalStateException(got + " records of " + n + " came");
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(500))) if (got++ < n) record(number, r);
            }
        }
        return "";
    }

    static String offsetAt(String addr, TopicPartition tp, long ms) {
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(settings(addr))) {
            OffsetAndTimestamp o = c.offsetsForTimes(Map.of(tp, ms), Duration.ofMillis(PATIENCE_MS)).get(tp);
            return o == null ? "-1" : "" + o.offset();
        }
    }

    /** join reads in a group until it is told to leave; the assignor is range or cooperative-sticky. */
    static String join(String number, String addr, String group, String topic, String assignor) throws Exception {
        String strategy = "org.apache.kafka.clients.consumer." + (assignor.equals("range") ? "RangeAssignor" : "CooperativeStickyAssignor");
        CountDownLatch leave = leaving.get(number);
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(settings(addr, "group.id", group, "auto.offset.reset", "earliest",
                "heartbeat.interval.ms", "300", "session.timeout.ms", "10000", "metadata.max.age.ms", "2000", "partition.assignment.strategy", strategy))) {
            c.subscribe(List.of(topic));
            while (leave.getCount() > 0) for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(100))) record(number, r);
        }
        return "";
    }

    static String transactional(String addr, String id) {
        try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(settings(addr, "transactional.id", id, "max.block.ms", "10000"))) {
            p.initTransactions();
        }
        return "";
    }
}
