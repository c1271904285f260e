"""Streamed answers: blocks, lines, documents and events, and what becomes of the connection."""

import gzip
import pickle
import socket
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass

import pytest
import requests

import httpkit
from httpkit._core import server_sent_events
from httpkit._core.server_sent_events import Event
from tests.support.sockets import Listener


@dataclass
class Post:
    id: int
    title: str = ""


def chunked(*chunks):
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def parsed(*blocks):
    return list(server_sent_events.parse(blocks))


def bytewise(stream):
    return [stream[location : location + 1] for location in range(len(stream))]


def once(*blocks):
    """Give the blocks, and fail a reader who asks for more than it needs."""
    yield from blocks
    pytest.fail("asked for another block")


@pytest.fixture
def streamed(raw_server):
    """Stream what a server sends, by a session that is closed in the end."""
    sessions = []

    def start(sent):
        api = httpkit.Session(raw_server(sent).url, retry=None, timeout=(2, 2))
        sessions.append(api)
        return api.get("", stream=True)

    yield start
    for api in sessions:
        api.close()


@pytest.fixture
def body_of(streamed, make_response):
    """Stream a body."""

    def start(body, **fields):
        return streamed(make_response(body=body, **fields))

    return start


# Server-sent events: the rules


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n\n\n", [], id="empty lines"),
        pytest.param(b"data: x\n\n", [Event("x")], id="data"),
        pytest.param(b"data:x\n\n", [Event("x")], id="no space"),
        pytest.param(b"data:  x \n\n", [Event(" x ")], id="one space of two"),
        pytest.param(b"data:\tx\n\n", [Event("\tx")], id="a tab is no space"),
        pytest.param(b"data: a\ndata: b\n\n", [Event("a\nb")], id="data is joined"),
        pytest.param(b"data: a:b: c\n\n", [Event("a:b: c")], id="later colons"),
        pytest.param(b"data\n\ndata\ndata\n\ndata:", [Event(""), Event("\n")], id="no colon"),
        pytest.param(b": note\n:\ndata: x\n: note\n\n", [Event("x")], id="comments"),
        pytest.param(b"other: 1\nDATA: 2\n data: 3\ndata: x\n\n", [Event("x")], id="unknown"),
        pytest.param(b"event: tick\ndata: x\n\n", [Event("x", "tick")], id="event"),
        pytest.param(b"event:\ndata: x\n\n", [Event("x")], id="empty event"),
        pytest.param(b"event: a\nevent: b\ndata: x\n\n", [Event("x", "b")], id="last event"),
        pytest.param(b"event: a\n\ndata: x\n\n", [Event("x")], id="event without data is reset"),
        pytest.param(
            b"event: a\ndata: x\n\ndata: y\n\n", [Event("x", "a"), Event("y")], id="event is reset"
        ),
        pytest.param(
            b"id: 1\ndata: x\n\ndata: y\n\n",
            [Event("x", id="1"), Event("y", id="1")],
            id="id stays",
        ),
        pytest.param(b"id: 1\n\ndata: x\n\n", [Event("x", id="1")], id="id without data"),
        pytest.param(b"id: 1\nid\ndata: x\n\n", [Event("x", id="")], id="id is emptied"),
        pytest.param(b"id: 1\nid: a\0b\ndata: x\n\n", [Event("x", id="1")], id="id with NUL"),
        pytest.param(b"data: a\0b\n\n", [Event("a\0b")], id="data with NUL"),
        pytest.param(b"retry: 1500\ndata: x\n\n", [Event("x", retry=1.5)], id="retry"),
        pytest.param(b"retry: 0\ndata: x\n\n", [Event("x", retry=0.0)], id="retry at once"),
        pytest.param(
            b"retry: 10\n\ndata: x\n\ndata: y\n\n",
            [Event("x", retry=0.01), Event("y", retry=0.01)],
            id="retry stays",
        ),
        pytest.param(b"\xef\xbb\xbfdata: x\n\n", [Event("x")], id="BOM"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", [], id="one BOM of two"),
        pytest.param(b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [Event("x")], id="late BOM"),
        pytest.param(b"data: \xef\xbb\xbfx\n\n", [Event("\ufeffx")], id="BOM in data"),
        pytest.param(b"data: \xffx\n\n", [Event("\ufffdx")], id="no UTF-8"),
        pytest.param(
            "data: a\u2028b\x85c\x0bd\n\n".encode(),
            [Event("a\u2028b\x85c\x0bd")],
            id="other line ends",
        ),
        pytest.param(b"data: x\n\ndata: y\n", [Event("x")], id="no blank line"),
        pytest.param(b"data: x\n\ndata: y", [Event("x")], id="half a line"),
        pytest.param(
            b"data: x\r\n\r\ndata: y\r\rdata: z\n\n", [Event(c) for c in "xyz"], id="ends"
        ),
        pytest.param(b"data: x\r\n\n", [Event("x")], id="CRLF and LF"),
        pytest.param(b"data: x\n\r", [Event("x")], id="LF and CR"),
        pytest.param(b"data: x\r\n", [], id="one CRLF is no blank line"),
        pytest.param(b"data: x\r\ndata: y\r\n\r\n", [Event("x\ny")], id="CRLF within"),
    ],
)
def test_events_are_read_by_the_rules_at_every_split(stream, expected):
    halves = [(stream[:location], stream[location:]) for location in range(len(stream) + 1)]

    outcomes = [parsed(*blocks) for blocks in [*halves, bytewise(stream)]]

    assert outcomes == [expected] * len(outcomes)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1_0", " 1", "\u0661", "\xb2"])
