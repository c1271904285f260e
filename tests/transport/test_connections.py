"""Connections: when one is used again, when it is closed, and when the caller takes it over."""

import errno
import functools
import http.client
import signal
import socket
import ssl
import threading
from contextlib import contextmanager, suppress

import pytest
import requests
import urllib3

import httpkit
from httpkit._core import interrupts
from httpkit._transport.adapter import Adapter
from httpkit.testing import FakeClock
from tests.support.raw_server import RawServer
from tests.support.sockets import Acceptor, read_request

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"


class Ordinary(Adapter):
    """Another class, which the fast path does not serve."""


@pytest.fixture(params=[False, True], ids=["http", "https"])
def start(request, raw_server, authority, bundle):
    """Start a server with or without TLS, and return it with the options of its sessions."""

    def begin(*replies):
        if not request.param:
            return raw_server(*replies), {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return raw_server(*replies, tls=context), {"verify": bundle}

    return begin


def mount(api, adapter):
    api.mount("http://", adapter)
    api.mount("https://", adapter)


def closed_by_client(server, number):
    """Say whether the client has ended the server's n-th connection; waits for it."""
    connection = server._open[number]
    try:
        connection.settimeout(5)
        return connection.recv(1) == b""
    except OSError as error:  # the server has closed it, too
        return not isinstance(error, TimeoutError)


# ---- Connection: close


CLOSES = ["close", "Close", "CLOSE", "keep-alive, close", "close, TE", "TE,close", " close"]


@pytest.mark.parametrize("kind", [Adapter, Ordinary])
@pytest.mark.parametrize("value", [value.strip() for value in CLOSES[:6]])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_request_that_says_close_ends_its_connection(start, kind, value, is_stream):
    server, options = start(KEPT)

    with httpkit.Session(server.url, **options) as api:
        mount(api, kind())
        for _ in range(2):
            with api.get("x", headers={"Connection": value}, stream=is_stream) as response:
                assert response.content == b"hi"
        api.get("x")
        api.get("x", headers={"cOnNeCtIoN": value})
        api.get("x")

    assert server.connections == 4
    assert b"\r\nConnection: %s\r\n" % value.encode() in server.requests[0]


def of_session(api):
    api.headers["connection"] = "close"
    return api.get("x")


def of_prepared(api):
    prepared = api.prepare_request(requests.Request("POST", "x", json={}))
    prepared.headers["CONNECTION"] = "Close"
    return api.send(prepared)


def in_bytes(api):
    return api.get("x", headers={b"Connection": b"close"})


def of_add_headers(api):
    class Closing(Adapter):
        def add_headers(self, request, **_):
            request.headers["Connection"] = "close"

    api.mount("http://", Closing())
    return api.get("x")


def of_the_proxy_kind(api):
    return api.get("x", headers={"Proxy-Connection": "close"})


@pytest.mark.parametrize(
    "act", [of_session, of_prepared, in_bytes, of_add_headers, of_the_proxy_kind]
)
def test_close_counts_in_any_connection_field(raw_server, act):
    server = raw_server(KEPT)

    with httpkit.Session(server.url) as api:
        api.get("warm")
        act(api)
        with httpkit.Session(server.url) as _:
            api.headers["Connection"] = "keep-alive"
            api.mount("http://", api.get_adapter(server.url))
            api.get("x")

    assert server.connections == 2 + (act is of_add_headers)


def test_the_connection_of_a_stream_is_closed_at_its_end(start):
    server, options = start(KEPT)

    with httpkit.Session(server.url, **options) as api:
        response = api.get("x", headers={"Connection": "close"}, stream=True)
        assert b"".join(response.iter_content(1)) == b"hi"

        assert closed_by_client(server, 0)


@pytest.mark.parametrize("kind", [Adapter, Ordinary])
@pytest.mark.parametrize(
    ("version", "fields", "is_kept"),
    [
        ("1.1", "Connection: CLOSE", False),
        ("1.1", "Connection: TE, Close", False),
        ("1.1", "Connection: TE\r\nConnection: close", False),
        ("1.1", "Proxy-Connection: Close", False),
        ("1.1", "X: y", True),
        ("1.1", "Connection: closed", True),
        ("1.0", "X: y", False),
        ("1.0", "Proxy-Connection: keep-alive", False),
        ("1.0", "Connection: Keep-Alive", True),
        ("1.0", "Connection: keep-alive, close", False),
    ],
)
def test_a_response_says_whether_its_connection_is_used_again(
    raw_server, kind, version, fields, is_kept
):
    reply = f"HTTP/{version} 200 OK\r\nContent-Length: 2\r\n{fields}\r\nX-N: keep-alive\r\n\r\nhi"
    server = raw_server(reply.encode())

    with httpkit.Session(server.url) as api:
        api.mount("http://", kind())
        for _ in range(3):
            assert api.get("x").content == b"hi"

    assert server.connections == (1 if is_kept else 3)


@pytest.mark.parametrize("field", [b"Connection: close", b"Proxy-Connection: close"])
def test_connection_fields_of_a_proxy_do_not_apply_to_the_tunnel(start, field):
    server, options = start(KEPT)
    if not options:
        pytest.skip("there is no tunnel without TLS")
    opened = []

    def serve(client):
        opened.append(read_request(client))
        client.sendall(b"HTTP/1.1 200 Connected\r\n" + field + b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port)) as target:
            forth = threading.Thread(target=pump, args=(client, target), daemon=True)
            forth.start()
            pump(target, client)
            forth.join(5)

    with Acceptor(serve) as proxy:
        through = {"https": f"http://127.0.0.1:{proxy.port}"}
        with httpkit.Session(server.url, proxies=through, **options) as api:
            bodies = [api.get("x").content for _ in range(3)]
            api.get("x", headers={"Connection": "close"})
            api.get("x")

    assert bodies == [b"hi"] * 3
    assert (len(opened), server.connections) == (2, 2)


