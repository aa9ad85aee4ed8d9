"""Reads lakes by pattern with `zstdcat`, DuckDB and Polars, as anybody would who does not know of commit logs.

Usage: lake_glob.py states LAKE…        the source offsets that each tool finds, by lake, tool and layer
       lake_glob.py beside LAKE OVER    reads Bronze again and again until the file OVER is there; rounds, how often a tool
                                        met a file in the middle of a write, and what it found that cannot be

Prints one JSON object.
"""

import json
import os
import subprocess
import sys

import duckdb
import polars

GLOBS = {"bronze": "bronze/**/*.jsonl.zst", "gold": "gold/generation=1/**/*.jsonl.zst"}


def with_zstdcat(lake, layer):
    output = subprocess.run(
        ["bash", "-c", f"shopt -s globstar; zstdcat {GLOBS[layer]}"], cwd=lake, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    lines = [json.loads(line) for line in output.stdout.split(b"\n")[:-1]]
    if output.returncode and b"unexpected end" not in output.stderr:
        raise ValueError(output.stderr.decode())
    return [line["offset"] if layer == "bronze" else line["lineage"]["parents"][0]["offset"] for line in lines]


def with_duckdb(lake, layer):
    column = '"offset"' if layer == "bronze" else 'lineage.parents[1]."offset"'
    columns = (
        "{\"offset\": 'BIGINT'}" if layer == "bronze" else "{lineage: 'STRUCT(parents STRUCT(\"offset\" BIGINT)[])'}")
    table = (
        f"read_json('{lake}/{GLOBS[layer]}', format = 'newline_delimited', compression = 'zstd', columns = {columns})")
    return [row[0] for row in duckdb.sql(f"SELECT {column} AS n FROM {table} ORDER BY n").fetchall()]


def with_polars(lake, layer):
    parents = polars.Struct({"parents": polars.List(polars.Struct({"offset": polars.Int64}))})
    schema = {"offset": polars.Int64} if layer == "bronze" else {"lineage": parents}
    column = polars.col("offset")
    if layer == "gold":
        column = polars.col("lineage").struct.field("parents").list.first().struct.field("offset")
    frame = polars.scan_ndjson(f"{lake}/{GLOBS[layer]}", schema=schema)
    return sorted(frame.select(column.alias("n")).collect()["n"].to_list())


TOOLS = {"zstdcat": with_zstdcat, "duckdb": with_duckdb, "polars": with_polars}


def states(lakes):
    return {
        lake: {name: {layer: tool(lake, layer) for layer in GLOBS} for name, tool in TOOLS.items()} for lake in lakes}


def beside(lake, over):
    rounds, torn, problems, seen = 0, 0, [], 0
    while not problems and (rounds < 5 or not os.path.exists(over)):
        for name, tool in TOOLS.items():
            for attempt in range(50):
                try:
                    offsets = tool(lake, "bronze")
                    break
                except Exception as error:  # A frame that is being written; right on retry.
                    torn += 1
                    last = str(error)
            else:
                problems.append(f"{name}: {last}")
                continue
            # All files but the newest are exact, and that one is a prefix.
            if offsets != list(range(len(offsets))) or len(offsets) < seen:
                strange = [pair for pair in zip(offsets, range(len(offsets))) if pair[0] != pair[1]][:3]
                problems.append(f"{name}: {len(offsets)} offsets after {seen}, {strange}")
            seen = max(seen, len(offsets))
        rounds += 1
    return {"rounds": rounds, "torn": torn, "seen": seen, "problems": problems}


print(json.dumps(states(sys.argv[2:]) if sys.argv[1] == "states" else beside(*sys.argv[2:])))
