"""What reads an answer off the wire, under a fuzzer that is guided by coverage.

    pip install atheris
    python tests/fuzzing/fuzz_http1.py --seconds 300

Head, framing and codings read the same bytes whole, in pieces, and over a wire that lasts: the
outcome must be the same, and an error must be one that its callers know. The seeds are the corpus
of `test_fuzz.py`, which also checks them without atheris. What is found becomes an entry there.
"""
# ruff: noqa: T201 -- what it prints is what the command is for

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import urllib3

ROOT = Path(__file__).resolve().parents[2]
# Bytes of a body that are looked at: a small bomb is no finding.
MOST = 1 << 20


class Canned:
    """A socket on which everything has been said, and then comes the end."""

    def __init__(self, output: bytes, size: int) -> None:
        self._said, self._size, self._at = output, size, 0

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        piece = self._said[self._at : self._at + min(self._size, len(buffer))]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def recv(self, size: int, flags: int = 0) -> bytes:
        piece = bytearray(min(self._size, size))
        return bytes(piece[: self.recv_into(piece)])

    def makefile(self, mode: str, buffering: int = 0) -> "Canned":
        return self

    def gettimeout(self) -> None:
        return None

    def settimeout(self, value: object) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


def ways(output: bytes) -> Iterator[Callable[[], Any]]:
    """Give what reads the bytes, in each of the ways in which they may come."""
    from httpkit._transport.http1 import Message

    for size in (1 << 16, 1, 7):
        yield partial(Message, Canned(output, size), method="GET")  # type: ignore[arg-type]
        yield partial(on_the_fast_path, output, size)


def on_the_fast_path(output: bytes, size: int) -> Any:
    """Return a message whose head was read as on the fast path, from what is received first."""
    from httpkit._transport.fast_objects import make_message
    from httpkit._transport.head import frame, parse_plain_head, read_head
    from httpkit._transport.socket_reader import UNLIMITED, SocketReader

    reader: Any = SocketReader(Canned(output, size), UNLIMITED, is_persistent=True)
    buffered = reader.makefile("rb")
    reader.start_message(UNLIMITED)
    received = reader.receive()
    parsed = parse_plain_head(received)
    if parsed is None:
        reader.push_back(received)
        parsed = read_head(buffered), b""
    head, rest = parsed
    reader.push_back(rest)
    return make_message(buffered, "GET", head, frame(head, "GET", closes=False))


def outcome(make: Callable[[], Any]) -> object:
    """Return head and body of a response, or None when it is malformed."""
    from httpkit._transport.raw_response import HTTPResponse

    try:
        message = make()
        message.begin()
        response = HTTPResponse(
            body=message,
            headers=urllib3.HTTPHeaderDict(message.fields),
            status=message.status,
            version=message.version,
            reason=message.reason,
            preload_content=False,
            original_response=message,
            request_method="GET",
        )
        body = b""
        for block in response.stream(1 << 16):
            body += block
            if len(body) > MOST:
                return None
    except (HTTPException, OSError, urllib3.exceptions.HTTPError):
        return None
    return message.status, message.reason, message.fields, body


def check(output: bytes) -> None:
    """Read bytes in all ways, and compare."""
    first, *others = map(outcome, ways(output))
    assert all(other == first for other in others)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the reader of answers.")
    parser.add_argument("--seconds", type=int, default=300, help="how long; 300 unless given")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("skipped: atheris is not installed (pip install atheris)")
        return 0
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(
        include=["httpkit._transport.http1", "httpkit._transport.adapter"]
    ):
        import httpkit._transport.adapter  # noqa: F401  # and `wire` below it
    from tests.transport.test_fuzz import CORPUS

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(CORPUS):
            Path(folder, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={given.seconds}", "-max_len=8192", "-timeout=10"]
        atheris.Setup([sys.argv[0], *limits, folder], check)
        atheris.Fuzz()  # it ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
