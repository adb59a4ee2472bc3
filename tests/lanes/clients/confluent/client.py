"""confluent-kafka under the rule of ../README.md."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from rule import PARTITIONS, RECORDS, Digest, record


def produce(bootstrap, topic, client, codecs, time, without):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 3)]).values():
        future.result(30)
    for codec in codecs:
        producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                             "compression.type": "none" if codec == "raw" else codec})
        failed = []
        for n in range(RECORDS):
            r = record(client, codec, n, time, without)
            headers = [(name.decode(), value) for name, value in r.headers]
            producer.produce(topic, r.value, r.key, r.partition, timestamp=r.timestamp, headers=headers,
                             on_delivery=lambda e, m: failed.append(e) if e else None)
            producer.poll(0)
        if producer.flush(60) or failed:
            sys.exit("not acknowledged: %s" % failed[:1])


def consume(bootstrap, topics):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    partitions = [(topic, p) for topic in topics for p in range(PARTITIONS)]
    digests = {tp: Digest() for tp in partitions}
    ends = {tp: consumer.get_watermark_offsets(TopicPartition(*tp), timeout=30)[1] for tp in partitions}
    consumer.assign([TopicPartition(topic, p, 0) for topic, p in partitions])
    while any(digests[tp].count < ends[tp] for tp in partitions):
        for m in consumer.consume(500, timeout=1):
            if m.error() is not None:
                raise KafkaException(m.error())
            headers = [(name.encode(), value) for name, value in m.headers() or []]
            digests[m.topic(), m.partition()].add(m.offset(), m.timestamp()[1], m.key(), m.value(), headers)
    for tp in partitions:
        print(digests[tp].line(*tp))
    consumer.close()


if sys.argv[1] == "produce":
    bootstrap, topic, client, codecs, time, without = sys.argv[2:]
    produce(bootstrap, topic, client, codecs.split(","), int(time), without.split(","))
else:
    consume(sys.argv[2], sys.argv[3:])
