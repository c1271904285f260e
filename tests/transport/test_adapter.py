"""Responses on raw sockets: strict framing, deadlines on every wait, clean connections."""

import base64
import gzip
import io
import itertools
import pickle
import re
import socket
import ssl
import struct
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException

import brotlicffi
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import httpkit
from httpkit._transport import adapter as adapter_module
from httpkit._transport import pools as pools_module
from httpkit._transport import raw_response
from httpkit._transport.fast_objects import make_message
from httpkit._transport.head import Framing, Head, MalformedError
from httpkit._transport.http1 import Message
from httpkit._transport.socket_reader import UNLIMITED, SocketReader
from tests.support.platforms import ENDLESS, LATE, SHORT
from tests.support.sockets import Acceptor, drip, hang_up, relay

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"


def fields(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


def connections(server) -> int:
    return len(server._open)


def read_whole(api: httpkit.Session) -> bytes:
    return api.get("x").content


def read_streamed(api: httpkit.Session) -> bytes:
    with api.get("x", stream=True) as response:
        return b"".join(response.iter_content(3))


def read_blocks(api: httpkit.Session) -> bytes:
    with api.get("x", stream=True) as response:
        return b"".join(response.blocks())


def read_raw(api: httpkit.Session) -> bytes:
    with api.get("x", stream=True) as response:
        try:
            return response.raw.read(decode_content=True)
        except urllib3.exceptions.ProtocolError as error:
            raise requests.exceptions.ChunkedEncodingError(error) from error
        except urllib3.exceptions.DecodeError as error:
            raise requests.exceptions.ContentDecodingError(error) from error


READERS = [read_whole, read_streamed, read_blocks, read_raw]
however_read = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)


def chain(error: BaseException) -> Iterator[BaseException]:
    pending = [error]
    while pending:
        current = pending.pop()
        if isinstance(current, BaseException):
            yield current
            pending += [*current.args, getattr(current, "reason", None)]


# Heads that are none

TWO = b"Content-Length: 2"
MALFORMED = {
    "no space after the version": b"HTTP/1.1200 OK\r\n\r\n",
    "two spaces after the version": b"HTTP/1.1  200 OK\r\n\r\n",
    "a space before the version": b" HTTP/1.1 200 OK\r\n\r\n",
    "a version in lower case": b"http/1.1 200 OK\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "version 2": b"HTTP/2 200 OK\r\n\r\n",
    "version 1.10": b"HTTP/1.10 200 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status with a sign": b"HTTP/1.1 +20 OK\r\n\r\n",
    "a reason without a space": b"HTTP/1.1 200OK\r\n\r\n",
    "a NUL in the reason": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an endless status line": b"HTTP/1.1 200 " + b"O" * 66_000,
    "a NUL in a fold": fields(b"X: a", b" b\0", TWO) + b"hi",
    "a bare CR in a fold": fields(b"X: a", b"\tb\rc", TWO) + b"hi",
    "a length folded in two": fields(b"Content-Length: 1", b" 1") + b"hello world",
    "too many folds": fields(b"X: a", *[b" b"] * 300, TWO) + b"hi",
    "a long field in folds": fields(b"X: a", *[b" " + b"b" * 60_000] * 6, TWO) + b"hi",
    "a space before the first field": fields(b" X: a", TWO) + b"hi",
    "a space before the colon": fields(b"Content-Length : 2") + b"hi",
    "a tab before the colon": fields(b"Content-Length\t: 2") + b"hi",
    "a field without a colon": fields(b"nocolon", TWO) + b"hi",
    "a field without a name": fields(b": a", TWO) + b"hi",
    "a name that is no token": fields(b"X(Y): a", TWO) + b"hi",
    "a name in another encoding": fields(b"X-\xff: a", TWO) + b"hi",
    "a NUL in a value": fields(b"X: a\0b", TWO) + b"hi",
    "a NUL in a name": fields(b"X\0: a", TWO) + b"hi",
    "a bare CR in a value": fields(b"X: a\rY: b", TWO) + b"hi",
    "a bare CR at the end": fields(b"X: a\r", TWO) + b"hi",
    "an endless field": fields(b"X: " + b"a" * 66_000),
    "257 fields": fields(*[b"X: a"] * 256, TWO) + b"hi",
    "257 long fields": fields(*[b"X: " + b"a" * 300] * 257),
    "300 KiB of fields": fields(*[b"X: " + b"a" * 60_000] * 6, TWO) + b"hi",
    "a length beside chunks": fields(b"Transfer-Encoding: chunked", TWO) + b"2\r\nhi\r\n0\r\n\r\n",
    "two lengths in two fields": fields(TWO, b"Content-Length: 3") + b"abc",
    "two lengths in one field": fields(b"Content-Length: 2, 3") + b"abc",
    "a negative length": fields(b"Content-Length: -2") + b"hi",
    "a length with a plus": fields(b"Content-Length: +2") + b"hi",
    "a length with a space": fields(b"Content-Length: 0 2") + b"hi",
    "a length with an underscore": fields(b"Content-Length: 0_2") + b"hi",
    "a length in hexadecimal": fields(b"Content-Length: 0x2") + b"hi",
    "a length with a point": fields(b"Content-Length: 2.0") + b"hi",
    "a length in other digits": fields(b"Content-Length: \xb2") + b"hi",
    "an empty length": fields(b"Content-Length:") + b"hi",
    "an enormous length": fields(b"Content-Length: " + b"9" * 19) + b"hi",
    "a coding that was not asked for": fields(b"Transfer-Encoding: gzip") + b"hi",
    "chunks of a coding": fields(b"Transfer-Encoding: gzip, chunked") + b"2\r\nhi\r\n0\r\n\r\n",
    "a coding over chunks": fields(b"Transfer-Encoding: chunked, gzip") + b"2\r\nhi\r\n0\r\n\r\n",
    "chunks of chunks": fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked with a parameter": fields(b"Transfer-Encoding: chunked;a=b"),
    "something like chunked": fields(b"Transfer-Encoding: xchunked") + b"2\r\nhi\r\n0\r\n\r\n",
    "a switch of protocols": fields(b"Upgrade: x", status=b"HTTP/1.1 101 Switching"),
    "17 interim answers": fields(status=b"HTTP/1.1 100 Continue") * 17 + fields(TWO) + b"hi",
    "a malformed interim answer": fields(b"X : a", status=b"HTTP/1.1 103 Early") + fields(TWO),
    "a cut in the status": b"HTTP/1.1 20",
    "a cut in a field": OK + b"Content-Le",
    "a cut between fields": OK + b"X: a\r\n",
    "a cut after the interim answer": fields(status=b"HTTP/1.1 103 Early") + b"HTTP",
}
malformed = pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED)


