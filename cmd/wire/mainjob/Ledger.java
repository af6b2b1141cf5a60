import java.io.*;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.clients.producer.*;

/** Writes records to a topic until the file STOP exists; prints how many were acknowledged. */
public class Ledger {
    public static void main(String[] a) throws Exception {
        String addr = a[0], topic = a[1];
        Path ledger = Path.of(a[2]), stop = Path.of(a[3]);
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("enable.idempotence", "true");
        p.put("acks", "all");
        p.put("delivery.timeout.ms", "600000");
        p.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        int[] failed = {0};
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(ledger));
             KafkaProducer<String, String> producer = new KafkaProducer<>(p)) {
            for (int i = 0; !Files.exists(stop); i++) {
                String key = "key-" + i % 1000, value = "value " + i;
                producer.send(new ProducerRecord<>(topic, key, value), (m, e) -> {
                    if (e != null) { failed[0]++; e.printStackTrace(); }
                    else synchronized (out) { out.println(key + "\t" + value); }
                });
                if (i % 50 == 0) Thread.sleep(5);
            }
            producer.flush();
        }
        System.exit(failed[0] == 0 ? 0 : 1);
    }
}
