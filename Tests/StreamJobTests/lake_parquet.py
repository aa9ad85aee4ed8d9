"""Runs the recipe of docs/lake.md that makes Parquet of a lake, as it stands there, and reads back what it wrote.

Usage: lake_parquet.py FOLDER LAKE_MD [growing]      (FOLDER has the lake in `lake`; growing takes the growing hour, too)

Prints one JSON object: by layer the columns with their types, the folders of the partitions, and of each row the source
offset, the generation, the time of the event in milliseconds, and two more columns.
"""

import json
import os
import re
import sys

import duckdb

SWITCH = "SET VARIABLE growing_hour = false;"
MORE = {"silver": ("event_id", "title"), "gold": ("doc_id", "content_hash")}

folder, page = sys.argv[1], sys.argv[2]
section = open(page, encoding="utf-8").read().split("\n## Parquet\n", 1)[1].split("\n## ", 1)[0]
(recipe,) = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
if SWITCH not in recipe:
    sys.exit(f"the recipe does not say “{SWITCH}”")
if sys.argv[3:] == ["growing"]:
    recipe = recipe.replace(SWITCH, SWITCH.replace("false", "true"))

os.chdir(folder)
connection = duckdb.connect()
# Twice, since it is to be run again and again.
for _ in range(2):
    connection.execute(recipe)
found = {}
for layer, more in MORE.items():
    table = f"read_parquet('{layer}.parquet/**/*.parquet', hive_partitioning = true)"
    rows = connection.sql(
        f'SELECT "offset", generation, epoch_ms(event_time), {", ".join(more)} FROM {table} ORDER BY "offset"').fetchall()
    described = connection.sql(f"DESCRIBE FROM {table}").fetchall()
    found[layer] = {
        "columns": {name: kind for name, kind, *_ in described}, "folders": sorted(os.listdir(f"{layer}.parquet")),
        "rows": [[str(value) for value in row] for row in rows],
    }
print(json.dumps(found))
