#!/usr/bin/env python3
"""Drives the page in headless Chromium: each story in at most three clicks from the first screen.

Usage: page_stories.py URL stories --key-file FILE --simulator URL [--images FOLDER]
       page_stories.py URL documents --key-file FILE
       page_stories.py URL soak --seconds N --rate EVENTS_PER_SECOND

With --images, pictures for the docs are taken on the way. `soak` watches a busy feed for so long; `stories` do the same with invented
events that do not take their time.
"""

import argparse
import json
import os
import random
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from page_browser import FILLED, LIMIT_SECONDS, Browser  # noqa: E402

VERIFIED = "complete, hash verified"
# As views bound what they hold: rows, and what waits to become one.
ROWS_MAX, HELD_MAX = 150, {"waiting": 150, "ways": 2000, "done": 300, "arrivals": 2000, "measured": 500}

# More than twice as many as the widest of these bounds, and few for ten minutes even on a slow machine.
SOAK_EVENTS_MIN = 5_000


class Scene:
    """What every story gets."""

    def __init__(self, browser, arguments):
        self.browser, self.images, self.simulator = browser, arguments.images, arguments.simulator
        self.key = Path(arguments.key_file).read_text() if arguments.key_file else ""

    def picture(self, name, width=1440, height=900):
        self.browser.picture(self.images, name, width, height)

    def inject(self, title, comment, event_id):
        now = time.time()
        self.inject_text(json.dumps({
            "$schema": "/mediawiki/recentchange/1.0.0", "type": "edit", "namespace": 0, "title": title, "comment": comment, "id": 9,
            "meta": {"uri": "https://en.wikipedia.org/wiki/X", "id": event_id, "dt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                     "domain": "en.wikipedia.org", "stream": "mediawiki.recentchange"},
            "title_url": "https://en.wikipedia.org/wiki/X", "timestamp": int(now), "user": "Ann", "bot": False, "minor": False,
            "notify_url": "https://en.wikipedia.org/w/index.php", "server_url": "https://en.wikipedia.org",
            "server_name": "en.wikipedia.org", "wiki": "enwiki", "length": {"old": 1, "new": 9}, "revision": {"old": 1, "new": 2},
        }))

    def inject_text(self, text):
        urllib.request.urlopen(urllib.request.Request(self.simulator + "/inject", text.encode()), timeout=LIMIT_SECONDS).close()


def first_screen(scene):
    browser = scene.browser
    browser.first_screen()
    print(f"first feed rows {browser.first_rows_ms} ms after the page was asked for", flush=True)
    browser.says("#freshness", "fresh")
    browser.run("window.kept = [...document.querySelectorAll('.flow .node, .tiles > div')]")
    browser.wait("rates and times of the stages, and charts of the server's history", FILLED)
    # Of one question and its kept reply.
    for _ in range(2):
        browser.driver.execute_async_script("""
            fetch("/search", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"query": "first screen"}'})
              .then((response) => response.text()).then(arguments[0]);""")
    browser.wait("charts of what was asked", """return ['Queries, p95', 'Cache hits', 'Processor', 'Memory'].every((title) =>
        [...document.querySelectorAll('.chart')].find((one) => one.querySelector('.chart-title').textContent === title)
          .querySelector('path.line[d^=M]'))""")
    if not browser.run("return window.kept.length === 9 && window.kept.every((one) => one.isConnected)"):
        sys.exit("the figures of the first screen are made again, so nothing of them can be selected")
    browser.axe("the first screen", dark=True, part="html")
    if scene.images:
        pictures_of_an_hour(scene)


def pictures_of_an_hour(scene):
    """Charts of a server that was asked something: its history has a point a second here."""
    browser, queries = scene.browser, random.Random(7)
    for number in range(340):
        time.sleep(1)
        browser.driver.execute_async_script("""
            const [path, query, done] = arguments;
            fetch(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({query})}).then(() => done());
            """, "/answer" if number % 5 == 0 else "/search", queries.choice(["harbour", "bridge", "museum", "river"]))
    scene.picture("page", height=960)
    browser.scheme("dark")
    scene.picture("page-dark", height=960)
    browser.scheme("light")
    scene.picture("page-phone", 390, 844)


def watch(scene):
    browser = scene.browser
    browser.open("Watch")
    browser.find(".feed .row")
    browser.says(".steps", "ms /")
    scene.inject("A lighthouse on Varne bank", "the lamp was lit again", f"watch-{time.time_ns()}")
    browser.wait("its way", """return [...document.querySelectorAll('.feed .row')].some((row) =>
        row.textContent.includes('A lighthouse on Varne bank') && row.textContent.includes('searchable +'))""")
    scene.picture("page-watch")
    browser.click("button", "Pause")
    browser.axe("Watch")
    browser.click(".row-title", "A lighthouse on Varne bank")
    browser.says(".trace-body", VERIFIED)


def busy_feed(scene):
    """Ten minutes of a busy feed, without the time: events and their steps, some of which never come to an end."""
    browser = scene.browser
    browser.open("Watch")
    browser.find(".feed .row")
    # The feed was paused by an earlier story.
    browser.driver.refresh()
    browser.find(".feed .row")
    # A gap is spoken of until the stream has gone on.
    gap = browser.driver.execute_async_script("""
        const done = arguments[0];
        import("/page/watch.js").then((watch) => {
          const says = () => document.querySelector(".view-watch").textContent.includes("3 events are gone from the log");
          watch.take("gap", {missing: 3, reason: "expired"});
          const before = says();
          watch.take("event", {doc_id: "after-gap", collection: "soak", title: "After the gap", text: "After the gap: a remark",
            event_time: new Date().toISOString(), indexed_at: new Date().toISOString(), wiki: "enwiki", type: "edit", user: "Ann", is_bot: false});
          done([before, says()]);
        }, (error) => done(String(error)));""")
    if gap != [True, False]:
        sys.exit(f"a gap of the feed is said, and no longer after the next event: {gap}")
    seed = int(os.environ.get("TEST_SEED", "19"))
    sizes = browser.driver.execute_async_script("""
        const [seed, count, done] = arguments;
        let state = seed >>> 0;
        const random = () => {
          state = (state + 0x6D2B79F5) >>> 0;
          let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
          mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
          return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
        };
        import("/page/watch.js").then(async (watch) => {
          const seen = [];
          const look = () => seen.push({...watch.sizes(), shown: document.querySelectorAll(".feed .row").length,
            nodes: document.querySelectorAll(".view-watch *").length});
          look();
          for (let number = 0; number < count; number += 1) {
            const at = new Date().toISOString();
            const place = {topic: "soak", partition: number % 4, offset: number, at};
            const id = `soak-${Math.floor(random() * count)}`;
            for (const step of ["received", "committed"]) if (random() < 0.95) watch.take(step, place);
            if (random() < 0.5) watch.take("searchable", {...place, doc_id: id});
            if (random() < 0.9) {
              watch.take("event", {doc_id: id, collection: "soak", title: `Page ${number}`, text: `Page ${number}: a remark`,
                event_time: at, indexed_at: at, wiki: "enwiki", type: "edit", user: "Ann", is_bot: false});
            }
            if (random() < 0.05) watch.take("deleted", {doc_id: id});
            // As often as a busy second has it, so that rows are made and let go.
            if (number % 100 === 99) await new Promise((resume) => { setTimeout(resume); });
            if (number % 1000 === 999) {
              watch.draw();
              look();
            }
          }
          done(seen);
        }, (error) => done(String(error)));
        """, seed, 6_000)
    if not isinstance(sizes, list):
        sys.exit(f"the feed cannot be fed: {sizes}")
    # The second look is at a full list.
    full = sizes[1]
    for size in sizes:
        for name, most in {"rows": ROWS_MAX, "shown": ROWS_MAX, **HELD_MAX}.items():
            if size[name] > most:
                sys.exit(f"seed {seed}: {size[name]} {name} are held, more than {most}: {size}")
    if full["rows"] < ROWS_MAX or sizes[-1]["nodes"] > full["nodes"] * 1.25:
        sys.exit(f"seed {seed}: the feed's elements grow: {sizes}")


def ask(scene):
    browser = scene.browser

    def asked(question, way="Ask"):
        browser.first_screen()
        browser.type("#home-query", question)
        browser.click("button", way)

    asked("which colour was the golden gate bridge painted in?")
    browser.says(".answer", "international orange")
    browser.click(".cite", "1")
    browser.says(".passage", "international orange")
    scene.picture("page-ask")
    browser.axe("Ask")
    browser.click("a", "Trace of citation 1")
    browser.says(".trace-body", VERIFIED)
    asked("what is the airspeed velocity of an unladen swallow in parsecs?")
    browser.says(".notice", "support an answer well enough")
    asked("golden gate bridge", "Search")
    browser.says(".hits", "Golden Gate Bridge")
    browser.says(".hit-foot", "fused")
    browser.click(".facet button", "enwiki")
    browser.says(".filter-box summary", "Filters (1)")
    # An answer that was left while it came is no answer to come back to.
    browser.latency(2000)
    asked("which towers were repainted in March?")
    browser.says(".answer", "Looking for support")
    browser.click("#nav a", "Watch")
    browser.latency(0)
    browser.click("#nav a", "Ask")
    browser.find(".results .intro")


def feedback(scene):
    """What is said of an answer is kept with it, and stands on its trace. Questions are offered to who has none."""
    browser = scene.browser
    browser.first_screen()
    browser.type("#home-query", "which towers of the golden gate bridge were repainted?")
    browser.click("button", "Ask")
    browser.find(".answer-foot input")
    browser.type(".answer-foot input", "so <b>it was</b> in March")
    browser.click(".answer-foot button", "Good answer")
    browser.says(".answer-foot", "kept with the answer")
    browser.click(".answer-foot a", "Trace the answer")
    browser.says("section[aria-label='What was said of it']", "so <b>it was</b> in March")
    check_dead(browser)
    before = browser.run("return document.querySelector('.answer-foot a').href")
    browser.first_screen()
    browser.click(".view-overview .example", "what changed in")
    browser.wait("the answer to an example", """
        const foot = document.querySelector('.view-ask .answer-foot a');
        return foot?.checkVisibility() && foot.href !== arguments[0];""", before)


def trace(scene):
    browser = scene.browser
    browser.open("Trace")
    browser.click("a", "Trace the answer to which colour")
    browser.says(".trace-body", VERIFIED)
    browser.says(".chain", "equals the lineage's")
    browser.says(".step-bronze", "✓ and computed again in this browser")
    scene.picture("page-trace")
    browser.axe("Trace")
    browser.click("summary", "The same by other means")
    browser.says(".command pre", "zstd")
    # From a document: what came of its event, and a command that is copied.
    browser.first_screen()
    browser.click(".newest a", "Trace")
    browser.says(".trace-body", VERIFIED)
    browser.click("button", "Everything that came of the event")
    browser.says(".trace-body h2", "What came of")
    browser.says(".trace-body p", "Kept replies that show it")
    browser.first_screen()
    browser.click(".newest a", "Trace")
    browser.says(".trace-body", VERIFIED)
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", {
        "origin": browser.base, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    browser.run("""
        const write = navigator.clipboard.writeText.bind(navigator.clipboard);
        navigator.clipboard.writeText = (text) => { window.copied = text; return write(text); };""")
    browser.click("summary", "The same by other means")
    browser.click(".command button", "Copy")
    browser.says(".command [role=status]", "copied")
    if not browser.run("return [...document.querySelectorAll('.command pre')].some((one) => one.textContent === window.copied)"):
        sys.exit("what is copied is no command of the trace")


def suppress(scene):
    """The newest document is taken out, and brought back."""
    browser = scene.browser
    browser.first_screen()
    browser.click(".newest a", "Trace")
    browser.says(".trace-body", VERIFIED)
    browser.click("summary", "Suppress it")
    browser.type(".trace-body input[placeholder=why]", "a <b>test</b>")
    browser.click(".trace-body button", "Suppress")
    browser.says(".trace-body [role=status]", "See and lift suppressions")
    browser.wait("the suppression", """
        return fetch("/suppressions?limit=1", {headers: {Authorization: `Bearer ${arguments[0]}`}}).then((reply) => reply.json())
          .then((found) => found.suppressions[0]?.applied === true);""", scene.key.strip())
    browser.open("Trace")
    browser.click("button", "Show suppressions")
    browser.says(".view-trace td", "a <b>test</b>")
    browser.click(".view-trace td button", "Restore")
    browser.says(".view-trace td", "lifted")
    check_dead(browser)


def check_dead(browser):
    """Nothing of an event's text came alive."""
    alive = browser.run("return [window.hit ?? null, document.querySelectorAll('main img, main script, main b, main iframe').length]")
    if alive != [None, 0]:
        sys.exit(f"text of an event came alive at {browser.driver.current_url}: {alive}")


def hostile(scene):
    """Event text is text: it becomes no element, runs nothing, and what would not be seen is."""
    browser = scene.browser
    browser.go("trace/hostile-1")
    browser.says(".trace-body", VERIFIED)
    browser.says(".passage .control", "202E")
    browser.says(".passage .control", "200B")
    browser.says("h2", "<script>window.hit=2</script>")
    check_dead(browser)
    browser.go("watch")
    browser.find(".feed .row")
    scene.inject("<img src=x onerror=window.hit=4>\u202Egpj.exe", "zebrafinch <b>bold</b> \u2066javascript:alert(1)", f"hostile-{time.time_ns()}")
    browser.wait("a hostile row", """return [...document.querySelectorAll('.feed .row')].some((row) => row.checkVisibility()
        && row.textContent.includes('zebrafinch') && row.textContent.includes('<img src=x') && row.querySelector('.row-title .control'))""")
    check_dead(browser)
    browser.go("ask/search/zebrafinch")
    browser.wait("a hostile hit", """return [...document.querySelectorAll('.hits .hit')].some((hit) => hit.checkVisibility()
        && hit.textContent.includes('zebrafinch') && hit.querySelector('.control'))""")
    check_dead(browser)
    # A word of an address is a view's name or nothing.
    browser.go("constructor")
    browser.find(".flow .node")


def troubles(scene):
    """A server that is too busy for the figures is there, but calls nothing fresh, and one cause has one line."""
    browser = scene.browser
    browser.first_screen()
    browser.run("""
        window.trueFetch = window.fetch;
        window.fetch = (path, options) => (path === "/pipeline/status"
          ? Promise.resolve(new Response(JSON.stringify({error: {type: "overloaded", message: "too many requests wait"}}), {status: 503}))
          : window.trueFetch(path, options));""")
    browser.says("#banner", "answers, but not how it is with the pipeline")
    browser.says(".top-words", "the figures below are the last ones known")
    browser.says("#freshness", "no figures for")
    words = browser.run("return document.querySelector('.top-words').textContent + document.querySelector('#freshness').textContent")
    if "Not connected" in words:
        sys.exit("a server that answers is taken for one that does not")
    if "fresh" in words.lower():
        sys.exit(f"figures that are not those of now are called fresh: {words}")
    # Who comes now has no figures yet, and is not told that the key is at fault.
    browser.driver.execute_async_script("""
        const done = arguments[0];
        import("/page/status.js").then(({platform}) => { platform.status = null; done(); }, (error) => done(String(error)));""")
    browser.says(".top-words", "does not tell yet")
    browser.run("window.fetch = window.trueFetch;")
    browser.wait("the figures", "return document.querySelector('#banner').hidden")
    browser.says(".top-words", "Fresh")
    # Without the key that showed them there are no figures.
    browser.run("""
        window.fetch = (path, options) => (path === "/pipeline/status"
          ? Promise.resolve(new Response(JSON.stringify({error: {type: "forbidden", message: "not for this key"}}), {status: 403}))
          : window.trueFetch(path, options));""")
    browser.says(".top-words", "The pipeline is not shown to you.")
    browser.wait("no figures", """return [...document.querySelectorAll('.view-overview .tiles dd, .node-rate')].every((one) => one.textContent === '–')
        && !document.querySelector('.node.is-delay')""")
    browser.run("window.fetch = window.trueFetch;")
    browser.says(".top-words", "Fresh")
    lines = browser.driver.execute_async_script("""
        const done = arguments[0];
        const failed = (name) => [name, {state: "failed", message: "m", detail: {}, last_ok: null}];
        import("/page/faults.js").then(({faults}) => done([
          ["disk", "lake", "stream notes", "delivery notes"], ["broker", "source requests", "delivery"], ["source requests"], ["lake", "stream"], ["log"],
        ].map((names) => faults(names.map(failed)).map(([name, , , effect]) => [name, effect !== ""]))), (error) => done(String(error)));""")
    if lines != [[["disk", True]], [["broker", True]], [["source requests", True]], [["lake", True]], [["log", True]]]:
        sys.exit(f"causes and what still works: {lines}")


def use_key(scene):
    """Where a view needs a key, it says so, and one that is given is kept for the tab."""
    browser = scene.browser
    browser.open("Replay")
    browser.says(".notice", "key")
    browser.clicks = 0
    # Who wants no key is left in peace, though the page is refused something each second.
    browser.click("#key-open")
    browser.click("#parts")
    browser.axe("key form and parts", dark=True, part="html")
    browser.run("document.querySelector('#parts').click()")
    browser.click("#key-close")
    browser.run("""dispatchEvent(new CustomEvent("key-needed", {detail: "a refusal of the poll"}));""")
    if not browser.run("return document.querySelector('#key-form').hidden"):
        sys.exit("the key form opens again by itself")
    browser.clicks = 0
    browser.click("#key-open")
    browser.type("#key", scene.key)
    browser.click("#key-form button", "Use it")
    browser.says(".pill", "served")
    # The refusals that came before.
    browser.console()


def other_logic(browser):
    browser.open("Replay")
    browser.wait("the logic", "return document.querySelector('textarea[name=template]').value.includes('{title}')")
    browser.type("textarea[name=template]", "{title}[, with the remark: {comment}]")


def dry_run(scene):
    browser = scene.browser
    other_logic(browser)
    browser.click("button", "Dry run")
    browser.says("#replay-report", "What would change")
    browser.says(".sides ins", "with the remark")
    scene.picture("page-replay")
    browser.axe("Replay", dark=True)
    # What was changed is sent, and of it every declared member; what was not is left to the declaration.
    browser.says(".view-replay [role=status]", "every declared member is there")
    browser.open("Replay")
    browser.click("button", "Back to what is declared")
    browser.says(".view-replay [role=status]", "As it is declared")
    choose(browser, "range", "offsets")
    for name, value in (("partition", "0"), ("from", "0"), ("to", "3")):
        browser.type(f".view-replay input[name={name}]", value)
    browser.click("button", "Dry run")
    browser.says(".run", "3 of 3 events")
    browser.says("#replay-report + .tiles", "added")
    browser.says(".view-replay dd", "the same")
    choose(browser, "range", "")


def choose(browser, name, value):
    """Chooses in a list of the replay's form."""
    browser.run("""
        const field = document.querySelector(`.view-replay select[name=${arguments[0]}]`);
        field.value = arguments[1];
        field.dispatchEvent(new Event("change"));""", name, value)


def promote(scene):
    browser = scene.browser
    other_logic(browser)
    browser.click("button", "Replay into a new generation")
    browser.says("#replay-report", "What differs in generation 2")
    browser.click("button", "Promote")
    browser.says(".notice", "Generation 2 is served now")


def golden(scene):
    """A query whose hits are others by the other logic."""
    browser = scene.browser
    browser.open("Replay")
    browser.click("button", "Compare golden queries")
    browser.says("h3", "Golden queries")
    browser.type("input[name=golden-name]", "bridge")
    browser.type("input[name=golden-query]", "golden gate bridge international orange")
    browser.click("button", "Add a golden query")
    browser.says("h3", "1 of 1 golden queries change in generation 1")
    browser.says(".view-replay .sides del", "with the remark")
    browser.axe("Golden queries")


def roll_back(scene):
    browser = scene.browser
    browser.open("Replay")
    browser.click("button", "Roll back to it")
    browser.says(".notice", "Generation 1 is served now")
    browser.click("button", "Give up")
    browser.answer("Give up generation 2", False)
    browser.says(".view-replay button", "Promote")


def refused_progress(scene):
    """A stream of progress that is refused is asked for again, but not at once."""
    browser = scene.browser
    other_logic(browser)
    browser.type("input[name=rate]", "1")
    browser.run("""
        window.trueFetch = window.fetch;
        window.asked = [];
        window.fetch = (path, options) => {
          if (!String(path).endsWith('/progress')) return window.trueFetch(path, options);
          window.asked.push(performance.now());
          return Promise.reject(new TypeError('refused by the test'));
        };""")
    browser.click("button", "Dry run")
    browser.says(".failure", "cannot be reached")
    # The list and the start of a run may each ask once; what counts is the time after a refusal.
    gaps = browser.wait("the next time", """
        const gaps = window.asked.slice(1).map((at, index) => at - window.asked[index]);
        return gaps.length > 8 || Math.max(0, ...gaps) > 1000 ? gaps : null;""")
    if max(gaps) < 1900:
        sys.exit(f"a refused stream is asked for again after milliseconds {gaps}")
    browser.run("window.fetch = window.trueFetch;")
    browser.click(".run button", "Pause")
    browser.says(".run .pill", "paused")
    # The list was drawn again, and who uses the keyboard is where they were.
    browser.wait("the focus", "return document.activeElement.textContent === 'Resume'")
    browser.clicks = 0
    browser.click(".run button", "Resume")
    browser.says(".run .pill", "running")
    browser.click(".run button", "End")
    browser.wait("its end", "return ![...document.querySelectorAll('.run button')].some((one) => one.textContent === 'End')")
    browser.type("input[name=rate]", "")


def hostile_quarantine(scene):
    """The newest comes first, so it is found at the top."""
    browser = scene.browser
    scene.inject_text(r'{"meta":{"id":"\u202Egpj<b>bold</b><img src=x onerror=window.hit=5>"},"type":17}')
    browser.wait("the hostile record in quarantine", """
        return fetch("/quarantine?limit=1", {headers: {Authorization: `Bearer ${arguments[0]}`}}).then((reply) => reply.json())
          .then((found) => found.records[0]?.event_id?.includes("<b>bold</b>"));""", scene.key)
    browser.open("Quarantine")
    browser.click(".view-quarantine tbody tr:first-child button", "Look")
    browser.wait("a hostile record", """
        const shown = document.querySelector("section[aria-label='The record']");
        return shown.textContent.includes('<b>bold</b>') && shown.querySelector('.control')
          && [...shown.querySelectorAll('.json')].some((one) => one.textContent.includes('window.hit=5'));""")
    check_dead(browser)
    scene.picture("page-quarantine")


def quarantine(scene):
    browser = scene.browser
    # Pages of one record, so that few are many.
    browser.run("""
        window.trueFetch ??= window.fetch;
        window.fetch = (path, options) => window.trueFetch(
          String(path).replace(/^(.quarantine.*limit=)200/, (_, head) => `${head}1`), options);""")
    browser.open("Quarantine")
    rows = "return document.querySelectorAll('.view-quarantine tbody tr').length === "
    browser.wait("the newest record alone", rows + "1")
    browser.axe("Quarantine")
    browser.click("button", "Older ones")
    browser.wait("two records", rows + "2")
    browser.run("window.fetch = window.trueFetch;")
    browser.open("Quarantine")
    browser.click(".view-quarantine .facets button")
    browser.says("button", "Redrive up to 500 open of ")
    # What is typed and not yet shown changes nothing of what the buttons are about.
    browser.type(".view-quarantine input[name=rule]", "another")
    browser.click("button", "What would be redriven")
    browser.says(".notice", "planned")
    browser.type(".view-quarantine input[name=rule]", "")
    browser.open("Quarantine")
    browser.click(".view-quarantine .facets button")
    browser.click("button", "Discard up to 500 open of ")
    browser.answer("Discard ", False)
    browser.type(".view-quarantine input[name=rule]", "")
    browser.open("Quarantine")
    record = "section[aria-label='The record']"
    browser.click(record + " button", "Discard")
    browser.says(".notice", "1 discarded")
    browser.says(record + " dd", "discarded")
    # What was decided is changed again only after a question.
    browser.click(record + " button", "Redrive")
    browser.answer("discarded already", False)
    browser.says(record + " dd", "discarded")
    # The oldest is published again. It breaks the rule again, and comes back as a new one.
    browser.open("Quarantine")
    browser.click(".view-quarantine tbody tr:last-child button", "Look")
    browser.says(record + " .json", "broken-1")
    browser.click(record + " button", "Redrive")
    browser.says(".view-quarantine .notice", "1 redriven")
    browser.says(record + " dd", "redriven, now at offset")


def stand_still(scene):
    """A source is paused with a reason, which is shown and holds, and is resumed."""
    browser = scene.browser
    browser.open("Sources")
    browser.says(".view-sources section", "wikimedia.recentchange")
    browser.type(".view-sources input", "<b>a wiki</b> is being mended")
    browser.click(".view-sources button", "Pause wikimedia.recentchange")
    browser.says(".view-sources .notice", "is to stand still")
    browser.says(".view-sources dd", "<b>a wiki</b> is being mended")
    browser.says(".view-sources .pill", "paused")
    browser.axe("Sources", dark=True)
    scene.picture("page-sources")
    check_dead(browser)
    browser.wait("the connector's word", """
        return fetch("/sources").then((reply) => reply.json()).then((found) => found.sources[0].phase === "paused");""")
    if browser.run("return document.getElementById('freshness').className").endswith("level-bad"):
        sys.exit("a paused source makes the index bad")
    browser.click(".view-sources button", "Resume wikimedia.recentchange")
    browser.says(".view-sources .notice", "is to continue")
    browser.says(".view-sources dd", "resume")
    browser.wait("the stream", """
        return fetch("/sources").then((reply) => reply.json()).then((found) => found.sources[0].phase === "streaming");""")


def write_documents(scene):
    """Of a platform whose only source is `notes`, written over HTTP."""
    browser = scene.browser
    browser.go("")
    browser.run("sessionStorage.setItem('medallion-api-key', arguments[0])", scene.key.strip())
    browser.go("documents/notes")
    browser.clicks = 0
    browser.says(".view-documents td", "notes")
    browser.says(".view-documents .tag", "price: number")
    browser.type(".view-documents input[name=doc_id]", "kettle-1")
    browser.run("""
        const field = document.querySelector('.view-documents textarea');
        field.value = JSON.stringify({id: 'kettle-1', title: '<img src=x onerror=window.hit=6>', text: 'a kettle of two litres', price: 12.5, maker: 'Ann'});""")
    browser.click(".view-documents button", "Save")
    browser.says(".view-documents .notice", "can be found after")
    browser.says(".view-documents td", "<img src=x onerror=window.hit=6>")
    check_dead(browser)
    browser.axe("Documents", dark=True)
    browser.go("ask/search/kettle")
    browser.says(".hits", "kettle of two litres")
    # Facets and filters are those that the collection declares, not those of recent changes.
    browser.says(".facet", "maker")
    browser.click(".facet button", "Ann")
    browser.says(".view-ask summary", "Filters (1)")
    browser.says(".hits", "kettle of two litres")
    browser.go("watch")
    browser.type(".view-watch input[name=maker]", "Ann")
    browser.click(".view-watch button", "Filter")
    browser.says(".view-watch .feed", "kettle of two litres")
    if browser.run("return document.querySelector('.view-watch [name=wiki], .view-ask [name=wiki]') !== null"):
        sys.exit("filters of recent changes are offered for notes")
    # Nothing comes in here, so the same question gets the kept answer; with an arm that is missing none is kept.
    browser.run("document.querySelector('.view-ask select[name=mode]').value = 'lexical'")
    browser.go("ask/ask/what%20is%20a%20kettle%20of%20two%20litres%3F")
    browser.find(".answer-foot a", "Trace the answer")
    browser.clicks = 0
    browser.click(".view-ask #go")
    browser.says(".cached", "still what a search would find")
    replay_documents(browser)
    browser.go("documents/notes")
    browser.clicks = 0
    browser.click(".view-documents button", "Open kettle-1")
    browser.wait("what was sent", "return document.querySelector('.view-documents textarea').value.includes('two litres')")
    browser.run("""
        const field = document.querySelector('.view-documents textarea');
        field.value = field.value.replace('two litres', 'three litres');""")
    browser.click(".view-documents button", "Save")
    browser.says(".view-documents .passage", "three litres")
    browser.clicks = 0
    browser.click(".view-documents button", "Delete")
    browser.answer("Delete the document kettle-1?", True)
    browser.says(".view-documents .notice", "is gone after")
    browser.says(".view-documents .empty", "shows no document")


def replay_documents(browser):
    """Of two sources of documents: all of them by their declared logic, then one by other logic."""
    browser.go("replay")
    browser.says(".view-replay [role=status]", "To change one, choose its source")
    browser.clicks = 0
    browser.click("button", "Dry run")
    browser.says("#replay-report", "What would change")
    browser.says(".run .pill", "done")
    choose(browser, "source", "notes")
    browser.says(".view-replay [role=status]", "As it is declared")
    proposed = json.loads(browser.run("return document.querySelector('textarea[name=logic]').value"))
    if proposed["type"] != "document" or proposed["text_characters_min"] != 3 or {"logic", "attributes"} & proposed.keys():
        sys.exit(f"the logic of notes is proposed as {proposed}")
    browser.run("""
        const field = document.querySelector('textarea[name=logic]');
        const logic = JSON.parse(field.value);
        field.value = JSON.stringify({...logic, fields: {...logic.fields, text: ["text", "maker"]}, text_characters_min: undefined});
        field.dispatchEvent(new Event("input"));""")
    browser.says(".view-replay [role=status]", "the default counts: text_characters_min")
    browser.click("button", "Dry run")
    browser.says(".sides ins", "Ann")
    browser.says(".view-replay dd", "shortest text that is kept")
    # The other source's logic is its own, and what was changed of this one's is kept.
    choose(browser, "source", "cards")
    browser.says(".view-replay [role=status]", "As it is declared")
    choose(browser, "source", "notes")
    browser.says(".view-replay [role=status]", "Changed")


def administer(scene):
    browser = scene.browser
    browser.open("Parts and keys")
    browser.says(".view-admin td", "broker")
    browser.says(".view-admin td", "the platform")
    browser.type(".view-admin input[name=name]", "a program")
    browser.click("button", "Make a key")
    browser.says(".view-admin .notice", "shown only now")
    browser.axe("Parts and keys", dark=True)
    key = browser.run("return document.querySelector('.view-admin .notice pre').textContent")
    request = urllib.request.Request(browser.base + "/answers", headers={"Authorization": f"Bearer {key}"})
    urllib.request.urlopen(request, timeout=LIMIT_SECONDS).close()
    browser.click(".view-admin button", "Revoke the key of a program")
    browser.answer("refused from then on", True)
    browser.says(".view-admin .notice", "is revoked")
    browser.says(".view-admin td", "revoked")
    if key in browser.run("return document.body.textContent"):
        sys.exit("a key is shown longer than need be")


def phone(scene):
    """Nothing is wider than a phone, on any view."""
    browser = scene.browser
    browser.driver.get(browser.base + "/docs")
    browser.find("#operations summary")
    browser.axe("API", dark=True, part="html")
    browser.size(390, 844, mobile=True)
    browser.first_screen()
    browser.axe("the first screen on a phone", part="html")
    for view in ("", "watch", "ask", "documents", "trace", "sources", "replay", "quarantine", "admin"):
        browser.go(view)
        browser.wait("the view", "return [...document.querySelectorAll('main > .view')].some((one) => one.checkVisibility())")
        width = browser.run("return document.documentElement.scrollWidth")
        if width > 390:
            wide = browser.run("""return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility()
              && one.getBoundingClientRect().right > 391 && !one.closest('.table, nav, pre')).map((one) => one.outerHTML.slice(0, 120)).slice(0, 5)""")
            sys.exit(f"{view or 'the first screen'} is {width} pixels wide on a phone: {wide}")
    browser.size(1440, 900)


STORIES = [
    first_screen, watch, ask, feedback, trace, busy_feed, hostile, troubles, use_key, suppress, dry_run, promote, golden, roll_back, refused_progress,
    hostile_quarantine, quarantine, stand_still, administer, phone,
]


def stories(scene, wanted):
    for story in wanted:
        began = time.monotonic()
        story(scene)
        name = story.__name__.replace("_", " ")
        faults = scene.browser.console()
        if faults:
            sys.exit(f"{name}: the console says {faults}")
        scene.browser.check_requests()
        print(f"{name}: well, after {time.monotonic() - began:.1f} s", flush=True)


def counted(browser, *names):
    """What the platform has counted under these names."""
    with urllib.request.urlopen(browser.base + "/metrics", timeout=LIMIT_SECONDS) as reply:
        lines = [line.split(" ") for line in reply.read().decode().splitlines() if not line.startswith("#")]
    return [sum(float(line[-1]) for line in lines if line[0].split("{")[0] == name) for name in names]


def soak(browser, seconds, rate):
    """The tab's memory stays flat while events come in, as many as are sent. Times and rates, which are the machine's, are told alone."""
    loads = []
    for _ in range(5):
        browser.first_rows_ms = 0
        browser.driver.get("about:blank")
        browser.first_screen()
        loads.append(browser.first_rows_ms)
    print(f"first feed rows after {min(loads)} ms, the best of {loads}", flush=True)
    browser.go("watch")
    browser.find(".feed .row")
    command = browser.driver.execute_cdp_cmd

    def size():
        command("HeapProfiler.collectGarbage", {})
        return {one["name"]: one["value"] for one in command("Performance.getMetrics", {})["metrics"]}

    def taken():
        """- Returns: how many events have come to the page."""
        return browser.driver.execute_async_script(
            'const done = arguments[0]; import("/page/watch.js").then((watch) => done(watch.sizes().taken));')

    names = ("medallion_producer_events_acknowledged_total", "medallion_stream_gold_lines_total", "medallion_api_stream_events_total")
    command("Performance.enable", {})
    before, taken_before, began = counted(browser, *names), taken(), time.monotonic()
    time.sleep(seconds / 4)
    early = size()
    time.sleep(seconds * 3 / 4)
    late = size()
    passed, came = time.monotonic() - began, taken() - taken_before
    sent, documents, streamed = (now - then for now, then in zip(counted(browser, *names), before))
    print(f"{sent:.0f} events were taken ({sent / passed:.1f} a second, of {rate:g}), {documents:.0f} became documents, {streamed:.0f} were "
          f"streamed, and {came} came to the page", flush=True)
    # A size that stays flat while hardly anything comes proves nothing. Not each event makes a document.
    if came < SOAK_EVENTS_MIN or streamed < 0.9 * documents or came < 0.9 * streamed:
        sys.exit(f"too few events came to the page: at least {SOAK_EVENTS_MIN}, and nearly all that became documents, are wanted")
    for name, slack in (("JSHeapUsedSize", 4 << 20), ("Nodes", 2000), ("JSEventListeners", 400)):
        print(f"{name}: {early[name]:.0f}, then {late[name]:.0f}")
        if late[name] > early[name] * 1.15 + slack:
            sys.exit(f"{name} has grown from {early[name]:.0f} to {late[name]:.0f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("what", choices=["stories", "documents", "soak"])
    for name in ("--key-file", "--simulator", "--images"):
        parser.add_argument(name)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=100)
    arguments = parser.parse_args()
    with Browser(arguments.url.rstrip("/")) as browser:
        if arguments.what == "stories":
            stories(Scene(browser, arguments), STORIES)
        elif arguments.what == "documents":
            stories(Scene(browser, arguments), [write_documents])
        else:
            soak(browser, arguments.seconds, arguments.rate)


if __name__ == "__main__":
    main()
