"""Reads a .safetensors file without the package of that name."""

import json
import mmap
import struct

import numpy as np


def read_safetensors(path):
    """Name -> array, mapped from the file: 8 bytes of header length, a JSON header, then the raw values."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (header_length,) = struct.unpack_from("<Q", data, 0)
    header = json.loads(data[8 : 8 + header_length])
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue  # position_ids (I64) is 0…511, which the graph makes itself
        start, end = entry["data_offsets"]
        count = (end - start) // 4
        arrays[name] = np.frombuffer(data, np.float32, count, 8 + header_length + start).reshape(entry["shape"])
    return arrays
