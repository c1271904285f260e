"""How long a call may take: per wait (`timeout`), and altogether (`deadline`)."""

import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from itertools import count

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import httpkit
from httpkit._core.clock import CLOCK_STEP
from tests.support.platforms import ENDLESS, LATE, SHORT
from tests.support.sockets import drip


class Stopwatch:
    seconds = 0.0


@contextmanager
def timed():
    watch, started = Stopwatch(), time.monotonic()
    yield watch
    watch.seconds = time.monotonic() - started


def say_nothing(connection) -> None:
    """Wait until the client gives up."""
    connection.settimeout(ENDLESS)
    with suppress(TimeoutError):
        connection.recv(1)


def after(seconds: float, reply: bytes) -> Callable:
    """Answer late."""

    def serve(connection):
        connection.settimeout(seconds)
        with suppress(TimeoutError):
            connection.recv(1)
        connection.sendall(reply)

    return serve


def stall(head: bytes) -> Callable:
    """Send the head and nothing more."""

    def serve(connection):
        connection.sendall(head)
        say_nothing(connection)

    return serve


SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNSIZED = b"HTTP/1.1 200 OK\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100000\r\n\r\n"


class Timeouts(HTTPAdapter):
    """Notes the timeout of each attempt as (connect, read)."""

    def __init__(self) -> None:
        super().__init__()
        self.noted = []

    def send(self, request, **kwargs):
        given = kwargs["timeout"]
        self.noted.append(given if isinstance(given, tuple) else (given, given))
        return super().send(request, **kwargs)


@pytest.fixture
def timeouts() -> Timeouts:
    return Timeouts()


# Timeouts


class Slower(httpkit.Session):
    timeout = 30


class SlowerByKeyword(httpkit.Session, timeout=(7, 8)):
    pass


@pytest.mark.parametrize(
    ("session", "call", "expected"),
    [
        (httpkit.Session, {}, (5, 60)),
        (lambda url: httpkit.Session(url, timeout=9), {}, (9, 9)),
        (lambda url: httpkit.Session(url, timeout=(1, 2)), {}, (1, 2)),
        (lambda url: httpkit.Session(url, timeout=9), {"timeout": 4}, (4, 4)),
        (lambda url: httpkit.Session(url, timeout=9), {"timeout": (3, 4.5)}, (3, 4.5)),
        (Slower, {}, (30, 30)),
        (SlowerByKeyword, {}, (7, 8)),
        (lambda url: Slower(url, timeout=9), {}, (9, 9)),
        (Slower, {"timeout": 4}, (4, 4)),
        (httpkit.Session, {"timeout": None, "deadline": None}, (None, None)),
        (lambda url: httpkit.Session(url, timeout=None, deadline=None), {}, (None, None)),
        (httpkit.Session, {"timeout": (None, 3), "deadline": None}, (None, 3)),
        (httpkit.Session, {"timeout": (3, None), "deadline": None}, (3, None)),
    ],
    ids=[
        "default", "session", "session pair", "call beats session", "call pair beats session",
        "class attribute", "class keyword", "instance beats class", "call beats class",
        "call is off", "session is off", "connect is off", "read is off",
    ],
)  # fmt: skip
def test_the_innermost_timeout_counts(sandbox, timeouts, session, call, expected):
    with session(sandbox.url) as api:
        api.mount("http://", timeouts)
        api.get("echo", **call)

    assert timeouts.noted == [expected]


@pytest.mark.parametrize("value", [5, (1, 2), None], ids=repr)
def test_a_timeout_can_be_assigned_to_a_session(sandbox, timeouts, value):
    with httpkit.Session(sandbox.url, deadline=None) as api:
        api.mount("http://", timeouts)
        api.timeout = value
        api.get("echo")

    assert timeouts.noted == [value if isinstance(value, tuple) else (value, value)]


def test_a_prepared_request_has_the_timeout_of_its_session(sandbox, timeouts):
    with httpkit.Session(sandbox.url, timeout=7) as api:
        api.mount("http://", timeouts)
        api.send(api.prepare_request(requests.Request("GET", "echo")))
        api.send(requests.Request("GET", f"{sandbox.url}/echo").prepare())
        api.send(requests.Request("GET", f"{sandbox.url}/echo").prepare(), timeout=2)

    assert timeouts.noted == [(7, 7), (7, 7), (2, 2)]


