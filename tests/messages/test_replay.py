"""What the server receives when a body is sent more than once: the same bytes, or nothing."""

import array
import gzip
import io
import os
import socket
import struct
import threading
import warnings
from collections import deque
from contextlib import closing, suppress

import pytest
import requests

import httpkit

# 16 bytes in UTF-8, with what breaks on the way: a line break of two bytes, non-ASCII letters.
CONTENT = "héllo\r\nwörld\r\n"
BYTES = CONTENT.encode()


def session(url: str, **options) -> httpkit.Session:
    """A session for which a server that waits for more of a body is soon an error."""
    return httpkit.Session(url, **{"timeout": 1} | options)


@pytest.fixture
def file(tmp_path):
    """A file that holds BYTES."""
    path = tmp_path / "body.bin"
    path.write_bytes(BYTES)
    return path


class Afresh:
    """An iterable that begins anew each time."""

    def __iter__(self):
        return iter([b"one ", b"two ", b"three"])


class AfreshWithLength(Afresh):
    def __len__(self):
        return 13


class ReadOnly:
    """Something with `read` and nothing else."""

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)


class ReadByLine(ReadOnly):
    """Something with `read` that iterates over itself, as files do, but cannot seek."""

    def __iter__(self):
        return self

    def __next__(self) -> bytes:
        if line := self._source.readline():
            return line
        raise StopIteration


class Untold(io.BytesIO):
    """A file that does not know where it is."""

    def tell(self) -> int:
        raise OSError("illegal seek")


class Stuck(io.BytesIO):
    """A file that knows where it is but cannot go back."""

    def seek(self, *args) -> int:
        raise OSError("illegal seek")


def opened(path, position: int = 0):
    source = path.open("rb")
    source.seek(position)
    return source


def buffered(position: int) -> io.BytesIO:
    source = io.BytesIO(BYTES)
    source.seek(position)
    return source


# Each makes a body from the path of a file with BYTES.
REPLAYABLE = {
    "bytes": (lambda _: b"\x00\xff", b"\x00\xff"),
    "text": (lambda _: CONTENT, BYTES),
    "form": (lambda _: {"name": "é b", "tags": [1, 2]}, b"name=%C3%A9+b&tags=1&tags=2"),
    "pairs": (lambda _: [("a", "1"), ("a", "2")], b"a=1&a=2"),
    "open file": (opened, BYTES),
    "file at an offset": (lambda path: opened(path, 3), BYTES[3:]),
    "BytesIO": (lambda _: buffered(0), BYTES),
    "BytesIO at an offset": (lambda _: buffered(5), BYTES[5:]),
    "BytesIO at its end": (lambda _: buffered(len(BYTES)), b""),
    "compressed file": (lambda _: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(BYTES))), BYTES),
    "re-iterable": (lambda _: Afresh(), b"one two three"),
    "re-iterable with a length": (lambda _: AfreshWithLength(), b"one two three"),
    "bytearray": (lambda _: bytearray(BYTES), BYTES),
    "memoryview": (lambda _: memoryview(BYTES), BYTES),
}
replayable = pytest.mark.parametrize(
    ("make", "expected"), REPLAYABLE.values(), ids=REPLAYABLE.keys()
)

# Their `len` is not the number of bytes.
MISCOUNTED = {
    "blocks in a deque": (lambda _: deque([BYTES[:4], BYTES[4:]]), BYTES),
    "blocks in a set": (lambda _: {BYTES}, BYTES),
    "buffer of wide items": (lambda _: array.array("I", [1, 2]), struct.pack("II", 1, 2)),
    "text in memory": (lambda _: io.StringIO(CONTENT, newline=""), BYTES),
}
miscounted = pytest.mark.parametrize(
    ("make", "expected"), MISCOUNTED.values(), ids=MISCOUNTED.keys()
)

ONCE = {
    "generator": lambda _: (block for block in [BYTES[:4], BYTES[4:]]),
    "iterator": lambda _: iter([BYTES[:4], BYTES[4:]]),
    "map": lambda _: map(bytes, [BYTES[:4], BYTES[4:]]),
    "reader": lambda _: ReadByLine(BYTES),
    "file that cannot tell": lambda _: Untold(BYTES),
    "file that cannot seek": lambda _: Stuck(BYTES),
    "pipe": lambda path: pipe(path.read_bytes()),
}
once = pytest.mark.parametrize("make", ONCE.values(), ids=ONCE.keys())


