"""The fast path of a plain request: the same for servers and callers as the ordinary path.

A session takes the fast path over a connection that is open. One whose adapter is of another
class takes the ordinary path, so both are driven here over the same cases.
"""

import functools
import gzip
import http.client
import logging
import operator
import re
import socket
import ssl
import sys

import pytest
import requests
import requests_mock
import responses
import urllib3
from urllib3 import connection, connectionpool

import httpkit
from httpkit._transport.adapter import Adapter
from tests.support.interop import require

# Function calls of one request, those into C included. requests alone takes 3,200; of ours 263
# were counted (2026-12), and a release of Python may need some more.
MOST_CALLS = 268
# Of the functions of ours that it enters, those of another module than the one before (2026-12).
# Constructors count, but not those that `collections` makes.
MOST_CHANGES = 39
# Of a POST that is signed and has a document (2026-12).
MOST_CALLS_SIGNED = 355
# Of a request that opens a connection, which the server closes after it (2026-12).
MOST_CALLS_WITH_A_CONNECTION = 353
# Of a request that is retried once; tenacity, which runs the loop, makes 240 of them (2026-12).
MOST_CALLS_WITH_A_RETRY = 775
# Those of making a session: requests' own takes 71, ours 194 to 213 (2026-11).
MOST_CALLS_OF_A_SESSION = 240
ORDINARY = "adapters.py", "send"
GZIPPED = gzip.compress(b"hello world", mtime=0)


class Ordinary(Adapter):
    """Another class, which the fast path leaves alone."""


def keeping(response, *args, **fields):
    return response(*args, connection="keep-alive", **fields)


@pytest.fixture
def server(raw_server, make_response):
    body = b'{"id": 1}'
    return raw_server(keeping(make_response, "200 OK", body, content_type="application/json"))


@pytest.fixture
def api(server):
    """A session that has a connection open."""
    with httpkit.Session(server.url) as session:
        session.get("warm")
        yield session


def called(act):
    """Return the functions of Python that an act calls in this thread, and the count of all."""
    seen, count = set(), 0

    def note(frame, event, _):
        nonlocal count
        if event in {"call", "c_call"}:
            count += 1
        if event == "call":
            place = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
            seen.add((place, frame.f_code.co_name))

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return seen, count


def modules(act):
    """Return the modules of ours that an act enters, one for each function."""
    entered = []

    def note(frame, event, _):
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith("httpkit._"):  # the clock is that of a test
            entered.append(name)

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return entered


def takes_fast_path(act):
    return ORDINARY not in called(act)[0]


# ---- how much work it is


@pytest.mark.parametrize("variables", [10, 250])
def test_a_plain_request_takes_few_function_calls_whatever_the_environment(
    api, monkeypatch, variables
):
    for number in range(variables):
        monkeypatch.setenv(f"VARIABLE_{number}", "x")
    for _ in range(3):
        api.get("items/1")

    # The least of several: collecting garbage calls functions, too.
    seen, fewest = min(
        (called(lambda: api.get("items/1").json()) for _ in range(5)), key=operator.itemgetter(1)
    )

    assert ORDINARY not in seen
    assert fewest <= MOST_CALLS, sorted(seen)


def test_a_plain_request_changes_seldom_from_one_module_to_another(api):
    for _ in range(3):
        api.get("items/1")

    # The least of several: collecting garbage calls functions, too.
    runs = [modules(lambda: api.get("items/1")) for _ in range(5)]

    assert min(sum(map(operator.ne, each, each[1:])) for each in runs) <= MOST_CHANGES


def test_a_signed_request_with_a_document_takes_few_function_calls(api):
    api.auth = httpkit.BearerAuth("token-12345")
    for _ in range(3):
        api.post("items", json={"a": 1})

    fewest = min(called(lambda: api.post("items", json={"a": 1}).json())[1] for _ in range(5))

    assert fewest <= MOST_CALLS_SIGNED


def test_a_request_with_a_connection_of_its_own_takes_few_function_calls(raw_server, make_response):
    body = b'{"id": 1}'
    server = raw_server(make_response("200 OK", body, content_type="application/json"))
    with httpkit.Session(server.url) as api:
        for _ in range(3):
            api.get("items/1")

        seen, fewest = min(
            (called(lambda: api.get("items/1").json()) for _ in range(5)),
            key=operator.itemgetter(1),
        )

    assert server.connections == 8
    assert ORDINARY not in seen
    assert fewest <= MOST_CALLS_WITH_A_CONNECTION, sorted(seen)


