import java.security.MessageDigest;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.*;

/** A member of a group: Reader BOOTSTRAP GROUP TOPIC. See reader.py for what it prints. */
public class Reader {
    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", a[0]);
        p.put("group.id", a[1]);
        p.put("auto.offset.reset", "earliest");
        for (String s : new String[] {"key", "value"}) p.put(s + ".deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
        AtomicBoolean ended = new AtomicBoolean();
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) continue;
            } catch (Exception e) {
                e.printStackTrace();
            }
            ended.set(true);
        });
        input.setDaemon(true);
        input.start();
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        HexFormat hex = HexFormat.of();
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(p)) {
            c.subscribe(List.of(a[2]));
            while (!ended.get()) {
                StringBuilder out = new StringBuilder();
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(200))) {
                    out.append(r.partition()).append(' ').append(r.offset()).append(' ').append(Base64.getEncoder().encodeToString(r.key())).append(' ')
                        .append(r.value().length).append(' ').append(hex.formatHex(sha.digest(r.value()))).append('\n');
                }
                System.out.print(out);
                System.out.flush();
            }
        }
        System.exit(0);
    }
}
