"""Which failures are repeated, for which requests, after how long, and what callers are told."""

import datetime as dt
import pickle
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
import responses
import trustme
from requests.adapters import HTTPAdapter

import httpkit
from httpkit._core.clock import CLOCK, Clock
from tests.support.sockets import Acceptor

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
UNSAFE = ("POST", "PATCH")
RETRIED = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
NO_LIMIT = float("inf")


# What the servers do


def hang_up(connection: socket.socket) -> None:
    """Close after the request was read: the client sees the end, not a reset."""


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def say_nothing(connection: socket.socket) -> None:
    """Wait until the client gives up."""
    connection.recv(1)


TRUNCATED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
TRUNCATED_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"

# The request may have been processed when these happen.
MAYBE_SENT = {
    "reset": reset,
    "hung up": hang_up,
    "timed out": say_nothing,
    "truncated": TRUNCATED,
    "truncated chunked": TRUNCATED_CHUNKED,
}
maybe_sent = pytest.mark.parametrize("failure", MAYBE_SENT.values(), ids=MAYBE_SENT)


def attempts_of(error: requests.RequestException) -> int:
    return error.attempts


# The policy refuses what cannot work


@pytest.mark.parametrize(
    "field",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": 1.5},
        {"attempts": True},
        {"attempts": "3"},
        {"attempts": None},
        {"backoff": -0.1},
        {"backoff": float("nan")},
        {"backoff": float("inf")},
        {"backoff": "1"},
        {"backoff": None},
        {"backoff": True},
        {"backoff": 10**400},
        {"max_backoff": -1},
        {"max_backoff": float("inf")},
        {"max_retry_after": -1},
        {"max_retry_after": float("nan")},
        {"max_retry_after": None},
        {"statuses": 503},
        {"statuses": "503"},
        {"statuses": ["503"]},
        {"statuses": None},
        {"methods": "GET"},
        {"methods": b"GET"},
        {"methods": [b"GET"]},
        {"methods": None},
        {"budget": 0},
        {"budget": -1},
        {"budget": 1.5},
        {"budget": True},
        {"on_retry": 5},
        {"on_retry": "print"},
        {"idempotency_header": ""},
        {"idempotency_header": "two words"},
        {"idempotency_header": "X-Key\r\nX-Evil"},
        {"idempotency_header": None},
    ],
    ids=lambda field: repr(field)[:40],
)
def test_a_policy_refuses_a_field_that_cannot_work(field):
    (name,) = field

    with pytest.raises(httpkit.ConfigurationError, match=name) as caught:
        httpkit.RetryPolicy(**field)

    assert isinstance(caught.value, ValueError)


def test_a_policy_takes_its_fields_by_name_only():
    with pytest.raises(TypeError):
        httpkit.RetryPolicy(5)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"statuses": [503, 503]}, frozenset({503})),
        ({"statuses": range(500, 502)}, frozenset({500, 501})),
        ({"statuses": (number for number in [503])}, frozenset({503})),
        ({"statuses": ()}, frozenset()),
        ({"methods": ["post", "Get"]}, frozenset({"POST", "GET"})),
        ({"methods": iter(["POST"])}, frozenset({"POST"})),
    ],
    ids=["list", "range", "generator", "empty", "any case", "iterator"],
)
def test_a_policy_keeps_its_sets_whatever_they_were_made_of(given, kept):
    (name,) = given

    policy = httpkit.RetryPolicy(**given)

    assert getattr(policy, name) == kept


def test_a_policy_is_a_value():
    policy = httpkit.RetryPolicy(attempts=5, statuses=[500, 503])

    twin = pickle.loads(pickle.dumps(policy))

    assert policy == twin == httpkit.RetryPolicy(attempts=5, statuses=(503, 500))
    assert hash(policy) == hash(twin)
    with pytest.raises(AttributeError):
        policy.attempts = 6


def test_the_defaults_are_those_that_the_documentation_names():
    policy = httpkit.RetryPolicy()

    assert (policy.attempts, policy.backoff, policy.max_backoff) == (3, 0.5, 8)
    assert (policy.max_retry_after, policy.budget, policy.on_retry) == (120, 500, None)
    assert policy.statuses == set(RETRIED)
    assert policy.methods == set(IDEMPOTENT)


# Who says how often


class Twice(httpkit.Session):
    retry = 2


class OnceByKeyword(httpkit.Session, retry=httpkit.RetryPolicy(attempts=1)):
    pass


@pytest.mark.parametrize(
    ("session", "call", "attempts"),
    [
        (httpkit.Session, {}, 3),
        (lambda url: httpkit.Session(url, retry=5), {}, 5),
        (lambda url: httpkit.Session(url, retry=httpkit.RetryPolicy(attempts=4)), {}, 4),
        (lambda url: httpkit.Session(url, retry=None), {}, 1),
        (Twice, {}, 2),
        (OnceByKeyword, {}, 1),
        (lambda url: Twice(url, retry=4), {}, 4),
        (lambda url: Twice(url, retry=None), {}, 1),
        (lambda url: Twice(url, retry=4), {"retry": 5}, 5),
        (lambda url: Twice(url, retry=4), {"retry": None}, 1),
        (Twice, {"retry": httpkit.RetryPolicy(attempts=3)}, 3),
    ],
    ids=[
        "default", "number", "policy", "off", "class attribute", "class keyword",
        "instance beats class", "instance switches the class off", "call beats instance",
        "call switches off", "call beats class",
    ],
)  # fmt: skip
def test_the_innermost_retry_setting_counts(sandbox, session, call, attempts):
    with session(sandbox.url) as api:
        response = api.get("status/500", raise_for_status=False, **call)

    assert response.attempts == len(sandbox.requests) == attempts


