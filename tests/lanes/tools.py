#!/usr/bin/env python3
"""Kafka's own command line tools must print about Ottla what they print about Kafka, and exit with the same status.

    tools.py                                                     compare; red on any difference that is not explained
    tools.py --update                                            rewrite the table of differences; new ones get the reason `TODO`
    tools.py --record SINGLE THREE RESTART                       write the golden output, as brokers at these addresses give it: one broker,
                                                                 three brokers, and a shell command that restarts broker 1 of the three

Golden output: `tests/golden/cli/`, recorded from Apache Kafka 4.3.1. Explained differences: two sections of `tests/golden/differences.md`. What
varies from run to run is masked on both sides.
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile
import time

import differences
import dumped
from brokers import ROOT, Cluster, LaneFailed, main, say, testing_properties
from kafkatools import Missing, Tools

GOLDEN = os.path.join(ROOT, "tests", "golden", "cli")
SECTIONS = ["Command line tools: what is not served yet", "Command line tools"]
HEAD = "$ "

MASKS = [
    # Addresses, ids, times and what hangs on the machine.
    (r"127\.0\.0\.1:\d+(,127\.0\.0\.1:\d+)*", "BOOTSTRAP"),
    (r"127\.0\.0\.1 +\d+ +", "HOST PORT "),
    (r"127\.0\.0\.1", "HOST"),
    (r"\b(TopicId|Cluster ID|ClusterId): *[\w-]{22}(?![\w-])", r"\1: ID"),
    (r'"logDir":"[^"]*"', '"logDir":"DIR"'),
    (r"\b1[789]\d{11}\b", "TIME"),
    (r"\bEpoch: \d+", "Epoch: N"),
    (r"(adminclient|correlation id|console-producer|console-consumer|perf-producer-client)[- ]\d+", r"\1-N"),
    # Where a log of metadata stands, and how fast a broker is.
    (r"(LeaderId|LeaderEpoch|HighWatermark|MaxFollowerLag|MaxFollowerLagTimeMs): +\d+", r"\1: N"),
    (r"(?m)^\d+ +\t(\S{22}\t)\d+ +\t\d+ +\tTIME +\tTIME +\t(\w+) *\t$", r"NODE \1OFFSET LAG TIME TIME \2"),
    (r"(?m)^\d+ +(\t\d+ +\t-?\d+ +\t-?\d+ +\tTIME\t)", r"PID\1"),
    (r"(?m)^NodeId\t.*$", "NODES"),
    (r"(records sent), .*", r"\1, SPEEDS"),
    (r"Timed out waiting for a node assignment\. Call: (\w+)\(api=METADATA\)|Call\(callName=(\w+)\(api=METADATA\),.*attempt\(s\)", "TIMED OUT"),
    # What is in a log beside its records is the broker's affair, but nothing is nothing.
    (r'"size":[1-9]\d*', '"size":SIZE'),
    # What Java adds to an error, and how often a client repeats itself.
    (r"(?m)^\s*at [\w.$/<>]+\([^)]*\)\n?", ""),
    (r"(?m)^\s*\.\.\. \d+ more\n?", ""),
    (r"(?m)^(.*)\n(?:\1\n)+", r"\1\n"),
    (r"(?s)(\nOption +Description *\n).*", r"\1(the option table is left out)\n"),
    (r"\n\s*\n(\s*\n)+", "\n\n"),
]


class Section:
    """Calls the tools against some brokers and keeps what they print."""

    def __init__(self, tools, bootstrap, folder):
        self.tools, self.bootstrap, self.folder = tools, bootstrap, folder
        self.found = {}

    def masked(self, text):
        text = re.sub(r"(?<=Isr: )[\d,]+", lambda isr: ",".join(sorted(isr.group().split(","))), text) # a set
        text = text.replace(self.folder + "/", "").replace(self.bootstrap, "BOOTSTRAP")
        for pattern, by in MASKS:
            text = re.sub(pattern, by, text)
        return text

    def __call__(self, name, tool, args, stdin="", boot=True):
        args = args.split() if isinstance(args, str) else list(args)
        if boot:
            args = ["--bootstrap-server", self.bootstrap] + args
        started = time.monotonic()
        code, out, err = self.tools.call(tool, args, stdin)
        shown = " ".join(a if re.fullmatch(r"[\w./:=,@+-]+", a) else "'%s'" % a for a in args)
        parts = [HEAD + name + ": " + tool + " " + self.masked(shown)]
        for label, text in (("stdin", stdin), ("stdout", self.masked(out)), ("stderr", self.masked(err))):
            if text.strip():
                parts.append("--- " + label)
                parts += text.rstrip("\n").split("\n")
        self.found[name] = "\n".join(parts + ["--- exit " + code]) + "\n"
        if time.monotonic() - started > 8:
            say("%s took %.0f s" % (name, time.monotonic() - started))

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        return path


def single(tool):
    """One broker that has just been started."""
    topics(tool)
    records(tool)
    offsets(tool)
    configs(tool)
    cluster(tool)


def quick(tool):
    """For what a client would try again for a minute."""
    return tool.file("quick.properties", "default.api.timeout.ms=3000\nrequest.timeout.ms=1500\n")


def topics(tool):
    for name, words in (
        ("create", "--create --topic user-events --partitions 3 --replication-factor 1"),
        ("list", "--list"),
        ("describe", "--describe --topic user-events"),
        ("topic-create-config", "--create --topic conf --config retention.ms=60000 --config cleanup.policy=compact"),
        ("topic-create-exists", "--create --topic user-events"),
        ("topic-create-if-not-exists", "--create --topic user-events --if-not-exists"),
        ("topic-create-rf-2", "--create --topic rf2 --replication-factor 2"),
        ("topic-create-bad-name", ["--create", "--topic", "bad name"]),
        ("topic-create-dot", "--create --topic with.dot"),
        ("topic-create-collides", "--create --topic with_dot"),
        ("topic-create-bad-config", "--create --topic x1 --config nope=1"),
        ("topic-create-bad-value", "--create --topic x1 --config retention.ms=abc"),
        ("topic-create-partitions-0", "--create --topic x2 --partitions 0"),
        ("topic-create-assignment", "--create --topic assigned --replica-assignment 1,1,1"),
        ("topic-create-assignment-unknown", "--create --topic assigned-9 --replica-assignment 9"),
        ("topic-describe-all", "--describe --exclude-internal"),
        ("topic-describe-unknown", "--describe --topic absent"),
        ("topic-describe-overrides", "--describe --topics-with-overrides --exclude-internal"),
        ("topic-describe-under-replicated", "--describe --under-replicated-partitions"),
        ("topic-describe-at-min-isr", "--describe --at-min-isr-partitions --exclude-internal"),
        ("topic-list-pattern", ["--list", "--topic", "user.*"]),
        ("topic-alter-partitions", "--alter --topic user-events --partitions 4"),
        ("topic-alter-same", "--alter --topic user-events --partitions 4"),
        ("topic-alter-fewer", "--alter --topic user-events --partitions 2"),
        ("topic-alter-unknown", "--alter --topic absent --partitions 2"),
        ("topic-delete", "--delete --topic with.dot"),
        ("topic-delete-unknown", "--delete --topic absent"),
        ("topic-delete-if-exists", "--delete --topic absent --if-exists"),
        ("topic-no-action", "--topic x"),
    ):
        tool(name, "TopicCommand", words)
    tool("no-broker", "TopicCommand", ["--bootstrap-server", "127.0.0.1:1", "--list", "--command-config", quick(tool)], boot=False)


def records(tool):
    """Keys say which partition; what has none goes to a topic of one."""
    tool("create-kv", "TopicCommand", "--create --topic kv --partitions 2")
    tool("create-plain", "TopicCommand", "--create --topic plain --partitions 1")
    keyed = ["--topic", "kv", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    tool("produce-keys-bad", "ConsoleProducer", keyed, stdin="k1:v1\nk2:v2\nk3:\nno separator\n")
    tool("produce-keys-ok", "ConsoleProducer", keyed, stdin="k1:v1\nk2:v2\nk3:\n")
    tool("produce-old-flag", "ConsoleProducer", "--topic kv --property parse.key=true --property key.separator=:", stdin="k6:v6\n")
    more = ("parse.headers=true", "null.marker=NULL", "headers.delimiter=|", "headers.separator=;", "headers.key.separator==")
    tool("produce-headers-null", "ConsoleProducer", keyed + [w for m in more for w in ("--reader-property", m)],
         stdin="h1=a;h1=b|k4:v4\nh2=NULL|k5:NULL\n")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        tool("produce-" + codec, "ConsoleProducer", "--topic plain --compression-codec %s --producer-property acks=all" % codec, stdin=codec + " 1\n")
    tool("produce-sync", "ConsoleProducer", "--topic plain --sync", stdin="one\n")
    tool("produce-acks-0", "ConsoleProducer", "--topic plain --command-property acks=0 --command-property enable.idempotence=false", stdin="zero\n")
    tool("produce-auto-create", "ConsoleProducer", "--topic made-by-producer", stdin="hello\n")
    tool("produce-nothing", "ConsoleProducer", "--topic plain")
    printed = ("print.key=true", "print.headers=true", "print.partition=true", "print.offset=true", "print.timestamp=true", "print.epoch=true",
               "print.delivery=true", "key.separator= | ")
    printed = [w for p in printed for w in ("--formatter-property", p)]
    for partition in ("0", "1"):
        tool("consume-all-properties-" + partition, "ConsoleConsumer",
             ["--topic", "kv", "--partition", partition, "--offset", "earliest", "--timeout-ms", "2500"] + printed)
    tool("consume-plain", "ConsoleConsumer", "--topic plain --partition 0 --from-beginning --timeout-ms 2500")
    tool("consume-old-flag", "ConsoleConsumer", "--topic kv --partition 0 --offset earliest --timeout-ms 2500 --property print.key=true --property null.literal=NIL")
    tool("consume-offset", "ConsoleConsumer", "--topic kv --partition 0 --offset 1 --max-messages 2")
    tool("consume-beyond", "ConsoleConsumer", "--topic kv --partition 0 --offset 1000 --timeout-ms 2500")
    tool("consume-latest", "ConsoleConsumer", "--topic kv --partition 0 --offset latest --timeout-ms 1500")
    tool("consume-read-committed", "ConsoleConsumer", "--topic kv --partition 1 --offset earliest --max-messages 2 --isolation-level read_committed")
    tool("consume-offset-without-partition", "ConsoleConsumer", "--topic kv --offset 1 --timeout-ms 1500")
    tool("consume-partition-absent", "ConsoleConsumer", "--topic kv --partition 9 --offset earliest --timeout-ms 1500")
    tool("producers", "TransactionsCommand", "describe-producers --topic kv --partition 0")
    tool("producers-plain", "TransactionsCommand", "describe-producers --topic plain --partition 0")
    tool("producers-none", "TransactionsCommand", "describe-producers --topic conf --partition 0")
    tool("producers-broker", "TransactionsCommand", "describe-producers --topic kv --partition 0 --broker-id 1")
    tool("producers-unknown", "TransactionsCommand", ["--command-config", quick(tool), "describe-producers", "--topic", "kv", "--partition", "9"])
    tool("perf-producer", "ProducerPerformance", ["--topic", "made-by-producer", "--num-records", "1000", "--record-size", "10", "--throughput", "-1",
                                                  "--bootstrap-server", tool.bootstrap], boot=False)


def offsets(tool):
    for value in ("earliest", "latest", "max-timestamp", "earliest-local", "latest-tiered", "earliest-pending-upload", "-1", "-2", "-3", "1"):
        tool("offsets" + ("-of-" if value.isdigit() else "-").replace("--", "-minus-") + value.lstrip("-") + ("-minus" if value.startswith("-") else ""),
             "GetOffsetShell", ["--topic", "plain", "--time", value])
    tool("offsets-topic-partitions", "GetOffsetShell", "--topic-partitions kv:0,plain:0-2")
    tool("offsets-partitions", "GetOffsetShell", "--topic kv --partitions 1")
    tool("offsets-all", "GetOffsetShell", "--exclude-internal-topics")
    tool("offsets-unknown", "GetOffsetShell", "--topic absent")
    plan = '{"partitions":[{"topic":"%s","partition":%d,"offset":%d}],"version":1}'
    for name, topic, partition, offset in (("", "kv", 0, 1), ("-all", "kv", 1, -1), ("-beyond", "kv", 0, 1000), ("-below", "kv", 0, 0), ("-unknown", "absent", 0, 1),
                                           ("-compacted", "conf", 0, 0)):
        path = tool.file("records%s.json" % name, plan % (topic, partition, offset))
        tool("delete-records" + name, "DeleteRecordsCommand", ["--command-config", quick(tool), "--offset-json-file", path])
    tool("offsets-after-delete", "GetOffsetShell", "--topic kv --time earliest")
    tool("consume-after-delete", "ConsoleConsumer", "--topic kv --partition 0 --offset 0 --max-messages 1 --command-property auto.offset.reset=earliest")


def configs(tool):
    conf = ["--entity-type", "topics", "--entity-name", "conf"]
    alter, describe = ["--alter"] + conf, ["--describe"] + conf
    tool("config-topic-describe", "ConfigCommand", describe)
    tool("config-topic-describe-all", "ConfigCommand", describe + ["--all"])
    tool("config-topic-alter", "ConfigCommand", alter + ["--add-config", "retention.ms=120000,segment.bytes=2000000"])
    tool("config-topic-alter-list", "ConfigCommand", alter + ["--add-config", "cleanup.policy=[compact,delete]"])
    tool("config-topic-describe-altered", "ConfigCommand", describe)
    tool("config-topic-delete", "ConfigCommand", alter + ["--delete-config", "retention.ms"])
    tool("config-topic-delete-absent", "ConfigCommand", alter + ["--delete-config", "flush.ms"])
    tool("config-topic-bad-key", "ConfigCommand", alter + ["--add-config", "nope=1"])
    tool("config-topic-bad-value", "ConfigCommand", alter + ["--add-config", "retention.ms=abc"])
    tool("config-topic-too-small", "ConfigCommand", alter + ["--add-config", "segment.bytes=1"])
    tool("config-topic-unknown", "ConfigCommand", "--describe --entity-type topics --entity-name absent")
    tool("config-topics-describe", "ConfigCommand", "--describe --entity-type topics")
    broker = "--entity-type brokers --entity-name 1"
    tool("config-broker-describe", "ConfigCommand", "--describe " + broker)
    tool("config-broker-default", "ConfigCommand", "--describe --entity-type brokers --entity-default")
    tool("config-broker-alter", "ConfigCommand", "--alter " + broker + " --add-config log.cleaner.threads=2")
    tool("config-broker-alter-default", "ConfigCommand", "--alter --entity-type brokers --entity-default --add-config log.retention.ms=86400000")
    tool("config-broker-describe-after", "ConfigCommand", "--describe " + broker)
    tool("config-brokers-describe", "ConfigCommand", "--describe --entity-type brokers")
    tool("config-broker-read-only", "ConfigCommand", "--alter " + broker + " --add-config num.partitions=2")
    tool("config-broker-bad-value", "ConfigCommand", "--alter " + broker + " --add-config log.cleaner.threads=abc")
    tool("config-broker-unknown", "ConfigCommand", "--describe --entity-type brokers --entity-name 99")
    tool("config-broker-delete-default", "ConfigCommand", "--alter --entity-type brokers --entity-default --delete-config log.retention.ms")
    tool("config-broker-delete", "ConfigCommand", "--alter " + broker + " --delete-config log.cleaner.threads")
    tool("config-client-metrics", "ConfigCommand", "--describe --entity-type client-metrics")
    tool("config-client-metrics-alter", "ConfigCommand", "--alter --entity-type client-metrics --entity-name m1 --add-config interval.ms=30000")
    tool("config-client-metrics-describe", "ConfigCommand", "--describe --entity-type client-metrics --entity-name m1")
    tool("client-metrics-list", "ClientMetricsCommand", "--list")
    tool("config-groups", "ConfigCommand", "--alter --entity-type groups --entity-name g1 --add-config consumer.session.timeout.ms=46000")
    tool("config-groups-describe", "ConfigCommand", "--describe --entity-type groups --entity-name g1")


def cluster(tool):
    tool("log-dirs", "LogDirsCommand", "--describe --topic-list kv")
    tool("log-dirs-empty", "LogDirsCommand", "--describe --topic-list conf")
    tool("log-dirs-broker", "LogDirsCommand", "--describe --broker-list 1 --topic-list plain,absent")
    tool("log-dirs-unknown-broker", "LogDirsCommand", "--describe --broker-list 99")
    for name, args in (("id", ["cluster-id"]), ("list-endpoints", ["list-endpoints"]), ("unregister-unknown", ["unregister", "--id", "99"])):
        tool("cluster-" + name, "ClusterTool", args[:1] + ["--bootstrap-server", tool.bootstrap] + args[1:], boot=False)
    tool("quorum-status", "MetadataQuorumCommand", "describe --status")
    tool("quorum-replication", "MetadataQuorumCommand", "describe --replication")
    tool("features-describe", "FeatureCommand", "describe")
    tool("features-version-mapping", "FeatureCommand", "version-mapping")
    tool("features-downgrade", "FeatureCommand", "downgrade --feature transaction.version=0 --dry-run")
    tool("features-upgrade-same", "FeatureCommand", "upgrade --feature group.version=1")
    tool("features-upgrade-too-high", "FeatureCommand", "upgrade --feature group.version=9")
    tool("features-disable-unknown", "FeatureCommand", "disable --feature nope")
    tool("api-versions", "BrokerApiVersionsCommand", "")
    tool("election-not-needed", "LeaderElectionCommand", "--election-type preferred --topic kv --partition 0")
    tool("election-unknown", "LeaderElectionCommand", "--election-type preferred --topic absent --partition 0")
    tool("election-all", "LeaderElectionCommand", "--election-type preferred --all-topic-partitions")


def three(tool, restart):
    """Three brokers; `restart` ends and starts broker 1, which loses what it leads."""
    tool("three-create", "TopicCommand", "--create --topic moved --replica-assignment 1:2:3,2:3:1,3:1:2")
    tool("three-create-rf-4", "TopicCommand", "--create --topic rf4 --replication-factor 4")
    tool("three-describe", "TopicCommand", "--describe --topic moved")
    tool("three-produce", "ConsoleProducer", "--topic moved --reader-property parse.key=true --reader-property key.separator=: --command-property acks=all",
         stdin="".join("k%d:v%d\n" % (n, n) for n in range(9)))
    for partition in "012":
        tool("three-consume-" + partition, "ConsoleConsumer", "--topic moved --partition %s --offset earliest --timeout-ms 2500" % partition)
    tool("three-offsets", "GetOffsetShell", "--topic moved")
    tool("three-log-dirs", "LogDirsCommand", "--describe --topic-list moved")
    tool("three-log-dirs-of-two", "LogDirsCommand", "--describe --topic-list moved --broker-list 1,3")
    tool("three-producers", "TransactionsCommand", "describe-producers --topic moved --partition 1")
    tool("three-producers-follower", "TransactionsCommand", "describe-producers --topic moved --partition 1 --broker-id 3")
    tool("three-quorum-replication", "MetadataQuorumCommand", "describe --replication")
    tool("three-quorum-status", "MetadataQuorumCommand", "describe --status")
    tool("three-endpoints", "ClusterTool", ["list-endpoints", "--bootstrap-server", tool.bootstrap], boot=False)
    tool("three-election-not-needed", "LeaderElectionCommand", "--election-type preferred --topic moved --partition 0")
    restart()
    tool("three-election-preferred", "LeaderElectionCommand", "--election-type preferred --topic moved --partition 0")
    tool("three-describe-after", "TopicCommand", "--describe --topic moved")
    tool("three-election-again", "LeaderElectionCommand", "--election-type preferred --all-topic-partitions")
    tool("three-election-unclean", "LeaderElectionCommand", "--election-type unclean --topic moved --partition 0")
    tool("three-unavailable", "TopicCommand", "--describe --unavailable-partitions")
    tool("three-at-min-isr", "TopicCommand", "--describe --at-min-isr-partitions --exclude-internal")


def read(name):
    """command → what Kafka printed."""
    with open(os.path.join(GOLDEN, name + ".txt")) as text:
        blocks = re.split(r"(?m)^(?=\$ )", text.read())
    return {block[len(HEAD):block.index(": ")]: block for block in blocks if block.startswith(HEAD)}


def write(name, found):
    os.makedirs(GOLDEN, exist_ok=True)
    with open(os.path.join(GOLDEN, name + ".txt"), "w") as out:
        out.write("".join(found.values()))


def wait_until(what, is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > deadline:
            raise LaneFailed("not so after 60 s: %s" % what)
        time.sleep(0.3)


def wait_in_sync(tools, bootstrap):
    """Until the partitions of `moved` have all their replicas again."""
    def is_so():
        isrs = re.findall(r"Isr: ([\d,]*)", tools.call("TopicCommand", ["--bootstrap-server", bootstrap, "--describe", "--topic", "moved"])[1])
        return len(isrs) == 3 and all(len(isr.split(",")) == 3 for isr in isrs)
    wait_until("all replicas are in sync", is_so)


def sides(ours, kafka):
    """What only one of them prints, each as one line."""
    if ours is None or kafka is None:
        return ("not asked" if ours is None else "asked"), ("not asked" if kafka is None else "asked")
    lines = list(difflib.ndiff(kafka.splitlines(), ours.splitlines()))
    def only(mark):
        return " / ".join(re.sub(r"\s+", " ", line[2:].replace("|", "¦")).strip() for line in lines if line.startswith(mark)) or "nothing"
    return only("+ "), only("- ")


def only_served(ours, kafka):
    """Which APIs are not served stands in the README; here those that are must be told as Kafka tells them."""
    absent = re.findall(r"(?m)^\t(\w+\(\d+\)): UNSUPPORTED,?$", ours["api-versions"])
    for texts in (ours, kafka):
        kept = [line for line in texts["api-versions"].splitlines() if not line.strip().startswith(tuple(absent))]
        texts["api-versions"] = "\n".join(line.rstrip(",") for line in kept)


def gather(tools, folder):
    """What the tools print about Ottla."""
    found = {}
    # The broker that gave the golden answers made topics of one partition.
    settings = [line for line in testing_properties() if not line.startswith("num.partitions=")]
    with Cluster(1, settings) as brokers:
        section = Section(tools, brokers.bootstrap, folder)
        single(section)
        found["single"] = section.found
        say(dumped.check(tools, brokers.bootstrap, brokers.brokers[0].data))
    with Cluster(3, settings) as brokers:
        section = Section(tools, brokers.bootstrap, folder)

        def restart():
            brokers.brokers[0].stop()
            brokers.brokers[0].start()
            brokers.brokers[0].wait_ready()
            wait_in_sync(tools, brokers.bootstrap)
        wait_until("3 brokers are known", lambda: tools.call("ClusterTool", ["list-endpoints", "--bootstrap-server", brokers.bootstrap])[1].count("unfenced") == 3)
        three(section, restart)
        found["three"] = section.found
    return found


def record(tools, folder, one, many, command):
    section = Section(tools, one, folder)
    single(section)
    write("single", section.found)
    section = Section(tools, many, folder)

    def restart():
        subprocess.run(command, shell=True, check=True)
        wait_in_sync(tools, many)
    three(section, restart)
    write("three", section.found)


def lane():
    words = sys.argv[1:]
    try:
        tools = Tools()
    except Missing as e:
        say("SKIPPED: %s" % e)
        sys.exit(77)
    with tools, tempfile.TemporaryDirectory(prefix="ottla-tools-") as folder:
        if words[:1] == ["--record"]:
            return record(tools, folder, *words[1:4])
        found = gather(tools, folder)
    kept = os.path.join(ROOT, "target", "ci")
    os.makedirs(kept, exist_ok=True)
    ours, kafka = {}, {}
    for name, texts in found.items():
        with open(os.path.join(kept, "tools-%s.txt" % name), "w") as out:
            out.write("".join(texts.values()))
        ours.update(texts)
        kafka.update(read(name))
    only_served(ours, kafka)
    differing = {name: sides(ours.get(name), kafka.get(name)) for name in list(kafka) + [n for n in ours if n not in kafka]
                 if ours.get(name) != kafka.get(name)}
    say("%d commands: %d print the same, %d differ" % (len(kafka), len(kafka) - len(differing), len(differing)))
    differences.judge(SECTIONS, differing, "--update" in words)


if __name__ == "__main__":
    main(lane)