def pump(source, target):
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


# ---- settings of an adapter that change between two calls


@pytest.fixture
def api(raw_server):
    with httpkit.Session(raw_server(KEPT).url) as session:
        for _ in range(3):
            session.get("warm")
        session.adapter = session.get_adapter(session.base_url)
        session.pool = next(iter(session.adapter.poolmanager.pools._container.values()))
        yield session


def pool_after(api):
    assert api.get("x").content == b"hi"
    pools = api.adapter.poolmanager.pools
    return list(pools._container.values())[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("assert_hostname", "other.test"), ("blocksize", 1000),
        ("retries", urllib3.Retry(2)),
        ("socket_options", [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]),
        ("source_address", ("127.0.0.1", 0)), ("ssl_context", ssl.create_default_context()),
    ],
)  # fmt: skip
def test_a_keyword_of_the_pools_changed_between_two_calls_counts(api, name, value):
    keywords = api.adapter.poolmanager.connection_pool_kw
    keywords[name] = value

    changed = pool_after(api)
    again = pool_after(api)
    del keywords[name]
    keywords["blocksize"] = api.pool.conn_kw["blocksize"]

    assert changed is not api.pool
    assert again is changed
    assert pool_after(api) is api.pool


def test_a_list_among_the_keywords_changed_in_place_counts(api):
    keywords = api.adapter.poolmanager.connection_pool_kw
    keywords["socket_options"] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    first = pool_after(api)
    keywords["socket_options"].append((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))

    second = pool_after(api)

    assert len({api.pool, first, second}) == 3


def test_a_keyword_of_another_adapter_of_the_same_class_does_not_count(api):
    httpkit.Session().get_adapter("http://").poolmanager.connection_pool_kw["blocksize"] = 1

    assert pool_after(api) is api.pool


def test_the_pools_of_an_adapter_made_anew_count(api):
    api.adapter.init_poolmanager(2, 2, source_address=("127.0.0.1", 0))

    pool = pool_after(api)

    assert pool is not api.pool
    assert pool.conn_kw["source_address"] == ("127.0.0.1", 0)


def test_cleared_pools_are_not_used_while_references_remain(api):
    held = api.get("x", stream=True)
    api.adapter.poolmanager.clear()

    assert pool_after(api) is not api.pool
    held.close()


def test_a_pool_taken_out_of_its_manager_is_not_used(api):
    pools = api.adapter.poolmanager.pools
    del pools[next(iter(pools.keys()))]

    assert pool_after(api) is not api.pool


