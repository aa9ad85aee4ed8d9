"""The page in headless Chromium, for page_stories.py and page_away.py."""

import base64
import importlib.util
import json
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

# A limit for a machine ten times as slow; nothing here measures time.
LIMIT_SECONDS = 60
CLICKS_MAX = 3
# The first screen with every figure that it has, wherever the stages run. Of recorded events the sources' time is none.
FILLED = """
    const nodes = [...document.querySelectorAll('.flow .node')];
    const isTimed = (node) => [...node.querySelectorAll('strong')].some((one) => one.checkVisibility() && / m?s$/.test(one.textContent));
    const drawn = (title) => [...document.querySelectorAll('.chart')]
      .find((one) => one.querySelector('.chart-title').textContent === title).querySelectorAll('path.line[d^=M]:not(.dots)').length;
    return nodes.length === 5 && nodes.every((node) => /^[\\d.]+k? \\/s$/.test(node.querySelector('.node-rate').textContent))
      && nodes.slice(1).every(isTimed)
      && /slowest step: \\w+, p95 [\\d.]+ m?s/.test(document.querySelector('.headline-why').textContent)
      && [...document.querySelectorAll('.tiles dd')].every((one) => /\\d/.test(one.textContent))
      && drawn('Broker to searchable') === 2 && drawn('Throughput') === 3 && drawn('Events behind') === 1;
    """
AXE = Path(importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0], "axe.min.js").read_text()


class Browser:
    def __init__(self, base):
        self.base = base
        options = Options()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Of what Chromium tells of itself nothing but the requests is read.
        options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(LIMIT_SECONDS)
        self.driver.set_script_timeout(LIMIT_SECONDS)
        self.clicks, self.first_rows_ms = 0, 0
        self.size(1440, 900)

    def size(self, width, height, mobile=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def go(self, place):
        self.driver.get(f"{self.base}/#/{place}")

    def first_screen(self):
        """Where every story begins."""
        self.go("")
        self.clicks = 0
        shown = self.wait("the first screen", """
            return document.querySelector('.flow .node') && document.querySelector('.newest li') && performance.now()""")
        # Of the first one alone, as the others are the same document.
        self.first_rows_ms = self.first_rows_ms or round(shown)

    def open(self, view):
        """A view, from the first screen, by a click."""
        self.first_screen()
        self.click("#nav a", view)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, what, script, *arguments, seconds=LIMIT_SECONDS):
        """Until the script's value is true; returns it."""
        try:
            return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(
                lambda driver: driver.execute_script(script, *arguments))
        except Exception:
            text = self.run("return document.body.innerText")
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
                self.run("arguments[0].scrollIntoView({block: 'center'})", node)
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

    def answer(self, text, is_wanted):
        """Answers the question that the page asks, which holds a text."""
        question = WebDriverWait(self.driver, LIMIT_SECONDS).until(expected_conditions.alert_is_present())
        if text not in question.text:
            sys.exit(f"the question is {question.text}")
        question.accept() if is_wanted else question.dismiss()

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

    def axe(self, what, dark=False, part="main"):
        """Nothing that axe-core calls moderate or worse; with `dark`, neither do the dark colours lack contrast."""
        if not self.run("return Boolean(window.axe)"):
            self.run(AXE)
        for scheme, rules in (("light", None), ("dark", ["color-contrast"]))[: 2 if dark else 1]:
            self.scheme(scheme)
            found = self.driver.execute_async_script("""
                const [part, rules, done] = arguments;
                axe.run(part, {resultTypes: ["violations"], ...(rules ? {runOnly: {type: "rule", values: rules}} : {})})
                  .then((result) => done(result.violations), (error) => done([{impact: "critical", id: String(error), nodes: []}]));
                """, part, rules)
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
