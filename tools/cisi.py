#!/usr/bin/env python3
"""Turns the test collection CISI into what the platform and `medallion eval` read.

Usage: cisi.py FOLDER OUTPUT     FOLDER holds CISI.ALL, CISI.QRY and CISI.REL

Writes into OUTPUT:
    documents/cisi.jsonl    1,460 abstracts, a line each, for a `files` source
    sources.json            declares that source
    topics.txt, qrels.txt   the judged queries, as TREC writes them
"""
import json
import pathlib
import sys

SOURCES = {
    "sources": [
        {
            "name": "cisi",
            "connector": {"type": "files", "folder": "documents"},
            "logic": {"type": "document", "fields": {"id": "id", "title": "title", "text": ["title", "text"]}},
        }
    ]
}


def entries(path):
    """(number, {mark: text}) per entry: `.I 7` begins one, `.T` and other marks on lines of their own begin its parts."""
    number, parts, mark = None, {}, ""
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith(".I "):
            if number is not None:
                yield number, {key: " ".join(lines) for key, lines in parts.items()}
            number, parts, mark = int(line[3:]), {}, ""
        elif line[:1] == "." and line[1:2].isupper() and not line[2:].strip():
            mark = line[1]
        elif number is not None and line.strip():
            parts.setdefault(mark, []).append(" ".join(line.split()))
    if number is not None:
        yield number, {key: " ".join(lines) for key, lines in parts.items()}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    (output / "documents").mkdir(parents=True, exist_ok=True)
    documents = sorted(entries(source / "CISI.ALL"))
    with open(output / "documents" / "cisi.jsonl", "w") as lines:
        for number, parts in documents:
            record = {"id": f"cisi-{number}", "title": parts.get("T", ""), "text": parts.get("W", "")}
            lines.write(json.dumps(record) + "\n")
    (output / "sources.json").write_text(json.dumps(SOURCES, indent=2) + "\n")
    with open(output / "topics.txt", "w") as topics:
        for number, parts in sorted(entries(source / "CISI.QRY")):
            # Some queries are a title and an abstract; the API takes 2,000 characters.
            text = " ".join(parts[mark] for mark in ("T", "W") if mark in parts).replace("<", " ")
            topics.write(f"<top>\n<num> Number: {number}\n<title> {text[:2000]}\n</top>\n")
    with open(output / "qrels.txt", "w") as qrels:
        for line in (source / "CISI.REL").read_text().splitlines():
            topic, document = line.split()[:2]
            qrels.write(f"{topic} 0 cisi-{document} 1\n")
    print(f"{len(documents)} documents and their judged queries are in {output}")


if __name__ == "__main__":
    main()
