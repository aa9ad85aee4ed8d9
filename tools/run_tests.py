#!/usr/bin/env python3
"""Runs the tests that `swift build --build-tests` has built: the groups of Tests/groups.txt at once, each in a process
of its own that runs one test after another. `make test` calls it.

Usage: run_tests.py [--minutes N] [REGEX]      (REGEX selects as `swift test --filter` does)

The last line is `N passed, N failed`, with `, N skipped` where there are any. Ends with 1 where a test failed, a group
crashed or did not run all its tests, the groups are not in order, or the time was up.
"""
import argparse
import collections
import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", ROOT / ".build/debug"))
PROGRAM = [str(BUILD / "medallionPackageTests.xctest"), "--testing-library", "swift-testing"]
LOGS = ROOT / ".build/test-logs"
# A suite that takes longer is named: it should wait less, or leave its long trial to `make test-long`.
SUITE_SECONDS_MAX = 40
# Without any news for so long, the tests under way are named.
SILENCE_SECONDS = 60
# What the tests may need of a file system in memory.
MEMORY_BYTES_MIN = 2 << 30
# Each group has as many ports of its own, from the first on; above 32767 the system takes some for itself.
FIRST_PORT, PORTS = 20_000, 4_000


class Refused(Exception):
    """The run cannot start, or not go on."""


# ---------------------------------------------------------------------------------------------------------- selection


def read_groups(text):
    """`name: Target …` lines, several per name."""
    groups = collections.OrderedDict()
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, targets = line.partition(":")
            groups.setdefault(name.strip(), []).extend(targets.split())
    return groups


def check_groups(groups, built):
    """Every target that was built is in one group, and no group has another."""
    named = collections.Counter(target for targets in groups.values() for target in targets)
    faults = [f"{target} stands {count} times" for target, count in named.items() if count > 1]
    faults += [f"{target} is in no group" for target in sorted(built - named.keys())]
    faults += [f"{target} has no test, or is none" for target in sorted(named.keys() - built)]
    if faults:
        raise Refused("Tests/groups.txt: " + "; ".join(faults))


def list_tests():
    """The names of all tests: `Target.Suite/test()`."""
    if not os.access(PROGRAM[0], os.X_OK):
        raise Refused(f"{PROGRAM[0]} is not there: swift build --build-tests")
    listed = subprocess.run(PROGRAM + ["--list-tests"], stdout=subprocess.PIPE, text=True, timeout=120)
    if listed.returncode != 0:
        raise Refused(f"{PROGRAM[0]} --list-tests ended with {listed.returncode}")
    return [line for line in listed.stdout.splitlines() if "." in line]


# -------------------------------------------------------------------------------------------------------------- a group


