#!/usr/bin/env python3
"""Unmodified clients against `ottla dev --nodes 3`: kcat and confluent-kafka produce with acks=all and read back what they wrote,
before and after a broker process is killed.

    clients.py kcat         needs kcat (Debian package)
    clients.py confluent    needs confluent-kafka (PyPI)

The cluster is the one the README starts: one command, three real processes.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from brokers import LaneFailed, answers, binary, free_ports, is_free, main, say


class Dev:
    """`ottla dev --nodes 3` on free ports, as a context."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="ottla-dev-")
        self.log = os.path.join(self.folder, "dev.log")
        port = self.free_base()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([binary(), "dev", "--nodes", "3", "--port", str(port), "--data", os.path.join(self.folder, "data")],
                                            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(r"bootstrap[^\n]*?((?:127\.0\.0\.1:\d+,?)+)", self.text())
            if found:
                self.bootstrap = found.group(1).rstrip(",")
                if all(answers(int(b.rsplit(":", 1)[1])) for b in self.bootstrap.split(",")):
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        text = self.text()
        self.__exit__(None)
        raise LaneFailed("the cluster did not come up:\n%s" % text)

    @staticmethod
    def free_base():
        """A port with room for three brokers: theirs and, 100 above, those on which they talk to each other."""
        while True:
            base = free_ports(1, span=3)[0]
            if all(is_free(base + 100 + n) for n in range(3)):
                return base

    def text(self):
        with open(self.log) as log:
            return log.read()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def ottla(bootstrap, *args):
    return subprocess.run([binary()] + list(args) + ["--bootstrap", bootstrap], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def create_topic(bootstrap, name, partitions):
    out = ottla(bootstrap, "topic", "create", name, "--partitions", str(partitions), "--replication-factor", "3")
    if out.returncode != 0:
        raise LaneFailed("ottla topic create: %s" % out.stdout)


def kcat_lane():
    expected = ["key-%d\tvalue %d" % (n, n) for n in range(2000)]
    with Dev() as dev:
        create_topic(dev.bootstrap, "kcat", 3)
        kcat = ["kcat", "-b", dev.bootstrap, "-q"]
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            lines = [line + " " + codec for line in expected]
            subprocess.run(kcat + ["-P", "-t", "kcat", "-K", "\t", "-X", "acks=all", "-z", codec], input="\n".join(lines) + "\n", text=True, check=True, timeout=60)
        out = subprocess.run(kcat + ["-C", "-t", "kcat", "-o", "beginning", "-e", "-K", "\t"], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        got = sorted(out.stdout.splitlines())
        want = sorted(line + " " + codec for line in expected for codec in ("none", "gzip", "snappy", "lz4", "zstd"))
        if got != want:
            raise LaneFailed("kcat wrote %d messages and read %d, %d of them equal" % (len(want), len(got), len(set(got) & set(want))))
        listed = subprocess.run(kcat + ["-L", "-t", "kcat"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
        if listed.count("isrs: ") != 3 or " 3 brokers:" not in listed:
            raise LaneFailed("kcat -L shows\n%s" % listed)
        say("kcat: %d messages in five codecs over 3 partitions, read back equal" % len(want))


def confluent_lane():
    from confluent_kafka import Consumer, Producer, TopicPartition
    with Dev() as dev:
        create_topic(dev.bootstrap, "confluent", 3)
        for idempotent in (False, True):
            acked, failed = {}, []
            producer = Producer({"bootstrap.servers": dev.bootstrap, "acks": "all", "enable.idempotence": idempotent, "linger.ms": 2})
            for n in range(3000):
                producer.produce("confluent", key=b"%d" % n, value=b"%d %d" % (idempotent, n), partition=n % 3, headers=[("h", b"1"), ("h", b"2")],
                                 on_delivery=lambda e, m: failed.append(e) if e else acked.__setitem__((m.partition(), m.offset()), m.value()))
                producer.poll(0)
            if producer.flush(60) or failed:
                raise LaneFailed("idempotence=%s: %d failed, for example %s" % (idempotent, len(failed), failed[:1]))
            consumer = Consumer({"bootstrap.servers": dev.bootstrap, "group.id": "unused", "enable.auto.commit": False})
            consumer.assign([TopicPartition("confluent", p, 0) for p in range(3)])
            found, deadline = {}, time.monotonic() + 60
            while not acked.items() <= found.items():
                for m in consumer.consume(500, timeout=1):
                    if m.error() is None:
                        found[(m.partition(), m.offset())] = m.value()
                        if m.headers() != [("h", b"1"), ("h", b"2")]:
                            raise LaneFailed("headers came back as %s" % m.headers())
                if time.monotonic() > deadline:
                    raise LaneFailed("acknowledged %d messages, read %d in 60 s" % (len(acked), len(found)))
            consumer.close()
            say("confluent-kafka, idempotence=%s: %d messages acknowledged and read back at their offsets" % (idempotent, len(acked)))


if __name__ == "__main__":
    main({"kcat": kcat_lane, "confluent": confluent_lane}[sys.argv[1]])
