#!/usr/bin/env python3
"""A chat server that answers labelled questions as an honest reader would, for measuring what its context costs.

Usage: truthful_model.py [--port N] GOLD.jsonl QUESTIONS.jsonl

It speaks /v1/chat/completions as much as the platform needs. Where the prompt has a passage of a document that answers the question, by
the labels that tools/make_questions.py wrote, it quotes that passage and cites it, the first three of them; else it refuses. So an answer
depends on nothing but which passages it was given. GET /counts tells what it read:

    {"requests", "prompt_tokens", "passages", "passage_tokens", "by": {"answerable": {…}, "unanswerable": {…}}}

A token is a word, a number or a mark here: no model's own, but the same for every prompt. GET /reset counts anew.
"""
import argparse
import collections
import http.server
import json
import re
import threading

TOKEN = re.compile(r"\w+|[^\w\s]")
PASSAGE = re.compile(r"^(#\w+) passage (\d+)\ntitle: (.*)\ndate: .*\ntext: ([\s\S]*?)\n\1 end of passage \2$", re.M)
QUOTED_MAX = 3


def tokens(text):
    return len(TOKEN.findall(text))


def squeezed(text):
    return " ".join(text.split())


class Reader:
    """What it knows, and what it read so far."""

    def __init__(self, gold, questions):
        texts = {}
        with open(gold, encoding="utf-8") as lines:
            for line in lines:
                document = json.loads(line)
                texts[document["doc_id"]] = (squeezed(document.get("title", "")), squeezed(document.get("text", "")))
        self.questions = {}
        with open(questions, encoding="utf-8") as lines:
            for line in lines:
                question = json.loads(line)
                self.questions[question["question"]] = {texts[name] for name in question["documents"] if name in texts}
        self.lock, self.counts = threading.Lock(), collections.Counter()

    def answer(self, prompt):
        """The sentences that it says, each with the passage that it cites; none for a refusal."""
        user = prompt["messages"][-1]["content"]
        question = user.rsplit("\nQuestion: ", 1)[-1].strip()
        right = self.questions.get(question)
        if right is None:
            raise KeyError(question)
        passages = PASSAGE.findall(user)
        read = sum(tokens(message["content"]) for message in prompt["messages"])
        kind = "answerable" if right else "unanswerable"
        with self.lock:
            for name, value in (
                ("requests", 1), ("prompt_tokens", read), ("passages", len(passages)),
                ("passage_tokens", sum(tokens(title) + tokens(text) for _, _, title, text in passages)),
            ):
                self.counts[name] += value
                self.counts[kind, name] += value
        found = [
            (squeezed(text), int(number))
            for _, number, title, text in passages
            if any(squeezed(title) == wanted and squeezed(text) in text_of for wanted, text_of in right)
        ]
        return found[:QUOTED_MAX], read

    def told(self):
        with self.lock:
            counts = dict(self.counts)
        told = {name: value for name, value in counts.items() if isinstance(name, str)}
        for (kind, name), value in ((key, value) for key, value in counts.items() if isinstance(key, tuple)):
            told.setdefault("by", {}).setdefault(kind, {})[name] = value
        return told


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, value):
        body = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/reset":
            with self.server.reader.lock:
                self.server.reader.counts.clear()
        self.reply(200, self.server.reader.told())

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            sentences, read = self.server.reader.answer(prompt)
        except KeyError as error:
            return self.reply(422, {"error": {"message": f"no labelled question: {error}"}})
        said = {"refused": not sentences, "sentences": [{"text": text, "citations": [n]} for text, n in sentences]}
        content = json.dumps(said, ensure_ascii=False)
        self.reply(200, {
            "object": "chat.completion", "model": "truthful",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": read, "completion_tokens": tokens(content)},
        })

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("gold")
    parser.add_argument("questions")
    options = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.reader = Reader(options.gold, options.questions)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
