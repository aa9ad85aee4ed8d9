#!/usr/bin/env python3
"""Drives the page in headless Chromium.

Usage: page_stories.py URL stories --key-file FILE --simulator URL [--images FOLDER]
       page_stories.py URL away
       page_stories.py URL soak --seconds N
"""

import argparse
import base64
import importlib.util
import json
import signal
import sys
import time
import urllib.request
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

# A limit for a machine ten times as slow; nothing here measures time.
LIMIT_SECONDS = 60
CLICKS_MAX = 3
AXE = Path(importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0], "axe.min.js").read_text()


class Browser:
    def __init__(self, base):
        self.base = base
        options = Options()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(LIMIT_SECONDS)
        self.driver.set_script_timeout(LIMIT_SECONDS)
        self.clicks = 0
        self.size(1440, 900)

    def size(self, width, height, mobile=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def first_screen(self):
        """Where every story begins."""
        self.driver.get(self.base + "/#/")
        self.clicks = 0
        self.wait("the first screen", "return document.querySelector('.flow .node') && document.querySelector('.newest li')")

    def wait(self, what, script, *arguments):
        """Until the script's value is true; returns it."""
        try:
            return WebDriverWait(self.driver, LIMIT_SECONDS, poll_frequency=0.1).until(
                lambda driver: driver.execute_script(script, *arguments))
        except Exception:
            text = self.driver.execute_script("return document.body.innerText")
            sys.exit(f"waited for {what}; {self.driver.current_url} shows:\n{text[:3000]}\n{self.console()}")

    def find(self, css, text=None):
        """The first visible element of a selector, whose text or accessible name holds a text."""
        return self.wait(f"{css} {text or ''}", """
            return [...document.querySelectorAll(arguments[0])].find((node) => node.checkVisibility() && !node.disabled
              && (arguments[1] === null || `${node.textContent} ${node.getAttribute("aria-label") ?? ""}`.includes(arguments[1])));
            """, css, text)

    def click(self, css, text=None):
        """A click that counts. What moves is found again."""
        for _ in range(20):
            node = self.find(css, text)
            try:
                self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
                node.click()
                break
            except Exception as error:
                fault = error
                time.sleep(0.1)
        else:
            sys.exit(f"{css} {text or ''} cannot be clicked: {fault}")
        self.clicks += 1
        if self.clicks > CLICKS_MAX:
            sys.exit(f"{css} {text or ''} is click number {self.clicks} of its story")

    def type(self, css, text):
        node = self.find(css)
        node.clear()
        node.send_keys(text)

    def says(self, css, text):
        self.wait(f"{text!r} in {css}", "return [...document.querySelectorAll(arguments[0])].some((node) => "
                  "node.checkVisibility() && node.textContent.includes(arguments[1]))", css, text)

    def latency(self, milliseconds):
        """What a request takes at least, on top of its own time."""
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions",
                                    {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1})

    def console(self):
        """What went wrong in the page, by its console."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def check_requests(self):
        """Nothing is asked of anybody but the server."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] != "Network.requestWillBeSent":
                continue
            url = message["params"]["request"]["url"]
            if not url.startswith((self.base + "/", "data:", "chrome:")):
                sys.exit(f"the page asked for {url}")

    def axe(self, what, dark=False):
        """Nothing that axe-core calls moderate or worse; with `dark`, neither do the dark colours lack contrast."""
        for scheme, rules in (("light", None), ("dark", ["color-contrast"]))[: 2 if dark else 1]:
            self.scheme(scheme)
            self.driver.execute_script(AXE)
            found = self.driver.execute_async_script("""
                const [rules, done] = arguments;
                axe.run(document, {resultTypes: ["violations"], ...(rules ? {runOnly: {type: "rule", values: rules}} : {})})
                  .then((result) => done(result.violations), (error) => done([{impact: "critical", id: String(error), nodes: []}]));
                """, rules)
            serious = [f"{one['id']} ({one['impact']}): " + "; ".join(node["html"][:160] + " " + node.get("failureSummary", "")[:200]
                       for node in one["nodes"][:4]) for one in found if one["impact"] != "minor"]
            if serious:
                sys.exit(f"{what}, {scheme}: axe-core finds\n" + "\n".join(serious))
        self.scheme("light")

    def picture(self, folder, name, width=1440, height=900):
        if folder:
            self.size(width, height, mobile=width < 600)
            time.sleep(0.6)
            taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 82})
            Path(folder, f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))
            self.size(1440, 900)