@malformed
def test_a_malformed_head_is_an_error_and_a_post_is_not_sent_again(raw_server, reply, waits):
    server = raw_server(reply)

    with httpkit.Session(server.url) as api, pytest.raises(requests.ConnectionError) as caught:
        api.post("x", data=b"order")

    assert any(isinstance(error, MalformedError) for error in chain(caught.value))
    assert "it may have arrived" in caught.value.stop_reason
    assert (len(server.requests), waits) == (1, [])
    assert type(pickle.loads(pickle.dumps(caught.value))) is requests.ConnectionError


@pytest.mark.parametrize("name", ["a NUL in a fold", "a negative length", "a cut in a field"])
def test_a_get_is_sent_again_after_a_malformed_head(raw_server, make_response, name):
    server = raw_server(MALFORMED[name], make_response(body=b"hi"))

    with httpkit.Session(server.url) as api:
        response = api.get("x")

    assert (response.content, response.attempts, connections(server)) == (b"hi", 2, 2)


def test_a_malformed_head_shows_nothing_of_itself(raw_server):
    server = raw_server(fields(b"X-Echo : token-of-somebody") + b"hi")

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert "token-of-somebody" not in "".join(map(repr, chain(caught.value)))


# Heads that are odd, and legal

ANSWERED = {
    "LF alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
    "an empty reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi",
    "a reason in another encoding": b"HTTP/1.1 200 \xff\r\nContent-Length: 2\r\n\r\nhi",
    "version 1.0": b"HTTP/1.0 200 OK\r\n\r\nhi",
    "version 1.9": b"HTTP/1.9 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "chunks in version 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhi\r\n0\r\n\r\n",
    "lower case": fields(b"content-length:2") + b"hi",
    "space around a value": fields(b"Content-Length: \t 2 \t ") + b"hi",
    "an empty value": fields(b"X:", TWO) + b"hi",
    "a colon in a value": fields(b"X: a:b", TWO) + b"hi",
    "a value in another encoding": fields(b"X: \xff\x80", TWO) + b"hi",
    "the same length twice": fields(TWO, TWO) + b"hi",
    "the same length in a list": fields(b"Content-Length: 2, 2") + b"hi",
    "256 fields": fields(*[b"X: a"] * 255, TWO) + b"hi",
    "a field of 60 KB": fields(b"X: " + b"a" * 60_000, TWO) + b"hi",
    "16 interim answers": fields(status=b"HTTP/1.1 100 Continue") * 16 + fields(TWO) + b"hi",
    "interim answers of each kind": b"".join(
        fields(b"Link: </a>", status=b"HTTP/1.1 %d X" % status) for status in (100, 102, 103, 199)
    )
    + fields(TWO)
    + b"hi",
    "no coding": fields(b"Transfer-Encoding: identity") + b"hi",
    "no coding, then chunks": fields(b"Transfer-Encoding: identity, Chunked")
    + b"2\r\nhi\r\n0\r\n\r\n",
    "no length": OK + b"\r\nhi",
    "extensions": CHUNKED + b'1;a\r\nh\r\n1 ; b="c"\r\ni\r\n0;d\r\n\r\n',
    "trailers": CHUNKED + b"2\r\nhi\r\n0\r\nX: a\r\nY: b\r\n\r\n",
    "space after a size": CHUNKED + b"2  \r\nhi\r\n0 \r\n\r\n",
    "zeros before a size": CHUNKED + b"0002\r\nhi\r\n000\r\n\r\n",
    "a status that no one knows": b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi",
}


@however_read
@pytest.mark.parametrize("reply", ANSWERED.values(), ids=ANSWERED)
def test_an_unusual_but_valid_response_is_read(raw_server, reply, read):
    server = raw_server(reply)

    with httpkit.Session(server.url, retry=None) as api:
        assert read(api) == b"hi"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: a"])
def test_some_responses_have_no_body_whatever_their_fields(raw_server, status, line):
    keep = b"Connection: keep-alive"
    server = raw_server(fields(line, keep, status=b"HTTP/1.1 " + status))

    with httpkit.Session(server.url, retry=None, timeout=(5, SHORT)) as api:
        assert [api.get("x").content for _ in range(2)] == [b"", b""]

    assert connections(server) == 1


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: a"])
def test_the_response_to_head_has_no_body(raw_server, line):
    server = raw_server(fields(line, b"Connection: keep-alive"))

    with httpkit.Session(server.url, retry=None, timeout=(5, SHORT)) as api:
        assert [api.head("x").content for _ in range(2)] == [b"", b""]

    assert connections(server) == 1


# Bodies that are broken

