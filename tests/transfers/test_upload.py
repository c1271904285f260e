"""Every attempt sends the same bytes, and what is not whole never looks whole to the server."""

import base64
import gc
import hashlib
import io
import mimetypes
import mmap
import os
import re
import socket
import stat
import struct
import threading
import tracemalloc
from contextlib import suppress
from email.parser import BytesParser
from pathlib import Path

import pytest
import requests
import urllib3
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor

import httpkit
from httpkit._diagnostics.errors import (
    ChecksumError,
    ContentTooLargeError,
    RedirectError,
    TransferError,
)
from httpkit.testing import FakeClock
from tests.support.platforms import not_on_windows
from tests.support.sockets import hang_up


def noise(seed, size):
    """Return bytes that look random and are the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


# More than one block and no multiple of one; and what fits into one.
LARGE, SMALL = noise(1, (1 << 20) + 12_345), noise(2, 1000)
# More than the sockets of both sides hold: whoever sends it must wait for who reads it.
HUGE = 64 << 20
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
BUSY = OK.replace(b"200 OK", b"503 Service Unavailable")


@pytest.fixture
def api(sandbox):
    with httpkit.Session(sandbox.url) as session:
        yield session


@pytest.fixture
def path(tmp_path):
    """A file that holds LARGE."""
    file = tmp_path / "film.mp4"
    file.write_bytes(LARGE)
    return file


@pytest.fixture
def huge(tmp_path):
    """A file of HUGE zeros that takes no room."""
    file = tmp_path / "huge"
    with file.open("wb") as opened:
        opened.truncate(HUGE)
    return file


@pytest.fixture
def listening():
    """Start servers that hand each connection, its head read, to a function."""
    listeners, threads = [], []

    def start(serve, *, buffer=1 << 16):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listeners.append(listener)

        def handle(connection):
            with connection, connection.makefile("rb") as stream:
                head = b""
                while line := stream.readline().strip():
                    head += line + b"\r\n"
                with suppress(OSError):
                    serve(connection, stream, head)

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(10)
                    threads.append(threading.Thread(target=handle, args=(connection,), daemon=True))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        hang_up(listener)
        listener.close()
    for thread in threads:
        thread.join(10)


def reset(connection):
    """Let the end of a connection be a reset, not an orderly one."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def bodies(sandbox):
    """Return the bodies that arrived whole, once nobody writes to the list any more."""
    sandbox.close()
    return [request.body for request in sandbox.requests]


def parts(seen):
    """Return what is in a form, read by somebody else's parser: (headers, content) each."""
    head = f"Content-Type: {seen.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + seen.body)
    return [(dict(part.items()), part.get_payload(decode=True)) for part in message.get_payload()]


def open_files():
    gc.collect()
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder itself is closed by now
            found.append(str(path.readlink()))
    return sorted(found)


class Afresh:
    """An iterable that begins anew each time."""

    def __init__(self, *blocks):
        self.blocks = blocks

    def __iter__(self):
        return iter(self.blocks)


def opened(path, position=0):
    file = path.open("rb")
    file.seek(position)
    return file


def buffered(content, position=0):
    file = io.BytesIO(content)
    file.seek(position)
    return file


def mapped(path):
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def pipe(content):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return os.fdopen(reading, "rb")


BLOCKS = [LARGE[:10], b"", LARGE[10:500_000], LARGE[500_000:]]
# Each makes a source from the path of a file with LARGE; the bytes it holds; is the size known?
SOURCES = {
    "path as text": (str, LARGE, True),
    "path": (lambda path: path, LARGE, True),
    "bytes": (lambda _: LARGE, LARGE, True),
    "memoryview": (lambda _: memoryview(SMALL)[::2], SMALL[::2], True),
    "file at an offset": (lambda path: opened(path, 70_001), LARGE[70_001:], True),
    "BytesIO at an offset": (lambda _: buffered(LARGE, 3), LARGE[3:], True),
    "map of a file": (mapped, LARGE, True),
    "pipe": (lambda _: pipe(SMALL), SMALL, False),
    "re-iterable": (lambda _: Afresh(*BLOCKS), LARGE, False),
    "generator": (lambda _: (block for block in BLOCKS), LARGE, False),
    "callable": (lambda _: lambda: iter(BLOCKS), LARGE, False),
    "zero bytes": (lambda _: b"", b"", True),
    "empty generator": (lambda _: iter([]), b"", False),
}