def test_a_retry_that_is_not_digits_alone_is_ignored(value):
    (event,) = parsed(f"retry: 2000\nretry: {value}\ndata: x\n\n".encode())

    assert event.retry == 2.0


@pytest.mark.parametrize("digits", [400, 5000])
def test_an_absurd_retry_breaks_no_stream(digits):
    (event,) = parsed(b"retry: " + b"9" * digits + b"\ndata: x\n\n")

    assert event.data == "x"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_is_given_at_its_blank_line_not_later(end):
    stream = server_sent_events.parse(once(f"data: x{end}{end}".encode()))

    event = next(stream)

    assert event.data == "x"


def test_a_long_line_costs_no_more_than_its_length():
    size = 1 << 19
    blocks = [b"data: ", *[b"x" * 64] * (size // 64), b"\n\n"]
    before = time.process_time()

    (event,) = parsed(*blocks)

    assert len(event.data) == size
    # Measured: 0.01 s when each block is looked at once, 3 s when all are again for each.
    assert time.process_time() - before < 1


def test_the_data_of_an_event_is_decoded_as_json():
    (event,) = parsed('data: {"text":\ndata:  "é\u2028"}\n\n'.encode())

    assert event.json() == {"text": "é\u2028"}


@pytest.mark.parametrize("data", ["", "[DONE]", "NaN"])
def test_data_that_is_not_json_is_a_value_error(data):
    event = Event(data)

    with pytest.raises(ValueError, match=r"\w"):
        event.json()


def test_an_event_compares_by_value_and_cannot_be_changed():
    event = Event("x", "tick", "7", 1.5)

    with pytest.raises(AttributeError):
        event.data = "y"

    assert event == Event(data="x", event="tick", id="7", retry=1.5)


# Server-sent events: on the wire


def test_the_events_of_the_sandbox_are_read(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("events?count=2", stream=True) as response:
        received = list(response.events())

    assert received == [Event(f'{{"number": {n}}}', "number", str(n), 1.0) for n in (1, 2)]
    assert [event.json()["number"] for event in received] == [1, 2]


def test_events_that_arrive_byte_by_byte_are_whole(streamed):
    stream = "\ufeff: é\r\nid: ü\r\ndata: 漢\rdata: 😀\r\n\r\ndata: x\n\n".encode()

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in bytewise(chunked(*bytewise(stream))):
            connection.sendall(byte)

    received = list(streamed(serve).events())

    assert received == [Event("漢\n😀", id="ü"), Event("x", id="ü")]


def test_events_are_utf_8_whatever_the_charset_says(body_of):
    response = body_of("data: é\n\n".encode(), content_type="text/event-stream; charset=latin-1")

    (event,) = response.events()

    assert event.data == "é"


FIRST = b"data: 1\n\n"
SECOND = b"data: 2\n\n"
PACKER = zlib.compressobj(wbits=31)
PACKED = [PACKER.compress(part) + PACKER.flush(zlib.Z_SYNC_FLUSH) for part in (FIRST, SECOND)]
PACKED[1] += PACKER.flush()


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        pytest.param(b"content-length: 18", [FIRST, SECOND], id="length"),
        pytest.param(b"connection: close", [FIRST, SECOND], id="close"),
        pytest.param(
            b"transfer-encoding: chunked",
            [b"9\r\n" + FIRST + b"\r\n", b"9\r\n" + SECOND + b"\r\n0\r\n\r\n"],
            id="chunked",
        ),
        pytest.param(
            b"transfer-encoding: chunked",
            [b"12\r\n" + FIRST, SECOND + b"\r\n0\r\n\r\n"],
            id="half a chunk",
        ),
        pytest.param(b"content-encoding: gzip\r\nconnection: close", PACKED, id="gzip"),
    ],
)
def test_an_event_is_given_before_the_next_is_sent(streamed, head, parts):
    was_received = threading.Event()

    def serve(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + parts[0])
        if was_received.wait(5):
            connection.sendall(parts[1])

    received = []
    for event in streamed(serve).events():
        received.append(event.data)
        was_received.set()

    assert received == ["1", "2"]


# Blocks, lines and documents


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(chunked(b"ab", b"c"), id="chunked"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc", id="close"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b"abc"), id="gzip"
        ),
        pytest.param(
            chunked(*bytewise(gzip.compress(b"abc"))).replace(
                b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n", 1
            ),
            id="chunked gzip",
        ),
    ],
)
def test_blocks_are_the_decoded_body(streamed, sent):
    blocks = list(streamed(sent).blocks())

    assert b"".join(blocks) == b"abc"
    assert b"" not in blocks


