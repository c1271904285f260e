"""What comes of servers that break the protocol: a requests exception, complete and harmless."""

import gzip
import io
import pickle
import random
import socket
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import brotlicffi
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import httpkit

MIB = 1 << 20
TOKEN = "t0ken-held-by-the-session"
KEY = "k3y-in-the-query"


def head(*fields: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""])


def sized(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    return head(b"Content-Length: %d" % len(body), *fields, status=status) + body


def chunked(*pieces: bytes) -> bytes:
    return head(b"Transfer-Encoding: chunked") + b"".join(pieces)


def encoded(body: bytes, coding: bytes) -> bytes:
    return sized(body, b"Content-Encoding: " + coding)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(1)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# These are no responses.
BROKEN = {
    "nothing at all": None,
    "a reset": reset,
    "silence": say_nothing,
    "garbage": b"\x00\xff\x13garbage\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status in words": b"HTTP/1.1 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 1000 OK\r\n\r\n",
    "a response of HTTP/0.9": b"<html>hello</html>",
    "a response of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a response of another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an endless status line": b"HTTP/1.1 200 " + b"O" * 70_000,
    "an endless field": head(b"X: " + b"a" * 70_000),
    "a thousand fields": head(*(b"X-%d: 1" % number for number in range(1000))),
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 3") + b"abc",
    "a cut body": head(b"Content-Length: 10") + b"short",
    "no chunk size": chunked(b"zz\r\nhello\r\n0\r\n\r\n"),
    "a negative chunk size": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "an enormous chunk size": chunked(b"f" * 30, b"\r\nhello\r\n"),
    "an endless chunk size": chunked(b"5" * 70_000),
    "a cut chunk": chunked(b"5\r\nhe"),
    "no last chunk": chunked(b"5\r\nhello\r\n"),
    "no gzip": encoded(b"no gzip", b"gzip"),
    "no deflate": encoded(b"\xff\xff", b"deflate"),
    "no brotli": encoded(b"\xff\xff no brotli", b"br"),
    "gzip in name only, twice": encoded(gzip.compress(b"no gzip"), b"gzip, gzip"),
    "gzip with a broken end": encoded(gzip.compress(b"hello")[:-8] + b"\x00" * 8, b"gzip"),
    "too many codings": encoded(b"x", b", ".join([b"gzip"] * 50)),
}
broken = pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)

