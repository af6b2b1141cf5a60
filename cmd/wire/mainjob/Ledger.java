import java.io.*;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.clients.producer.*;

/**
 * Writes records of 0 to 400 letters to a topic until the file STOP exists, and each record whose
 * delivery was reported to the ledger: Ledger BOOTSTRAP TOPIC LEDGER STOP SEED.
 */
public class Ledger {
    public static void main(String[] a) throws Exception {
        String addr = a[0], topic = a[1];
        Path ledger = Path.of(a[2]), stop = Path.of(a[3]);
        Random random = new Random(Long.parseLong(a[4]));
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("enable.idempotence", "true");
        p.put("acks", "all");
        p.put("delivery.timeout.ms", "600000");
        p.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        int[] delivered = {0, 0};
        long began = System.nanoTime(), bytes = 0;
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(ledger));
             KafkaProducer<String, String> producer = new KafkaProducer<>(p)) {
            for (int i = 0; !Files.exists(stop); i++) {
                String key = "key-" + random.nextInt(1000), value = i + " " + "abcdefghij".repeat(random.nextInt(40));
                bytes += value.length();
                producer.send(new ProducerRecord<>(topic, key, value), (m, e) -> {
                    synchronized (out) {
                        if (e != null) {
                            delivered[1]++;
                            e.printStackTrace();
                        } else {
                            delivered[0]++;
                            out.println(key + "\t" + value);
                        }
                    }
                });
                if (i % 50 == 0) Thread.sleep(5); // about as long as kcat is at work
            }
            producer.flush();
        }
        double s = (System.nanoTime() - began) / 1e9;
        System.out.printf("java: %d records reported delivered, %d failed, %.1f MB of values in %.1f s (%.1f MB/s, %.0f records/s)%n",
            delivered[0], delivered[1], bytes / 1e6, s, bytes / 1e6 / s, delivered[0] / s);
        System.exit(delivered[1] == 0 && delivered[0] > 0 ? 0 : 1);
    }
}
