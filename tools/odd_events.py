#!/usr/bin/env python3
"""Writes events with odd texts as a recording, for a look at the page: scripts from right to left, markup, control characters,
long words, nothing at all.

Usage: tools/odd_events.py > odd.jsonl && RECORDING=odd.jsonl make demo
"""

import json

TITLES = [
    ("Golden Gate Bridge", "enwiki", "en.wikipedia.org"), ("東京タワー", "jawiki", "ja.wikipedia.org"),
    ("Москва", "ruwiki", "ru.wikipedia.org"), ("القاهرة", "arwiki", "ar.wikipedia.org"),
    ("ירושלים", "hewiki", "he.wikipedia.org"), ("São Paulo", "ptwiki", "pt.wikipedia.org"),
    ("Donaudampfschifffahrtsgesellschaft" * 4, "dewiki", "de.wikipedia.org"),
]
COMMENTS = [
    "fixed a typo in the lead section", "/* History */ new source for the opening date", "修正錯字",
    "إضافة مصدر للفقرة الأولى", "reverted edits by [[User:192.0.2.17|192.0.2.17]] to last version by Ann", "",
    "<b>bold</b> &amp; <script>alert(1)</script>", "\u202edesrever\u202c text", "a\tb\nc \u0001 d", "🎉👩‍👩‍👧‍👦" * 20,
]
START = 1_795_240_800


def event(number):
    title, wiki, domain = TITLES[number % len(TITLES)]
    is_bot = number % 5 == 0
    url = f"https://{domain}/wiki/{title.replace(' ', '_')}"
    return {
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": {
            "uri": url, "id": f"00000000-0000-4000-8000-{number:012}", "dt": "2026-11-21T06:00:00.000Z", "domain": domain,
            "stream": "mediawiki.recentchange",
        },
        "id": number, "type": "new" if number % 9 == 0 else "edit", "namespace": 0, "title": title, "title_url": url,
        "comment": COMMENTS[number % len(COMMENTS)], "timestamp": START + number,
        "user": "CatBot" if is_bot else "Łukasz \"X\" <x>", "bot": is_bot, "minor": False, "notify_url": url,
        "server_url": f"https://{domain}", "server_name": domain, "wiki": wiki, "length": {"old": 100, "new": 90 + number},
        "revision": {"old": number, "new": number + 1},
    }


for index in range(1, 4 * len(TITLES) * len(COMMENTS)):
    print(json.dumps(event(index), ensure_ascii=False))
