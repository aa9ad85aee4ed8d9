"""Tells what a compose file asks of the executable: per service its command and its environment.

Usage: compose.py FILE    Prints {"services": {NAME: {"image", "command", "environment", "values", "profiles", …}}, "secrets": [...],
                                  "faults": [...]}

`faults` are those against the schema of the Compose specification, as check-jsonschema ships it.
"""

import importlib.util
import json
import os
import re
import sys

import jsonschema
import yaml


def faults(compose):
    # Only found, since its programs need packages that are not installed.
    [package] = importlib.util.find_spec("check_jsonschema").submodule_search_locations
    with open(os.path.join(package, "builtin_schemas/vendor/compose-spec.json"), encoding="utf-8") as file:
        schema = json.load(file)
    found = jsonschema.validators.validator_for(schema)(schema).iter_errors(compose)
    return [f"{fault.json_path}: {fault.message}" for fault in found]


text = open(sys.argv[1], encoding="utf-8").read()
compose = yaml.safe_load(text)
services = {}
for name, service in compose["services"].items():
    environment = service.get("environment", {})
    if isinstance(environment, list):
        environment = dict(item.split("=", 1) for item in environment)
    services[name] = {
        "image": service.get("image", ""),
        "command": [str(word) for word in service.get("command", [])],
        "environment": sorted(environment),
        "values": {key: str(value) for key, value in environment.items()},
        "profiles": service.get("profiles", []),
        "ports": [str(port) for port in service.get("ports", [])],
        "volumes": [str(volume) for volume in service.get("volumes", [])],
        "health": [str(word) for word in service.get("healthcheck", {}).get("test", [])],
    }
# A password that is written out instead of taken from the environment.
secrets = [
    line.strip()
    for line in text.splitlines()
    if re.search(r"^\s*\w*(PASSWORD|SECRET|_KEY)\w*: *(?!\"\"$)[^$\s]", line) or re.search(r"://\w+:[^$@/]+@", line)
]
print(json.dumps({"services": services, "secrets": secrets, "faults": faults(compose)}))
