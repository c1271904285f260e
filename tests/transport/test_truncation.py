"""A truncated body is never taken for a complete one, however it is read and however it ends."""

import gzip
import io
import json
import pickle
import random
import re
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import httpkit
from httpkit._transport.socket_reader import SocketReader
from tests.support import fault_servers

HOST = "127.0.0.1"
random.seed(7)  # bytes that gzip cannot make small


def lines(pattern: bytes, count: int, bits: int) -> bytes:
    return b"".join(pattern % random.getrandbits(bits) for _ in range(count))


SMALL = lines(b'{"n": "%x"}\n', 20, 256)
# Each with the size of its chunks. The end is after more than a mebibyte of the large one: until
# then, a download reads little at a time.
BODIES = {
    "small": (SMALL, 100),
    "large": (lines(b'{"n": "%x"}\n', 160, 1 << 16), 50_000),
    "events": (lines(b"data: %x\n\n", 20, 256), 100),
    "gzip": (gzip.compress(SMALL), 100),
    "members": (gzip.compress(SMALL[:700]) + gzip.compress(SMALL[700:]), 100),
    "cut gzip": (gzip.compress(SMALL)[:-9], 100),
}
DECODED = {"gzip": SMALL, "members": SMALL, "cut gzip": SMALL}


# What a server sends


