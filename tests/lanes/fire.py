#!/usr/bin/env python3
"""Three real broker processes, replication factor 3, acks=all. Three producer processes send known sequences and a fourth process reads,
while a random broker is SIGKILLed and started again, SIGSTOPped for a while, or loses its network or its data folder. Then: nothing acknowledged is lost,
nothing stands twice, order is kept, what was read stays, and all replicas are byte-equal.

    fire.py [--kills 10] [--stops N] [--cuts N] [--wipes N] [--minutes M] [--seed N] [--rate 400] [--partitions 6]

The seed decides what happens to whom, when and for how long. Cuts need root and are what `networks.py` says: each broker gets a network of
its own. Needs confluent-kafka.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from brokers import Cluster, LaneFailed, binary, main, say, with_parent
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from fire_client import message_of
from fire_history import check_partition, check_the_check, silence
from networks import WAYS, Networks

TOPIC = "fire"
PRODUCERS = 3
HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    """A process of fire_client.py and what it has written so far."""

    def __init__(self, cluster, what, partitions, name, *more):
        self.path = os.path.join(cluster.folder, name)
        self.lines, self.unread, self.begun = None, "", []
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "fire_client.py"), what, cluster.bootstrap, TOPIC, str(partitions), self.path]
                                        + [str(m) for m in more], stdin=subprocess.DEVNULL, preexec_fn=with_parent())

    def news(self):
        """The lines written since the last call, as lists of words."""
        if self.lines is None:
            if not os.path.exists(self.path):
                return []
            self.lines = open(self.path)
        text = self.unread + self.lines.read()
        whole, _, self.unread = text.rpartition("\n")
        return [line.split() for line in whole.split("\n") if line]

    def finish(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        """Waits for the end and returns the last lines."""
        try:
            self.process.wait(150)
        except subprocess.TimeoutExpired:
            raise LaneFailed("a client process does not end") from None
        lines = self.news()
        if not lines or lines[-1] != ["end"]:
            raise LaneFailed("a client process ended with status %d before it was done" % self.process.returncode)
        return lines[:-1]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Producers:
    """The producer processes and all that was acknowledged to them."""

    def __init__(self, cluster, partitions, rate):
        self.clients = [Client(cluster, "produce", partitions, "producer-%d" % n, n, max(1, rate // PRODUCERS)) for n in range(PRODUCERS)]
        self.sent = [{} for _ in range(partitions)]
        self.acked = [{} for _ in range(partitions)]
        self.times = [[] for _ in range(partitions)]
        self.errors = []

    def take(self, producer, lines):
        for words in lines:
            if words[0] == "sent":
                self.sent[int(words[1])][producer] = int(words[2])
            elif words[0] == "error":
                self.errors.append("producer %d: %s" % (producer, " ".join(words[1:])))
            else:
                partition, number, offset, at = map(int, words)
                if (producer, number) in self.acked[partition]:
                    self.errors.append("producer %d: message %d of partition %d was acknowledged twice" % (producer, number, partition))
                self.acked[partition][producer, number] = offset
                self.times[partition].append(at)

    def acked_count(self):
        for n, client in enumerate(self.clients):
            self.take(n, client.news())
        return sum(len(a) for a in self.acked)

    def finish(self):
        for client in self.clients:
            client.finish()
        for n, client in enumerate(self.clients):
            self.take(n, client.ended())
        for times in self.times:
            times.sort()


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
    """All messages of every partition, as (offset, message), up to the end at the time of asking."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "fire-reader", "enable.auto.commit": False, "log_level": 2})
    ends = [retry("end of partition %d" % p, lambda: consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=10))[1] for p in range(partitions)]
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(partitions)])
    found = [[] for _ in range(partitions)]
    deadline = time.monotonic() + 120
    while any(not f or f[-1][0] + 1 < end for f, end in zip(found, ends) if end):
        for m in consumer.consume(1000, timeout=1):
            if m.error() is None:
                found[m.partition()].append((m.offset(), message_of(m.value())))
        if time.monotonic() > deadline:
            raise LaneFailed("read %s of %s messages in 120 s" % ([len(f) for f in found], ends))
    consumer.close()
    return found


class Fault:
    """One thing that happens to one broker and ends after a while."""

    def __init__(self, kind, way, dice, brokers, longest):
        self.kind, self.way, self.broker = kind, way, dice.choice(brokers)
        self.length = min(longest, dice.uniform(0.0, 4.0) if kind in ("kill", "wipe") else dice.uniform(0.5, 12.0))
        self.led = self.begin = self.end = 0

    def __str__(self):
        return "%s%s of broker %d, leader of %d, %.1f s" % (self.kind, " (%s)" % self.way if self.way else "", self.broker.node, self.led, self.length)

    def happen(self, networks):
        self.begin = time.monotonic() * 1000
        if self.kind in ("kill", "wipe"):
            self.broker.kill()
            if self.kind == "wipe":
                shutil.rmtree(self.broker.data)
            time.sleep(self.length)
            self.broker.start()
        elif self.kind == "stop":
            self.broker.process.send_signal(signal.SIGSTOP)
            time.sleep(self.length)
            self.broker.process.send_signal(signal.SIGCONT)
        else:
            networks.cut(self.broker.node, self.way)
            time.sleep(self.length)
            networks.heal(self.broker.node)
        self.broker.wait_ready()
        self.end = time.monotonic() * 1000


