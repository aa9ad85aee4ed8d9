"""The faults of alert_trial.py: each breaks one thing, names the alerts that must come of it, and mends it again."""

import json
import os
import signal
import subprocess
import threading
import time

from alert_database import SourceDatabase
from alert_platform import free_port

FAULTS = {}


class Fault:
    """One cause.

    - alerts: what must fire, reach its receiver and be resolved once it is mended: names with labels and receiver.
    - seconds: until all of them have fired; as long again until they are resolved, or `mending`.
    - may_page: what lasts long enough makes the index stale, on a slow machine and not on a quick one.
    """

    def __init__(self, function, alerts, seconds, mending, may_page):
        self.may_page = may_page
        self.name, self.function, self.seconds = function.__name__.replace("_", "-"), function, seconds
        self.alerts, self.mending = alerts, mending or seconds
        self.about = function.__doc__


def fault(*alerts, seconds=60, mending=None, may_page=False):
    """Declares a generator that breaks something, yields, and mends it."""

    def declare(function):
        declared = Fault(function, alerts, seconds, mending, may_page)
        FAULTS[declared.name] = declared
        return declared

    return declare


def page(name, **labels):
    return name, "page", labels


def warn(name, **labels):
    return name, "warn", labels


def inform(name, **labels):
    return name, "inform", labels


class Repeating:
    """Does something again and again beside the trial."""

    def __init__(self, pause, body):
        self.is_wanted = True

        def run():
            number = 0
            while self.is_wanted:
                body(number)
                number += 1
                time.sleep(pause)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_wanted = False
        self.thread.join(30)


HAND_WRITTEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hand-written.jsonl")


def simulate_again(platform):
    """The ordinary source in place of another one."""
    platform.kill("simulate")
    platform.simulate("--rate", "20", "--seed", "7")


# The source and the broker


@fault(warn("MedallionSourceAway"))
def source_away(platform):
    """The source's server is gone."""
    platform.kill("simulate")
    yield
    platform.simulate("--rate", "20", "--seed", "7")


@fault(warn("MedallionSourceAway"))
def source_silent(platform):
    """The source's stream stays open and sends nothing."""
    platform.signal("simulate", signal.SIGSTOP)
    yield
    platform.signal("simulate", signal.SIGCONT)


@fault(inform("MedallionSourceLate"), seconds=90)
def source_late(platform):
    """What the source sends is old."""
    platform.kill("simulate")
    platform.simulate("--recording", HAND_WRITTEN, "--loop", "--rate", "10")
    yield
    simulate_again(platform)


@fault(warn("MedallionSlotLag"), seconds=120, mending=180)
def slot_grows(platform):
    """A source is paused while its database writes much."""
    database = SourceDatabase(platform)
    database.pause()
    database.write(1100)
    yield
    database.ask("resume")
    database.wait("the log is read", lambda: database.lag() < 10 << 20, seconds=150)
    database.end()


@fault(warn("MedallionChangesLost"), seconds=90)
def slot_dropped(platform):
    """The slot of a source is gone, and changes with it."""
    database = SourceDatabase(platform)
    database.pause()
    database.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    database.sql("INSERT INTO things VALUES (100, 'lost')")
    database.ask("resume")
    yield
    database.read_again()
    database.end()


@fault(warn("MedallionDown", role="producer"))
def producer_killed(platform):
    """A process that serves nobody is gone."""
    platform.kill("producer")
    yield
    platform.start("producer", "--url", platform.stream_url)


@fault(warn("MedallionRoleGone", role="producer"), seconds=90)
def producer_vanished(platform):
    """A process ends, and discovery forgets it, as that of Compose does."""
    platform.end("producer")
    yield
    platform.start("producer", "--url", platform.stream_url)


@fault(page("MedallionFreshnessUnknown"), warn("MedallionBrokerAway"), seconds=90)
def broker_away(platform):
    """The broker is gone."""
    platform.kill("broker")
    yield
    platform.start("broker")


@fault(warn("MedallionBrokerAway"))
def broker_hangs(platform):
    """The broker takes connections and answers nothing."""
    platform.signal("broker", signal.SIGSTOP)
    yield
    platform.signal("broker", signal.SIGCONT)


CLOCK_WRONG = [warn("MedallionClockWrong", role="broker"), warn("MedallionClockWrong", role="producer")]


@fault(*CLOCK_WRONG, warn("MedallionClockWrong", role="stream"), seconds=60, mending=180, may_page=True)
def clock_ahead(platform):
    """The broker's clock steps two hours ahead while it runs."""
    platform.set_clock("broker", 7200)
    yield
    platform.set_clock("broker", 0)


# Every event looks old to those whose clocks are right, and the index stale.
@fault(*CLOCK_WRONG, seconds=60, mending=150, may_page=True)
def clock_behind(platform):
    """The broker's clock steps two hours back while it runs."""
    platform.set_clock("broker", -7200)
    yield
    platform.set_clock("broker", 0)