def test_every_attempt_and_every_hop_has_a_timeout(sandbox, timeouts):
    with httpkit.Session(sandbox.url) as api:
        api.mount("http://", timeouts)
        api.get("redirect", params={"to": "/flaky/a"})

    assert timeouts.noted == [(5, 60)] * 4


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_only_requests_own_manners_wait_for_ever(sandbox, timeouts, strict):
    with httpkit.Session(sandbox.url, strict=strict) as api:
        api.mount("http://", timeouts)
        api.get("echo")

    assert (timeouts.noted == [(None, None)]) is not strict


SECONDS_THAT_CANNOT_WORK = [
    0,
    -1,
    float("nan"),
    float("inf"),
    "5",
    b"5",
    True,
    10**400,
    {},
    [1, 2],
]
TIMEOUTS_THAT_CANNOT_WORK = [
    *SECONDS_THAT_CANNOT_WORK,
    (),
    (1,),
    (1, 2, 3),
    (0, 1),
    (1, 0),
    (1, "2"),
    (None, -1),
    (1, (2, 3)),
    1e300,
]


@pytest.mark.parametrize("value", TIMEOUTS_THAT_CANNOT_WORK, ids=lambda value: repr(value)[:20])
def test_a_session_refuses_a_timeout_that_cannot_work(value):
    with pytest.raises(httpkit.ConfigurationError, match="timeout="):
        httpkit.Session(timeout=value)


@pytest.mark.parametrize("value", TIMEOUTS_THAT_CANNOT_WORK, ids=lambda value: repr(value)[:20])
def test_a_call_refuses_a_timeout_that_cannot_work_before_sending(sandbox, value):
    with (
        httpkit.Session(sandbox.url, deadline=None) as api,
        pytest.raises(httpkit.ConfigurationError, match="timeout="),
    ):
        api.get("echo", timeout=value)

    assert sandbox.requests == []


def test_a_timeout_is_checked_wherever_it_comes_from(sandbox):
    prepared = requests.Request("GET", f"{sandbox.url}/echo").prepare()

    with httpkit.Session(sandbox.url) as api:
        with pytest.raises(httpkit.ConfigurationError, match="timeout=0"):
            api.send(prepared, timeout=0)
        api.timeout = 0
        with pytest.raises(httpkit.ConfigurationError, match="timeout=0"):
            api.get("echo")

    assert sandbox.requests == []


deadlines_that_cannot_work = pytest.mark.parametrize(
    "value", [*SECONDS_THAT_CANNOT_WORK, (1, 2)], ids=lambda value: repr(value)[:20]
)


@deadlines_that_cannot_work
def test_a_session_refuses_a_deadline_that_cannot_work(value):
    with pytest.raises(httpkit.ConfigurationError, match="deadline="):
        httpkit.Session(deadline=value)


@deadlines_that_cannot_work
def test_a_call_refuses_a_deadline_that_cannot_work_before_sending(sandbox, value):
    with (
        httpkit.Session(sandbox.url) as api,
        pytest.raises(httpkit.ConfigurationError, match="deadline="),
    ):
        api.get("echo", deadline=value)

    assert sandbox.requests == []


def test_an_assigned_deadline_is_checked_too(sandbox):
    with httpkit.Session(sandbox.url) as api:
        api.deadline = 0
        with pytest.raises(httpkit.ConfigurationError, match="deadline=0"):
            api.get("echo")

    assert sandbox.requests == []


@pytest.mark.parametrize("setting", ["timeout", "deadline", "retry"])
def test_a_class_statement_refuses_what_cannot_work(setting):
    with pytest.raises(httpkit.ConfigurationError, match=f"{setting}=0"):
        type("Broken", (httpkit.Session,), {}, **{setting: 0})


def test_a_response_that_never_comes_is_a_read_timeout(raw_server):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, timeout=0.03, retry=None) as api,
        pytest.raises(requests.exceptions.ReadTimeout) as caught,
    ):
        api.get("x")

    assert caught.value.request.url == f"{server.url}/x"


STALLED = {
    "sized": SIZED + b"some",
    "chunked": CHUNKED + b"4\r\nsome\r\n",
    "within a chunk": CHUNKED + b"4\r\nso",
    "until the end": UNSIZED + b"some",
    "compressed": SIZED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"\x1f\x8b",
}
stalled = pytest.mark.parametrize("head", STALLED.values(), ids=STALLED)


@stalled
def test_a_body_that_stalls_is_a_timeout(raw_server, head):
    server = raw_server(stall(head))

    with (
        httpkit.Session(server.url, timeout=0.03, retry=None) as api,
        pytest.raises(requests.Timeout) as caught,
    ):
        api.get("x")

    assert caught.value.request.url == f"{server.url}/x"


