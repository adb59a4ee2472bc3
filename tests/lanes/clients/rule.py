"""The rule of README.md: what each producer writes, and the digest of what a consumer read."""
import hashlib
import itertools
import struct
from collections import namedtuple

PARTITIONS = 3
RECORDS = 2000
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

# timestamp: milliseconds; key and value: bytes or None; headers: list of (bytes, bytes or None)
Record = namedtuple("Record", "partition timestamp key value headers")


def record(client, codec, n, time=0, without=()):
    key = (None, b"", b"%s-%d" % (client.encode(), n), bytes((0, 255, n >> 8 & 255, n & 255)))[n % 4]
    if n % 7 == 0:
        value = b"" if key is None and "null-null" in without else None
    elif n % 7 == 1:
        value = b""
    elif n % 7 == 2:
        value = b"%s %s %d" % (client.encode(), codec.encode(), n)
    else:
        value = bytes((31 * n + i * i + (i >> 8)) & 255 for i in range(100000 if n % 1000 == 999 else 37 * n % 300))
    if key is None and value == b"" and "null-empty" in without:
        value = None
    return Record(n % PARTITIONS, time + n, key, value, headers(client, codec, n, without))


def headers(client, codec, n, without):
    if n % 5 == 1:
        return [(b"client", client.encode())]
    if n % 5 == 2 and "repeated" not in without:
        return [(b"h", b"1"), (b"h", b""), (b"h", b"2")]
    if n % 5 == 3 and "null-header" not in without:
        return [(b"null", None), (b"after", b"x")]
    if n % 5 == 4:
        return [(b"h\xff" if codec == "raw" else "ключ".encode(), b"\xff" if "zero" in without else b"\0\xff")]
    return []


def runs(client, codec, time=0, without=()):
    """The records of a codec as they are written by who gives all records of a run the same headers: for each run its records."""
    def key(r):
        return r.headers, r.value is None, r.value is None and r.key == b""
    records = [record(client, codec, n, time, without) for n in range(RECORDS)]
    return [list(run) for _, run in itertools.groupby(sorted(records, key=key), key)]


def sequence(client, codec, time=0, without=()):
    """The records of a codec in the order in which they are written."""
    if "own-headers" in without:
        return list(itertools.chain(*runs(client, codec, time, without)))
    return [record(client, codec, n, time, without) for n in range(RECORDS)]


class Digest:
    """What a consumer prints of one partition."""

    def __init__(self):
        self.sha = hashlib.sha256()
        self.count = 0

    def add(self, offset, timestamp, key, value, headers):
        self.count += 1
        self.sha.update(struct.pack(">qq", offset, timestamp) + sized(key) + sized(value) + struct.pack(">i", len(headers))
                        + b"".join(sized(name) + sized(value) for name, value in headers))

    def line(self, topic, partition):
        return "%s %d %d %s" % (topic, partition, self.count, self.sha.hexdigest())


def sized(data):
    return b"\xff\xff\xff\xff" if data is None else struct.pack(">i", len(data)) + data


# ---- what the lane expects ---------------------------------------------------------------------------------------------------------

def blurred(r, views):
    """A record as a client sees it that can't tell some apart."""
    key, value, headers = r.key, r.value, list(r.headers)
    if "empty-is-null" in views:
        key, value, headers = key or None, value or None, [(name, v or None) for name, v in headers]
    if "names-replaced" in views:
        headers = [(name.decode(errors="replace").encode(), v) for name, v in headers]
    if "header-map" in views:
        headers = sorted(dict(headers).items())
    return key, value, headers


def blurred_digests(topic, partitions, views):
    """The lines that a consumer prints of the records of each partition."""
    lines = []
    for p, records in enumerate(partitions):
        digest = Digest()
        for offset, r in enumerate(records):
            digest.add(offset, r.timestamp, *blurred(r, views))
        lines.append(digest.line(topic, p))
    return lines


def kcat_text(records):
    """What kcat prints of a partition with the format that the lane asks for; values of headers end at their first zero byte."""
    out = []
    for offset, r in enumerate(records):
        headers = b",".join(name + b"=" + (b"NULL" if value is None else value.split(b"\0")[0]) for name, value in r.headers)
        sizes = tuple(-1 if data is None else len(data) for data in (r.key, r.value))
        out.append(b"%d %d %d %d\n%s\n%s\n%s\n" % ((offset, r.timestamp) + sizes + (r.key or b"", r.value or b"", headers)))
    return b"".join(out)
