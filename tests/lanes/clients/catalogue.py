"""The clients below this folder: how each is installed, how it is called, and what its library can't do.

Needs are kept where a second run finds them: programs under target/ci, libraries in the caches of their package managers. A client that
can't be had raises `Missing` with the reason. Versions are pinned here and in the lock files beside the sources.
"""
import glob
import os
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUILD = os.path.join(os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))), "ci")


class Missing(Exception):
    """Why a client can't be had on this machine."""


def run(what, argv, cwd=None, **environment):
    """A step of an installation: quiet when it works, its last words are the reason when it doesn't."""
    try:
        out = subprocess.run(argv, cwd=cwd, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace", timeout=900)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Missing("%s: %s" % (what, e))
    if out.returncode != 0:
        raise Missing("%s: %s" % (what, " / ".join(out.stdout.strip().splitlines()[-3:])[:300]))
    return out.stdout


def need_command(command, *packages):
    """A command, from Debian's packages if it is not there."""
    if shutil.which(command):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    run("%s is not installed and apt-get can't install it" % command, sudo + ["apt-get", "update", "-qq"])
    run("%s is not installed and apt-get can't install it" % command, sudo + ["apt-get", "install", "-y", "-qq"] + list(packages))


class Client:
    """One client. What it can't do is a dictionary from what to why, and shown in the table.

    plain: codecs that it sends uncompressed instead; without: kinds of records it can't write; unread: kinds it can't read, so that it reads
    no topic with them; views: what it can't tell apart when it reads (`rule.py`); notes: what it does in another way than the others;
    writes_raw, reads_raw: why it doesn't, or None.
    """

    def __init__(self, name, install, plain=None, without=None, unread=None, views=None, notes=None, writes_raw=None, reads_raw=None):
        self.name, self.install = name, install
        self.plain, self.without = plain or {}, without or {}
        self.unread, self.views, self.notes = unread or {}, views or {}, notes or {}
        self.writes_raw, self.reads_raw = writes_raw, reads_raw
        self.argv = None # how it is called, once it is installed


# ---- installing: each returns the beginning of a command line --------------------------------------------------------------------

PYTHON_PACKAGES = ("confluent-kafka==2.16.1", "kafka-python==3.0.12", "lz4==4.4.5", "zstandard==0.25.0", "python-snappy==0.7.3")


ONE_VENV = threading.Lock()


def python(folder):
    def install():
        with ONE_VENV:
            return into_venv()

    def into_venv():
        venv = os.path.join(BUILD, "venv-clients")
        done = os.path.join(venv, "installed")
        wanted = "\n".join(PYTHON_PACKAGES)
        if not os.path.exists(done) or open(done).read() != wanted:
            run("a virtual environment", [sys.executable, "-m", "venv", venv])
            run("pip install", [os.path.join(venv, "bin", "pip"), "install", "-q"] + list(PYTHON_PACKAGES))
            with open(done, "w") as out:
                out.write(wanted)
        return [os.path.join(venv, "bin", "python"), os.path.join(HERE, folder, "client.py")]
    return install


def go(folder):
    def install():
        need_command("go", "golang-go")
        program = os.path.join(BUILD, "clients", folder)
        run("go build", ["go", "build", "-o", program, "./" + folder], cwd=os.path.join(HERE, "go"), GOTOOLCHAIN="local",
            GOFLAGS="-mod=readonly -buildvcs=false")
        return [program]
    return install


def java():
    need_command("javac", "default-jdk-headless")
    need_command("mvn", "maven")
    source, classes = os.path.join(HERE, "java"), os.path.join(BUILD, "clients", "java")
    if not os.path.exists(os.path.join(classes, "libs", "complete")):
        run("mvn", ["mvn", "-q", "-B", "-f", os.path.join(source, "pom.xml"), "dependency:copy-dependencies",
                    "-DoutputDirectory=" + os.path.join(classes, "libs"), "-DincludeScope=runtime"])
        open(os.path.join(classes, "libs", "complete"), "w").close()
    path = os.path.join(classes, "libs", "*")
    run("javac", ["javac", "-d", classes, "-cp", path] + glob.glob(os.path.join(source, "*.java")))
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp", classes + ":" + path, "Client"]


def node():
    need_command("node", "nodejs", "npm")
    need_command("npm", "npm")
    source, build = os.path.join(HERE, "kafkajs"), os.path.join(BUILD, "clients", "kafkajs")
    os.makedirs(build, exist_ok=True)
    lock = os.path.join(source, "package-lock.json")
    done = os.path.join(build, "installed")
    if not os.path.exists(done) or open(done).read() != open(lock).read():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(source, name), build)
        run("npm ci", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=build)
        shutil.copy(lock, done)
    for name in os.listdir(source):
        if name.endswith(".js"):
            shutil.copy(os.path.join(source, name), build)
    return ["node", os.path.join(build, "client.js")]


