"""Responses with files in them, as servers of tests send them byte by byte."""

import base64
import hashlib
import re
from contextlib import suppress


def noise(seed, size):
    """Return bytes that look random and are the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


OLD, NEW = noise(1, 100_000), noise(2, 100_000)
HALF = 50_000
STRONG = {"etag": '"v1"'}
YESTERDAY, TODAY = "Mon, 02 Jan 2023 10:00:00 GMT", "Tue, 03 Jan 2023 10:00:00 GMT"
HTML = {"content_type": "text/html"}


def respond(status, body, **fields):
    """Spell an answer that closes; a field that is None is left out."""
    head = {"content-length": str(len(body)), "connection": "close"}
    head |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def whole(body, cut=None, **fields):
    """Spell a 200 that is cut after so many bytes."""
    return respond("200 OK", body[:cut], **{"content_length": str(len(body)), **fields})


def rest(body, first, cut=None, **fields):
    """Spell a 206 from a position to the end, cut after so many bytes of it."""
    spoken = {
        "content_length": str(len(body) - first),
        "content_range": f"bytes {first}-{len(body) - 1}/{len(body)}",
    }
    return respond("206 Partial Content", body[first:][:cut], **{**spoken, **fields})


def chunked(*blocks, end=b"0\r\n\r\n", **fields):
    body = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks) + end
    return respond("200 OK", body, content_length=None, transfer_encoding="chunked", **fields)


def field(received, name):
    """Return a field of a request as the server saw it; None when it has none."""
    found = re.search(rb"(?im)^" + name.encode() + rb":\s*(.*?)\r?$", received)
    return found and found[1].decode()


def ranges(server):
    return [field(received, "range") for received in server.requests]


def honest(raw_server, body, *, cuts=(), etag='"v1"', **fields):
    """Start a server that knows ranges; its n-th body ends after the n-th of `cuts` bytes."""
    left = list(cuts)

    def reply(connection):
        received = server.requests[-1]
        cut = left.pop(0) if left else None
        requested, condition = field(received, "range"), field(received, "if-range")
        spoken = {"etag": etag, **fields}
        if not requested or (condition and condition not in {etag, fields.get("last_modified")}):
            connection.sendall(whole(body, cut, **spoken))
        elif (first := int(requested.removeprefix("bytes=").rstrip("-"))) >= len(body):
            connection.sendall(respond("416 Range Not Satisfiable", b"<html>", **HTML))
        else:
            connection.sendall(rest(body, first, cut, **spoken))

    server = raw_server(reply)
    return server


def hanging(sent):
    """Return an answer that sends so much and then nothing, until the client hangs up."""

    def reply(connection):
        connection.sendall(sent)
        with suppress(OSError):
            connection.recv(1)

    return reply


def part_of(dest):
    return dest.with_name(f"{dest.name}.part")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def coded(algorithm, body):
    return base64.b64encode(hashlib.new(algorithm, body).digest()).decode()
