"""Judges what producers were told and what readers saw against what stands in the log at the end. For fire.py.

A message is (producer, number): each producer numbers what it sends to a partition 0, 1, 2 … Knows nothing of processes and clients.
"""


def check_partition(sent, acked, seen, found):
    """Sentences about one partition: lost, repeated, reordered, misplaced or invented messages.

    sent:  {producer: how many it sent}
    acked: {(producer, number): offset it was told}
    seen:  [(offset, message)] in the order in which a reader got them during the run
    found: [(offset, message)] as read at the end
    """
    findings = []
    if [offset for offset, _ in found] != list(range(len(found))):
        findings.append("offsets are not dense from 0")
    present = {}
    last = {}
    for offset, message in found:
        producer, number = message
        if message in present:
            findings.append("message %d of producer %d stands twice, at %d and %d" % (number, producer, present[message], offset))
            continue
        present[message] = offset
        if number < last.get(producer, -1):
            findings.append("order is broken: producer %d, %d stands before %d" % (producer, last[producer], number))
        last[producer] = number
        if not 0 <= number < sent.get(producer, 0):
            findings.append("message %d of producer %d was never sent" % (number, producer))
    lost = sorted(m for m in acked if m not in present)
    if lost:
        findings.append("%d acknowledged messages are lost: %s" % (len(lost), lost[:10]))
    misplaced = [m for m, offset in acked.items() if present.get(m, offset) != offset]
    if misplaced:
        findings.append("%d messages are not at the offset that was acknowledged: %s" % (len(misplaced), misplaced[:10]))
    if [offset for offset, _ in seen] != list(range(len(seen))):
        findings.append("the reader did not get offsets one by one from 0")
    changed = [(o, m) for o, m in seen if o >= len(found) or found[o] != (o, m)]
    if changed:
        findings.append("%d messages were read during the run and are not there at the end: %s" % (len(changed), changed[:10]))
    return findings


def silence(times, begin, end):
    """The longest time without an acknowledgement, of those that reach into begin..end. `times` ascend."""
    longest = 0
    for before, after in zip(times, times[1:]):
        if after > begin and before < end:
            longest = max(longest, after - before)
    return longest


def check_the_check():
    """The judgement itself must be able to fail, in each of its ways."""
    a, b, c, other = (1, 0), (1, 1), (1, 2), (2, 0)
    sent = {1: 3, 2: 1}
    good = [(0, a), (1, other), (2, b), (3, c)]
    acked = {m: o for o, m in good}

    def only(word, *given):
        findings = check_partition(*given)
        assert len(findings) == 1 and word in findings[0], (word, findings)

    assert check_partition(sent, acked, good[:3], good) == []
    assert check_partition(sent, {}, [], good[:2]) == []  # never acknowledged
    only("lost", sent, acked, [], good[:3])
    only("twice", sent, acked, [], good + [(4, b)])
    only("order", sent, {}, [], [(0, a), (1, c), (2, b)])
    only("dense", sent, {}, [], [(0, a), (2, b)])
    only("not at the offset", sent, {a: 0, b: 1}, [], good)
    only("never sent", {1: 1, 2: 1}, {}, [], [(0, a), (1, b)])
    only("one by one", sent, {}, good[1:], good)
    only("one by one", sent, {}, [good[0], good[0]], good)
    only("not there at the end", sent, {}, [(0, a), (1, b)], good)
    assert silence([0, 1, 2, 9, 10], 3, 4) == 7 and silence([0, 1, 2, 9, 10], 9, 12) == 1
