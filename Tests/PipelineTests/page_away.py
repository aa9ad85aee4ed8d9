"""Takes parts of a running platform away, one after the other, and sees the page say so and heal by itself, in one tab.

Usage: page_away.py PROGRAM short|long|PART[,PART...]

The page must say what is away, since when and what still works; what it says still works is done meanwhile. `short` is one process
whose source, database and server go; `long` is a process for each role besides, whose broker, stream job, indexer, database, models
and shared cache go. The first screen has the same figures in both.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from alert_platform import Platform, free_port  # noqa: E402
from page_browser import FILLED, Browser  # noqa: E402

LIMIT_SECONDS = 180
BANNER = """
    const banner = document.querySelector('#banner');
    const said = banner.hidden ? '' : banner.textContent;
    const headline = document.querySelector('.top-words').textContent;
    """
WELL = BANNER + "return said === '' && /^Fresh/.test(headline) && /of \\d+ parts well/.test(document.querySelector('#parts').textContent)"
SINCE = "/since \\d\\d:\\d\\d:\\d\\d UTC/.test(said)"


def banner(name, *texts):
    """One line for the cause, with its time and with what still works. The figures may be those of before besides."""
    words = "".join(f" && said.includes({text!r})" for text in texts)
    return BANNER + f"""
        const causes = [...banner.querySelectorAll('strong')].map((one) => one.textContent).filter((one) => one !== 'The API');
        return said !== '' && causes.length === 1 && causes[0] === {name!r} && {SINCE}{words}"""


def standing(stage):
    """The stage that takes nothing is named, with what waits for it."""
    return BANNER + f"""
        return /^(Late|Stale)/.test(headline) && /{stage} stands still: [\\d,]+ wait for it/.test(headline)
            && [...document.querySelectorAll('.node.is-delay h2')].map((one) => one.textContent).join() === {stage!r}"""


def posting(path, query):
    """A request of the page's own origin that has to succeed."""
    return f"""
        return fetch('{path}', {{method: 'POST', headers: {{'Content-Type': 'application/json'}},
            body: JSON.stringify({{query: {query!r}}})}}).then((response) => response.ok, () => false);"""


class Part:
    """What goes away: how, what the page says then, what still works meanwhile, how it comes back, and what is done all along."""

    def __init__(self, take, says, works, give, meanwhile=None):
        self.take, self.says, self.works, self.give, self.meanwhile = take, says, works, give, meanwhile


class Database(Part):
    """Answers nothing, and keeps its connections. Only after most of a minute is it taken for gone, and searches go on without it."""

    def __init__(self, platform, awaits_memory):
        says = banner("index", "Searches go on in memory" if awaits_memory else "events are still taken into the lake")
        super().__init__(self.freeze, says, posting("/search", "river") if awaits_memory else None, self.thaw)
        self.platform, self.stopped = platform, []

    def freeze(self):
        self.stopped = self.platform.postgres()
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in self.stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def together(platform):
    """Parts of one process, in which all roles are."""
    def simulate():
        platform.simulate("--rate", "20", "--seed", "7")

    def start():
        platform.start("up", "--url", platform.stream_url)

    platform.environment.update({"FRESH_LATE_SEC": "1", "HISTORY_STEP_SEC": "1"})
    simulate()
    start()
    return {
        "source": Part(
            lambda: platform.kill("simulate"),
            BANNER + """return /^Late/.test(headline) && /not been connected/.test(headline) && /nothing new arrives/.test(headline)
                && document.querySelector('.node.is-delay h2').textContent === 'Sources'""",
            posting("/search", "river"), simulate),
        "database": Database(platform, awaits_memory=False),
        "server": Part(
            lambda: platform.kill("up"),
            BANNER + f"return /does not answer/.test(said) && {SINCE} && /asks again/.test(said) && /Not connected/.test(headline)",
            None, start),
    }


