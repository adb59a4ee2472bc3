"""A network of its own for each broker process, so that cables can be pulled: network namespaces, joined by a bridge.

`Networks` moves the calling process into a new namespace, where the bridge is, and makes one more namespace for each broker, joined to the
bridge by a veth pair. Nothing is named on the machine and nothing is routed anywhere: the kernel takes a namespace away with the last
process in it and the last file handle on it, so there is nothing to clean up, however the lane ends. What runs in the calling process from
then on, and what it starts, lives at the bridge and reaches the brokers at `address(n)`; only brokers are started inside theirs.

Lost packets are dropped where they would come off the wire (nftables, hook `ingress`), so neither end is told.

Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN), `ip` and `nft`. Python's standard library only.
"""
import ctypes
import os
import shutil
import socket
import subprocess
import time

from brokers import LIBC, LaneFailed, LaneSkipped

NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
SUBNET = "10.99.0."
BRIDGE = SUBNET + "254"

# What a cut takes away. `in` and `out` are one-way, as seen from the broker; `peers` leaves it its clients; `link` is a pulled cable, which
# the broker's own kernel notices.
WAYS = ["both", "in", "out", "peers", "link"]


def _check(result, what):
    if result != 0:
        raise LaneFailed("%s: %s" % (what, os.strerror(ctypes.get_errno())))


def _new_namespace():
    """Moves this process into a new network namespace and returns a handle on it."""
    _check(LIBC.unshare(NEW_NETWORK), "a network namespace can't be made")
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Networks:
    """The bridge and one namespace for each broker 1..count."""

    def __init__(self, count):
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        for tool in ("ip", "nft"):
            if shutil.which(tool) is None:
                raise LaneSkipped("`%s` is not installed" % tool)
        try:
            self.make(count)
            self.drop(1, "in", "")  # whether this kernel has the hook
            self.heal(1)
        except LaneFailed as e:
            raise LaneSkipped(str(e)) from e

    def make(self, count):
        self.bridge = _new_namespace()
        self.handles = {n: _new_namespace() for n in range(1, count + 1)}
        self.enter(self.bridge)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "bridge", "type", "bridge")
        self.ip("addr", "add", BRIDGE + "/24", "dev", "bridge")
        self.ip("link", "set", "bridge", "up")
        for n in self.handles:
            self.ip("link", "add", self.port(n), "type", "veth", "peer", "name", "wire")
            self.ip("link", "set", "wire", "netns", "/proc/%d/fd/%d" % (os.getpid(), self.handles[n]))
            self.ip("link", "set", self.port(n), "master", "bridge", "up")
            self.ip("link", "set", "lo", "up", inside=n)
            self.ip("addr", "add", self.address(n) + "/24", "dev", "wire", inside=n)
            self.ip("link", "set", "wire", "up", inside=n)

    @staticmethod
    def port(n):
        """The bridge's end of the cable to broker n."""
        return "broker%d" % n

    @staticmethod
    def address(n):
        return SUBNET + str(n)

    @staticmethod
    def enter(handle):
        _check(LIBC.setns(handle, NEW_NETWORK), "a network namespace can't be entered")

    def into(self, n):
        """For `preexec_fn`: moves a child process into the network of broker n."""
        return lambda: self.enter(self.handles[n])

    def run(self, command, inside=None, text=None):
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              preexec_fn=None if inside is None else self.into(inside))
        if done.returncode != 0:
            raise LaneFailed("`%s` failed: %s" % (" ".join(command), done.stdout.strip()))

    def ip(self, *words, inside=None):
        self.run(["ip"] + list(words), inside)

    def drop(self, n, way, match):
        """Loses what broker n gets (`in`) or sends (`out`), as far as it matches."""
        device, inside = ("wire", n) if way == "in" else (self.port(n), None)
        self.run(["nft", "-f", "-"], inside, 'table netdev cut%d {\nchain %s {\ntype filter hook ingress device "%s" priority 0\n%s drop\n}\n}\n'
                 % (n, way, device, match))

    def cut(self, n, way):
        """Takes something away from broker n, by one of WAYS."""
        others = "{ %s }" % ", ".join(self.address(other) for other in self.handles if other != n)
        if way == "link":
            self.ip("link", "set", self.port(n), "down")
        elif way == "peers":
            self.drop(n, "in", "ip saddr " + others)
            self.drop(n, "out", "ip daddr " + others)
        else:
            if way in ("in", "both"):
                self.drop(n, "in", "")
            if way in ("out", "both"):
                self.drop(n, "out", "")

    def heal(self, n):
        """Gives broker n everything back."""
        for inside in (None, n):
            self.run(["nft", "-f", "-"], inside, "add table netdev cut%d\ndelete table netdev cut%d\n" % (n, n))
        self.ip("link", "set", self.port(n), "up")


    def socket_at(self, n):
        """A datagram socket in the network of broker n, or at the bridge for 0. (A socket stays where it was made.)"""
        self.enter(self.handles[n] if n else self.bridge)
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.enter(self.bridge)
        made.bind((self.address(n) if n else BRIDGE, 0))
        made.settimeout(0.05)
        return made

    def check(self):
        """Sends datagrams through every cut: what must be lost is lost, what must arrive arrives, and healed is whole."""
        at = {n: self.socket_at(n) for n in (0, 1, 2)}
        for way in [None] + [w for way in WAYS for w in (way, None)]:
            self.cut(1, way) if way else self.heal(1)
            time.sleep(0.1)
            for sender, receiver in ((0, 1), (1, 0), (2, 1), (1, 2)):
                lost = way in ("both", "link", "in" if receiver == 1 else "out") or way == "peers" and 0 not in (sender, receiver)
                if passes(at[sender], at[receiver], 3 if lost else 30) == lost:
                    raise LaneFailed("cut %s of broker 1: %d to %d is%s lost" % (way, sender, receiver, " not" if lost else ""))
        for made in at.values():
            made.close()


def passes(sender, receiver, tries):
    """Whether one of some datagrams arrives. (The first may wait for an address to be looked up, and arrive much later.)"""
    for _ in range(tries):
        sent = os.urandom(8)
        try:
            sender.sendto(sent, receiver.getsockname())
            while True:
                if receiver.recv(8) == sent:
                    return True
        except OSError:
            pass
    return False
