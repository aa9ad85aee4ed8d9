"""Reads an event stream with httpx and appends it to a file until it is ended, for `medallion bench clients`.

Usage: httpx_reader.py URL FILE
"""

import sys

import httpx

url, path = sys.argv[1:]
with open(path, "wb", buffering=0) as file:
    with httpx.stream("GET", url, timeout=httpx.Timeout(10, read=None)) as reply:
        reply.raise_for_status()
        for piece in reply.iter_raw():
            file.write(piece)