def test_another_container_of_pools_counts(api):
    manager = api.adapter.poolmanager
    manager.pools = type(manager.pools)(3)

    assert pool_after(api) is not api.pool


def test_other_classes_of_pools_count(api):
    manager = api.adapter.poolmanager
    manager.pool_classes_by_scheme = urllib3.PoolManager().pool_classes_by_scheme
    manager.connection_pool_kw["maxsize"] = 3

    pools = [pool_after(api) for _ in range(3)]

    assert [type(pool) for pool in pools] == [urllib3.HTTPConnectionPool] * 3
    assert len(set(pools)) == 1


def test_a_manager_that_overrides_pool_selection_is_called_for_each_request(api):
    seen = []

    class Choosing(urllib3.PoolManager):
        def connection_from_host(self, *args, **keywords):
            seen.append(args or keywords["host"])
            return super().connection_from_host(*args, **keywords)

    api.adapter.poolmanager = Choosing()
    for _ in range(3):
        api.get("x")

    assert seen == ["127.0.0.1"] * 3


def test_a_patch_of_one_manager_is_called_for_each_request(api, monkeypatch):
    manager, seen = api.adapter.poolmanager, []
    genuine = manager.connection_from_host

    def noting(**keywords):
        seen.append(keywords["host"])
        return genuine(**keywords)

    monkeypatch.setattr(manager, "connection_from_host", noting)
    for _ in range(3):
        api.get("x")

    assert seen == ["127.0.0.1"] * 3


def test_a_session_closed_and_used_again_has_new_pools(api):
    api.close()

    assert pool_after(api) is not api.pool


@pytest.mark.parametrize("retries", [2, urllib3.Retry(2), urllib3.Retry(None, read=1)])
def test_retries_of_an_adapter_set_between_two_calls_count(api, raw_server, make_response, retries):
    server = raw_server(KEPT, None, KEPT)
    api.get(f"{server.url}/x")
    api.adapter.max_retries = retries

    if isinstance(retries, int):
        assert api.get(f"{server.url}/x").attempts == 1
    else:
        assert api.get(f"{server.url}/x", retry=None).content == b"hi"

    assert len(server.requests) == 3


def test_a_status_that_the_retries_of_an_adapter_name_is_an_error(api, raw_server):
    server = raw_server(KEPT, KEPT.replace(b"200 OK", b"418 Teapot"))
    api.get(f"{server.url}/x")
    api.adapter.max_retries = urllib3.Retry(0, read=False, status_forcelist=[418])

    with pytest.raises(requests.exceptions.RetryError):
        api.get(f"{server.url}/x", retry=None)


# ---- folded fields


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"X: a", b" b"], "a b"),
        ([b"X: a", b"\tb", b"   c  "], "a b c"),
        ([b"X:", b" a"], "a"),
        ([b"X: a ", b" "], "a"),
        ([b"X: a", b" Y: b"], "a Y: b"),
        ([b"X: a,", b"\t \tb", b"X: c"], "a, b, c"),
    ],
)
@pytest.mark.parametrize("kind", [Adapter, Ordinary])
def test_a_folded_field_is_unfolded(start, lines, value, kind):
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 2", b"Z: keep-alive"])
    server, options = start(head + b"\r\n\r\nhi")

    with httpkit.Session(server.url, **options) as api:
        mount(api, kind())
        found = [api.get("x") for _ in range(2)]

    assert [response.headers["x"] for response in found] == [value] * 2
    assert [response.content for response in found] == [b"hi"] * 2
    assert server.connections == 1


def test_folds_are_unfolded_in_trailers_and_interim_responses(raw_server):
    reply = (
        b"HTTP/1.1 103 Early Hints\r\nLink: a,\r\n b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\nX: keep-alive\r\n\r\n"
        b"2\r\nhi\r\n0\r\nSum: a\r\n b\r\n\r\n"
    )
    server = raw_server(reply)

    with httpkit.Session(server.url) as api:
        bodies = [api.get("x").content for _ in range(2)]

    assert bodies == [b"hi", b"hi"]
    assert server.connections == 1


