#!/usr/bin/env python3
"""What a broker bears beside what this machine bears: `ottla bench` against one broker, against the null servers and, if asked, against an
Apache Kafka that runs already, all in one run and interleaved, servers on core 0 and the load on core 1 where there are two.

    cargo build --release -p ottla && python3 tests/lanes/bench.py
    python3 tests/lanes/bench.py --kafka 127.0.0.1:9092=PID         beside a Kafka of yours (one broker, its process id)

Prints one table: the median over the repeats of each figure, and the broker's throughput as part of the null server's. Not a test: it
passes and fails nothing, since a shared machine's clock is no judge. Each run writes to a topic of its own, which is deleted.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from brokers import Cluster, LaneFailed, binary, say  # noqa: E402

# name, null server's mode, what `ottla bench produce` is told
LOADS = [
    ("1: 100 B records, 16 KiB batches, acks=1", "page-cache", "--record-bytes 100 --batch-bytes 16384 --acks 1 --connections 4 --in-flight 8"),
    ("2: 1 KiB records, 16 KiB batches, acks=1", "page-cache", "--record-bytes 1024 --batch-bytes 16384 --acks 1 --connections 4 --in-flight 8"),
    ("4: 1 KiB records, 16 KiB batches, acks=all", "durable", "--record-bytes 1024 --batch-bytes 16384 --acks all --connections 1 --in-flight 16"),
    ("15: one record of 100 B, acks=1, depth 64", "page-cache", "--record-bytes 100 --batch-bytes 100 --acks 1 --connections 1 --in-flight 64"),
    ("15: one record of 100 B, acks=1, depth 1", "page-cache", "--record-bytes 100 --batch-bytes 100 --acks 1 --connections 1 --in-flight 1"),
]
SHOWN = ["requests/s", "records/s", "MB/s", "p50_us", "p99_us", "server_CPU_s/GB", "server_CPU_us/request"]


def pinned(core, command):
    return ["taskset", "-c", str(core)] + command if os.cpu_count() > 1 else command


def pin(pid):
    if os.cpu_count() > 1:
        subprocess.run(["taskset", "-a", "-cp", "0", str(pid)], check=True, stdout=subprocess.DEVNULL)


def bench(arguments):
    done = subprocess.run(pinned(1, [binary(), "bench"] + arguments + ["--output", "json"]), capture_output=True, text=True)
    if done.returncode != 0:
        raise LaneFailed("ottla bench %s: %s" % (" ".join(arguments), done.stderr.strip()))
    return json.loads(done.stdout)["figures"][0]


def null_server(mode, folder):
    command = [binary(), "bench", "null", "--mode", mode, "--file", os.path.join(folder, "null")]
    process = subprocess.Popen(pinned(0, command), stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


class Run:
    def __init__(self, seconds):
        self.seconds = seconds
        self.topics = 0

    def produce(self, bootstrap, pid, load):
        """One measurement on a fresh topic, which goes afterwards."""
        self.topics += 1
        topic = "bench-%d" % self.topics
        told = ["--bootstrap", bootstrap, "--pid", str(pid), "--seconds", str(self.seconds), "--topic", topic]
        try:
            return bench(["produce"] + load.split() + told)
        finally:
            subprocess.run([binary(), "topic", "delete", topic, "--bootstrap", bootstrap], capture_output=True)


def median(rows, column):
    values = [float(row[column]) for row in rows if row[column] is not None]
    return statistics.median(values) if values else None


def shown(value):
    return "-" if value is None else "%.0f" % value if value >= 100 else "%.2f" % value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kafka", metavar="HOST:PORT=PID")
    options = parser.parse_args()
    run = Run(options.seconds)
    table = []
    with Cluster(1) as cluster, tempfile.TemporaryDirectory(prefix="ottla-bench-") as folder:
        broker = cluster.brokers[0]
        pin(broker.process.pid)
        systems = [("ottla", cluster.bootstrap, broker.process.pid)]
        if options.kafka:
            bootstrap, _, pid = options.kafka.partition("=")
            pin(int(pid))
            systems.append(("kafka", bootstrap, int(pid)))
        for name, mode, load in LOADS:
            null, address = null_server(mode, folder)
            try:
                rows = {}
                both = [("null " + mode, address, null.pid)] + systems
                for repeat in range(options.repeats):
                    for system, bootstrap, pid in both if repeat % 2 == 0 else reversed(both):
                        if system.startswith("null"):
                            told = ["--bootstrap", bootstrap, "--pid", str(pid), "--seconds", str(options.seconds)]
                            figures = bench(["produce"] + load.split() + told)
                        else:
                            figures = run.produce(bootstrap, pid, load)
                        rows.setdefault(system, []).append(figures)
            finally:
                null.kill()
                null.wait()
            ceiling = median(rows["null " + mode], "requests/s")
            for system, _, _ in both:
                figures = [median(rows[system], column) for column in SHOWN]
                table.append([name, system] + [shown(f) for f in figures] + ["%.2f" % (figures[0] / ceiling)])
            say("done: " + name)
    header = ["load", "system", "requests/s", "records/s", "MB/s", "p50 us", "p99 us", "CPU s/GB", "CPU us/request", "of null"]
    say("| " + " | ".join(header) + " |")
    say("|" + "---|" * len(header))
    for row in table:
        say("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