FRAMING = {
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "an extension without a size": b";a=b\r\nhello\r\n0\r\n\r\n",
    "no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "an enormous size": b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n",
    "LF alone after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare CR in the extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a NUL in the extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "a flood in one extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "a flood of extensions": (b"1;" + b"a" * 1000 + b"\r\nh\r\n") * 20 + b"0\r\n\r\n",
    "more than the size": b"2\r\nhello\r\n0\r\n\r\n",
    "something else after the data": b"5\r\nhelloXX0\r\n\r\n",
    "LF alone after the data": b"5\r\nhello\n0\r\n\r\n",
    "no last chunk": b"5\r\nhello\r\n",
    "a cut size": b"5\r\nhello\r\n1",
    "a cut chunk": b"5\r\nhel",
    "a cut end of a chunk": b"5\r\nhello\r",
    "no empty line at the end": b"5\r\nhello\r\n0\r\n",
    "a cut trailer": b"5\r\nhello\r\n0\r\nX: a",
    "a malformed trailer": b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    "257 trailers": b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 257 + b"\r\n",
    "a size that lies": b"fffffffffffffff\r\nhello",
}
BROKEN = {name: CHUNKED + body for name, body in FRAMING.items()} | {
    "a cut body": fields(b"Content-Length: 10") + b"short",
    "no body": fields(b"Content-Length: 10"),
    "a length that lies": fields(b"Content-Length: " + b"9" * 18) + b"short",
}
broken = pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)


@however_read
@broken
def test_a_broken_body_is_an_error_however_it_is_read(raw_server, reply, read):
    server = raw_server(reply.replace(b"keep-alive", b"close"))

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        read(api)


@broken
def test_a_connection_with_a_broken_body_is_not_used_again(raw_server, make_response, reply):
    server = raw_server(lambda connection: connection.sendall(reply), make_response(body=b"hi"))

    with httpkit.Session(server.url) as api:
        response = api.get("x")

    assert (response.content, response.attempts, connections(server)) == (b"hi", 2, 2)


