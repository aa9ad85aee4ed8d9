"""Holds derived lines against their schemas, and their hashes against what they say.

Usage: derived_lines.py SCHEMAS FOLDER [SILVER_SCHEMA]
"""

import hashlib
import json
import sys

import jsonschema

schemas, folder = sys.argv[1:3]
silver = sys.argv[3] if len(sys.argv) > 3 else "document_silver"
counts = []
for layer, name in [("silver", silver), ("gold", "gold"), ("quarantine", "quarantine")]:
    validator = jsonschema.Draft202012Validator(json.load(open(f"{schemas}/{name}.schema.json", encoding="utf-8")))
    lines = open(f"{folder}/{layer}.jsonl", "rb").read().splitlines()
    for line in lines:
        value = json.loads(line)
        for error in validator.iter_errors(value):
            sys.exit(f"{layer}: {error.message} in {line}")
        unknown = dict(value, unknown=1)
        if not list(validator.iter_errors(unknown)):
            sys.exit(f"{layer}: the schema takes members that nobody knows")
        if layer == "gold":
            # A deletion of all below a version has no text.
            assert ("text" in value) == (value.get("operation") != "delete_below"), line
            if "text" in value:
                assert value["text_hash"] == hashlib.sha256(value["text"].encode()).hexdigest(), line
            head = line.split(b',"content_hash"')[0] + b"}"
            assert value["content_hash"] == hashlib.sha256(head).hexdigest(), line
    counts.append(f"{len(lines)} {layer}")
print(", ".join(counts))