def framed(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def ending_in_a_chunk(part: Callable[[bytes], bytes]) -> Callable[[list[bytes]], bytes]:
    """Cut a chunked body within the chunk after four fifths of all, or before it."""

    def send(pieces: list[bytes]) -> bytes:
        most = len(pieces) * 4 // 5
        return framed(pieces[:most]) + part(framed(pieces[most : most + 1]))

    return send


def ending_after_the_chunks(rest: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda pieces: framed(pieces) + rest


CHUNKED = {
    "no chunk": ending_in_a_chunk(lambda _: b""),
    "size": ending_in_a_chunk(lambda chunk: chunk[:1]),
    "size's end": ending_in_a_chunk(lambda chunk: chunk[: chunk.index(b"\n")]),
    "extension": ending_in_a_chunk(lambda chunk: chunk[: chunk.index(b"\r")] + b";a=b"),
    "chunk's start": ending_in_a_chunk(lambda chunk: chunk[: chunk.index(b"\n") + 1]),
    "chunk": ending_in_a_chunk(lambda chunk: chunk[: len(chunk) // 2]),
    "chunk's CR": ending_in_a_chunk(lambda chunk: chunk[:-2]),
    "chunk's LF": ending_in_a_chunk(lambda chunk: chunk[:-1]),
    "last chunk": ending_after_the_chunks(b""),
    "last size": ending_after_the_chunks(b"0"),
    "last size's end": ending_after_the_chunks(b"0\r"),
    "trailer": ending_after_the_chunks(b"0\r\n"),
    "trailer field": ending_after_the_chunks(b"0\r\nX: 1"),
    "trailer's end": ending_after_the_chunks(b"0\r\nX: 1\r\n"),
}
SIZED = {
    "length": lambda pieces: b"".join(pieces[: len(pieces) * 4 // 5]),
    "length's last byte": lambda pieces: b"".join(pieces)[:-1],
}
COMPLETE = {
    "chunks": ending_after_the_chunks(b"0\r\n\r\n"),
    "chunks and a trailer": ending_after_the_chunks(b"0\r\nX: 1\r\n\r\n"),
    "all": b"".join,
}
UNTIL_CLOSED = {"half": lambda pieces: b"".join(pieces[: len(pieces) // 2])}


def message(where: str, name: str) -> bytes:
    body, size = BODIES[name]
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    fields = ["Content-Type: text/event-stream"]
    fields += ["Content-Encoding: gzip"] if name in DECODED else []
    if where in UNTIL_CLOSED:
        return fault_servers.head(*fields) + UNTIL_CLOSED[where](pieces)
    is_sized = where in SIZED or where == "all"
    fields += [f"Content-Length: {len(body)}" if is_sized else "Transfer-Encoding: chunked"]
    fields += ["Connection: keep-alive"] if where in COMPLETE else []
    return fault_servers.head(*fields) + (CHUNKED | SIZED | COMPLETE)[where](pieces)


def hang_up(connection: socket.socket) -> None:
    """End the connection; TLS without a word of it."""
    connection.shutdown(socket.SHUT_RDWR)


ENDS: dict[str, Callable[[socket.socket], object]] = {
    "hang up": hang_up,
    "say goodbye": lambda _: None,
    "reset": fault_servers.reset,
    "stall": fault_servers.silence,
}


class Server(fault_servers.Server):
    """Sends what the path asks for: where the message is cut, how it ends, and which body it is."""

    def answer_to(self, request: bytes, _turn: int) -> fault_servers.Reply:
        where, end, name = request.split(b" ")[1].decode().strip("/").replace("_", " ").split("/")
        sent = message(where, name)
        return sent if where in COMPLETE else fault_servers.then(sent, ENDS[end])


@pytest.fixture(scope="module", params=["tcp", "tls"])
def url(request, authority) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if request.param == "tls" else None
    if context is not None:
        authority.issue_cert(HOST).configure_cert(context)
    with Server([], context=context) as server:
        yield server.url


# How a body is read


def until_empty(read: Callable[[], bytes]) -> Iterator[bytes]:
    return iter(read, b"")


def filling(raw: Any, size: int) -> Iterator[bytes]:
    buffer = bytearray(size)
    while count := raw.readinto(buffer):
        yield bytes(buffer[:count])


def copied(raw: Any, size: int) -> Iterator[bytes]:
    file = io.BytesIO()
    try:
        shutil.copyfileobj(raw, file, size)
    finally:
        yield file.getvalue()


def buffered(raw: Any, size: int) -> Iterator[bytes]:
    raw.auto_close = False
    with io.BufferedReader(raw, size) as reader:
        yield from until_empty(lambda: reader.read(size))


def read_as_text(raw: Any, size: int) -> Iterator[bytes]:
    raw.auto_close = False
    with io.TextIOWrapper(io.BufferedReader(raw, size), "latin-1", newline="") as text:
        for line in text:
            yield line.encode("latin-1")


def read_as_text_at_once(raw: Any, size: int) -> Iterator[bytes]:
    raw.auto_close = False
    with io.TextIOWrapper(raw, "latin-1", newline="") as text:
        yield from (piece.encode("latin-1") for piece in iter(lambda: text.read(size), ""))


def spelled(documents: Iterator[Any]) -> Iterator[bytes]:
    return (json.dumps(document).encode() + b"\n" for document in documents)


SIZES = [1, 1000, 64 << 10, 4 << 20]
# What is read of a requests.Response, requests' own or ours; in pieces.
OF_ANY = {
    "content": lambda r: iter([r.content]),
    "text": lambda r: iter([r.text.encode()]),
    "iter_content(None)": lambda r: r.iter_content(None),
    "iter_lines": lambda r: (line + b"\n" for line in r.iter_lines()),
} | {f"iter_content({n})": lambda r, n=n: r.iter_content(n) for n in SIZES}
OF_OURS = {
    "blocks": lambda r: r.blocks(),
    "lines": lambda r: (line.encode() + b"\n" for line in r.lines()),
    "json_lines": lambda r: spelled(r.json_lines()),
}
# What is read of its `raw`, as it came.
OF_RAW = {
    "read()": lambda raw: until_empty(raw.read),
    "read(-1)": lambda raw: until_empty(partial(raw.read, -1)),
    "read1()": lambda raw: until_empty(raw.read1),
    "stream(None)": lambda raw: raw.stream(None),
    "readline": lambda raw: until_empty(raw.readline),
    "readlines": lambda raw: iter(raw.readlines()),
    "data": lambda raw: iter([raw.data]),
    "the message's peek": lambda raw: peeked(raw._fp),
    "the message's readline": lambda raw: until_empty(raw._fp.readline),
} | {
    f"{name}({n})": lambda raw, n=n, start=start: start(raw, n)
    for name, start in {
        "read": lambda raw, n: until_empty(lambda: raw.read(n)),
        "read1": lambda raw, n: until_empty(lambda: raw.read1(n)),
        "stream": lambda raw, n: raw.stream(n),
        "readinto": filling,
        "copyfileobj": copied,
        "BufferedReader": buffered,
        "TextIOWrapper": read_as_text,
        "TextIOWrapper alone": read_as_text_at_once,
    }.items()
    for n in SIZES
}
OF_CHUNKS = {
    "read_chunked()": lambda raw: raw.read_chunked(),
    "read_chunked(1000)": lambda raw: raw.read_chunked(1000),
}
# The same, decoded.
DECODING = {
    "read(decoded)": lambda raw: until_empty(lambda: raw.read(decode_content=True)),
    "read1(decoded)": lambda raw: until_empty(lambda: raw.read1(decode_content=True)),
    "iterated": iter,
} | {
    f"{name}({n}, decoded)": lambda raw, n=n, start=start: start(raw, n)
    for name, start in {
        "read": lambda raw, n: until_empty(lambda: raw.read(n, decode_content=True)),
        "read1": lambda raw, n: until_empty(lambda: raw.read1(n, decode_content=True)),
        "stream": lambda raw, n: raw.stream(n, decode_content=True),
    }.items()
    for n in SIZES
}


def peeked(message: Any) -> Iterator[bytes]:
    while waiting := message.peek():
        yield message.read(len(waiting))


def through_raw(table: dict[str, Any]) -> dict[str, Any]:
    return {f"raw.{name}": lambda r, read=read: read(r.raw) for name, read in table.items()}


READERS = OF_ANY | OF_OURS | through_raw(OF_RAW)
DECODERS = OF_ANY | OF_OURS | through_raw(DECODING)
IN_CHUNKS = through_raw(OF_CHUNKS)
# One of each kind; and those for a large body.
OF_A_KIND = {
    name: r for name, r in (READERS | DECODERS).items() if not re.search(r"\((1|\d{5,})\b", name)
}
IN_LARGE_PIECES = {
    name: r for name, r in READERS.items() if not re.search(r"\((1|1000)\b|line", name)
}


@dataclass
class Outcome:
    """What came of a body, and the error that ended it."""

    body: bytes = b""
    error: Exception | None = None


def outcome_of(pieces: Callable[[], Iterator[bytes]]) -> Outcome:
    outcome = Outcome()
    try:
        for piece in pieces():
            outcome.body += piece
    except Exception as error:  # noqa: BLE001  # that is what is judged
        outcome.error = error
    return outcome


def judge(outcome: Outcome, body: bytes) -> str | None:
    """Return what is wrong; None for the right bytes and an error, or all the bytes."""
    if outcome.error is None and outcome.body != body:
        return f"{len(outcome.body)} of {len(body)} bytes, and no error"
    if not body.startswith(outcome.body):
        return f"wrong bytes before {outcome.error!r}"
    return None


def faults(outcomes: dict[str, Outcome], body: bytes) -> dict[str, str]:
    as_outcome = {name: judge(outcome, body) for name, outcome in outcomes.items()}
    return {name: wrong for name, wrong in as_outcome.items() if wrong}


@pytest.fixture(scope="module")
def api(url, bundle) -> Iterator[httpkit.Session]:
    with httpkit.Session(url, retry=None, timeout=5, deadline=None, verify=bundle) as session:
        yield session


def opened(api: Any, cut: str, name: str, **options: Any) -> Any:
    options = {"stream": True, **options}
    return api.get(f"{cut}/{name}".replace(" ", "_").replace(",_", "/"), **options)


def play(api: Any, read: Any, cut: str, name: str, *, is_warm: bool = False) -> Outcome:
    def pieces() -> Iterator[bytes]:
        if is_warm:
            api.get("warm-up")
        with opened(api, cut, name) as response:
            yield from read(response)

    return outcome_of(pieces)


# Within the chunks, and a few of each kind.
CUTS = [f"{where}, hang up" for where in CHUNKED | SIZED]
CUTS += ["size, reset", "chunk, reset", "length, reset", "half, reset"]
FEW_CUTS = ["chunk, hang up", "chunk, say goodbye", "trailer, hang up", "length, hang up"]


@pytest.mark.parametrize("reader", READERS)
def test_a_body_that_is_cut_is_never_whole(api, url, reader):
    cuts = [*FEW_CUTS, "half, hang up"] if url.startswith("https") else CUTS

    outcomes = {cut: play(api, READERS[reader], cut, "small") for cut in cuts}

    assert not faults(outcomes, SMALL)


@pytest.mark.parametrize("cut", FEW_CUTS)
def test_a_body_over_a_connection_that_was_used_is_never_whole(api, cut):
    readers = {"at once": lambda r: iter([r.content])} | READERS

    outcomes = {name: play(api, read, cut, "small", is_warm=True) for name, read in readers.items()}

    assert not faults(outcomes, SMALL)


@pytest.mark.parametrize("reader", IN_CHUNKS)
def test_chunks_that_are_cut_are_never_all(api, reader):
    cuts = [f"{where}, hang up" for where in CHUNKED]

    outcomes = {cut: play(api, IN_CHUNKS[reader], cut, "small") for cut in cuts}

    assert not faults(outcomes, SMALL)


@pytest.mark.parametrize("where", COMPLETE)
def test_a_complete_body_is_read_by_every_method_without_an_error(api, where):
    readers = READERS | (IN_CHUNKS if where in CHUNKED else {})

    outcomes = {name: play(api, read, f"{where}, -", "small") for name, read in readers.items()}

    assert {name: o.error for name, o in outcomes.items() if o.error or o.body != SMALL} == {}


@pytest.mark.parametrize("cut", ["chunk, hang up", "length, hang up"])
def test_a_large_body_that_is_cut_is_never_whole(api, url, cut):
    large, _ = BODIES["large"]
    is_warm = url.startswith("https")

    outcomes = {
        name: play(api, read, cut, "large", is_warm=is_warm)
        for name, read in IN_LARGE_PIECES.items()
    }

    assert not faults(outcomes, large)


@pytest.mark.parametrize("cut", ["chunk, hang up", "length, hang up"])
def test_what_came_before_a_cut_is_given_first(api, cut):
    where, _, _ = cut.partition(",")
    sent = BODIES["large"][0][: 53 * 4 // 5 * 50_000 + (24_998 if where == "chunk" else 0)]
    readers = {
        name: read
        for name, read in (READERS | DECODERS).items()
        if re.match(r"(iter_content|raw.(read|read1|stream|copyfileobj))\(\d{5,}\b", name)
    } | {"blocks": OF_OURS["blocks"]}

    outcomes = {name: play(api, read, cut, "large") for name, read in readers.items()}

    assert {name: len(o.body) for name, o in outcomes.items()} == dict.fromkeys(readers, len(sent))
    assert {o.body for o in outcomes.values()} == {sent}


def test_a_stall_after_a_block_is_a_timeout_when_it_is_met(api):
    with opened(api, "length, stall", "large", timeout=(5, 0.25)) as response:
        assert len(response.raw.read(3 << 20)) == 2 << 20

        for _ in range(2):
            with pytest.raises(urllib3.exceptions.ReadTimeoutError, match=f"{HOST}.*timed out"):
                response.raw.read(3 << 20)


@pytest.mark.parametrize("body", ["gzip", "members"])
@pytest.mark.parametrize("cut", ["chunk, hang up", "length, hang up"])
def test_a_compressed_body_that_is_cut_is_never_whole(api, cut, body):
    outcomes = {name: play(api, read, cut, body) for name, read in DECODERS.items()}
    as_it_came = {name: play(api, read, cut, body) for name, read in through_raw(OF_RAW).items()}

    assert not faults(outcomes, SMALL)
    assert not faults(as_it_came, BODIES[body][0])


@pytest.mark.parametrize("body", ["gzip", "members", "cut gzip"])
@pytest.mark.parametrize("where", COMPLETE)
def test_a_compressed_body_is_whole_when_its_compression_is(api, where, body):
    outcomes = {name: play(api, read, f"{where}, -", body) for name, read in DECODERS.items()}

    assert not faults(outcomes, SMALL)
    assert {bool(outcome.error) for outcome in outcomes.values()} == {body == "cut gzip"}


EVENTS, _ = BODIES["events"]


def test_events_that_are_cut_are_never_all(api):
    def read(response):
        return (f"data: {event.data}\n\n".encode() for event in response.events())

    assert not faults({cut: play(api, read, cut, "events") for cut in CUTS}, EVENTS)


# A failure stays


AGAIN = {
    "content": lambda r: r.content,
    "iter_content": lambda r: b"".join(r.iter_content(1000)),
    "raw.read()": lambda r: r.raw.read(),
    "raw.read(10)": lambda r: r.raw.read(10),
    "raw.read(decoded)": lambda r: r.raw.read(10, decode_content=True),
    "raw.read1(10)": lambda r: r.raw.read1(10),
    "raw.read1(decoded)": lambda r: r.raw.read1(decode_content=True),
    "raw.readinto": lambda r: b"x" * r.raw.readinto(bytearray(10)),
    "raw.stream": lambda r: b"".join(r.raw.stream(10)),
    "raw.stream(decoded)": lambda r: b"".join(r.raw.stream(10, decode_content=True)),
    "raw.readline": lambda r: r.raw.readline(),
    "raw.data": lambda r: r.raw.data,
    "blocks": lambda r: b"".join(r.blocks()),
    "raw.read_chunked": lambda r: b"".join(r.raw.read_chunked(10)),
}


def read_quietly(response: Any) -> list[str]:
    """Return the methods that give something, or nothing, but no error."""
    return [
        name for name, read in AGAIN.items() if not outcome_of(partial(once, read, response)).error
    ]


def once(read: Any, response: Any) -> Iterator[bytes]:
    yield read(response)


# requests', urllib3's, and those of the message itself.
ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError)


def end_by_reading(response: Any, read: Any) -> None:
    with pytest.raises(ERRORS):
        for _ in read(response):
            pass


@pytest.mark.parametrize("cut", ["chunk, hang up", "length, reset", "chunk, stall"])
@pytest.mark.parametrize("body", ["small", "gzip"])
def test_a_failure_is_raised_again_by_every_method(api, cut, body):
    readers = OF_A_KIND
    if "stall" in cut:
        readers = {"raw.read(64)": lambda r: until_empty(lambda: r.raw.read(64))}
    quiet = []
    for name, read in readers.items():
        timeout = 0.25 if "stall" in cut else 5
        with opened(api, cut, body, timeout=(5, timeout)) as response:
            end_by_reading(response, read)
            quiet += [f"{name}, then {other}" for other in read_quietly(response)]

    assert quiet == []


# Left early, and read on


LEFT = {
    "iter_content(7)": lambda r: r.iter_content(7),
    "iter_content(None)": lambda r: r.iter_content(None),
    "raw.stream(7)": lambda r: r.raw.stream(7, decode_content=True),
    "raw.read(7)": lambda r: iter([r.raw.read(7, decode_content=True)]),
    "raw.read1(7)": lambda r: iter([r.raw.read1(7, decode_content=True)]),
    "raw, iterated": lambda r: iter(r.raw),
    "blocks": lambda r: r.blocks(),
}
READ_ON = {name: again for name, again in AGAIN.items() if name in {
    "content", "iter_content", "blocks", "raw.read(decoded)", "raw.read1(decoded)",
    "raw.stream(decoded)",
}} | {"raw.read()": lambda r: r.raw.read(decode_content=True)}  # fmt: skip


def read_on(response: Any, start: Any, again: Any) -> Iterator[bytes]:
    yield next(start(response))
    yield again(response)
    while block := response.raw.read(decode_content=True):
        yield block


@pytest.mark.parametrize("body", ["small", "gzip"])
@pytest.mark.parametrize("cut", ["chunks, -", "all, -", "chunk, hang up", "length, hang up"])
def test_what_was_left_early_is_still_there_or_raises(api, cut, body):
    wrong = {}
    for name, start in LEFT.items():
        for other, again in READ_ON.items():
            with opened(api, cut, body) as response:
                outcome = outcome_of(partial(read_on, response, start, again))
            wrong[f"{name}, then {other}"] = judge(outcome, SMALL)

    assert {name: fault for name, fault in wrong.items() if fault} == {}


@pytest.mark.parametrize("body", ["small", "gzip"])
def test_chunks_that_were_left_early_can_be_read_to_the_end(api, body):
    with opened(api, "chunks, -", body) as response:
        first = next(response.iter_content(10))
        second = next(response.raw.stream(10, decode_content=True))
        third = response.raw.read(10, decode_content=True)
        rest = response.content

    assert first + second + third + rest == SMALL


def test_lines_that_were_left_early_are_not_passed_over(api):
    with opened(api, "all, -", "small") as response:
        assert next(iter(response.raw)) == SMALL.splitlines(keepends=True)[0]

        with pytest.raises(urllib3.exceptions.ProtocolError, match="stopped early"):
            response.raw.read()


@pytest.mark.parametrize("where", COMPLETE)
def test_what_was_closed_before_its_end_is_no_end(api, where):
    with opened(api, f"{where}, -", "small") as response:
        response.raw.read(10)

    assert read_quietly(response) == []


def test_a_broken_compression_is_an_error_for_good(api):
    response = opened(api, "all, -", "cut gzip")
    end_by_reading(response, lambda r: r.raw.stream(100, decode_content=True))

    assert read_quietly(response) == []


# What becomes of the connection


@pytest.mark.parametrize("cut", ["chunk, stall", "length, stall"])
@pytest.mark.parametrize(
    "leave",
    [
        lambda r: r.raw._original_response.close(),
        lambda r: r.raw.release_conn(),
        lambda r: r.close(),
        lambda r: outcome_of(lambda: r.raw.stream(10)),
        lambda r: r.raw.drain_conn(),
    ],
    ids=["message closed", "released", "closed", "read", "drained"],
)
def test_a_connection_within_a_body_serves_no_other_request(api, cut, leave):
    api.get("warm-up")
    response = opened(api, cut, "small", timeout=(5, 0.25))
    assert response.raw.read(1200) == SMALL[:1200]

    leave(response)
    response.raw.release_conn()

    assert api.get("warm-up").content == b"warm"
    end_by_reading(response, lambda r: iter([r.raw.read()]))


def test_an_interrupted_read_is_no_end(api, monkeypatch):
    with opened(api, "chunks, -", "large") as response:
        response.raw.read(10)
        with monkeypatch.context() as patched:
            patched.setattr(SocketReader, "readinto", interrupt)
            with pytest.raises(KeyboardInterrupt):
                response.raw.read()

        end_by_reading(response, lambda r: iter([r.raw.read()]))
        end_by_reading(response, lambda r: r.iter_content(1000))


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("cut", ["chunk, hang up", "length, hang up"])
def test_a_truncated_response_does_not_pickle_as_a_complete_one(api, cut):
    unread, broken = opened(api, cut, "small"), opened(api, cut, "small")
    end_by_reading(broken, lambda r: r.blocks())

    with pytest.raises(requests.RequestException):
        pickle.dumps(unread)
    with pytest.raises(requests.RequestException):
        _ = pickle.loads(pickle.dumps(broken)).content


def test_what_remains_of_a_failure_holds_no_body(api):
    with opened(api, "chunk, hang up", "large") as response:
        error = outcome_of(lambda: until_empty(response.raw.read)).error
    raw = response.raw

    assert [raw.failure.__traceback__, raw._original_response.failure.__traceback__] == [None] * 2
    assert max(map(len, blocks_of(error.args[1].__traceback__)), default=0) == 0


def blocks_of(traceback: Any) -> Iterator[list[bytes]]:
    """Give the lists that the frames of a traceback hold."""
    while traceback is not None:
        yield from (v for v in traceback.tb_frame.f_locals.values() if isinstance(v, list))
        traceback = traceback.tb_next


def test_an_unread_body_is_not_complete(api):
    response = api.head("all/-/small", stream=True)
    response.close()

    assert response.raw.read() == b""


# Downloads


@pytest.fixture(scope="module", params=["ours", "requests' adapter", "lenient"])
def any_api(request, url, bundle) -> Iterator[httpkit.Session]:
    """A session over our connections, and two over requests' own."""
    options = {"strict": False} if request.param == "lenient" else {"deadline": None}
    with httpkit.Session(url, retry=None, timeout=5, verify=bundle, **options) as session:
        if request.param == "requests' adapter":
            session.mount(url, HTTPAdapter())
        yield session


# What http.client sees, too: it takes the end of a connection for the end of a trailer.
SEEN_BY_ALL = ["size, hang up", "chunk, hang up", "chunk, reset", "length, hang up"]


@pytest.mark.parametrize("body", ["large", "members"])
@pytest.mark.parametrize("cut", SEEN_BY_ALL)
def test_a_truncated_download_gets_no_name(any_api, tmp_path, cut, body):
    address, file = f"{cut}/{body}".replace(", ", "/").replace(" ", "_"), io.BytesIO()
    whole = DECODED.get(body, BODIES[body][0])

    for target in (tmp_path / "file", file):
        with pytest.raises(requests.RequestException):
            any_api.download(address, target, max_stalls=0)

    assert [path.name for path in tmp_path.iterdir() if ".part" not in path.name] == []
    assert whole.startswith(file.getvalue())
    assert len(file.getvalue()) < len(whole)


@pytest.mark.parametrize("body", ["large", "members"])
@pytest.mark.parametrize("where", COMPLETE)
def test_a_complete_download_is_all_of_it(any_api, tmp_path, where, body):
    any_api.download(f"{where}/-/{body}".replace(" ", "_"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == DECODED.get(body, BODIES[body][0])


@pytest.mark.parametrize("cut", SEEN_BY_ALL)
def test_what_requests_refuses_is_refused_over_its_own_adapter(any_api, cut):
    outcomes = {
        name: play(any_api, read, cut, "small") for name, read in (OF_ANY | OF_OURS).items()
    }

    assert not faults(outcomes, SMALL)