def burn(args, dice, cluster, networks, admin, producers):
    """Lets all faults happen, one at a time, at even steps of the time there is."""
    ways = dice.sample(WAYS, len(WAYS))
    kinds = [("kill", None)] * args.kills + [("stop", None)] * args.stops + [("cut", ways[n % len(ways)]) for n in range(args.cuts)] + [("wipe", None)] * args.wipes
    dice.shuffle(kinds)
    step = args.minutes * 60 / len(kinds) if args.minutes else 0
    started = time.monotonic()
    faults = []
    for n, (kind, way) in enumerate(kinds):
        fault = Fault(kind, way, dice, cluster.brokers, step / 2 if step else 8)
        wait = n * step + dice.uniform(0.2, 2.0) - (time.monotonic() - started if step else 0)
        time.sleep(max(0.0, wait))
        if kind == "wipe":
            # One lost data folder at a time: what the last one had is on it again.
            retry("all replicas in sync before fault %d" % (n + 1), lambda: all_in_sync(admin, [b.node for b in cluster.brokers]))
        fault.led = retry("leaders before fault %d" % (n + 1), lambda: led_by(admin, fault.broker.node))
        before = producers.acked_count()
        fault.happen(networks)
        now = producers.acked_count()
        say("%3d: %s; %d acknowledged meanwhile, %d in all" % (n + 1, fault, now - before, now))
        faults.append(fault)
        # Half of the faults meet a cluster that is whole again, the others one that is still catching up.
        if dice.random() < 0.5 or kind == "wipe":
            retry("all replicas in sync after fault %d" % (n + 1), lambda: all_in_sync(admin, [b.node for b in cluster.brokers]))
    rest = args.minutes * 60 - (time.monotonic() - started)
    time.sleep(max(0.0, rest))
    return faults


def report(faults, producers, read, found):
    """Prints the figures."""
    for kind in ("kill", "stop", "cut", "wipe"):
        some = [f for f in faults if f.kind == kind]
        if some:
            gaps = sorted(max(silence(times, f.begin, f.end + 1000) for times in producers.times) for f in some)
            say("%s: %d, %d of them of a leader; the longest time a partition took nothing around each: median %.1f s, greatest %.1f s"
                % (kind, len(some), sum(f.led > 0 for f in some), gaps[len(gaps) // 2] / 1000, gaps[-1] / 1000))
    say("sent %d, acknowledged %d, read meanwhile %d, at the end %d; partitions %s" % (
        sum(sum(s.values()) for s in producers.sent), producers.acked_count(), sum(map(len, read)), sum(map(len, found)), list(map(len, found))))


def read_lines(lines, partitions):
    seen, errors = [[] for _ in range(partitions)], []
    for words in lines:
        if words[0] == "error":
            errors.append("reader: " + " ".join(words[1:]))
        else:
            partition, offset, producer, number = map(int, words)
            seen[partition].append((offset, (producer, number)))
    return seen, errors


def trial(args, dice, cluster, networks):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 2})
    ids = [b.node for b in cluster.brokers]
    retry("create the topic", lambda: create(admin, args.partitions))
    retry("all replicas in sync", lambda: all_in_sync(admin, ids))
    producers = Producers(cluster, args.partitions, args.rate)
    reader = Client(cluster, "read", args.partitions, "reader")
    try:
        time.sleep(2)
        faults = burn(args, dice, cluster, networks, admin, producers)
        producers.finish()
        retry("all replicas in sync at the end", lambda: all_in_sync(admin, ids))
        found = consume(cluster.bootstrap, args.partitions)
        time.sleep(2)  # followers learn the last commit index, the reader the last records
        reader.finish()
        seen, errors = read_lines(reader.ended(), args.partitions)
    finally:
        for client in producers.clients + [reader]:
            client.kill()
    for b in cluster.brokers:
        b.kill()
    findings = producers.errors + errors
    for p in range(args.partitions):
        findings += ["partition %d: %s" % (p, f) for f in check_partition(producers.sent[p], producers.acked[p], seen[p], found[p])]
    verify = subprocess.run([binary(), "log", "verify"] + [b.data for b in cluster.brokers], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    say(verify.stdout.rstrip())
    if verify.returncode != 0:
        findings.append("`ottla log verify` of the three data folders ended with status %d" % verify.returncode)
    report(faults, producers, seen, found)
    if not any(f.led for f in faults):
        findings.append("nothing happened to a leader: too little was shown, take another seed")
    if producers.acked_count() < 100 * len(faults):
        findings.append("only %d messages were acknowledged: too little was shown" % producers.acked_count())
    if sum(map(len, seen)) < producers.acked_count() / 2:
        findings.append("the reader got only %d messages: too little was shown" % sum(map(len, seen)))
    if findings:
        raise LaneFailed("%d finding(s)\n  %s" % (len(findings), "\n  ".join(findings[:40])))


def lane():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--wipes", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="spread the faults over this time; without, one after the other")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--rate", type=int, default=400, help="messages per second")
    parser.add_argument("--partitions", type=int, default=6)
    args = parser.parse_args()
    if args.kills + args.stops + args.cuts + args.wipes == 0:
        args.kills = 10
    check_the_check()
    networks = None
    if args.cuts:
        networks = Networks(3)
        networks.check()
    say("seed %d (repeat with --seed %d)" % (args.seed, args.seed))
    with Cluster(3, networks=networks) as cluster:
        trial(args, random.Random(args.seed), cluster, networks)


if __name__ == "__main__":
    main(lane)
