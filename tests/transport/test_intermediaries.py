"""Proxies, between a session and its server: a real one, and some that do not behave.

tinyproxy stands for the real ones; where it is not installed its tests say so and skip. In
front of it stands a tap, so that the tests see what the proxy got, byte for byte.
"""

import base64
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest
import requests
from requests.exceptions import ConnectTimeout, ProxyError

import httpkit
from tests.support.sockets import Acceptor, relay

USER, PASSWORD = "proxy-user", "proxy-pass0rd"
TOKEN = "origin-t0ken-9f86d081"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode())
# Seconds for tinyproxy to listen, and for what one thread sent to be noted by another.
LONGEST = 10

CONFIGURATION = """\
Listen 127.0.0.1
Port {port}
Timeout 30
LogLevel Connect
MaxClients 50
BasicAuth {user} {password}
Filter "filter"
FilterURLs Off
"""


# A server behind it all


@pytest.fixture(scope="module")
def context(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(params=["http", "https"])
def scheme(request) -> str:
    return request.param


@pytest.fixture
def origin(raw_server, make_response, scheme, context):
    """A server by http and by https that keeps its connections open."""
    reply = make_response(body=b"hi", connection="keep-alive")
    return raw_server(reply, tls=context if scheme == "https" else None)


@pytest.fixture
def session(bundle) -> Iterator[Callable]:
    """Make sessions that trust the servers here; they are closed by themselves."""
    made = []

    def make(base_url=None, **options):
        made.append(httpkit.Session(base_url, **{"verify": bundle, "timeout": 5, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def words(error: BaseException) -> str:
    """Return all that a person may read of an error."""
    return "".join(traceback.format_exception(error)) + str(pickle.dumps(error))


def said(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


# A real proxy


class Tap(Acceptor):
    """Passes bytes to a server and back, and keeps what the client sent."""

    def __init__(self, port: int) -> None:
        self.sent = b""
        self._address = ("127.0.0.1", port)
        super().__init__(self._carry)

    def _carry(self, client: socket.socket) -> None:
        with socket.create_connection(self._address) as server:
            relay(client, server, self._note)

    def _note(self, block: bytes) -> None:
        self.sent += block


@pytest.fixture(scope="session")
def tinyproxy(tmp_path_factory) -> Iterator[int]:
    """Run one tinyproxy that wants a password; give its port."""
    program = shutil.which("tinyproxy", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("tinyproxy is not installed")
    folder: Path = tmp_path_factory.mktemp("tinyproxy")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "filter").write_text("filtered\\.test\n")
    path = folder / "tinyproxy.conf"
    path.write_text(CONFIGURATION.format(port=port, user=USER, password=PASSWORD))
    # The shell ends it at the end of its standard input, so also when the tests are killed.
    script = '"$@" > log 2>&1 & read -r _; kill $!; wait $!'
    command = ["sh", "-c", script, "sh", program, "-d", "-c", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder) as shell:
        wait_until_it_listens(port, folder / "log")
        yield port
        shell.communicate(timeout=LONGEST)


def wait_until_it_listens(port: int, log: Path) -> None:
    give_up = time.monotonic() + LONGEST
    while time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise AssertionError(f"tinyproxy does not listen: {log.read_text()}")


@pytest.fixture
def tap(tinyproxy) -> Iterator[Tap]:
    with Tap(tinyproxy) as made:
        yield made


def address(port: int, user: str = USER, password: str = PASSWORD) -> str:
    return f"http://{user}:{password}@127.0.0.1:{port}"


def both(proxy: str | None) -> dict:
    return {"http": proxy, "https": proxy}


def test_a_proxy_with_a_password_leads_to_the_server(session, origin, tap, scheme):
    options = {"proxies": both(address(tap.port))}

    # tinyproxy closes connections without a word: a POST must not meet one that is closing.
    first = session(origin.url, **options).get("x")
    second = session(origin.url, **options).post("x", data=b"order")

    assert (first.content, second.content) == (b"hi", b"hi")
    assert [head.split()[0] for head in origin.requests] == [b"GET", b"POST"]
    expected = b"CONNECT 127.0.0.1:%d " if scheme == "https" else b"GET http://127.0.0.1:%d/x "
    assert tap.sent.startswith(expected % origin.port)
    assert b"Proxy-Authorization: Basic " + BASIC in tap.sent


def test_the_credentials_of_the_proxy_never_reach_the_server(session, origin, tap):
    api = session(origin.url, proxies=both(address(tap.port)))

    api.get("x")

    (seen,) = origin.requests
    assert b"proxy-authorization" not in seen.lower()
    assert BASIC not in seen
    assert b"Proxy-Authorization: Basic " + BASIC in tap.sent


@pytest.mark.parametrize("scheme", ["https"], indirect=True)
def test_the_credentials_of_the_server_never_reach_the_proxy_by_https(session, origin, tap):
    api = session(
        origin.url,
        auth=httpkit.BearerAuth(TOKEN),
        headers={"X-API-Key": f"{TOKEN}-key"},
        cookies={"sid": f"{TOKEN}-cookie"},
        params={"key": f"{TOKEN}-query"},
        proxies=both(address(tap.port)),
    )

    api.post("x", json={"password": f"{TOKEN}-body"})

    (seen,) = origin.requests
    assert seen.count(TOKEN.encode()) == 5
    assert b"CONNECT" in tap.sent
    assert TOKEN.encode() not in tap.sent
    assert b"user-agent: httpkit" not in tap.sent.lower()


def test_a_tunnel_is_opened_once_and_reused(session, origin, tap, scheme):
    api = session(origin.url, proxies=both(address(tap.port)))

    for _ in range(3):
        api.get("x")

    if scheme == "https":
        assert (origin.connections, tap.sent.count(b"CONNECT")) == (1, 1)
    assert len(origin.requests) == 3


def test_a_missing_proxy_password_is_reported_and_not_retried(session, origin, tap, waits, scheme):
    api = session(origin.url, proxies=both(f"http://127.0.0.1:{tap.port}"))

    with pytest.raises(requests.RequestException) as caught:
        api.get("x")

    assert type(caught.value) is (ProxyError if scheme == "https" else httpkit.ClientError)
    assert "407" in str(caught.value)
    assert "the proxy wants other credentials" in said(caught.value)
    assert (caught.value.attempts, waits, origin.requests) == (1, [], [])


def test_a_wrong_password_for_the_proxy_is_not_tried_again_and_not_shown(
    session, origin, tap, waits, scheme
):
    proxy = address(tap.port, USER, "wrong-pass0rd")
    api = session(origin.url, proxies=both(proxy), headers={"X-API-Key": TOKEN})

    with pytest.raises(requests.RequestException) as caught:
        api.get("x")

    if scheme == "https":
        assert type(caught.value) is ProxyError
        assert "the proxy wants other credentials" in said(caught.value)
    else:  # 407 by RFC 9110 section 15.5.8; tinyproxy 1.11.1 says 401 for a wrong password
        assert isinstance(caught.value, httpkit.ClientError)
        assert caught.value.status_code in {401, 407}
    assert (caught.value.attempts, waits, origin.requests) == (1, [], [])
    assert "wrong-pass0rd" not in words(caught.value)
    assert TOKEN not in words(caught.value)


def test_a_rejection_of_the_proxy_is_reported_and_not_retried(session, tap, waits, scheme):
    api = session(f"{scheme}://filtered.test", proxies=both(address(tap.port)))

    with pytest.raises(requests.RequestException) as caught:
        api.get("x")

    assert type(caught.value) is (ProxyError if scheme == "https" else httpkit.ForbiddenError)
    assert "403" in str(caught.value)
    assert (caught.value.attempts, waits) == (1, [])
    assert PASSWORD not in words(caught.value)


def test_a_server_that_is_down_behind_a_tunnel_got_nothing_so_a_post_is_tried_again(
    session, tap, waits
):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"https://127.0.0.1:{probe.getsockname()[1]}"
    api = session(url, proxies=both(address(tap.port)))

    with pytest.raises(ProxyError) as caught:
        api.post("x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (3, 2)
    assert tap.sent.count(b"CONNECT") == 3


def test_downloads_and_uploads_go_through_the_proxy(session, sandbox, tap, tmp_path):
    source, dest = tmp_path / "up.bin", tmp_path / "down.bin"
    source.write_bytes(os.urandom(300_000))
    api = session(sandbox.url, proxies=both(address(tap.port)))

    api.upload("echo", source)
    api.download("bytes/200000", dest)

    assert (sandbox.requests[0].body, dest.stat().st_size) == (source.read_bytes(), 200_000)
    assert tap.sent.count(b"Proxy-Authorization") >= len(sandbox.requests)


# Which proxy, if any


@pytest.fixture
def proxies(raw_server, make_response) -> Callable:
    """Start proxies that reply by themselves; their names are in the body."""
    return lambda name: raw_server(make_response(body=name.encode(), connection="keep-alive"))


def test_a_calls_proxy_beats_the_sessions_for_this_call_alone(session, proxies):
    first, second = proxies("first"), proxies("second")
    api = session("http://h.test", proxies={"http": first.url})

    bodies = [
        api.get("x").text,
        api.get("x", proxies={"http": second.url}).text,
        api.get("x").text,
    ]

    assert bodies == ["first", "second", "first"]


def test_a_calls_none_goes_around_the_sessions_proxy(session, proxies, sandbox):
    proxy = proxies("proxy")
    api = session(sandbox.url, proxies={"http": proxy.url})

    api.get("echo", proxies={"http": None})

    assert (len(sandbox.requests), proxy.requests) == (1, [])


def test_a_proxy_set_in_the_environment_mid_session_is_used_from_then_on(
    session, proxies, sandbox, monkeypatch
):
    proxy = proxies("proxy")
    api = session(sandbox.url)
    api.get("echo")

    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    through = api.get("echo").text
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    api.get("echo")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("HTTP_PROXY")
    api.get("echo")

    assert through == "proxy"
    assert (len(sandbox.requests), len(proxy.requests)) == (3, 1)


NO_PROXY = {
    "*": True,
    "127.0.0.1": True,
    "127.0.0.0/8": True,
    "other.test,127.0.0.1": True,
    ".0.0.1": True,
    "other.test": False,
}


@pytest.mark.parametrize(("names", "is_direct"), NO_PROXY.items(), ids=NO_PROXY)
def test_no_proxy_of_the_environment_names_hosts_without_a_proxy(
    session, proxies, sandbox, monkeypatch, names, is_direct
):
    proxy = proxies("proxy")
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", names.format(port=sandbox.url.rpartition(":")[2]))

    session(sandbox.url).get("echo")

    assert (len(sandbox.requests), len(proxy.requests)) == ((1, 0) if is_direct else (0, 1))


def test_a_redirect_leaves_the_proxy_when_the_next_host_needs_none(
    session, raw_server, make_response, sandbox, monkeypatch
):
    proxy = raw_server(make_response("302 Found", location=f"{sandbox.url}/echo"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", f"://{USER}:{PASSWORD}@"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    session("http://h.test", auth=httpkit.BearerAuth(TOKEN), allow_http_auth=True).get("x")

    (seen,) = sandbox.requests
    assert "proxy-authorization" not in seen.headers
    assert "authorization" not in seen.headers
    assert b"Proxy-Authorization: Basic " + BASIC in proxy.requests[0]


def test_a_redirect_from_a_direct_host_to_a_proxied_one_finds_its_proxy(
    session, raw_server, make_response, proxies, monkeypatch
):
    proxy = proxies("proxy")
    server = raw_server(make_response("302 Found", location="http://h.test/y"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", f"://{USER}:{PASSWORD}@"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    response = session(server.url).get("x")

    assert response.text == "proxy"
    assert b"Proxy-Authorization" not in server.requests[0]
    assert proxy.requests[0].startswith(b"GET http://h.test/y HTTP/1.1")
    assert b"Proxy-Authorization: Basic " + BASIC in proxy.requests[0]


def test_a_proxy_of_one_host_is_not_used_for_another(session, proxies, sandbox):
    proxy = proxies("proxy")
    api = session(proxies={"http://h.test": proxy.url})

    through, direct = api.get("http://h.test/x"), api.get(f"{sandbox.url}/echo")

    assert (through.text, direct.status_code) == ("proxy", 200)
    assert (len(proxy.requests), len(sandbox.requests)) == (1, 1)


# Proxies that do not behave


def test_a_proxy_that_is_down_got_nothing_so_a_post_is_tried_again(session, waits, scheme):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        proxy = address(probe.getsockname()[1])
    api = session(f"{scheme}://h.test", proxies=both(proxy))

    with pytest.raises(ProxyError) as caught:
        api.post("x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (3, 2)
    assert any("no proxy responds at this address" in note for note in caught.value.__notes__)
    assert PASSWORD not in words(caught.value)


def says(status: str, *lines: str, body: str = "") -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines))
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")


def stay_silent(connection: socket.socket) -> None:
    connection.settimeout(LONGEST)
    connection.recv(1)


def never_end(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: " + b"a" * 8000 + b"\r\n")


PAGE = "<html>Sign in to the guest network</html>"
# What the proxy says to CONNECT, what the call raises, and how often it is asked.
BAD_ANSWERS = {
    "403": (says("403 Filtered"), ProxyError, 1),
    "407": (says("407 Proxy Authentication Required"), ProxyError, 1),
    "a page with 403": (says("403 No", "Content-Type: text/html", body=PAGE), ProxyError, 1),
    "a redirect": (says("302 Found", "Location: http://login.test/"), ProxyError, 1),
    "500": (says("500 Oops"), ProxyError, 3),
    "502": (says("502 Bad Gateway"), ProxyError, 3),
    "503": (says("503 Busy", "Retry-After: 1"), ProxyError, 3),
    "504": (says("504 Gateway Timeout"), ProxyError, 3),
    "429": (says("429 Slow down"), ProxyError, 3),
    "garbage": (b"\x00\x01\x02 no HTTP\r\n\r\n", ProxyError, 3),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", ProxyError, 3),
    "half a status line": (b"HTTP/1.1 20", ProxyError, 3),
    "an endless status line": (b"HTTP/1.1 200 " + b"a" * 70_000, ProxyError, 3),
    "an endless field": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", ProxyError, 3),
    "nothing": (None, ProxyError, 3),
    "a page with 200": (
        says("200 OK", "Content-Type: text/html", body=PAGE),
        requests.ConnectionError,
        3,
    ),
    "half a head": (b"HTTP/1.1 200 OK\r\nX: a", requests.ConnectionError, 3),
    "silence": (stay_silent, ConnectTimeout, 3),
    "endless fields": (never_end, (ConnectTimeout, ProxyError), 3),
}


@pytest.mark.parametrize(("reply", "kind", "times"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_response_to_connect_is_typed_and_leaks_nothing(
    session, raw_server, waits, reply, kind, times
):
    proxy = raw_server(reply)
    api = session(
        "https://h.test",
        auth=httpkit.BearerAuth(TOKEN),
        timeout=0.2,
        proxies=both(address(proxy.port)),
    )

    with pytest.raises(kind) as caught:
        api.post("x", data=b"order")

    error = caught.value
    assert (error.attempts, len(waits)) == (times, times - 1)
    assert len(proxy.requests) == times  # nothing was sent to the server: a POST is safe, too
    assert all(head.startswith(b"CONNECT h.test:443 ") for head in proxy.requests)
    assert not any(secret in words(error) for secret in (TOKEN, PASSWORD, BASIC.decode()))
    assert not isinstance(error, (HTTPException, OSError)) or isinstance(
        error, requests.RequestException
    )


def test_a_proxys_reason_is_shortened_and_has_no_control_characters(session, raw_server):
    proxy = raw_server(says("403 \x1b[2Jno" + "o" * 5000))

    with pytest.raises(ProxyError) as caught:
        session("https://h.test", proxies=both(proxy.url)).get("x")

    assert "403  [2Jno" in str(caught.value)
    assert "\x1b" not in words(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("scheme", ["https"], indirect=True)
def test_a_proxy_that_recovers_is_used(session, raw_server, origin, waits):
    proxy = raw_server(says("503 Busy"), lead_to(origin.port))
    api = session(origin.url, proxies=both(proxy.url))

    response = api.post("x", data=b"order")

    assert (response.content, response.attempts, len(waits)) == (b"hi", 2, 1)
    assert len(origin.requests) == 1


def lead_to(port: int) -> Callable:
    """Answer CONNECT as asked, and pass on what comes."""

    def lead(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            relay(connection, server)

    return lead


def test_a_proxy_that_stalls_ends_with_the_deadline(session, raw_server, scheme):
    proxy = raw_server(stay_silent)
    api = session(f"{scheme}://h.test", proxies=both(proxy.url), deadline=0.1, retry=None)

    with limited(1), pytest.raises(httpkit.DeadlineExceededError):
        api.get("x")


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_a_proxy_that_drops_the_request_may_have_passed_it_on(session, raw_server, waits):
    proxy = raw_server(None)
    api = session("http://h.test", proxies=both(proxy.url))

    with pytest.raises(ProxyError) as caught:
        api.post("x", data=b"order")

    assert (caught.value.attempts, waits, len(proxy.requests)) == (1, [], 1)
    assert "it may have arrived" in caught.value.stop_reason
    assert len(caught.value.__notes__) == 1


# A proxy that is spoken to by https


def test_a_proxy_is_reached_by_https_and_its_certificate_is_checked(
    session, raw_server, make_response, context
):
    proxy = raw_server(make_response(body=b"hi"), tls=context)
    there = proxy.url.replace("://", f"://{USER}:{PASSWORD}@")

    assert session("http://h.test", proxies=both(there)).get("x").content == b"hi"
    with pytest.raises(ProxyError) as caught:
        session("http://h.test", proxies=both(there), verify=True).get("x")

    assert b"Proxy-Authorization: Basic " + BASIC in proxy.requests[0]
    assert len(proxy.requests) == 1
    assert caught.value.attempts == 1
    assert any("the authority that signed" in note for note in caught.value.__notes__)
    assert PASSWORD not in words(caught.value)


@pytest.mark.parametrize("scheme", ["https"], indirect=True)
def test_a_tunnel_leads_through_a_proxy_that_is_reached_by_https(
    session, raw_server, origin, context
):
    proxy = raw_server(lead_to(origin.port), tls=context)

    response = session(origin.url, proxies=both(proxy.url)).post("x", data=b"order")

    assert response.content == b"hi"
    assert len(origin.requests) == 1


def test_a_proxy_by_https_that_breaks_off_got_nothing_so_a_post_is_tried_again(
    session, raw_server, context, waits
):
    proxy = raw_server(None, tls=context)

    with pytest.raises(requests.ConnectionError) as caught:
        session("https://h.test", proxies=both(proxy.url)).post("x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (3, 2)
    assert all(head.startswith(b"CONNECT") for head in proxy.requests)


def test_a_proxy_by_https_that_wants_a_client_certificate_says_so(
    session, raw_server, authority, waits
):
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(demanding)
    authority.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED
    proxy = raw_server(None, tls=demanding)

    with pytest.raises(requests.ConnectionError) as caught:
        session("https://h.test", proxies=both(proxy.url)).post("x", data=b"order")

    assert "wants a client certificate" in said(caught.value)
    assert (caught.value.attempts, waits, proxy.requests) == (1, [], [])