def sources(*names):
    """Give a test these sources, or every one."""
    chosen = names or tuple(SOURCES)
    return pytest.mark.parametrize(
        ("make", "expected", "has_size"), [SOURCES[name] for name in chosen], ids=chosen
    )


@pytest.fixture
def source(make, path):
    """The source that the test is parametrised with; it is closed afterwards."""
    made = make(path)
    yield made
    if hasattr(made, "close"):
        made.close()


# What arrives


@sources()
def test_a_source_arrives_as_the_body(api, sandbox, source, expected, has_size):
    api.upload("echo", source)

    (seen,) = sandbox.requests
    assert seen.method == "PUT"
    assert seen.body == expected
    length = str(len(expected)) if has_size else None
    assert seen.headers.get("Content-Length") == length
    assert seen.headers.get("Transfer-Encoding") == (None if has_size else "chunked")


@sources("file at an offset", "generator", "zero bytes")
def test_a_source_arrives_as_a_file_in_a_form(api, sandbox, source, expected, has_size):
    api.upload("echo", source, field="film", filename="a.bin", data={"title": "é", "tags": [1, 2]})

    (seen,) = sandbox.requests
    *values, (fields, content) = parts(seen)
    assert seen.method == "POST"
    assert content == expected
    assert fields["Content-Disposition"] == 'form-data; name="film"; filename="a.bin"'
    assert [(value["Content-Disposition"], text) for value, text in values] == [
        ('form-data; name="title"', "é".encode()),
        ('form-data; name="tags"', b"1"),
        ('form-data; name="tags"', b"2"),
    ]
    assert seen.headers.get("Content-Length") == (str(len(seen.body)) if has_size else None)


@pytest.mark.parametrize(
    ("name", "media_type", "field"),
    [
        ("a.tar.gz", "application/gzip", None), ("a.csv.bz2", "application/x-bzip2", "f"),
        ("a.png", "image/png", "f"), ("a.no-such-type", "application/octet-stream", None),
    ],
)  # fmt: skip
def test_a_type_is_guessed_by_the_name(api, sandbox, tmp_path, name, media_type, field):
    (tmp_path / name).write_bytes(SMALL)

    api.upload("echo", tmp_path / name, field=field)

    (seen,) = sandbox.requests
    fields = parts(seen)[0][0] if field else seen.headers
    assert fields["Content-Type"] == media_type


@pytest.mark.parametrize("media_type", ["text/plain\r\nX-Evil: 1", "ж/ж"])
def test_what_is_no_media_type_is_refused(api, sandbox, media_type):
    with pytest.raises(ValueError, match="content_type"):
        api.upload("echo", SMALL, field="f", content_type=media_type)

    assert sandbox.requests == []


@pytest.mark.parametrize("where", ["field", "filename", "data"])
def test_a_name_never_ends_its_quotes(api, sandbox, where):
    evil = 'a"; filename="b"\r\nX-Evil: 1\r\n\r\né'
    given = {"field": "f", "filename": "n", "data": {"d": "v"}}
    given |= {where: {evil: "v"} if where == "data" else evil}

    api.upload("echo", SMALL, **given)

    found = parts(sandbox.requests[0])
    assert [content for _, content in found] == [b"v", SMALL]
    assert [len(fields) for fields, _ in found] == [1, 2]
    dispositions = "".join(str(fields["Content-Disposition"]) for fields, _ in found)
    assert dispositions.count('"') == 6
    assert not re.search(r"[\r\n]", dispositions)