def test_a_folded_challenge_is_accepted(raw_server, make_response):
    challenge = make_response(
        "401 Unauthorized",
        www_authenticate='Digest realm="camera",\r\n nonce="abc",\r\n qop="auth"',
    )
    server = raw_server(challenge, make_response(body=b"picture"))

    with httpkit.Session(server.url) as api:
        auth = requests.auth.HTTPDigestAuth("user", "secret-word")
        found = api.get("x", auth=auth).content

    assert found == b"picture"
    assert b'nonce="abc"' in server.requests[1]


# ---- 101: another protocol


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
ASKING = {"Connection": "Upgrade", "Upgrade": "tcp"}


def speaking(early=b"early "):
    """Serve the other protocol: greet at once, then return what comes, in capital letters."""

    def serve(connection):
        connection.sendall(UPGRADED + early)
        with suppress(OSError):
            while block := connection.recv(1000):
                connection.sendall(block.upper())

    return serve


def by_docker(response, *, is_tls):
    """Return the socket as Docker's client finds it, and those who send through it."""
    held = response.raw._fp.fp.raw
    return held._sock if is_tls else held


def of_connection(response, **_):
    return response.raw._connection.sock


def of_message(response, **_):
    return response.raw._original_response.fp.raw._sock


def talk(found, response):
    sock = found if hasattr(found, "sendall") else found._sock
    received = b""
    while len(received) < 6:
        received += sock.recv(100)
    sock.sendall(b"hello")
    while len(received) < 11:
        received += sock.recv(100)
    return received


@pytest.mark.parametrize("find", [by_docker, of_connection, of_message])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("strict", [True, False])
def test_a_requested_101_leaves_the_socket_to_the_caller(start, find, is_stream, strict):
    # Without our connections what came with the head is in the buffer, as in requests.
    server, options = start(speaking(b"early " if strict else b""))

    with httpkit.Session(server.url, strict=strict, **options) as api:
        response = api.post("exec/1/start", json={"Tty": True}, headers=ASKING, stream=is_stream)
        found = find(response, is_tls=bool(options))
        if not strict:
            of_connection(response).sendall(b"early ")
        received = talk(found, response)

        assert (response.status_code, response.headers["upgrade"]) == (101, "tcp")
        assert received.lower() == b"early hello"
        assert response.content == b""
        response.close()
        assert closed_by_client(server, 0)


def test_what_came_with_the_head_of_a_101_is_in_its_file_too(start):
    server, options = start(speaking(b"one\ntwo\n"))

    with (
        httpkit.Session(server.url, **options) as api,
        api.get("ws", headers=ASKING, stream=True) as response,
    ):
        stream = response.raw._fp.fp
        lines = [stream.readline(), stream.readline()]

    assert lines == [b"one\n", b"two\n"]


@pytest.mark.parametrize("leave", ["close", "release", "read", "with"])
@pytest.mark.parametrize("strict", [True, False])
def test_a_connection_that_was_handed_over_serves_no_other_request(
    raw_server, make_response, leave, strict
):
    server = raw_server(speaking(), make_response(body=b"next"))

    with httpkit.Session(server.url, strict=strict) as api:
        response = api.get("ws", headers={"connection": "keep-alive, upgrade", "UPGRADE": "tcp"})
        if leave == "with":
            with response:
                pass
        elif leave == "close" or not strict:
            response.close()
        elif leave == "release":
            response.raw.release_conn()
        else:
            response.raw.read()
        found = api.get("x").content

    assert found == b"next"
    assert server.connections == 2


def test_a_blocking_pool_gets_its_slot_back_from_a_101(raw_server, make_response):
    server = raw_server(speaking(), make_response(body=b"next"))

    with httpkit.Session(server.url, deadline=5) as api:
        api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
        api.get("ws", headers=ASKING).close()

        assert api.get("x").content == b"next"


def test_the_deadline_of_a_call_does_not_hold_for_the_other_protocol(raw_server):
    server = raw_server(speaking())

    with (
        httpkit.Session(server.url, timeout=7, deadline=3) as api,
        api.get("ws", headers=ASKING) as response,
    ):
        assert response.raw._connection.sock.gettimeout() == 7


