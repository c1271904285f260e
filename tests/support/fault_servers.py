"""Servers that misbehave exactly as told, and remember what they were sent.

An answer of a script is bytes (sent, then the connection is closed unless they hold
"keep-alive"), None (closed without a word), or a callable that gets the socket. The n-th
request gets the n-th response, and every one after the last gets the last.

Rule: the standard library, trustme and `sockets`, so that any client can be judged by them.
"""

import datetime as dt
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Self

import trustme

from tests.support.sockets import hang_up, read_request

Reply = bytes | Callable[[socket.socket], object] | None

# What stands for the servers' addresses in a script. They are as long as the real ones, so
# that a Content-Length stays right: ephemeral ports have five digits.
SERVER_URL = "http://server.invalid"
OTHER_URL = "http://strange.invalid"
# What opens a connection before a fault comes over it; it is always answered well.
WARMING = b"GET /warm-up "
_LONGEST_DRIP = 5.0  # seconds; no limit under test is as long


class Server:
    """A server on a port of its own of the loopback.

    Attributes:
        url: Its address.
        requests: What came, head and body of each, in order; those that warm up are not counted.
        warmed: For each of them, whether its connection had been warmed up.
        connections: How many there were.
    """

    def __init__(
        self,
        script: Sequence[Reply],
        *,
        context: ssl.SSLContext | None = None,
        greeting: Reply = b"",
    ) -> None:
        self.requests: list[bytes] = []
        self.warmed: list[bool] = []
        self.connections = 0
        self.addresses: dict[bytes, bytes] = {}
        self._script, self._context, self._greeting = script, context, greeting
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._open: set[socket.socket] = set()
        self._workers: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._listener)
        self._listener.close()
        self._acceptor.join(5)
        with self._lock:
            for connection in self._open:
                hang_up(connection)
        for worker in self._workers:
            worker.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                # Or what is sent after TLS's tickets would wait 40 ms, and be lost in a reset.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self.connections += 1
                    self._open.add(connection)
                worker = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._workers.append(worker)
                worker.start()

    def _serve(self, connection: socket.socket) -> None:
        plain, is_warm = connection, False
        try:
            with suppress(OSError, ValueError):
                if self._greeting != b"":
                    self._say(connection, self._greeting)
                    return
                if self._context:
                    connection = self._context.wrap_socket(connection, server_side=True)
                while request := read_request(connection):
                    if request.startswith(WARMING):
                        is_warm = True
                        connection.sendall(kept(b"warm"))
                        continue
                    with self._lock:
                        self.requests.append(request)
                        self.warmed.append(is_warm)
                        turn = min(len(self.requests), len(self._script)) - 1
                    reply = self.answer_to(request, turn)
                    self._say(connection, reply)
                    if not isinstance(reply, bytes) or b"keep-alive" not in reply:
                        return
        finally:
            with self._lock:
                self._open.discard(plain)
            close(connection)

    def answer_to(self, _request: bytes, turn: int) -> Reply:
        """Return what a request gets: that of its turn."""
        return self._script[turn]

    def _say(self, connection: socket.socket, reply: Reply) -> None:
        if callable(reply):
            reply(connection)
        elif reply is not None:
            for name, address in self.addresses.items():
                reply = reply.replace(name, address)
            connection.sendall(reply)


def close(connection: socket.socket) -> None:
    """Say goodbye in TLS, too, and close."""
    with suppress(OSError, ValueError):
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(0.2)
            connection.unwrap()
    connection.close()


# Responses, written


def head(*fields: str, status: str = "200 OK") -> bytes:
    """Spell a head, with no more in it than is said."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1")


def ok(body: bytes = b"hello", *fields: str, status: str = "200 OK") -> bytes:
    """Return the bytes of a whole response, after which the connection is closed."""
    return head(f"Content-Length: {len(body)}", "Connection: close", *fields, status=status) + body


def kept(body: bytes = b"hello", *fields: str, status: str = "200 OK") -> bytes:
    """Return the bytes of a whole response, after which the connection stays open."""
    length = f"Content-Length: {len(body)}"
    return head(length, "Connection: keep-alive", *fields, status=status) + body


def text(body: bytes, content_type: str) -> bytes:
    """Return the bytes of a whole response of a content type."""
    return ok(body, f"Content-Type: {content_type}")


def json(body: bytes) -> bytes:
    """Return the bytes of a whole response in JSON."""
    return text(body, "application/json")


def chunks(body: bytes) -> bytes:
    """Return the bytes of a response in chunks, of which the framing is the caller's."""
    return head("Transfer-Encoding: chunked", "Connection: close") + body