def test_retry_can_be_set_on_a_session_later(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.retry = 4
        response = api.get("status/500", raise_for_status=False)

    assert response.attempts == len(sandbox.requests) == 4


def test_a_clone_has_a_retry_setting_of_its_own(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.with_options(retry=2).get("status/500", raise_for_status=False)

        assert response.attempts == 2
        assert api.retry == httpkit.RetryPolicy()


@pytest.mark.parametrize(
    "word", [0, -1, 1.5, True, "3", [3], httpkit.RetryPolicy], ids=lambda word: repr(word)[:20]
)
@pytest.mark.parametrize("where", ["session", "call", "later"])
def test_an_invalid_retry_setting_is_refused_before_sending(sandbox, word, where):
    with httpkit.Session(sandbox.url) as api:

        def ask():
            if where == "session":
                httpkit.Session(retry=word)
            elif where == "call":
                api.get("echo", retry=word)
            else:
                api.retry = word
                api.get("echo")

        with pytest.raises(httpkit.ConfigurationError, match="retry="):
            ask()

    assert sandbox.requests == []


# What is repeated


@pytest.mark.parametrize(
    ("method", "status"),
    [*((method, 500) for method in IDEMPOTENT[1:]), *(("GET", status) for status in RETRIED)],
)
def test_an_idempotent_request_is_repeated_after_a_passing_status(sandbox, method, status):
    with httpkit.Session(sandbox.url) as api:
        response = api.request(method, "flaky/a", params={"fail": 2, "status": status})

    assert (response.status_code, response.attempts) == (200, 3)
    assert [received.method for received in sandbox.attempts("a")] == [method] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 418, 422, 423, 501, 505, 511])
def test_a_lasting_status_is_not_repeated(sandbox, waits, status):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get(f"status/{status}")

    assert (caught.value.attempts, len(sandbox.requests), waits) == (1, 1, [])
    assert caught.value.stop_reason is None


@pytest.mark.parametrize(
    ("status", "attempts"),
    [(408, 3), (425, 3), (429, 3), (500, 1), (502, 1), (503, 1), (504, 1)],
)
@pytest.mark.parametrize("method", UNSAFE)
def test_an_unsafe_request_is_repeated_only_when_it_was_not_processed(
    sandbox, method, status, attempts
):
    with httpkit.Session(sandbox.url) as api:
        response = api.request(method, f"status/{status}", raise_for_status=False, json={})

    assert response.attempts == len(sandbox.requests) == attempts


@pytest.mark.parametrize(
    ("status", "retry_after", "attempts"),
    [
        (503, "1", 3),
        (503, "0", 3),
        (503, "soon", 1),
        (503, "", 1),
        (500, "1", 1),
        (502, "1", 1),
        (504, "1", 1),
    ],
)
@pytest.mark.parametrize("method", UNSAFE)
def test_an_unsafe_request_is_repeated_after_a_503_that_says_when(
    sandbox, method, status, retry_after, attempts
):
    with httpkit.Session(sandbox.url) as api:
        response = api.request(
            method, f"status/{status}", params={"retry_after": retry_after}, raise_for_status=False
        )

    assert response.attempts == len(sandbox.requests) == attempts


def test_a_post_is_never_repeated_by_default(sandbox, waits):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.InternalServerError) as caught:
        api.post("flaky/a", params={"status": 500}, json={"amount": 100})

    assert (len(sandbox.requests), caught.value.attempts, waits) == (1, 1, [])
    assert "idempotency key" in caught.value.stop_reason


@pytest.mark.parametrize(
    ("method", "status"), [("PATCH", 500), *(("POST", status) for status in RETRIED)]
)
def test_an_unsafe_request_with_a_key_is_repeated(sandbox, method, status):
    with httpkit.Session(sandbox.url) as api:
        response = api.request(
            method, "flaky/a", params={"status": status}, idempotency_key=True, json={}
        )

    assert (response.status_code, response.attempts) == (200, 3)


