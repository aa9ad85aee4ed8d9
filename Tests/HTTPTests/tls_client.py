"""Talks TLS to the tests' server with Python's ssl, in the ways that are easily got wrong.

Usage: tls_client.py PORT CERTIFICATE

Prints a line per check and "ok" at last.
"""

import socket
import ssl
import sys

port, certificate = int(sys.argv[1]), sys.argv[2]


def connect(context=None):
    if context is None:
        context = ssl.create_default_context(cafile=certificate)
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(raw, server_hostname="localhost")


def read_reply(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        assert byte, head
        head += byte
    length = int([line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")][0].split(b":")[1])
    body = b""
    while len(body) < length:
        piece = stream.recv(length - len(body))
        assert piece, len(body)
        body += piece
    return head, body


for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = context.maximum_version = version
    stream = connect(context)
    # One byte per record, and many requests in one record.
    for byte in b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n":
        stream.send(bytes([byte]))
    assert read_reply(stream)[1] == b"hello"
    stream.sendall(b"".join(b"GET /item/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(500)))
    for number in range(500):
        assert read_reply(stream)[1] == b"%d" % number
    # A body of many records each way, with the reply unread while it is sent.
    body = bytes(range(256)) * 16384
    stream.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert read_reply(stream)[1] == body
    # The server says its end, so that what came is known to be all.
    stream.sendall(b"GET /count/3 HTTP/1.0\r\nHost: a\r\n\r\n")
    rest = b""
    while piece := stream.recv(65536):
        rest += piece
    assert rest.endswith(b"\r\n\r\n0\n1\n2\n"), rest
    print(stream.version())
    stream.close()

old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
old.set_ciphers("ALL:@SECLEVEL=0")
try:
    connect(old)
    raise SystemExit("TLS 1.1 was accepted")
except (ssl.SSLError, ConnectionError):
    print("TLS 1.1 is refused")

# Half a request, then an orderly end: no reply, no hang.
stream = connect()
stream.send(b"GET /hello HTTP/1.1\r\nHost")
raw = stream.unwrap()
assert raw.recv(100) == b""
print("ok")
