"""What the client scripts share: a broker process of their own, and a report of what worked.

Usage of each script: python <client>.py <medallion executable>
Prints one JSON object: the client, its version, and per feature "ok" or what went wrong.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# The test runner starts children from threads that block signals, and children inherit that.
signal.pthread_sigmask(signal.SIG_SETMASK, [])
# Clients write a line for every lost connection; VERBOSE=1 shows them, and the broker's log.
if not os.environ.get("VERBOSE"):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

PATIENCE = 60  # seconds that anything may take on a busy machine


def free_port():
    """Below the ports that the system gives to outgoing connections, so that nobody takes it while the broker is down, and
    among this test process's own where it has some; see TestPorts.swift."""
    first, last = (int(number) for number in os.environ.get("TEST_PORTS", "20000-31999").split("-"))
    for _ in range(200):
        port = random.randint(first, last)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Broker:
    """`medallion broker` with its data in a temporary folder."""

    def __init__(self, executable):
        self.executable = executable
        self.folder = tempfile.TemporaryDirectory(prefix="medallion-clients-", dir=os.environ.get("TEST_FOLDER"))
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        settings = {"BROKER_LISTEN": self.address, "BROKER_DIR": self.folder.name + "/data", "LOG_LEVEL": "warning",
                    "DATA_DIR": self.folder.name}
        self.process = subprocess.Popen([self.executable, "broker"], env={"PATH": os.environ["PATH"], **settings},
                                        stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError("the broker does not listen")
                time.sleep(0.05)

    def kill(self):
        """As the kernel's out-of-memory killer would."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def close(self):
        self.kill()
        self.folder.cleanup()


class Report:
    def __init__(self, client, version):
        self.client = client
        self.version = version
        self.features = {}

    def run(self, name, feature, *arguments):
        began = time.monotonic()
        try:
            feature(*arguments)
            self.features[name] = "ok"
        except Exception:
            self.features[name] = traceback.format_exc(limit=4)
        print(f"{self.client} {name}: {time.monotonic() - began:.1f} s", file=sys.stderr)

    def print(self):
        print(json.dumps({"client": self.client, "version": self.version, "features": self.features}))


def until(what, condition):
    """Waits until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not within the time: " + what)
        time.sleep(0.02)


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {str(found)[:400]}, expected {str(expected)[:400]}")


class Members:
    """Consumers of one group in threads, each told what to do by a function that polls once."""

    def __init__(self):
        self.seen = []
        self.lock = threading.Lock()
        self.threads = {}
        self.assigned = {}
        self.failures = {}

    def start(self, name, loop):
        stop = threading.Event()

        def guarded():
            try:
                loop(name, stop, self)
            except Exception:
                self.failures[name] = traceback.format_exc(limit=4)
        thread = threading.Thread(target=guarded, daemon=True)
        self.threads[name] = (thread, stop)
        thread.start()

    def stop(self, name):
        thread, stop = self.threads.pop(name)
        stop.set()
        thread.join(PATIENCE)
        if thread.is_alive():
            raise AssertionError(f"{name} does not end")
        self.assigned.pop(name, None)

    def stop_all(self):
        for name in list(self.threads):
            self.stop(name)

    def record(self, value):
        with self.lock:
            self.seen.append(value)

    def are_sharing(self, partitions):
        """All topic partitions are owned, each by one; raises where a member gave up."""
        for name, failure in list(self.failures.items()):
            raise AssertionError(f"{name} gave up: {failure}")
        owned = [p for parts in list(self.assigned.values()) for p in parts]
        return sorted(owned) == list(range(partitions)) and len(self.assigned) == len(self.threads) and all(
            self.assigned.values())


def rebalance_trial(loop, produce, partitions=4):
    """One member, then two, then three, then one again; records go on all the time; every record is seen."""
    members = Members()
    sent = []

    def send(count):
        values = [f"value {len(sent) + i}" for i in range(count)]
        produce(values)
        sent.extend(values)

    try:
        members.start("a", loop)
        until("one member owns everything", lambda: members.are_sharing(partitions))
        send(100)
        members.start("b", loop)
        members.start("c", loop)
        send(100)
        until("three members share", lambda: members.are_sharing(partitions))
        send(100)
        members.stop("a")
        members.stop("c")
        send(100)
        until("the last member owns everything", lambda: members.are_sharing(partitions))
        until("every record was seen", lambda: set(members.seen) >= set(sent))
    finally:
        members.stop_all()
    # Members commit before they hand over, so that nothing is read twice either.
    equal(len(members.seen), len(sent), "records seen")