def test_a_method_that_nobody_knows_is_not_repeated(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.request(
            "PROPFIND", "flaky/a", params={"status": 500}, raise_for_status=False
        )

    assert response.attempts == 1


def test_a_policy_may_name_other_methods(sandbox):
    policy = httpkit.RetryPolicy(methods=["post"])

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        posted = api.post("flaky/a", params={"status": 500})
        got = api.get("flaky/b", params={"status": 500})

    assert (posted.attempts, got.attempts) == (3, 1)


def test_a_policy_may_name_other_statuses(sandbox):
    policy = httpkit.RetryPolicy(statuses=[418])

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        odd = api.get("flaky/a", params={"status": 418})
        usual = api.get("flaky/b", params={"status": 503})

    assert (odd.attempts, usual.attempts) == (3, 1)


@pytest.mark.parametrize("method", IDEMPOTENT + UNSAFE)
def test_a_refused_connection_is_tried_again_for_any_method(nobody, waits, method):
    with httpkit.Session(nobody) as api, pytest.raises(requests.ConnectionError) as caught:
        api.request(method, "x")

    assert (attempts_of(caught.value), waits) == (3, [0.5, 1.0])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_times_out_is_tried_again_for_any_method(busy, waits, method):
    with (
        httpkit.Session(busy, timeout=0.1) as api,
        pytest.raises(requests.exceptions.ConnectTimeout) as caught,
    ):
        api.request(method, "x")

    assert (attempts_of(caught.value), waits) == (3, [0.5, 1.0])


@pytest.mark.parametrize("method", ["GET", "PUT"])
@maybe_sent
def test_an_idempotent_request_outlives_a_lost_response(raw_server, make_response, failure, method):
    server = raw_server(failure, failure, make_response(body=b"whole"))

    with httpkit.Session(server.url, timeout=(5, 0.5)) as api:
        response = api.request(method, "x")

    assert (response.content, response.attempts, len(server.requests)) == (b"whole", 3, 3)


@pytest.mark.parametrize("method", UNSAFE)
@maybe_sent
def test_an_unsafe_request_is_not_repeated_after_a_lost_response(
    raw_server, waits, failure, method
):
    server = raw_server(failure)

    with (
        httpkit.Session(server.url, timeout=(5, 0.1)) as api,
        pytest.raises(requests.RequestException) as caught,
    ):
        api.request(method, "x", data=b"pay 100")

    assert (len(server.requests), attempts_of(caught.value), waits) == (1, 1, [])
    assert "idempotency key" in caught.value.stop_reason


@maybe_sent
def test_an_unsafe_request_with_a_key_outlives_a_lost_response(raw_server, make_response, failure):
    server = raw_server(failure, failure, make_response(body=b"whole"))

    with httpkit.Session(server.url, timeout=(5, 0.5)) as api:
        response = api.post("x", data=b"pay 100", idempotency_key="k1")

    assert (response.content, response.attempts) == (b"whole", 3)
    assert [b"Idempotency-Key: k1" in request for request in server.requests] == [True] * 3


def reset_unread(connection: socket.socket) -> None:
    """Reset when the request arrives, without reading it."""
    connection.recv(1, socket.MSG_PEEK)  # a reset before that makes connecting fail
    reset(connection)


@pytest.mark.parametrize(("method", "attempts"), [("GET", 3), ("POST", 1)])
def test_a_reset_before_the_request_was_read_may_have_come_after_it(method, attempts):
    with (
        Acceptor(reset_unread) as listener,
        httpkit.Session(f"http://127.0.0.1:{listener.port}") as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.request(method, "x")

    assert attempts_of(caught.value) == listener.connections == attempts


def test_a_broken_compression_is_not_retried(raw_server, make_response, waits):
    server = raw_server(make_response(body=b"this is no gzip", content_encoding="gzip"))

    with (
        httpkit.Session(server.url) as api,
        pytest.raises(requests.exceptions.ContentDecodingError) as caught,
    ):
        api.get("x")

    assert (len(server.requests), attempts_of(caught.value), waits) == (1, 1, [])


@pytest.mark.parametrize(
    "url",
    [
        "relative",
        "ftp://127.0.0.1/x",
        "http://",
        "http://127.0.0.1:99999/",
        "http://a..b/",
        f"http://{'a' * 70}.test/",
    ],
    ids=["no schema", "other schema", "no host", "no such port", "empty label", "long label"],
)
def test_a_url_that_leads_nowhere_is_not_tried_again(waits, url):
    with httpkit.Session() as api, pytest.raises(requests.RequestException):
        api.get(url)

    assert waits == []


def test_a_body_over_the_limit_is_not_retried(raw_server, make_response):
    server = raw_server(make_response(body=b"x" * 100))

    with httpkit.Session(server.url, max_body=10) as api, pytest.raises(httpkit.BodyTooLargeError):
        api.get("x")

    assert len(server.requests) == 1


def test_what_a_mock_does_not_know_is_not_tried_again(waits):
    with (
        responses.RequestsMock(),
        httpkit.Session() as api,
        pytest.raises(requests.ConnectionError),
    ):
        api.get("http://127.0.0.1/unknown")

    assert waits == []


def test_a_retry_does_not_multiply_on_redirects(sandbox):
    sent = {"to": "/flaky/a?fail=9&status=503"}

    with httpkit.Session(sandbox.url) as api:
        response = api.get("redirect", params=sent, raise_for_status=False)

    assert (response.attempts, len(sandbox.attempts("a")), len(sandbox.requests)) == (3, 3, 4)


def test_a_post_is_not_repeated_when_its_redirect_cannot_be_followed(sandbox, nobody):
    with httpkit.Session(sandbox.url) as api, pytest.raises(requests.ConnectionError) as caught:
        api.post("redirect", params={"to": nobody, "status": 303}, data={"amount": 100})

    assert [request.method for request in sandbox.requests] == ["POST"]
    assert attempts_of(caught.value) == 3


def test_each_hop_counts_its_own_attempts(sandbox):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("redirect", params={"to": "/flaky/a?fail=1"})

    assert (response.attempts, [past.attempts for past in response.history]) == (2, [1])


# TLS


@contextmanager
def tls(certificate: trustme.LeafCert, reply: bytes = b"") -> Iterator[Acceptor]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(reply)

    with Acceptor(serve) as listener:
        yield listener


class Pinned(HTTPAdapter):
    """Trusts one certificate only, and none has this fingerprint."""

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs, assert_fingerprint="00" * 32)


def test_a_trusted_certificate_lets_the_request_through(authority, bundle, make_response):
    certificate = authority.issue_cert("127.0.0.1")

    with (
        tls(certificate, make_response(body=b"secured")) as listener,
        httpkit.Session(f"https://127.0.0.1:{listener.port}", verify=bundle) as api,
    ):
        response = api.get("x")

    assert (response.content, listener.connections) == (b"secured", 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "fault", ["unknown authority", "other host", "expired", "other fingerprint"]
)
def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    authority, bundle, waits, fault, method
):
    certificates = {
        "other host": lambda: authority.issue_cert("other.test"),
        "expired": lambda: authority.issue_cert(
            "127.0.0.1", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        ),
    }
    certificate = certificates.get(fault, lambda: authority.issue_cert("127.0.0.1"))()

    with (
        tls(certificate) as listener,
        httpkit.Session(f"https://127.0.0.1:{listener.port}") as api,
    ):
        api.verify = True if fault == "unknown authority" else bundle
        if fault == "other fingerprint":
            api.mount("https://", Pinned())
        with pytest.raises(requests.exceptions.SSLError) as caught:
            api.request(method, "x", idempotency_key=True)

    assert (listener.connections, attempts_of(caught.value), waits) == (1, 1, [])


@pytest.mark.parametrize("setting", ["verify", "cert"])
def test_a_certificate_file_that_cannot_be_read_is_not_tried_again(
    authority, bundle, tmp_path, waits, setting
):
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    settings = {"verify": bundle, setting: str(broken)}

    with (
        tls(authority.issue_cert("127.0.0.1")) as listener,
        httpkit.Session(f"https://127.0.0.1:{listener.port}", **settings) as api,
        pytest.raises(requests.RequestException),
    ):
        api.get("x")

    assert waits == []


def test_a_tls_connection_that_breaks_is_tried_again(make_response):
    with (
        Acceptor(lambda connection: connection.recv(65536)) as listener,
        httpkit.Session(f"https://127.0.0.1:{listener.port}") as api,
        pytest.raises(requests.exceptions.SSLError) as caught,
    ):
        api.get("x")

    assert attempts_of(caught.value) == listener.connections == 3


# How long it waits


@pytest.mark.parametrize(
    ("status", "policy", "expected"),
    [
        (500, {}, [0.5, 1, 2, 4, 8, 8]),
        (429, {}, [1, 2, 4, 8, 8, 8]),
        (503, {}, [1, 2, 4, 8, 8, 8]),
        (503, {"backoff": 2}, [2, 4, 8, 8, 8, 8]),
        (503, {"max_backoff": 0.7}, [0.7] * 6),
        (500, {"max_backoff": 0.1}, [0.1] * 6),
        (500, {"backoff": 0}, [0] * 6),
        (503, {"backoff": 0}, [0] * 6),
        (500, {"max_backoff": 0}, [0] * 6),
        (500, {"backoff": 3, "max_backoff": 100}, [3, 6, 12, 24, 48, 96]),
    ],
    ids=[
        "default", "overload 429", "overload 503", "longer than overload", "capped overload",
        "capped", "no backoff", "no backoff after overload", "capped at nothing", "other base",
    ],
)  # fmt: skip
def test_waits_double_up_to_their_cap(sandbox, waits, status, policy, expected):
    policy = httpkit.RetryPolicy(attempts=7, **policy)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.get("flaky/a", params={"fail": 6, "status": status})

    assert waits == pytest.approx(expected)