@not_on_windows("its names are UTF-16")
def test_a_file_whose_name_is_no_text_is_sent(api, sandbox, tmp_path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.bin"))
    file.write_bytes(SMALL)

    api.upload("echo", file, field="f")

    assert parts(sandbox.requests[0])[0][1] == SMALL


def test_a_form_sends_its_boundary_despite_the_sessions_content_type(sandbox):
    with httpkit.Session(sandbox.url, headers={"Content-Type": "application/json"}) as api:
        api.upload("echo", SMALL, field="f")

    assert "boundary=" in sandbox.requests[0].headers["Content-Type"]


@sources("path", "file at an offset")
def test_size_takes_the_first_bytes(api, sandbox, source, expected, has_size):
    api.upload("echo", source, size=100)

    (seen,) = sandbox.requests
    assert (seen.body, seen.headers["Content-Length"]) == (expected[:100], "100")


@pytest.mark.parametrize("size", [999, 1001, 0], ids=["more", "less", "any"])
def test_a_source_that_has_not_its_size_never_arrives(api, sandbox, size):
    with pytest.raises(TransferError):
        api.upload("echo", iter([SMALL]), size=size)

    assert bodies(sandbox) == []


@sources("path", "file at an offset")
def test_a_source_that_is_too_short_is_refused_at_once(api, sandbox, source, expected, has_size):
    with pytest.raises(TransferError, match="size="):
        api.upload("echo", source, size=len(LARGE) + 1)

    assert sandbox.requests == []


def test_a_stream_is_not_read_further_than_its_size(api, raw_server):
    reading, writing = os.pipe()
    os.write(writing, b"first second")

    with os.fdopen(reading, "rb", buffering=0) as stream:
        api.upload(raw_server(OK).url, stream, size=6)
        os.close(writing)
        left = stream.read()

    assert left == b"second"


# Progress


def test_progress_goes_from_nothing_to_all(api, path):
    heard = []

    api.upload("echo", path, progress=lambda p: heard.append((p.done, p.total)))

    assert heard[0] == (0, len(LARGE))
    assert heard[-1] == (len(LARGE), len(LARGE))


def test_progress_starts_over_with_each_attempt(api, path):
    heard = []
    policy = httpkit.RetryPolicy(on_retry=lambda _: heard.append("again"))

    api.upload("flaky/a?fail=2", path, retry=policy, progress=lambda p: heard.append(p.done))

    assert heard.count("again") == 2
    assert heard[-1] == len(LARGE)


class Bar:
    """What tqdm has."""

    def __init__(self):
        self.total, self.n = None, 0

    def update(self, n=1):
        self.n += n


def test_a_bar_ends_at_the_total_even_after_a_retry(api, path):
    bar = Bar()

    api.upload("flaky/a?fail=2", path, progress=bar)

    assert (bar.n, bar.total) == (len(LARGE), len(LARGE))


# The same bytes again


def rotating():
    """A token that is right the second time it is asked for."""
    tokens = iter(["outdated-token", *["sandbox-token"] * 9])
    return httpkit.BearerAuth(lambda: next(tokens))


AGAIN = {
    "503 twice": ("flaky/a?fail=2&status=503", {}, 3),
    "429": ("flaky/a?fail=1&status=429", {}, 2),
    "lost connection": ("flaky/a?fail=1&status=drop", {}, 2),
    "307": ("redirect?to=/echo&status=307", {}, 2),
    "308": ("redirect?to=/echo&status=308", {}, 2),
    "401": ("bearer/echo", {"auth": rotating}, 2),
}
again = pytest.mark.parametrize(("url", "options", "times"), AGAIN.values(), ids=AGAIN.keys())


@again
def test_every_attempt_sends_the_same_bytes(api, sandbox, path, url, options, times):
    made = {name: value() for name, value in options.items()}

    with opened(path, 70_001) as source:
        api.upload(url, source, **made)

    assert [request.body == LARGE[70_001:] for request in sandbox.requests] == [True] * times
    assert len({request.headers["Content-Length"] for request in sandbox.requests}) == 1


@sources("path", "re-iterable", "callable")
def test_every_source_that_can_is_sent_again(api, sandbox, source, expected, has_size):
    api.upload("flaky/a?fail=2", source)

    assert [request.body == expected for request in sandbox.requests] == [True] * 3


@pytest.mark.parametrize("name", ["503 twice", "401"])
def test_every_attempt_sends_the_same_form(api, sandbox, path, name):
    url, options, times = AGAIN[name]
    made = {name: value() for name, value in options.items()}

    api.upload(url, path, field="f", data={"a": "b"}, idempotency_key=True, **made)

    assert len(sandbox.requests) == times
    assert len({request.body for request in sandbox.requests}) == 1
    assert len({request.headers["Content-Type"] for request in sandbox.requests}) == 1
    assert parts(sandbox.requests[-1])[-1][1] == LARGE


@pytest.mark.parametrize("name", ["503 twice", "307", "401"])
def test_what_can_be_read_once_is_sent_once(api, sandbox, waits, name):
    url, options, _ = AGAIN[name]
    source = iter([SMALL, SMALL])
    made = {name: value() for name, value in options.items()}

    with pytest.raises(requests.RequestException) as caught:
        api.upload(url, source, **made)

    assert (bodies(sandbox), waits) == ([SMALL + SMALL], [])
    if "bearer" not in url:
        assert "only once" in f"{caught.value} {getattr(caught.value, 'stop_reason', '')}"


def test_a_body_goes_to_no_other_origin(api, sandbox, path):
    with pytest.raises(RedirectError, match="redirect_body"):
        api.upload("redirect/other/echo?status=307", path)

    assert len(sandbox.requests) == 1


def test_a_body_goes_to_another_origin_when_that_is_allowed(api, sandbox, path):
    api.upload(f"redirect?to={sandbox.other_url}/echo&status=307", path, redirect_body=True)

    assert [request.body == LARGE for request in sandbox.requests] == [True, True]
    assert len({request.port for request in sandbox.requests}) == 2


def test_a_broken_connection_is_followed_by_the_same_bytes(listening, path):
    received = []

    def serve(connection, stream, _):
        if len(received) < 2:
            received.append(stream.read(100_000 * (1 + len(received))))
            reset(connection)
            return
        received.append(stream.read(len(LARGE)))
        connection.sendall(OK)

    with httpkit.Session(listening(serve), timeout=5) as api:
        response = api.upload("x", path)

    assert response.attempts == 3
    assert received[2] == LARGE


def test_a_busy_server_that_reads_nothing_gets_all_in_the_end(listening, huge):
    received = []

    def serve(connection, stream, _):
        received.append(0)
        if len(received) < 3:
            connection.sendall(BUSY)
            return
        while received[-1] < HUGE:
            received[-1] += len(stream.read(min(1 << 20, HUGE - received[-1])))
        connection.sendall(OK)

    with httpkit.Session(listening(serve), timeout=5) as api:
        response = api.upload("x", huge)

    assert (response.attempts, received) == (3, [0, 0, HUGE])


# Sources that change


def shrink(path):
    os.truncate(path, 1000)


def empty(path):
    os.truncate(path, 0)


def grow(path):
    facts = path.stat()
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def rewrite(path):
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, (1, 1))  # a clock may tick more slowly than tests run


