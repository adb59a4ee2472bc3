#!/usr/bin/env python3
"""Unmodified clients against a cluster of three brokers, every producer paired with every consumer.

    pairs.py                     all clients
    pairs.py franz-go kcat       only these

Each client writes 10,000 records in five codecs to a topic that it creates itself, then each reads all of it; what must come out is known
from `clients/README.md`. A client that can't be installed, or that lacks what it would need, is SKIPPED with the reason and not counted as
passed. `pairs.py --bootstrap HOST:PORT` does the same to a cluster that is up already, for example a real Kafka's, if that has the settings
that `SETTINGS` has here.
"""
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from brokers import Cluster, LaneFailed, binary, main, say

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))
from catalogue import CLIENTS, Missing
from rule import CODECS, PARTITIONS, blurred_digests, kcat_text, sequence

PROGRAM_SECONDS = 120
SETTINGS = ["num.partitions=%d" % PARTITIONS, "default.replication.factor=3"] # for who creates a topic by writing to it
KCAT_FORMAT = "%o %T %K %S\n%k\n%s\n%h\n" # as `kcat_text` has it


class Written:
    """A topic, and what the rule says is in it."""

    def __init__(self, client, topic, codecs, without, start):
        self.client, self.topic, self.without = client, topic, without
        self.raw = codecs == ("raw",)
        self.codecs = {"none" if codec == "raw" or codec in client.plain else codec for codec in codecs}
        self.partitions = [[] for _ in range(PARTITIONS)]
        for codec in codecs:
            for r in sequence(client.name, codec, start, without):
                self.partitions[r.partition].append(r)
        self.known = {}

    def is_for(self, client):
        """Whether a consumer can read all that is in it."""
        return set(client.unread) <= set(self.without) and not (self.raw and client.reads_raw)

    def learn_timestamps(self, bootstrap, begun, done):
        """For who takes its own clock's: what one consumer reads is what the others must read, too, if it can be true."""
        for p, records in enumerate(self.partitions):
            seen = [int(word) for word in kcat(bootstrap, self.topic, p, "%T\n").split()]
            if len(seen) != len(records) or sorted(seen) != seen or not all(begun <= t <= done for t in seen):
                raise LaneFailed("partition %d has %d records of %d, and timestamps from %s to %s; written from %d to %d" % (
                    p, len(seen), len(records), min(seen, default=None), max(seen, default=None), begun, done))
            self.partitions[p] = [r._replace(timestamp=t) for r, t in zip(records, seen)]

    def digests(self, views):
        """The lines that a consumer with these views must print."""
        key = tuple(sorted(views))
        if key not in self.known:
            self.known[key] = blurred_digests(self.topic, self.partitions, views)
        return self.known[key]


def call(argv):
    """Standard output of a client's program, or LaneFailed with its last words."""
    try:
        out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PROGRAM_SECONDS)
    except subprocess.TimeoutExpired as e:
        raise LaneFailed("does not end in %d s; %s" % (PROGRAM_SECONDS, last_words(e.stderr or b"")))
    if out.returncode != 0:
        raise LaneFailed("status %d; %s" % (out.returncode, last_words(out.stderr)))
    return out.stdout


def kcat(bootstrap, topic, partition, form):
    """What kcat prints of a partition, from its beginning to its end."""
    return call(["kcat", "-C", "-q", "-b", bootstrap, "-t", topic, "-p", str(partition), "-o", "beginning", "-e", "-f", form])


def last_words(stderr):
    return " / ".join(stderr.decode(errors="replace").strip().splitlines()[-4:])[-600:]