@pytest.mark.parametrize("read", ["blocks", "lines", "json_lines", "events"])
def test_an_empty_body_has_no_parts(streamed, read):
    assert list(getattr(streamed(chunked()), read)()) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\rc\n", ["a", "b", "c"]),
        (b"\n\na\n\n", ["", "", "a", ""]),
        (b"a\n\r", ["a", ""]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"]),
        ("é漢😀\n".encode(), ["é漢😀"]),
        (b"\xc3", ["\ufffd"]),
        (b"a\r\xc3", ["a", "\ufffd"]),
    ],
    ids=["no end", "mixed", "empty", "CR", "separators", "wide", "half", "CR half"],
)
def test_lines_are_the_same_at_every_split(streamed, body, lines):
    outcomes = [
        list(server_sent_events.split_lines([body[:location], body[location:]]))
        for location in range(len(body) + 1)
    ]
    received = list(streamed(chunked(*bytewise(body))).lines())

    assert [*outcomes, received] == [lines] * (len(body) + 2)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain; charset=latin-1", "é".encode("latin-1")),
        ("text/plain; charset=utf-16", "é".encode("utf-16")),
        ("text/plain; charset=shift_jis", "漢".encode("shift_jis")),
        ("text/plain", "é".encode()),
        ("application/x-ndjson", "é".encode()),
    ],
)
def test_lines_are_read_in_the_charset_of_the_response(body_of, content_type, body):
    (line,) = body_of(body, content_type=content_type).lines()

    assert line in {"é", "漢"}


@pytest.mark.parametrize("charset", ["klingon", "hex", "rot13", "undefined", "idna", "a\0b"])
def test_no_charset_makes_lines_raise(body_of, charset):
    response = body_of("a é\nb\n".encode(), content_type="text/plain")
    response.encoding = charset

    lines = list(response.lines())

    assert len(lines) == 2


def test_a_line_end_of_four_bytes_is_one_at_every_split():
    body = "a\r\nb".encode("utf-16-le")

    lines = list(server_sent_events.split_lines(bytewise(body), "utf-16-le"))

    assert lines == ["a", "b"]


def test_a_charset_that_is_set_by_hand_wins(body_of):
    response = body_of(b"\xe9", content_type="text/plain; charset=utf-8")
    response.encoding = "latin-1"

    assert list(response.lines()) == ["é"]


def test_documents_are_read_line_by_line(body_of):
    body = '{"a": "\u2028"}\r\n\n  \n[1]\n"é"\nnull'.encode()

    documents = list(body_of(body).json_lines())

    assert documents == [{"a": "\u2028"}, [1], "é", None]


def test_documents_are_the_same_at_every_split():
    body = b"1\n\n2\r\n3"

    outcomes = [
        list(server_sent_events.split_blocks([body[:location], body[location:]]))
        for location in range(len(body) + 1)
    ]

    assert outcomes == [[b"1", b"", b"2\r", b"3"]] * len(outcomes)