class Group:
    """One process, and what its event stream has told so far."""

    def __init__(self, name, targets, selection, expected, environment):
        self.name = name
        self.expected = expected
        self.started = {}
        self.seconds = {}
        self.cases = {}
        self.failed = {}
        self.skipped = set()
        self.functions = set()
        self.issues = collections.OrderedDict()
        self.is_complete = False
        self.fault = None
        self.last_news = time.monotonic()
        self.rest = b""
        self.log = LOGS / f"{name}.log"
        self.events = LOGS / f"{name}.events"
        self.events.write_bytes(b"")
        pattern = "^(?=(?:" + "|".join(targets) + r")\.)" + (f".*(?:{selection})" if selection else "")
        command = PROGRAM + ["--no-parallel", "--event-stream-output-path", str(self.events), "--filter", pattern]
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C comes to this script, which ends all of them.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent, cwd=ROOT, env=os.environ | environment)
        self.stream = open(self.events, "rb")

    def say(self, text):
        print(f"{time.monotonic() - BEGIN:6.0f} s  {self.name:<9} {text}", flush=True)

    def read(self):
        """Takes what the process has written since."""
        self.rest += self.stream.read()
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            if line.strip():
                self.take(json.loads(line))

    def take(self, record):
        payload = record["payload"]
        if record["kind"] == "test":
            if payload["kind"] == "function":
                self.functions.add(payload["id"])
            return
        self.last_news = time.monotonic()
        kind, test, now = payload["kind"], payload.get("testID"), payload["instant"]["absolute"]
        texts = [message["text"] for message in payload.get("messages", [])]
        symbols = [message.get("symbol") for message in payload.get("messages", [])]
        if kind == "testStarted":
            self.started[test] = now
        elif kind == "testCaseStarted":
            # "Test case passing 1 argument seed → 3 to randomRuns(seed:) started."
            found = re.search(r"arguments? (.*) to .* started", texts[0], re.DOTALL) if texts else None
            self.cases[test] = found and found.group(1)[:200]
        elif kind == "testSkipped":
            self.skipped.add(test)
        elif kind == "issueRecorded" and "fail" in symbols:
            place = payload.get("issue", {}).get("sourceLocation") or {}
            place = f"{place.get('fileID', '')}:{place.get('line', '')}: " if place else ""
            self.issues.setdefault(test, []).append(place + "\n".join(texts))
            self.say(f"FAILED   {short(test)}: {place}{texts[0][:300] if texts else 'an issue'}")
        elif kind == "testEnded":
            self.seconds[test] = now - self.started.get(test, now)
            self.cases.pop(test, None)
            if "fail" in symbols:
                self.failed[test] = texts[0] if texts else "failed"
            if test not in self.functions:
                self.tell_suite(test)
        elif kind == "runEnded":
            self.is_complete = True

    def tell_suite(self, suite):
        times = self.suites()
        if suite in times:
            self.say(f"{times[suite]:6.1f} s {suite}")

    def suites(self):
        """Seconds by suite, for those that have tests themselves."""
        result = collections.Counter()
        for test in self.functions & self.seconds.keys():
            result[suite_of(test)] += self.seconds[test]
        return result

    def running(self):
        return [test for test in self.started if test in self.functions and test not in self.seconds]

    def now_running(self):
        """Of the tests under way, their names and the case that each is at."""
        names = [short(test) + (f" ({self.cases[test]})" if self.cases.get(test) else "") for test in self.running()]
        return ", ".join(names) or "no test"

    def conclude(self):
        """Looks at how the process ended; afterwards ``fault`` tells what is wrong with the group itself."""
        self.read()
        status = self.process.returncode
        ended = {test for test in self.functions if test in self.seconds}
        if status is not None and status < 0:
            self.fault = f"was ended by {signal_name(-status)} in {self.now_running()}"
        elif not self.is_complete:
            self.fault = self.fault or f"ended with {status} in {self.now_running()}"
        elif status != 0 and not self.failed and not self.issues:
            self.fault = f"ended with {status}, and no test failed"
        elif not ended:
            self.fault = "ran no test"
        for test in self.running():
            self.failed.setdefault(test, "did not end")
        left = self.expected - len(ended | self.skipped_functions()) - len(self.running())
        if left > 0:
            self.fault = (self.fault or "ended early") + f"; {left} of its tests were not run"

    def skipped_functions(self):
        return self.skipped & self.functions

    def failed_functions(self):
        """Also those in which an issue came up after their end, or beside them."""
        return {test for test in (self.failed.keys() | self.issues.keys()) if test in self.functions}

    def passed_functions(self):
        return (self.functions & self.seconds.keys()) - self.failed_functions() - self.skipped


def short(test):
    """Without the place in the source: `Target.Suite/test()`."""
    return re.sub(r"/[^/]+\.swift:\d+:\d+$", "", test) if test else "outside any test"


