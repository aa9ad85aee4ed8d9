"""Searches, asks, and follows the answer's first citation back to its raw event: Python's standard library is enough.

Usage: python3 search_and_answer.py [QUESTION]

MEDALLION_URL says where the API is (http://127.0.0.1:8080), MEDALLION_API_KEY holds the key where one is needed.
"""

import json
import os
import sys
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

URL = os.environ.get("MEDALLION_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("MEDALLION_API_KEY")


def ask(path, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {KEY}"} if KEY else {})
    data = json.dumps(body).encode() if body is not None else None
    with urlopen(Request(URL + path, data=data, headers=headers), timeout=60) as reply:
        return json.load(reply)


question = sys.argv[1] if len(sys.argv) > 1 else "What was changed last?"

print("Found:")
for hit in ask("/search", {"query": question, "top_k": 3})["hits"]:
    print(f"  {hit['event_time']}  {hit['title']}  {hit['url']}")

answer = ask("/answer", {"query": question})
print("\nAnswer:")
for sentence in answer["sentences"]:
    print(" ", sentence["text"], *(f"[{number}]" for number in sentence["citations"]))
for citation in answer["citations"]:
    print(f"  [{citation['n']}] {citation['title']}  {citation['url']}")

if not answer["refused"]:
    cited = answer["citations"][0]
    trace = ask(f"/trace/{quote(cited['doc_id'], safe='')}?" + urlencode({"collection": cited["collection"]}))
    print("\nThe first citation was made from:")
    for raw in trace["bronze"]:
        print(f"  {raw['topic']}/{raw['partition']}:{raw['offset']}  sha256 {raw['sha256']}  unchanged: {raw['hash_ok']}")
