#!/usr/bin/env python3
"""Write requirements.txt from requirements.in: every package with its version and the hashes of its wheels.

Usage: python3 tools/lock_requirements.py [FOLDER]      (default: the script's own)

Asks pip to resolve (nothing is installed) for each Python that Debian 12 and later bring, on x86-64 Linux.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)] + ["manylinux2014_x86_64"]


def wanted():
    """(requirement, names of dependencies to leave out) per line."""
    for line in (FOLDER / "requirements.in").read_text().splitlines():
        requirement, _, comment = line.partition("#")
        if requirement.strip():
            without = comment.partition("without:")[2].split()
            yield requirement.strip(), set(without)


def resolve(python, requirements, no_deps):
    """What pip would install: name -> (version, hash)."""
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--report", "-"]
        command += ["--only-binary", ":all:", "--python-version", python, "--target", target]
        command += [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        command += ["--no-deps"] if no_deps else []
        report = json.loads(subprocess.run(command + requirements, check=True, stdout=subprocess.PIPE).stdout)
    packages = {}
    for item in report["install"]:
        name = item["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        packages[name] = (item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"])
    return packages


def main():
    bare = [requirement for requirement, without in wanted() if without]
    full = [requirement for requirement, without in wanted() if not without]
    found = {}
    for python in PYTHONS:
        for packages in (resolve(python, bare, True), resolve(python, full, False)):
            for name, (version, digest) in packages.items():
                found.setdefault((name, version), set()).add(digest)
    names = [name for name, _ in found]
    for name in set(names):
        if names.count(name) > 1:
            sys.exit(f"lock_requirements.py: {name} resolves to different versions; pin one in requirements.in")
    lines = ["# Written by tools/lock_requirements.py; do not edit. Install with --require-hashes --no-deps."]
    for (name, version), digests in sorted(found.items()):
        lines.append(" \\\n    ".join([f"{name}=={version}"] + [f"--hash=sha256:{digest}" for digest in sorted(digests)]))
    (FOLDER / "requirements.txt").write_text("\n".join(lines) + "\n")


main()
