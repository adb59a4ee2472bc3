import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's Java client under the rule of ../README.md. */
final class Client {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("produce")) {
            produce(args[1], new Rule(args[2], args[3], Long.parseLong(args[5]), args[6]), args[4].split(","));
        } else {
            consume(args[1], List.of(args).subList(2, args.length));
        }
    }

    static void produce(String bootstrap, Rule rule, String[] codecs) throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(rule.topic(), Rule.PARTITIONS, (short) 3))).all().get();
        }
        for (String codec : codecs) {
            Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 5, "compression.type", codec);
            try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
                var sent = new ArrayList<Future<?>>();
                for (int n = 0; n < Rule.RECORDS; n++) {
                    sent.add(producer.send(rule.record(codec, n)));
                }
                producer.flush();
                for (var future : sent) {
                    future.get();
                }
            }
        }
    }

    static void consume(String bootstrap, List<String> topics) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "auto.offset.reset", "none");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var digests = new LinkedHashMap<TopicPartition, Rule.Digest>();
            for (String topic : topics) {
                for (int p = 0; p < Rule.PARTITIONS; p++) {
                    digests.put(new TopicPartition(topic, p), new Rule.Digest());
                }
            }
            long left = consumer.endOffsets(digests.keySet()).values().stream().mapToLong(Long::longValue).sum();
            consumer.assign(digests.keySet());
            for (var partition : digests.keySet()) {
                consumer.seek(partition, 0);
            }
            while (left > 0) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    digests.get(new TopicPartition(record.topic(), record.partition())).add(record);
                    left--;
                }
            }
            digests.forEach((partition, digest) -> System.out.println(digest.line(partition.topic(), partition.partition())));
        }
    }
}
