#!/usr/bin/env python3
"""Asks brokers what a real Kafka was asked and compares outcome, error codes and all fields of the answers with what Kafka answered.

    probe.py                compare; red on any difference that is not explained, and on an explanation that is not needed
    probe.py --update       rewrite the tables of differences: known reasons stay, new differences get the reason `TODO`

Golden answers: tests/golden/probe/semantics.tsv of one broker, semantics-3-brokers.tsv of three. Explained differences: sections of
tests/golden/differences.md. What is not served at all stands in a section of its own; of the others there may be few.
"""
import os
import re
import subprocess
import sys
import time

import differences
from brokers import ROOT, Cluster, LaneFailed, main, say, testing_properties

GOLDEN = os.path.join(ROOT, "tests", "golden", "probe")
# Which APIs are not served, the README says.
NOT_SERVED = "Groups and transactions are not served yet"
COUNTED = "Other answers"
# A client that asks a moment later is answered as by Kafka: these may differ or not, and count whether they do or not.
MOMENTARY = "Answers that depend on the moment"
COUNTED_MAX = 25
SECTIONS = "^(api_versions|framing|metadata|produce|idempotence|fetch|list_offsets|topics|configs|cluster)$"
ABSENT = "not asked"


def read_answers(lines):
    """case -> ('outcome: codes', fields), from the probe's columns 5 to 7."""
    found = {}
    for line in lines:
        if line.startswith("#") or line.startswith("case\t"):
            continue
        fields = (line.rstrip("\n") + "\t\t\t").split("\t")
        found[fields[0]] = ((fields[4] + (": " + fields[5] if fields[5] else "")).strip(), fields[6])
    return found


def only_served(ours, kafka):
    """ApiVersions: what is told must be told as Kafka tells it; what is not told is not served."""
    told = ours["api-versions-v4"][1]
    served = set(re.findall(r"\b(\d+):\d+-\d+", told)) | set(re.findall(r"Name=([\w.]+)", told))
    def cut(fields):
        fields = re.sub(r"(?<=ApiKeys=\[)[^\]]*", lambda keys: " ".join(k for k in keys.group().split() if k.split(":")[0] in served), fields)
        fields = re.sub(r" ?\{Name=([\w.]+)[^}]*\}", lambda feature: feature.group() if feature.group(1) in served else "", fields)
        # An answer's first bytes tell how many entries it has.
        return re.sub(r"(?<=first-bytes=0000000000)[0-9a-f]{2}0000", "<count>", fields).replace("[ ", "[")
    for answers in (ours, kafka):
        for case, (outcome, fields) in answers.items():
            if case.startswith(("api-versions", "frame-")):
                answers[case] = (outcome, cut(fields))


def sides(mine, theirs):
    """How two answers differ: outcome and codes, or else the words of the fields that only one has."""
    if mine[0] != theirs[0]:
        return mine[0], theirs[0]
    words = [answer[1].split(" ") for answer in (mine, theirs)]
    only = [" ".join(w for w in one if w not in other) or "in another order" for one, other in (words, words[::-1])]
    return "fields: " + only[0].replace("|", "¦"), "fields: " + only[1].replace("|", "¦")


def compare(ours, kafka):
    """case -> (ours, Kafka's) of all that differs."""
    absent = (ABSENT, "")
    cases = list(kafka) + [c for c in ours if c not in kafka]
    return {c: sides(ours.get(c, absent), kafka.get(c, absent)) for c in cases if ours.get(c) != kafka.get(c)}


def check_the_check():
    """The comparison itself must be able to fail, in each of its ways."""
    kafka = {"a": ("answer: 0 NONE", "x=1 y=2"), "b": ("closed", "")}
    assert compare(kafka, kafka) == {}
    assert compare(dict(kafka, a=("closed", "")), kafka) == {"a": ("closed", "answer: 0 NONE")}
    assert compare(dict(kafka, a=("answer: 0 NONE", "x=1 y=3")), kafka) == {"a": ("fields: y=3", "fields: y=2")}
    assert compare({"b": kafka["b"]}, kafka) == {"a": (ABSENT, "answer: 0 NONE")}
    assert compare(dict(kafka, c=("closed", "")), kafka) == {"c": ("closed", ABSENT)}


def ask(count, golden, sections):
    """What `count` brokers answer, and what Kafka did."""
    # The broker that gave the golden answers made topics of one partition.
    settings = [line for line in testing_properties() if not line.startswith("num.partitions=")]
    with Cluster(count, settings) as cluster:
        if count > 1:
            time.sleep(3) # the probe asks at once which brokers there are
        out = subprocess.run([sys.executable, "probe.py", cluster.bootstrap.split(",")[0], "--section", sections], cwd=GOLDEN,
                             stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        kept = os.path.join(ROOT, "target", "ci", "probe-%d.tsv" % count)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with open(kept, "w") as file:
            file.write(out.stdout)
        if out.returncode != 0:
            raise LaneFailed("the probe ended with status %d" % out.returncode)
        for broker in cluster.brokers:
            if broker.process.poll() is not None:
                raise LaneFailed("broker %d did not survive the probe:\n%s" % (broker.node, broker.tail()))
    with open(os.path.join(GOLDEN, golden)) as lines:
        return read_answers(out.stdout.splitlines()), read_answers(lines)


def lane():
    check_the_check()
    ours, kafka = ask(1, "semantics.tsv", SECTIONS)
    only_served(ours, kafka)
    for answers, more in zip((ours, kafka), ask(3, "semantics-3-brokers.tsv", "^replicas$")):
        answers.update(more)
    differing = compare(ours, kafka)
    apart = sum(case in differing for case in differences.read([NOT_SERVED]))
    say("%d cases: %d answered as Kafka answers them by outcome, codes and fields; %d otherwise, %d more in what is not served" %
        (len(kafka), len(kafka) - len(differing), len(differing) - apart, apart))
    differences.judge([NOT_SERVED, COUNTED], differing, "--update" in sys.argv[1:], [MOMENTARY])
    counted = len(differences.read([COUNTED, MOMENTARY]))
    say("%d differences are explained beside what is not served, at most %d are accepted" % (counted, COUNTED_MAX))
    if counted > COUNTED_MAX:
        raise LaneFailed("these are too many")


if __name__ == "__main__":
    main(lane)
