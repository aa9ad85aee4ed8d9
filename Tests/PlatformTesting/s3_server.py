#!/usr/bin/env python3
"""An S3 server for tests: moto behind a proxy that checks signatures and makes faults on demand.

Usage: s3_server.py BUCKET ACCESS_KEY SECRET REGION plain|versioned

Prints the proxy's port, then serves until standard input ends. The proxy computes every signature again with botocore,
from the request as it came, and refuses others with 403, as it refuses a body that is not the signed one.

GET /_fault?method=PUT&kind=KIND&count=N&skip=M   the next N requests of the method, after M others, meet a fault:
    busy          503 SlowDown, not forwarded
    cut_request   the connection is reset in the middle of the request's body
    lost_reply    forwarded, then closed without a reply
    cut_reply     forwarded, half of the reply's body sent, then closed
    hang          nothing is sent for a minute
    spoil_request a byte of the body is changed on its way into the store
    spoil_reply   a byte of the reply's body is changed
GET /_log                                         the requests so far, one JSON array of [method, path, status] pairs
"""

import hashlib
import http.client
import json
import logging
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

BUCKET, ACCESS_KEY, SECRET, REGION = sys.argv[1:5]
lock = threading.Lock()
faults = []
log = []


def take_fault(method):
    with lock:
        for fault in faults:
            if fault["method"] == method:
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                    return None
                fault["count"] -= 1
                if fault["count"] == 0:
                    faults.remove(fault)
                return fault["kind"]
    return None


def signature_fault(method, target, headers, body):
    """What is wrong with a request's signature; None where nothing is."""
    words = headers.get("Authorization", "")
    if not words.startswith("AWS4-HMAC-SHA256 "):
        return "no signature"
    fields = dict(part.strip().split("=", 1) for part in words[len("AWS4-HMAC-SHA256 "):].split(","))
    key, _, region, service, _ = fields["Credential"].split("/")
    if (key, region, service) != (ACCESS_KEY, REGION, "s3"):
        return f"credential {fields['Credential']}"
    if headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
        return "the body is not the one that was signed"
    signed = fields["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
        return f"signed headers {signed}"
    for name in headers:
        if name.lower().startswith("x-amz-") and name.lower() not in signed:
            return f"{name} is not signed"
    parts = urlsplit(target)
    # As the service does: decoded, and encoded again its own way.
    path = quote(unquote(parts.path), safe="/~")
    request = AWSRequest(
        method=method, url=f"http://{headers['Host']}{path}" + (f"?{parts.query}" if parts.query else ""),
        headers={name: headers[name] for name in signed})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", REGION)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    if auth.signature(text, request) != fields["Signature"]:
        return "SignatureDoesNotMatch"
    return None


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = None

    def log_message(self, *_):
        pass

    def reply(self, status, body, content_type="application/xml"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def handle_one(self):
        if self.path.startswith("/_"):
            return self.control()
        fault = take_fault(self.command)
        length = int(self.headers.get("Content-Length", 0))
        if fault == "cut_request":
            self.rfile.read(length // 2)
            self.note(0)
            return self.reset()
        body = self.rfile.read(length)
        if fault == "hang":
            time.sleep(60)
            return self.reset()
        if fault == "busy":
            self.note(503)
            return self.reply(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>")
        wrong = signature_fault(self.command, self.path, self.headers, body)
        if wrong:
            self.note(403)
            return self.reply(403, f"<Error><Code>SignatureDoesNotMatch</Code><Message>{wrong}</Message></Error>".encode())
        if fault == "spoil_request" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.forward(body, fault)

    def forward(self, body, fault):
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        connection.request(self.command, self.path, body=body, headers={k: v for k, v in self.headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.note(answer.status)
        if fault == "lost_reply":
            return self.reset()
        if fault == "spoil_reply" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        if answer.status != 204:
            self.send_header("Content-Length", size or "0")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if fault == "cut_reply":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        self.wfile.write(data)
        return None

    def note(self, status):
        with lock:
            log.append([self.command, unquote(self.path), status])

    def control(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with lock:
            if parts.path == "/_fault":
                faults.append({
                    "method": query["method"], "kind": query["kind"], "count": int(query.get("count", 1)),
                    "skip": int(query.get("skip", 0))})
            text = json.dumps(log).encode()
        self.reply(200, text, "application/json")

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_one


def main():
    logging.disable(logging.CRITICAL)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    Proxy.upstream = moto.get_host_and_port()[1]
    connection = http.client.HTTPConnection("127.0.0.1", Proxy.upstream, timeout=30)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    if sys.argv[5] == "versioned":
        connection = http.client.HTTPConnection("127.0.0.1", Proxy.upstream, timeout=30)
        body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        connection.request("PUT", f"/{BUCKET}?versioning", body=body)
        assert connection.getresponse().status == 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