READERS = {
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "json": lambda response: response.json(),
    "iter_content": lambda response: list(response.iter_content(16)),
    "iter_lines": lambda response: list(response.iter_lines()),
}


@pytest.mark.parametrize(
    ("head", "read"),
    [(head, READERS["content"]) for head in STALLED.values()]
    + [(STALLED["sized"], read) for read in READERS.values()],
    ids=[*STALLED, *READERS],
)
def test_a_stream_that_stalls_is_a_timeout(raw_server, head, read):
    server = raw_server(stall(head))

    with (
        httpkit.Session(server.url, timeout=0.02, retry=None) as api,
        api.get("x", stream=True) as response,
        pytest.raises(requests.Timeout) as caught,
    ):
        read(response)

    assert caught.value.request.url == f"{server.url}/x"


def test_a_timeout_of_the_body_is_repeated_like_one_of_the_response(raw_server, make_response):
    server = raw_server(stall(SIZED), make_response(body=b"whole"))

    with httpkit.Session(server.url, timeout=0.03) as api:
        response = api.get("x")

    assert (response.content, response.attempts) == (b"whole", 2)


# The deadline


ENDLESS_ANSWERS = {
    "no answer": say_nothing,
    "a dripping body": drip(SIZED),
    "a dripping body without a length": drip(UNSIZED),
    "dripping chunks": drip(CHUNKED, b"1\r\nx\r\n"),
    "a dripping error": drip(MISSING),
    "a dripping error that would be repeated": drip(BROKEN),
    "a stalled body": stall(SIZED),
}


@pytest.mark.parametrize("behaviour", ENDLESS_ANSWERS.values(), ids=ENDLESS_ANSWERS)
def test_a_deadline_bounds_the_whole_call(raw_server, behaviour):
    server = raw_server(behaviour)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")

    assert SHORT - CLOCK_STEP <= watch.seconds < LATE
    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", [drip(MISSING), drip(BROKEN)], ids=["404", "500"])
def test_a_deadline_bounds_the_error_body_of_a_stream(raw_server, behaviour):
    server = raw_server(behaviour)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(requests.RequestException),
    ):
        api.get("x", stream=True)

    assert watch.seconds < LATE


def test_a_deadline_does_not_bound_a_stream(sandbox):
    with httpkit.Session(sandbox.url, deadline=SHORT) as api:
        sent = {"seconds": SHORT * 2, "bytes": 4}
        with api.get("drip", params=sent, stream=True) as response:
            content = response.content

    assert content == bytes(range(4))


def test_a_deadline_bounds_the_response_of_a_stream(raw_server):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x", stream=True)

    assert watch.seconds < LATE


@pytest.mark.parametrize("timeout", [None, 10, (10, None), (None, 10)], ids=repr)
def test_a_deadline_shortens_every_timeout(sandbox, timeouts, timeout):
    with httpkit.Session(sandbox.url, deadline=7) as api:
        api.mount("http://", timeouts)
        api.get("echo", timeout=timeout)

    assert 6 < min(timeouts.noted[0]) <= max(timeouts.noted[0]) <= 7


def test_a_deadline_leaves_shorter_timeouts_alone(sandbox, timeouts):
    with httpkit.Session(sandbox.url, deadline=7) as api:
        api.mount("http://", timeouts)
        api.get("echo", timeout=(1, 2))

    assert timeouts.noted == [(1, 2)]


def test_a_deadline_shortens_a_timeout_of_urllib3_too(raw_server):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x", timeout=urllib3.Timeout(ENDLESS))

    assert watch.seconds < LATE


def test_a_timeout_below_the_deadline_stays_a_read_timeout(raw_server):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, deadline=10, timeout=0.03, retry=None) as api,
        pytest.raises(requests.exceptions.ReadTimeout) as caught,
    ):
        api.get("x")

    assert not isinstance(caught.value, httpkit.DeadlineExceededError)


def test_a_deadline_bounds_all_attempts(raw_server):
    server = raw_server(say_nothing)
    policy = httpkit.RetryPolicy(attempts=50, backoff=0)

    with (
        httpkit.Session(server.url, deadline=SHORT, timeout=SHORT / 5, retry=policy) as api,
        timed() as watch,
        pytest.raises(requests.Timeout) as caught,
    ):
        api.get("x")

    assert watch.seconds < LATE
    assert len(server.requests) > 1
    # The last one may have been over before the server heard of it.
    assert caught.value.attempts - len(server.requests) in {0, 1}