def coded(body: bytes, coding: str = "gzip") -> bytes:
    """Return the bytes of a whole response of a content coding."""
    return ok(body, f"Content-Encoding: {coding}")


def moved(location: str, status: str = "302 Found") -> bytes:
    """Spell a redirect."""
    return ok(b"", f"Location: {location}", status=status)


# Answers that take part


def reset(connection: socket.socket) -> None:
    """Abort the connection: the client sees ECONNRESET."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def then(first: bytes, act: Callable[[socket.socket], object]) -> Reply:
    """Send something, and go on with an act."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(first)
        act(connection)

    return reply


def reset_when_spoken_to(connection: socket.socket) -> None:
    """Abort the connection once something came: before, the client may not have begun."""
    connection.recv(1)
    reset(connection)


def silence(connection: socket.socket) -> None:
    """Say nothing until the client leaves, or far too long."""
    until_left(connection, _LONGEST_DRIP)


def until_left(connection: socket.socket, seconds: float) -> bool:
    """Wait until the client hangs up; say whether it did."""
    connection.settimeout(seconds)
    with suppress(TimeoutError):
        while connection.recv(65536):
            pass
        return True
    return False


def dripping(first: bytes, drip: bytes = b"x", every: float = 0.05) -> Reply:
    """Send something, and then a little more again and again, never slow enough to time out."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(first)
        ends_at = time.monotonic() + _LONGEST_DRIP
        while time.monotonic() < ends_at:
            time.sleep(every)
            connection.sendall(drip)

    return reply


def endless(first: bytes, block: bytes, most: int = 400 << 20) -> Reply:
    """Send something, and then a block again and again as fast as the client takes it."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(first)
        large = block * max(1, (1 << 16) // len(block))
        for _ in range(most // len(large)):
            connection.sendall(large)

    return reply


def tunnel(connection: socket.socket) -> None:
    """Accept a CONNECT, and then break off."""
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")


# Certificates


@cache
def authority() -> trustme.CA:
    """Return the authority that clients trust."""
    return trustme.CA()


@cache
def trusted() -> str:
    """Return the path of its certificate."""
    path = Path(tempfile.mkdtemp(prefix="faults-")) / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)


@cache
def trusting() -> ssl.SSLContext:
    """Return a client's TLS that trusts it alone."""
    return ssl.create_default_context(cafile=trusted())


@cache
def certified(content_type: str) -> ssl.SSLContext:
    """Return a server's TLS with a certificate that is "good", or bad in one way."""
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = {
        "good": lambda: authority().issue_cert("127.0.0.1"),
        "of another host": lambda: authority().issue_cert("somebody.example"),
        "expired": lambda: authority().issue_cert("127.0.0.1", not_after=past),
        "of nobody": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }[content_type]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def cut(connection: socket.socket) -> None:
    """End TCP without close_notify."""
    if isinstance(connection, ssl.SSLSocket):
        connection.shutdown(socket.SHUT_RDWR)


def of(url: str) -> bytes:
    """Return host and port."""
    return url.partition("//")[2].encode()


@contextmanager
def pair(
    server: Sequence[Reply],
    other_server: Sequence[Reply],
    *,
    tls: str | None = None,
    greeting: Reply = b"",
) -> Iterator[tuple[Server, Server]]:
    """Run the server that a session belongs to, and one of another origin."""
    context = certified(tls) if tls else None
    with Server(server, context=context, greeting=greeting) as ours, Server(other_server) as other:
        for each in (ours, other):
            each.addresses = {
                SERVER_URL.encode(): ours.url.encode(),
                of(SERVER_URL): of(ours.url),
                of(OTHER_URL): of(other.url),
            }
        yield ours, other