def suite_of(test):
    return short(test).rpartition("/")[0] or short(test)


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# ------------------------------------------------------------------------------------------------------------ processes

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans():
    """What a test leaves behind becomes a child of this process, which can then end it."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """Process id → (parent's, state, command) of all processes below this one."""
    everyone = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    head, _, tail = file.read().rpartition(")")
                everyone[int(entry)] = (int(tail.split()[1]), tail.split()[0], head.partition("(")[2])
            except (OSError, IndexError):
                continue  # It ended meanwhile.
    own, size = {os.getpid()}, 0
    while len(own) != size:
        size = len(own)
        own |= {pid for pid, (parent, _, _) in everyone.items() if parent in own}
    return {pid: everyone[pid] for pid in own if pid != os.getpid() and pid in everyone}


def bury(groups):
    """Takes the ends of orphans, of whom nobody else will."""
    known = {group.process.pid for group in groups}
    for pid, (parent, state, _) in descendants().items():
        if parent == os.getpid() and state == "Z" and pid not in known:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def end_all(groups):
    """Ends every process below this one: first so that a database can end well, then at once. Returns their names."""
    names = sorted(name for _, state, name in descendants().values() if state != "Z")
    for number, seconds in ((signal.SIGINT, 5), (signal.SIGKILL, 5)):
        end = time.monotonic() + seconds
        signalled = set()
        while time.monotonic() < end:
            for group in groups:
                group.process.poll()
            bury(groups)
            alive = {pid for pid, (_, state, _) in descendants().items() if state != "Z"}
            if not alive:
                return names
            for pid in alive - signalled:
                signalled.add(pid)
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
    return names


# ----------------------------------------------------------------------------------------------------------- the report


def report(groups):
    """Prints what was slow, then what went wrong, then the count; tells whether all is well."""
    suites, tests = collections.Counter(), collections.Counter()
    for group in groups:
        suites.update(group.suites())
        tests.update({short(test): seconds for test, seconds in group.seconds.items() if test in group.functions})
    print("\nThe slowest suites")
    for name, seconds in suites.most_common(12):
        print(f"{seconds:7.1f} s  {name}")
    print("\nThe slowest tests")
    for name, seconds in tests.most_common(12):
        print(f"{seconds:7.1f} s  {name}")
    print()
    for group in groups:
        total = sum(group.suites().values())
        print(f"{group.name}: {total:.0f} s of tests; its log is {group.log.relative_to(ROOT)}")
    for name, seconds in suites.items():
        if seconds > SUITE_SECONDS_MAX:
            print(f"{name} took {seconds:.0f} s, more than {SUITE_SECONDS_MAX} s")

    for group in groups:
        for test in sorted(group.failed_functions(), key=short):
            print(f"\nFAILED {short(test)}: {group.failed.get(test, '')}")
            for issue in group.issues.get(test, [])[:20]:
                print("    " + issue[:4000].replace("\n", "\n    "))
        for test in group.issues.keys() - group.failed_functions():
            print(f"\nFAILED {short(test)}")
            for issue in group.issues[test][:20]:
                print("    " + issue[:4000].replace("\n", "\n    "))
    for group in groups:
        if group.fault:
            print(f"\nFAILED the group {group.name} {group.fault}. From its log:")
            print("\n".join("    " + line[:400] for line in last_words(group)))


def last_words(group):
    """The end of a group's log; after a crash, what Swift says of it, up to the first registers."""
    lines = group.log.read_bytes()[-200_000:].decode(errors="replace").splitlines()
    for number, line in enumerate(lines):
        if "Fatal error" in line or "Program crashed" in line:
            return lines[max(0, number - 5):number + 35]
    return lines[-40:]


def count(groups, elapsed):
    passed = sum(len(group.passed_functions()) for group in groups)
    failed = sum(len(group.failed_functions()) for group in groups)
    # An issue beside every test, or a group that did not come to its end, is a failure too.
    failed += sum(len(group.issues.keys() - group.failed_functions()) for group in groups)
    failed += sum(1 for group in groups if group.fault and not group.failed_functions())
    skipped = sum(len(group.skipped_functions()) for group in groups)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    share = (used.ru_utime + used.ru_stime) / elapsed / os.cpu_count()
    print(f"\n{elapsed:.0f} s, of which the processors worked {share:.0%} on the tests")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return passed > 0 and failed == 0 and not any(group.fault for group in groups)


# -------------------------------------------------------------------------------------------------------------- the run


def watch(groups, seconds_max):
    """Follows the groups to their end, or to that of their time."""
    running, next_burial = list(groups), 0
    while running:
        time.sleep(0.1)
        now = time.monotonic()
        for group in list(running):
            ended = group.process.poll() is not None
            group.read()
            if ended:
                running.remove(group)
                group.conclude()
                group.say("ended" if not group.fault else group.fault)
            elif now - group.last_news > SILENCE_SECONDS:
                group.last_news = now
                group.say(f"still at {group.now_running()}")
        if now > next_burial:
            next_burial = now + 1
            bury(groups)
        if running and now - BEGIN > seconds_max:
            for group in running:
                group.fault = f"was not done after {seconds_max / 60:g} minutes and was ended in {group.now_running()}"
                group.say(group.fault)
            end_all(groups)
            for group in running:
                fault = group.fault
                group.conclude()
                group.fault = fault
            return


def make_folder():
    """Where the tests put their files: in memory, where nobody waits for the disk and a full /dev/shm is no danger, but on
    the disk for the long trials."""
    parent = os.environ.get("TEST_FOLDER")
    if not parent:
        parent = tempfile.gettempdir()
        if "MEDALLION_LONG_TESTS" not in os.environ and os.access("/dev/shm", os.W_OK | os.X_OK):
            system = os.statvfs("/dev/shm")
            if system.f_bavail * system.f_frsize >= MEMORY_BYTES_MIN:
                parent = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="tests-", dir=parent)
    # Root's Postgres runs as another user, who has to pass.
    os.chmod(folder, 0o711)
    return folder