def test_waits_after_lost_connections_double_too(nobody, waits):
    with httpkit.Session(nobody, retry=6) as api, pytest.raises(requests.ConnectionError):
        api.get("x")

    assert waits == [0.5, 1, 2, 4, 8]


class AlwaysDown(HTTPAdapter):
    """Answers 500 without a socket."""

    def send(self, request, **kwargs):
        response = requests.Response()
        response.status_code, response.request, response.url = 500, request, request.url
        response._content = b""
        return response


def test_the_thousandth_wait_is_still_the_cap(waits):
    policy = httpkit.RetryPolicy(attempts=1100, budget=None)

    with httpkit.Session("http://127.0.0.1", retry=policy, deadline=None) as api:
        api.mount("http://", AlwaysDown())
        response = api.get("x", raise_for_status=False)

    assert (response.attempts, waits[-1]) == (1100, 8)


def test_a_wait_is_spread_over_its_upper_half(sandbox, waits, monkeypatch):
    monkeypatch.setattr(CLOCK, "jitter", Clock().jitter)
    policy = httpkit.RetryPolicy(attempts=60, max_backoff=0.5, budget=None)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.get("status/500", raise_for_status=False)

    assert len(waits) == 59
    assert min(waits) >= 0.25
    assert max(waits) <= 0.5
    assert max(waits) - min(waits) > 0.1


DATE = "Sun, 06 Nov 1994 08:49:30 GMT"
RETRY_AFTER = {
    "seconds": ({"Retry-After": "7"}, 7),
    "a fraction": ({"Retry-After": "2.5"}, 2.5),
    "a small fraction": ({"Retry-After": ".5"}, 0.5),
    "in white space": ({"Retry-After": "  3 "}, 3),
    "nothing": ({"Retry-After": "0"}, 0),
    "negative": ({"Retry-After": "-5"}, 0),
    "the longest allowed": ({"Retry-After": "120"}, 120),
    "milliseconds": ({"Retry-After-Ms": "1500"}, 1.5),
    "milliseconds of another vendor": ({"X-Ms-Retry-After-Ms": "250"}, 0.25),
    "milliseconds beside rounded seconds": ({"Retry-After": "2", "Retry-After-Ms": "1100"}, 1.1),
    "garbled milliseconds beside seconds": ({"Retry-After": "2", "Retry-After-Ms": "?"}, 2),
    "a date": ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": DATE}, 7),
    "an RFC 850 date": ({"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT", "Date": DATE}, 7),
    "an asctime date": ({"Retry-After": "Sun Nov  6 08:49:37 1994", "Date": DATE}, 7),
    "a past date": ({"Retry-After": "Sun, 06 Nov 1994 08:49:00 GMT", "Date": DATE}, 0),
    "long past by the client's clock": ({"Retry-After": DATE}, 0),
    "a date beside a garbled Date": ({"Retry-After": DATE, "Date": "today"}, 0),
    "a word": ({"Retry-After": "soon"}, 0),
    "empty": ({"Retry-After": ""}, 0),
    "not a number": ({"Retry-After": "nan"}, 0),
    "two values": ({"Retry-After": "5, 10"}, 10),
    "a date that does not exist": ({"Retry-After": "Sun, 99 Nov 1994 08:49:37 GMT"}, 0),
    "a date with an impossible zone": ({"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0),
    "bytes": ({"Retry-After": "\xff\xfe"}, 0),
}


@pytest.mark.parametrize(("fields", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_every_format_of_retry_after_is_survived(
    raw_server, make_response, waits, fields, expected
):
    server = raw_server(make_response("429 Too Many Requests", **fields), make_response())
    policy = httpkit.RetryPolicy(backoff=0)

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x")

    assert (response.status_code, waits) == (200, pytest.approx([expected]))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("seconds", 7),
        ("a fraction", 2.5),
        ("milliseconds", 1.5),
        ("a date", 7),
        ("nothing", 0),
        ("negative", 0),
        ("a past date", 0),
        ("a word", None),
        ("empty", None),
        ("two values", 10),
    ],
)
def test_an_error_says_how_long_the_server_asks_to_wait(raw_server, make_response, form, expected):
    fields, _ = RETRY_AFTER[form]
    server = raw_server(make_response("429 Too Many Requests", **fields))

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(httpkit.TooManyRequestsError) as caught,
    ):
        api.get("x")

    assert caught.value.retry_after == expected


def test_a_retry_after_date_without_a_date_is_read_by_the_clients_clock(
    raw_server, make_response, waits
):
    due = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    fields = {"Retry-After": format_datetime(due, usegmt=True)}
    server = raw_server(make_response("429 Too Many Requests", **fields), make_response())

    with httpkit.Session(server.url) as api:
        api.get("x")

    assert 28 < waits[0] <= 30


@pytest.fixture
def _far_west(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be set")
@pytest.mark.usefixtures("_far_west")
@pytest.mark.parametrize("form", ["an RFC 850 date", "an asctime date", "a date"])
def test_a_retry_after_date_is_never_read_in_local_time(raw_server, make_response, waits, form):
    fields, expected = RETRY_AFTER[form]
    server = raw_server(make_response("429 Too Many Requests", **fields), make_response())

    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(backoff=0)) as api:
        api.get("x")

    assert waits == [expected]


# A spent rate limit. A server says when it is full again by the clock of its Date.

MOMENT = 1_784_111_777  # seconds since the epoch, in 2026
SPENT = {
    "a moment": ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(MOMENT + 30)}, 30),
    "a moment that has passed": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(MOMENT - 5)}, 0
    ),
    "a span": ({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, 30),
    "Retry-After beside it": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(MOMENT + 30), "Retry-After": "5"},
        5,
    ),
}  # fmt: skip
NOT_SPENT = {
    "no field": {},
    "some left": {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str(MOMENT + 30)},
    "nothing said of what is left": {"X-RateLimit-Reset": str(MOMENT + 30)},
    "no moment": {"X-RateLimit-Remaining": "0"},
    "words": {"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "soon"},
}


def dated(fields):
    return {
        "Date": format_datetime(dt.datetime.fromtimestamp(MOMENT, dt.UTC), usegmt=True)
    } | fields


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", ["403 Forbidden", "429 Too Many Requests"])
@pytest.mark.parametrize(("fields", "expected"), SPENT.values(), ids=SPENT)
def test_a_spent_rate_limit_is_waited_for(
    raw_server, make_response, waits, method, status, fields, expected
):
    server = raw_server(make_response(status, **dated(fields)), make_response())

    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(backoff=0)) as api:
        response = api.request(method, "x")

    assert (response.status_code, len(server.requests), waits) == (200, 2, [expected])


