// Kafka's own producer, for tests: java -cp 'LIBS/*' Produce.java BOOTSTRAP TOPIC COMPRESSION RECORDS
// sends RECORDS lines "COMPRESSION line N" with a key and a header each.
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Produce {
  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put("bootstrap.servers", args[0]);
    config.put("compression.type", args[2]);
    config.put("linger.ms", "50");
    config.put("key.serializer", StringSerializer.class.getName());
    config.put("value.serializer", StringSerializer.class.getName());
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
      for (int i = 0; i < Integer.parseInt(args[3]); i++) {
        ProducerRecord<String, String> record = new ProducerRecord<>(args[1], "key-" + i, args[2] + " line " + i);
        record.headers().add("team", "payments".getBytes(StandardCharsets.UTF_8));
        producer.send(record);
      }
    }
  }
}
