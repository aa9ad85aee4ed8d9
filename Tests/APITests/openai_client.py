"""Asks the API by OpenAI's own client, as a program does that only changed its base URL.

Usage: openai_client.py URL KEY

Prints one JSON object: what the client made of models, an answer whole and in chunks, a refusal, filters and errors.
"""

import json
import sys

import openai
from openai import OpenAI

url, key = sys.argv[1], sys.argv[2]
client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20)
question = {"role": "user", "content": "who repainted the golden gate bridge towers?"}
dialogue = [
    {"role": "system", "content": "Answer in verse."},
    {"role": "user", "content": "what is the boiling point of mercury?"},
    {"role": "assistant", "content": "357 degrees."},
    question,
]


def ask(messages=dialogue, model="medallion", **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def shown(message, more):
    return {
        "content": message.content,
        "annotations": [one.model_dump() for one in message.annotations or []],
        "cited": [
            message.content[one.url_citation.start_index : one.url_citation.end_index] for one in message.annotations or []
        ],
        "medallion": more["medallion"],
    }


def error(make):
    try:
        make()
        return None
    except openai.APIConnectionError as failure:
        return {"class": type(failure).__name__, "message": str(failure.__cause__)}
    except openai.APIStatusError as failure:
        return {
            "class": type(failure).__name__, "status": failure.status_code, "code": failure.code, "param": failure.param,
            "type": failure.type, "message": failure.message, "request_id": failure.request_id,
        }


whole = ask(temperature=0.7, max_tokens=4096, top_p=1, seed=3, user="me", n=1, tools=[], tool_choice="auto", stop=None)
result = {
    "models": [model.id for model in client.models.list()],
    "model": client.models.retrieve("extractive").id,
    "whole": shown(whole.choices[0].message, whole.model_extra),
    "finish": whole.choices[0].finish_reason,
    "usage": whole.usage.model_dump(),
    "object": whole.object,
}

chunks = list(ask(stream=True, stream_options={"include_usage": True}))
deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
result["stream"] = {
    "objects": sorted({chunk.object for chunk in chunks}),
    "ids": len({chunk.id for chunk in chunks}),
    "role": deltas[0].role,
    "content": "".join(delta.content or "" for delta in deltas),
    "pieces": len(deltas),
    "annotations": deltas[-1].model_extra.get("annotations"),
    "finish": [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1],
    "usage": chunks[-1].usage and chunks[-1].usage.model_dump(),
    "refused": [chunk.model_extra["medallion"]["refused"] for chunk in chunks if "medallion" in chunk.model_extra],
}
with client.chat.completions.stream(model="extractive", messages=[question]) as stream:
    result["helper"] = stream.get_final_completion().choices[0].message.content

refused = ask([{"role": "user", "content": "what is the boiling point of mercury?"}])
result["refusal"] = shown(refused.choices[0].message, refused.model_extra)
parts = [{"type": "text", "text": "who repainted the"}, {"type": "text", "text": "golden gate bridge towers?"}]
result["parts"] = ask([{"role": "user", "content": parts}]).choices[0].message.content
filtered = ask(extra_body={"medallion": {"filters": {"wiki": ["ruwiki"]}, "top_k": 3}})
result["filtered"] = shown(filtered.choices[0].message, filtered.model_extra)

picture = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
stranger = OpenAI(base_url=f"{url}/v1", api_key="nobody", max_retries=0)
result["errors"] = {
    "key": error(lambda: stranger.models.list()),
    "model": error(lambda: ask(model="gpt-9")),
    "retrieve": error(lambda: client.models.retrieve("gpt-9")),
    "n": error(lambda: ask(n=2)),
    "tools": error(lambda: ask(tools=[tool])),
    "schema": error(lambda: ask(response_format={"type": "json_object"})),
    "stop": error(lambda: ask(stop=["."])),
    "part": error(lambda: ask([{"role": "user", "content": picture}])),
    "nobody": error(lambda: ask([{"role": "system", "content": "hello"}])),
    "filter": error(lambda: ask(extra_body={"medallion": {"filter": {}}})),
    "unknown": error(lambda: ask(extra_body={"filters": {}})),
    "path": error(lambda: client.embeddings.create(model="medallion", input="x")),
    "large": error(lambda: ask([{"role": "user", "content": "x" * 600_000}])),
}
# Members of an object have no order.
print(json.dumps(result, sort_keys=True))
