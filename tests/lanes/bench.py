#!/usr/bin/env python3
"""Ottla beside Apache Kafka and beside what this machine bears at all: one table, measured in one run, interleaved.

    cargo build --release -p ottla && python3 tests/lanes/bench.py              everything; half an hour
    python3 tests/lanes/bench.py --rows 2,15 --no-kafka                         only some rows, without Kafka

Loads are those of `ottla bench`: pre-encoded batches, pipelined. With one broker, servers run on core 0 and the load on core 1 where there are
two; three brokers share all cores with the load. Kafka has its defaults (it answers before anything is fsynced) and, where "fsync" is
said, topics with `flush.messages=1`. Ottla answers acks=all after fsync, always. "null" is `ottla bench null`: a server that only writes what
it is sent to a file (and fsyncs it, with acks=all). Cells are medians over the repeats. Memory that the system gave back long ago is slow to
come by, so each run begins by using and freeing as much as it needs.

Not a test: it passes and fails nothing, since a shared machine's clock is no judge.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from brokers import Cluster, LaneFailed, binary, say  # noqa: E402

CORES = os.cpu_count()
RECORD_100 = "--record-bytes 100 --batch-bytes 16384"
RECORD_1K = "--record-bytes 1024 --batch-bytes 16384"
SINGLE = "--record-bytes 100 --batch-bytes 100 --acks 1"
WIDE = "--connections 4 --in-flight 8"
DEEP = "--connections 1 --in-flight 16"
ROWS = "1 2 4 13 15 16 17 19 20 24".split()
WARM_BYTES = 3 << 30
WORDS = ("load", "fsync") # columns that are no figures
# When Kafka fsyncs, told to the bench, which knows it of Ottla and of the null servers.
KAFKA_FSYNC = {"kafka": "Kafka: left to the operating system", "flushing": "Kafka: before the answer, flush.messages=1"}


def pinned(core, command):
    return ["taskset", "-c", str(core)] + command if core is not None and CORES > 1 else command


def run_json(words, core=1):
    done = subprocess.run(pinned(core, [binary()] + words + ["--output", "json"]), capture_output=True, text=True)
    if done.returncode != 0:
        raise LaneFailed("ottla %s: %s" % (" ".join(words), done.stderr.strip()))
    return json.loads(done.stdout)


def bench(words, core=1):
    return run_json(["bench"] + words, core)["figures"][0]


def figure(row, column):
    value = row[column]
    return None if value is None else float(value)


class Server:
    """Something that takes produce requests: a name, an address, the processes whose CPU time counts."""

    def __init__(self, name, bootstrap, pids, core=0, replicas=1, is_null=False, flush=False):
        self.name, self.bootstrap, self.pids, self.core = name, bootstrap, pids, core
        self.replicas, self.is_null, self.flush = replicas, is_null, flush
        self.topics = 0
        for pid in pids:
            if core is not None and CORES > 1:
                subprocess.run(["taskset", "-a", "-cp", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL)

    def topic(self, flush=None):
        self.topics += 1
        name = "bench-%s-%d" % ("flush" if self.flush else "plain", self.topics)
        if not self.is_null:
            words = ["topic", "create", name, "--partitions", "1", "--replication-factor", str(self.replicas), "--bootstrap", self.bootstrap]
            if self.flush:
                words += ["--config", "flush.messages=1"]
            # Brokers that have just started may not know each other yet.
            for _ in range(40):
                done = subprocess.run([binary()] + words, capture_output=True, text=True)
                if done.returncode == 0:
                    return name
                time.sleep(0.5)
            raise LaneFailed("%s: %s" % (self.name, done.stderr.strip()))
        return name

    def drop(self, topic):
        if not self.is_null:
            subprocess.run([binary(), "topic", "delete", topic, "--bootstrap", self.bootstrap], capture_output=True)

    def told(self, seconds):
        words = ["--bootstrap", self.bootstrap, "--seconds", str(seconds)]
        return words + [word for pid in self.pids for word in ("--pid", str(pid))]

    def produce(self, load, seconds, keep=False):
        topic = self.topic()
        try:
            fsync = ["--fsync", KAFKA_FSYNC[self.name]] if self.name in KAFKA_FSYNC else []
            row = bench(["produce", "--topic", topic] + load.split() + fsync + self.told(seconds), None if self.core is None else 1)
        finally:
            if not keep:
                self.drop(topic)
        return (row, topic) if keep else row


def warm(folder):
    """Uses and frees as much page cache as a run needs."""
    path = os.path.join(folder, "warm")
    block = b"\0" * (1 << 20)
    with open(path, "wb") as out:
        for _ in range(WARM_BYTES >> 20):
            out.write(block)
    os.remove(path)


@contextlib.contextmanager
def null_server(mode, folder):
    """A null server on a file of its own, which goes afterwards."""
    path = os.path.join(folder, "null")
    process = subprocess.Popen(pinned(0, [binary(), "bench", "null", "--mode", mode, "--file", path]), stdout=subprocess.PIPE, text=True)
    try:
        yield Server("null", process.stdout.readline().split()[-1], [process.pid], is_null=True)
    finally:
        process.kill()
        process.wait()
        os.remove(path)


def shown(value):
    if value is None:
        return "-"
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value


class Table:
    """The figures, printed as they come and once more at the end."""

    def __init__(self):
        self.rows = []

    def add(self, number, what, unit, ours, kafka=None, flushing=None, null=None, target="", higher=True):
        ratio = None if not (ours and kafka) else (ours / kafka if higher else kafka / ours)
        part = None if not (ours and null) else (ours / null if higher else null / ours)
        cells = [number, what, unit] + [shown(value) for value in (ours, kafka, flushing, null)]
        cells += ["-" if ratio is None else "%.1fx" % ratio, "-" if part is None else "%.2f" % part, target]
        self.rows.append(cells)
        say("done: " + " | ".join(cells))

    def show(self):
        header = ["row", "load", "figure", "Ottla", "Kafka", "Kafka, fsync", "null", "better than Kafka", "of null", "good"]
        say("| " + " | ".join(header) + " |")
        say("|" + "---|" * len(header))
        for row in self.rows:
            say("| " + " | ".join(row) + " |")


class Bench:
    """One run."""

    def __init__(self, options):
        self.options, self.table = options, Table()
        self.rows = options.rows.split(",")
        self.folder = tempfile.mkdtemp(prefix="ottla-bench-")

    def clusters(self, count):
        """Ours and, unless it is not wanted, Kafka's."""
        if self.options.no_kafka:
            return [("ottla", Cluster)]
        from kafka import Kafka
        return [("ottla", Cluster), ("kafka", Kafka)]

    def wants(self, *rows):
        return any(row in self.rows for row in rows)

    def measured(self, servers, load, null=None):
        """Medians of all figures of a load by server, interleaved: there and back again."""
        rows = {}
        for repeat in range(self.options.repeats):
            order = list(servers) + (["null"] if null else [])
            for server in order if repeat % 2 == 0 else reversed(order):
                warm(self.folder)
                if server == "null":
                    with null_server(null, self.folder) as ceiling:
                        rows.setdefault("null", []).append(ceiling.produce(load, self.options.seconds))
                else:
                    rows.setdefault(server.name, []).append(server.produce(load, self.options.seconds))
        return {name: medians(found) for name, found in rows.items()}

    def alone(self):
        """The rows of one broker."""
        with contextlib.ExitStack() as stack:
            servers = {}
            for name, kind in self.clusters(1):
                cluster = stack.enter_context(kind(1))
                pid = cluster.brokers[0].process.pid
                servers[name] = Server(name, cluster.bootstrap, [pid])
                if name == "kafka":
                    servers["flushing"] = Server("flushing", cluster.bootstrap, [pid], flush=True)
            both = [servers[name] for name in ("ottla", "kafka") if name in servers]
            if "kafka" in servers:
                say("warming up Kafka's compiler")
                for load in (RECORD_1K + " --acks 1 " + WIDE, SINGLE + " --in-flight 64"):
                    servers["kafka"].produce(load, self.options.warm_up)
            if self.wants("1"):
                self.throughput("1", "100 B records, 16 KiB batches, acks=1", RECORD_100 + " --acks 1 " + WIDE, both, "page-cache", "2x")
            if self.wants("2", "16"):
                self.throughput("2", "1 KiB records, 16 KiB batches, acks=1", RECORD_1K + " --acks 1 " + WIDE, both, "page-cache", "1.5x", "16")
            if self.wants("4"):
                three = both + [servers[name] for name in ("flushing",) if name in servers]
                self.throughput("4", "1 KiB records, 16 KiB batches, acks=all", RECORD_1K + " --acks all " + DEEP, three, "durable", "1x")
                self.throughput("4", "100 B records, 16 KiB batches, acks=all", RECORD_100 + " --acks all " + DEEP, three, "durable", "1x")
            if self.wants("15"):
                self.requests(both)
            if self.wants("16"):
                self.fetch(both)
            if self.wants("13"):
                self.end_to_end(both)

    def throughput(self, number, what, load, servers, null, target, cpu_row=None):
        found = self.measured(servers, load, null)
        column = "records/s" if "100 B" in what else "MB/s"
        cells = {name: figure(row, column) for name, row in found.items()}
        self.table.add(number, what, column, cells["ottla"], cells.get("kafka"), cells.get("flushing"), cells.get("null"), target)
        if cpu_row:
            cells = {name: figure(row, "server_CPU_s/GB") for name, row in found.items()}
            self.table.add(cpu_row, "the same", "CPU s/GB", cells["ottla"], cells.get("kafka"), None, cells.get("null"), "2x, 0.8", higher=False)

    def requests(self, servers):
        for connections in (1, 64):
            for depth in (1, 5, 64):
                load = SINGLE + " --connections %d --in-flight %d" % (connections, depth)
                found = self.measured(servers, load, "page-cache")
                what = "one record of 100 B, acks=1, depth %d, %d conn" % (depth, connections)
                for column, target, higher in (("requests/s", "", True), ("server_CPU_us/request", "6x, 5", False)):
                    cells = {name: figure(row, column) for name, row in found.items()}
                    shown_as = column.replace("server_CPU_us/request", "CPU us/request")
                    self.table.add("15", what, shown_as, cells["ottla"], cells.get("kafka"), None, cells.get("null"), target, higher)

    def fetch(self, servers):
        found = {}
        for server in servers:
            _, topic = server.produce(RECORD_1K + " --acks 1 " + WIDE, 1, keep=True)
            for _ in range(self.options.repeats):
                row = bench(["consume", "--topic", topic] + server.told(self.options.seconds))
                found.setdefault(server.name, []).append(row)
            server.drop(topic)
        found = {name: medians(rows) for name, rows in found.items()}
        for column, name, higher in (("MB/s", "MB/s", True), ("server_CPU_s/GB", "CPU s/GB", False)):
            cells = {server: figure(row, column) for server, row in found.items()}
            self.table.add("16", "fetch from the page cache, 1 MiB at once", name, cells["ottla"], cells.get("kafka"), target="2x", higher=higher)

    def end_to_end(self, servers):
        peaks = self.measured(servers, "--record-bytes 1024 --batch-bytes 1024 --acks 1 --connections 1 --in-flight 64")
        slower = min(figure(row, "requests/s") for row in peaks.values())
        for part in (10, 50, 80):
            rate = max(1, int(slower * part / 100))
            found = {}
            for repeat in range(self.options.repeats):
                for server in servers if repeat % 2 == 0 else reversed(servers):
                    topic = server.topic()
                    words = ["end-to-end", "--topic", topic, "--acks", "1", "--record-bytes", "1024", "--rate", str(rate)]
                    found.setdefault(server.name, []).append(bench(words + server.told(self.options.seconds)))
                    server.drop(topic)
            found = {name: medians(rows) for name, rows in found.items()}
            what = "end to end, 1 KiB, acks=1, %d/s (%d %% of the slower one's peak)" % (rate, part)
            for column in ("p50_us", "p99_us", "p99.9_us"):
                cells = {name: figure(row, column) for name, row in found.items()}
                target = "3x" if column == "p99_us" else ""
                self.table.add("13", what, column.replace("_", " "), cells["ottla"], cells.get("kafka"), target=target, higher=False)

    def three(self):
        """The rows of three brokers; one cluster at a time, they would disturb each other."""
        found, outages = {}, {}
        for name, kind in self.clusters(3):
            with kind(3) as cluster:
                pids = [b.process.pid for b in cluster.brokers]
                server = Server(name, cluster.bootstrap, pids, core=None, replicas=3)
                flushing = Server(name, cluster.bootstrap, pids, core=None, replicas=3, flush=True)
                if self.wants("16", "17"):
                    load = RECORD_1K + " --acks all " + DEEP
                    server.produce(load, self.options.warm_up if name == "kafka" else 1)
                    for _ in range(self.options.repeats):
                        warm(self.folder)
                        found.setdefault(name, []).append(server.produce(load, self.options.seconds))
                        if name == "kafka":
                            found.setdefault("flushing", []).append(flushing.produce(load, self.options.seconds))
                if self.wants("19"):
                    outages[name] = self.failovers(name, cluster)
        if found:
            found = {name: medians(rows) for name, rows in found.items()}
            for number, column, shown_as, higher in (("17", "MB/s", "MB/s", True), ("16", "server_CPU_s/GB", "CPU s/GB, all brokers", False)):
                cells = {name: figure(row, column) for name, row in found.items()}
                self.table.add(number, "RF 3, 1 KiB records, 16 KiB batches, acks=all", shown_as, cells["ottla"], cells.get("kafka"),
                               cells.get("flushing"), target="1x" if higher else "2x", higher=higher)
        for index, what in ((0, "p50 ms"), (1, "max ms")):
            if outages:
                cells = {name: times[index] for name, times in outages.items()}
                self.table.add("19", "RF 3, kill -9 of the leader to the next acks=all, %d times" % self.options.kills, what, cells["ottla"],
                               cells.get("kafka"), target="2500" if index else "", higher=False)

    def failovers(self, name, cluster):
        """Median and maximum of how long nothing was acknowledged after the leader was killed, milliseconds."""
        times = []
        topic = "outage"
        run_json(["bench", "outage", "--topic", topic, "--replication-factor", "3", "--until-acknowledged", "--bootstrap", cluster.bootstrap], None)
        for _ in range(self.options.kills):
            told = run_json(["topic", "describe", topic, "--bootstrap", cluster.bootstrap], None)["partitions"][0]
            leader = next(b for b in cluster.brokers if b.node == told["leader"])
            words = ["bench", "outage", "--topic", topic, "--bootstrap", cluster.bootstrap, "--seconds", "15" if name == "kafka" else "5"]
            watch = subprocess.Popen([binary()] + words + ["--output", "json"], stdout=subprocess.PIPE, text=True)
            time.sleep(1.5)
            leader.kill()
            told = json.loads(watch.communicate()[0])["outage"][0]
            times.append(float(told["longest_outage_ms"]))
            leader.start()
            leader.wait_ready()
            self.wait_in_sync(topic, cluster)
        return statistics.median(times), max(times)

    def wait_in_sync(self, topic, cluster):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = run_json(["topic", "describe", topic, "--bootstrap", cluster.bootstrap], None)["partitions"][0]
            if len(told["in_sync"]) == 3:
                return
            time.sleep(0.2)
        raise LaneFailed("a broker does not come back into sync")

    def starts(self):
        """Rows 20 and 24: until the first record is acknowledged, after a start with nothing and after kill -9 with data."""
        fresh, again, sizes = {}, {}, {}
        for name, kind in self.clusters(1):
            for _ in range(self.options.repeats):
                cluster = kind(1)
                broker = cluster.brokers[0]
                try:
                    if name == "kafka":
                        # Formatting is part of setting a broker up, not of its start.
                        broker.start()
                        broker.wait_ready()
                        broker.stop()
                    fresh.setdefault(name, []).append(start_to_acknowledged(cluster, broker, "first"))
                    if self.wants("20"):
                        server = Server(name, cluster.bootstrap, [broker.process.pid])
                        while sum_of_logs(broker.data) < self.options.gigabytes * 1e9:
                            server.produce(RECORD_1K + " --acks 1 --connections 4 --in-flight 4", 1, keep=True)
                        broker.kill()
                        sizes[name] = sum_of_logs(broker.data)
                        again.setdefault(name, []).append(start_to_acknowledged(cluster, broker, "first"))
                finally:
                    cluster.__exit__(None)
        median = {name: statistics.median(times) for name, times in fresh.items()}
        if self.wants("20"):
            cells = {name: statistics.median(times) for name, times in again.items()}
            what = "kill -9 with %.1f GB of logs, start to first acks=all" % (sizes["ottla"] / 1e9)
            self.table.add("20", what, "ms", cells["ottla"], cells.get("kafka"), target="2000", higher=False)
        if self.wants("24"):
            self.table.add("24", "start of an empty broker to first acks=all", "ms", median["ottla"], median.get("kafka"), target="200", higher=False)
            self.table.add("24", "the binary, stripped", "MB", self.stripped_bytes() / 1e6, target="25", higher=False)

    def stripped_bytes(self):
        path = os.path.join(self.folder, "stripped")
        subprocess.run(["strip", "-o", path, binary()], check=True)
        size = os.path.getsize(path)
        os.remove(path)
        return size

    def run(self):
        if self.wants("1", "2", "4", "13", "15", "16"):
            self.alone()
        if self.wants("16", "17", "19"):
            self.three()
        if self.wants("20", "24"):
            self.starts()
        os.rmdir(self.folder)
        self.table.show()


