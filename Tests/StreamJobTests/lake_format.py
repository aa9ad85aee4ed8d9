"""Reads a lake as docs/lake.md and schemas/ describe it, with no code of the product, and tells what it finds.

Usage: lake_format.py SCHEMAS examples            the examples beside the schemas
       lake_format.py SCHEMAS lake LAKE LAKE_MD [VERSION]
                                                  a lake (of an earlier version), and the DuckDB recipe of the documentation
       lake_format.py SCHEMAS versions            a hash of what each schema demands, by its id

Prints one JSON object: lines by layer, what DuckDB counts, members of the schemas that never occurred, and problems.
"""

import base64
import collections
import glob
import hashlib
import json
import os
import re
import sys

import duckdb
import jsonschema
import zstandard

import lake_reader

# A payload in quarantine under one of these does not fit the schema of events; under the others it may.
SHAPE_RULES = {"missing_meta", "missing_field", "wrong_type", "unknown_schema", "invalid_time"}
LAYERS = ["bronze", "silver", "gold", "quarantine"]
problems = []
counts = collections.Counter()
unseen = {}
version = sys.argv[5] if len(sys.argv) > 5 else "present"


def complain(where, message):
    if len(problems) < 50:
        problems.append(f"{where}: {message}")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def table():
    for index in range(256):
        for _ in range(8):
            index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
        yield index


TABLE = list(table())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Schema:
    def __init__(self, folder, name):
        path = f"{folder}/past/{version}/{name}.schema.json"
        with open(path if os.path.exists(path) else f"{folder}/{name}.schema.json", encoding="utf-8") as file:
            document = json.load(file)
        jsonschema.Draft202012Validator.check_schema(document)
        self.name, self.document = name, document
        self.validator = jsonschema.Draft202012Validator(document)
        # What only former logic writes, the tenant, which is named where it is another than the standard one, and what an erasure leaves.
        self.members = {
            name
            for name, member in document["properties"].items()
            if not member.get("deprecated") and (self.name, name) not in {("gold", "tenant"), ("bronze", "erased")}
        }
        if name != "event":
            unseen[name] = set(self.members)

    def check(self, where, line):
        value = json.loads(line)
        for error in self.validator.iter_errors(value):
            complain(where, f"{error.json_path}: {error.message[:300]}")
        unseen[self.name] -= value.keys()
        counts[self.name] += 1
        return value

    def check_strictness(self, where, line):
        """A line that lacks a required member, or has one more, must not fit."""
        value = json.loads(line)
        for name in self.document["required"] + self.document.get("else", {}).get("required", []):
            if self.validator.is_valid({key: member for key, member in value.items() if key != name}):
                complain(where, f"fits without {name}")
        if self.validator.is_valid({**value, "surplus": 1}):
            complain(where, "fits with a surplus member")


def raw_value(line, value):
    """The payload's bytes: `value` is the last member of its line."""
    if "value" in value:
        return line[line.index(b',"value":') + len(b',"value":') : -1]
    return base64.b64decode(value["value_base64"]) if "value_base64" in value else None


def check_line(layer, where, line, value, bronze, events):
    if layer == "bronze":
        bronze[value["topic"], value["partition"], value["offset"]] = raw_value(line, value)
    elif layer == "quarantine":
        raw = raw_value(line, value)
        if (raw is not None and sha256(raw)) != (value["bronze_sha256"] or False):
            complain(where, "bronze_sha256 is not that of the raw value")
        if value["rule"] in SHAPE_RULES and events.is_valid(json.loads(raw)):
            complain(where, f"{value['rule']}, but the value fits the schema of events")
    else:
        for parent in value["lineage"]["parents"]:
            place = (parent["topic"], parent["partition"], parent["offset"])
            if place not in bronze or (bronze[place] is not None and sha256(bronze[place]) or "") != parent["bronze_sha256"]:
                complain(where, f"no Bronze record with the hash of {parent}")
    if layer == "silver":
        parent = value["lineage"]["parents"][0]
        event = json.loads(bronze[parent["topic"], parent["partition"], parent["offset"]])
        for error in events.iter_errors(event):
            complain(where, f"its event does not fit: {error.json_path}: {error.message[:300]}")
    if layer == "gold":
        if sha256(value["text"].encode()) != value["text_hash"]:
            complain(where, "text_hash is not that of text")
        if sha256(line[: line.rindex(b',"content_hash"')] + b"}") != value["content_hash"]:
            complain(where, "content_hash is not that of the line")


def check_log(schema, path):
    records = []
    for number, line in enumerate(open(path, "rb").read().split(b"\n")[:-1], 1):
        where = f"{path}:{number}"
        value = schema.check(where, line)
        record = line[line.index(b'"record":') + len(b'"record":') : -1]
        if f"{crc32c(record):08x}" != value["crc32c"]:
            complain(where, "crc32c does not match")
        records.append(value["record"])
    return records


def check_seal(lake, path, record):
    source = re.search(r"(topic=[^/]+)/(partition=\d+)\.log$", path)
    for file in record["files"]:
        generation = "" if file["generation"] is None else f"generation={file['generation']}/"
        found = glob.glob(
            f"{lake}/{file['layer']}/{generation}{source[1]}/{source[2]}/*/*/{file['first_offset']:020}.jsonl.zst")
        if len(found) != 1:
            complain(path, f"sealed file {file['layer']} {file['first_offset']} is there {len(found)} times")
            continue
        data = open(found[0], "rb").read()
        text = decompress(data)
        facts = (len(data), text.count(b"\n"), sha256(text))
        if facts != (file["bytes"], file["lines"], file["content_sha256"]):
            complain(found[0], f"is {facts}, the seal says {file}")
        starts = [start for _, start in file["frames"]] + [len(data)]
        for (offset, start), end in zip(file["frames"], starts[1:]):
            first = json.loads(decompress(data[start:end]).split(b"\n", 1)[0])
            parents = first.get("lineage", {}).get("parents", [first])
            if parents[0]["offset"] != offset:
                complain(found[0], f"the frame at byte {start} does not begin with offset {offset}")