@fault(inform("MedallionLeftOut"), mending=120)
def event_too_large(platform):
    """The source sends an event that is larger than the producer takes."""
    with open(HAND_WRITTEN, "rb") as lines:
        event = json.loads(lines.readline())
    event["comment"] = "x" * 4_500_000
    recording = platform.folder + "/large.jsonl"
    with open(recording, "w", encoding="utf-8") as file:
        json.dump(event, file)
        file.write("\n")
    platform.kill("simulate")
    platform.simulate("--recording", recording, "--loop", "--rate", "10")
    yield
    simulate_again(platform)


# Stream job and indexer


@fault(page("MedallionIndexStale"), warn("MedallionDown", role="index"), seconds=120)
def indexer_stuck(platform):
    """The indexer hangs: it holds its connections and does nothing."""
    platform.signal("index", signal.SIGSTOP)
    yield
    platform.signal("index", signal.SIGCONT)


@fault(page("MedallionIndexStale"), seconds=120, mending=120)
def index_locked(platform):
    """Somebody holds a lock of the index's tables: the indexer waits, and answers all who ask how it is."""
    holder = subprocess.Popen(
        platform.psql("BEGIN; LOCK TABLE visibility, documents IN SHARE MODE; SELECT pg_sleep(600)"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    platform.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE visibility%' "
                 "AND pid <> pg_backend_pid()")
    holder.wait(30)


@fault(
    warn("MedallionObjectiveBurning", objective="quarantine"), warn("MedallionLag", topic="wikimedia.recentchange"), seconds=150,
    mending=600, may_page=True)
def poison_flood(platform):
    """Ever more records that break a rule, at a stream job that gets a sixth of its time."""

    def hold(_):
        # Never so long that a scrape of a second fails.
        platform.signal("stream", signal.SIGSTOP)
        time.sleep(0.15)
        platform.signal("stream", signal.SIGCONT)

    lines = [f"{{poison {number}" for number in range(40_000)]
    with Repeating(0.03, hold), Repeating(0.5, lambda _: platform.send("wikimedia.recentchange", lines)):
        yield


@fault(warn("MedallionRecordsLost"), mending=120)
def foreign_records(platform):
    """Somebody else writes to the Gold topic what no indexer can read."""
    platform.send("wikimedia.gold", ["not a Gold line"] * 3)
    yield


@fault(
    warn("MedallionDiskNearlyFull", folder="lake"), warn("MedallionStalled"), warn("MedallionWorkFailing"),
    page("MedallionIndexStale"), seconds=180, mending=180)
def disk_full(platform):
    """The lake's disk is full."""
    platform.fill("lake")
    yield
    platform.make_room("lake")


@fault(
    warn("MedallionDiskNearlyFull", folder="broker"), warn("MedallionWorkFailing", role="broker"), warn("MedallionBrokerAway"),
    seconds=120, mending=180, may_page=True)
def disk_full_of_the_broker(platform):
    """The disk of the broker's log is full."""
    platform.fill("broker")
    yield
    platform.make_room("broker")


# What Postgres can still do depends on the pages that it has: the index gets stale, or answers cannot be kept.
@fault(warn("MedallionDiskNearlyFull", folder="postgres"), seconds=120, mending=480, may_page=True)
def disk_full_of_the_database(platform):
    """The database's disk is full."""
    platform.fill("postgres")
    time.sleep(20)
    yield
    platform.make_room("postgres")


@fault(inform("MedallionDiskFilling", folder="lake"), seconds=330, mending=330)
def disk_fills(platform):
    """The lake's disk is half full and gets fuller."""
    lake = platform.disk("lake")
    # More than what is nearly full, which would speak in its place.
    platform.on_disk("mount", "-o", "remount,size=7168m", "none", lake)
    platform.on_disk("fallocate", "-l", "3900m", lake + "/ballast")
    # In a day of divided time, 24 minutes, at this pace a third more than is free.
    with Repeating(5, lambda number: platform.on_disk("fallocate", "-l", "15m", f"{lake}/more-{number}")):
        yield
    platform.make_room("lake")


# The database


@fault(page("MedallionUnavailable"), warn("MedallionDatabaseAway"), seconds=150, mending=480)
def database_hangs(platform):
    """The database answers nothing, and keeps its connections."""
    stopped = set()
    for pid in platform.postgres():
        os.kill(pid, signal.SIGSTOP)
        stopped.add(pid)
    yield
    for pid in stopped:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


# Two seconds without it are two minutes of divided time, which may be a page.
@fault(warn("MedallionPostgresRestarts"), mending=120, may_page=True)
def database_crashes(platform):
    """The embedded database crashes."""
    os.kill(platform.postgres()[0], signal.SIGKILL)
    yield


@fault(warn("MedallionIndexDrift"), seconds=120, mending=120)
def rows_deleted(platform):
    """Somebody deletes rows of the index."""
    platform.sql("DELETE FROM visibility WHERE ctid IN (SELECT ctid FROM visibility WHERE to_version IS NULL LIMIT 3)")
    platform.command("audit")
    yield
    code, output = platform.command("audit", "--repair")
    assert code == 0, output


# Searches and answers


@fault(page("MedallionNotServing"), warn("MedallionDown", role="serve"))
def server_killed(platform):
    """The one process that serves the API is gone."""
    platform.kill("serve")
    yield
    platform.start("serve")


@fault(
    page("MedallionAnswersSlow"), warn("MedallionObjectiveBurning", objective="answer-200ms"), seconds=150, mending=600)
def model_slow(platform):
    """The language model takes its time, and all answers are streams, whose heads are there at once."""
    platform.asks_streams = True
    platform.model.chats = "waits"
    yield
    platform.model.chats = "well"
    platform.asks_streams = False


@fault(warn("MedallionAnswersSlow"), seconds=90, mending=120)
def model_slower(platform):
    """The language model takes longer than it should."""
    platform.model.wait_seconds = 0.32
    platform.model.chats = "waits"
    yield
    platform.model.chats, platform.model.wait_seconds = "well", 0.8


@fault(warn("MedallionModelFailing"))
def model_fails(platform):
    """The language model's server gives errors."""
    platform.model.chats = "fails"
    yield
    platform.model.chats = "well"


@fault(warn("MedallionCitationsWeak"), seconds=120, mending=180)
def model_lies(platform):
    """The language model says what no passage holds."""
    platform.model.chats = "lies"
    yield
    platform.model.chats = "well"


@fault(
    warn("MedallionSearchesDegraded"), warn("MedallionObjectiveBurning", objective="embedding"), seconds=90, mending=600,
    may_page=True)
def embedder_fails(platform):
    """The embedding server gives errors."""
    platform.model.embeds = "fails"
    yield
    platform.model.embeds = "well"


@fault(warn("MedallionRecallLow"), seconds=240, mending=180)
def graph_poor(platform):
    """A server searches a poor graph with hardly any candidates."""
    platform.start(
        "serve-poor", API_LISTEN=f"127.0.0.1:{platform.ports.setdefault('poor', free_port())}",
        ARMS_MEMORY_BYTES="0", SEARCH_EF="10", RECALL_SAMPLE_SHARE="0.5", CACHE_BYTES="0")

    def search(number):
        platform.ask("/search", {"query": f"river {number}", "top_k": 10}, port=platform.ports["poor"])

    with Repeating(0.1, search):
        yield
    platform.end("serve-poor")


@fault(inform("MedallionCacheMisses"), seconds=180, mending=240)
def nothing_twice(platform):
    """A program asks something new each time."""

    def search(number):
        platform.ask("/search", {"query": f"nothing like {number} and {time.time()}", "mode": "lexical"})

    with Repeating(0.05, search):
        yield


@fault(warn("MedallionKeysRefused"))
def key_revoked(platform):
    """A program still uses a key that was revoked."""
    made = json.loads(platform.command("keys", "create", "trial", "--json")[1])
    key = made["key"]
    for _ in range(50):
        if platform.ask("/search", {"query": "river"}, key) == 200:
            break
        time.sleep(0.1)
    platform.command("keys", "revoke", made["id"])
    with Repeating(0.2, lambda _: platform.ask("/search", {"query": "river"}, key)):
        yield


# Processes


@fault(warn("MedallionOpenFilesHigh", role="serve"))
def files_short(platform):
    """A process may hardly open any more files."""
    pid = platform.children["serve"].process.pid
    before = subprocess.run(
        ["prlimit", "--pid", str(pid), "--nofile", "--output", "SOFT", "--noheadings"], capture_output=True, text=True,
        check=True).stdout.strip()
    held = len(os.listdir(f"/proc/{pid}/fd"))
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={held + held // 8}:"], check=True)
    yield
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={before}:"], check=True)


# A second server, which stays: it would hide that the first one is gone


@fault(page("MedallionCertificateEnds"), seconds=90, mending=150)
def certificate_expired(platform):
    """A server's certificate has ended."""
    certify(platform, "3 days ago", 1)
    start_encrypted(platform)
    yield
    certify(platform, "now", 365)
    # Certificates are read again once a minute.


@fault(warn("MedallionCertificateEnds"), seconds=150, mending=150)
def certificate_ends_soon(platform):
    """A server's certificate ends in five days."""
    certify(platform, "now", 5)
    if "serve-tls" not in platform.children:
        start_encrypted(platform)
    yield
    certify(platform, "now", 365)


def certify(platform, moment, days):
    for name in ("certificate", "key"):
        if os.path.exists(f"{platform.folder}/{name}.pem"):
            os.remove(f"{platform.folder}/{name}.pem")
    subprocess.run(
        ["faketime", moment, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", platform.folder + "/key.pem", "-out", platform.folder + "/certificate.pem", "-days", str(days),
         "-subj", "/CN=localhost"], check=True, capture_output=True)


def start_encrypted(platform):
    platform.start(
        "serve-tls", API_LISTEN=f"127.0.0.1:{platform.ports.setdefault('tls', free_port())}",
        API_TLS_CERTIFICATE=platform.folder + "/certificate.pem", API_TLS_KEY=platform.folder + "/key.pem",
        ARMS_MEMORY_BYTES="0")
