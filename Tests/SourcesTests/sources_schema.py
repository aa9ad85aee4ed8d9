"""Holds examples against a schema with an independent implementation.

Usage: sources_schema.py SCHEMA EXAMPLES; an example is a line `[whether it is right, value]`.
"""

import json
import sys

import jsonschema

schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
count = 0
for line in open(sys.argv[2]):
    expected, value = json.loads(line)
    errors = [error.message for error in validator.iter_errors(value)]
    if expected != (not errors):
        sys.exit(f"the schema says {errors or 'right'} of {line}")
    count += 1
print(count, "examples agree")