def replace(path):
    other = path.with_name("other")
    other.write_bytes(noise(9, len(LARGE)))
    facts = path.stat()
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


def remove(path):
    path.unlink()


@pytest.mark.parametrize(
    ("change", "field"),
    [(empty, "f"), (grow, None), (rewrite, None), (replace, None), (remove, None)],
)
def test_a_path_that_changes_between_attempts_is_not_sent_again(api, sandbox, path, change, field):
    policy = httpkit.RetryPolicy(on_retry=lambda _: change(path))

    with pytest.raises(TransferError):
        api.upload("flaky/a", path, field=field, retry=policy, idempotency_key=True)

    assert len(bodies(sandbox)) == 1


@pytest.mark.parametrize("change", [shrink, rewrite])
def test_an_open_file_that_changes_between_attempts_is_not_sent_again(api, sandbox, path, change):
    policy = httpkit.RetryPolicy(on_retry=lambda _: change(path))

    with path.open("rb") as file, pytest.raises(TransferError):
        api.upload("flaky/a", file, retry=policy)

    assert len(bodies(sandbox)) == 1


def test_a_file_closed_between_attempts_is_not_sent_again(api, sandbox, path):
    with path.open("rb") as file, pytest.raises(TransferError):
        api.upload("flaky/a", file, retry=httpkit.RetryPolicy(on_retry=lambda _: file.close()))

    assert bodies(sandbox) == [LARGE]


