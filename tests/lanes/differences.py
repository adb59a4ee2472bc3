"""`tests/golden/differences.md`: what is known to differ from Kafka, and the judgement over what a lane has found.

Each lane has sections of its own there, told by their headings. A row is `case | ours | Kafka's | reason`.
"""
import os
import re

from brokers import ROOT, LaneFailed, say

FILE = os.path.join(ROOT, "tests", "golden", "differences.md")


def read(sections, path=FILE):
    """case -> (ours, Kafka's, reason), from the rows below these headings."""
    found, heading = {}, None
    with open(path) as lines:
        for line in lines:
            if line.startswith("## "):
                heading = line[3:].strip()
            cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
            if heading in sections and line.startswith("| `"):
                case = cells[0].strip("`")
                if len(cells) != 4:
                    raise LaneFailed("%s: its row in %s has %d cells, not 4" % (case, os.path.basename(path), len(cells)))
                if case in found:
                    raise LaneFailed("%s stands twice in %s" % (case, os.path.basename(path)))
                found[case] = tuple(cells[1:])
    return found


def compare(differing, explained, momentary=()):
    """Sentences about everything that is not as it should be. Explanations of the cases in `momentary` may turn out not to be needed."""
    findings = []
    for case, (mine, theirs) in differing.items():
        if case not in explained:
            findings.append("%s: ours %r, Kafka's %r, not explained" % (case, mine, theirs))
            continue
        said_mine, said_theirs, reason = explained[case]
        if (said_mine, said_theirs) != (mine, theirs):
            findings.append("%s: explained as ours %r, Kafka's %r, but it is %r and %r" % (case, said_mine, said_theirs, mine, theirs))
        if not reason or reason.startswith("TODO"):
            findings.append("%s: has no reason" % case)
    findings += ["%s: explained, but it does not differ" % case for case in explained if case not in differing and case not in momentary]
    return findings


def check_the_check():
    """The comparison itself must be able to fail, in each of its ways."""
    because = ("closed", "answer: 0 NONE", "because")
    differing = {"a": because[:2]}
    assert compare({}, {}) == []
    assert len(compare(differing, {})) == 1, "a new difference"
    assert compare(differing, {"a": because}) == []
    assert len(compare({}, {"a": because})) == 1, "an explanation that is not needed"
    assert len(compare({"a": ("silent", because[1])}, {"a": because})) == 1, "a difference that has changed"
    assert len(compare(differing, {"a": because[:2] + ("TODO",)})) == 1, "no reason"
    assert compare({}, {"a": because}, ["a"]) == compare(differing, {"a": because}, ["a"]) == [], "it depends on the moment"
    assert len(compare({"a": ("silent", because[1])}, {"a": because}, ["a"])) == 1, "but not in which way"


def rewrite(sections, differing, explained):
    """Brings the rows below these headings up to date; new ones go to the end of the last."""
    with open(FILE) as old:
        lines = old.readlines()
    kept, done, heading, end = [], set(), None, None
    for line in lines:
        if line.startswith("## "):
            heading = line[3:].strip()
        row = re.match(r"\| `([^`]+)` \|", line)
        if heading in sections and row:
            case = row.group(1)
            if case not in differing or case in done:
                end = len(kept)
                continue
            line = "| `%s` | %s | %s | %s |\n" % ((case,) + tuple(differing[case]) + (explained[case][2],))
            done.add(case)
        kept.append(line)
        if heading == sections[-1] and line.startswith("|"):
            end = len(kept)
    if end is None:
        raise LaneFailed("%s has no table below %r" % (os.path.basename(FILE), sections[-1]))
    kept[end:end] = ["| `%s` | %s | %s | TODO |\n" % (c, mine, theirs) for c, (mine, theirs) in differing.items() if c not in done]
    with open(FILE, "w") as out:
        out.writelines(kept)
    say("%s: %d differences, %d without a reason" % (os.path.relpath(FILE, ROOT), len(differing), len(differing) - len(done)))


def judge(sections, differing, is_update, momentary=()):
    """Fails on a difference that is not explained and on an explanation that is not needed, or rewrites the table. `differing`: case ->
    (ours, Kafka's). Rows below the headings in `momentary` are of cases that differ at one moment and not at another; by hand only."""
    check_the_check()
    explained, seldom = read(sections), read(momentary)
    if is_update:
        return rewrite(sections, {case: sides for case, sides in differing.items() if case not in seldom}, explained)
    if findings := compare(differing, dict(explained, **seldom), seldom):
        raise LaneFailed("%d finding(s)\n  %s" % (len(findings), "\n  ".join(findings)))
