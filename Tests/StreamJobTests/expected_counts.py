"""Counts what becomes of every event of the given recordings, written apart from the Swift code, for its tests.

Usage: expected_counts.py FILE…   (.sse or .jsonl, either with .zst)   prints one JSON object by file name.
"""

import collections
import datetime
import json
import subprocess
import sys

REQUIRED_TEXT = ["meta.dt", "meta.domain", "type", "title", "user", "wiki"]
OPTIONAL_TEXT = ["meta.uri", "comment"]
OPTIONAL_INTEGER = ["namespace", "length.old", "length.new", "revision.old", "revision.new"]
EARLIEST = datetime.datetime(2001, 1, 15, tzinfo=datetime.timezone.utc)
BROKER_TIME = datetime.datetime(2027, 1, 1, tzinfo=datetime.timezone.utc)
# Bytes of UTF-8, in the order in which the rules look.
BYTES_MAX = [
    ("meta.id", 255), ("wiki", 255), ("meta.domain", 255), ("type", 255), ("title", 1024), ("user", 1024),
    ("meta.uri", 4096), ("comment", 65536),
]
ABSENT = object()


def payloads(path):
    data = open(path, "rb").read()
    if path.endswith(".zst"):
        data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
        path = path[:-4]
    if path.endswith(".jsonl"):
        return [line for line in data.split(b"\n") if line]
    events, current = [], []
    for line in data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]:
        if line == b"":
            if current:
                events.append(b"\n".join(current))
            current = []
        elif line.startswith(b"data:"):
            value = line[5:]
            current.append(value[1:] if value.startswith(b" ") else value)
    return events  # what follows the last blank line is an event that was cut off, and is discarded


def get(event, path):
    for name in path.split("."):
        if not isinstance(event, dict) or name not in event:
            return ABSENT
        event = event[name]
    return event


def broken_rule(raw, seen):
    """The outcome of one payload: a rule, 'duplicate', 'canary', or None for an accepted one."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "invalid_utf8", None
    try:
        event = json.loads(text)
    except ValueError:
        stripped = text.strip()
        return ("truncated_json" if stripped[:1] == "{" and stripped[-1:] != "}" else "invalid_json"), None
    if not isinstance(event, dict):
        return "not_an_object", None
    identity = get(event, "meta.id")
    duplicate = False
    if isinstance(identity, str) and identity:
        duplicate = identity in seen
        seen.add(identity)
    if get(event, "meta.domain") == "canary":
        return "canary", event
    if duplicate:
        return "duplicate", event
    if not isinstance(event.get("meta"), dict):
        return "missing_meta", event
    if identity is ABSENT or identity == "":
        return "missing_field", event
    if not isinstance(identity, str):
        return "wrong_type", event
    schema = event.get("$schema", ABSENT)
    if schema is ABSENT:
        return "missing_field", event
    if not isinstance(schema, str):
        return "wrong_type", event
    if not schema.startswith("/mediawiki/recentchange/1."):
        return "unknown_schema", event
    for path in REQUIRED_TEXT:
        value = get(event, path)
        if value is ABSENT:
            return "missing_field", event
        if not isinstance(value, str):
            return "wrong_type", event
        if path == "meta.dt":
            try:
                time = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                return "invalid_time", event
            if not EARLIEST <= time <= BROKER_TIME + datetime.timedelta(days=1):
                return "absurd_time", event
    if "bot" not in event:
        return "missing_field", event
    if not isinstance(event["bot"], bool) or not isinstance(event.get("minor", False), bool):
        return "wrong_type", event
    for path in OPTIONAL_TEXT:
        if get(event, path) not in (ABSENT, None) and not isinstance(get(event, path), str):
            return "wrong_type", event
    for path in ("length", "revision"):
        if event.get(path) is not None and not isinstance(event[path], dict):
            return "wrong_type", event
    for path in OPTIONAL_INTEGER:
        value = get(event, path)
        if value not in (ABSENT, None) and (isinstance(value, bool) or not isinstance(value, int)):
            return "wrong_type", event
    for path, bytes_max in BYTES_MAX:
        value = get(event, path)
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > bytes_max:
            return "text_too_long", event
        if path == "meta.id" and "\0" in value:
            return "null_character", event
    return None, event


def count(path):
    counts = {"records": 0, "accepted": 0, "gold": 0, "duplicates": 0, "canaries": 0}
    rules = collections.Counter()
    seen = set()
    for raw in payloads(path):
        counts["records"] += 1
        outcome, event = broken_rule(raw, seen)
        if outcome == "duplicate":
            counts["duplicates"] += 1
        elif outcome == "canary":
            counts["canaries"] += 1
        elif outcome is not None:
            rules[outcome] += 1
        else:
            counts["accepted"] += 1
            counts["gold"] += event["type"] in ("edit", "new")
    return counts | {"rules": dict(rules)}


print(json.dumps({path.rsplit("/", 1)[-1]: count(path) for path in sys.argv[1:]}))
