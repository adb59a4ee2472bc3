#!/usr/bin/env python3
"""Three real broker processes, replication factor 3, acks=all: a known sequence by librdkafka while a random broker is SIGKILLed
and restarted, again and again. Then: nothing is lost, nothing stands twice, order is kept, all replicas are byte-equal.

    fire.py [--kills 10] [--seed N] [--rate 400] [--partitions 3]

The producer is idempotent, with five requests in flight: what it sends again after a lost acknowledgement must stand once.
Needs confluent-kafka. The seed decides who is killed and when.
"""
import argparse
import random
import subprocess
import threading
import time

from brokers import Cluster, LaneFailed, binary, main, say
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "fire"
PADDING = b" " + b"x" * 400  # so that segments roll during the run


def number_of(message):
    return int(message.value().split()[0])


class Sequence:
    """Sends 0, 1, 2 … to each partition at a steady rate and keeps what was acknowledged, with its offset."""

    def __init__(self, bootstrap, partitions, rate):
        self.sent = [0] * partitions
        self.acked = [{} for _ in range(partitions)]
        self.errors = []
        self.rate, self.stopping = rate, threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "retries": 1000000, "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 500, "message.timeout.ms": 120000, "request.timeout.ms": 5000, "linger.ms": 5,
            "max.in.flight.requests.per.connection": 5, "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 2000,
            "log_level": 2})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        pause = 1.0 / self.rate
        turn = 0
        while not self.stopping.is_set():
            partition = turn % len(self.sent)
            turn += 1
            value = self.sent[partition]
            try:
                self.producer.produce(TOPIC, value=b"%d" % value + PADDING, partition=partition, on_delivery=self.delivered)
                self.sent[partition] += 1
            except BufferError:
                pass
            self.producer.poll(pause)

    def delivered(self, error, message):
        if error is not None:
            self.errors.append(str(error))
        else:
            self.acked[message.partition()][number_of(message)] = message.offset()

    def acked_count(self):
        return sum(len(a) for a in self.acked)

    def finish(self):
        self.stopping.set()
        self.thread.join()
        left = self.producer.flush(120)
        if left or self.errors:
            raise LaneFailed("%d messages were never answered, %d failed: %s" % (left, len(self.errors), self.errors[:3]))


def retry(what, call, seconds=60):
    """Calls until it stops raising."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (KafkaException, LaneFailed) as e:
            if time.monotonic() > deadline:
                raise LaneFailed("%s: %s" % (what, e)) from e
            time.sleep(0.2)


def create(admin, partitions):
    futures = admin.create_topics([NewTopic(TOPIC, partitions, 3, config={"min.insync.replicas": "2", "segment.bytes": "1048576"})], request_timeout=10)
    try:
        futures[TOPIC].result()
    except KafkaException as e:
        if e.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise


def all_in_sync(admin, brokers):
    topic = admin.list_topics(TOPIC, timeout=5).topics[TOPIC]
    for p in topic.partitions.values():
        if p.leader < 0 or sorted(p.isrs) != brokers:
            raise LaneFailed("partition %d: leader %d, in sync %s of %s" % (p.id, p.leader, sorted(p.isrs), brokers))


def led_by(admin, broker):
    return sum(p.leader == broker for p in admin.list_topics(TOPIC, timeout=5).topics[TOPIC].partitions.values())


def consume(bootstrap, partitions):
    """All messages of every partition, as (offset, value), up to the end at the time of asking."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "fire-reader", "enable.auto.commit": False, "log_level": 2})
    ends = [retry("end of partition %d" % p, lambda: consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=10))[1] for p in range(partitions)]
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(partitions)])
    found = [[] for _ in range(partitions)]
    deadline = time.monotonic() + 120
    while any(not f or f[-1][0] + 1 < end for f, end in zip(found, ends) if end):
        for m in consumer.consume(1000, timeout=1):
            if m.error() is None:
                found[m.partition()].append((m.offset(), number_of(m)))
        if time.monotonic() > deadline:
            raise LaneFailed("read %s of %s messages in 120 s" % ([len(f) for f in found], ends))
    consumer.close()
    return found