def pipe(content: bytes):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return os.fdopen(reading, "rb")


@pytest.fixture
def body(make, file):
    """The body that the test is parametrised with; it is closed afterwards."""
    made = make(file)
    yield made
    if hasattr(made, "close"):
        made.close()


def framing(seen) -> tuple[str | None, str | None]:
    return seen.headers.get("Content-Length"), seen.headers.get("Transfer-Encoding")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# Bodies that can be sent again


@replayable
def test_a_body_arrives_whole(sandbox, body, expected):
    with session(sandbox.url) as api:
        api.put("echo", data=body)

    assert [request.body for request in sandbox.requests] == [expected]


@replayable
def test_every_attempt_sends_the_same_bytes(sandbox, body, expected):
    with session(sandbox.url) as api:
        response = api.put("flaky/a", data=body)

    assert response.attempts == 3
    assert [request.body for request in sandbox.requests] == [expected] * 3
    assert len({framing(request) for request in sandbox.requests}) == 1


@replayable
def test_a_lost_connection_is_followed_by_the_same_bytes(raw_server, make_response, body, expected):
    server = raw_server(None, reset, make_response())

    with session(server.url) as api:
        api.put("x", data=body)

    first, *others = server.requests
    assert others == [first, first]


@miscounted
def test_a_body_is_never_cut_by_a_wrong_length(sandbox, body, expected):
    with session(sandbox.url) as api:
        api.put("flaky/a", data=body)

    assert [request.body for request in sandbox.requests] == [expected] * 3


def test_a_view_of_pairs_is_a_form(sandbox):
    with session(sandbox.url) as api:
        api.put("flaky/a", data={"a": 1, "b": "é"}.items())

    assert [request.body for request in sandbox.requests] == [b"a=1&b=%C3%A9"] * 3


def test_json_is_sent_again(sandbox):
    with session(sandbox.url) as api:
        api.put("flaky/a", json={"name": "é", "tags": [1, None]})

    assert [request.json for request in sandbox.requests] == [{"name": "é", "tags": [1, None]}] * 3
    assert len({request.body for request in sandbox.requests}) == 1


@pytest.mark.parametrize("position", [0, 5])
def test_a_multipart_form_is_sent_again(sandbox, file, position):
    with session(sandbox.url) as api, opened(file, position) as source:
        response = api.put(
            "flaky/a", files={"file": ("a.bin", source, "application/x-a")}, data={"title": "x"}
        )

    assert response.attempts == 3
    assert len({request.body for request in sandbox.requests}) == 1
    assert len({request.headers["Content-Type"] for request in sandbox.requests}) == 1
    for request in sandbox.requests:
        assert b"\r\n\r\n" + BYTES[position:] + b"\r\n--" in request.body
        assert request.headers["Content-Length"] == str(len(request.body))


def test_a_multipart_form_with_a_key_may_be_posted_again(sandbox, file):
    with session(sandbox.url) as api, opened(file) as source:
        api.post("flaky/a", files={"file": source}, idempotency_key=True)

    assert [BYTES in request.body for request in sandbox.requests] == [True] * 3
    assert len({request.body for request in sandbox.requests}) == 1


def test_a_large_file_is_sent_again_after_a_reset_in_the_middle(tmp_path, make_response):
    content = os.urandom(1 << 20)
    path = tmp_path / "large"
    path.write_bytes(content)
    received = []

    def serve() -> None:
        for is_last in (False, True):
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream, suppress(OSError):
                while stream.readline().strip():
                    pass
                if not is_last:
                    stream.read(1000)
                    reset(connection)
                    continue
                received.append(stream.read(len(content)))
                connection.sendall(make_response())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with session(url) as api, path.open("rb") as source:
            response = api.put("x", data=source)
        server.join(5)

    assert (response.attempts, received == [content]) == (2, True)


def test_a_file_is_left_open_for_its_owner(sandbox, file):
    with session(sandbox.url) as api, opened(file) as source:
        api.put("flaky/a", data=source)

        assert not source.closed


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_file_that_was_never_sent_is_sent_for_any_method(raw_server, make_response, file, method):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with (
            session(nobody) as api,
            opened(file, 3) as source,
            pytest.raises(requests.ConnectionError) as caught,
        ):
            api.request(method, "x", data=source)

    assert caught.value.attempts == 3