# These may be a response or none.
ODD = {
    "no reason": head(b"Content-Length: 0", status=b"200"),
    "a reason in another encoding": sized(b"", status=b"200 \xff\xfe"),
    "a reason in an error": sized(b"", status=b"500 \xff\x00\x1b[31m"),
    "a status that nobody knows": sized(b"", status=b"799 Odd"),
    "fields in another encoding": sized(b"", b"X-\xff: \xfe\xff"),
    "a field without a colon": sized(b"", b"nocolon"),
    "a field without a name": sized(b"", b": value"),
    "a folded field": sized(b"", b"X: a", b"\tb"),
    "a NUL in a field": sized(b"", b"X: a\x00b"),
    "a lone line feed": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "a lone carriage return": sized(b"", b"X: a\rY: b"),
    "a length in words": head(b"Content-Length: two") + b"hi",
    "a length with a sign": head(b"Content-Length: +2") + b"hi",
    "a negative length": head(b"Content-Length: -2") + b"hi",
    "a length in other digits": head(b"Content-Length: \xb2") + b"hi",
    "an enormous length": head(b"Content-Length: " + b"9" * 5000) + b"hi",
    "a length beside chunks": head(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"hi",
    "chunks within gzip": head(b"Transfer-Encoding: gzip, chunked") + b"2\r\nhi\r\n0\r\n\r\n",
    "an unknown transfer coding": head(b"Transfer-Encoding: magic") + b"hi",
    "an unknown content coding": encoded(b"hi", b"magic"),
    "a content coding in another encoding": encoded(b"hi", b"\xff"),
    "a charset without a name": sized(b"hi", b"Content-Type: text/plain; charset"),
    "an empty charset": sized(b"hi", b"Content-Type: text/plain; charset="),
    "an unknown charset": sized(b"\xff", b"Content-Type: text/plain; charset=klingon"),
    "a charset that is none": sized(b"zz", b"Content-Type: text/plain; charset=hex"),
    "a charset that always fails": sized(b"a", b"Content-Type: text/plain; charset=undefined"),
    "a charset that decodes names": sized(b"a\xff", b"Content-Type: text/plain; charset=idna"),
    "a charset with a NUL": sized(b"hi", b"Content-Type: text/plain; charset=utf\x008"),
    "a charset that lies": sized(b"\xff\xfe\xfd", b"Content-Type: text/plain; charset=utf-8"),
    "an odd cookie": sized(b"", b'Set-Cookie: \xff=\xff; expires=never; max-age=x; port="a'),
    "cookies of nothing": sized(b"", b"Set-Cookie: ;;;", b"Set-Cookie: ="),
    "an odd date": sized(b"", b"Retry-After: \xff", b"Date: \xff", status=b"429 No"),
    "an odd link": sized(b"", b"Link: <>;;rel=,,<"),
    "an early hint": head(status=b"103 Early") + sized(b"hi"),
    "a switch of protocols": head(b"Upgrade: x", status=b"101 Switching"),
    "many continues": head(status=b"100 Continue") * 40 + sized(b"hi"),
    "no content with a body": sized(b"hi", status=b"204 No Content"),
    "a cut in the fields": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a wrong end of a chunk": chunked(b"2\r\nhiXX0\r\n\r\n"),
    "a redirect in another encoding": sized(b"", b"Location: /\xff\xfe", status=b"302 Found"),
    "a redirect to nowhere": sized(b"", b"Location: http://", status=b"302 Found"),
    "a redirect to half a host": sized(b"", b"Location: http://[::1", status=b"302 Found"),
    "a redirect to no port": sized(b"", b"Location: //127.0.0.1:x/", status=b"302 Found"),
    "a redirect to port 99999": sized(b"", b"Location: //127.0.0.1:99999/", status=b"302 Found"),
    "a redirect to a long label": sized(
        b"", b"Location: http://%b.test/" % (b"a" * 70), status=b"302 Found"
    ),
    "a redirect with a NUL": sized(b"", b"Location: /a\x00b", status=b"302 Found"),
    "a redirect without a target": sized(b"", status=b"302 Found"),
    "a redirect with odd digits": head(
        b"Location: /x", b"Content-Length: \xb2", status=b"302 Found"
    ),
    "a redirect that is cut": head(b"Location: /x", b"Content-Length: 9", status=b"302 Found"),
}
ANSWERS = BROKEN | ODD
hostile = pytest.mark.parametrize("reply", ANSWERS.values(), ids=ANSWERS)
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def read_all(api: httpkit.Session, *, stream: bool, **options) -> object:
    """Get something and look at all of it; return the error, if it is one of requests'."""
    try:
        with api.get("x", stream=stream, **options) as response:
            return (response.content, response.text, response.links, repr(response.headers))
    except requests.RequestException as error:
        return error


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error with all it came from and all it holds."""
    pending, seen = [error], set()
    while pending:
        current = pending.pop()
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            pending += [current.__cause__, current.__context__, *current.args]
            pending.append(getattr(current, "reason", None))


def words(error: BaseException) -> str:
    """Return all that people may read of an error."""
    return "\n".join(
        "\n".join([str(e), repr(e), *getattr(e, "__notes__", ())]) for e in chain(error)
    )


def caught_from(call) -> requests.RequestException:
    with pytest.raises(requests.RequestException) as caught:
        call()
    return caught.value


# Nothing else escapes


@either_way
@hostile
def test_a_hostile_server_causes_requests_exceptions_only(raw_server, make_response, reply, stream):
    server = raw_server(reply, reply, make_response())

    with httpkit.Session(server.url, timeout=(5, 0.15), retry=2) as api:
        outcome = read_all(api, stream=stream)

    assert isinstance(outcome, (tuple, requests.RequestException))


@either_way
@broken
def test_a_broken_response_is_an_error_that_names_its_request_and_pickles(
    raw_server, reply, stream
):
    server = raw_server(reply)

    with httpkit.Session(server.url, timeout=(5, 0.15), retry=None) as api:
        error = read_all(api, stream=stream)

    assert isinstance(error, requests.RequestException)
    assert (error.request.method, error.request.url) == ("GET", f"{server.url}/x")
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert twin.request.url == error.request.url


@broken
def test_a_broken_response_is_the_same_error_whole_and_streamed(raw_server, reply):
    server = raw_server(reply)

    kinds = []
    for stream in (False, True):
        with httpkit.Session(server.url, timeout=(5, 0.15), retry=None) as api:
            kinds.append(type(read_all(api, stream=stream)))

    assert kinds[0] is kinds[1]


@either_way
def test_two_lengths_in_one_field_are_an_error(raw_server, stream):
    server = raw_server(head(b"Content-Length: 2, 3") + b"abc")

    with httpkit.Session(server.url) as api:
        error = read_all(api, stream=stream)

    assert type(error) is requests.ConnectionError
    assert type(pickle.loads(pickle.dumps(error))) is requests.ConnectionError


@either_way
def test_two_gzip_members_are_one_body(raw_server, make_response, stream):
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    server = raw_server(make_response(body=body, content_encoding="gzip"))

    with httpkit.Session(server.url) as api, api.get("x", stream=stream) as response:
        assert response.content == b"one two"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhi",
        b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
    ],
    ids=["extensions and trailers", "HTTP/1.0", "no reason", "the same length twice"],
)
@either_way
def test_an_unusual_but_valid_response_is_read(raw_server, reply, stream):
    server = raw_server(reply)

    with httpkit.Session(server.url) as api, api.get("x", stream=stream) as response:
        assert response.content == b"hi"


@pytest.mark.parametrize(
    "coding", [b"chunked", b"Chunked", b"chunked ", b"identity, chunked", b"chunked, chunked"]
)
@either_way
def test_the_framing_of_chunks_is_never_taken_for_the_body(raw_server, coding, stream):
    server = raw_server(head(b"Transfer-Encoding: " + coding) + b"2\r\nhi\r\n0\r\n\r\n")

    with httpkit.Session(server.url, retry=None) as api:
        outcome = read_all(api, stream=stream)

    assert isinstance(outcome, requests.RequestException) or outcome[0] == b"hi"


MUTATED = [
    sized(
        b'{"a": [1, 2]}',
        b"Content-Type: application/json; charset=utf-8",
        b"Set-Cookie: a=b; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Max-Age=5",
    ),
    sized(b"hello", b"Location: /next?x=1#f", status=b"302 Found"),
    chunked(b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    sized(
        b'{"detail": "x"}',
        b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT",
        b"Date: Wed, 21 Oct 2026 07:27:59 GMT",
        b"Content-Type: application/problem+json",
        status=b"429 Too Many Requests",
    ),
    encoded(gzip.compress(b'{"z": 1}', mtime=0), b"gzip"),
]
SPLINTERS = [
    b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b"\xb2", b":", b";", b",", b'"', b"=", b"-", b"%",
    b"9" * 30, b"[", b"@", b"//", b"\xc3\xa9", b"chunked", b"idna", b"{", b"[" * 5000, b"9" * 5000,
]  # fmt: skip


def mutated(seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311  # it makes cases, not secrets
    reply = bytearray(chance.choice(MUTATED))
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(reply))
        removed = chance.choice([0, 0, 1, 8])
        reply[place : place + removed] = chance.choice([*SPLINTERS, b""])
    return bytes(reply)


@pytest.mark.parametrize("seed", range(24))
def test_a_mutated_response_causes_requests_exceptions_only(raw_server, make_response, seed):
    server = raw_server(mutated(seed), make_response())

    with httpkit.Session(server.url, timeout=(5, 0.15), retry=2) as api:
        outcome = read_all(api, stream=seed % 2 == 0)

    assert isinstance(outcome, (tuple, requests.RequestException))


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 10_000, b"9" * 5000, b"\xff", b"", b"nul", b"<html>", b"\x00"],
    ids=["deep list", "deep object", "long number", "no UTF-8", "empty", "cut", "HTML", "NUL"],
)
def test_json_that_cannot_be_read_is_a_decode_error(raw_server, make_response, body):
    server = raw_server(make_response(body=body, content_type="application/json"))

    with httpkit.Session(server.url) as api:
        response = api.get("x")
        with pytest.raises(httpkit.DecodeError) as caught:
            response.json()

    assert caught.value.request.url == f"{server.url}/x"
    assert len(str(caught.value)) < 500
    assert pickle.loads(pickle.dumps(caught.value)).pos == caught.value.pos


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"detail":' * 10_000, b"9" * 5000, b'{"detail": %s}' % (b"9" * 5000)],
    ids=["deep list", "deep object", "long number", "long number within"],
)
def test_an_error_body_that_cannot_be_read_leaves_its_status(raw_server, make_response, body):
    server = raw_server(
        make_response("404 Not Found", body=body, content_type="application/problem+json")
    )

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.NotFoundError) as caught:
        api.get("x")

    assert len(str(caught.value)) < 500


# What is refused before anything is sent


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X-A": "☃"}},
        {"headers": {"X-☃": "a"}},
        {"headers": {"X-A": "a\r\nX-B: c"}},
        {"headers": {"X-A": "a\x00b"}},
        {"headers": {"X A": "a"}},
        {"headers": {"": "a"}},
        {"headers": {"X-A": 5}},
        {"headers": [("X-A", "a", "b")]},
        {"headers": "X-A: a"},
        {"cookies": {"a": "☃"}},
        {"cookies": {"a": "b\r\nX-B: c"}},
        {"auth": ("user", "☃")},
        {"auth": 5},
        {"params": 5},
        {"hooks": {"nope": print}},
        {"hooks": 5},
        {"verify": "/no/such/bundle.pem", "url": "https://127.0.0.1/"},
        {"cert": "/no/such/certificate.pem", "url": "https://127.0.0.1/"},
        {"proxies": {"http": "http://[half"}},
        {"proxies": {"http": "gopher://127.0.0.1"}},
        {"url": b"\xff\xfe"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://[half"},
        {"url": "http://\u2100/"},
        {"method": "GÉT"},
        {"method": "GET / HTTP/1.1\r\nX-A: b"},
        {"method": ""},
    ],
    ids=lambda options: repr(options)[:50],
)
def test_an_argument_that_cannot_be_sent_is_refused(sandbox, waits, options):
    options = {"method": "GET", "url": "echo"} | options

    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises((ValueError, requests.RequestException)) as caught,
    ):
        api.request(**options)

    assert not isinstance(caught.value, UnicodeError)
    assert (sandbox.requests, waits) == ([], [])


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": f"Bearer {KEY}\n"}},
        {"headers": {"Authorization": f"Bearer {KEY}☃"}},
        {"headers": {"X-API-Key": f"{KEY}\r\nX-B: c"}},
        {"cookies": {"session": f"{KEY}\r\nX-B: c"}},
        {"cookies": {"session": f"{KEY}☃"}},
        {"auth": ("user", f"{KEY}☃")},
        {"url": f"users/{{id}}?api_key={KEY}"},
        {"url": f"http://127.0.0.1:99999/?api_key={KEY}"},
        {"url": f"http://[half/?api_key={KEY}"},
        {"url": f"http://user:{KEY}@[half/"},
        {"url": f"../up?api_key={KEY}"},
        {"url": f"//host/?api_key={KEY}"},
        {"url": f"ftp://127.0.0.1/?api_key={KEY}"},
        {"url": f"echo?api_key={KEY}\ud800"},
        {"params": {"api_key": f"{KEY}\ud800"}},
        {"data": {"password": f"{KEY}\ud800"}},
        {"proxies": {"http": f"http://user:{KEY}@[half"}},
    ],
    ids=lambda options: repr(options)[:60],
)
def test_a_rejection_shows_no_credential(sandbox, options):
    options = {"method": "GET", "url": "echo"} | options

    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises((ValueError, requests.RequestException)) as caught,
    ):
        api.request(**options)

    assert KEY not in words(caught.value)


# What the error says


def test_a_note_says_how_often_how_long_and_why(nobody):
    with httpkit.Session(nobody) as api:
        error = caught_from(lambda: api.get("x"))

    (note,) = error.__notes__
    assert note.startswith(f"GET {nobody}/x: 3 attempts in 1.")
    assert note.endswith(" s; all 3 attempts were made")


def test_a_note_counts_a_single_attempt_in_the_singular(nobody):
    with httpkit.Session(nobody, retry=None) as api:
        error = caught_from(lambda: api.get("x"))

    assert "1 attempt in 0." in error.__notes__[0]


def test_a_note_says_why_a_post_was_not_repeated(raw_server):
    server = raw_server(None)

    with httpkit.Session(server.url) as api:
        error = caught_from(lambda: api.post("x"))

    assert error.stop_reason in error.__notes__[0]
    assert "idempotency key" in error.stop_reason


def test_the_error_after_a_redirect_names_the_last_request(sandbox, nobody):
    with httpkit.Session(sandbox.url) as api:
        error = caught_from(lambda: api.get("redirect", params={"to": f"{nobody}/y"}))

    assert error.request.url == f"{nobody}/y"
    assert [note.partition(":")[0] for note in error.__notes__] == ["GET http"]
    assert f"{nobody}/y" in error.__notes__[0]


def test_the_error_of_a_streamed_error_body_says_how_often(raw_server):
    server = raw_server(head(b"Content-Length: 10", status=b"500 No") + b"cut")

    with httpkit.Session(server.url, retry=2) as api:
        error = caught_from(lambda: api.get("x", stream=True))

    assert error.attempts == 2


def stall(connection: socket.socket) -> None:
    connection.sendall(head(b"Content-Length: 9"))
    connection.recv(1)


ITSELF = b"Location: ?api_key=" + KEY.encode()
FILE = b"Location: file:///etc/passwd"

# Each kind of failure: what a server replies, or the fixture with its URL; and its class.
FAILURES = {
    "refused": ("nobody", requests.ConnectionError),
    "connect timed out": ("busy", requests.exceptions.ConnectTimeout),
    "hung up": (None, requests.ConnectionError),
    "reset": (reset, requests.ConnectionError),
    "timed out": (say_nothing, requests.exceptions.ReadTimeout),
    "timed out in the body": (stall, requests.exceptions.ReadTimeout),
    "garbage": (BROKEN["garbage"], requests.ConnectionError),
    "cut": (BROKEN["a cut body"], requests.exceptions.ChunkedEncodingError),
    "cut chunk": (BROKEN["a cut chunk"], requests.exceptions.ChunkedEncodingError),
    "no gzip": (BROKEN["no gzip"], requests.exceptions.ContentDecodingError),
    "two lengths": (BROKEN["two lengths"], requests.ConnectionError),
    "too large": (sized(b"x" * 2000), httpkit.BodyTooLargeError),
    "redirect to a file": (sized(b"", FILE, status=b"302 Found"), httpkit.RedirectError),
    "redirect to itself": (sized(b"", ITSELF, status=b"302 Found"), httpkit.RedirectError),
    "asked to wait": (
        sized(b"", b"Retry-After: 999", status=b"429 No"),
        httpkit.TooManyRequestsError,
    ),
}
failing = pytest.mark.parametrize(("fault", "kind"), FAILURES.values(), ids=FAILURES)


@pytest.fixture
def place(fault, raw_server, request) -> str:
    """The base URL of the fault that the test is parametrised with."""
    return request.getfixturevalue(fault) if isinstance(fault, str) else raw_server(fault).url


def fail(place: str, path: str = f"x?api_key={KEY}") -> requests.RequestException:
    auth = httpkit.BearerAuth(TOKEN)
    with httpkit.Session(place, auth=auth, timeout=(0.15, 0.15), retry=None, max_body=1000) as api:
        return caught_from(lambda: api.get(path))


@failing
def test_each_failure_has_its_class_and_its_facts(place, kind):
    error = fail(place)

    assert type(error) is kind
    assert error.request.method == "GET"
    assert error.request.url.startswith(place)
    assert error.attempts == 1


@failing
def test_no_failure_shows_a_credential(place, kind):
    error = fail(place)

    assert KEY not in words(error)
    assert TOKEN not in words(error)


@failing
def test_each_failure_pickles_with_its_facts(place, kind):
    error = fail(place)

    pickled = pickle.dumps(error)

    twin = pickle.loads(pickled)
    assert type(twin) is kind
    assert str(twin)
    assert (twin.attempts, twin.stop_reason) == (error.attempts, error.stop_reason)
    assert getattr(twin, "__notes__", []) == getattr(error, "__notes__", [])
    assert KEY.encode() not in pickled
    assert TOKEN.encode() not in pickled


def test_a_passed_deadline_pickles_and_shows_no_credential(raw_server):
    server = raw_server(say_nothing)
    auth = httpkit.BearerAuth(TOKEN)

    with httpkit.Session(server.url, auth=auth, deadline=0.05) as api:
        error = caught_from(lambda: api.get("x", params={"api_key": KEY}))

    assert isinstance(pickle.loads(pickle.dumps(error)), httpkit.DeadlineExceededError)
    assert KEY not in words(error)
    assert TOKEN not in words(error)


def test_the_password_of_a_proxy_is_not_shown(nobody):
    proxies = {"http": nobody.replace("://", f"://user:{KEY}@")}

    with httpkit.Session("http://127.0.0.1/", proxies=proxies, retry=None) as api:
        error = caught_from(lambda: api.get("x"))

    assert isinstance(error, requests.exceptions.ProxyError)
    assert KEY not in words(error)


def test_the_password_in_a_url_is_not_shown(nobody):
    url = nobody.replace("://", f"://user:{KEY}@")

    with httpkit.Session(retry=None) as api:
        error = caught_from(lambda: api.get(f"{url}/x"))

    assert KEY not in words(error)
    assert f"GET {nobody}/x" in error.__notes__[0]


def test_an_error_that_requests_leaves_bare_is_completed():
    class Bare(HTTPAdapter):
        def send(self, *args, **options):
            raise requests.exceptions.InvalidProxyURL  # as requests does, without a request

    with httpkit.Session("http://127.0.0.1/") as api:
        api.mount("http://", Bare())
        error = caught_from(lambda: api.get("x"))

    assert (error.request.url, error.attempts) == ("http://127.0.0.1/x", 1)


@pytest.mark.parametrize(
    "query",
    [
        f"api_key={KEY}",
        f"API_KEY={KEY}",
        f"apikey={KEY}",
        f"access_token={KEY}",
        f"X-Amz-Signature={KEY}",
        f"key={KEY}",
        f"code={KEY}",
        f"sig={KEY}",
        f"api_key=a,{KEY}",
        f"api_key=a;{KEY}",
        f"api_key=a'{KEY}",
        f"api_key=a){KEY}",
        f"api_key=a]{KEY}",
        f'api_key=a"{KEY}',
        f"api_key=a%26{KEY}",
        f"api_key=a%20{KEY}",
        f"api_key=a={KEY}",
        f"api%5Fkey={KEY}",
        f"api_key[]={KEY}",
        f"user[password]={KEY}",
        f"a=1&api_key={KEY}&b=2",
    ],
)
@pytest.mark.parametrize("fault", ["nobody"])
def test_no_variant_of_a_secret_parameter_is_shown(place, query):
    error = fail(place, f"x?{query}")

    assert KEY not in words(error)
    assert "/x?" in words(error)  # the rest of the address is of use


def test_a_word_that_was_once_a_cookie_is_still_a_word(sandbox):
    with httpkit.Session(sandbox.url) as api:
        caught_from(lambda: api.get("status/404", headers={"Cookie": "theme=marzipan; a=b"}))

        error = caught_from(lambda: api.get("marzipan"))

    assert "/marzipan" in str(error)


# How much is read


BOMB_SIZE = 8 * MIB
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotlicffi.compress}
codings = pytest.mark.parametrize("coding", CODINGS)


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """By coding: little to send, much to hold."""
    zeros = bytes(BOMB_SIZE)
    return {coding: compress(zeros) for coding, compress in CODINGS.items()}


class Memory:
    peak = 0


@contextmanager
def measured() -> Iterator[Memory]:
    memory = Memory()
    tracemalloc.start()
    try:
        yield memory
        memory.peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 9, 10])
def test_a_body_up_to_the_limit_is_read(raw_server, make_response, size):
    server = raw_server(make_response(body=b"x" * size))

    with httpkit.Session(server.url, max_body=10) as api:
        response = api.get("x")

    assert response.content == b"x" * size


@pytest.mark.parametrize("framing", ["sized", "chunked", "until the end"])
def test_a_body_over_the_limit_is_refused(raw_server, framing):
    replies = {
        "sized": sized(b"x" * 11),
        "chunked": chunked(b"b\r\n", b"x" * 11, b"\r\n0\r\n\r\n"),
        "until the end": head() + b"x" * 11,
    }
    server = raw_server(replies[framing])

    with (
        httpkit.Session(server.url, max_body=10) as api,
        pytest.raises(httpkit.BodyTooLargeError) as caught,
    ):
        api.get("x")

    assert "max_body=10" in str(caught.value)
    assert caught.value.response.status_code == 200


class Small(httpkit.Session):
    max_body = 10


@pytest.mark.parametrize(
    ("session", "call", "fits"),
    [
        (Small, {}, False),
        (lambda url: Small(url, max_body=20), {}, True),
        (lambda url: Small(url, max_body=None), {}, True),
        (Small, {"max_body": 20}, True),
        (Small, {"max_body": None}, True),
        (httpkit.Session, {"max_body": 10}, False),
        (httpkit.Session, {}, True),
    ],
    ids=["class", "instance", "instance is off", "call", "call is off", "call only", "default"],
)
def test_the_innermost_limit_counts(raw_server, make_response, session, call, fits):
    server = raw_server(make_response(body=b"x" * 20))

    with session(server.url) as api:
        outcome = read_all(api, stream=False, **call)

    assert isinstance(outcome, httpkit.BodyTooLargeError) is not fits


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "10"], ids=repr)
@pytest.mark.parametrize("at", ["session", "call"])
def test_a_limit_that_cannot_work_is_refused_before_sending(sandbox, limit, at):
    with httpkit.Session(sandbox.url) as api, pytest.raises(ValueError, match="max_body="):
        api.get("echo", max_body=limit) if at == "call" else httpkit.Session(max_body=limit)

    assert sandbox.requests == []


def test_a_stream_is_not_limited(raw_server, make_response):
    server = raw_server(make_response(body=b"x" * 1000))

    with httpkit.Session(server.url, max_body=10) as api, api.get("x", stream=True) as response:
        assert sum(map(len, response.iter_content(64))) == 1000


@codings
def test_a_compressed_bomb_is_refused_in_little_memory(raw_server, make_response, bombs, coding):
    server = raw_server(make_response(body=bombs[coding], content_encoding=coding))

    with httpkit.Session(server.url, max_body=1000) as api, measured() as memory:
        error = caught_from(lambda: api.get("x"))

    assert isinstance(error, httpkit.BodyTooLargeError)
    assert memory.peak < 3 * MIB


@codings
def test_a_refused_bomb_stays_refused(raw_server, make_response, bombs, coding):
    server = raw_server(make_response(body=bombs[coding], content_encoding=coding))

    with httpkit.Session(server.url, max_body=1000) as api, measured() as memory:
        error = caught_from(lambda: api.get("x"))
        twin = pickle.loads(pickle.dumps(error))
        with pytest.raises(httpkit.BodyTooLargeError):
            _ = error.response.content

    assert isinstance(twin, httpkit.BodyTooLargeError)
    assert memory.peak < 3 * MIB
    with pytest.raises(httpkit.BodyTooLargeError):
        _ = twin.response.text


@codings
@either_way
def test_a_bomb_in_an_error_is_cut(raw_server, make_response, bombs, coding, stream):
    server = raw_server(make_response("404 Not Found", body=bombs[coding], content_encoding=coding))

    with httpkit.Session(server.url) as api, measured() as memory:
        error = caught_from(lambda: api.get("x", stream=stream))

    assert isinstance(error, httpkit.NotFoundError)
    assert memory.peak < 6 * MIB


def test_a_bomb_in_a_redirect_is_not_decoded(raw_server, make_response, bombs):
    redirect = make_response(
        "302 Found", body=bombs["gzip"], content_encoding="gzip", location="/y"
    )
    server = raw_server(redirect, make_response(body=b"hi"))

    with httpkit.Session(server.url, max_body=1000) as api, measured() as memory:
        response = api.get("x")

    assert response.content == b"hi"
    assert len(response.history[0].content) <= len(bombs["gzip"])
    assert memory.peak < 3 * MIB


@either_way
def test_an_error_body_is_cut_at_one_mebibyte(raw_server, make_response, stream):
    server = raw_server(
        make_response("404 Not Found", body=b"x" * (2 * MIB), content_type="text/plain")
    )

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.NotFoundError) as caught:
        api.get("x", stream=stream)

    assert len(str(caught.value)) < 500
    with pytest.raises(httpkit.BodyTooLargeError):
        _ = caught.value.response.content
    assert pickle.loads(pickle.dumps(caught.value)).status_code == 404


def test_an_error_body_of_one_mebibyte_is_whole(raw_server, make_response):
    server = raw_server(make_response("404 Not Found", body=b"x" * MIB))

    with httpkit.Session(server.url) as api:
        response = api.get("x", raise_for_status=False)

    assert len(response.content) == MIB


def test_the_limit_may_be_below_that_of_errors(raw_server, make_response):
    server = raw_server(make_response("404 Not Found", body=b"x" * 20))

    with httpkit.Session(server.url, max_body=10) as api:
        error = caught_from(lambda: api.get("x"))

    assert isinstance(error, httpkit.NotFoundError)
    with pytest.raises(httpkit.BodyTooLargeError, match="10"):
        _ = error.response.content


def test_the_limit_of_errors_is_not_lifted_with_the_other(raw_server, make_response):
    server = raw_server(make_response("404 Not Found", body=b"x" * (2 * MIB)))

    with httpkit.Session(server.url, max_body=None) as api:
        response = api.get("x", raise_for_status=False)

    with pytest.raises(httpkit.BodyTooLargeError):
        _ = response.content


def test_an_endless_error_body_ends(raw_server):
    def flood(connection):
        connection.sendall(head(status=b"500 No"))
        with suppress(OSError):
            while True:
                connection.sendall(bytes(1 << 16))

    server = raw_server(flood)

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(httpkit.InternalServerError),
    ):
        api.get("x")


def test_a_mock_of_a_body_is_limited_by_nothing_but_read(make_response):
    """Adapters that are not urllib3's hand over any file: it is read as requests does."""

    class Canned(requests.adapters.BaseAdapter):
        def send(self, request, **kwargs):
            response = requests.Response()
            response.status_code, response.url, response.request = 200, request.url, request
            response.raw = io.BytesIO(b"canned")
            return response

        def close(self):
            pass

    with httpkit.Session("http://127.0.0.1") as api:
        api.mount("http://", Canned())
        response = api.get("x")

    assert response.content == b"canned"


def test_an_error_body_that_cannot_be_decoded_leaves_its_status_and_fails_when_read(
    raw_server, make_response
):
    server = raw_server(make_response("503 Busy", body=b"no gzip", content_encoding="gzip"))

    with httpkit.Session(server.url, raise_for_status=False) as api:
        response = api.get("x")

    assert (response.status_code, response.attempts) == (503, 3)
    with pytest.raises(requests.exceptions.ContentDecodingError):
        _ = response.content


@pytest.mark.parametrize("challenge", ['Digest realm="x"', "Digest nonce=1", "Digest"])
def test_a_digest_challenge_that_lacks_its_parts_is_a_typed_error(
    raw_server, make_response, challenge
):
    server = raw_server(make_response("401 No", www_authenticate=challenge))
    auth = requests.auth.HTTPDigestAuth("user", "password-of-mine")

    with (
        httpkit.Session(server.url, auth=auth) as api,
        pytest.raises(requests.exceptions.InvalidHeader, match="Digest challenge") as caught,
    ):
        api.get("x")

    assert "password-of-mine" not in str(caught.value)
    assert len(server.requests) == 1


def test_an_error_body_that_cannot_be_decoded_frees_its_connection_at_once(raw_server):
    was_left = threading.Event()

    def serve(connection):
        head = b"HTTP/1.1 404 No\r\ncontent-encoding: gzip\r\ncontent-length: 999\r\n\r\n"
        connection.sendall(head + b"no gzip")
        if not connection.recv(1):
            was_left.set()

    server = raw_server(serve)

    with httpkit.Session(server.url, raise_for_status=False) as api:
        response = api.get("x")

        assert was_left.wait(1)
    assert response.status_code == 404


class Flushed(urllib3.HTTPResponse):
    """urllib3's response under another adapter, on Python 3.14: the flush of its decoder fails."""

    def _flush_decoder(self):
        raise zlib.error("Error -3 while decompressing data: incorrect header check")


class FlushingAdapter(HTTPAdapter):
    def build_response(self, req, resp):
        fields = {"Content-Encoding": "gzip"}
        body = io.BytesIO(gzip.compress(b"one") + b"\0" * 8)
        resp.close()
        raw = Flushed(body, headers=fields, status=200, preload_content=False)
        return super().build_response(req, raw)


def test_what_zlib_raises_under_a_stock_adapter_is_a_typed_error(raw_server):
    server = raw_server(sized(b"any"))

    with httpkit.Session(server.url) as api:
        api.mount("http://", FlushingAdapter())
        with pytest.raises(requests.exceptions.ContentDecodingError):
            api.get("x")

    assert len(server.requests) == 1
