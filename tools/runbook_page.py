#!/usr/bin/env python3
"""Makes monitoring/consoles/runbook.html of docs/runbook.md: the page that every alert's `runbook_url` leads to.

Usage: tools/runbook_page.py           writes it
       tools/runbook_page.py --check   exit code 1 where it is not what it should be

Prometheus serves it beside the rules (`--web.console.templates`), so that the link works wherever an alert was read, also while the
platform is away. It is a template of Prometheus, so braces in pairs are refused.
"""

import os
import re
import sys

from markdown_it import MarkdownIt

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "monitoring/consoles/runbook.html")
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Medallion: runbook</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .7rem; border: 1px solid #8886; border-radius: 4px }
code { font-size: .9em }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; vertical-align: top }
:target { background: #fc03 }
</style>
</head>
<body>
"""


def page():
    with open(os.path.join(ROOT, "docs/runbook.md"), encoding="utf-8") as file:
        text = file.read()
    if "{{" in text:
        raise SystemExit("docs/runbook.md: Prometheus would take {{ for a template's")
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for opening, content in zip(tokens, tokens[1:]):
        if opening.type == "heading_open":
            opening.attrSet("id", re.sub(r"[^a-z0-9 -]", "", content.content.lower()).replace(" ", "-"))
        # What is beside the runbook in docs/ is not served.
        for child in content.children or []:
            if child.type == "link_open" and not child.attrs["href"].startswith(("http", "#")):
                child.attrs["title"] = "docs/" + child.attrs.pop("href")
    return HEAD + parser.renderer.render(tokens, parser.options, {}) + "</body>\n</html>\n"


def main(arguments):
    if arguments not in ([], ["--check"]):
        raise SystemExit(__doc__)
    wanted = page()
    if not arguments:
        os.makedirs(os.path.dirname(PAGE), exist_ok=True)
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(wanted)
        return 0
    with open(PAGE, encoding="utf-8") as file:
        if file.read() != wanted:
            raise SystemExit("monitoring/consoles/runbook.html is not of this docs/runbook.md: run tools/runbook_page.py")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
