"""A reader of the lake in another language, written from docs/lake.md alone: commit logs, generations, frames.

    for offset, line in Lake("lake").lines("gold", "wikimedia.recentchange", 0, generation=2): …

A line is bytes without its line feed. Needs the `zstandard` wheel.
"""

import base64
import datetime
import glob
import json
import os
import re

import zstandard

ALL = (0, 1 << 63)


def _table():
    for index in range(256):
        for _ in range(8):
            index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
        yield index


TABLE = list(_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


KINDS = {"commit", "handover", "seal", "format", "rewrite"}
FORMAT = 3


def entries(path):
    """The entries of a commit log. A kind that this reader does not know is passed over where it says so, else refused."""
    for entry in records(path):
        if entry["kind"] not in KINDS:
            if entry.get("optional") is not True:
                raise ValueError(f"{path}: an entry is of the kind {entry['kind']}, which a newer version wrote")
            continue
        if entry["kind"] == "format" and entry["format"] > FORMAT:
            raise ValueError(f"{path}: the lake has format {entry['format']} from there on")
        yield entry


def records(path):
    """The records of a log; what stands behind the last line feed was never committed."""
    if not os.path.exists(path):
        return []
    found = []
    for line in open(path, "rb").read().split(b"\n")[:-1]:
        record = line[len(b'{"crc32c":"89abcdef","record":') : -1]
        if line[11:19] != b"%08x" % crc32c(record):
            raise ValueError(f"{path}: a line does not match its checksum")
        found.append(json.loads(record))
    return found


def frame(path, start, end):
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read(end - start)
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def supersede(files, entry):
    """Puts a rewritten file in the place of the one that it supersedes."""
    new = entry["file"]
    for index, old in enumerate(files):
        if [old[key] for key in ("layer", "generation", "first_offset")] == [
            new[key] for key in ("layer", "generation", "first_offset")
        ] and old["content_sha256"] == entry["old_content_sha256"]:
            files[index] = new
            return
    raise ValueError(f"a rewrite supersedes no file: {entry}")


def offset_of(layer, line):
    value = json.loads(line)
    return value["offset"] if layer in ("bronze", "quarantine") else value["lineage"]["parents"][0]["offset"]


def raw_value(line):
    """The payload of a Bronze line, byte for byte: the last member."""
    mark = b',"value":'
    value = json.loads(line)
    if "value" in value:
        return line[line.index(mark) + len(mark) : -1]
    if "value_base64" in value:
        return base64.b64decode(value["value_base64"])
    return None


class Lake:
    def __init__(self, root):
        self.root = root
        self.generations = {}
        for record in records(f"{root}/_generations.log"):
            if "generation" not in record:
                continue  # The size of a topic.
            if record["state"] == "active":
                for other in self.generations.values():
                    if other["state"] == "active":
                        other["state"] = "previous"
            self.generations[record["generation"]] = record

    def sources(self):
        for path in sorted(glob.glob(f"{self.root}/_commits/topic=*/partition=*.log")):
            topic, partition = re.search(r"topic=([^/]+)/partition=(\d+)\.log$", path).groups()
            yield topic, int(partition)

    def log(self, topic, partition, replay=None):
        folder = f"_commits/generation={replay}" if replay else "_commits"
        return f"{self.root}/{folder}/topic={topic}/partition={partition}.log"

    def lines(self, layer, topic, partition, generation=None):
        """Offsets and lines of a layer, in order."""
        parts = [(ALL, None, self.log(topic, partition))]
        if layer != "bronze":
            parts = self.segments(generation, ALL, topic, partition)
        for (start, end), number, log in parts:
            for offset, line in self.lines_of_log(layer, topic, partition, number, log):
                if start <= offset < end:
                    yield offset, line

    def segments(self, generation, within, topic, partition):
        """Which log has which offsets of a generation: its replay's, the live one, or its parent's."""
        record = self.generations[generation]
        live = self.log(topic, partition)
        start, end = within

        def clip(first, behind):
            return (max(start, first), min(end, behind))

        if record["parent"] is None:
            return [(within, generation, live)]
        handover = next((e[2] for e in record["handovers"] if e[:2] == [topic, partition]), 0)
        replayed = next((e[2:] for e in record["replayed"] if e[:2] == [topic, partition]), [0, 0])
        first, behind = replayed[0], min(replayed[1], handover)
        found = self.segments(record["parent"], clip(0, min(first, handover)), topic, partition)
        found.append((clip(first, behind), generation, self.log(topic, partition, generation)))
        found += self.segments(record["parent"], clip(max(first, behind), handover), topic, partition)
        found.append((clip(handover, 1 << 63), generation, live))
        return [part for part in found if part[0][0] < part[0][1]]

    def lines_of_log(self, layer, topic, partition, generation, log):
        found = list(entries(log))
        seals = {entry["first_offset"]: entry for entry in found if entry["kind"] == "seal"}
        for entry in found:
            if entry["kind"] == "rewrite":
                supersede(seals[entry["first_offset"]]["files"], entry)
        for entry in found:
            if entry["kind"] == "commit" and entry["first_offset"] not in seals:
                yield from self.open_lines(layer, topic, partition, generation, entry)
            elif entry["kind"] == "seal":
                yield from self.sealed_lines(layer, topic, partition, generation, entry)

    def path(self, layer, topic, partition, generation, hour, first_offset, suffix):
        time = datetime.datetime.fromtimestamp(hour * 3600, datetime.timezone.utc)
        number = "" if generation is None else f"generation={generation}/"
        return (
            f"{self.root}/{layer}/{number}topic={topic}/partition={partition}/"
            f"date={time:%Y-%m-%d}/hour={time:%H}/{first_offset:020}{suffix}")

    def open_lines(self, layer, topic, partition, generation, entry):
        written, first_offset = entry["bronze"], entry["first_offset"]
        if generation is not None:
            part = next((p for p in entry["generations"] if p["generation"] == generation), None)
            if part is None:
                return
            written, first_offset = part[layer], part["first_offset"]
        start, end, count = written[:3]  # And from version 2 on a checksum of the bytes.
        if start == end:
            return
        path = self.path(layer, topic, partition, generation, entry["hour"], first_offset, ".jsonl.zst")
        former = path.replace(".jsonl.zst", ".open.jsonl.zst")  # Formats 1 and 2.
        path = former if os.path.exists(former) else path
        lines = frame(path, start, end).split(b"\n")[:-1]
        if len(lines) != count:
            raise ValueError(f"{path}: {len(lines)} lines at byte {start}, the commit counts {count}")
        for line in lines:
            yield offset_of(layer, line), line

    def sealed_lines(self, layer, topic, partition, generation, entry):
        for file in entry["files"]:
            if (file["layer"], file["generation"]) != (layer, generation):
                continue
            path = self.path(layer, topic, partition, generation, entry["hour"], file["first_offset"], ".jsonl.zst")
            sealing = path.replace(".jsonl.zst", ".sealing")  # Until it is renamed over the growing file.
            path = sealing if os.path.exists(sealing) else path
            # What a rewrite put in the log, until it is renamed over the file that it supersedes.
            erasing = path.replace(".jsonl.zst", f".{file['content_sha256'][:16]}.erasing")
            path = erasing if os.path.exists(erasing) else path
            ends = [start for _, start in file["frames"][1:]] + [file["bytes"]]
            for (first, start), end in zip(file["frames"], ends):
                lines = frame(path, start, end).split(b"\n")[:-1]
                if lines and offset_of(layer, lines[0]) != first:  # A file may have lost all of them.
                    raise ValueError(f"{path}: the frame at byte {start} does not begin with offset {first}")
                for line in lines:
                    yield offset_of(layer, line), line
