"""SOCKS proxies: the rules of the socket and the deadline hold behind them, too."""

import socket
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

import httpkit
from httpkit._transport.head import MalformedError
from tests.support.sockets import Acceptor, drip, relay

pytest.importorskip("socks", reason="PySocks is not installed")

ROOT = Path(__file__).parents[2]
PASSWORD = "socks-pass0rd"
SHORT, LONG = 0.3, 10


class Socks(Acceptor):
    """A SOCKS proxy that leads wherever it is asked to to one server, by version 5 or 4.

    Attributes:
        asked: What it was asked for, by connection: a host and a port.
        logins: The user and the password of each connection that had one.
        place: Where it is; a user and a password may be put before it.
    """

    def __init__(self, leads_to: int, play: Callable | None, *, login: bool = False) -> None:
        self.targets: list[tuple[bytes, int]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self._leads_to, self._login = leads_to, login
        super().__init__(play or self._lead)
        self.address = f"127.0.0.1:{self.port}"

    def _lead(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream, suppress(IndexError):  # it may end anywhere
            {4: self._greet_4, 5: self._greet_5}[stream.read(1)[0]](client, stream)
            with socket.create_connection(("127.0.0.1", self._leads_to)) as origin:
                relay(client, origin)

    def _greet_5(self, client: socket.socket, stream) -> None:  # RFC 1928, RFC 1929
        stream.read(stream.read(1)[0])
        client.sendall(b"\x05\x02" if self._login else b"\x05\x00")
        if self._login:
            stream.read(1)
            self.logins.append((stream.read(stream.read(1)[0]), stream.read(stream.read(1)[0])))
            client.sendall(b"\x01\x00" if self.logins[-1][1] == PASSWORD.encode() else b"\x01\x01")
        scheme = stream.read(4)[3]
        host = stream.read(4) if scheme == 1 else stream.read(stream.read(1)[0])
        self.targets.append((host, int.from_bytes(stream.read(2))))
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))

    def _greet_4(self, client: socket.socket, stream) -> None:
        stream.read(1)
        port, host = int.from_bytes(stream.read(2)), stream.read(4)
        until_zero(stream)
        self.targets.append((until_zero(stream) if host[:3] == bytes(3) else host, port))
        client.sendall(b"\x00\x5a" + bytes(6))


def until_zero(stream) -> bytes:
    return b"".join(iter(lambda: stream.read(1), b"\0"))


@pytest.fixture
def proxy() -> Iterator[Callable]:
    with ExitStack() as started:
        yield lambda origin=None, play=None, **options: started.enter_context(
            Socks(origin.port if origin else 1, play, **options)
        )


def through(proxy, scheme="socks5h", **options) -> httpkit.Session:
    address = f"{scheme}://{proxy.address}"
    options = {"retry": None, "timeout": LONG} | options
    return httpkit.Session(
        "http://api.test", proxies={"http": address, "https": address}, **options
    )


def answers(response, body=b"hi"):
    return response(body=body, connection="keep-alive")


@pytest.mark.parametrize(
    ("scheme", "url", "target"),
    [
        ("socks5h", "http://api.test/x", (b"api.test", 80)),
        ("socks4a", "http://api.test/x", (b"api.test", 80)),
        ("socks5", "http://127.0.0.1:81/x", (b"\x7f\0\0\1", 81)),
        ("socks4", "http://127.0.0.1:81/x", (b"\x7f\0\0\1", 81)),
    ],
)
def test_a_socks_proxy_leads_there_and_its_connection_is_kept(
    raw_server, make_response, proxy, scheme, url, target
):
    server = raw_server(answers(make_response))
    leading = proxy(server)

    with through(leading, scheme) as api:
        for _ in range(2):
            assert api.get(url).content == b"hi"

    assert leading.targets == [target]
    assert len(server.requests) == 2


