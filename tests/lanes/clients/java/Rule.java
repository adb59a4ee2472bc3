import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;

/** The rule of ../README.md: what each producer writes, and the digest of what a consumer read. */
record Rule(String topic, String client, long time, String without) {
    static final int PARTITIONS = 3;
    static final int RECORDS = 2000;

    ProducerRecord<byte[], byte[]> record(String codec, int n) {
        byte[] key = switch (n % 4) {
            case 0 -> null;
            case 1 -> new byte[0];
            case 2 -> text(client + "-" + n);
            default -> new byte[] {0, -1, (byte) (n >> 8), (byte) n};
        };
        byte[] value = switch (n % 7) {
            case 0 -> key == null && without.contains("null-null") ? new byte[0] : null;
            case 1 -> new byte[0];
            case 2 -> text(client + " " + codec + " " + n);
            default -> new byte[n % 1000 == 999 ? 100000 : 37 * n % 300];
        };
        if (n % 7 > 2) {
            for (int i = 0; i < value.length; i++) {
                value[i] = (byte) (31 * n + i * i + (i >> 8));
            }
        }
        var record = new ProducerRecord<>(topic, n % PARTITIONS, time + n, key, value);
        var headers = record.headers();
        if (n % 5 == 1) {
            headers.add("client", text(client));
        } else if (n % 5 == 2 && !without.contains("repeated")) {
            headers.add("h", text("1")).add("h", new byte[0]).add("h", text("2"));
        } else if (n % 5 == 3 && !without.contains("null-header")) {
            headers.add("null", null).add("after", text("x"));
        } else if (n % 5 == 4) {
            headers.add("ключ", new byte[] {0, -1});
        }
        return record;
    }

    static byte[] text(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** What a consumer prints of one partition. */
    static final class Digest {
        long count = 0;
        private final MessageDigest sha;

        Digest() {
            try {
                sha = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException(e);
            }
        }

        void add(ConsumerRecord<byte[], byte[]> r) throws IOException {
            var bytes = new ByteArrayOutputStream();
            var out = new DataOutputStream(bytes);
            out.writeLong(r.offset());
            out.writeLong(r.timestamp());
            sized(out, r.key());
            sized(out, r.value());
            Header[] headers = r.headers().toArray();
            out.writeInt(headers.length);
            for (Header h : headers) {
                sized(out, text(h.key()));
                sized(out, h.value());
            }
            sha.update(bytes.toByteArray());
            count++;
        }

        private static void sized(DataOutputStream out, byte[] data) throws IOException {
            out.writeInt(data == null ? -1 : data.length);
            if (data != null) {
                out.write(data);
            }
        }

        String line(String topic, int partition) {
            return topic + " " + partition + " " + count + " " + HexFormat.of().formatHex(sha.digest());
        }
    }
}