def test_each_line_becomes_a_model(body_of):
    response = body_of(b'{"id": 1, "title": "a"}\n{"id": 2}\n')

    posts = list(response.json_lines(Post))

    assert posts == [Post(1, "a"), Post(2)]


def test_the_documents_of_the_sandbox_are_read(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("json-lines", stream=True) as response:
        documents = list(response.json_lines(dict[str, int]))

    assert documents == [{"number": n} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("bad", "model"),
    [
        pytest.param(b"{", None, id="cut"),
        pytest.param(b"NaN", None, id="NaN"),
        pytest.param(b"\xff", None, id="bytes"),
        pytest.param(b"[" * 100_000, None, id="deep"),
        pytest.param(b'{"id": "x"}', Post, id="model"),
    ],
)
def test_a_line_that_cannot_be_decoded_is_named(body_of, bad, model):
    response = body_of(b'{"id": 1}\n\n' + bad + b'\n{"id": 2}\n')
    documents = response.json_lines(model)
    next(documents)

    with pytest.raises(httpkit.DecodeError, match=r"line 3 .*http://127") as caught:
        next(documents)

    assert caught.value.response is response
    assert caught.value.request is response.request


# A response that was read already


@pytest.mark.parametrize(
    ("read", "parts"),
    [
        ("blocks", [b'{"number": 1}\n']),
        ("lines", ['{"number": 1}']),
        ("json_lines", [{"number": 1}]),
    ],
)
def test_a_body_in_memory_is_read_as_often_as_one_likes(sandbox, read, parts):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("json-lines?count=1")

        outcomes = [list(getattr(response, read)()) for _ in range(2)]

    assert outcomes == [parts, parts]
    assert response.json() == {"number": 1}


@pytest.mark.parametrize("read", ["blocks", "lines", "json_lines", "events"])
def test_a_stream_that_was_read_is_not_empty_when_it_is_read_again(sandbox, read):
    with httpkit.Session(sandbox.url) as api, api.get("json-lines", stream=True) as response:
        list(response.blocks())

        with pytest.raises((requests.exceptions.StreamConsumedError, RuntimeError)):
            list(getattr(response, read)())


def test_a_stream_that_was_left_half_read_does_not_go_on(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("lines?count=9", stream=True) as response:
        next(response.lines())

        with pytest.raises((requests.exceptions.StreamConsumedError, RuntimeError)):
            list(response.lines())


def test_the_content_of_a_stream_that_was_read_is_refused(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("lines", stream=True) as response:
        list(response.lines())

        with pytest.raises(RuntimeError, match="consumed"):
            _ = response.content


# The connection


ENDLESS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
every_reading = pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda r: r.blocks(), id="blocks"),
        pytest.param(lambda r: r.lines(), id="lines"),
        pytest.param(lambda r: r.json_lines(lambda line: line), id="json_lines"),
        pytest.param(lambda r: r.events(), id="events"),
    ],
)


@pytest.fixture
def listener(request):
    is_json = "json_lines" in request.node.name
    return Listener(ENDLESS.replace(b"data: 1", b"1234567") if is_json else ENDLESS)


@every_reading
def test_a_break_frees_the_connection_at_once(streamed, listener, read):
    response = streamed(listener)

    for _ in read(response):
        break

    assert listener.was_left.wait(10)


@every_reading
def test_an_exception_in_the_loop_frees_the_connection(streamed, listener, read):
    response = streamed(listener)

    with suppress(KeyError):
        for _ in read(response):
            raise KeyError

    assert listener.was_left.wait(10)


def test_leaving_the_block_frees_the_connection_of_an_iterator_that_is_kept(streamed, listener):
    with streamed(listener) as response:
        parts = response.events()
        next(parts)

    assert listener.was_left.wait(10)
    parts.close()


def test_a_line_that_cannot_be_decoded_frees_the_connection(streamed):
    listener = Listener(ENDLESS)
    response = streamed(listener)

    with pytest.raises(httpkit.DecodeError):
        list(response.json_lines())

    assert listener.was_left.wait(10)