def test_a_post_with_a_broken_response_body_is_not_repeated(raw_server, waits):
    server = raw_server(BROKEN["a cut chunk"].replace(b"keep-alive", b"close"))

    with (
        httpkit.Session(server.url) as api,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        api.post("x")

    assert (len(server.requests), waits) == (1, [])


# Split anywhere


class Pieces:
    """A socket that delivers bytes in pieces, and then the end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def makefile(self, mode: str, buffering: int = -1) -> io.BytesIO:
        return io.BytesIO()

    def gettimeout(self) -> None:
        return None

    def settimeout(self, _: float | None) -> None:
        """Do nothing: what is received is there."""

    def recv_into(self, buffer: memoryview) -> int:
        if not self.pieces:
            return 0
        piece = self.pieces[0][: len(buffer)]
        self.pieces[0] = self.pieces[0][len(piece) :]
        if not self.pieces[0]:
            del self.pieces[0]
        buffer[: len(piece)] = piece
        return len(piece)


def by_read(message: Message) -> bytes:
    return message.read()


def by_small_reads(message: Message) -> bytes:
    return b"".join(iter(lambda: message.read(3), b""))


def by_read1(message: Message) -> bytes:
    return b"".join(iter(lambda: message.read1(3), b""))


def by_chunks(message: Message) -> bytes:
    return b"".join(iter(message.read_chunk, b""))


def by_lines(message: Message) -> bytes:
    return b"".join(iter(message.readline, b""))


def by_readinto(message: Message) -> bytes:
    buffer = bytearray(3)
    return b"".join(iter(lambda: bytes(buffer[: message.readinto(buffer)]), b""))


ROADS = [by_read, by_small_reads, by_read1, by_chunks, by_lines, by_readinto]


def outcome_of(road: Callable[[Message], bytes], *pieces: bytes) -> tuple[object, ...]:
    message = Message(Pieces(*pieces), method="GET")
    try:
        message.begin()
        body = road(message)
    except HTTPException as error:
        return (type(error), str(error))
    finally:
        message.close()
    return (message.status, message.fields, body, message.must_close)


SPLIT = {
    "a length": fields(b"A: b", b"Content-Length: 9") + b"one\ntwo\nx",
    "chunks": CHUNKED + b"3;a=b\r\none\r\n5 \r\ntwo\nx\r\n0\r\nX: a\r\n\r\n",
    "an interim answer": fields(b"Link: </>", status=b"HTTP/1.1 103 Early") + fields(TWO) + b"hi",
    "LF alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "until the end": OK + b"X: a\r\n\r\none\ntwo",
    "a folded field": fields(b"X: a", b" b") + b"hi",
    "a wrong chunk": CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n",
    "a cut chunk": CHUNKED + b"2\r\nh",
    "a cut body": fields(b"Content-Length: 9") + b"one\n",
}


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
@pytest.mark.parametrize("reply", SPLIT.values(), ids=SPLIT)
def test_a_response_is_the_same_wherever_it_is_split(reply, road):
    whole = outcome_of(road, reply)

    split = {repr(outcome_of(road, reply[:at], reply[at:])) for at in range(1, len(reply))}

    assert split == {repr(whole)}
    single = (reply[at : at + 1] for at in range(len(reply)))
    assert outcome_of(road, *single) == whole


def test_what_came_before_a_cut_is_not_lost():
    message = Message(Pieces(CHUNKED + b"3\r\none\r\n3\r\ntw"), method="GET")
    message.begin()

    assert message.read(100) == b"onetw"
    with pytest.raises(HTTPException):
        message.read(100)


LASTING = {
    "by default": (fields(TWO), False),
    "that closes": (fields(TWO, b"Connection: close"), True),
    "that closes, in a list": (fields(TWO, b"Connection: X", b"connection: Y , CLOSE"), True),
    "that is something like closed": (fields(TWO, b"Connection: closed"), False),
    "of version 1.0": (fields(TWO, status=b"HTTP/1.0 200 OK"), True),
    "of version 1.0 that stays": (
        fields(TWO, b"Connection: Keep-Alive", status=b"HTTP/1.0 200 OK"), False,
    ),
    "of version 1.0 with chunks": (
        CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", True,
    ),
    "without a length": (fields(b"Connection: keep-alive"), True),
    "without a body": (fields(status=b"HTTP/1.1 204 No Content"), False),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "is_last"), LASTING.values(), ids=LASTING)
def test_a_response_knows_whether_its_connection_closes(reply, is_last):
    message = Message(Pieces(reply), method="GET")

    message.begin()

    assert message.will_close is is_last
    message.close()


# Connections stay in step

ANSWER = fields(TWO, b"Connection: keep-alive") + b"hi"
FORGED = fields(b"Content-Length: 4") + b"evil"
IN_STEP = {
    "a length": ANSWER,
    "chunks": CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"2\r\nhi\r\n0\r\nX: a\r\n\r\n",
    "no body": fields(b"Connection: keep-alive", status=b"HTTP/1.1 204 No Content"),
    "an interim answer": fields(status=b"HTTP/1.1 103 Early") + ANSWER,
}


@pytest.mark.parametrize("reply", IN_STEP.values(), ids=IN_STEP)
def test_a_connection_in_step_is_used_again(raw_server, reply):
    server = raw_server(reply)

    with httpkit.Session(server.url) as api:
        bodies = {api.get("x").content for _ in range(3)}

    assert len(bodies) == 1
    assert connections(server) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("extra", [b"\r\n", b"x", FORGED], ids=["line", "byte", "answer"])
@pytest.mark.parametrize("reply", IN_STEP.values(), ids=IN_STEP)
def test_bytes_after_a_response_are_never_taken_for_the_next(raw_server, reply, extra, stream):
    server = raw_server(reply + extra, ANSWER)

    with httpkit.Session(server.url) as api:
        with api.get("x", stream=stream) as first:
            assert first.content in {b"hi", b""}
        second = api.get("x")

    assert (second.content, connections(server)) == (b"hi", 2)


def test_a_body_after_head_is_never_taken_for_the_next_response(raw_server):
    server = raw_server(ANSWER + FORGED, ANSWER)

    with httpkit.Session(server.url) as api:
        api.head("x")
        second = api.get("x")

    assert (second.content, connections(server)) == (b"hi", 2)


def test_a_connection_is_closed_when_it_is_given_back_unread(raw_server):
    server = raw_server(ANSWER)

    with httpkit.Session(server.url) as api:
        first = api.get("x", stream=True)
        first.raw.release_conn()
        second = api.get("x")

    assert (second.content, second.attempts, connections(server)) == (b"hi", 1, 2)


# Compression must end

TEXT = bytes(range(256)) * 40


def deflated(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": deflated,
    "br": brotlicffi.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
}
coded = pytest.mark.parametrize("coding", CODINGS)


def framed(body: bytes, coding: str, *, is_chunked: bool) -> bytes:
    line = b"Content-Encoding: " + coding.replace("raw ", "").encode()
    if not is_chunked:
        return fields(line, b"Content-Length: %d" % len(body)) + body
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p)
    return fields(line, b"Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n"


framing = pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])


@however_read
@framing
@coded
def test_compressed_content_is_whole(raw_server, coding, is_chunked, read):
    server = raw_server(framed(CODINGS[coding](TEXT), coding, is_chunked=is_chunked))

    with httpkit.Session(server.url, retry=None) as api:
        assert read(api) == TEXT


@however_read
@framing
@pytest.mark.parametrize("lost", [1, 60])
@coded
def test_compressed_content_that_is_cut_is_an_error(raw_server, coding, is_chunked, lost, read):
    body = CODINGS[coding](TEXT)[:-lost]
    server = raw_server(framed(body, coding, is_chunked=is_chunked))

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.exceptions.ContentDecodingError),
    ):
        read(api)


@however_read
@framing
@pytest.mark.parametrize(
    "tail", [b"x", b"\0" * 8, gzip.compress(TEXT)[:-3]], ids=["garbage", "zeros", "cut member"]
)
def test_what_follows_gzip_is_another_member_or_an_error(raw_server, is_chunked, tail, read):
    body = gzip.compress(b"one") + tail
    server = raw_server(framed(body, "gzip", is_chunked=is_chunked))

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.exceptions.ContentDecodingError),
    ):
        read(api)


class Flushing:
    """A decoder whose flush fails, as zlib's does since Python 3.14."""

    def decompress(self, data, max_length=-1):
        return data

    def flush(self):
        raise zlib.error("Error -3 while decompressing data: incorrect header check")


def test_what_the_flush_of_a_decoder_raises_is_a_decode_error():
    raw = raw_response.HTTPResponse(io.BytesIO(), preload_content=False)
    raw._decoder = Flushing()

    with pytest.raises(urllib3.exceptions.DecodeError):
        raw._flush_decoder()


@however_read
@framing
def test_members_of_gzip_are_one_body(raw_server, is_chunked, read):
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    server = raw_server(framed(body, "gzip", is_chunked=is_chunked))

    with httpkit.Session(server.url, retry=None) as api:
        assert read(api) == b"one two"


@framing
@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip"])
def test_a_member_of_gzip_that_ends_with_a_read_is_decoded_once(raw_server, is_chunked, encoding):
    body = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"six")
    if "," in encoding:
        body = gzip.compress(body)
    server = raw_server(framed(body, encoding, is_chunked=is_chunked))

    with (
        httpkit.Session(server.url, retry=None) as api,
        api.get("x", stream=True) as response,
    ):
        blocks = list(
            itertools.islice(iter(lambda: response.raw.read1(4, decode_content=True), b""), 9)
        )

    assert b"".join(blocks) == b"one two six"


