#!/usr/bin/env python3
"""What very many partitions cost real brokers: 10,000 on one, then 3,000 with three replicas each on three.

    scale.py [--alone 10000] [--replicated 3000] [--seconds 20]

Prints one row of figures for each: how long creation and starts take (until every partition has a leader), what a broker uses while nobody
asks for anything, and its file handles. Fails where a partition has no leader in the end or idle brokers are busy. Broker processes may open
as many files as this process may be allowed (`ulimit -Hn`).
"""
import argparse
import json
import os
import resource
import subprocess
import time

from brokers import Cluster, LaneFailed, binary, main, say

TOPIC = "many"
IDLE_PERCENT_MAX = 30
TICKS = os.sysconf("SC_CLK_TCK")
COLUMNS = ["partitions", "replicas", "brokers", "create s", "start after kill -9 s", "start after stop s", "idle CPU %", "RSS MB", "KB per partition", "handles"]


def ottla(*words, patience=120):
    return subprocess.run([binary()] + list(words) + ["--patience-ms", str(patience * 1000)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_led(cluster, partitions, seconds=120):
    """Waits until every partition has a leader and all replicas are in sync."""
    deadline = time.monotonic() + seconds
    while True:
        told = ottla("topic", "describe", TOPIC, "--bootstrap", cluster.bootstrap, "--output", "json", patience=10)
        try:
            rows = json.loads(told.stdout)["partitions"]
        except ValueError:
            rows = []
        whole = sum(row["leader"] is not None and sorted(row["in_sync"]) == sorted(row["replicas"]) for row in rows)
        if whole == partitions:
            return
        if time.monotonic() > deadline:
            raise LaneFailed("after %d s, %d of %d partitions are whole: %s" % (seconds, whole, partitions, told.stdout[:300]))
        time.sleep(0.1)


def resident(broker):
    with open("/proc/%d/status" % broker.process.pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def used(broker):
    """CPU seconds so far."""
    with open("/proc/%d/stat" % broker.process.pid) as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def started(cluster, partitions, end):
    """Ends all brokers by `end` and returns the seconds from starting them again until all partitions are whole."""
    for b in cluster.brokers:
        end(b)
    since = time.monotonic()
    for b in cluster.brokers:
        b.start()
    for b in cluster.brokers:
        b.wait_ready(120)
    wait_led(cluster, partitions)
    return time.monotonic() - since


def create(cluster, topic, partitions, replicas, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        told = ottla("topic", "create", topic, "--partitions", str(partitions), "--replication-factor", str(replicas), "--bootstrap", cluster.bootstrap)
        if told.returncode == 0:
            return
        if "INVALID_REPLICATION_FACTOR" not in told.stdout or time.monotonic() > deadline:
            raise LaneFailed("`ottla topic create`: %s" % told.stdout)
        time.sleep(0.2)


def row(partitions, brokers, seconds):
    with Cluster(brokers) as cluster:
        create(cluster, "first", 1, brokers)  # waits until all brokers are registered
        empty = sum(map(resident, cluster.brokers)) / brokers
        since = time.monotonic()
        create(cluster, TOPIC, partitions, brokers)
        wait_led(cluster, partitions)
        created = time.monotonic() - since
        time.sleep(10)  # what follows creation calms down
        before = sum(map(used, cluster.brokers))
        time.sleep(seconds)
        idle = (sum(map(used, cluster.brokers)) - before) / seconds / brokers
        memory = sum(map(resident, cluster.brokers)) / brokers
        handles = max(len(os.listdir("/proc/%d/fd" % b.process.pid)) for b in cluster.brokers)
        after_kill = started(cluster, partitions, lambda b: b.kill())
        after_stop = started(cluster, partitions, lambda b: b.stop())
    figures = [partitions, brokers, brokers, "%.1f" % created, "%.1f" % after_kill, "%.1f" % after_stop, "%.1f" % (100 * idle),
               "%.0f" % (memory / 1024), "%.1f" % ((memory - empty) / partitions), handles]
    return figures, 100 * idle


def few_handles():
    """A broker that may open almost no files says so and ends."""
    with Cluster(1) as cluster:
        broker = cluster.brokers[0]
        broker.stop()
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, allowed[1]))
        try:
            broker.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        try:
            status = broker.process.wait(20)
        except subprocess.TimeoutExpired:
            raise LaneFailed("a broker with 12 file handles goes on:\n%s" % broker.tail()) from None
        sentence = broker.tail().strip().split("\n")[-1]
        if status != 1 or "Too many open files" not in sentence:
            raise LaneFailed("a broker with 12 file handles ended with status %d: %s" % (status, sentence))
        say("with 12 file handles: %s" % sentence)


def lane():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", type=int, default=10000)
    parser.add_argument("--replicated", type=int, default=3000)
    parser.add_argument("--seconds", type=int, default=20)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    say("file handles per process: %d" % hard)
    few_handles()
    busy = 0
    say("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for partitions, brokers in ((args.alone, 1), (args.replicated, 3)):
        figures, idle = row(partitions, brokers, args.seconds)
        say("| " + " | ".join(map(str, figures)) + " |")
        busy = max(busy, idle)
    if busy > IDLE_PERCENT_MAX:
        raise LaneFailed("an idle broker uses %.0f %% of a core" % busy)


if __name__ == "__main__":
    main(lane)