def decompress(data):
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def examples(folder):
    trusted = set()
    for path in sorted(glob.glob(f"{folder}/examples/*.jsonl")):
        name = os.path.basename(path)[: -len(".jsonl")]
        if name == "events":
            continue
        schema = Schema(folder, name)
        if name in LAYERS:
            for line in open(path, "rb").read().split(b"\n")[:-1]:
                value = schema.check(path, line)
                if name == "silver":
                    trusted.add(value["lineage"]["parents"][0]["offset"])
        else:
            check_log(schema, path)
        schema.check_strictness(path, open(path, "rb").readline())
    events = Schema(folder, "event").validator
    for offset, line in enumerate(open(f"{folder}/examples/events.jsonl", "rb")):
        if offset in trusted and not events.is_valid(json.loads(line)):
            complain("events.jsonl", f"line {offset} became Silver and does not fit the schema of events")
    return {}


def versions(folder):
    """Everything but the words for people, so that those can be mended."""

    def demands(value, is_names=False):
        if isinstance(value, dict):
            words = set() if is_names else {"title", "description"}
            return {
                key: demands(member, key in ("properties", "$defs") and not is_names)
                for key, member in value.items() if key not in words}
        return [demands(member) for member in value] if isinstance(value, list) else value

    found = {}
    for path in sorted(glob.glob(f"{folder}/*.schema.json") + glob.glob(f"{folder}/past/*/*.schema.json")):
        document = json.load(open(path, encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(document)
        found[document["$id"]] = sha256(json.dumps(demands(document), sort_keys=True).encode())
    return found


def lake(folder, root, page):
    bronze = {}
    events = Schema(folder, "event").validator
    for layer in LAYERS:
        schema = Schema(folder, layer)
        for path in sorted(glob.glob(f"{root}/{layer}/**/*.jsonl.zst", recursive=True)):
            for number, line in enumerate(decompress(open(path, "rb").read()).split(b"\n")[:-1], 1):
                where = f"{path}:{number}"
                check_line(layer, where, line, schema.check(where, line), bronze, events)
    schema = Schema(folder, "commit")
    lines = collections.Counter()
    for path in sorted(glob.glob(f"{root}/_commits/**/*.log", recursive=True)):
        records = check_log(schema, path)
        for record in records:
            if record["kind"] == "rewrite":
                seal = next(
                    entry for entry in records
                    if entry["kind"] == "seal" and entry["first_offset"] == record["first_offset"])
                before = sum(file["lines"] for file in seal["files"])
                lake_reader.supersede(seal["files"], record)
                lines[record["file"]["layer"]] += sum(file["lines"] for file in seal["files"]) - before
        for record in records:
            if record["kind"] == "seal":
                check_seal(root, path, record)
                if "/_commits/generation=" in path:  # What a replay wrote has no commits.
                    for file in record["files"]:
                        lines[file["layer"]] += file["lines"]
            elif record["kind"] == "commit":
                lines["bronze"] += record["bronze"][2]
                for part in record["generations"]:
                    for layer in LAYERS[1:]:
                        lines[layer] += part[layer][2]
    check_log(Schema(folder, "generation"), f"{root}/_generations.log")
    for path in sorted(glob.glob(f"{root}/_quarantine/**/*.log", recursive=True)):
        check_log(Schema(folder, "quarantine_log"), path)
    if os.path.exists(f"{root}/_suppressions.log"):
        check_log(Schema(folder, "suppression"), f"{root}/_suppressions.log")
    if os.path.exists(f"{root}/_erasures.log"):
        check_log(Schema(folder, "erasure"), f"{root}/_erasures.log")
    for layer in LAYERS:
        if lines[layer] != counts[layer]:
            complain(root, f"the commit logs count {lines[layer]} {layer} lines, the files hold {counts[layer]}")
    return {"duckdb": with_duckdb(root), "recipe": recipe(root, page)}


def with_duckdb(root):
    found = {}
    for layer in LAYERS:
        # What is embedded in a line may have any shape, so it is left as text.
        names = {"bronze": "value", "quarantine": "value"}.get(layer)
        columns = f", columns = {{topic: 'VARCHAR', \"offset\": 'BIGINT', {names}: 'VARCHAR'}}" if names else ""
        count = "count(*)" if names else "count(lineage.parents[1].bronze_sha256)"
        found[layer] = duckdb.sql(
            f"SELECT {count} FROM read_json('{root}/{layer}/**/*.jsonl.zst', format = 'newline_delimited', "
            f"compression = 'zstd', hive_partitioning = true{columns})"
        ).fetchall()[0][0]
    return found


def recipe(root, page):
    """Runs the documentation's own query where it says to run it: beside the lake."""
    query = re.search(r"```sql\n(.*?)```", open(page, encoding="utf-8").read(), re.DOTALL)[1]
    os.chdir(os.path.dirname(root))
    return sum(row[-1] for row in duckdb.sql(query.replace("'lake/", f"'{os.path.basename(root)}/")).fetchall())


def main():
    folder, command = sys.argv[1:3]
    if command == "versions":
        print(json.dumps(versions(folder)))
        return
    result = examples(folder) if command == "examples" else lake(folder, *sys.argv[3:5])
    result["lines"] = {layer: counts[layer] for layer in LAYERS}
    result["unseen"] = sorted(f"{schema}.{name}" for schema, names in unseen.items() for name in names)
    result["problems"] = problems
    print(json.dumps(result))


main()
