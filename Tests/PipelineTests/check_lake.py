"""Reads a whole lake with zstd and json alone, written apart from the Swift code, and tells what is wrong with it.

Usage: check_lake.py LAKE RECORDING SAMPLES     RECORDING: the .jsonl whose events went in; SAMPLES: documents to
return, so many in ASCII alone and so many others
Prints one JSON object: counts, faults (sentences), and samples of Gold with the raw bytes that they come from.
"""

import base64
import collections
import glob
import hashlib
import json
import re
import subprocess
import sys

GENERATION = 1
lake, recording, samples = sys.argv[1], sys.argv[2], int(sys.argv[3])
faults = []


def fault(text):
    if len(faults) < 20:
        faults.append(text)


def lines(layer):
    """Yields (topic partition, raw line, parsed line); files by topic partition and first offset."""
    folder = layer if layer == "bronze" else f"{layer}/generation={GENERATION}"
    files = glob.glob(f"{lake}/{folder}/topic=*/partition=*/date=*/hour=*/*.jsonl.zst")
    place = re.compile(r"topic=([^/]+)/partition=(\d+)/.*/(\d{20})(\.open)?\.jsonl\.zst$")
    named = []
    for file in files:
        topic, partition, first, _ = place.search(file).groups()
        named.append((topic, int(partition), int(first), file))
    for topic, partition, first, file in sorted(named):
        data = subprocess.run(["zstd", "-dcq", file], stdout=subprocess.PIPE, check=True).stdout
        if data and not data.endswith(b"\n"):
            fault(f"{file} does not end with a line feed")
        for raw in data.split(b"\n")[:-1]:
            try:
                yield (topic, partition), raw, json.loads(raw)
            except ValueError as error:
                fault(f"{file} holds a line that is not JSON: {error}")


def payload(raw, line):
    """The payload's bytes: `value` is the last member and holds them as they were."""
    if "value_base64" in line:
        return base64.b64decode(line["value_base64"])
    if "value" in line:
        return raw[raw.index(b',"value":') + len(b',"value":') : -1]
    return None


def identity(value):
    try:
        return json.loads(value)["meta"]["id"]
    except (ValueError, TypeError, KeyError):
        return None


bronze, values = {}, collections.Counter()
next_offset, first_offset = {}, {}
for source, raw, line in lines("bronze"):
    offset = line["offset"]
    if (line["topic"], line["partition"]) != source:
        fault(f"a line of {line['topic']}[{line['partition']}] lies among those of {source}")
    first_offset.setdefault(source, offset)
    if offset != next_offset.get(source, offset):
        fault(f"bronze of {source}: {offset} follows {next_offset[source] - 1}")
    next_offset[source] = offset + 1
    value = payload(raw, line)
    bronze[source, offset] = (hashlib.sha256(value or b"").hexdigest(), identity(value) if value else None, value)
    values[value] += 1

sent = [line[:-1] if line.endswith(b"\r") else line for line in open(recording, "rb").read().split(b"\n") if line]
for value in values.keys() - set(sent):
    fault(f"bronze holds a payload that nobody sent: {value[:80]!r}")
lost = sum(1 for value in set(sent) if value not in values)
if lost:
    fault(f"{lost} payloads that were sent are not in Bronze")


def check_parents(layer, source, line, event_id):
    parents = line["lineage"]["parents"]
    if len(parents) != 1:
        fault(f"{layer} {event_id} has {len(parents)} parents")
    for parent in parents:
        found = bronze.get(((parent["topic"], parent["partition"]), parent["offset"]))
        if found is None:
            fault(f"{layer} {event_id}: parent offset {parent['offset']} is not in Bronze")
        elif found[0] != parent["bronze_sha256"] or found[1] != parent["event_id"] or parent["event_id"] != event_id:
            fault(f"{layer} {event_id}: hash or id of its parent {parent['offset']} is wrong")
        if (parent["topic"], parent["partition"]) != source:
            fault(f"{layer} {event_id} lies in another topic partition than its parent")


accounted = collections.Counter()
silver = collections.Counter()
for source, raw, line in lines("silver"):
    silver[line["event_id"]] += 1
    check_parents("silver", source, line, line["event_id"])
    accounted[source, line["lineage"]["parents"][0]["offset"]] += 1
twice = [event for event, count in silver.items() if count > 1]
if twice:
    fault(f"{len(twice)} event ids are twice in Silver, such as {twice[0]}")

documents, with_comment = [], 0
for source, raw, line in lines("gold"):
    check_parents("gold", source, line, line["doc_id"])
    if silver[line["doc_id"]] != 1:
        fault(f"gold {line['doc_id']} has no Silver line")
    if hashlib.sha256(line["text"].encode()).hexdigest() != line["text_hash"]:
        fault(f"gold {line['doc_id']}: text_hash is wrong")
    content = raw[: raw.rindex(b',"content_hash":')] + b"}"
    if hashlib.sha256(content).hexdigest() != line["content_hash"]:
        fault(f"gold {line['doc_id']}: content_hash is wrong")
    documents.append((line, bronze.get((source, line["lineage"]["parents"][0]["offset"]))))
if len({line["doc_id"] for line, _ in documents}) != len(documents):
    fault("a document is twice in Gold")

rules = collections.Counter()
for source, raw, line in lines("quarantine"):
    rules[line["rule"]] += 1
    accounted[source, line["offset"]] += 1
    found = bronze.get((source, line["offset"]))
    if found is None or found[0] != line["bronze_sha256"] or payload(raw, line) != found[2]:
        fault(f"quarantine {source} {line['offset']}: not what Bronze holds")
if any(count > 1 for count in accounted.values()):
    fault("an offset has more than one Silver or quarantine line")

duplicates = canaries = 0
for path in glob.glob(f"{lake}/_commits/topic=*/partition=*.log"):
    for text in open(path, "rb").read().splitlines():
        record = json.loads(text)["record"]
        if record["kind"] == "commit":
            duplicates += record["duplicates"]
            canaries += record["canaries"]
if len(bronze) != len(accounted) + duplicates + canaries:
    fault(f"{len(bronze)} records became {len(accounted)} lines, {duplicates} duplicates and {canaries} canaries")

texts = collections.Counter(line["text"] for line, _ in documents)
titles = collections.Counter(line["title"] for line, _ in documents)
single = [pair for pair in documents if texts[pair[0]["text"]] == 1 and titles[pair[0]["title"]] == 1 and pair[1]]
# Each a sample of both kinds: a model that knows no Kanji gives texts that differ in them the same vector.
single.sort(key=lambda pair: hashlib.sha256(pair[0]["doc_id"].encode()).digest())
ascii_only = [pair for pair in single if pair[0]["text"].isascii()]
others = [pair for pair in single if not pair[0]["text"].isascii()]
print(
    json.dumps(
        {
            "records": len(bronze),
            "accepted": sum(silver.values()),
            "gold": len(documents),
            "duplicates": duplicates,
            "canaries": canaries,
            "rules": rules,
            "topic_partitions": {
                str(partition): [first_offset[topic, partition], next_offset[topic, partition]]
                for topic, partition in next_offset
            },
            "texts": len(texts),
            "faults": faults,
            "samples": [
                {
                    "doc_id": line["doc_id"],
                    "title": line["title"],
                    "text": line["text"],
                    "is_ascii": line["text"].isascii(),
                    "sha256": found[0],
                    "value_base64": base64.b64encode(found[2]).decode(),
                }
                for line, found in ascii_only[:samples] + others[:samples]
            ],
        }
    )
)