@pytest.mark.parametrize(
    "second",
    [[], [SMALL[:-1]], [SMALL, b"x"], [bytes(len(SMALL))]],
    ids=["nothing", "less", "more", "other bytes"],
)
def test_a_callable_that_gives_something_else_is_not_believed(api, sandbox, second):
    given = iter([[SMALL], second])

    with pytest.raises(TransferError):
        api.upload("flaky/a?fail=1", lambda: next(given))

    assert bodies(sandbox) == [SMALL]


@pytest.mark.parametrize(
    ("change", "is_open"),
    [(shrink, False), (grow, False), (rewrite, False), (grow, True), (rewrite, True)],
)
def test_a_file_that_changes_while_it_is_sent_never_arrives(listening, huge, change, is_open):
    received, is_over = [], threading.Event()

    def serve(connection, stream, _):
        received.append(len(stream.read(1000)))
        change(huge)
        while received[-1] < HUGE and (block := stream.read(min(1 << 16, HUGE - received[-1]))):
            received[-1] += len(block)
        is_over.set()
        connection.sendall(OK)

    with (
        httpkit.Session(listening(serve), timeout=5) as api,
        huge.open("rb") as file,
        pytest.raises(TransferError),
    ):
        api.upload("x", file if is_open else huge)

    assert is_over.wait(10)
    assert len(received) == 1
    assert received[0] < HUGE


def test_a_redirect_that_drops_the_body_drops_its_digest(api, sandbox):
    api.upload("redirect?to=/echo&status=303", SMALL, checksum=sum_of(SMALL))

    assert [(one.method, "Content-Digest" in one.headers) for one in sandbox.requests] == [
        ("PUT", True), ("GET", False),
    ]  # fmt: skip


# Checksums


def sum_of(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@sources("path")
def test_a_right_checksum_goes_along(api, sandbox, source, expected, has_size):
    api.upload("echo", source, checksum=sum_of(expected))

    (seen,) = sandbox.requests
    digest = base64.b64encode(hashlib.sha256(expected).digest()).decode()
    assert (seen.body, seen.headers["Content-Digest"]) == (expected, f"sha-256=:{digest}:")


@sources("path", "generator", "zero bytes")
def test_with_a_wrong_checksum_nothing_whole_arrives(api, sandbox, source, expected, has_size):
    with pytest.raises(ChecksumError):
        api.upload("echo", source, checksum=sum_of(b"other"))

    assert bodies(sandbox) == []


def test_with_a_wrong_checksum_no_whole_form_arrives(api, sandbox, path):
    with pytest.raises(ChecksumError):
        api.upload("echo", path, field="f", checksum=sum_of(b"other"))

    assert bodies(sandbox) == []


# Failures


def test_an_early_413_is_reported_as_a_413(listening, huge):
    served = []

    def serve(connection, stream, head):
        served.append(head)
        connection.sendall(OK.replace(b"200 OK", b"413 Content Too Large"))

    with (
        httpkit.Session(listening(serve), timeout=5) as api,
        pytest.raises(ContentTooLargeError),
    ):
        api.upload("x", huge)

    assert len(served) == 1


def test_a_server_that_stops_reading_is_given_up(listening, huge):
    is_over = threading.Event()

    def serve(*_):
        is_over.wait(10)

    with (
        httpkit.Session(listening(serve), timeout=0.2, retry=None) as api,
        pytest.raises(requests.RequestException, match="timed out"),
    ):
        api.upload("x", huge)

    is_over.set()


def test_a_slow_line_is_not_taken_for_a_dead_one(listening, huge):
    # A block takes longer than the timeout, but no recv of the server ever does.
    size, tick = 6 << 20, threading.Event()
    received = []

    def serve(connection, stream, _):
        left = size
        while left and (block := stream.read(min(left, 1 << 17))):
            left -= len(block)
            tick.wait(0.04)
        received.append(size - left)
        connection.sendall(OK)

    with httpkit.Session(listening(serve), timeout=(0.2, 5), retry=None) as api:
        api.upload("x", huge, size=size)

    assert received == [size]


def fifo(path):
    os.mkfifo(path.with_name("fifo"))
    return path.with_name("fifo")


def closed(path):
    file = opened(path)
    file.close()
    return file


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.with_name("missing"), lambda path: path.parent,
        pytest.param(fifo, marks=not_on_windows("it has no mkfifo")), closed,
        lambda path: path.open(encoding="latin-1"),
    ],
    ids=["missing", "folder", "fifo", "closed", "text"],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_before_a_connection(sandbox, source):
    with httpkit.Session(sandbox.url) as api:
        before = open_files()

        with pytest.raises((TransferError, ValueError)):
            api.upload("echo", source)

        assert open_files() == before
    assert bodies(sandbox) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_refused_before_a_byte(api, sandbox, path):
    path.chmod(stat.S_IWUSR)

    with pytest.raises(TransferError, match="cannot be read"):
        api.upload("echo", path)

    assert sandbox.requests == []


