"""Apache Kafka's own command line tools: how they are had and how they are called.

They come from Maven like any other artifact and stay under target/ci. All calls go through one JVM (`kafka-tools/Tools.java`); what a tool prints
and the status it exits with are those it would have had alone. Python's standard library only, beside Java.
"""
import base64
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))
from catalogue import BUILD, Missing, need_command, run

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kafka-tools")
PACKAGE = "org.apache.kafka.tools."
CLASSES = {
    "ConfigCommand": "kafka.admin.ConfigCommand",
    "ConsoleConsumer": PACKAGE + "consumer.ConsoleConsumer",
    "ConsumerGroupCommand": PACKAGE + "consumer.group.ConsumerGroupCommand",
    "ReassignPartitionsCommand": PACKAGE + "reassign.ReassignPartitionsCommand",
}
__all__ = ["Missing", "Tools"]


def install():
    """The class path, after Maven and the compiler have done their part; raises `Missing` with the reason if they can't."""
    need_command("javac", "default-jdk-headless")
    need_command("mvn", "maven")
    classes = os.path.join(BUILD, "kafka-tools")
    libs = os.path.join(classes, "libs")
    done, pom = os.path.join(libs, "complete"), os.path.join(SOURCE, "pom.xml")
    wanted = open(pom).read()
    if not os.path.exists(done) or open(done).read() != wanted:
        run("mvn", ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory=" + libs, "-DincludeScope=runtime"])
        with open(done, "w") as out:
            out.write(wanted)
    path = os.path.join(libs, "*")
    run("javac", ["javac", "-d", classes, "-cp", path, os.path.join(SOURCE, "Tools.java")])
    return classes + ":" + path


class Tools:
    """The JVM, as a context."""

    def __init__(self):
        self.path, self.process = install(), None

    def __enter__(self):
        argv = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", self.path, "Tools"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def call(self, tool, args, stdin=""):
        """Runs a tool; its exit status as text, standard output and standard error."""
        words = [CLASSES.get(tool, PACKAGE + tool), stdin] + list(args)
        self.process.stdin.write(" ".join("=" + base64.b64encode(word.encode()).decode() for word in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 3:
            raise RuntimeError("the JVM of the tools has ended")
        return [answer[0]] + [base64.b64decode(word[1:]).decode(errors="replace") for word in answer[1:]]