# Bodies that can be read only once


@once
def test_a_body_that_can_be_read_once_is_sent_once(sandbox, body):
    with session(sandbox.url) as api:
        response = api.put("echo", data=body)

    assert (response.attempts, [request.body for request in sandbox.requests]) == (1, [BYTES])


@once
def test_a_body_that_can_be_read_once_is_never_repeated(sandbox, waits, body):
    with (
        session(sandbox.url) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.put("flaky/a", data=body)

    assert [request.body for request in sandbox.requests] == [BYTES]
    assert "the body" in f"{caught.value} {caught.value.stop_reason}"


@once
def test_a_body_that_can_be_read_once_is_not_repeated_after_a_lost_connection(raw_server, body):
    server = raw_server(None)

    with (
        session(server.url) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.put("x", data=body)

    assert len(server.requests) == 1
    assert "the body" in f"{caught.value} {caught.value.stop_reason}"


def test_a_rejection_to_repeat_keeps_the_response(sandbox, waits):
    with session(sandbox.url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.put("flaky/a", data=iter([b"body"]))

    assert (caught.value.status_code, caught.value.attempts, waits) == (503, 1, [])
    assert "read only once" in caught.value.stop_reason


def test_a_key_does_not_make_a_generator_repeatable(sandbox):
    with session(sandbox.url) as api:
        response = api.post(
            "flaky/a", data=(b for b in [b"x"]), idempotency_key=True, raise_for_status=False
        )

    assert (response.attempts, [request.body for request in sandbox.requests]) == (1, [b"x"])


def test_a_reader_without_iteration_is_sent_or_refused_but_never_empty(sandbox):
    with session(sandbox.url) as api, suppress(ValueError, requests.RequestException):
        api.put("echo", data=ReadOnly(BYTES))

    assert [request.body for request in sandbox.requests] in ([], [BYTES])


# Bodies that cannot be sent at all


def test_a_closed_file_is_refused_before_sending(sandbox, file):
    source = opened(file)
    source.close()

    with session(sandbox.url) as api, pytest.raises(ValueError, match="closed"):
        api.put("echo", data=source)

    assert sandbox.requests == []


def test_a_closed_file_in_a_form_is_refused_before_sending(sandbox, file):
    source = opened(file)
    source.close()

    with session(sandbox.url) as api, pytest.raises(ValueError, match="closed"):
        api.put("echo", files={"file": source})

    assert sandbox.requests == []


def test_a_file_closed_between_attempts_is_not_sent_empty(sandbox, file):
    source = opened(file)
    policy = httpkit.RetryPolicy(on_retry=lambda event: source.close())

    with (
        session(sandbox.url, retry=policy) as api,
        pytest.raises(requests.RequestException),
    ):
        api.put("flaky/a", data=source)

    assert [request.body for request in sandbox.requests] == [BYTES]


@pytest.mark.parametrize(
    "mode",
    [{"encoding": "utf-8"}, {"encoding": "utf-8", "newline": ""}, {"encoding": "latin-1"}],
    ids=["translated line breaks", "as it is", "other encoding"],
)
def test_a_text_file_is_sent_whole_or_refused_but_never_cut(sandbox, file, mode):
    with (
        session(sandbox.url, timeout=0.1, retry=None) as api,
        file.open(**mode) as source,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # requests warns of text files
        meant = source.read().encode()
        source.seek(0)

        with suppress(ValueError):
            api.put("echo", data=source)

    assert [request.body for request in sandbox.requests] in ([], [BYTES], [meant])


@pytest.mark.parametrize(
    "body",
    [
        {"data": ["a", "b"]},
        {"data": range(3)},
        {"data": 7},
        {"data": b"x", "files": 7},
        {"data": iter([b"x"]), "files": {"a": b"x"}},
        {"files": {"a": iter([b"x"])}},
        {"json": object()},
        {"json": {"a": {1}}},
        {"json": float("nan")},
        {"data": "\ud800"},
    ],
    ids=lambda body: " ".join(f"{name}={value!r}"[:20] for name, value in body.items()),
)
def test_a_body_that_makes_no_sense_is_refused_before_sending(sandbox, body):
    with (
        session(sandbox.url) as api,
        pytest.raises((ValueError, requests.RequestException)) as caught,
    ):
        api.put("echo", **body)

    assert not isinstance(caught.value, UnicodeError)
    assert sandbox.requests == []


# The same prepared request, sent again


def ours(api, request):
    return api.prepare_request(request)


def theirs(api, request):
    return request.prepare()


preparing = pytest.mark.parametrize(
    "prepare", [ours, theirs], ids=["prepared by us", "prepared by requests"]
)


@preparing
@replayable
def test_a_prepared_request_may_be_sent_twice(sandbox, body, expected, prepare):
    with session(sandbox.url, timeout=0.2, retry=None) as api:
        prepared = prepare(api, requests.Request("PUT", f"{sandbox.url}/echo", data=body))
        api.send(prepared)
        api.send(prepared)

    assert [request.body for request in sandbox.requests] == [expected] * 2


@preparing
def test_a_prepared_request_with_a_generator_is_sent_only_once(sandbox, prepare):
    body = (block for block in [b"one ", b"two"])

    with session(sandbox.url) as api:
        prepared = prepare(api, requests.Request("PUT", f"{sandbox.url}/echo", data=body))
        api.send(prepared)
        with pytest.raises(requests.RequestException, match="generator"):
            api.send(prepared)

    assert [request.body for request in sandbox.requests] == [b"one two"]


def test_a_copy_of_a_prepared_request_does_not_send_its_generator_again(sandbox):
    with session(sandbox.url) as api:
        body = (block for block in [b"one ", b"two"])
        prepared = api.prepare_request(requests.Request("PUT", "echo", data=body))
        twin = prepared.copy()
        api.send(prepared)
        with pytest.raises(requests.RequestException, match="generator"):
            api.send(twin)

    assert [request.body for request in sandbox.requests] == [b"one two"]


def test_a_prepared_request_begins_where_its_file_was_when_prepared(sandbox, file):
    with session(sandbox.url) as api, opened(file, 3) as source:
        prepared = api.prepare_request(requests.Request("PUT", "echo", data=source))
        source.read()
        api.send(prepared)

    assert [request.body for request in sandbox.requests] == [BYTES[3:]]


# Requests' documentation shows `prepared.body = ...`; each is as long as b"original".
REPLACEMENTS = {
    "bytes": (lambda: b"replaced", 3),
    "file": (lambda: io.BytesIO(b"replaced"), 3),
    "generator": (lambda: (block for block in [b"repl", b"aced"]), 1),
}
replacing = pytest.mark.parametrize(
    ("replace", "attempts"), REPLACEMENTS.values(), ids=REPLACEMENTS.keys()
)


@preparing
@replacing
def test_a_body_put_in_by_hand_is_never_emptied(sandbox, prepare, replace, attempts):
    with session(sandbox.url) as api:
        url = f"{sandbox.url}/flaky/a"
        prepared = prepare(api, requests.Request("PUT", url, data=b"original"))
        prepared.body = replace()
        api.send(prepared)

    assert [request.body for request in sandbox.requests] == [b"replaced"] * attempts


@preparing
@replacing
def test_a_body_put_in_after_the_first_sending_is_sent(sandbox, prepare, replace, attempts):
    with session(sandbox.url) as api:
        url = f"{sandbox.url}/echo"
        body = (block for block in [b"original"])
        prepared = prepare(api, requests.Request("PUT", url, data=body))
        api.send(prepared)
        prepared.body = replace()
        api.send(prepared)

    assert [request.body for request in sandbox.requests] == [b"original", b"replaced"]


# A rejected signature


def rotating():
    """A token that is right the second time it is asked for."""
    tokens = iter(["outdated-token", *["sandbox-token"] * 9])
    return httpkit.BearerAuth(lambda: next(tokens))


@replayable
def test_a_renewed_signature_is_sent_with_the_same_bytes(sandbox, body, expected):
    with session(sandbox.url, auth=rotating()) as api:
        response = api.put("bearer/echo", data=body)

    assert response.status_code == 200
    assert [request.body for request in sandbox.requests] == [expected] * 2


def test_a_renewed_signature_never_comes_with_an_emptied_body(sandbox):
    with (
        session(sandbox.url, auth=rotating()) as api,
        closing(pipe(BYTES)) as body,
        pytest.raises(httpkit.UnauthorizedError),
    ):
        api.put("bearer/echo", data=body)

    assert [request.body for request in sandbox.requests] == [BYTES]