@pytest.mark.parametrize("fields", NOT_SPENT.values(), ids=NOT_SPENT)
def test_a_403_that_does_not_say_when_to_come_back_is_final(
    raw_server, make_response, waits, fields
):
    server = raw_server(make_response("403 Forbidden", **dated(fields)))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.ForbiddenError) as caught:
        api.get("x")

    assert (caught.value.retry_after, len(server.requests), waits) == (None, 1, [])


def test_a_limit_that_is_full_again_in_an_hour_is_an_error_that_says_so(
    raw_server, make_response, waits
):
    fields = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(MOMENT + 3600)}
    server = raw_server(make_response("403 Forbidden", **dated(fields)))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.ForbiddenError) as caught:
        api.get("x")

    assert (caught.value.retry_after, len(server.requests), waits) == (3600, 1, [])
    assert caught.value.stop_reason == (
        "the server asks for 3600 s, longer than max_retry_after=120 s"
    )


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error"])
def test_a_spent_rate_limit_has_nothing_to_do_with_other_errors(
    raw_server, make_response, waits, status
):
    fields, _ = SPENT["a span"]
    server = raw_server(make_response(status, **fields))

    with httpkit.Session(server.url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get("x")

    assert caught.value.retry_after is None
    assert 30 not in waits


def test_a_403_that_says_at_once_is_waited_for_like_a_429(raw_server, make_response, waits):
    server = raw_server(make_response("403 Forbidden", retry_after="0"), make_response())

    with httpkit.Session(server.url) as api:
        api.get("x")

    assert waits == [1.0]


def test_a_403_is_repeated_only_where_a_429_is(raw_server, make_response, waits):
    server = raw_server(make_response("403 Forbidden", retry_after="1"))
    policy = httpkit.RetryPolicy(statuses={503})

    with httpkit.Session(server.url, retry=policy) as api, pytest.raises(httpkit.ForbiddenError):
        api.get("x")

    assert (len(server.requests), waits) == (1, [])


def test_retry_after_is_a_floor_not_the_wait(sandbox, waits):
    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/a", params={"fail": 2, "status": 429, "retry_after": "1.5"})

    assert waits == [1.5, 2.0]


def test_retry_after_may_be_longer_than_the_longest_backoff(sandbox, waits):
    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/a", params={"fail": 1, "retry_after": "60"})

    assert waits == [60]


def test_a_retry_after_of_nothing_does_not_burn_all_attempts_at_once(sandbox, waits):
    with httpkit.Session(sandbox.url) as api:
        api.get("status/429", params={"retry_after": "0"}, raise_for_status=False)

    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    "value",
    ["121", "120.001", "9" * 12, "9" * 400, "1e400", "Fri, 31 Dec 9999 23:59:59 GMT"],
    ids=["a second", "a fraction", "ages", "beyond a float", "an overflow", "the last date"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_limit_gives_up_at_once(sandbox, waits, status, value):
    with httpkit.Session(sandbox.url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get(f"status/{status}", params={"retry_after": value})

    assert (caught.value.attempts, len(sandbox.requests), waits) == (1, 1, [])
    assert caught.value.retry_after > 120
    assert "longer than max_retry_after=120 s" in caught.value.stop_reason


def test_the_limit_for_retry_after_can_be_moved(sandbox, waits):
    policy = httpkit.RetryPolicy(max_retry_after=5)

    with (
        httpkit.Session(sandbox.url, retry=policy) as api,
        pytest.raises(httpkit.TooManyRequestsError) as caught,
    ):
        api.get("status/429", params={"retry_after": "6"})

    assert (caught.value.retry_after, waits) == (6, [])


@pytest.mark.parametrize(
    ("retry_after", "known"), [("30", 30), (None, None)], ids=["asked by the server", "chosen"]
)
def test_a_wait_beyond_the_deadline_gives_up_at_once(sandbox, waits, retry_after, known):
    policy = httpkit.RetryPolicy(backoff=60, max_backoff=60)
    params = {"retry_after": retry_after} if retry_after else {}

    with (
        httpkit.Session(sandbox.url, deadline=20, retry=policy) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("status/503", params=params)

    assert (caught.value.attempts, caught.value.retry_after, waits) == (1, known, [])
    assert "deadline" in caught.value.stop_reason


# The idempotency key


def test_all_attempts_of_a_call_carry_one_key_and_the_next_call_another(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.post("flaky/a", json={}, idempotency_key=True)
        api.post("flaky/b", json={}, idempotency_key=True)

    first = {received.headers["Idempotency-Key"] for received in sandbox.attempts("a")}
    second = {received.headers["Idempotency-Key"] for received in sandbox.attempts("b")}
    assert len(sandbox.attempts("a")) == len(sandbox.attempts("b")) == 3
    assert len(first) == len(second) == len(first | second) - 1 == 1


def test_a_key_may_be_the_callers_own(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.post("flaky/a", json={}, idempotency_key="order-7")

    assert [request.headers["Idempotency-Key"] for request in sandbox.requests] == ["order-7"] * 3


def test_the_header_of_the_key_can_be_named(sandbox):
    policy = httpkit.RetryPolicy(idempotency_header="X-Request-Token")

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.post("flaky/a", json={}, idempotency_key=True)

    keys = [request.headers["X-Request-Token"] for request in sandbox.requests]
    assert (len(keys), len(set(keys))) == (3, 1)
    assert "Idempotency-Key" not in sandbox.requests[0].headers


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
def test_a_key_in_the_headers_counts_as_one(sandbox, name):
    with httpkit.Session(sandbox.url) as api:
        response = api.post("flaky/a", json={}, headers={name: "order-7"})

    assert response.attempts == 3


@pytest.mark.parametrize("key", [None, False], ids=repr)
def test_no_key_is_sent_unless_asked_for(sandbox, key):
    with httpkit.Session(sandbox.url) as api:
        api.post("echo", json={}, idempotency_key=key)

    assert "Idempotency-Key" not in sandbox.requests[0].headers


def test_a_key_is_sent_even_where_nothing_is_retried(sandbox):
    with httpkit.Session(sandbox.url, retry=None) as api:
        api.post("echo", json={}, idempotency_key=True)

    assert sandbox.requests[0].headers["Idempotency-Key"]


@pytest.mark.parametrize("key", ["", "two\nlines", 7], ids=repr)
def test_a_key_that_cannot_be_sent_is_refused_before_sending(sandbox, key):
    with httpkit.Session(sandbox.url) as api, pytest.raises(ValueError, match="dempotency"):
        api.post("echo", json={}, idempotency_key=key)

    assert sandbox.requests == []


def test_the_same_key_stores_once(sandbox):
    with httpkit.Session(sandbox.url) as api:
        posts = [api.post("posts", json={"title": "x"}, idempotency_key="k").json() for _ in "ab"]

    assert posts[0] == posts[1]


# What callers are told


def test_each_wait_is_announced(sandbox):
    events = []
    policy = httpkit.RetryPolicy(on_retry=events.append)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.get("flaky/a", params={"fail": 2, "status": 503, "retry_after": "1.5"})

    assert [(event.attempt, event.wait, event.status, event.error) for event in events] == [
        (1, 1.5, 503, None),
        (2, 2.0, 503, None),
    ]
    assert {event.method for event in events} == {"GET"}
    assert events[0].url.startswith(f"{sandbox.url}/flaky/a?")


def test_a_lost_connection_is_announced_with_its_error(nobody):
    events = []
    policy = httpkit.RetryPolicy(on_retry=events.append)

    with httpkit.Session(nobody, retry=policy) as api, pytest.raises(requests.ConnectionError):
        api.post("x")

    assert [(event.attempt, event.status, event.method) for event in events] == [
        (1, None, "POST"),
        (2, None, "POST"),
    ]
    assert all(isinstance(event.error, requests.ConnectionError) for event in events)


@pytest.mark.parametrize("status", [200, 404], ids=["success", "a lasting status"])
def test_nothing_is_announced_without_a_wait(sandbox, status):
    events = []

    with httpkit.Session(sandbox.url, retry=httpkit.RetryPolicy(on_retry=events.append)) as api:
        api.get(f"status/{status}", raise_for_status=False)

    assert events == []


def test_the_last_failure_is_not_announced(sandbox):
    events = []
    policy = httpkit.RetryPolicy(attempts=2, on_retry=events.append)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.get("status/503", raise_for_status=False)

    assert [event.attempt for event in events] == [1]


def test_an_announcement_shows_no_credential(nobody):
    events = []
    policy = httpkit.RetryPolicy(attempts=2, on_retry=events.append)

    with httpkit.Session(nobody, retry=policy) as api, pytest.raises(requests.ConnectionError):
        api.get("x", params={"api_key": "s3cret-in-the-query"})

    assert "s3cret" not in f"{events} {events[0].error} {events[0].error!r}"


def test_an_exception_in_on_retry_reaches_the_caller(sandbox, waits):
    class Stop(Exception):  # noqa: N818  # it is no error
        pass

    def stop(event):
        raise Stop

    policy = httpkit.RetryPolicy(on_retry=stop)

    with httpkit.Session(sandbox.url, retry=policy) as api, pytest.raises(Stop):
        api.get("status/503")

    assert (len(sandbox.requests), waits) == (1, [])


def test_an_exception_in_on_retry_frees_the_connection(raw_server):
    is_free = threading.Event()

    def fail(connection):
        connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\nsome")
        if not connection.recv(1):
            is_free.set()

    def stop(event):
        raise KeyboardInterrupt

    server = raw_server(fail)

    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(on_retry=stop)) as api:
        with pytest.raises(KeyboardInterrupt) as caught:
            api.get("x", stream=True)

        assert is_free.wait(10), caught  # holding the traceback, as a notebook does


@pytest.mark.parametrize("status", [200, 404])
def test_a_response_says_how_many_attempts_were_made(sandbox, status):
    with httpkit.Session(sandbox.url) as api:
        response = api.get("flaky/a", params={"then": status}, raise_for_status=False)

    assert (response.attempts, response.stop_reason) == (3, None)


def test_a_response_says_why_it_was_not_retried(sandbox):
    with httpkit.Session(sandbox.url, raise_for_status=False) as api:
        exhausted = api.get("status/500")
        unsafe = api.post("status/500")

    assert exhausted.stop_reason == "all 3 attempts were made"
    assert "POST" in unsafe.stop_reason


def test_a_status_error_says_how_often_and_why(sandbox):
    with httpkit.Session(sandbox.url, retry=2) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get("status/502")

    assert (caught.value.attempts, caught.value.stop_reason) == (2, "all 2 attempts were made")


def test_a_transport_error_says_how_often_and_why(nobody):
    with httpkit.Session(nobody, retry=2) as api, pytest.raises(requests.ConnectionError) as caught:
        api.get("x")

    assert (caught.value.attempts, caught.value.stop_reason) == (2, "all 2 attempts were made")


def test_a_transport_error_says_so_without_retries_too(nobody):
    with (
        httpkit.Session(nobody, retry=None) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert caught.value.attempts == 1


def test_a_streamed_response_says_how_many_attempts_were_made(sandbox):
    with httpkit.Session(sandbox.url) as api, api.get("flaky/a", stream=True) as response:
        assert response.attempts == 3


# Other people's code on the way


def raise_for_status(response, **_):
    response.raise_for_status()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_hook_that_raises_for_a_status_does_not_disable_retries(sandbox, stream):
    with httpkit.Session(sandbox.url) as api:
        api.hooks["response"].append(raise_for_status)
        with api.get("flaky/a", stream=stream) as response:
            assert (response.status_code, response.attempts) == (200, 3)


def test_a_hook_that_raises_for_a_status_raises_in_the_end(sandbox):
    with httpkit.Session(sandbox.url) as api, pytest.raises(requests.HTTPError) as caught:
        api.get("status/503", hooks={"response": raise_for_status})

    assert (caught.value.attempts, len(sandbox.requests)) == (3, 3)
    with caught.value.response as response:
        assert response.status_code == 503


def test_a_hook_that_raises_for_a_lasting_status_is_not_repeated(sandbox):
    with httpkit.Session(sandbox.url) as api, pytest.raises(requests.HTTPError) as caught:
        api.get("status/404", hooks={"response": raise_for_status})

    caught.value.response.close()
    assert (caught.value.attempts, len(sandbox.requests)) == (1, 1)


def test_hooks_see_every_attempt(sandbox):
    statuses = []

    with httpkit.Session(sandbox.url) as api:
        api.get("flaky/a", hooks={"response": lambda r, **_: statuses.append(r.status_code)})

    assert statuses == [503, 503, 200]


@pytest.mark.parametrize(
    "hooks",
    [{}, {"response": []}, {"response": raise_for_status}],
    ids=["none", "an empty list", "a callable"],
)
def test_a_prepared_request_may_have_any_hooks_that_requests_takes(sandbox, hooks):
    with httpkit.Session(sandbox.url) as api:
        prepared = api.prepare_request(requests.Request("GET", "flaky/a"))
        prepared.hooks = hooks
        response = api.send(prepared)

    assert (response.status_code, response.attempts) == (200, 3)


def test_a_session_may_have_one_hook_instead_of_a_list(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.hooks = {"response": raise_for_status}  # requests takes it so
        response = api.get("flaky/a")

    assert (response.status_code, response.attempts) == (200, 3)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
@pytest.mark.parametrize("number", [1, 2], ids=["first attempt", "second attempt"])
def test_an_exception_from_a_hook_is_not_retried(sandbox, error, number):
    def interrupt(response, **_):
        if len(sandbox.requests) == number:
            response.close()
            raise error

    with httpkit.Session(sandbox.url) as api, pytest.raises(error):
        api.get("status/503", hooks={"response": interrupt})

    assert len(sandbox.requests) == number


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_exception_from_a_hook_frees_the_connection(raw_server, stream):
    is_free = threading.Event()

    def answer_in_part(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nsome")
        if not connection.recv(1):
            is_free.set()

    def interrupt(response, **_):
        raise KeyboardInterrupt

    server = raw_server(answer_in_part)

    with httpkit.Session(server.url) as api:
        with pytest.raises(KeyboardInterrupt) as caught:
            api.get("x", stream=stream, hooks={"response": interrupt})

        assert is_free.wait(10), caught  # holding the traceback, as a notebook does


class Interrupted:
    """A body that can be sent again, but is interrupted each time."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.started = 0

    def __iter__(self):
        return self._blocks()

    def _blocks(self):
        self.started += 1
        yield b"half"
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_from_a_body_is_not_retried(sandbox, waits, error):
    body = Interrupted(error)

    with httpkit.Session(sandbox.url) as api, pytest.raises(error):
        api.put("echo", data=body)

    assert (body.started, waits) == (1, [])


def test_an_interrupted_wait_is_not_retried(sandbox, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(CLOCK, "sleep", interrupt)

    with httpkit.Session(sandbox.url) as api, pytest.raises(KeyboardInterrupt):
        api.get("status/503")

    assert len(sandbox.requests) == 1


# The price


def test_a_success_does_without_tenacity():
    script = """
import sys
sys.modules["tenacity"] = None  # importing it is an error
import httpkit
from httpkit.testing import Sandbox, no_waiting
with Sandbox() as sandbox, httpkit.Session(sandbox.url) as api, no_waiting():
    api.get("posts")
    api.post("posts", json={"title": "x"})
    try:
        api.get("posts/404")
    except httpkit.NotFoundError:
        print("fine without")
    try:
        api.get("flaky/a")
    except ImportError:
        print("needed for a retry")
"""

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=Path(httpkit.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.stdout.splitlines(), ran.stderr) == (["fine without", "needed for a retry"], "")


def test_flaky_streams_reuse_one_connection(sandbox, caplog):
    caplog.set_level("DEBUG", logger="urllib3.connectionpool")

    with httpkit.Session(sandbox.url) as api:
        for number in range(5):
            with api.get(f"flaky/{number}", stream=True) as response:
                response.json()

    assert len(sandbox.requests) == 15
    assert caplog.text.count("Starting new HTTP connection") == 1


def test_threads_keep_their_own_counts(sandbox):
    events = []
    policy = httpkit.RetryPolicy(on_retry=events.append, budget=None)
    failures = {f"{number}": number % 3 for number in range(32)}
    together = threading.Barrier(32)

    def call(key: str) -> int:
        together.wait(10)
        return api.get(f"flaky/{key}", params={"fail": failures[key]}).attempts

    with httpkit.Session(sandbox.url, retry=policy) as api, ThreadPoolExecutor(32) as threads:
        attempts = dict(zip(failures, threads.map(call, failures), strict=True))

    assert attempts == {key: failed + 1 for key, failed in failures.items()}
    assert {key: len(sandbox.attempts(key)) for key in failures} == attempts
    assert Counter(event.url.rpartition("?")[0].rpartition("/")[2] for event in events) == Counter(
        failures
    )


# The budget


def test_a_spent_budget_stops_retries_and_says_so(sandbox):
    policy = httpkit.RetryPolicy(attempts=10, budget=12)  # a status costs 5

    with httpkit.Session(sandbox.url, retry=policy) as api:
        response = api.get("status/503", raise_for_status=False)

    assert (response.attempts, len(sandbox.requests)) == (3, 3)
    assert "budget" in response.stop_reason


def test_a_lost_connection_costs_more_of_the_budget(nobody):
    policy = httpkit.RetryPolicy(attempts=10, budget=30)  # a lost connection costs 14

    with (
        httpkit.Session(nobody, retry=policy) as api,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        api.get("x")

    assert attempts_of(caught.value) == 3


def test_a_spent_budget_leaves_first_attempts_alone(sandbox):
    policy = httpkit.RetryPolicy(budget=1)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        api.get("status/503", raise_for_status=False)
        response = api.get("status/200")

    assert (response.status_code, response.attempts) == (200, 1)


def test_a_success_gives_one_token_back(sandbox):
    policy = httpkit.RetryPolicy(attempts=2, budget=5)

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        spent = [api.get("status/503").attempts, api.get("status/503").attempts]
        for _ in range(4):
            api.get("status/200")
        after_four = api.get("status/503").attempts
        api.get("status/200")
        after_five = api.get("status/503").attempts

    assert (spent, after_four, after_five) == ([2, 1], 1, 2)


# What a failed attempt of the sandbox's `flaky` looks like: none says when to come back.
GOT_THROUGH = {
    "status": {"status": "500"},
    "overload": {"status": "429"},
    "lost connection": {"status": "drop"},
    "several retries": {"fail": "3"},
    "refused in the end": {"status": "503", "then": "404"},
}


@pytest.mark.parametrize("failure", GOT_THROUGH)
def test_a_call_that_gets_through_gives_back_what_its_retries_cost(sandbox, failure):
    policy = httpkit.RetryPolicy(attempts=4, budget=15)  # three statuses, or one lost connection
    query = {"fail": "1", **GOT_THROUGH[failure]}

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        attempts = [api.get(f"flaky/{n}", params=query).attempts for n in range(20)]

    assert attempts == [int(query["fail"]) + 1] * 20


def test_a_streamed_response_gives_the_tokens_back_before_its_body_is_read(sandbox):
    policy = httpkit.RetryPolicy(budget=5)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        for number in range(5):
            with api.get(f"flaky/{number}", params={"fail": 1}, stream=True) as response:
                assert response.attempts == 2


def test_each_redirect_gives_back_what_its_retries_cost(sandbox):
    policy = httpkit.RetryPolicy(budget=5)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        for number in range(5):
            onward = f"{sandbox.url}/flaky/to-{number}?fail=1"
            response = api.get("redirect", params={"to": onward})
            assert (response.attempts, len(response.history)) == (2, 1)


def test_a_clone_gives_back_to_the_budget_it_shares(sandbox):
    policy = httpkit.RetryPolicy(budget=5)

    with httpkit.Session(sandbox.url, retry=policy) as api:
        for number in range(10):
            clone = api.with_options(timeout=1)
            assert clone.get(f"flaky/{number}", params={"fail": 1}).attempts == 2
        assert not api._budget.spent


@pytest.mark.parametrize("failure", ["status/503", "status/429"])
def test_a_call_that_fails_in_the_end_gives_nothing_back(sandbox, failure):
    policy = httpkit.RetryPolicy(attempts=3, budget=20)

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        attempts = [api.get(failure).attempts for _ in range(4)]

    assert attempts == [3, 3, 1, 1]


def test_a_server_error_that_is_not_retried_gives_nothing_back_either(raw_server, make_response):
    server = raw_server(None, make_response("503 Service Unavailable"), None, make_response())
    policy = httpkit.RetryPolicy(statuses={429}, budget=15)

    with httpkit.Session(server.url, retry=policy, raise_for_status=False) as api:
        assert api.get("x").attempts == 2
        with pytest.raises(requests.ConnectionError) as caught:
            api.get("x")

    assert (attempts_of(caught.value), len(server.requests)) == (1, 3)


ASKED_WAITS = {
    "429": ("429 Too Many Requests", {"retry_after": "3"}),
    "503": ("503 Service Unavailable", {"retry_after": "3"}),
    "milliseconds": ("503 Service Unavailable", {"retry_after_ms": "1500"}),
    "rate limit": ("429 Busy", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "7"}),
    "403": ("403 Forbidden", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "7"}),
}


@pytest.mark.parametrize("case", ASKED_WAITS)
def test_a_wait_that_the_server_requested_costs_no_budget(raw_server, make_response, case):
    status, fields = ASKED_WAITS[case]
    server = raw_server(make_response(status, **fields))
    policy = httpkit.RetryPolicy(attempts=8, budget=1)

    with httpkit.Session(server.url, retry=policy, deadline=None) as api:
        response = api.get("x", raise_for_status=False)

    assert response.attempts == 8


def test_a_wait_of_no_time_has_its_price(raw_server, make_response):
    server = raw_server(make_response("503 Service Unavailable", retry_after="0"))
    policy = httpkit.RetryPolicy(attempts=8, budget=11)

    with httpkit.Session(server.url, retry=policy) as api:
        response = api.get("x", raise_for_status=False)

    assert response.attempts == 3


def kept_open(response, *args, **fields):
    return response(*args, connection="keep-alive", **fields)


LONG_JOBS = {
    "throttled": [("200 OK", {})] * 3 + [("429 Busy", {"retry_after": "1"})],
    "throttled without a word": [("200 OK", {})] * 3 + [("429 Busy", {})],
    "connections lost": [("200 OK", {})] * 9 + [None],
}


@pytest.mark.parametrize("job", LONG_JOBS)
@pytest.mark.parametrize("threads", [1, 32])
def test_a_long_job_that_gets_through_is_never_stopped(raw_server, make_response, job, threads):
    cycle = [step and kept_open(make_response, step[0], **step[1]) for step in LONG_JOBS[job]]
    server = raw_server(*cycle * 1000)
    policy = httpkit.RetryPolicy(attempts=12)

    with (
        httpkit.Session(server.url, retry=policy, deadline=None) as api,
        ThreadPoolExecutor(threads) as pool,
    ):
        attempts = [r.attempts for r in pool.map(api.get, ["x"] * 1000)]

    assert len(attempts) == 1000
    assert sum(attempts) > 1100


def test_an_outage_ends_retries_and_what_comes_after_it_fills_the_budget(sandbox):
    policy = httpkit.RetryPolicy(attempts=3, budget=20)

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        during = list(api.map(api.get, ["status/503"] * 32, workers=8))
        for _ in range(20):
            api.get("status/200")
        after = [api.get(f"flaky/{n}", params={"fail": 1}).attempts for n in range(10)]

    assert sum(r.attempts for r in during) == 32 + 20 // 5
    assert after == [2] * 10


def test_hosts_have_budgets_of_their_own(sandbox):
    policy = httpkit.RetryPolicy(attempts=2, budget=5)

    with httpkit.Session(retry=policy, raise_for_status=False) as api:
        attempts = [
            api.get(f"{where}/status/503").attempts
            for where in (sandbox.url, sandbox.url, sandbox.other_url)
        ]

    assert attempts == [2, 1, 2]


def test_clones_share_the_budget(sandbox):
    policy = httpkit.RetryPolicy(attempts=2, budget=5)

    with httpkit.Session(sandbox.url, retry=policy, raise_for_status=False) as api:
        attempts = [api.get("status/503").attempts, api.with_options().get("status/503").attempts]

    assert attempts == [2, 1]


def test_no_budget_is_no_limit(sandbox):
    policy = httpkit.RetryPolicy(attempts=120, budget=None)  # 500 tokens would end at 101

    with httpkit.Session(sandbox.url, retry=policy, deadline=None) as api:
        response = api.get("status/503", raise_for_status=False)

    assert response.attempts == 120