@pytest.mark.parametrize(
    "headers",
    [{}, {"Upgrade": "tcp"}, {"Connection": "Upgrade"}, {"Connection": "close", "Upgrade": "tcp"}],
)
def test_an_unrequested_101_is_refused(raw_server, headers):
    server = raw_server(speaking())

    with (
        httpkit.Session(server.url, retry=None) as api,
        pytest.raises(requests.ConnectionError, match="101"),
    ):
        api.get("x", headers=headers)


@pytest.mark.parametrize("status", ["200 OK", "426 Upgrade Required"])
def test_a_server_that_does_not_switch_is_read_as_any_other(start, status):
    body = bytes(range(256)) * 3000
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nX: keep-alive\r\n\r\n".encode()
    server, options = start(head + body)

    with httpkit.Session(server.url, raise_for_status=False, **options) as api:
        bodies = [api.get("x", headers=ASKING).content for _ in range(2)]

    assert bodies == [body, body]
    assert server.connections == 1


# ---- a connection that was idle for long


@pytest.mark.parametrize("kind", [Adapter, Ordinary])
@pytest.mark.parametrize("is_blocking", [False, True])
@pytest.mark.parametrize(
    ("seconds", "method", "options", "connections"),
    [
        (50, "POST", {}, 1),
        (70, "POST", {}, 2),
        (70, "PATCH", {"json": {}}, 2),
        (70, "GET", {}, 1),
        (70, "PUT", {"data": b"x"}, 1),
        (70, "POST", {"idempotency_key": True}, 1),
        (70, "GET", {"retry": None}, 2),
        (70, "PUT", {"data": iter([b"x"])}, 2),
        (70, "POST", {"retry": httpkit.RetryPolicy(methods={"POST"})}, 1),
    ],
)
def test_a_connection_idle_for_a_minute_is_used_only_for_what_is_retried(
    start, kind, is_blocking, seconds, method, options, connections
):
    options = dict(options)
    if "data" in options and not isinstance(options["data"], bytes):
        options["data"] = iter([b"x"])
    server, settings = start(KEPT)

    with FakeClock() as clock, httpkit.Session(server.url, deadline=None, **settings) as api:
        mount(api, kind(pool_maxsize=1, pool_block=is_blocking))
        api.get("warm")
        api.get("warm")
        clock.advance(seconds)
        api.request(method, "x", **options)
        api.get("after")

    assert server.connections == connections


def test_a_stream_that_takes_long_does_not_make_its_connection_idle(raw_server):
    server = raw_server(KEPT)

    with FakeClock() as clock, httpkit.Session(server.url) as api:
        with api.get("x", stream=True) as response:
            clock.advance(90)
            assert response.content == b"hi"
        api.post("x")

    assert server.connections == 1


# ---- what a signal handler raises


pytestmark_unix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs SIGALRM")


class OutOfTimeError(TimeoutError):
    """A class of the caller's own."""


def plainly(error):
    def handler(signum, frame):
        raise error

    return handler


def of_any(error):
    def handler(*_):
        raise error

    return handler


def deleting(error):
    def handler(signum, frame):
        del signum, frame
        raise error

    return handler


def deep(error):
    def fail():
        raise error

    def handler(_text, signum, frame=None):
        try:
            fail()
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    return functools.partial(handler, "x")


class Limit:
    def __init__(self, error):
        self.error = error

    def __call__(self, signum, frame):
        raise self.error

    def method(self, signum, frame):
        raise self.error


@contextmanager
def alarmed(error, make=plainly, *, after=0.05):
    before = signal.signal(signal.SIGALRM, make(error))
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def hang(connection):
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass


def after_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000)
    hang(connection)