def test_tls_within_socks_is_verified(raw_server, make_response, proxy, authority, bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(context)
    server = raw_server(answers(make_response), tls=context)

    with through(proxy(server), verify=bundle) as api:
        got = api.get("https://api.test/x").content
        with pytest.raises(requests.exceptions.SSLError):
            api.get("https://other.test/x")

    assert got == b"hi"
    assert len(server.requests) == 1


def test_a_password_is_for_the_proxy_and_no_error_shows_it(raw_server, make_response, proxy):
    server = raw_server(answers(make_response), b"HTTP/1.1 200 OK\r\n bad\r\n\r\n")
    leading = proxy(server, login=True)
    leading.address = f"me:{PASSWORD}@{leading.address}"

    with through(leading) as api:
        api.get("x")
        with pytest.raises(requests.ConnectionError) as broken:
            api.get("x")
        leading.address = leading.address.replace(PASSWORD, f"{PASSWORD}-2")
        with through(leading) as other, pytest.raises(requests.ConnectionError) as refused:
            other.get("x")

    assert leading.logins[0] == (b"me", PASSWORD.encode())
    assert PASSWORD.encode() not in b"".join(server.requests)
    for error in (broken, refused):
        assert PASSWORD not in "".join(traceback.format_exception(error.value))


def test_framing_is_strict_behind_a_socks_proxy(raw_server, proxy):
    server = raw_server(b"HTTP/1.1 200 OK\r\nX: a\r\n b\0\r\nContent-Length: 2\r\n\r\nhi")

    with through(proxy(server)) as api, pytest.raises(requests.ConnectionError) as caught:
        api.get("x")

    assert any(isinstance(cause, MalformedError) for cause in causes(caught.value))


def causes(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_the_deadline_holds_behind_a_socks_proxy(raw_server, proxy):
    server = raw_server(drip(b"HTTP/1.1 200 OK\r\nX: "))
    started = time.monotonic()

    with (
        through(proxy(server), deadline=SHORT) as api,
        pytest.raises(httpkit.DeadlineExceededError),
    ):
        api.get("x")

    assert time.monotonic() - started < LONG


def hesitate(client: socket.socket) -> None:
    """Take nearly all of a deadline of a second; nothing follows."""
    client.recv(100)
    time.sleep(0.9)
    client.sendall(b"\x05\0")
    client.recv(100)
    client.sendall(b"\x05\0\0\x01" + bytes(6))
    stay_silent(client)


def test_the_deadline_holds_in_a_handshake_behind_a_socks_proxy(proxy):
    started = time.monotonic()

    with through(proxy(play=hesitate), deadline=1) as api, pytest.raises(requests.Timeout):
        api.get("https://api.test/x")

    assert time.monotonic() - started < 1.9  # a second for each step would end there


def close(client: socket.socket) -> None:
    client.recv(100)


def stay_silent(client: socket.socket) -> None:
    while client.recv(100):
        pass


def say(*stream: bytes) -> Callable:
    def play(client: socket.socket) -> None:
        for one in stream:
            client.recv(100)
            client.sendall(one)

    return play


# What the proxy does, and what the call raises.
BAD = {
    "closes": (close, requests.ConnectionError),
    "silent": (stay_silent, requests.Timeout),
    "speaks HTTP": (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), requests.ConnectionError),
    "no method": (say(b"\x05\xff"), requests.ConnectionError),
    "refuses": (say(b"\x05\0", b"\x05\x05\0\x01" + bytes(6)), requests.ConnectionError),
    "an unknown refusal": (say(b"\x05\0", b"\x05\x99\0\x01" + bytes(6)), requests.ConnectionError),
    "an unknown address": (say(b"\x05\0", b"\x05\0\0\x77" + bytes(6)), requests.ConnectionError),
    "an answer that is cut": (say(b"\x05\0", b"\x05\0"), requests.ConnectionError),
}


@pytest.mark.parametrize(("play", "scheme"), BAD.values(), ids=BAD)
def test_a_bad_socks_proxy_is_a_typed_error_and_a_post_is_tried_again(proxy, waits, play, scheme):
    retry = httpkit.RetryPolicy(attempts=2)

    with (
        through(proxy(play=play), timeout=SHORT, retry=retry) as api,
        pytest.raises(scheme) as caught,
    ):
        api.post("x", data=b"order")

    assert (caught.value.attempts, len(waits)) == (2, 1)


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a" * 300])
def test_a_name_that_none_can_be_is_a_typed_error(proxy, host):
    with through(proxy()) as api, pytest.raises(requests.RequestException):
        api.get(f"http://{host}/x")


def test_without_pysocks_the_error_says_what_is_missing():
    program = """
import sys
sys.modules["socks"] = None
import requests, warnings
warnings.simplefilter("ignore")  # urllib3 says it, too
import httpkit
api = httpkit.Session("http://api.test", proxies={"http": "socks5h://127.0.0.1:1"})
try:
    api.get("x")
except requests.exceptions.InvalidSchema as error:
    print(error, error.attempts)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("a SOCKS proxy needs PySocks: pip install"), done.stderr
    assert " 1" in done.stdout
