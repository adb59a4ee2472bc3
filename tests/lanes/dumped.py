"""Kafka's DumpLogSegments reads the segment files of Ottla as they lie on the disk, and tells the same records as a consumer gets.

What is raft's own in a segment takes no offset and shows as a control batch of an unknown kind; everything else is an ordinary batch.
"""
import glob
import os
import re

from brokers import LaneFailed

TOPIC = "dumped"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
READER = ("parse.key=true", "parse.headers=true", "key.separator=:", "null.marker=NULL", "headers.delimiter=|", "headers.separator=;",
          "headers.key.separator==")
LINES = "h=a;h=b|key:value\nNULL|k2:NULL\ng=NULL|NULL:v3\nNULL|NULL:NULL\nNULL|:\nx=1|k6:v6\n"
PRINTED = ("print.key=true", "print.headers=true", "print.offset=true", "print.timestamp=true", "key.separator=\t", "headers.separator=;",
           "null.literal=NULL")


def called(tools, *call, stdin=""):
    code, out, err = tools.call(call[0], call[1:], stdin)
    if code != "0":
        raise LaneFailed("%s ended with %s:\n%s%s" % (" ".join(call), code, out, err))
    return out


def words(flag, values):
    return [word for value in values for word in (flag, value)]


def consumed(tools, bootstrap, count):
    """(offset, time, header names, key, value) of each record, as a consumer has them; null and "NULL" are the same here."""
    out = called(tools, "ConsoleConsumer", "--bootstrap-server", bootstrap, "--topic", TOPIC, "--partition", "0", "--offset", "earliest",
                 "--max-messages", str(count), *words("--formatter-property", PRINTED))
    found = []
    for line in out.splitlines():
        time, offset, headers, key, value = line.split("\t")
        names = [] if headers == "NO_HEADERS" else [header.split(":")[0] for header in headers.split(";")]
        found.append((int(offset.split(":")[1]), int(time.split(":")[1]), names, key, value))
    return found


def told(text):
    """The same, as DumpLogSegments prints them, and how many batches had which codec."""
    found, codecs, is_control = [], {}, False
    for line in text.splitlines():
        if line.startswith("baseOffset: "):
            if not line.endswith("isvalid: true"):
                raise LaneFailed("not valid: " + line)
            is_control = "isControl: true" in line
            codec = "private" if is_control else re.search(r"compresscodec: (\w+)", line).group(1)
            codecs[codec] = codecs.get(codec, 0) + 1
        elif line.startswith("| ") and not is_control:
            m = re.fullmatch(r"\| offset: (\d+) CreateTime: (\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: \d+ headerKeys: \[(.*?)\]"
                             r"(?: key: (.*?))?(?: payload: (.*))?", line)
            if m is None:
                raise LaneFailed("not understood: " + line)
            key = "NULL" if m.group(3) == "-1" else m.group(6)
            value = "NULL" if m.group(4) == "-1" else m.group(7)
            found.append((int(m.group(1)), int(m.group(2)), m.group(5).split(",") if m.group(5) else [], key, value))
    return found, codecs


def check(tools, bootstrap, data):
    """Writes records of every kind by idempotent producers in all codecs, and compares; `data` is the folder of the one broker."""
    boot = ("--bootstrap-server", bootstrap)
    called(tools, "TopicCommand", *boot, "--create", "--topic", TOPIC, "--partitions", "1")
    for codec in CODECS:
        called(tools, "ConsoleProducer", *boot, "--topic", TOPIC, "--compression-codec", codec, *words("--reader-property", READER), stdin=LINES)
    count = len(CODECS) * len(LINES.splitlines())
    text = ""
    for path in sorted(glob.glob(os.path.join(data, TOPIC + "-0.*", "*.log"))):
        text += called(tools, "DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", path)
    dump, codecs = told(text)
    seen = consumed(tools, bootstrap, count)
    if len(seen) != count or dump != seen:
        raise LaneFailed("DumpLogSegments tells\n%s\nand a consumer sees\n%s" % (dump, seen))
    if not set(CODECS) < set(codecs):
        raise LaneFailed("not all codecs are there: %s" % codecs)
    return "DumpLogSegments reads our segments: %d records as a consumer sees them, batches %s" % (len(dump), codecs)
