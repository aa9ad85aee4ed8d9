"""Asks with OpenAI's client (`pip install openai`): nothing but the base URL and the key is another.

Usage: python3 openai_client.py [QUESTION]

MEDALLION_URL says where the API is (http://127.0.0.1:8080), MEDALLION_API_KEY holds the key where one is needed.
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("MEDALLION_URL", "http://127.0.0.1:8080") + "/v1",
    # The client wants one, even where the API does not: without a key, no header is sent.
    api_key=os.environ.get("MEDALLION_API_KEY", "none"),
    default_headers=None if "MEDALLION_API_KEY" in os.environ else {"Authorization": ""},
)
question = sys.argv[1] if len(sys.argv) > 1 else "What was changed last?"

stream = client.chat.completions.create(
    model="medallion",
    messages=[{"role": "user", "content": question}],
    stream=True,
    # What POST /answer takes besides the question.
    extra_body={"medallion": {"top_k": 10, "filters": {"must_not": [{"attribute": "lang", "equals": "xx"}]}}},
)
sources = []
for chunk in stream:
    delta = chunk.choices[0].delta
    print(delta.content or "", end="", flush=True)
    sources += (delta.model_extra or {}).get("annotations") or []
print()
for source in sources:
    print(f"[{source['n']}] {source['url_citation']['title']}  {source['url_citation']['url']}  {source['trace']}")