def start_to_acknowledged(cluster, broker, topic):
    """Milliseconds, the start and the end of the program that writes the record included."""
    words = ["bench", "outage", "--topic", topic, "--until-acknowledged", "--patience-ms", "120000", "--bootstrap", cluster.bootstrap]
    begun = time.monotonic()
    broker.start()
    run_json(words)
    return (time.monotonic() - begun) * 1000


def sum_of_logs(folder):
    return sum(os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(folder) for file in files if file.endswith(".log"))


def medians(rows):
    columns = [column for column in rows[0] if column not in WORDS]
    values = {column: [float(row[column]) for row in rows if row[column] is not None] for column in columns}
    return {column: statistics.median(found) if found else None for column, found in values.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=30, help="seconds for Kafka's compiler, twice")
    parser.add_argument("--kills", type=int, default=5, help="of leaders, each")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of logs in row 20")
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows; default: all of %s" % " ".join(ROWS))
    parser.add_argument("--no-kafka", action="store_true")
    options = parser.parse_args()
    unknown = set(options.rows.split(",")) - set(ROWS)
    if unknown:
        parser.error("there are no rows %s" % ", ".join(sorted(unknown)))
    try:
        Bench(options).run()
    except LaneFailed as e:
        say("FAILED: %s" % e)
        sys.exit(1)


if __name__ == "__main__":
    main()