@however_read
@framing
@coded
def test_no_body_is_whole_whatever_its_coding(raw_server, coding, is_chunked, read):
    server = raw_server(framed(b"", coding, is_chunked=is_chunked))

    with httpkit.Session(server.url, retry=None) as api:
        assert read(api) == b""


def test_chunks_that_are_read_by_urllib3s_own_name_for_it_must_end_too(raw_server):
    body = framed(gzip.compress(TEXT)[:-1], "gzip", is_chunked=True)
    server = raw_server(body, framed(b"hi", "x", is_chunked=False))

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        with pytest.raises(urllib3.exceptions.DecodeError):
            list(response.raw.read_chunked(decode_content=True))
        with api.get("x", stream=True) as other, pytest.raises(urllib3.exceptions.HTTPError):
            list(other.raw.read_chunked())


def test_compressed_content_that_is_not_decoded_is_not_judged(raw_server):
    body = gzip.compress(TEXT)[:-1]
    server = raw_server(framed(body, "gzip", is_chunked=False))

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        assert response.raw.read(decode_content=False) == body


# TLS


NEXT_RECORD = b"<next record>"


def converse(tls: ssl.SSLSocket, replies: tuple[bytes, ...], seen: list[bytes]) -> None:
    """Answer the n-th request of all connections with the n-th reply, then the last again."""
    while head := tls.recv(65536):
        seen.append(head)
        reply = replies[min(len(seen), len(replies)) - 1]
        for record in reply.split(NEXT_RECORD):
            tls.sendall(record)
        if b"keep-alive" not in reply:
            return