def apart(platform):
    """Parts that are processes of their own."""
    redis = platform.ports["redis"] = free_port()
    platform.environment.update({"REDIS_URL": f"redis://127.0.0.1:{redis}", "HISTORY_STEP_SEC": "1"})

    def start_redis():
        platform.start("redis", command=[
            "/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", str(redis), "--save", "", "--dir", platform.folder])

    def model(name, state):
        return lambda: setattr(platform.model, name, state)

    start_redis()
    platform.simulate("--rate", "20", "--seed", "7")
    for role in ("broker", "index", "stream", "serve"):
        platform.start(role)
    platform.start("producer", "--url", platform.stream_url)
    question = posting("/answer", "What was added to the river?")
    return {
        "broker": Part(
            lambda: platform.kill("broker"), banner("broker", "Search, answers and traces work"), posting("/search", "river"),
            lambda: platform.start("broker")),
        "stream": Part(
            lambda: platform.kill("stream"), standing("Lake"), posting("/search", "river"), lambda: platform.start("stream")),
        # Stopped and not killed: the database of all roles is its child.
        "index": Part(
            lambda: platform.signal("index", signal.SIGSTOP), standing("Index"), posting("/search", "bridge"),
            lambda: platform.signal("index", signal.SIGCONT)),
        "database-apart": Database(platform, awaits_memory=True),
        "embedder": Part(
            model("embeds", "fails"), banner("embedding", "Searches use words alone"), posting("/search", "bridge"),
            model("embeds", "well")),
        "model": Part(
            model("chats", "fails"), banner("model", "Answers quote the retrieved text"), question, model("chats", "well"), question),
        "cache": Part(
            lambda: platform.kill("redis"), banner("cache", "answers from its own memory"), posting("/search", "museum"), start_redis),
    }


SCENES = {
    "short": [(together, ["source", "database", "server"])],
    "long": [
        (together, ["source", "database", "server"]),
        (apart, ["broker", "stream", "index", "database-apart", "embedder", "model", "cache"]),
    ],
}


def see(browser, what, script, meanwhile=None):
    """Until the page shows it. `meanwhile` is done again and again, whatever comes of it."""
    began = time.monotonic()
    if meanwhile:
        # New questions, so that no kept reply answers them.
        script = f"""
            window.asked = (window.asked ?? 0) + 1;
            if (window.asked % 10 === 1) (() => {{ {meanwhile.replace("river?", "river ' + window.asked + '?")} }})();
            """ + script
    browser.wait(what, script, seconds=LIMIT_SECONDS)
    print(f"{time.monotonic() - began:6.1f} s: {what}", flush=True)


def run_scene(program, make, names):
    platform = Platform(program)
    try:
        parts = make(platform)
        await_api(platform)
        with Browser(f"http://127.0.0.1:{platform.ports['api']}") as browser:
            browser.first_screen()
            see(browser, "all is well", WELL)
            see(browser, "the first screen has all figures", FILLED)
            for name in names:
                part = parts[name]
                part.take()
                see(browser, f"{name} is away", part.says, part.meanwhile)
                if not browser.run("return document.querySelector('#banner').hidden"):
                    browser.axe(f"the banner while {name} is away", dark=True, part="#banner")
                if part.works:
                    see(browser, f"{name} is away, and what works works", part.works)
                part.give()
                see(browser, f"{name} is back", WELL, part.meanwhile)
    except BaseException:
        print(platform.last_words(), file=sys.stderr)
        raise
    finally:
        platform.stop()


def await_api(platform):
    for _ in range(LIMIT_SECONDS * 5):
        if platform.ask("/events/recent?limit=1") == 200:
            return
        time.sleep(0.2)
    raise SystemExit("the API does not answer")


def run(program, what):
    scenes = SCENES.get(what)
    if not scenes:
        scenes = [(make, [name for name in names if name in what.split(",")]) for make, names in SCENES["long"]]
    for make, names in scenes:
        if names:
            run_scene(program, make, names)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run(*sys.argv[1:])