def test_after_a_break_the_rest_of_the_body_is_not_the_next_response(raw_server, make_response):
    forged = make_response(body=b'"forged"')

    def serve(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n1\n")
        if connection.recv(65536):
            connection.sendall(forged)

    server = raw_server(serve, make_response(body=b'"own"'))

    with httpkit.Session(server.url, retry=None, timeout=(2, 2)) as api:
        for _ in api.get("", stream=True).lines():
            break
        second = api.post("", json={})

    assert second.json() == "own"


@pytest.mark.parametrize("path", ["bytes/100", "events", "gzip", "bytes/0", "empty"])
def test_a_stream_that_was_exhausted_leaves_its_connection_for_the_next(raw_server, path, sandbox):
    with httpkit.Session(sandbox.url) as api:
        for _ in range(3):
            list(api.get(path, stream=True).blocks())

        pools = api.get_adapter(sandbox.url).poolmanager.pools
        counts = [pools[key].num_connections for key in pools.keys()]  # noqa: SIM118 - not a dict

    assert counts == [1]


# Streams that break off


@pytest.mark.parametrize(
    ("sent", "cls"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n1\n",
            requests.exceptions.ChunkedEncodingError,
            id="length",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n1\n",
            requests.exceptions.ChunkedEncodingError,
            id="chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n1\n\r\n",
            requests.exceptions.ChunkedEncodingError,
            id="last chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n1\n\r\n",
            requests.exceptions.ChunkedEncodingError,
            id="chunk size",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
            requests.exceptions.ContentDecodingError,
            id="no gzip",
        ),
    ],
)
def test_a_stream_that_breaks_off_is_a_typed_error_with_its_request(streamed, sent, cls):
    response = streamed(sent)

    with pytest.raises(cls) as caught:
        list(response.blocks())

    assert caught.value.request is response.request
    with pytest.raises(cls):
        list(response.blocks())


@every_reading
def test_every_reading_notices_a_server_that_hangs_up(sandbox, read):
    with httpkit.Session(sandbox.url, retry=None) as api:
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
            list(read(api.get("json-lines?drop=20", stream=True)))
        following = api.get("posts/1")

    assert following.json()["id"] == 1
    assert caught.value.request.url == sandbox.url + "/json-lines?drop=20"


def test_what_came_before_the_break_is_given(sandbox):
    received = []
    with httpkit.Session(sandbox.url, retry=None) as api:
        response = api.get("json-lines?drop=20", stream=True)
        with suppress(requests.exceptions.ChunkedEncodingError):
            for document in response.json_lines():
                received.append(document)  # noqa: PERF402 - a list() would be lost

    assert received == [{"number": 1}]


def test_a_stream_that_stalls_is_a_timeout_and_frees_the_connection(raw_server, listener):
    server = raw_server(listener)

    with httpkit.Session(server.url, retry=None, timeout=(1, 0.05)) as api:
        response = api.get("", stream=True)
        with pytest.raises(requests.Timeout) as caught:
            list(response.events())

        assert caught.value.request is response.request
        assert listener.was_left.wait(10)


# What is left unread, and what never ends


@pytest.mark.parametrize(
    "read",
    [
        lambda answer: list(answer.iter_content(10)),
        lambda answer: list(answer.blocks()),
        lambda answer: list(answer.lines()),
        lambda answer: answer.content,
    ],
    ids=["iter_content", "blocks", "lines", "content"],
)
def test_a_body_that_was_left_unread_is_not_taken_for_an_empty_one(sandbox, read):
    with httpkit.Session(sandbox.url) as api:
        with api.get("lines?count=9", stream=True) as response:
            pass

        with pytest.raises(requests.exceptions.StreamConsumedError, match="closed before"):
            read(response)


def test_a_body_that_was_read_whole_ends_although_it_was_closed(raw_server, make_response):
    server = raw_server(make_response(body=b"hello"))

    with httpkit.Session(server.url) as api, api.get("x", stream=True) as response:
        parts = response.iter_content(5)
        first = next(parts)
        response.close()

        assert [first, *parts] == [b"hello"]


READING_LINES = pytest.mark.parametrize(
    ("read", "line"),
    [
        (lambda response: response.lines(), b"%s\n"),
        (lambda response: response.json_lines(), b'"%s"\n'),
        (lambda response: response.events(), b"data: %s\n\n"),
    ],
    ids=["lines", "json_lines", "events"],
)


@READING_LINES
def test_a_stream_may_be_longer_than_a_line_of_it_may_be(raw_server, make_response, read, line):
    server = raw_server(make_response(body=line % (b"x" * 900) * 50))

    with httpkit.Session(server.url, max_body=1000) as api, api.get("x", stream=True) as response:
        assert len(list(read(response))) == 50


