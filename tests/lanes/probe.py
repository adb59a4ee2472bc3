#!/usr/bin/env python3
"""Asks one broker what a real Kafka was asked and compares outcome and error codes with what Kafka answered.

    probe.py                compare; red on any difference that is not explained, and on an explanation that is not needed
    probe.py --update       rewrite the table of differences: known reasons stay, new differences get the reason `TODO`

Golden answers: tests/golden/probe/semantics.tsv. Explained differences: tests/golden/differences.md.
"""
import os
import re
import subprocess
import sys

from brokers import ROOT, Cluster, LaneFailed, main, say, testing_properties

GOLDEN = os.path.join(ROOT, "tests", "golden", "probe")
DIFFERENCES = os.path.join(ROOT, "tests", "golden", "differences.md")
SECTIONS = "^(api_versions|framing|metadata|produce|idempotence|fetch|list_offsets|topics|configs|cluster)$"
ABSENT = "not asked"


def read_answers(lines):
    """case -> 'outcome codes', from the probe's columns 1, 5 and 6."""
    found = {}
    for line in lines:
        if line.startswith("#") or line.startswith("case\t"):
            continue
        fields = line.rstrip("\n").split("\t")
        found[fields[0]] = (fields[4] + (": " + fields[5] if fields[5] else "")).strip()
    return found


def read_differences(path=DIFFERENCES):
    """case -> (ours, Kafka's, reason), from the rows of the tables."""
    found = {}
    with open(path) as lines:
        for line in lines:
            cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
            if line.startswith("| `") and len(cells) == 4:
                case = cells[0].strip("`")
                if case in found:
                    raise LaneFailed("%s stands twice in %s" % (case, os.path.basename(path)))
                found[case] = tuple(cells[1:])
    return found


def compare(ours, kafka, explained):
    """Sentences about everything that is not as it should be."""
    findings = []
    for case in list(kafka) + [c for c in ours if c not in kafka]:
        mine, theirs = ours.get(case, ABSENT), kafka.get(case, ABSENT)
        if mine == theirs:
            if case in explained:
                findings.append("%s: equal to Kafka's (%s), its explanation is not needed any more" % (case, theirs))
        elif case not in explained:
            findings.append("%s: ours %r, Kafka's %r, not explained" % (case, mine, theirs))
        else:
            said_mine, said_theirs, reason = explained[case]
            if (said_mine, said_theirs) != (mine, theirs):
                findings.append("%s: explained as ours %r, Kafka's %r, but it is %r and %r" % (case, said_mine, said_theirs, mine, theirs))
            if not reason or reason.startswith("TODO"):
                findings.append("%s: has no reason" % case)
    findings += ["%s: explained, but there is no such case" % case for case in explained if case not in kafka and case not in ours]
    return findings


def check_the_check():
    """The comparison itself must be able to fail, in each of its ways."""
    kafka = {"a": "answer: 0 NONE", "b": "closed"}
    because = ("closed", "answer: 0 NONE", "because")
    assert compare(kafka, kafka, {}) == []
    assert len(compare({"a": "closed", "b": "closed"}, kafka, {})) == 1, "a new difference"
    assert len(compare({"b": "closed"}, kafka, {})) == 1, "a case that is not answered"
    assert len(compare(dict(kafka, c="closed"), kafka, {})) == 1, "a case Kafka was not asked"
    assert compare({"a": "closed", "b": "closed"}, kafka, {"a": because}) == []
    assert len(compare(kafka, kafka, {"a": because})) == 1, "an explanation that is not needed"
    assert len(compare({"a": "silent", "b": "closed"}, kafka, {"a": because})) == 1, "a difference that has changed"
    assert len(compare(kafka, kafka, {"z": because})) == 1, "an explanation of nothing"
    assert len(compare({"a": "closed", "b": "closed"}, kafka, {"a": because[:2] + ("TODO",)})) == 1, "no reason"


def rewrite(ours, kafka, explained):
    """Brings the rows of differences.md up to date, in place; new ones go to the end of the file."""
    now = {c: (ours.get(c, ABSENT), kafka.get(c, ABSENT)) for c in list(kafka) + list(ours) if ours.get(c, ABSENT) != kafka.get(c, ABSENT)}
    lines, done = [], set()
    with open(DIFFERENCES) as old:
        for line in old:
            case = re.match(r"\| `([^`]+)` \|", line)
            if case and case.group(1) in explained:
                case = case.group(1)
                if case in now:
                    lines.append("| `%s` | %s | %s | %s |\n" % (case, now[case][0], now[case][1], explained[case][2]))
                    done.add(case)
            else:
                lines.append(line)
    lines += ["| `%s` | %s | %s | TODO |\n" % (c, mine, theirs) for c, (mine, theirs) in now.items() if c not in done]
    with open(DIFFERENCES, "w") as out:
        out.writelines(lines)
    say("%s: %d differences, %d without a reason" % (os.path.relpath(DIFFERENCES, ROOT), len(now), len(now) - len(done)))


def lane():
    check_the_check()
    with open(os.path.join(GOLDEN, "semantics.tsv")) as lines:
        kafka = read_answers(lines)
    # The broker that gave the golden answers made topics of one partition.
    settings = [line for line in testing_properties() if not line.startswith("num.partitions=")]
    with Cluster(1, settings) as cluster:
        out = subprocess.run([sys.executable, "probe.py", cluster.bootstrap, "--section", SECTIONS], cwd=GOLDEN, stdout=subprocess.PIPE,
                             text=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        kept = os.path.join(ROOT, "target", "ci", "probe.tsv")
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with open(kept, "w") as file:
            file.write(out.stdout)
        if out.returncode != 0:
            raise LaneFailed("the probe ended with status %d" % out.returncode)
        if cluster.brokers[0].process.poll() is not None:
            raise LaneFailed("the broker did not survive the probe:\n%s" % cluster.brokers[0].tail())
    ours = read_answers(out.stdout.splitlines())
    explained = read_differences()
    if "--update" in sys.argv[1:]:
        return rewrite(ours, kafka, explained)
    findings = compare(ours, kafka, explained)
    say("%d cases: %d equal to Kafka's, %d differ" % (len(kafka), sum(ours.get(c) == kafka[c] for c in kafka), sum(ours.get(c) != kafka[c] for c in kafka)))
    if findings:
        raise LaneFailed("%d finding(s)\n  %s" % (len(findings), "\n  ".join(findings)))


if __name__ == "__main__":
    main(lane)