@pytest.fixture
def secured(authority) -> Iterator[Callable]:
    """Start servers that speak TLS, and may forget to say goodbye; they note the requests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listeners = []

    def start(*replies: bytes, says_goodbye: bool = True):
        listener = socket.create_server(("127.0.0.1", 0))
        seen: list[bytes] = []

        def accept() -> None:
            with listener, suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(plain, server_side=True) as tls:
                        converse(tls, replies, seen)
                        if says_goodbye:
                            tls.unwrap()

        threading.Thread(target=accept, daemon=True).start()
        listeners.append(listener)
        return f"https://127.0.0.1:{listener.getsockname()[1]}", seen

    yield start
    for listener in listeners:
        hang_up(listener)


@however_read
def test_a_body_without_a_length_ends_with_close_notify(secured, bundle, read):
    url, _ = secured(OK + b"\r\nhi")

    with httpkit.Session(url, verify=bundle, retry=None) as api:
        assert read(api) == b"hi"


@however_read
def test_a_body_without_a_length_and_without_close_notify_is_cut(secured, bundle, read):
    url, _ = secured(OK + b"\r\nhi", says_goodbye=False)

    with (
        httpkit.Session(url, verify=bundle, retry=None) as api,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        read(api)


@however_read
@pytest.mark.parametrize("name", ["lower case", "extensions"])
def test_a_body_that_knows_its_end_needs_no_close_notify(secured, bundle, name, read):
    url, _ = secured(ANSWERED[name].replace(b"keep-alive", b"close"), says_goodbye=False)

    with httpkit.Session(url, verify=bundle, retry=None) as api:
        assert read(api) == b"hi"


def test_a_closed_tls_connection_is_replaced(secured, bundle):
    url, seen = secured(b"", ANSWER, says_goodbye=False)

    with httpkit.Session(url, verify=bundle) as api:
        response = api.get("x")

    assert (response.content, response.attempts, len(seen)) == (b"hi", 2, 2)


def test_tls_connections_are_used_again(secured, bundle):
    url, seen = secured(ANSWER)

    with httpkit.Session(url, verify=bundle) as api:
        bodies = [api.get("x").content for _ in range(3)]
        pool = api.get_adapter(url).poolmanager.connection_from_url(
            url, pool_kwargs={"ca_certs": bundle, "cert_reqs": "CERT_REQUIRED"}
        )

    assert bodies == [b"hi"] * 3
    assert (pool.num_connections, len(seen)) == (1, 3)


@pytest.mark.parametrize("cut", [0, len(ANSWER) - 2], ids=["one record", "a record of its own"])
def test_bytes_after_a_response_within_tls_are_never_taken_for_the_next(secured, bundle, cut):
    # The body is read to its last byte: what TLS holds of its record, no system call shows.
    url, seen = secured(ANSWER[:cut] + NEXT_RECORD * bool(cut) + ANSWER[cut:] + FORGED, ANSWER)

    with httpkit.Session(url, verify=bundle) as api:
        bodies = [api.get("x").content for _ in range(2)]

    assert (bodies, len(seen)) == ([b"hi", b"hi"], 2)


# Every wait ends


@contextmanager
def limited(limit: float = LATE) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit


DRIPPING = {
    "a status line": drip(b"HTTP/1.1 200 "),
    "a field": drip(OK + b"X: "),
    "fields": drip(OK, b"X: a\r\n"),
    "interim answers": drip(b"", fields(status=b"HTTP/1.1 103 Early"), every=SHORT),
    "the fields of an interim answer": drip(b"HTTP/1.1 103 Early\r\n", b"X: a\r\n"),
    "a chunk size": drip(CHUNKED, b"0"),
    "an extension": drip(CHUNKED + b"5;"),
    "trailers": drip(CHUNKED + b"0\r\n", b"X: a\r\n"),
    "a body": drip(fields(b"Content-Length: 1000000")),
    "chunks": drip(CHUNKED, b"1\r\nx\r\n"),
    "a body without a length": drip(OK + b"\r\n"),
}
MOVING = {"interim answers", "a body", "chunks", "a body without a length"}


@pytest.mark.parametrize("serve", DRIPPING.values(), ids=DRIPPING)
def test_a_server_that_drips_cannot_hold_a_call_beyond_its_deadline(raw_server, serve):
    server = raw_server(serve)

    with (
        limited(),
        httpkit.Session(server.url, deadline=SHORT, retry=None) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")


@pytest.mark.parametrize("name", sorted(DRIPPING.keys() - MOVING))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_has_no_size_must_come_whole_within_the_read_timeout(raw_server, name, stream):
    server = raw_server(DRIPPING[name])

    with (
        limited(),
        httpkit.Session(server.url, timeout=(5, SHORT), deadline=None, retry=None) as api,
        pytest.raises(requests.exceptions.ReadTimeout),
    ):
        _ = api.get("x", stream=stream).content


@pytest.mark.parametrize(
    "start", [fields(b"Content-Length: 6"), CHUNKED + b"6\r\n"], ids=["length", "chunk"]
)
def test_a_body_may_take_its_time_as_long_as_it_moves(raw_server, start):
    def serve(connection):
        connection.sendall(start)
        for _ in range(6):
            time.sleep(SHORT)
            connection.sendall(b"x")
        connection.sendall(b"\r\n0\r\n\r\n")

    server = raw_server(serve)

    with httpkit.Session(server.url, timeout=(5, 5 * SHORT), retry=None) as api:
        assert api.get("x").content == b"xxxxxx"


def test_an_interim_response_starts_the_read_timeout_anew(raw_server):
    def serve(connection):
        for _ in range(6):
            time.sleep(SHORT)
            connection.sendall(fields(status=b"HTTP/1.1 102 Processing"))
        connection.sendall(ANSWER)

    server = raw_server(serve)

    with httpkit.Session(server.url, timeout=(5, 5 * SHORT), retry=None) as api:
        assert api.get("x").content == b"hi"


def test_a_wait_that_began_late_ends_with_the_deadline(raw_server):
    def serve(connection):
        connection.settimeout(ENDLESS)
        time.sleep(3 * SHORT)
        connection.sendall(fields(b"Content-Length: 9"))
        with suppress(TimeoutError):
            connection.recv(1)

    server = raw_server(serve)

    with (
        limited(6.5 * SHORT),  # clipped once, at the start, it would take 7
        httpkit.Session(server.url, deadline=4 * SHORT, retry=None) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")


def test_the_deadline_does_not_count_for_a_stream_but_the_timeout_does(raw_server):
    def serve(connection):
        connection.settimeout(ENDLESS)
        connection.sendall(fields(b"Content-Length: 9"))
        time.sleep(3 * SHORT)
        connection.sendall(b"hi")
        with suppress(TimeoutError):
            connection.recv(1)

    server = raw_server(serve)

    with (
        limited(),
        httpkit.Session(server.url, deadline=SHORT, timeout=(5, 5 * SHORT), retry=None) as api,
        api.get("x", stream=True) as response,
    ):
        blocks = response.blocks()
        assert next(blocks) == b"hi"
        with pytest.raises(requests.exceptions.ReadTimeout):
            next(blocks)


def test_a_timeout_of_urllib3_counts_too(raw_server):
    server = raw_server(drip(OK + b"X: "))
    timeout = urllib3.Timeout(connect=5, read=SHORT)

    with (
        limited(),
        httpkit.Session(server.url, timeout=timeout, deadline=None, retry=None) as api,
        pytest.raises(requests.exceptions.ReadTimeout),
    ):
        api.get("x")


LARGE = b"x" * (32 << 20)
BODIES = {
    "bytes": lambda: LARGE,
    "a view": lambda: memoryview(LARGE),
    "a file": lambda: io.BytesIO(LARGE),
    "blocks": lambda: (LARGE[at : at + (1 << 20)] for at in range(0, len(LARGE), 1 << 20)),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"deadline": SHORT}, httpkit.DeadlineExceededError),
        ({"timeout": (5, SHORT), "deadline": None}, requests.exceptions.ReadTimeout),
        (
            {"timeout": urllib3.Timeout(connect=5, read=SHORT), "deadline": None},
            requests.exceptions.ReadTimeout,
        ),
    ],
    ids=["deadline", "read timeout", "a timeout of urllib3"],
)
def test_a_server_that_takes_nothing_cannot_hold_a_call(stalling, make, options, kind):
    with (
        limited(),
        httpkit.Session(stalling(), retry=None, **options) as api,
        pytest.raises(kind) as caught,
    ):
        api.post("x", data=make())

    assert isinstance(caught.value, requests.Timeout)


@pytest.fixture
def stalling() -> Iterator[Callable]:
    """Start a listener that accepts and does nothing more."""
    listeners = []

    def start(scheme: str = "http") -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        listeners.append(listener)
        return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
def test_a_request_body_may_take_longer_than_any_timeout_as_long_as_it_moves(make):
    received = 0

    def serve(connection):
        nonlocal received
        while received < len(LARGE):
            time.sleep(SHORT / 4)
            aim = min(received + (2 << 20), len(LARGE))
            while received < aim:
                received += len(connection.recv(aim - received))
        connection.sendall(fields(b"Content-Length: 0"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_one, args=(listener, serve), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpkit.Session(url, timeout=(SHORT, 3 * SHORT), retry=None) as api:
            response = api.post("x", data=make())

    assert response.status_code == 200
    assert received >= len(LARGE)


def serve_one(listener: socket.socket, serve: Callable) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        serve(connection)


def test_a_name_with_many_addresses_cannot_hold_a_call(busy, monkeypatch):
    port = int(busy.rpartition(":")[2])
    place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: [place] * 9 if host == "many.test" else real(host, *a, **k),
    )

    with (
        limited(),
        httpkit.Session(f"http://many.test:{port}", deadline=2 * SHORT, retry=None) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")


def test_a_handshake_that_stalls_was_never_sent_and_is_tried_again(stalling, waits):
    with (
        limited(),
        httpkit.Session(stalling("https"), timeout=(SHORT, 5)) as api,
        pytest.raises(requests.exceptions.ConnectTimeout) as caught,
    ):
        api.post("x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (3, 2)


def reset(connection: socket.socket) -> None:
    connection.recv(65536)  # later than the handshake begins: before, ssl leaks the socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_handshake_that_is_reset_was_never_sent_and_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(3):
            threading.Thread(target=serve_one, args=(listener, reset), daemon=True).start()

        with (
            httpkit.Session(f"https://127.0.0.1:{listener.getsockname()[1]}") as api,
            pytest.raises(requests.ConnectionError) as caught,
        ):
            api.post("x", data=b"order")

    assert caught.value.attempts == 3


def test_a_handshake_that_stalls_ends_with_the_deadline(stalling):
    with (
        limited(),
        httpkit.Session(stalling("https"), deadline=SHORT, retry=None) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")


# Proxies


class Proxy(Acceptor):
    """Answers CONNECT with given bytes, or as told, and then passes bytes both ways."""

    def __init__(self, reply: bytes | Callable) -> None:
        self.requested: list[bytes] = []
        self._reply = reply
        super().__init__(self._lead)
        self.url = f"http://127.0.0.1:{self.port}"

    def _lead(self, client: socket.socket) -> None:
        head = client.recv(65536)
        self.requested.append(head)
        if callable(self._reply):
            self._reply(client)
            return
        client.sendall(self._reply)
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as origin:
            relay(client, origin)


CONNECTED = fields(status=b"HTTP/1.1 200 Connected")


@pytest.fixture
def proxy() -> Iterator[Callable]:
    with ExitStack() as started:
        yield lambda reply=CONNECTED: started.enter_context(Proxy(reply))


@pytest.mark.parametrize(
    "interim", [b"", fields(status=b"HTTP/1.1 103 Early")], ids=["at once", "after a hint"]
)
def test_a_tunnel_leads_to_our_connections(secured, bundle, proxy, interim):
    url, _ = secured(ANSWER)
    through = proxy(interim + CONNECTED)

    with httpkit.Session(url, verify=bundle, proxies={"https": through.url}, retry=None) as api:
        with api.get("x", stream=True) as first:
            assert isinstance(first.raw, raw_response.HTTPResponse)
            assert first.content == b"hi"
        second = api.get("x")

    assert (second.content, len(through.requested)) == (b"hi", 1)
    assert through.requested[0].startswith(b"CONNECT 127.0.0.1:")


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "299 Odd"])
def test_any_2xx_opens_a_tunnel(secured, bundle, proxy, status):
    url, _ = secured(ANSWER)
    through = proxy(fields(status=f"HTTP/1.1 {status}".encode()))

    with httpkit.Session(url, verify=bundle, proxies={"https": through.url}, retry=None) as api:
        got = api.get("x").content

    assert got == b"hi"


def test_framing_is_strict_in_a_tunnel(secured, bundle, proxy):
    url, _ = secured(MALFORMED["a NUL in a fold"])
    through = proxy()

    with (
        httpkit.Session(url, verify=bundle, proxies={"https": through.url}, retry=None) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert any(isinstance(error, MalformedError) for error in chain(caught.value))


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: "])
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"deadline": SHORT}, httpkit.DeadlineExceededError),
        ({"timeout": (SHORT, 5), "deadline": None}, requests.exceptions.ConnectTimeout),
    ],
    ids=["deadline", "connect timeout"],
)
def test_a_proxy_that_drips_cannot_hold_a_call(proxy, start, options, kind):
    through = proxy(drip(start))

    with (
        limited(),
        httpkit.Session(
            "https://127.0.0.1:1", proxies={"https": through.url}, retry=None, **options
        ) as api,
        pytest.raises(kind),
    ):
        api.get("x", proxies={"https": through.url})


def test_a_proxy_for_plain_http_leads_to_our_connections(raw_server):
    server = raw_server(ANSWER)

    with (
        httpkit.Session("http://example.test", proxies={"http": server.url}) as api,
        api.get("x", stream=True) as response,
    ):
        assert isinstance(response.raw, raw_response.HTTPResponse)
        assert response.content == b"hi"

    assert server.requests[0].startswith(b"GET http://example.test/x HTTP/1.1")


def test_ipv6_works():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")

    def serve(connection):
        connection.recv(65536)
        connection.sendall(ANSWER)

    with listener:
        threading.Thread(target=serve_one, args=(listener, serve), daemon=True).start()
        with httpkit.Session(f"http://[::1]:{listener.getsockname()[1]}", retry=None) as api:
            assert api.get("x").content == b"hi"


# What stays as it was


def adapters(session: requests.Session) -> set[type]:
    return {type(adapter) for adapter in session.adapters.values()}


def test_a_session_has_our_adapter_and_keeps_it_in_a_pickle(sandbox):
    with httpkit.Session(sandbox.url) as api:
        twin = pickle.loads(pickle.dumps(api))
        with twin, twin.get("echo", stream=True) as response:
            assert isinstance(response.raw, raw_response.HTTPResponse)

    assert adapters(api) == adapters(twin) == {adapter_module.Adapter}


def test_a_lenient_session_has_requests_own_adapter(sandbox):
    with (
        httpkit.Session(sandbox.url, strict=False) as api,
        api.get("echo", stream=True) as response,
    ):
        assert type(response.raw) is urllib3.HTTPResponse

    assert adapters(api) == {HTTPAdapter}


def test_an_adapter_that_a_mixin_mounts_is_kept():
    class Mounted(HTTPAdapter):
        pass

    class Mixin(requests.Session):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.mount("https://", Mounted())

    class Both(httpkit.Session, Mixin):
        pass

    with Both() as api:
        assert type(api.get_adapter("https://example.test")) is Mounted
        assert type(api.get_adapter("http://example.test")) is adapter_module.Adapter


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_class_put_into_urllib3_is_used(monkeypatch, scheme):
    pools = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
    stock = pools[scheme].ConnectionCls
    recorder = type("Recorder", (stock,), {})
    monkeypatch.setattr(pools[scheme], "ConnectionCls", recorder)
    monkeypatch.setattr(urllib3.connection, stock.__name__, recorder)  # as VCR does

    with httpkit.Session() as api:
        pool = api.get_adapter(f"{scheme}://x").poolmanager.connection_from_url(f"{scheme}://x")
        assert type(pool._new_conn()) is recorder


def test_a_dialler_put_into_urllib3_is_used(raw_server, monkeypatch):
    server = raw_server(ANSWER)
    real, asked = urllib3.util.connection.create_connection, []

    def dial(address, *args, **kwargs):
        asked.append(address[0])
        return real(("127.0.0.1", address[1]), *args, **kwargs)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", dial)
    with httpkit.Session(server.url.replace("127.0.0.1", "elsewhere.test")) as api:
        assert api.get("x").content == b"hi"

    assert asked == ["elsewhere.test"]


def test_nothing_is_lacking_here():
    assert adapter_module.Adapter().poolmanager.pool_classes_by_scheme == {
        "http": pools_module.HTTPConnectionPool,
        "https": pools_module.HTTPSConnectionPool,
    }


@pytest.mark.parametrize(
    "reply",
    [fields(b"Content-Length: 9") + b"one\ntwo\nx", CHUNKED + b"9\r\none\ntwo\nx\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)
def test_raw_works_as_of_old(raw_server, reply):
    server = raw_server(reply)

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        raw = response.raw
        assert raw.headers["content-length" if b"Length" in reply else "transfer-encoding"]
        assert raw.fileno() > 0
        assert raw._fp.peek(2)[:2] == b"on"
        assert (raw.read1(2), raw.tell(), raw.read(2), raw.tell()) == (b"on", 2, b"e\n", 4)
        buffer = bytearray(2)
        assert (raw.readinto(buffer), bytes(buffer)) == (2, b"tw")
        assert raw.read() == b"o\nx"
        assert (raw.read(5), raw.read1(5), raw.tell()) == (b"", b"", 9)
        assert raw.isclosed()


def test_closing_a_session_closes_what_a_response_still_refers_to(raw_server, make_response):
    was_left = threading.Event()

    def serve(connection):
        connection.sendall(fields(TWO, b"Connection: keep-alive") + b"hi")
        if not connection.recv(1):
            was_left.set()

    server = raw_server(serve)

    with httpkit.Session(server.url) as api:
        response = api.get("x")

    assert was_left.wait(1)
    assert response.raw is not None


def test_a_connection_that_ended_within_a_body_is_closed_at_once(raw_server):
    was_left = threading.Event()

    def serve(connection):
        connection.sendall(fields(b"Content-Length: 9", b"Connection: keep-alive") + b"hi")
        connection.shutdown(socket.SHUT_WR)
        if not connection.recv(1):
            was_left.set()

    server = raw_server(serve)

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(response.iter_content(1000))

        assert was_left.wait(1)


def test_a_message_whose_connection_was_closed_first_is_closed_silently():
    # What raises in a finalizer is printed, since Python 3.13.
    here, there = socket.socketpair()
    with here, there:
        buffered = SocketReader(here, UNLIMITED, is_persistent=True).makefile("rb")
        head = Head(11, 200, "OK", [], {})
        message = make_message(buffered, "GET", head, Framing(2, chunked=False, will_close=False))
        buffered.close()

        message.close()

    assert message.isclosed()
    assert message.must_close


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("user", "password"), [("ada", "grün"), ("ada", "日本語"), ("łucja", "x")])
def test_a_proxy_gets_a_password_in_any_script(raw_server, scheme, user, password):
    server = raw_server(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    url = server.url.replace("//", f"//{user}:{password}@")

    with (
        httpkit.Session(f"{scheme}://example.test", proxies={scheme: url}, retry=None) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.get("x")

    (sent,) = re.findall(rb"Proxy-Authorization: Basic (\S+)", server.requests[0], re.IGNORECASE)
    encodings = ("latin-1", "utf-8") if password.startswith("gr") else ("utf-8",)
    assert base64.b64decode(sent) in {f"{user}:{password}".encode(e) for e in encodings}
    assert password == "x" or password not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["localhost", "u:p@localhost", "u@127.0.0.1"])
def test_a_proxy_without_a_scheme_is_an_http_proxy(raw_server, name):
    server = raw_server(ANSWER, host="127.0.0.1")
    proxies = {"http": f"{name}:{server.port}"}

    with httpkit.Session("http://example.test", proxies=proxies) as api:
        assert api.get("x").text == "hi"

    assert server.requests[0].startswith(b"GET http://example.test/x HTTP/1.1")