def test_a_request_that_is_retried_takes_few_function_calls(raw_server, make_response):
    busy = keeping(make_response, "503 Service Unavailable", b"busy")
    server = raw_server(*[busy, keeping(make_response, "200 OK", b"{}")] * 8)
    with httpkit.Session(server.url, retry=httpkit.RetryPolicy(backoff=0)) as api:
        for _ in range(3):
            api.get("items/1")

        fewest = min(called(lambda: api.get("items/1").json())[1] for _ in range(5))

    assert len(server.requests) == 16
    assert fewest <= MOST_CALLS_WITH_A_RETRY


def test_the_environment_adds_no_function_call(api, monkeypatch):
    counts = []
    for variables in (10, 250):
        for number in range(variables):
            monkeypatch.setenv(f"VARIABLE_{number}", "x")
        for _ in range(3):
            api.get("items/1")
        # The least of several: collecting garbage calls functions, too.
        counts.append(min(called(lambda: api.get("items/1"))[1] for _ in range(7)))

    assert counts[0] == counts[1]


SESSIONS = {
    "plain": httpkit.Session,
    "with a base": lambda: httpkit.Session("https://api.example.com/v1"),
    "of a client": type("Client", (httpkit.Session,), {"timeout": 9, "base_url": "http://a.test"}),
}


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_takes_few_function_calls_to_make(session):
    make = SESSIONS[session]
    make()  # what is made once for all

    count = min(called(make)[1] for _ in range(7))

    assert count <= MOST_CALLS_OF_A_SESSION


def test_a_session_is_made_of_the_adapters_that_requests_makes(monkeypatch):
    made = []
    init = requests.adapters.HTTPAdapter.__init__
    monkeypatch.setattr(
        requests.adapters.HTTPAdapter, "__init__", lambda *a, **k: made.append(init(*a, **k))
    )

    with httpkit.Session() as api:
        kinds = [(type(a), a._pool_maxsize, a._pool_connections) for a in api.adapters.values()]
        pools = {id(a.poolmanager) for a in api.adapters.values()}

    assert kinds == [(Adapter, 100, 10)] * 2
    assert len(made) == len(pools) == 2


# ---- the same for the server and for the caller


CASES = {
    "get": lambda api: api.get("x"),
    "query": lambda api: api.get("x", params={"a": "1 ö&", "b": 2}),
    "query in the url": lambda api: api.get("x?a=%2F&b=c", params={"d": "e"}),
    "headers": lambda api: api.get("x", headers={"X-One": "1", "Accept": "text/html"}),
    "bytes in a header": lambda api: api.get("x", headers={"X-One": b"1"}),
    "header taken away": lambda api: api.get("x", headers={"Accept": None}),
    "no user agent": lambda api: api.get("x", headers={"User-Agent": None}),
    "host": lambda api: api.get("x", headers={"Host": "other.test"}),
    "head": lambda api: api.head("x"),
    "delete": lambda api: api.delete("x"),
    "options": lambda api: api.options("x"),
    "json": lambda api: api.post("x", json={"a": ["ö", None, 1.5]}),
    "empty post": lambda api: api.post("x"),
    "form": lambda api: api.post("x", data={"a": "b c", "d": ["1", "2"]}),
    "bytes": lambda api: api.put("x", data=b"\0\xff"),
    "text": lambda api: api.put("x", data="schön"),
    "large": lambda api: api.put("x", data=b"x" * 200_000),
    "parts": lambda api: api.post("x", data=iter([b"a", b"b"])),
    "cookies": lambda api: api.get("x", cookies={"a": "b"}),
    "bearer": lambda api: api.get("x", auth=httpkit.BearerAuth("token-12345")),
    "basic": lambda api: api.get("x", auth=("user", "secret-word")),
    "key in the query": lambda api: api.get("x", auth=httpkit.APIKeyAuth("key-1", where="query")),
    "stream": lambda api: api.get("x", stream=True),
    "timeout": lambda api: api.get("x", timeout=(3, 4)),
    "dots": lambda api: api.get(f"{api.base_url}/a/../b/./c"),
    "two slashes": lambda api: api.get(f"{api.base_url}//a//b"),
    "bare host": lambda api: api.get(api.base_url),
    "odd characters": lambda api: api.get("a b/ö/[1]/%7e/%2f?q=a b|c"),
    "fragment": lambda api: api.get("x#here"),
    "session parameters": lambda api: api.with_options(params={"a": "b"}).get("x"),
}


