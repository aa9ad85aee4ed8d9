"""Reads /stream and a streamed /answer with httpx, as a user of Python would.

Usage: stream_clients.py URL KEY COUNT LAST_ID

Prints one JSON object: ids and doc_ids of the first COUNT events, those behind LAST_ID, and the answer's event names and text.
"""

import json
import sys

import httpx

url, key, count, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)


def events(reply):
    fields = {}
    for line in reply.iter_lines():
        if not line and fields:
            yield fields
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


def read(headers):
    found = []
    with client.stream("GET", "/stream", headers=headers) as reply:
        assert reply.status_code == 200 and reply.headers["content-type"] == "text/event-stream", reply.status_code
        for event in events(reply):
            found.append([event["id"], json.loads(event["data"])["doc_id"]])
            if len(found) == count:
                return found


answer = {"names": [], "text": ""}
question = {"query": "who repainted the golden gate bridge towers?"}
with client.stream("POST", "/answer", headers={"Accept": "text/event-stream"}, json=question) as reply:
    for event in events(reply):
        data = json.loads(event["data"])
        answer["names"].append(event["event"])
        answer["text"] += data.get("text", "")
print(json.dumps({"resumed": read({"Last-Event-ID": last}), "answer": answer}))
