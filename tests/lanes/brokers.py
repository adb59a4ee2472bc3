"""Starts, kills and stops real `ottla` processes on free loopback ports, for the lanes beside this file.

Knows how a broker is configured and when it is ready; knows nothing of what a lane wants to show. Every process is ended by its own
process object, however the lane ends. Python's standard library only.
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBC = ctypes.CDLL(None, use_errno=True)
CLUSTER_ID = "b3R0bGEtdGVzdC1sYW5lLQ"


class LaneFailed(Exception):
    """What the lane promises does not hold."""


class LaneSkipped(Exception):
    """This machine lacks what the lane needs; says what."""


def say(text):
    print(text, flush=True)


def binary():
    """The broker under test: $OTTLA, or what `cargo build --release -p ottla` made."""
    path = os.environ.get("OTTLA") or os.path.join(
        os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "ottla")
    if not os.path.exists(path):
        sys.exit("no broker at %s: run `cargo build --release -p ottla` first" % path)
    return path


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count, span=1):
    """Ports that were free a moment ago, each with `span` - 1 free ones after it. Below 32768, where the kernel starts to take ports for
    outgoing connections: a killed broker must find its port free when it comes back."""
    found = []
    while len(found) < count:
        port = random.SystemRandom().randrange(12000, 32000)
        if all(abs(port - other) >= span for other in found) and all(is_free(port + n) for n in range(span)):
            found.append(port)
    return found


def answers(port, host="127.0.0.1"):
    """Whether something answers ApiVersions v0 there."""
    try:
        with socket.create_connection((host, port), 0.5) as s:
            s.settimeout(2)
            s.sendall(bytes.fromhex("0000000a" + "0012" + "0000" + "00000007" + "ffff"))
            return s.recv(8)[4:8] == bytes.fromhex("00000007")
    except OSError:
        return False


def with_parent(enter=None):
    """For `preexec_fn`: the child process is killed when this one ends, even by SIGKILL; `enter` is called in it first."""
    def prepare():
        if enter is not None:
            enter()
        LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    return prepare


class Broker:
    """One `ottla serve` process, its settings and its data folder."""

    def __init__(self, node, host, port, peer_port, voters, folder, extra, enter=None):
        self.node, self.host, self.port, self.folder, self.enter = node, host, port, folder, enter
        self.data = os.path.join(folder, "data-%d" % node)
        self.log = os.path.join(folder, "broker-%d.log" % node)
        self.config = os.path.join(folder, "broker-%d.properties" % node)
        self.process = None
        lines = list(extra) + [
            "node.id=%d" % node,
            "cluster.id=%s" % CLUSTER_ID,
            "listeners=PLAINTEXT://%s:%d,CONTROLLER://%s:%d" % (host, port, host, peer_port),
            "advertised.listeners=PLAINTEXT://%s:%d" % (host, port),
            "controller.listener.names=CONTROLLER",
            "controller.quorum.voters=%s" % voters,
            "log.dirs=%s" % self.data,
        ]
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + "\n")

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([binary(), "serve", "--config", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            preexec_fn=with_parent(self.enter))

    def wait_ready(self, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise LaneFailed("broker %d ended with status %s:\n%s" % (self.node, self.process.returncode, self.tail()))
            if answers(self.port, self.host):
                return
            time.sleep(0.05)
        raise LaneFailed("broker %d does not answer after %d s:\n%s" % (self.node, seconds, self.tail()))

    def kill(self):
        """SIGKILL: the process has no chance to tidy up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends the process whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self):
        try:
            with open(self.log) as log:
                return "".join(log.readlines()[-15:])
        except OSError:
            return ""


class Cluster:
    """Brokers 1..n, as a context: all processes end with it; the folder goes too unless the lane failed. On loopback, or each in its network
    of `networks`."""

    def __init__(self, count, extra=(), networks=None):
        self.folder = tempfile.mkdtemp(prefix="ottla-lane-")
        ports = free_ports(2 * count)
        hosts = [networks.address(n + 1) if networks else "127.0.0.1" for n in range(count)]
        voters = ",".join("%d@%s:%d" % (n + 1, hosts[n], ports[count + n]) for n in range(count))
        self.brokers = [Broker(n + 1, hosts[n], ports[n], ports[count + n], voters, self.folder, extra, networks and networks.into(n + 1))
                        for n in range(count)]

    @property
    def bootstrap(self):
        return ",".join("%s:%d" % (b.host, b.port) for b in self.brokers)

    def __enter__(self):
        try:
            for b in self.brokers:
                b.start()
            for b in self.brokers:
                b.wait_ready()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        for b in self.brokers:
            b.stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            say("data and logs are kept in %s" % self.folder)


def testing_properties():
    """The settings of tests/testing.properties."""
    with open(os.path.join(ROOT, "tests", "testing.properties")) as lines:
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def main(lane):
    """Runs a lane: prints PASSED, or why not: exit status 0 or 1, and 77 if this machine lacks what the lane needs."""
    started = time.monotonic()
    try:
        lane()
    except LaneSkipped as e:
        say("SKIPPED: %s" % e)
        sys.exit(77)
    except LaneFailed as e:
        say("FAILED: %s" % e)
        sys.exit(1)
    say("PASSED in %.0f s" % (time.monotonic() - started))
