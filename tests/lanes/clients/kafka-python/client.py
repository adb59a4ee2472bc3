"""kafka-python under the rule of ../README.md."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from rule import PARTITIONS, RECORDS, Digest, record


def produce(bootstrap, topic, client, codecs, time, without):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=3)])
    admin.close()
    for codec in codecs:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=None if codec in ("none", "raw") else codec, linger_ms=5)
        sent = []
        for n in range(RECORDS):
            r = record(client, codec, n, time, without)
            headers = [(name.decode(), value) for name, value in r.headers]
            sent.append(producer.send(topic, r.value, r.key, headers, r.partition, r.timestamp))
        producer.flush(60)
        for future in sent:
            future.get(60)
        producer.close()


def consume(bootstrap, topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none")
    partitions = [TopicPartition(topic, p) for topic in topics for p in range(PARTITIONS)]
    digests = {tp: Digest() for tp in partitions}
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for tp in partitions:
        consumer.seek(tp, 0)
    while any(digests[tp].count < ends[tp] for tp in partitions):
        for tp, records in consumer.poll(timeout_ms=1000).items():
            for r in records:
                digests[tp].add(r.offset, r.timestamp, r.key, r.value, [(name.encode(), value) for name, value in r.headers])
    for tp in partitions:
        print(digests[tp].line(tp.topic, tp.partition))
    consumer.close()


if sys.argv[1] == "produce":
    bootstrap, topic, client, codecs, time, without = sys.argv[2:]
    produce(bootstrap.split(","), topic, client, codecs.split(","), int(time), without.split(","))
else:
    consume(sys.argv[2].split(","), sys.argv[3:])
