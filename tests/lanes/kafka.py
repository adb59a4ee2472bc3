"""Starts, kills and stops real Apache Kafka brokers (KRaft, broker and controller in one process), as `brokers.py` does with ours.

The jars come by `kafkatools.py`. Every broker has the same settings as its users have them by default; what a lane wants otherwise it
says. Heap is fixed, so that the JVM does not grow into a measurement.
"""
import os
import subprocess
import time

from brokers import CLUSTER_ID, Broker, Cluster, LaneFailed
from kafkatools import install


class KafkaBroker(Broker):
    """One `kafka.Kafka` process."""

    heap = "1g"

    def start(self):
        java = ["java", "-Xms" + self.heap, "-Xmx" + self.heap, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp", self.classes,
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        if not os.path.exists(os.path.join(self.data, "meta.properties")):
            told = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self.config]
            done = subprocess.run(java + told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                raise LaneFailed("Kafka's storage can't be formatted:\n" + done.stdout)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(java + ["kafka.Kafka", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.folder)


class Kafka(Cluster):
    """Brokers 1..n of Apache Kafka, as a context."""

    def __init__(self, count, extra=()):
        replicas = min(count, 3)
        settings = ["process.roles=broker,controller", "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                    "default.replication.factor=%d" % replicas, "offsets.topic.replication.factor=%d" % replicas,
                    "transaction.state.log.replication.factor=%d" % replicas]
        classes = install()
        super().__init__(count, settings + list(extra))
        for b in self.brokers:
            b.__class__ = KafkaBroker
            b.classes = classes
            b.heap = "1g" if count == 1 else "512m"

    def __enter__(self):
        cluster = super().__enter__()
        # A port that answers is not yet a broker that takes topics.
        time.sleep(3)
        return cluster