def described(response):
    """Return what a caller can see of a response."""
    return {
        "status": (response.status_code, response.reason, response.url, response.encoding),
        "headers": list(response.headers.items()),
        "body": response.content,
        "cookies": sorted((c.name, c.value, c.domain, c.path) for c in response.cookies),
        "history": [past.status_code for past in response.history],
        "sent": (
            response.request.method,
            response.request.url,
            list(response.request.headers.items()),
        ),
        "raw": (
            response.raw.status,
            response.raw.version,
            response.raw.reason,
            response.raw.tell(),
        ),
        "raw state": (
            response.raw.closed,
            response.raw.retries.total,
            response.raw.length_remaining,
        ),
        "raw fields": list(response.raw.headers.items()),
        "attempts": (response.attempts, response.stop_reason, type(response.elapsed)),
        "class": type(response),
        "state": sorted(name for name in response.__getstate__()),
    }


def both(server, act, **options):
    """Act over an open connection, by the fast path and by the ordinary one.

    Returns what the caller saw and what the server got, of the one and of the other.
    """
    found = []
    for adapter in (Adapter(), Ordinary()):
        with httpkit.Session(server.url, **options) as api:
            api.mount("http://", adapter)
            api.get("warm")
            api.cookies.clear()
            before = len(server.requests)
            seen = described(act(api))
            found.append((seen, server.requests[before:], sorted(c.name for c in api.cookies)))
    return found


@pytest.mark.parametrize("act", CASES.values(), ids=CASES.keys())
def test_both_paths_send_the_same_bytes_and_give_the_same_response(server, act):
    short, ordinary = both(server, act)

    assert short == ordinary
    assert len(short[1]) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 404 Nothing Here\r\ncontent-length: 4\r\nX-A: 1\r\nx-a: 2\r\n%s\r\n\r\ngone",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n%s\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n%s\r\n\r\n",
        b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n%s\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n%s\r\n\r\nhi",
        b"HTTP/1.1 200 A\r\nContent-Type: a; charset=latin1\r\ncontent-length: 1\r\n%s\r\n\r\n\xf6",
        b"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n%s\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: keep-alive\r\nConnection: close\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n\r\nhi, and more",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n%s\r\n\r\nhi",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n%s\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 31\r\n%s\r\n\r\n" + GZIPPED,
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n%s\r\n\r\n" + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n%s\r\n" + b"A: b\r\n" * 200 + b"Content-Length: 0\r\n\r\n",
    ],
    ids=[
        "404", "cookies", "204", "chunked", "1.0", "latin-1", "103", "close", "more than announced",
        "two lengths", "LF alone", "gzip", "large", "many fields",
    ],
)  # fmt: skip
def test_both_paths_read_the_same_response(raw_server, reply):
    server = raw_server(reply.replace(b"%s", b"connection: keep-alive"))

    short, ordinary = both(server, lambda api: api.get("x"), raise_for_status=False)

    assert short == ordinary


def test_both_paths_follow_a_redirect_alike(raw_server, make_response):
    there = keeping(make_response, "302 Found", location="/there", set_cookie="a=b")
    here = keeping(make_response, "200 OK", b"here")
    server = raw_server(here, there, here, here, there, here)

    short, ordinary = both(server, lambda api: api.get("x"))

    assert short == ordinary
    assert b"Cookie: a=b" in short[1][1]


@pytest.mark.parametrize(
    ("reply", "options"),
    [
        (None, {}),
        (b"nonsense keep-alive\r\n\r\n", {}),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx: keep-alive\r\n\r\ncut", {"timeout": 0.05}),
        (b"HTTP/1.1 200 OK\r\nx: keep-alive\r\n", {"timeout": 0.05}),
        (b"HTTP/1.1 200 OK\r\nx: keep-alive\r\n", {"deadline": 0.05}),
        (b"HTTP/1.1 200 OK\r\na b: keep-alive\r\n\r\n", {}),
        (b"HTTP/1.1 404 Gone\r\ncontent-length: 0\r\nx: keep-alive\r\n\r\n", {}),
    ],
    ids=["closed", "no head", "cut body", "cut head", "deadline", "malformed", "status"],
)
def test_both_paths_fail_alike(raw_server, make_response, reply, options):
    failures = []
    for adapter in (Adapter(), Ordinary()):
        server = raw_server(keeping(make_response), reply)
        with httpkit.Session(server.url, retry=None) as api:
            api.mount("http://", adapter)
            api.get("warm")
            with pytest.raises(requests.RequestException) as caught:
                api.get("x", **options)
            cause = caught.value.args[0] if caught.value.args else None
            reason = getattr(cause, "args", ("",))[-1]
            failures.append((type(caught.value), type(cause), type(reason), caught.value.attempts))

    assert failures[0] == failures[1]