def test_a_wait_that_outlasts_the_deadline_is_not_begun(sandbox, waits):
    with (
        httpkit.Session(sandbox.url, deadline=0.9) as api,
        pytest.raises(httpkit.ServiceUnavailableError) as caught,
    ):
        api.get("status/503")  # its first wait is 1 s

    assert (caught.value.attempts, waits) == (1, [])
    assert "deadline" in caught.value.stop_reason


def test_a_wait_is_not_begun_after_a_deadline_that_passed_while_draining(raw_server, waits):
    server = raw_server(drip(b"HTTP/1.1 503 Busy\r\nContent-Length: 999\r\n\r\n", every=SHORT / 5))
    policy = httpkit.RetryPolicy(backoff=0.02, max_backoff=0.02)

    with (
        httpkit.Session(server.url, deadline=SHORT, retry=policy) as api,
        pytest.raises(requests.RequestException),
    ):
        api.get("x", stream=True)

    assert (len(server.requests), waits) == (1, [])


def test_a_deadline_bounds_a_chain_of_redirects(raw_server, make_response):
    numbers = count()

    def next_hop(connection):
        after(SHORT * 0.4, make_response("302 Found", location=f"/{next(numbers)}"))(connection)

    server = raw_server(next_hop)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")

    assert watch.seconds < LATE
    assert 1 < len(server.requests) <= 3


def test_a_deadline_bounds_the_body_of_a_redirect(raw_server, make_response):
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 999\r\n\r\n"
    server = raw_server(drip(redirect, every=SHORT / 5), make_response())

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        timed() as watch,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")

    assert watch.seconds < LATE


class Hurried(httpkit.Session):
    deadline = 7


class HurriedByKeyword(httpkit.Session, deadline=7):
    pass


@pytest.mark.parametrize(
    ("session", "call"),
    [
        (lambda url: httpkit.Session(url, deadline=7), {}),
        (Hurried, {}),
        (HurriedByKeyword, {}),
        (lambda url: Hurried(url, deadline=60), {"deadline": 7}),
        (httpkit.Session, {"deadline": 7}),
        (lambda url: httpkit.Session(url).with_options(deadline=7), {}),
    ],
    ids=["session", "class attribute", "class keyword", "call beats session", "call", "clone"],
)
def test_the_innermost_deadline_counts(sandbox, timeouts, session, call):
    with session(sandbox.url) as api:
        api.mount("http://", timeouts)
        api.get("echo", timeout=None, **call)

    assert 6 < min(timeouts.noted[0]) <= max(timeouts.noted[0]) <= 7


@pytest.mark.parametrize("call", [{"deadline": None}, {"deadline": 60}], ids=["off", "longer"])
def test_a_call_may_take_longer_than_its_session_says(sandbox, call):
    with httpkit.Session(sandbox.url, deadline=0.03) as api:
        response = api.get("slow", params={"seconds": 0.06}, **call)

    assert response.status_code == 200


def test_every_call_has_the_whole_deadline(sandbox):
    with httpkit.Session(sandbox.url, deadline=SHORT) as api:
        prepared = api.prepare_request(requests.Request("GET", f"slow?seconds={SHORT * 0.4}"))
        statuses = [api.send(prepared).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]


def test_the_default_deadline_is_five_minutes(sandbox, timeouts):
    with httpkit.Session(sandbox.url, timeout=None) as api:
        api.mount("http://", timeouts)
        api.get("echo")

    assert 290 < min(timeouts.noted[0]) <= max(timeouts.noted[0]) <= 300


def test_a_passed_deadline_is_a_timeout_with_its_facts(raw_server):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, deadline=SHORT) as api,
        pytest.raises(requests.Timeout) as caught,
    ):
        api.get("x")

    error = caught.value
    assert isinstance(error, httpkit.DeadlineExceededError)
    assert str(error) == f"the deadline of {SHORT:g} s passed for GET {server.url}/x"
    assert (error.attempts, error.request.url) == (1, f"{server.url}/x")
    assert error.__notes__


def test_a_passed_deadline_is_not_retried(raw_server, waits):
    server = raw_server(say_nothing)

    with (
        httpkit.Session(server.url, deadline=SHORT, retry=9) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")

    assert (len(server.requests), waits) == (1, [])


def test_a_response_says_how_long_the_whole_call_took(sandbox):
    with httpkit.Session(sandbox.url) as api, timed() as watch:
        response = api.get("redirect", params={"to": "/slow?seconds=0.05"})

    assert 0.05 <= response.elapsed_total <= watch.seconds
