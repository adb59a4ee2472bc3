"""kcat under the rule of ../README.md, as a producer; the lane itself compares what kcat prints.

A run of kcat has one partition, one codec and one set of headers; with -Z an empty value and an empty key are null, then -k '' makes the
key empty. So each partition is written by one run after the other, which is the order that the rule has for it.
"""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rule import PARTITIONS, runs

AFTER_KEY, AFTER_RECORD = b"<end of the key>", b"<end of the record>"


def line(r):
    """A record as kcat takes it from standard input; without the delimiter of keys it has a null one."""
    assert not any(end in (r.key or b"") + (r.value or b"") for end in (AFTER_KEY, AFTER_RECORD)), "a delimiter in the data"
    is_plain = r.key is None and r.value is not None
    return (b"" if is_plain else (r.key or b"") + AFTER_KEY) + (r.value or b"") + AFTER_RECORD


def run(bootstrap, topic, partition, codec, records):
    """Writes records which may be one run's, and returns when all are acknowledged."""
    argv = ["kcat", "-P", "-q", "-b", bootstrap, "-t", topic, "-p", str(partition), "-z", "none" if codec == "raw" else codec,
            "-X", "enable.idempotence=true", "-K", AFTER_KEY, "-D", AFTER_RECORD]
    for name, value in records[0].headers:
        argv += ["-H", name + b"=" + value]
    if records[0].value is None:
        argv += ["-Z"]
        if records[0].key == b"":
            argv += ["-k", ""]
    out = subprocess.run(argv, input=b"".join(line(r) for r in records), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if out.returncode != 0:
        sys.exit("kcat: status %d; %s" % (out.returncode, out.stdout.decode(errors="replace")))


def produce(bootstrap, topic, client, codecs, time, without):
    def write(partition):
        for codec in codecs:
            for records in runs(client, codec, time, without):
                records = [r for r in records if r.partition == partition]
                if records:
                    run(bootstrap, topic, partition, codec, records)
    with ThreadPoolExecutor(PARTITIONS) as pool:
        list(pool.map(write, range(PARTITIONS)))


assert sys.argv[1] == "produce", "the lane reads with kcat itself"
bootstrap, topic, client, codecs, time, without = sys.argv[2:]
produce(bootstrap, topic, client, codecs.split(","), int(time), without.split(","))