@READING_LINES
def test_a_line_over_max_body_is_refused_and_frees_the_connection(raw_server, read, line):
    was_left = threading.Event()

    def serve(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + (line % (b"x" * 2000)).strip())
        if not connection.recv(1):
            was_left.set()

    server = raw_server(serve)

    with httpkit.Session(server.url, max_body=1000) as api:
        response = api.get("x", stream=True)
        with pytest.raises(httpkit.BodyTooLargeError, match="max_body=1000"):
            list(read(response))

        assert was_left.wait(10)


def test_without_max_body_a_line_may_have_any_length(raw_server, make_response):
    server = raw_server(make_response(body=b"x" * 300_000))

    with (
        httpkit.Session(server.url, max_body=None) as api,
        api.get("x", stream=True) as response,
    ):
        assert [len(line) for line in response.lines()] == [300_000]


def test_an_error_about_a_line_pickles_though_the_rest_of_its_stream_is_broken(
    raw_server, make_response
):
    # Both in one block: the second member, which is cut, is found when the first line is wrong.
    members = gzip.compress(b"a\n") + b"\r\n" + gzip.compress(b"b")
    server = raw_server(make_response(body=members, content_encoding="gzip"))
    with httpkit.Session(server.url) as api, api.get("", stream=True) as response:
        with pytest.raises(httpkit.DecodeError) as caught:
            list(response.json_lines())

        twin = pickle.loads(pickle.dumps(caught.value))

    assert str(twin) == str(caught.value)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        pytest.param(lambda r: list(r.json_lines()), b"{no\n", id="no JSON"),
        pytest.param(lambda r: list(r.lines()), b"x" * 2000, id="too large a line"),
        pytest.param(lambda r: list(r.events()), b"data: " + b"x" * 2000, id="too large an event"),
    ],
)
def test_an_error_about_a_line_ends_its_stream_and_pickles_at_once(raw_server, read, line):
    listener = Listener(b"HTTP/1.1 200 OK\r\n\r\n" + line)
    server = raw_server(listener)
    with httpkit.Session(server.url, max_body=1000) as api:
        response = api.get("", stream=True)
        with pytest.raises(requests.RequestException) as caught:
            read(response)

        assert listener.was_left.wait(5)
        twin = pickle.loads(pickle.dumps(caught.value))

    assert str(twin) == str(caught.value)


# What is not an event stream, and a last event without its blank line


@pytest.mark.parametrize(
    ("body", "cls"),
    [(b'{"a": 1}', "application/json"), (b"<html>log in", "text/html"), (b"[]", None)],
)
def test_a_body_that_is_not_an_event_stream_raises(body_of, body, cls):
    response = body_of(body, **({"content_type": cls} if cls else {}))

    with pytest.raises(httpkit.DecodeError, match="not an event stream"):
        list(response.events())


@pytest.mark.parametrize("cls", ["text/event-stream", "text/plain"])
def test_an_event_stream_of_any_type_without_events_is_empty(body_of, cls):
    assert list(body_of(b": hello\n\n", content_type=cls).events()) == []
    assert list(body_of(b"", content_type=cls).events()) == []


@pytest.mark.parametrize(
    ("head", "body", "events"),
    [
        (b"content-length: 8", b"data: 1\n", [Event("1")]),
        (b"transfer-encoding: chunked", b"8\r\ndata: 1\n\r\n0\r\n\r\n", [Event("1")]),
        (b"connection: close", b"data: 1\n", []),
    ],
    ids=["length", "chunked", "close"],
)
def test_the_last_event_is_given_where_the_body_is_known_to_be_whole(
    raw_server, head, body, events
):
    sent = b"HTTP/1.1 200 OK\r\n" + head + b"\r\ncontent-type: text/event-stream\r\n\r\n" + body
    server = raw_server(sent)

    with httpkit.Session(timeout=5) as api, api.get(server.url, stream=True) as response:
        assert list(response.events()) == events


def test_a_last_event_that_was_cut_raises(raw_server):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ncontent-type: text/event-stream\r\n\r\n"
    server = raw_server(head + b"data: 1\n")

    with (
        httpkit.Session(timeout=5) as api,
        api.get(server.url, stream=True) as response,
        pytest.raises(requests.RequestException),
    ):
        list(response.events())
