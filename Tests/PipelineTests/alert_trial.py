"""Breaks a running platform and sees the alerts of monitoring/ fire, reach a webhook and clear.

Usage: alert_trial.py PROGRAM short|long|FAULT[,FAULT...] [RESULT]

Prometheus and Alertmanager are Debian's, with the rules and routes of the repository, whose windows and waits are divided by 60.
Each fault names the alerts that must come of it; one page at most may come of one cause. `short` is two faults at the parts that
take no database. `long` is every fault, and afterwards every query of every dashboard must have given something. Writes one
JSON object to RESULT, or prints it: {"faults": {NAME: {"fired", "cleared", "pages", "seconds"}}, "problems": […]}. Exit code 1 where
there are problems.
"""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))

from alert_faults import FAULTS  # noqa: E402
from alert_platform import Grafana, Platform  # noqa: E402
import watch  # noqa: E402

SHORT = ["source-away", "broker-hangs"]
# Faults that leave much behind for windows of some minutes come first; their alerts are seen to clear at the end.
FIRST = ["poison-flood", "embedder-fails", "model-slow"]
DASHBOARDS = os.path.join(watch.MONITORING, "grafana/dashboards")


class Trial:
    def __init__(self, program, names, is_short, result):
        self.names, self.is_short, self.result = names, is_short, result
        # Processes are started in other folders, too.
        self.platform = Platform(os.path.abspath(program))
        self.results, self.problems = {}, []
        # Alerts with their severities that fired and were resolved.
        self.raised = set()
        # Alerts that are still to be seen resolved: fault, alert, the mark behind which, and until when.
        self.open = []
        self.begun = time.time()

    def say(self, text):
        print(f"{time.time() - self.begun:6.1f} {text}", file=sys.stderr, flush=True)

    def wait(self, what, condition, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.1)
        self.problems.append(f"{what}: not in {seconds} s")
        self.say(self.problems[-1])
        return False

    # The platform

    def start(self):
        platform = self.platform
        if not self.is_short:
            self.has_disk = platform.hold_disks("8g")
            if not self.has_disk:
                self.problems.append("this user may not mount: no disk was filled")
                platform.holder = None
            # It keeps the time until a fault sets it.
            platform.set_clock("broker", 0)
        platform.simulate("--rate", "20", "--seed", "7")
        platform.start("broker")
        if not self.is_short:
            platform.start("index")
        platform.start("producer", "--url", platform.stream_url)
        if not self.is_short:
            platform.start("stream")
            platform.start("serve")
            self.wait("a document", lambda: platform.ask("/events/recent?limit=1") == 200, 120)
        platform.observe()

    def traffic(self, stop):
        """Readers who do not wait for one another: the same questions again and again, and some that are new.

        Every second answer is streamed.
        """
        number, asking = 0, []
        with concurrent.futures.ThreadPoolExecutor(16) as readers:
            while not stop.is_set():
                number += 1
                asked = [("/search", {"query": "river", "top_k": 5}, False)] * 6
                asked.append(("/search", {"query": f"flood {number}", "top_k": 5}, False))
                streams = self.platform.asks_streams or number % 2 == 0
                asked.append(("/answer", {"query": f"What was added to the river {number}?"}, streams))
                # While they are all kept waiting, no more come.
                asking = [one for one in asking if not one.done()]
                if len(asking) < 32:
                    asking += [
                        readers.submit(self.platform.ask, path, value, streams=streams) for path, value, streams in asked]
                stop.wait(0.5)

    # Faults

    def is_available(self):
        query = 'job:objective_bad:ratio1h{objective="available"} > 0.002'
        return not self.platform.prometheus("/api/v1/query?" + urllib.parse.urlencode({"query": query}))["result"]

    def is_firing(self, alert, labels):
        found = self.platform.prometheus("/api/v1/alerts")["alerts"]
        return any(one["state"] == "firing" and matches(one["labels"], alert, labels) for one in found)

    def notified(self, mark, status, alert, receiver, labels):
        return any(
            name == receiver and state == status and matches(found, alert, labels)
            for name, state, found in self.platform.receiver.since(mark))

    def try_fault(self, name):
        fault, receiver = FAULTS[name], self.platform.receiver
        if name.startswith("disk") and not self.has_disk:
            return
        for alert, _, labels in fault.alerts:
            # What fires before the fault would prove nothing.
            self.wait(f"{name}: {alert} is silent before it", lambda: not self.is_firing(alert, labels), 60)
        # What the fault before has used up of the budget would add to this one.
        self.wait(f"{name}: requests have not failed for an hour", self.is_available, 120)
        mark, begun = receiver.mark(), time.monotonic()
        self.say(f"{name}: {fault.about}")
        broken = fault.function(self.platform)
        next(broken)
        result = self.results[name] = {"fired": [], "cleared": [], "pages": [], "seconds": 0}
        deadline = begun + fault.seconds
        for alert, severity, labels in fault.alerts:
            left = max(1, round(deadline - time.monotonic()))
            if self.wait(f"{name}: {alert} reaches {severity}",
                         lambda: self.notified(mark, "firing", alert, severity, labels), left):
                result["fired"].append(alert)
                self.say(f"{name}: {alert} fired")
        mended = time.monotonic()
        next(broken, None)
        for alert, severity, labels in fault.alerts:
            if alert in result["fired"]:
                self.open.append((name, alert, severity, labels, mark, mended + fault.mending))
        if name not in FIRST:
            self.see_cleared(name)
        result["pages"] = receiver.pages(mark)
        wanted = [alert for alert, severity, _ in fault.alerts if severity == "page"]
        if len(result["pages"]) > 1:
            self.problems.append(f"{name} pages {len(result['pages'])} times: {result['pages']}")
        elif not wanted and not fault.may_page and result["pages"]:
            self.problems.append(f"{name} pages, though nobody has to get up: {result['pages']}")
        result["seconds"] = round(time.monotonic() - begun, 1)

    def see_cleared(self, only=None):
        """Waits until what a fault raised, or all, is resolved and said to be."""
        rest = []
        for entry in self.open:
            name, alert, severity, labels, mark, deadline = entry
            if only not in (None, name):
                rest.append(entry)
                continue
            left = max(10, round(deadline - time.monotonic()))
            if self.wait(f"{name}: {alert} clears",
                         lambda: self.notified(mark, "resolved", alert, severity, labels)
                         and not self.is_firing(alert, labels), left):
                self.results[name]["cleared"].append(alert)
                self.raised.add((alert, severity))
                self.say(f"{name}: {alert} cleared")
        self.open = rest

    # What the run leaves

    def check_metrics(self):
        """promtool has nothing to say about what the processes serve."""
        for target, labels in self.platform.targets.items():
            done = subprocess.run(
                ["promtool", "check", "metrics"], input=self.platform.scrape(target), capture_output=True, text=True)
            if done.returncode or done.stderr.strip():
                self.problems.append(f"metrics of {labels['role']}: {done.stdout}{done.stderr}")

    def check_runbooks(self):
        """Every alert that was told leads to a section of a page that is there."""
        for address in self.platform.receiver.runbooks():
            place, _, section = address.partition("#")
            with urllib.request.urlopen(place, timeout=10) as reply:
                if f'id="{section}"' not in reply.read().decode():
                    self.problems.append(f"{address} leads nowhere")
        script = subprocess.run(
            [os.path.join(watch.ROOT, "tools/smoke.sh"), "runbook"], capture_output=True, text=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "PROMETHEUS_URL": self.platform.watch.url("prometheus")})
        if script.returncode:
            self.problems.append(f"tools/smoke.sh runbook: {script.stdout}{script.stderr}")

    def check_dashboards(self):
        """Every query of every panel has given a number at some time of the run."""
        now = time.time()
        for file in sorted(os.listdir(DASHBOARDS)):
            with open(os.path.join(DASHBOARDS, file), encoding="utf-8") as text:
                panels = json.load(text)["panels"]
            for panel, target in ((panel, target) for panel in panels for target in panel.get("targets", [])):
                query = target["expr"].replace("$__rate_interval", "15s").replace("$instance", ".*")
                # Windows of the panels' own, as those of the rules.
                query = watch.faster_rules(query, self.platform.watch.faster) if "[15s]" not in query else query
                words = urllib.parse.urlencode(
                    {"query": query, "start": self.begun, "end": now, "step": max(1, (now - self.begun) / 500)})
                series = self.platform.prometheus("/api/v1/query_range?" + words)["result"]
                if not any(value != "NaN" for one in series for _, value in one["values"]):
                    self.problems.append(f"{file}: “{panel['title']}” has nothing for {query}")

        script = subprocess.run(
            [os.path.join(watch.ROOT, "tools/smoke.sh"), "panels"], capture_output=True, text=True, timeout=300,
            env={"PATH": "/usr/bin:/bin", "GRAFANA_URL": Grafana(self.platform.watch.url("prometheus")).url})
        if script.returncode or "panels: " not in script.stdout:
            self.problems.append(f"tools/smoke.sh panels: {script.stdout}{script.stderr}")

    def run(self):
        stop = threading.Event()
        reader = None
        try:
            self.start()
            if not self.is_short:
                reader = threading.Thread(target=self.traffic, args=(stop,), daemon=True)
                reader.start()
                # Shares of an hour, which is a minute here, mean nothing before.
                time.sleep(20)
            self.wait("every process is scraped", self.is_scraped, 30)
            if self.is_short:
                # There is no server here, which is worth a page of its own.
                self.wait("the missing server pages", lambda: self.platform.receiver.pages(0), 30)
            for name in self.names:
                self.try_fault(name)
            self.see_cleared()
            self.check_metrics()
            self.check_runbooks()
            if not self.is_short and len(self.names) == len(FAULTS):
                self.check_dashboards()
                rules = self.platform.prometheus("/api/v1/rules?type=alert")["groups"]
                known = {(rule["name"], rule["labels"]["severity"]) for group in rules for rule in group["rules"]}
                for name, severity in known - self.raised:
                    self.problems.append(f"no fault raised {name} as {severity}")
                for rule in (rule for group in rules for rule in group["rules"] if rule["health"] != "ok"):
                    self.problems.append(f"{rule['name']}: {rule.get('lastError')}")
        finally:
            stop.set()
            if self.problems:
                self.say(self.platform.last_words())
            if reader:
                reader.join(15)
            self.platform.stop()
        with open(self.result, "w", encoding="utf-8") if self.result else contextlib.nullcontext(sys.stdout) as file:
            json.dump({"faults": self.results, "problems": self.problems}, file, indent=1)
        return 1 if self.problems else 0

    def is_scraped(self):
        found = self.platform.prometheus("/api/v1/query?query=up")["result"]
        return sum(one["value"][1] == "1" for one in found) == len(self.platform.targets)


def matches(found, alert, labels):
    return found["alertname"] == alert and all(found.get(name) == value for name, value in labels.items())


def main(program, what, result=None):
    names = what.split(",")
    if what == "short":
        names = SHORT
    elif what == "long":
        names = FIRST + [name for name in FAULTS if name not in FIRST]
    for name in names:
        if name not in FAULTS:
            raise SystemExit(f"{name} is none of short, long, {', '.join(FAULTS)}")
    return Trial(program, names, what == "short", result).run()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