def rust(program):
    def install():
        source, target = os.path.join(HERE, "rust"), os.path.join(BUILD, "clients", "rust")
        run("cargo build", ["cargo", "build", "--release", "--locked", "--bin", program], cwd=source, CARGO_TARGET_DIR=target)
        return [os.path.join(target, "release", program)]
    return install


def kcat():
    need_command("kcat", "kcat")
    return [sys.executable, os.path.join(HERE, "kcat", "client.py")]


# ---- the list --------------------------------------------------------------------------------------------------------------------

UTF8_NAMES = "header names are text"
# librdkafka takes a broker that does not serve FindCoordinator for one of before LZ4, and does without.
LIBRDKAFKA = {"lz4": "compresses so only for brokers that serve FindCoordinator, and groups are not served yet"}

CLIENTS = [
    Client("kcat", kcat, plain=LIBRDKAFKA,
           without={"own-headers": "gives all records of a run the same headers",
                    "timestamps": "can't be told any: they are its clock's, and all must read the same",
                    "zero": "headers are arguments, which end at a zero byte",
                    "null-header": "headers are `name=value`, and there is no null",
                    "null-empty": "overlooks a line without a key and without a value"},
           views={"header-zero": "prints a header's value up to its first zero byte"},
           notes={"creates topics by writing to them": "it has no other way"}),
    Client("confluent", python("confluent"), plain=LIBRDKAFKA, writes_raw=UTF8_NAMES, reads_raw=UTF8_NAMES),
    Client("kafka-python", python("kafka-python"), without={"null-header": "refuses None as the value of a header",
                                                             "null-null": "refuses a record whose key and value are both None"},
           writes_raw=UTF8_NAMES, reads_raw=UTF8_NAMES),
    Client("franz-go", go("franz-go")),
    Client("kafka-go", go("kafka-go"), views={"empty-is-null": "its reader gives nothing for both"}),
    Client("java", java, writes_raw=UTF8_NAMES, reads_raw=None, views={"names-replaced": "names that are not UTF-8 are decoded with U+FFFD"}),
    Client("kafkajs", node, without={"null-header": "takes the length of a header's value, and null has none"},
           views={"names-replaced": "names that are not UTF-8 are decoded with U+FFFD"},
           notes={"reads by its own fetch and decoder, without its Consumer": "that joins a group, and groups are not served yet"},
           writes_raw=UTF8_NAMES),
    Client("rdkafka", rust("rdkafka"), plain=LIBRDKAFKA, writes_raw=UTF8_NAMES, reads_raw=UTF8_NAMES),
    Client("rskafka", rust("rskafka"), without={"repeated": "headers are a map", "null-header": "headers have no null"},
           unread={"null-header": "calls a batch malformed that has a null header"}, views={"header-map": "headers are a map"},
           writes_raw=UTF8_NAMES, reads_raw=UTF8_NAMES),
]
