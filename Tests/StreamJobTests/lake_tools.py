"""Reads all layers of a lake with DuckDB, Polars, `zstdcat | jq` and lake_reader.py, and tells what each counts.

Usage: lake_tools.py LAKE LAKE_MD

Prints one JSON object: by tool and layer `[lines, sum of offsets, a sum of the layer's own]`, which are the broker times
of Bronze and quarantine, the new lengths of Silver, and the characters of Gold's texts; by tool that knows Hive
partitions, what those are; and what became of the documentation's recipes, run as they stand beside the lake.
"""

import collections
import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout

import duckdb
import polars

import lake_reader

# One glob per layer; generation 1 of what has generations.
GLOBS = {
    "bronze": "bronze/**/*.jsonl.zst",
    "silver": "silver/generation=1/**/*.jsonl.zst",
    "gold": "gold/generation=1/**/*.jsonl.zst",
    "quarantine": "quarantine/generation=1/**/*.jsonl.zst",
}
# A payload may have any shape, so it is left as text.
RAW = {"topic": "VARCHAR", "partition": "BIGINT", "offset": "BIGINT", "timestamp_ms": "BIGINT", "value": "VARCHAR"}
RAW_LAYERS = ("bronze", "quarantine")


def with_duckdb(lake):
    found, partitions = {}, {}
    for layer, pattern in GLOBS.items():
        columns = ""
        if layer in RAW_LAYERS:
            columns = ", columns = {" + ", ".join(f"\"{name}\": '{kind}'" for name, kind in RAW.items()) + "}"
        offset = '"offset"' if layer in RAW_LAYERS else 'lineage.parents[1]."offset"'
        own = {"silver": "sum(length_new)", "gold": "sum(length(text))"}.get(layer, "sum(timestamp_ms)")
        table = (
            f"read_json('{lake}/{pattern}', format = 'newline_delimited', compression = 'zstd', "
            f"hive_partitioning = true{columns})")
        row = duckdb.sql(f"SELECT count(*), sum({offset}), {own} FROM {table}").fetchall()[0]
        found[layer] = [int(number or 0) for number in row]
        names = [name for name, *_ in duckdb.sql(f"DESCRIBE SELECT * FROM {table}").fetchall()]
        wanted = ["topic", "partition", "date", "hour"] + ([] if layer == "bronze" else ["generation"])
        partitions[layer] = [name for name in wanted if name in names]
        hours = duckdb.sql(f"SELECT DISTINCT date::VARCHAR, hour::INTEGER FROM {table}").fetchall()
        partitions[layer] += [f"{date}T{hour:02}" for date, hour in sorted(hours)]
    return found, partitions


def with_polars(lake):
    raw = {name: polars.String if kind == "VARCHAR" else polars.Int64 for name, kind in RAW.items()}
    parents = polars.Struct(
        {"parents": polars.List(polars.Struct({"topic": polars.String, "offset": polars.Int64}))})
    found = {}
    for layer, pattern in GLOBS.items():
        if layer in RAW_LAYERS:
            frame = polars.scan_ndjson(f"{lake}/{pattern}", schema=raw)
            offset, own = polars.col("offset"), polars.col("timestamp_ms")
        else:
            schema = {"text": polars.String, "length_new": polars.Int64, "lineage": parents}
            frame = polars.scan_ndjson(f"{lake}/{pattern}", schema=schema)
            offset = polars.col("lineage").struct.field("parents").list.first().struct.field("offset")
            own = polars.col("length_new") if layer == "silver" else polars.col("text").str.len_chars()
        row = frame.select(polars.len().alias("n"), offset.sum().alias("o"), own.sum().alias("s")).collect().row(0)
        found[layer] = [int(number or 0) for number in row]
    return found


def with_jq(lake):
    found = {}
    for layer, pattern in GLOBS.items():
        offset = ".offset" if layer in RAW_LAYERS else ".lineage.parents[0].offset"
        own = {"silver": ".length_new // 0", "gold": ".text|length"}.get(layer, ".timestamp_ms")
        program = f"reduce inputs as $l ([0,0,0]; [.[0]+1, .[1]+($l|{offset}), .[2]+($l|{own})])"
        command = f"shopt -s globstar; zstdcat {pattern} | jq -nc '{program}'"
        output = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=lake, stdout=subprocess.PIPE, check=True).stdout
        found[layer] = json.loads(output)
    return found


def with_reader(path):
    lake = lake_reader.Lake(path)
    found = {}
    for layer in GLOBS:
        generations = [None] if layer == "bronze" else sorted(lake.generations)
        for generation in generations:
            sums = [0, 0, 0]
            for topic, partition in lake.sources():
                for offset, line in lake.lines(layer, topic, partition, generation):
                    value = json.loads(line)
                    own = {
                        "silver": lambda: value["length_new"] or 0, "gold": lambda: len(value["text"]),
                    }.get(layer, lambda: value["timestamp_ms"])()
                    sums = [sums[0] + 1, sums[1] + offset, sums[2] + own]
            name = layer if generation in (None, 1) else f"{layer} {generation}"
            found[name] = sums
    return found


def recipes(lake, page):
    """Runs each block of the section; what it prints, or fails with."""
    section = open(page, encoding="utf-8").read().split("\n## Recipes\n", 1)[1].split("\n## ", 1)[0]
    os.chdir(os.path.dirname(lake))
    found = collections.defaultdict(list)
    for kind, text in re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL):
        text = re.sub(r"\blake/(?=bronze|silver|gold|quarantine)", os.path.basename(lake) + "/", text)
        if kind == "sql":
            found[kind].append(str(len(duckdb.sql(text).fetchall())))
        elif kind == "python":
            output = io.StringIO()
            with redirect_stdout(output):
                exec(text, {})
            found[kind].append(output.getvalue())
        elif kind == "sh":
            output = subprocess.run(
                ["bash", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
            found[kind].append(output.stdout.decode() + output.stderr.decode())
    return found


def main():
    lake, page = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    by_duckdb, partitions = with_duckdb(lake)
    result = {
        "tools": {
            "duckdb": by_duckdb, "polars": with_polars(lake), "jq": with_jq(lake), "reader": with_reader(lake)},
        "partitions": partitions, "recipes": recipes(lake, page),
    }
    print(json.dumps(result))


main()