class Failing(io.RawIOBase):
    """A file of 10 bytes that cannot be read to its end."""

    def __init__(self, error):
        super().__init__()
        self.error, self.left = error, [SMALL]

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return 10 if whence else 0

    def tell(self):
        return 0

    def read(self, size=-1):
        if self.left:
            return self.left.pop()[:5]
        raise self.error


def failing_generator(error):
    def give():
        yield SMALL
        raise error

    return give


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (failing_generator, RuntimeError("mine")),
        (failing_generator, BrokenPipeError(32, "mine")),
        (failing_generator, ConnectionResetError(104, "mine")),
        (failing_generator, requests.ConnectionError("mine")), (Failing, OSError(5, "mine")),
        (Failing, urllib3.exceptions.ProtocolError("mine")), (Failing, EOFError("mine")),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)  # fmt: skip
def test_a_source_that_fails_is_not_mistaken_for_the_connection(api, sandbox, waits, make, error):
    with pytest.raises(TransferError, match="mine"):
        api.upload("echo", make(error))

    assert (bodies(sandbox), waits) == ([], [])


@pytest.mark.parametrize(
    "error", [OSError("mine"), requests.ConnectionError("mine")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_progress_that_fails_is_not_mistaken_for_the_connection(api, sandbox, waits, path, error):
    def fail(_):
        raise error

    with pytest.raises(type(error), match="mine"):
        api.upload("echo", path, progress=fail)

    assert (bodies(sandbox), waits) == ([], [])


def test_a_source_that_fails_is_reported_with_strict_false_too(sandbox):
    with (
        httpkit.Session(sandbox.url, strict=False) as api,
        pytest.raises(TransferError, match="mine"),
    ):
        api.upload("echo", failing_generator(OSError(5, "mine")))

    assert bodies(sandbox) == []


def test_control_c_in_a_source_ends_all_at_once(api, sandbox, waits):
    def press():
        yield SMALL
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.upload("echo", press)

    assert (bodies(sandbox), waits) == ([], [])


def test_a_connection_that_broke_off_is_not_used_again(api, sandbox):
    with pytest.raises(TransferError):
        api.upload("echo", failing_generator(OSError("mine")))
    api.upload("echo", SMALL)

    assert bodies(sandbox) == [SMALL]


@pytest.mark.parametrize(("how", "field"), [("reset", None), ("interrupt", "f")])
def test_no_file_stays_open_after_a_failure(listening, huge, how, field):
    def press(progress):
        if how == "interrupt":
            raise KeyboardInterrupt

    def serve(connection, stream, _):
        if how == "reset":
            reset(connection)
            return
        while stream.read(1 << 20):
            pass

    with httpkit.Session(listening(serve), timeout=5, retry=None) as api:
        with pytest.raises((requests.RequestException, KeyboardInterrupt)) as caught:
            api.upload("x", huge, field=field, checksum=sum_of(b"other"), progress=press)

        assert str(huge) not in open_files()
    assert caught.value is not None


# toolbelt's encoders


def encoder(file):
    fields = {"a": "b", "f": ("n.bin", file, "x/y"), "g": ("m", b"small"), "h": buffered(SMALL)}
    return MultipartEncoder(fields, boundary="b" * 32)


@pytest.mark.parametrize(
    ("name", "is_monitored"),
    [("503 twice", False), ("401", False), ("503 twice", True), ("307", True)],
)
def test_an_encoder_is_sent_again_as_it_was(api, sandbox, path, is_monitored, name):
    url, options, times = AGAIN[name]
    made = {name: value() for name, value in options.items()}
    with opened(path, 70_001) as file, opened(path, 70_001) as same:
        expected, given = encoder(same).to_string(), encoder(file)
        body = MultipartEncoderMonitor(given) if is_monitored else given

        api.put(url, data=body, headers={"Content-Type": body.content_type}, **made)

    assert [request.body == expected for request in sandbox.requests] == [True] * times
    assert {request.headers["Content-Length"] for request in sandbox.requests} == {
        str(len(expected))
    }
    assert {request.headers["Content-Type"] for request in sandbox.requests} == {given.content_type}


def test_a_type_is_guessed_whatever_the_system_says(api, sandbox, monkeypatch, tmp_path):
    bent = mimetypes.MimeTypes()  # as where Excel is installed, or in a container without a table
    bent.add_type("application/vnd.ms-excel", ".csv")
    bent.add_type("application/x-own", ".own")
    monkeypatch.setattr(mimetypes, "_db", bent)

    for name in ("a.csv", "b.own"):
        (tmp_path / name).write_bytes(SMALL)
        api.upload("echo", tmp_path / name)

    sent = [request.headers["Content-Type"] for request in sandbox.requests]
    assert sent == ["text/csv", "application/x-own"]


def test_an_encoder_brings_its_own_content_type(api, sandbox):
    body = MultipartEncoder({"a": "b"})

    api.post("echo", data=body)

    assert sandbox.requests[0].headers["Content-Type"] == body.content_type


def test_a_monitor_hears_of_every_attempt(api, path):
    heard = []
    with path.open("rb") as file:
        monitor = MultipartEncoderMonitor(
            MultipartEncoder({"f": ("n", file)}), lambda m: heard.append((m.bytes_read, m.len))
        )

        api.put("flaky/a?fail=1", data=monitor)

    assert heard.count((monitor.len, monitor.len)) == 2
    assert {total for _, total in heard} == {monitor.len}


@pytest.mark.parametrize(
    ("amount", "is_monitored"), [(5, False), (-1, True)], ids=["partly", "to the end"]
)
def test_an_encoder_that_was_read_is_refused_instead_of_waiting(sandbox, amount, is_monitored):
    body = MultipartEncoder({"a": "b" * 100})
    body.read(amount)

    with (
        httpkit.Session(sandbox.url, timeout=0.2) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.post("echo", data=MultipartEncoderMonitor(body) if is_monitored else body)

    assert bodies(sandbox) == []
    assert not isinstance(caught.value, requests.Timeout)


# Forms of `files=`

SHAPES = {
    "file": lambda file: ({"f": file}, None),
    "named": lambda file: ({"f": ("ñ.bin", file)}, {"a": "b"}),
    "typed": lambda file: ({"f": ("n", file, "x/y", {"X-A": "b"})}, [("a", 1), ("a", "é")]),
    "several": lambda file: (
        [("f", file), ("f", ("m", b"bytes")), ("g", (None, "text")), ("h", ("t", "text"))],
        {"list": ["1", 2], "none": None, "bytes": b"\xff", b"name": 1.5},
    ),
}


@pytest.mark.parametrize(
    ("shape", "size"),
    [("several", 1000), ("file", len(LARGE)), ("typed", len(LARGE)), ("several", len(LARGE))],
)
def test_a_form_is_what_requests_would_send(api, sandbox, path, shape, size):
    os.truncate(path, size)
    with path.open("rb") as ours, path.open("rb") as theirs:
        files, data = SHAPES[shape](theirs)
        expected = requests.Request("POST", "http://a/", files=files, data=data).prepare()
        files, data = SHAPES[shape](ours)

        api.put("flaky/a?fail=1", files=files, data=data)

    (boundary,) = {
        request.headers["Content-Type"].partition("=")[2] for request in sandbox.requests
    }
    theirs = expected.headers["Content-Type"].partition("=")[2]
    anew = [
        request.body.replace(boundary.encode(), theirs.encode()) for request in sandbox.requests
    ]
    assert [body == expected.body for body in anew] == [True, True]


@pytest.mark.parametrize(("size", "body_type"), [(1000, "bytes"), (len(LARGE), "ReplayableBody")])
def test_only_a_large_form_is_streamed(api, path, size, body_type):
    os.truncate(path, size)
    with path.open("rb") as file:
        request = requests.Request("POST", "http://a/", files={"f": file}, data={"a": "b"})

        body = api.prepare_request(request).body

    assert type(body).__name__ == body_type


@pytest.mark.parametrize("way", ["files", "field"])
def test_memory_stays_flat(listening, huge, way):
    def serve(connection, stream, head):
        left = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while left:
            left -= len(stream.read(min(left, 1 << 18)))
        connection.sendall(OK)

    with httpkit.Session(listening(serve), timeout=10) as api, huge.open("rb") as file:
        tracemalloc.start()
        if way == "files":
            api.put("x", files={"f": file})
        else:
            api.upload("x", huge, field="f" if way == "field" else None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < HUGE / 3


def test_a_buffer_that_is_rewritten_is_not_sent_again(api, sandbox):
    buffer = io.BytesIO(LARGE)
    policy = httpkit.RetryPolicy(on_retry=lambda _: buffer.getbuffer().__setitem__(5, 0))

    with pytest.raises(TransferError, match="other bytes"):
        api.upload("flaky/a", buffer, retry=policy)

    assert len(bodies(sandbox)) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_a_file_that_hides_its_size_is_refused(api, sandbox):
    with pytest.raises(TransferError, match="open it"):
        api.upload("echo", "/proc/self/status")

    assert sandbox.requests == []


def test_a_caller_may_ask_for_chunks(api, sandbox, path):
    api.upload("echo", path, headers={"Transfer-Encoding": "chunked"})

    (seen,) = sandbox.requests
    assert seen.body == LARGE
    assert "Content-Length" not in seen.headers


# Arguments


@pytest.mark.parametrize(
    "options",
    [
        {"size": -1}, {"checksum": "sha256:abc"}, {"data": {"a": "b"}}, {"state": "x"},
        {"resumable": "tus", "field": "f"}, {"resumable": "tus", "max_stalls": None},
    ],
    ids=lambda options: repr(options)[1:-1],
)  # fmt: skip
def test_an_argument_that_cannot_work_is_refused_before_a_byte(api, sandbox, options):
    with pytest.raises(ValueError):
        api.upload("echo", SMALL, **options)

    assert sandbox.requests == []


@pytest.mark.parametrize("options", [{}, {"field": "file"}], ids=["body", "form"])
def test_max_rate_spreads_an_upload_over_time(sandbox, options):
    content = b"x" * 100_000

    with FakeClock() as clock, httpkit.Session(sandbox.url) as api:
        api.upload("echo", content, max_rate=10_000, **options)

    assert sum(clock.waits) == pytest.approx(10, abs=1)
    assert content in sandbox.requests[0].body
