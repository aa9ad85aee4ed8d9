"""kcat: what people type."""

import subprocess
import sys
import time

from harness import PATIENCE, Broker, Report, equal, until


def kcat(broker, *arguments, text=""):
    done = subprocess.run(["kcat", "-b", broker.address, *arguments], input=text.encode(), timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise AssertionError(f"kcat {arguments}: {done.stderr.decode()}")
    return done.stdout.decode()


def create(broker, topic):
    """kcat has no command for it: the first to ask for a topic makes it where the broker allows that."""
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": broker.address})
    for future in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        future.result(PATIENCE)


def round_trip(broker):
    create(broker, "round-trip")
    lines = [f"key {i}|value {i}" for i in range(1000)]
    kcat(broker, "-P", "-t", "round-trip", "-p", "1", "-K", "|", "-H", "a=b", text="\n".join(lines) + "\n")
    found = kcat(broker, "-C", "-t", "round-trip", "-p", "1", "-e", "-q", "-f", "%k|%s %h\\n").splitlines()
    equal(found, [line + " a=b" for line in lines], "records")
    assert '"round-trip"' in kcat(broker, "-L", "-J")
    equal(kcat(broker, "-C", "-t", "round-trip", "-p", "1", "-o", "-2", "-e", "-q", "-f", "%o\\n").split(),
          ["998", "999"], "the last two")


def compression(broker):
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        create(broker, f"codec-{codec}")
        lines = [f"value {i} " + "x" * 100 for i in range(1000)]
        kcat(broker, "-P", "-t", f"codec-{codec}", "-p", "0", "-z", codec, text="\n".join(lines) + "\n")
        found = kcat(broker, "-C", "-t", f"codec-{codec}", "-p", "0", "-e", "-q", "-X", "check.crcs=true")
        equal(found.splitlines(), lines, codec)


def groups(broker):
    """Two balanced consumers of one group see every record once."""
    create(broker, "grouped")
    command = ["kcat", "-b", broker.address, "-G", "group", "-u", "-q", "-X", "auto.offset.reset=earliest", "grouped"]
    consumers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        lines = [f"value {i}" for i in range(500)]
        time.sleep(1)  # a chance for both to be there; the outcome does not depend on it
        for partition in range(2):
            kcat(broker, "-P", "-t", "grouped", "-p", str(partition), text="\n".join(lines) + "\n")
        found = []
        import selectors
        selector = selectors.DefaultSelector()
        for consumer in consumers:
            selector.register(consumer.stdout, selectors.EVENT_READ, consumer.stdout)

        def read():
            import os
            for key, _ in selector.select(0.1):
                found.append(os.read(key.fd, 1 << 16))
            return sum(piece.count(b"\n") for piece in found) >= 1000
        until("all records are seen", read)
        equal(sum(piece.count(b"\n") for piece in found), 1000, "records seen")
    finally:
        for consumer in consumers:
            consumer.terminate()
            consumer.wait(PATIENCE)


def seek_by_time(broker):
    create(broker, "times")
    kcat(broker, "-P", "-t", "times", "-p", "0", text="before\n")
    time.sleep(0.05)
    moment = int(time.time() * 1000)
    time.sleep(0.05)
    kcat(broker, "-P", "-t", "times", "-p", "0", text="after\n")
    equal(kcat(broker, "-C", "-t", "times", "-p", "0", "-o", f"s@{moment}", "-e", "-q").split(), ["after"], "seek")
    equal(kcat(broker, "-Q", "-t", f"times:0:{moment}").split()[-1], "1", "query")


def idempotence(broker):
    create(broker, "idempotent")
    lines = [f"value {i}" for i in range(1000)]
    kcat(broker, "-P", "-t", "idempotent", "-p", "0", "-X", "enable.idempotence=true", text="\n".join(lines) + "\n")
    equal(kcat(broker, "-C", "-t", "idempotent", "-p", "0", "-e", "-q").splitlines(), lines, "values")


def restart(broker):
    """The broker is killed while kcat produces from a pipe."""
    create(broker, "restart")
    producer = subprocess.Popen(["kcat", "-E", "-b", broker.address, "-P", "-t", "restart", "-p", "0", "-X",
                                 "enable.idempotence=true", "-X", "reconnect.backoff.max.ms=500"],
                                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = [f"value {i}" for i in range(2000)]
    for number, line in enumerate(lines):
        producer.stdin.write((line + "\n").encode())
        producer.stdin.flush()
        if number % 20 == 0:
            time.sleep(0.01)
        if number == 1000:
            broker.kill()
            broker.start()
    producer.stdin.close()
    equal(producer.wait(PATIENCE), 0, "kcat's end")
    found = kcat(broker, "-C", "-t", "restart", "-p", "0", "-e", "-q").splitlines()
    equal(found, lines, "values, each once")


broker = Broker(sys.argv[1]).start()
version = subprocess.run(["kcat", "-V"], stdout=subprocess.PIPE).stdout.decode().split("Version ")[1].split()[0]
report = Report("kcat", version)
try:
    report.run("produce and consume", round_trip, broker)
    report.run("compression", compression, broker)
    report.run("groups, eager", groups, broker)
    report.run("seek by time", seek_by_time, broker)
    report.run("idempotence", idempotence, broker)
    report.run("kill -9 in the middle", restart, broker)
finally:
    broker.close()
report.print()
