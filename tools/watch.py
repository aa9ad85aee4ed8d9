#!/usr/bin/env python3
"""The platform with Prometheus and Alertmanager beside it, without containers. `make watch` calls it.

Usage: tools/watch.py [PROGRAM]     (.build/release/medallion)

Starts `medallion up`, and Debian's prometheus and prometheus-alertmanager with what is in monitoring/, and prints the addresses.
Everything they write is below .medallion/watch (WATCH_DIR). PROMETHEUS_PORT (9090) and ALERTMANAGER_PORT (9093) say where they
listen, on 127.0.0.1 alone. Ctrl-C, or the end of any of them, ends all. The platform is asked for its metrics where METRICS_LISTEN
has them, at a free port of this machine where nothing is set: so neither a key nor a certificate stands in between.

Tests import `Watch`: they give it other targets, a webhook, and windows that are a sixtieth of the real ones.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MONITORING = os.path.join(ROOT, "monitoring")
PROGRAMS = {"prometheus": "/usr/bin/prometheus", "alertmanager": "/usr/bin/prometheus-alertmanager"}
# What Prometheus keeps: the objectives look back thirty days, which are a gigabyte of one platform, and its own log comes to that.
RETENTION_DAYS, RETENTION_SIZE = 32, "2GB"
# Addresses of all interfaces, and how this machine asks there.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# At least four scrapes in the shortest window of a rule, which is five minutes.
FASTEST_SCRAPE_MS, FASTEST_EVALUATION_MS = 1_000, 500


def divided(duration, by, least=0):
    """A duration of Prometheus, such as `5m`, divided."""
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration} is no duration")
    return f"{max(least, round(sum(int(number) * UNITS[unit] for number, unit in parts) / by), 1)}ms"


def faster_rules(text, by):
    """Rules with all windows and waits divided: a trial of a minute stands for an hour."""
    text = re.sub(r"\[((?:\d+(?:ms|[smhd]))+)\]", lambda match: f"[{divided(match[1], by)}]", text)
    return re.sub(
        r"(?m)^(\s*(?:for|keep_firing_for|interval): )(\w+)$",
        lambda match: match[1] + divided(match[2], by, FASTEST_EVALUATION_MS if "interval" in match[1] else 0),
        text,
    )


def faster_routes(route, by):
    """The same for a route of Alertmanager and all below it."""
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = divided(route[key], by)
    for child in route.get("routes", []):
        faster_routes(child, by)


class Child:
    """A process that gets no Ctrl-C of the terminal, and that ends when this one does, however that ends."""

    def __init__(self, name, command, log=None, environment=None):
        self.name, self.log = name, log
        output = open(log, "ab") if log else None
        try:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True,
            )
        finally:
            if output:
                output.close()

    @property
    def is_running(self):
        return self.process.poll() is None

    def stop(self, seconds=40):
        """Asks it to stop, and ends it where it does not. Twenty seconds is what draining may take."""
        if self.is_running:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def last_words(self):
        if not self.log:
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as lines:
            return "".join(lines.readlines()[-15:])


class Watch:
    """Prometheus and Alertmanager over a folder."""

    def __init__(self, folder, targets, prometheus_port=9090, alertmanager_port=9093, faster=1, webhook=None):
        self.folder, self.faster, self.webhook = os.path.abspath(folder), faster, webhook
        self.ports = {"prometheus": prometheus_port, "alertmanager": alertmanager_port}
        self.children = []
        shutil.rmtree(os.path.join(self.folder, "rules"), ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "rules"))
        self.aim(targets)
        self.configure()

    def url(self, program):
        return f"http://127.0.0.1:{self.ports[program]}"

    def aim(self, targets):
        """Whom to scrape, by HOST:PORT with labels; Prometheus notices a change at once."""
        path = os.path.join(self.folder, "targets.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump([{"targets": [target], "labels": labels} for target, labels in targets.items()], file)
        os.rename(path + ".new", path)

    def configure(self):
        with open(os.path.join(MONITORING, "prometheus.yml"), encoding="utf-8") as file:
            configuration = yaml.safe_load(file)
        for name in os.listdir(os.path.join(MONITORING, "rules")):
            with open(os.path.join(MONITORING, "rules", name), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(self.folder, "rules", name), "w", encoding="utf-8") as file:
                file.write(faster_rules(text, self.faster) if self.faster != 1 else text)
        if self.faster != 1:
            for key, least in (("scrape_interval", FASTEST_SCRAPE_MS), ("evaluation_interval", FASTEST_EVALUATION_MS)):
                configuration["global"][key] = divided(configuration["global"][key], self.faster, least)
            configuration["global"]["scrape_timeout"] = configuration["global"]["scrape_interval"]
        [alertmanagers] = configuration["alerting"]["alertmanagers"]
        alertmanagers["static_configs"] = [{"targets": [f"127.0.0.1:{self.ports['alertmanager']}"]}]
        [scrape] = configuration["scrape_configs"]
        del scrape["static_configs"]
        scrape["file_sd_configs"] = [{"files": ["targets.json"], "refresh_interval": "5s"}]
        self.write("prometheus.yml", configuration)

        with open(os.path.join(MONITORING, "alertmanager.yml"), encoding="utf-8") as file:
            configuration = yaml.safe_load(file)
        if self.faster != 1:
            faster_routes(configuration["route"], self.faster)
        if self.webhook:
            for receiver in configuration["receivers"]:
                receiver["webhook_configs"] = [{"url": f"{self.webhook}/{receiver['name']}", "send_resolved": True}]
        self.write("alertmanager.yml", configuration)

    def write(self, name, value):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            yaml.safe_dump(value, file, sort_keys=False)

    def start(self):
        for name, program in PROGRAMS.items():
            if not os.access(program, os.X_OK):
                raise SystemExit(f"watch: {program} is not installed: run tools/setup.sh --watch")
            with socket.socket() as probe:
                # As both programs do, so that a connection of a moment ago is no reason.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self.ports[name]))
                except OSError:
                    raise SystemExit(
                        f"watch: another process listens at 127.0.0.1:{self.ports[name]}; "
                        f"stop it, or set {name.upper()}_PORT"
                    ) from None
        self.run("alertmanager", "--cluster.listen-address=")
        self.run(
            "prometheus", f"--storage.tsdb.retention.time={RETENTION_DAYS}d",
            f"--storage.tsdb.retention.size={RETENTION_SIZE}",
            # Where alerts lead to: their runbook is a page of Prometheus itself.
            f"--web.console.templates={os.path.join(MONITORING, 'consoles')}",
            f"--web.external-url={self.url('prometheus')}",
            # What fired before Alertmanager was known comes with the next time.
            f"--rules.alert.resend-delay={divided('1m', self.faster)}",
        )
        for name in PROGRAMS:
            self.await_ready(name)

    def run(self, name, *options):
        storage = "--storage.tsdb.path" if name == "prometheus" else "--storage.path"
        command = [
            PROGRAMS[name], f"--config.file={self.folder}/{name}.yml", f"{storage}={self.folder}/{name}",
            f"--web.listen-address=127.0.0.1:{self.ports[name]}", "--log.level=warn", *options,
        ]
        self.children.append(Child(name, command, os.path.join(self.folder, f"{name}.log")))

    def await_ready(self, name, seconds=60):
        deadline = time.monotonic() + seconds
        [child] = [child for child in self.children if child.name == name]
        while time.monotonic() < deadline and child.is_running:
            try:
                with urllib.request.urlopen(self.url(name) + "/-/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        words = child.last_words
        self.stop()
        raise SystemExit(f"watch: {name} is not ready after {seconds} s, or ended:\n{words}")

    def stop(self):
        for child in reversed(self.children):
            child.stop()
        self.children = []


def become_owner():
    """As root in somebody's checkout, becomes that one: no file of the checkout shall be root's."""
    owner = os.stat(ROOT)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def reachable(listen):
    """An address at which something listens, as somebody on this machine asks it."""
    host, _, port = listen.rpartition(":")
    return f"{EVERYWHERE.get(host, host)}:{port}"


def main(arguments):
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        raise SystemExit(__doc__)
    become_owner()
    program = arguments[0] if arguments else os.path.join(ROOT, ".build/release/medallion")
    api = reachable(os.environ.get("API_LISTEN") or "127.0.0.1:8080")
    scheme = "https" if os.environ.get("API_TLS_CERTIFICATE") else "http"
    metrics = os.environ.get("METRICS_LISTEN") or "127.0.0.1:0"
    if metrics.endswith(":0"):
        metrics = f"{metrics.rpartition(':')[0]}:{free_port()}"
    folder = os.environ.get("WATCH_DIR") or os.path.join(ROOT, ".medallion/watch")
    # Both end this loop in order, also where a shell started it in the background, which ignores Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    watch = Watch(
        # By a name that stays, as the port does not.
        folder, {reachable(metrics): {"instance": api}}, int(os.environ.get("PROMETHEUS_PORT") or 9090),
        int(os.environ.get("ALERTMANAGER_PORT") or 9093),
    )
    platform = None
    try:
        watch.start()
        platform = Child("medallion up", [program, "up"], environment={**os.environ, "METRICS_LISTEN": metrics})
        print(f"watch: the page and the API   {scheme}://{api}")
        print(f"watch: Prometheus             {watch.url('prometheus')}/alerts")
        print(f"watch: Alertmanager           {watch.url('alertmanager')}")
        print(f"watch: their data and logs    {watch.folder}", flush=True)
        children = [platform, *watch.children]
        while all(child.is_running for child in children):
            time.sleep(0.5)
        ended = next(child for child in children if not child.is_running)
        print(f"watch: {ended.name} has ended, so all do\n{ended.last_words}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        # What comes from the terminal while they stop would leave some of them behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if platform:
            platform.stop()
        watch.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