def after_chunk(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    hang(connection)


def get(api, _):
    api.get("x")


def post(api, _):
    api.post("x", json={}, idempotency_key=True)


def stream(api, _):
    with api.get("x", stream=True) as response:
        for _block in response.iter_content(10):
            pass


def lines(api, _):
    list(api.get("x", stream=True).lines())


def raw(api, _):
    response = api.get("x", stream=True)
    while response.raw.read(50_000):
        pass


def download(api, folder):
    api.download("x", folder / "got")


def lenient(api, _):
    with api.with_options(strict=False, retry=3) as other:
        other.get("x")


def within_requests(api, _):
    with requests.Session() as session:
        session.mount("http://", Adapter(max_retries=urllib3.Retry(3)))
        session.get(f"{api.base_url}/x")


PHASES = {
    "head": (hang, get), "head of a post": (hang, post), "body": (after_head, get),
    "chunks": (after_chunk, get), "stream": (after_head, stream), "chunks as a stream":
    (after_chunk, stream), "lines": (after_chunk, lines), "raw": (after_head, raw),
    "raw chunks": (after_chunk, raw), "download": (after_head, download),
    "retries of the adapter": (hang, within_requests),
}  # fmt: skip
ERRORS = [
    TimeoutError("enough"), TimeoutError(), OSError("enough"), ConnectionResetError("enough"),
    BrokenPipeError("enough"), ssl.SSLEOFError("enough"), ssl.SSLError("enough"),
    OutOfTimeError("enough"),
    requests.ReadTimeout("enough"), http.client.IncompleteRead(b""),
    InterruptedError(4, "enough"), socket.gaierror("enough"), RuntimeError("enough"),
    urllib3.exceptions.ProtocolError("enough"), ValueError("enough"),
]  # fmt: skip


@pytest.fixture(scope="module")
def _imported(tmp_path_factory):
    """Import what the acts import with their first use.

    What a signal raises within an import may be lost: Python ignores an OSError of a folder that it
    looks into.
    """
    folder = tmp_path_factory.mktemp("imported")
    with RawServer([KEPT]) as server, httpkit.Session(server.url) as api:
        for act in [*{act for _, act in PHASES.values()}, lenient]:
            act(api, folder)


def outcome(act, error, make=plainly):
    """Return what comes out of an act that a signal interrupts."""
    with alarmed(error, make), pytest.raises(type(error)) as caught:
        act()
    return caught.value


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize(("serve", "act"), PHASES.values(), ids=PHASES)
@pytest.mark.parametrize("error", ERRORS[:4], ids=repr)
def test_what_a_signal_handler_raises_ends_a_wait_as_it_is(raw_server, tmp_path, serve, act, error):
    server = raw_server(serve)
    error = type(error)(*error.args)

    with httpkit.Session(server.url) as api:
        found = outcome(lambda: act(api, tmp_path), error)

    assert found is error
    assert (found.__cause__, found.__context__) == (None, None)
    assert len(server.requests) <= 1  # on a busy machine the signal comes before the request


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_it_may_be_of_any_class(start, error, is_warm):
    server, options = start(*([KEPT] * is_warm), hang)

    with httpkit.Session(server.url, **options) as api:
        if is_warm:
            api.get("warm")
        found = outcome(lambda: api.get("x"), error)

    assert found is error
    assert len(server.requests) <= 1 + is_warm


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize(
    "make",
    [of_any, deleting, deep, Limit, lambda error: Limit(error).method],
    ids=["of any arguments", "deletes its arguments", "deep", "object", "method"],
)
def test_the_handler_may_be_any_callable(raw_server, make):
    server, error = raw_server(hang), TimeoutError("enough")

    with httpkit.Session(server.url) as api:
        found = outcome(lambda: api.get("x"), error, make)

    assert found is error
    assert len(server.requests) <= 1


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("size", [60_000, 64 << 20], ids=["in one go", "in blocks"])
@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize(
    "error", [TimeoutError("enough"), BrokenPipeError("enough"), ConnectionResetError("enough")]
)
def test_it_ends_the_sending_of_a_body(error, is_warm, size):
    is_over = threading.Event()

    def take_nothing(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        if is_warm:
            read_request(connection)
            connection.sendall(KEPT)
        is_over.wait(5)

    adapter = Adapter()
    small = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)]
    adapter.poolmanager.connection_pool_kw["socket_options"] = small
    with (
        Acceptor(take_nothing) as server,
        httpkit.Session(f"http://127.0.0.1:{server.port}") as api,
    ):
        mount(api, adapter)
        if is_warm:
            api.get("warm")
        found = outcome(lambda: api.put("x", data=bytes(size)), error)
        is_over.set()

    assert found is error
    assert server.connections == 1


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("error", [TimeoutError("enough"), ConnectionRefusedError("enough")])
def test_it_ends_a_connect(busy, error):
    with httpkit.Session(busy) as api:
        assert outcome(lambda: api.post("x"), error) is error


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("error", [TimeoutError("enough"), ssl.SSLError("enough")])
def test_it_ends_a_handshake(error):
    with Acceptor(hang) as server, httpkit.Session(f"https://127.0.0.1:{server.port}") as api:
        assert outcome(lambda: api.get("x"), error) is error

    assert server.connections == 1


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
def test_it_ends_the_wait_for_a_proxy():
    error = TimeoutError("enough")
    with Acceptor(hang) as proxy:
        through = {"https": f"http://127.0.0.1:{proxy.port}"}
        with httpkit.Session("https://127.0.0.1:1", proxies=through) as api:
            assert outcome(lambda: api.get("x"), error) is error

    assert proxy.connections == 1


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
def test_it_ends_the_wait_for_a_connection_of_the_pool(raw_server):
    server, error = raw_server(after_head), TimeoutError("enough")

    with httpkit.Session(server.url) as api:
        api.mount("http://", Adapter(pool_maxsize=1, pool_block=True))
        with api.get("x", stream=True):
            assert outcome(lambda: api.get("x"), error) is error


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
@pytest.mark.parametrize("strict", [True, False])
def test_it_is_distinguished_with_the_adapter_of_requests(raw_server, strict):
    server, error = raw_server(hang), TimeoutError("enough")

    with httpkit.Session(server.url, strict=strict, retry=3) as api:
        api.mount("http://", requests.adapters.HTTPAdapter())
        assert outcome(lambda: api.get("x"), error) is error

    assert len(server.requests) <= 1


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
def test_an_alarm_that_is_over_is_not_raised_again(raw_server, nobody):
    server, error = raw_server(hang), TimeoutError("enough")

    with httpkit.Session(server.url, retry=None) as api:
        try:
            with alarmed(error):
                api.get("x")
        except TimeoutError:
            with pytest.raises(requests.ConnectionError) as caught:
                api.get(f"{nobody}/x")

    assert caught.value is not error


