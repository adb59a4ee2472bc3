#!/usr/bin/env python3
"""A broker on a volume of 64 MiB that fills up: new records are refused with KAFKA_STORAGE_ERROR and nothing else suffers; with no room at all
the broker waits; when topics or files are deleted it goes on, and everything that was acknowledged is there.

    full.py

Needs root (it mounts a small file system for the broker's folder) and confluent-kafka.
"""
import os
import subprocess
import time

from brokers import Cluster, LaneFailed, LaneSkipped, main, say
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

VOLUME_MIB, RESERVE_MIB = 64, 16
VALUE = os.urandom(10_000)


def say_and_check(holds, what):
    if not holds:
        raise LaneFailed("this does not hold: " + what)
    say("  " + what)


def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def produce(bootstrap, topic, count, patience_ms=20000):
    """Sends `count` records one after the other until one fails; how many were acknowledged, and the error."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "retries": 0, "message.timeout.ms": patience_ms, "linger.ms": 0})
    told = []
    for number in range(count):
        producer.produce(topic, VALUE, key=str(number), on_delivery=lambda error, message: told.append(error))
        producer.flush()
        if told[-1] is not None:
            return number, told[-1]
    return count, None


def read(bootstrap, topic):
    """How many records a topic has."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    place = TopicPartition(topic, 0, 0)
    end = consumer.get_watermark_offsets(place, timeout=20)[1]
    consumer.assign([place])
    found, deadline = 0, time.monotonic() + 30
    while found < end and time.monotonic() < deadline:
        found += sum(message.error() is None and message.value() == VALUE for message in consumer.consume(500, 1))
    consumer.close()
    return found


def wait(what, holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise LaneFailed("after %d s it is not so that %s" % (seconds, what))
        time.sleep(0.2)
    say("  " + what)


def lane():
    cluster = Cluster(1, ["ottla.disk.reserve.bytes=%d" % (RESERVE_MIB << 20), "num.partitions=1"])
    broker = cluster.brokers[0]
    os.mkdir(broker.data)
    mounted = run("mount", "-t", "tmpfs", "-o", "size=%dm" % VOLUME_MIB, "ottla-full", broker.data)
    if mounted.returncode != 0:
        raise LaneSkipped("a file system can't be mounted here: " + mounted.stdout.strip())
    try:
        with cluster:
            try:
                fill(cluster, broker)
            finally:
                # The folder goes with the cluster, if nothing is mounted in it.
                broker.stop()
                run("umount", broker.data)
    finally:
        run("umount", broker.data)  # no broker came up


def fill(cluster, broker):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for topic in ["first", "second"]:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    first, error = produce(cluster.bootstrap, "first", 1500)
    say_and_check(error is None, "%d records of 10 kB are taken" % first)
    second, error = produce(cluster.bootstrap, "second", 10_000)
    say_and_check(error is not None and error.code() == KafkaError.KAFKA_STORAGE_ERROR, "after %d more: %s" % (second, error))
    left = os.statvfs(broker.data)
    left_mib = left.f_bavail * left.f_frsize >> 20
    say_and_check(0 < left_mib <= RESERVE_MIB, "%d MiB are left" % left_mib)
    say_and_check((read(cluster.bootstrap, "first"), read(cluster.bootstrap, "second")) == (first, second), "all of them are read")

    # Now somebody else takes the reserve, to the last byte: partitions of a new topic have to wait for their first entry.
    filler = os.path.join(broker.data, "filler")
    with open(filler, "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
    try:
        admin.create_topics([NewTopic("third", 50, 1)], operation_timeout=2, request_timeout=3)["third"].result()
    except KafkaException as e:
        say("  with no room at all: %s" % e.args[0].str())

    def is_served(partition):
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "none"})
        try:
            return consumer.get_watermark_offsets(TopicPartition("third", partition), timeout=2) == (0, 0)
        except KafkaException:
            return False
        finally:
            consumer.close()

    say_and_check(not is_served(49), "with no room at all a new partition is not served yet")
    say_and_check(broker.process.poll() is None, "the broker lives")
    say_and_check(read(cluster.bootstrap, "second") == second, "and is read")
    os.remove(filler)
    wait("what waited for room goes on: it is served now", lambda: is_served(49))
    count, error = produce(cluster.bootstrap, "second", 1)
    say_and_check(error is not None and error.code() == KafkaError.KAFKA_STORAGE_ERROR, "with the reserve only, records are still refused")

    admin.delete_topics(["first"])["first"].result()
    more = []

    def is_taken():
        count, _ = produce(cluster.bootstrap, "second", 1)
        more.extend([1] * count)
        return count == 1

    wait("a topic is deleted, and records are taken again", is_taken)
    count, error = produce(cluster.bootstrap, "second", 100)
    say_and_check(error is None, "as many as one likes")
    say_and_check(read(cluster.bootstrap, "second") == second + len(more) + count, "everything acknowledged is there")
    # As after a power cut that comes with it.
    broker.kill()
    broker.start()
    broker.wait_ready()
    say_and_check(read(cluster.bootstrap, "second") == second + len(more) + count, "and after kill -9, too")


if __name__ == "__main__":
    main(lane)
