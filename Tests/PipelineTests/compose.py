"""Tells what a compose file asks of the executable: per service its command and its environment.

Usage: compose.py FILE    Prints {"services": {NAME: {"image", "command", "environment", "values", "profiles", …}}, "secrets": [...]}
"""

import json
import re
import sys

import yaml

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
print(json.dumps({"services": services, "secrets": secrets}))