@pytestmark_unix
@pytest.mark.usefixtures("_imported")
def test_a_timeout_of_a_call_that_a_handler_makes_is_the_sockets(raw_server):
    server = raw_server(hang)
    seen = []

    with httpkit.Session(server.url, retry=None) as api:

        def handler(signum, frame):
            with pytest.raises(requests.ReadTimeout) as caught:
                api.get("x", timeout=0.02)
            seen.append(caught.value)

        with alarmed(None, lambda _: handler), pytest.raises(requests.ReadTimeout):
            api.get("x", timeout=0.5)

    assert len(seen) == 1


def test_a_timeout_of_the_socket_is_retried_as_before(raw_server, make_response):
    server = raw_server(hang, make_response(body=b"again"))

    with httpkit.Session(server.url) as api:
        response = api.get("x", timeout=0.05)

    assert (response.content, response.attempts) == (b"again", 2)


def test_a_function_that_is_given_its_callers_frame_is_a_handler_in_the_main_thread_alone():
    def handler(signum, frame):
        raise TimeoutError

    found = []

    def call():
        import sys

        try:
            handler(14, sys._getframe())
        except TimeoutError as error:
            found.append(interrupts.is_from_handler(error))

    call()
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert found == [True, False]


@pytest.mark.parametrize("is_fresh", [True, False], ids=["new", "kept"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokenPipeError, errno.EPIPE),
        (ConnectionResetError, errno.ECONNRESET),
        (ConnectionAbortedError, errno.ECONNABORTED),  # WinError 10053, what Windows reports
    ],
    ids=["pipe", "reset", "aborted"],
)
def test_a_response_that_precedes_a_failed_send_is_read(
    raw_server, make_response, monkeypatch, error, code, is_fresh
):
    server = raw_server(KEPT, make_response("413 Content Too Large"))
    sendall = socket.socket.sendall

    def failing(sock, data):
        sendall(sock, data)
        if data.endswith(b"order"):
            raise error(code, "the server hung up")

    with httpkit.Session(server.url, retry=None, raise_for_status=False) as api:
        api.get("warm")
        if is_fresh:
            api.close()
        monkeypatch.setattr(socket.socket, "sendall", failing)

        response = api.post("x", data=b"order")

    assert response.status_code == 413