def test_a_failed_attempt_is_repeated(raw_server, make_response, waits):
    server = raw_server(keeping(make_response), None, keeping(make_response, "200 OK", b"again"))

    with httpkit.Session(server.url) as api:
        api.get("warm")
        found = api.get("x")

    assert (found.content, found.attempts, len(waits)) == (b"again", 2, 1)


def test_a_connection_that_the_server_closed_is_replaced(raw_server, make_response):
    server = raw_server(make_response(body=b"bye"), keeping(make_response, "200 OK", b"hello"))

    with httpkit.Session(server.url) as api:
        bodies = [api.get("x").content for _ in range(3)]

    assert bodies == [b"bye", b"hello", b"hello"]


# ---- connections that are not open yet


def test_the_first_request_to_a_host_takes_the_fast_path(server):
    with httpkit.Session(server.url) as api:
        assert takes_fast_path(lambda: api.get("x"))


def test_the_first_request_over_tls_takes_the_fast_path(https):
    https.close()

    assert takes_fast_path(lambda: https.get("x"))


def test_a_patched_connection_class_makes_the_first_connection(server, monkeypatch):
    asked = []

    class Noting(connection.HTTPConnection):
        def connect(self):
            asked.append(self.host)
            super().connect()

    monkeypatch.setattr(connectionpool.HTTPConnectionPool, "ConnectionCls", Noting)
    with httpkit.Session(server.url) as api:
        api.get("x")

    assert asked == ["127.0.0.1"]