def own_places(folder, name, number):
    """The environment that keeps a group's files and ports apart from the others'."""
    path = os.path.join(folder, name)
    os.mkdir(path)
    os.chmod(path, 0o711)
    first = FIRST_PORT + PORTS * number
    return {"TEST_FOLDER": path, "TEST_PORTS": f"{first}-{first + PORTS - 1}"}


def run(arguments):
    names = list_tests()
    groups = read_groups((ROOT / "Tests/groups.txt").read_text())
    check_groups(groups, {name.partition(".")[0] for name in names})
    selected = [name for name in names if not arguments.regex or re.search(arguments.regex, name)]
    if not selected:
        raise Refused(f"no test matches {arguments.regex}")
    LOGS.mkdir(parents=True, exist_ok=True)
    running = []
    folder = make_folder()
    try:
        for number, (name, targets) in enumerate(groups.items()):
            expected = sum(1 for test in selected if test.partition(".")[0] in targets)
            if expected:
                places = own_places(folder, name, number)
                running.append(Group(name, targets, arguments.regex, expected, places))
        watch(running, arguments.minutes * 60)
        left = end_all(running)
        if left:
            print(f"\nLeft behind by tests, and ended now: {', '.join(left)}")
        report(running)
        return count(running, time.monotonic() - BEGIN)
    except KeyboardInterrupt:
        print("\ninterrupted in " + "; ".join(f"{group.name}: {group.now_running()}" for group in running), flush=True)
        return False
    finally:
        end_all(running)
        shutil.rmtree(folder, ignore_errors=True)


def interrupt(number, frame):
    # Once is enough; the second would disturb the ending of the processes.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description="Runs the groups of tests at once.")
    parser.add_argument("--minutes", type=float, default=30, help="the most that all may take")
    parser.add_argument("regex", nargs="?", default=os.environ.get("FILTER", ""), help="selects tests, as --filter does")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    adopt_orphans()
    try:
        return 0 if run(arguments) else 1
    except Refused as refusal:
        print(f"run_tests: {refusal}\n0 passed, 1 failed")
        return 1


BEGIN = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