def check_history(sent, acked, found):
    """Sentences about lost, repeated, reordered, misplaced or invented messages of one partition."""
    findings = []
    if [offset for offset, _ in found] != list(range(len(found))):
        findings.append("offsets are not dense from 0")
    firsts, seen = [], set()
    for _, value in found:
        if value not in seen:
            seen.add(value)
            firsts.append(value)
    lost = sorted(v for v in acked if v not in seen)
    if lost:
        findings.append("%d acknowledged messages are lost: %s" % (len(lost), lost[:10]))
    if firsts != sorted(firsts):
        at = next(i for i in range(1, len(firsts)) if firsts[i] < firsts[i - 1])
        findings.append("order is broken: %d stands before %d" % (firsts[at - 1], firsts[at]))
    misplaced = [v for v, offset in acked.items() if offset >= len(found) or found[offset][1] != v]
    if misplaced and not lost:
        findings.append("%d messages are not at the offset that was acknowledged: %s" % (len(misplaced), misplaced[:10]))
    invented = [v for v in seen if not 0 <= v < sent]
    if invented:
        findings.append("messages nobody sent: %s" % invented[:10])
    if len(found) > len(seen):
        findings.append("%d messages stand twice" % (len(found) - len(seen)))
    return findings


def check_the_check():
    """The judgement itself must be able to fail, in each of its ways."""
    acked = {0: 0, 1: 1, 2: 2}
    good = [(0, 0), (1, 1), (2, 2)]
    assert check_history(3, acked, good) == []
    assert "lost" in check_history(3, acked, good[:2])[0]
    assert "twice" in check_history(3, {}, [(0, 0), (1, 1), (2, 1), (3, 2)])[0]
    assert "order" in check_history(3, {}, [(0, 0), (1, 2), (2, 1)])[0]
    assert "dense" in check_history(3, {}, [(0, 0), (2, 1)])[0]
    assert "not at the offset" in check_history(3, {0: 0, 1: 0}, [(0, 0), (1, 1)])[0]
    assert "nobody" in check_history(1, {}, [(0, 0), (1, 7)])[0]


def lane():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--rate", type=int, default=400, help="messages per second")
    parser.add_argument("--partitions", type=int, default=3)
    args = parser.parse_args()
    check_the_check()
    dice = random.Random(args.seed)
    say("seed %d (repeat with --seed %d)" % (args.seed, args.seed))
    with Cluster(3) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 2})
        ids = [b.node for b in cluster.brokers]
        retry("create the topic", lambda: create(admin, args.partitions))
        retry("all replicas in sync", lambda: all_in_sync(admin, ids))
        sequence = Sequence(cluster.bootstrap, args.partitions, args.rate)
        time.sleep(2)
        leaders_killed = 0
        for kill in range(args.kills):
            victim = dice.choice(cluster.brokers)
            led = led_by(admin, victim.node)
            leaders_killed += led > 0
            before = sequence.acked_count()
            victim.kill()
            down = dice.uniform(0.0, 4.0)
            time.sleep(down)
            while_down = sequence.acked_count() - before
            victim.start()
            victim.wait_ready()
            retry("all replicas in sync after kill %d" % (kill + 1), lambda: all_in_sync(admin, ids))
            say("kill %2d: broker %d, leader of %d, down %.1f s, %d acknowledged meanwhile, %d in all" % (kill + 1, victim.node, led, down, while_down, sequence.acked_count()))
            time.sleep(dice.uniform(0.2, 2.0))
        sequence.finish()
        retry("all replicas in sync at the end", lambda: all_in_sync(admin, ids))
        found = consume(cluster.bootstrap, args.partitions)
        time.sleep(2)  # followers learn the last commit index
        for b in cluster.brokers:
            b.kill()
        findings = []
        for p in range(args.partitions):
            findings += ["partition %d: %s" % (p, f) for f in check_history(sequence.sent[p], sequence.acked[p], found[p])]
        verify = subprocess.run([binary(), "log", "verify"] + [b.data for b in cluster.brokers], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        say(verify.stdout.rstrip())
        if verify.returncode != 0:
            findings.append("`ottla log verify` of the three data folders ended with status %d" % verify.returncode)
        say("kills %d (%d of leaders), sent %d, acknowledged %d, read %d" % (args.kills, leaders_killed, sum(sequence.sent), sequence.acked_count(), sum(map(len, found))))
        if leaders_killed == 0:
            findings.append("no killed broker led anything: too little was shown, take another seed")
        if sequence.acked_count() < 100 * args.kills:
            findings.append("only %d messages were acknowledged: too little was shown" % sequence.acked_count())
        if findings:
            raise LaneFailed("%d finding(s)\n  %s" % (len(findings), "\n  ".join(findings)))


if __name__ == "__main__":
    main(lane)