def refused(_):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def unresolved(monkeypatch):
    def fail(*_args, **_named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    return "http://nowhere.test"


def timing_out(monkeypatch):
    def connect(*_args, **_named):
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return "http://127.0.0.1:9"


def untrusted(_):
    return None  # the URL of a server whose certificate nobody here has signed


def without_bundle(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    return "https://127.0.0.1:9"


FAULTS = [refused, unresolved, timing_out, untrusted, without_bundle]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_fails_raises_the_same_on_both_paths(
    raw_server, authority, monkeypatch, fault, method
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = raw_server(b"", tls=context)
    found = []
    with monkeypatch.context() as patch:
        url = fault(patch) or server.url
        for adapter in (Adapter(), Ordinary()):
            with httpkit.Session(retry=httpkit.RetryPolicy(attempts=2, backoff=0)) as api:
                api.mount("http", adapter)
                with pytest.raises(requests.RequestException) as caught:
                    api.request(method, f"{url}/x", timeout=(5, 9), deadline=None)
            error = caught.value
            causes = [type(error)]
            while (error := error.__cause__) is not None:
                causes.append(type(error))
            words = re.sub("0x[0-9a-f]+|Ordinary", "", str(caught.value))
            found.append((causes, words, caught.value.attempts, caught.value.stop_reason))

    assert found[0][1:] == found[1][1:]
    assert found[0][0][0] is found[1][0][0]
    assert set(found[0][0]) == set(found[1][0])


# ---- what changes between two calls counts at the next


def test_a_plain_request_takes_the_fast_path(api):
    assert takes_fast_path(lambda: api.get("x", params={"a": "b"}))
    assert takes_fast_path(lambda: api.post("x", json={}, auth=httpkit.BearerAuth("token-12345")))


def test_a_proxy_set_between_two_calls_counts(api, raw_server, make_response, monkeypatch):
    proxy = raw_server(keeping(make_response, "200 OK", b"by proxy"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)

    found = api.get("x")

    assert found.content == b"by proxy"
    assert proxy.requests[0].startswith(b"GET http://127.0.0.1:")


def test_a_netrc_that_appears_between_two_calls_counts(api, server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(netrc))
    api.get("x")
    netrc.write_text("machine 127.0.0.1 login user password secret-word\n", "ascii")

    api.get("x")

    assert b"Authorization" not in server.requests[-2]
    assert b"Authorization: Basic " in server.requests[-1]


def test_a_hook_added_between_two_calls_is_called(api):
    seen = []
    api.hooks["response"].append(lambda response, **_: seen.append(response.status_code))

    api.get("x")

    assert seen == [200]


def test_a_header_changed_in_place_is_sent(api, server):
    api.headers["X-One"] = "1"
    api.get("x")
    del api.headers["X-One"]
    api.headers["x-two"] = "2"

    api.get("x")

    assert b"X-One: 1\r\n" in server.requests[-2]
    assert b"x-two: 2\r\n" in server.requests[-1]
    assert b"X-One" not in server.requests[-1]


@pytest.mark.parametrize("value", ["1\r\nX-Two: 2", "1\n", "ö\u20ac", " 1"])
def test_a_header_that_would_inject_another_is_refused(api, server, value):
    api.headers["X-One"] = value

    with pytest.raises(requests.exceptions.InvalidHeader):
        api.get("x")

    assert len(server.requests) == 1


def test_a_cookie_of_a_late_response_is_sent_with_the_next_request(raw_server, make_response):
    plain = keeping(make_response)
    server = raw_server(*[plain] * 9, keeping(make_response, set_cookie="late=1"), plain)

    with httpkit.Session(server.url) as api:
        for _ in range(11):
            api.get("x")

    assert b"Cookie" not in server.requests[9]
    assert b"Cookie: late=1\r\n" in server.requests[10]


def test_an_adapter_mounted_between_two_calls_is_used(api):
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", f"{api.base_url}/x", text="mounted")
    api.mount(api.base_url, adapter)

    assert api.get("x").text == "mounted"


def test_an_adapter_assigned_by_hand_is_used(api):
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", f"{api.base_url}/x", text="by hand")
    api.adapters["http://"] = adapter

    assert api.get("x").text == "by hand"


def test_bytes_after_a_response_are_not_taken_for_the_next(raw_server, make_response):
    split = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: keep-alive\r\n\r\nhi" + make_response(
        body=b"no"
    )
    server = raw_server(keeping(make_response), split, keeping(make_response, "200 OK", b"next"))

    with httpkit.Session(server.url) as api:
        bodies = [api.get("x").content for _ in range(3)]

    assert bodies[1:] == [b"hi", b"next"]


def test_threads_wait_for_the_one_connection_of_a_pool_that_blocks(server):
    with httpkit.Session(server.url) as api:
        api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
        found = list(api.map(lambda _: api.get("x").json(), range(40), workers=8))

    assert found == [{"id": 1}] * 40
    assert server.connections == 1


def test_responses_and_requests_mock_take_effect_between_two_calls(api):
    with responses.RequestsMock() as mock:
        mock.get(f"{api.base_url}/x", body="responses")
        first = api.get("x").text
    with requests_mock.Mocker() as mock:
        mock.get(f"{api.base_url}/x", text="requests-mock")
        second = api.get("x").text

    assert (first, second) == ("responses", "requests-mock")
    assert takes_fast_path(lambda: api.get("x"))


def test_a_tracer_installed_between_two_calls_sees_the_next(api):
    trace = require("opentelemetry.sdk.trace")
    instrumentor = require("opentelemetry.instrumentation.requests").RequestsInstrumentor()
    memory = require("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(trace.export.SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    try:
        api.get("x")
    finally:
        instrumentor.uninstrument()

    assert len(exporter.get_finished_spans()) == 1
    assert takes_fast_path(lambda: api.get("x"))


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (requests.Session, "send"), (requests.adapters.HTTPAdapter, "send"),
        (requests.adapters.HTTPAdapter, "build_response"), (Adapter, "send"),
        (http.client.HTTPConnection, "putrequest"), (http.client.HTTPConnection, "getresponse"),
    ],
)  # fmt: skip
def test_a_wrapper_around_what_is_passed_over_is_called(api, monkeypatch, owner, name):
    seen = []
    genuine = getattr(owner, name)

    @functools.wraps(genuine)
    def wrapper(*args, **kwargs):
        seen.append(name)
        return genuine(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapper)

    api.get("x")

    assert seen == [name]


class Equal:
    """A wrapper that says it equals what it wraps, as those of wrapt do, and so most tracers'."""

    def __init__(self, genuine, seen):
        self.genuine, self.seen = genuine, seen

    def __eq__(self, other):
        return self.genuine == other

    def __hash__(self):
        return hash(self.genuine)

    def __get__(self, instance, owner):
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args, **kwargs):
        self.seen.append(self.genuine.__name__)
        return self.genuine(*args, **kwargs)


def test_a_wrapper_that_equals_what_it_wraps_is_called(api, monkeypatch):
    seen = []
    api.get("x")
    pool = connectionpool.HTTPConnectionPool
    monkeypatch.setattr(pool, "urlopen", Equal(pool.urlopen, seen))

    api.get("x")

    assert seen == ["urlopen"]


def test_a_subclass_that_sends_by_itself_is_called(server):
    seen = []

    class Noting(httpkit.Session):
        def send(self, request, **kwargs):
            seen.append(request.url)
            return super().send(request, **kwargs)

    with Noting(server.url) as api:
        api.get("x")
        found = api.get("y")

    assert (len(seen), type(found)) == (2, httpkit.Response)


def test_urllib3_logs_each_request_at_debug_level(api, caplog):
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")

    api.get("x")

    assert '"GET /x HTTP/1.1" 200' in caplog.text


def test_a_closed_session_opens_another_connection(api, server):
    api.close()

    assert api.get("x").status_code == 200
    assert len(server.requests) == 2


# ---- what others may do to a request, a response or a class


def test_a_method_put_into_a_prepared_request_cannot_inject_a_line(api, server):
    prepared = api.prepare_request(requests.Request("POST", "x", json={}))
    prepared.method = "POST /other HTTP/1.1\r\nX-One: 1\r\nX-Two:"

    with pytest.raises(ValueError, match="Method"):
        api.send(prepared)

    assert len(server.requests) == 1


def test_the_name_of_a_header_may_be_bytes(api, server):
    prepared = api.prepare_request(requests.Request("GET", "x", headers={b"X-One": "1"}))

    api.get("x", headers={b"X-One": "1"})

    assert prepared.headers["X-One"] == "1"
    assert b"\r\nX-One: 1\r\n" in server.requests[-1]


def test_netrc_leaves_an_authorization_alone_whose_name_is_bytes(
    api, server, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret-word\n", "ascii")
    monkeypatch.setenv("NETRC", str(netrc))

    api.get("x", headers={b"Authorization": "Bearer token-12345"})

    assert b"Authorization: Bearer token-12345\r\n" in server.requests[-1]


def test_where_netrc_is_may_be_a_list(api, monkeypatch):
    monkeypatch.setattr(requests.utils, "NETRC_FILES", [".no-netrc"])
    monkeypatch.delenv("NETRC")

    assert api.get("x").status_code == 200


@pytest.mark.parametrize("kind", [Adapter, Ordinary])
def test_an_unread_head_response_does_not_change_the_next_response(raw_server, make_response, kind):
    pushed = b"HTTP/1.1 204 OK\r\nx: keep-alive\r\n\r\n" + make_response(body=b"pushed")
    server = raw_server(
        keeping(make_response), pushed, keeping(make_response, "200 OK", b"asked for")
    )

    with httpkit.Session(server.url, retry=None) as api:
        api.mount("http://", kind())
        api.get("warm")
        api.head("x", stream=True).raw.release_conn()
        found = api.get("x").content

    assert found == b"asked for"
    assert server.connections == 2


@pytest.mark.parametrize("kind", [Adapter, Ordinary])
def test_a_connection_whose_head_is_given_back_unread_is_used_again(
    raw_server, make_response, kind
):
    empty = keeping(make_response)
    server = raw_server(empty, empty, keeping(make_response, "200 OK", b"next"))

    with httpkit.Session(server.url, retry=None) as api:
        api.mount("http://", kind())
        api.get("warm")
        first = api.head("x", stream=True)
        first.raw.release_conn()
        found = api.get("x").content
        late = first.raw.read()

    assert (found, late, server.connections) == (b"next", b"", 1)


@pytest.mark.parametrize("way", ["replaced", "taken out"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_auth_that_drops_the_length_gets_it_back(api, server, way, method):
    def sign(request):
        del request.headers["Content-Length"]
        if way == "replaced":
            request.headers = dict(request.headers)
        return request

    api.request(method, "x", json={"a": 1}, auth=sign)

    assert b"Content-Length: 8\r\n" in server.requests[-1]
    assert b"Transfer-Encoding" not in server.requests[-1]


def test_a_subclass_that_sends_twice_signs_twice(server):
    tokens = (f"token-{number}" for number in range(9))

    class Insisting(httpkit.Session):
        def send(self, request, **kwargs):
            super().send(request, **kwargs)
            return super().send(request, **kwargs)

    with Insisting(server.url, auth=httpkit.BearerAuth(lambda: next(tokens))) as api:
        api.get("x")

    assert b"Bearer token-0\r\n" in server.requests[0]
    assert b"Bearer token-1\r\n" in server.requests[1]


def test_json_has_its_fields_in_the_order_of_requests():
    request = requests.Request("POST", "http://127.0.0.1/x", json={})

    ours = httpkit.Session().prepare_request(request).headers
    theirs = requests.Session().prepare_request(request).headers

    assert list(ours) == list(theirs)


@pytest.fixture
def https(raw_server, make_response, authority, bundle):
    """A session that has a TLS connection open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = raw_server(keeping(make_response), tls=context)
    with httpkit.Session(server.url, verify=bundle) as session:
        session.get("warm")
        yield session


def test_a_plain_request_over_tls_takes_the_fast_path(https):
    assert takes_fast_path(lambda: https.get("x"))


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (connectionpool.HTTPSConnectionPool, "urlopen"),
        (connectionpool.HTTPSConnectionPool, "_make_request"),
        (connectionpool.HTTPSConnectionPool, "_get_conn"),
        (connection.HTTPSConnection, "request"), (connection.HTTPSConnection, "putrequest"),
        (connection.HTTPSConnection, "send"), (connection.HTTPConnection, "endheaders"),
        (urllib3.PoolManager, "connection_from_host"),
        (urllib3.PoolManager, "connection_from_pool_key"), (Adapter, "add_headers"),
        (Adapter, "cert_verify"),
    ],
)  # fmt: skip
def test_a_patch_of_what_a_class_inherits_is_called(https, monkeypatch, owner, name):
    seen = []
    genuine = getattr(owner, name)

    def patch(*args, **kwargs):
        seen.append(name)
        return genuine(*args, **kwargs)

    monkeypatch.setattr(owner, name, patch)

    https.get("x")

    assert set(seen) == {name}


def test_a_jar_of_another_class_sees_every_response(api):
    seen = []

    class Noting(requests.cookies.RequestsCookieJar):
        def extract_cookies(self, response, request):
            seen.append(request.get_full_url())
            super().extract_cookies(response, request)

    api.cookies = Noting()
    for _ in range(3):
        api.get("x")

    assert len(seen) == 3


# ---- which pool


def test_an_adapter_that_makes_its_own_manager_serves(server):
    class Plain(Adapter):
        def init_poolmanager(self, connections, maxsize, block=False, **_):
            self.poolmanager = urllib3.PoolManager(connections, maxsize=maxsize, block=block)

    with httpkit.Session(server.url) as api:
        api.mount("http://", Plain())

        assert api.get("x").json() == {"id": 1}


def test_an_adapter_that_overrides_pool_selection_is_called_each_time(server):
    class ByTenant(Adapter):
        def build_connection_pool_key_attributes(self, request, verify, cert=None):
            host, context = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {**context, "key_password": request.headers["X-Tenant"]}

    with httpkit.Session(server.url) as api:
        api.mount("http://", ByTenant())
        for tenant in "abab":
            api.get("x", headers={"X-Tenant": tenant})

    assert server.connections == 2


def test_another_assigned_manager_is_used(api, server):
    adapter = api.get_adapter("http://")

    adapter.poolmanager = urllib3.PoolManager()
    api.get("x")

    assert server.connections == 2


def test_no_more_hosts_stay_connected_than_pool_connections(raw_server, make_response):
    servers = [raw_server(keeping(make_response)) for _ in range(6)]
    with httpkit.Session() as api:
        api.mount("http://", Adapter(pool_connections=3))
        for server in servers[1:]:
            api.get(f"{servers[0].url}/often")
            api.get(f"{server.url}/once")
        pools = [held() for held in api.get_adapter("http://")._known[3].values()]
        alive = [pool for pool in pools if pool is not None]

    assert len(alive) == 3
    assert servers[0].connections == 1
    assert [server.connections for server in servers] == [1] * 6


def test_a_pool_of_no_certain_size_keeps_its_connection(server):
    with httpkit.Session(server.url) as api:
        api.mount("http://", Adapter(pool_maxsize=0))
        for _ in range(3):
            api.get("x")

    assert server.connections == 1
