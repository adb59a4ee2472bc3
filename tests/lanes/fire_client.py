"""The client processes of fire.py, one each: a producer that sends a known sequence, or a reader. librdkafka.

    fire_client.py produce BOOTSTRAP TOPIC PARTITIONS FILE PRODUCER RATE
    fire_client.py read BOOTSTRAP TOPIC PARTITIONS FILE

Writes a line for each acknowledgement, `partition number offset milliseconds`, and for each message read, `partition offset producer number`.
At SIGTERM a producer waits for what is under way; the last line is `end`, after lines `sent partition count` and `error text`.
"""
import signal
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

PADDING = b" " + b"x" * 400  # so that segments roll during the run
# `socket.timeout.ms` stays at its minute, longer than any fault: where librdkafka (2.16) gives a request up by itself, it may send the next
# batch to the new leader before the one that it gave up. It is told OUT_OF_ORDER_SEQUENCE_NUMBER, takes a new epoch and sends everything
# unanswered under that, which no broker can know for a repetition.
COMMON = {"reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 2000, "log_level": 2, "socket.connection.setup.timeout.ms": 2000}
stopping = []


def message_of(value):
    producer, number = value.split()[:2]
    return int(producer), int(number)


def produce(bootstrap, topic, partitions, out, producer, rate):
    """Sends 0, 1, 2 … to each partition at a steady rate. Idempotent, five requests in flight: what it sends again stands once."""
    errors = []

    def delivered(error, message):
        if error is not None:
            errors.append(str(error))
        else:
            out.write("%d %d %d %d\n" % (message.partition(), message_of(message.value())[1], message.offset(), time.monotonic() * 1000))

    client = Producer(dict(COMMON, **{
        "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "retries": 1000000, "retry.backoff.ms": 50,
        "retry.backoff.max.ms": 500, "message.timeout.ms": 120000, "request.timeout.ms": 5000, "linger.ms": 5,
        "max.in.flight.requests.per.connection": 5, "error_cb": lambda e: e.fatal() and errors.append(str(e))}))
    sent = [0] * partitions
    turn, due = producer, time.monotonic()
    while not stopping:
        partition = turn % partitions
        try:
            client.produce(topic, value=b"%d %d" % (producer, sent[partition]) + PADDING, partition=partition, on_delivery=delivered)
            sent[partition] += 1
            turn += 1
        except BufferError:
            pass
        due = max(due + 1.0 / rate, time.monotonic() - 1)
        while client.poll(max(0.0, due - time.monotonic())) and due > time.monotonic():
            pass
    unanswered = client.flush(130)
    if unanswered:
        errors.append("%d messages were never answered" % unanswered)
    for partition, count in enumerate(sent):
        out.write("sent %d %d\n" % (partition, count))
    for error in errors[:20]:
        out.write("error %s\n" % error)


def read(bootstrap, topic, partitions, out):
    """Reads all partitions from their start, without end. That an offset is not there (`auto.offset.reset`) is an error."""
    client = Consumer(dict(COMMON, **{"bootstrap.servers": bootstrap, "group.id": "fire-reader", "enable.auto.commit": False, "auto.offset.reset": "error"}))
    client.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    while not stopping:
        for m in client.consume(1000, timeout=0.2):
            if m.error() is None:
                out.write("%d %d %d %d\n" % ((m.partition(), m.offset()) + message_of(m.value())))
            else:
                out.write("error %s\n" % m.error())
    client.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    what, bootstrap, topic, partitions, path = sys.argv[1:6]
    with open(path, "w", buffering=1) as out:
        {"produce": produce, "read": read}[what](bootstrap, topic, int(partitions), out, *map(int, sys.argv[6:]))
        out.write("end\n")


if __name__ == "__main__":
    main()