def wait_registered(bootstrap):
    """Until all brokers may be given replicas: one that only just answers can be unknown to the controller."""
    deadline = time.monotonic() + 30
    while True:
        out = subprocess.run([binary(), "topic", "create", "ready", "--replication-factor", "3", "--bootstrap", bootstrap],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        if out.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise LaneFailed("no topic with three replicas can be created: %s" % out.stdout)
        time.sleep(0.1)


def install(clients, notes):
    """The clients that are there; two are installed at a time, since half of each is waiting for a registry."""
    def one(client):
        started = time.monotonic()
        try:
            client.argv = client.install()
            return "%s: ready after %.0f s" % (client.name, time.monotonic() - started)
        except Missing as e:
            client.why_missing = str(e)
            return "%s: SKIPPED, %s" % (client.name, e)
    with ThreadPoolExecutor(2) as pool:
        for client, line in zip(clients, pool.map(one, clients)):
            say(line)
            if client.argv is None:
                notes.append("%s: SKIPPED: %s" % (client.name, client.why_missing))
    return [client for client in clients if client.argv]


def produce(client, bootstrap, start, notes):
    """The topics that a client wrote."""
    written = []
    able = sorted(client.without)
    jobs = [("pairs-" + client.name, CODECS, able)]
    if "null-header" not in able:
        jobs.append(("pairs-%s-plain" % client.name, CODECS, able + ["null-header"]))
    if client.writes_raw is None:
        jobs.append(("pairs-%s-raw" % client.name, ("raw",), able))
    for topic, codecs, without in jobs:
        started, begun = time.monotonic(), int(time.time() * 1000)
        new = Written(client, topic, codecs, without, start)
        try:
            call(client.argv + ["produce", bootstrap, topic, client.name, ",".join(codecs), str(start), ",".join(without) or "-"])
            if "timestamps" in without:
                new.learn_timestamps(bootstrap, begun, int(time.time() * 1000))
        except LaneFailed as e:
            notes.append("%s FAILED to produce to %s: %s" % (client.name, topic, e))
            continue
        written.append(new)
        say("%s wrote %s to %s in %.1f s" % (client.name, " ".join(codecs), topic, time.monotonic() - started))
    return written


def consume(client, bootstrap, topics):
    """What is wrong with what a client read: topic → text, nothing if all is well."""
    started = time.monotonic()
    wrong = {}
    if client.name == "kcat":
        for t in topics:
            for p in range(PARTITIONS):
                try:
                    got = kcat(bootstrap, t.topic, p, KCAT_FORMAT)
                except LaneFailed as e:
                    wrong[t] = str(e)
                    continue
                if got != kcat_text(t.partitions[p]):
                    wrong[t] = "partition %d differs from the rule" % p
    else:
        try:
            lines = set(call(client.argv + ["consume", bootstrap] + [t.topic for t in topics]).decode().splitlines())
        except LaneFailed as e:
            return {t: str(e) for t in topics}
        for t in topics:
            missing = [line for line in t.digests(client.views) if line not in lines]
            if missing:
                got = [line for line in sorted(lines) if line.startswith(t.topic + " ")]
                wrong[t] = "expected %s, got %s" % (missing, got)
    say("%s read %d topics in %.1f s" % (client.name, len(topics), time.monotonic() - started))
    return wrong


def pair(clients, bootstrap, notes):
    """Runs all of them; the table's cells by (producer, consumer), and how many failed."""
    start = int(time.time() * 1000)
    written = []
    for client in clients:
        written += produce(client, bootstrap, start, notes)
    cells = {}
    for client in clients:
        # In two programs: one that fails on raw names shows the rest all the same.
        for raw in (False, True):
            topics = [t for t in written if t.raw == raw and t.is_for(client)]
            wrong = consume(client, bootstrap, topics) if topics else {}
            for t in topics:
                ok = t not in wrong
                cells[t.topic, client.name] = ok
                if not ok:
                    notes.append("%s reads %s: FAILED: %s" % (client.name, t.topic, wrong[t][:800]))
    return written, cells


def stored_codecs(brokers):
    """Which codecs the batches in the logs of brokers have, by topic."""
    codecs = {}
    for broker in brokers:
        for line in call([binary(), "log", "dump", "--output", "json", broker.data]).splitlines():
            batch = json.loads(line)
            if batch["codec"]:
                folder = os.path.basename(os.path.dirname(batch["file"])) # TOPIC-PARTITION.GROUP
                codecs.setdefault(folder.rpartition(".")[0].rpartition("-")[0], set()).add(batch["codec"])
    return codecs


def table(clients, written, cells):
    """Producers down, consumers across."""
    width = max(len(t.topic) for t in written) + 2 if written else 10
    lines = [" " * width + "".join("%-14s" % c.name for c in clients)]
    for t in written:
        row = [{True: "PASSED", False: "FAILED", None: "SKIPPED"}[cells.get((t.topic, c.name))] for c in clients]
        lines.append(t.topic.ljust(width) + "".join("%-14s" % word for word in row))
    return lines


def skips(clients):
    """What is left out, and why."""
    for c in clients:
        if c.writes_raw:
            yield "%s, raw names written: SKIPPED: %s" % (c.name, c.writes_raw)
        if c.reads_raw:
            yield "%s, raw names read: SKIPPED: %s" % (c.name, c.reads_raw)
        for what, why in c.plain.items():
            yield "%s writes %s uncompressed: SKIPPED: %s" % (c.name, what, why)
        for what, why in c.without.items():
            yield "%s writes no %s: SKIPPED: %s" % (c.name, what, why)
        for what, why in c.unread.items():
            yield "%s reads no %s: SKIPPED: %s" % (c.name, what, why)
        for what, why in c.views.items():
            yield "%s reads with view %s: %s" % (c.name, what, why)
        for what, why in c.notes.items():
            yield "%s %s: %s" % (c.name, what, why)


def lane(names, bootstrap):
    unknown = set(names) - {c.name for c in CLIENTS}
    if unknown:
        sys.exit("no client %s; there are: %s" % (", ".join(sorted(unknown)), ", ".join(c.name for c in CLIENTS)))
    notes = []
    clients = install([c for c in CLIENTS if not names or c.name in names], notes)
    if bootstrap:
        report(clients, bootstrap, notes, ())
    else:
        with Cluster(3, SETTINGS) as cluster:
            wait_registered(cluster.bootstrap)
            report(clients, cluster.bootstrap, notes, cluster.brokers)


def report(clients, bootstrap, notes, brokers):
    """`brokers`: those whose logs are at hand; of others it is not known how they keep a batch."""
    written, cells = pair(clients, bootstrap, notes)
    stored = stored_codecs(brokers)
    for t in written:
        if brokers and stored.get(t.topic) != t.codecs:
            notes.append("%s FAILED: codecs of its batches: %s, expected %s" % (t.topic, sorted(stored.get(t.topic, ())), sorted(t.codecs)))
    say("\n".join(["", "producers down, consumers across:"] + table(clients, written, cells) + [""] + list(skips(clients)) + notes))
    passed = sum(cells.values())
    say("%d pairings passed, %d failed" % (passed, len(cells) - passed))
    if missing := [note for note in notes if "SKIPPED" in note]:
        # For whoever sums the lanes up: it did not hold all it could.
        say("not everything was tried: " + "; ".join(missing))
    if any("FAILED" in note for note in notes) or not cells:
        raise LaneFailed("see above")


if __name__ == "__main__":
    words = sys.argv[1:]
    given = words.pop(words.index("--bootstrap") + 1) if "--bootstrap" in words else None
    main(lambda: lane([w for w in words if w != "--bootstrap"], given))