def inject(simulator, title, comment, event_id):
    event = {
        "$schema": "/mediawiki/recentchange/1.0.0", "type": "edit", "namespace": 0, "title": title, "comment": comment, "id": 9,
        "meta": {"uri": "https://en.wikipedia.org/wiki/X", "id": event_id, "dt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                 "domain": "en.wikipedia.org", "stream": "mediawiki.recentchange"},
        "title_url": "https://en.wikipedia.org/wiki/X", "timestamp": int(time.time()), "user": "Ann", "bot": False, "minor": False,
        "notify_url": "https://en.wikipedia.org/w/index.php", "server_url": "https://en.wikipedia.org", "server_name": "en.wikipedia.org",
        "wiki": "enwiki", "length": {"old": 1, "new": 9}, "revision": {"old": 1, "new": 2},
    }
    inject_text(simulator, json.dumps(event))


def inject_text(simulator, text):
    urllib.request.urlopen(urllib.request.Request(simulator + "/inject", text.encode()), timeout=LIMIT_SECONDS).close()


def first_screen(browser, images):
    browser.first_screen()
    browser.says("#freshness", "fresh")
    browser.wait("rates", "return document.querySelectorAll('.node-rate').length === 5")
    browser.wait("charts of the server's history", "return document.querySelectorAll('.chart path.line[d^=M]').length >= 8")
    browser.wait("a stage that is named", "return /slowest step|holds events up/.test(document.querySelector('.headline-why').textContent)")
    browser.axe("the first screen", dark=True)
    if images:
        for _ in range(150):
            time.sleep(1)
            browser.driver.execute_async_script("""
                const done = arguments[0];
                fetch("/search", {method: "POST", headers: {"Content-Type": "application/json"},
                  body: JSON.stringify({query: ["harbour", "bridge", "museum", "river"][Math.floor(Math.random() * 4)]})}).then(() => done());
                """)
        browser.picture(images, "page", height=960)
        browser.scheme("dark")
        browser.picture(images, "page-dark", height=960)
        browser.scheme("light")
        browser.picture(images, "page-phone", 390, 844)


def watch(browser, simulator, images):
    browser.first_screen()
    browser.click("#nav a", "Watch")
    browser.find(".feed .row")
    browser.says(".steps", "ms /")
    inject(simulator, "A lighthouse on Varne bank", "the lamp was lit again", f"watch-{time.time_ns()}")
    browser.says(".feed .row-title", "A lighthouse on Varne bank")
    browser.wait("its way", """return [...document.querySelectorAll('.feed .row')].some((row) =>
        row.textContent.includes('A lighthouse on Varne bank') && row.textContent.includes('searchable +'))""")
    browser.picture(images, "page-watch")
    browser.click("button", "Pause")
    browser.axe("Watch")
    browser.click(".row-title", "A lighthouse on Varne bank")
    browser.says(".trace-body", "complete, hash verified")


def ask(browser, images):
    browser.first_screen()
    browser.type("#home-query", "which colour was the golden gate bridge painted in?")
    browser.click("button", "Ask")
    browser.says(".answer", "international orange")
    browser.click(".cite", "1")
    browser.says(".passage", "international orange")
    browser.picture(images, "page-ask")
    browser.axe("Ask")
    browser.click("a", "Trace of citation 1")
    browser.says(".trace-body", "complete, hash verified")
    browser.first_screen()
    browser.type("#home-query", "what is the airspeed velocity of an unladen swallow in parsecs?")
    browser.click("button", "Ask")
    browser.says(".notice", "support an answer well enough")
    browser.first_screen()
    browser.type("#home-query", "golden gate bridge")
    browser.click("button", "Search")
    browser.says(".hits", "Golden Gate Bridge")
    browser.says(".hit-foot", "fused")
    browser.click(".facet button", "enwiki")
    browser.says(".filter-box summary", "Filters (1)")
    # An answer that was left while it came is no answer to come back to.
    browser.first_screen()
    browser.type("#home-query", "which towers were repainted in March?")
    browser.latency(5000)
    browser.click("button", "Ask")
    browser.says(".answer", "Looking for support")
    browser.click("#nav a", "Watch")
    browser.latency(0)
    browser.click("#nav a", "Ask")
    browser.find(".results .intro")


def trace(browser, images):
    browser.first_screen()
    browser.click("#nav a", "Trace")
    browser.click("a", "Trace the answer to which colour")
    browser.says(".trace-body", "complete, hash verified")
    browser.says(".chain", "equals the lineage's")
    browser.says(".step-bronze", "✓ and computed again in this browser")
    browser.picture(images, "page-trace")
    browser.axe("Trace")
    browser.click("summary", "The same by other means")
    browser.says(".command pre", "zstd")


def check_dead(browser):
    """Nothing of an event's text came alive."""
    alive = browser.driver.execute_script(
        "return [window.hit ?? null, document.querySelectorAll('main img, main script, main b, main iframe').length]")
    if alive != [None, 0]:
        sys.exit(f"text of an event came alive at {browser.driver.current_url}: {alive}")


def hostile(browser, simulator):
    """Event text is text: it becomes no element, runs nothing, and what would not be seen is."""
    browser.driver.get(browser.base + "/#/trace/hostile-1")
    browser.says(".trace-body", "complete, hash verified")
    browser.says(".passage .control", "202E")
    browser.says(".passage .control", "200B")
    browser.says("h2", "<script>window.hit=2</script>")
    check_dead(browser)
    browser.driver.get(browser.base + "/#/watch")
    # The feed was paused.
    browser.driver.refresh()
    browser.find(".feed .row")
    inject(simulator, "<img src=x onerror=window.hit=4>\u202Egpj.exe", "zebrafinch <b>bold</b> \u2066javascript:alert(1)", f"hostile-{time.time_ns()}")
    browser.wait("a hostile row", """return [...document.querySelectorAll('.feed .row')].some((row) => row.checkVisibility()
        && row.textContent.includes('zebrafinch') && row.textContent.includes('<img src=x') && row.querySelector('.row-title .control'))""")
    check_dead(browser)
    browser.driver.get(browser.base + "/#/ask/search/zebrafinch")
    browser.wait("a hostile hit", """return [...document.querySelectorAll('.hits .hit')].some((hit) => hit.checkVisibility()
        && hit.textContent.includes('zebrafinch') && hit.querySelector('.control'))""")
    check_dead(browser)
    # A word of an address is a view's name or nothing.
    browser.driver.get(browser.base + "/#/constructor")
    browser.find(".flow .node")


def hostile_quarantine(browser, simulator, key):
    inject_text(simulator, r'{"meta":{"id":"\u202Egpj<b>bold</b><img src=x onerror=window.hit=5>"},"type":17}')
    request = urllib.request.Request(browser.base + "/quarantine?limit=500", headers={"Authorization": f"Bearer {key}"})
    for _ in range(2 * LIMIT_SECONDS):
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as reply:
            if any("<b>bold</b>" in (record["event_id"] or "") for record in json.load(reply)["records"]):
                break
        time.sleep(0.5)
    else:
        sys.exit("the hostile record does not come into quarantine")
    browser.driver.get(browser.base + "/#/quarantine")
    browser.wait("a hostile record in quarantine", """
        return [...document.querySelectorAll('.view-quarantine tbody button')].some((look) => {
          look.click();
          const shown = document.querySelector("section[aria-label='The record']");
          return shown.textContent.includes('<b>bold</b>') && shown.querySelector('.control');
        });""")
    check_dead(browser)


def use_key(browser, key):
    """Where a view needs a key, it says so, and one that is given is kept for the tab."""
    browser.first_screen()
    browser.click("#nav a", "Replay")
    browser.says(".notice", "key")
    browser.clicks = 0
    browser.click("#key-open")
    browser.type("#key", key)
    browser.click("#key-form button", "Use it")
    browser.says(".pill", "served")
    # The refusals that came before.
    browser.console()


def other_logic(browser):
    browser.first_screen()
    browser.click("#nav a", "Replay")
    browser.wait("the logic", "return document.querySelector('textarea[name=template]').value.includes('{title}')")
    browser.type("textarea[name=template]", "{title}[, with the remark: {comment}]")


def dry_run(browser, images):
    other_logic(browser)
    browser.click("button", "Dry run")
    browser.says("#replay-report", "What would change")
    browser.says(".sides ins", "with the remark")
    browser.picture(images, "page-replay")
    browser.axe("Replay", dark=True)


def promote(browser):
    other_logic(browser)
    browser.click("button", "Replay into a new generation")
    browser.says("#replay-report", "What differs in generation 2")
    browser.click("button", "Promote")
    browser.says(".notice", "Generation 2 is served now")


def roll_back(browser):
    browser.first_screen()
    browser.click("#nav a", "Replay")
    browser.click("button", "Compare golden queries")
    browser.says("h3", "Golden queries")
    browser.click("button", "Roll back to it")
    browser.says(".notice", "Generation 1 is served now")


def refused_progress(browser):
    """A stream of progress that is refused is asked for again, but not at once."""
    other_logic(browser)
    browser.type("input[name=rate]", "1")
    browser.driver.execute_script("""
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
    browser.driver.execute_script("window.fetch = window.trueFetch;")
    browser.click(".run button", "End")
    browser.wait("its end", "return ![...document.querySelectorAll('.run button')].some((one) => one.textContent === 'End')")
    browser.type("input[name=rate]", "")


def quarantine(browser):
    browser.first_screen()
    browser.click("#nav a", "Quarantine")
    browser.find(".view-quarantine tbody tr")
    browser.says(".facets", " ")
    browser.axe("Quarantine")
    browser.click(".view-quarantine .facets button")
    browser.says("button", "Redrive up to 500 open of ")
    # What is typed and not yet shown changes nothing of what the buttons are about.
    browser.type(".view-quarantine input[name=rule]", "another")
    browser.click("button", "What would be redriven")
    browser.says(".notice", "planned")
    browser.type(".view-quarantine input[name=rule]", "")
    browser.first_screen()
    browser.click("#nav a", "Quarantine")
    browser.click("section[aria-label='The record'] button", "Discard")
    browser.says(".notice", "1 discarded")
    browser.says("section[aria-label='The record'] dd", "discarded")
    # What was decided is changed again only after a question.
    browser.click("section[aria-label='The record'] button", "Redrive")
    question = browser.driver.switch_to.alert
    if "discarded already" not in question.text:
        sys.exit(f"the question is {question.text}")
    question.dismiss()
    browser.says("section[aria-label='The record'] dd", "discarded")


def administer(browser):
    browser.first_screen()
    browser.click("#nav a", "Sources and keys")
    browser.says(".view-admin td", "wikimedia.recentchange")
    browser.says(".view-admin td", "the platform")
    browser.axe("Sources and keys")


def phone(browser):
    """Nothing is wider than a phone, on any view."""
    browser.size(390, 844, mobile=True)
    for view in ("", "watch", "ask", "trace", "replay", "quarantine", "admin"):
        browser.driver.get(f"{browser.base}/#/{view}")
        browser.wait("the view", "return [...document.querySelectorAll('main > .view')].some((one) => one.checkVisibility())")
        width = browser.driver.execute_script("return document.documentElement.scrollWidth")
        if width > 390:
            wide = browser.driver.execute_script("""return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility()
              && one.getBoundingClientRect().right > 391 && !one.closest('.table, nav, pre')).map((one) => one.outerHTML.slice(0, 120)).slice(0, 5)""")
            sys.exit(f"{view or 'the first screen'} is {width} pixels wide on a phone: {wide}")
    browser.size(1440, 900)


def stories(browser, arguments):
    key = Path(arguments.key_file).read_text()
    for name, story in (
        ("the first screen", lambda: first_screen(browser, arguments.images)), ("watch", lambda: watch(browser, arguments.simulator, arguments.images)),
        ("ask", lambda: ask(browser, arguments.images)), ("trace", lambda: trace(browser, arguments.images)), ("hostile text", lambda: hostile(browser, arguments.simulator)),
        ("a key", lambda: use_key(browser, key)), ("dry run", lambda: dry_run(browser, arguments.images)),
        ("promote", lambda: promote(browser)), ("roll back", lambda: roll_back(browser)), ("refused progress", lambda: refused_progress(browser)),
        ("hostile quarantine", lambda: hostile_quarantine(browser, arguments.simulator, key)), ("quarantine", lambda: quarantine(browser)), ("sources and keys", lambda: administer(browser)), ("a phone", lambda: phone(browser)),
    ):
        began = time.monotonic()
        story()
        faults = browser.console()
        if faults:
            sys.exit(f"{name}: the console says {faults}")
        browser.check_requests()
        print(f"{name}: well, after {time.monotonic() - began:.1f} s", flush=True)


def away(browser):
    """Says what it sees as parts of the platform come and go, until it is ended."""
    def seen(state, script):
        browser.wait(state, script)
        print(f"seen: {state}", flush=True)

    banner = "const text = document.querySelector('#banner').hidden ? '' : document.querySelector('#banner').textContent; return "
    browser.first_screen()
    seen("well", banner + "text === '' && /of \\d+ parts well/.test(document.querySelector('#parts').textContent)")
    headline = "const text = document.querySelector('.top-words').textContent; return "
    seen("source away", headline + "/^Late/.test(text) && /not been connected/.test(text) && /nothing new arrives/.test(text)"
         " && document.querySelector('.node.is-delay h2').textContent === 'Sources'")
    seen("well again", headline + "/^Fresh/.test(text)")
    seen("server away", banner + "/does not answer/.test(text) && /since \\d\\d:/.test(text) && /asks again/.test(text)"
         " && /Not connected/.test(document.querySelector('#headline').textContent)")
    seen("healed", banner + "text === '' && /^Fresh/.test(document.querySelector('#headline').textContent)")
    signal.pause()


def soak(browser, seconds):
    """The tab's memory stays flat while events come in."""
    browser.driver.get(browser.base + "/#/watch")
    browser.find(".feed .row")

    def size():
        browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        metrics = browser.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return {one["name"]: one["value"] for one in metrics}

    browser.driver.execute_cdp_cmd("Performance.enable", {})
    time.sleep(seconds / 4)
    early = size()
    time.sleep(seconds * 3 / 4)
    late = size()
    for name, slack in (("JSHeapUsedSize", 4 << 20), ("Nodes", 2000), ("JSEventListeners", 400)):
        print(f"{name}: {early[name]:.0f}, then {late[name]:.0f}")
        if late[name] > early[name] * 1.15 + slack:
            sys.exit(f"{name} has grown from {early[name]:.0f} to {late[name]:.0f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("what", choices=["stories", "away", "soak"])
    for name in ("--key-file", "--simulator", "--images"):
        parser.add_argument(name)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    browser = Browser(arguments.url.rstrip("/"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if arguments.what == "stories":
            stories(browser, arguments)
        elif arguments.what == "away":
            away(browser)
        else:
            soak(browser, arguments.seconds)
    finally:
        browser.driver.quit()


main()
