"""Servers of tests on plain sockets.

Rule: the standard library alone, so that any client can be tested with them.
"""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


def read_request(connection: socket.socket) -> bytes:
    """Read one request: its head, and its body by Content-Length or in chunks."""
    received = b""
    while b"\r\n\r\n" not in received:
        block = connection.recv(65536)
        if not block:
            return b""
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    length = int(fields.get(b"content-length", b"0"))
    is_chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
    while len(body) < length or (is_chunked and not body.endswith(b"0\r\n\r\n")):
        block = connection.recv(65536)
        if not block:
            break
        body += block
    return head + b"\r\n\r\n" + body


def hang_up(one: socket.socket) -> None:
    """Shut down a socket, and wake the thread that waits for it.

    On Windows shutting down wakes nobody (python/cpython#91913); closing the handle does.
    """
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    if sys.platform == "win32":
        with suppress(OSError):
            socket.close(one.detach())


def drip(
    start: bytes, piece: bytes = b"x", *, every: float = 0.02, seconds: float = 20.0
) -> Callable[[socket.socket], None]:
    """Send something, then pieces until the client hangs up.

    Args:
        start: Bytes that are sent at once.
        piece: Bytes that are sent again and again.
        every: Seconds between two pieces.
        seconds: The longest time.
    """

    def serve(connection: socket.socket) -> None:
        connection.settimeout(every)
        connection.sendall(start)
        for _ in range(round(seconds / every)):
            connection.sendall(piece)
            with suppress(TimeoutError):
                connection.recv(1)
                return

    return serve


class Listener:
    """Sends bytes, and sets `was_left` when the client hangs up."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.was_left = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        connection.sendall(self.sent)
        try:
            if connection.recv(1) == b"":
                self.was_left.set()
        except ConnectionError:
            self.was_left.set()


class Acceptor:
    """Calls a function with each connection, in a thread each.

    Attributes:
        port: The port it listens at.
        connections: How many connections there were.
    """

    def __init__(
        self, serve: Callable[[socket.socket], object], *, host: str = "127.0.0.1"
    ) -> None:
        self.connections = 0
        self.lock = threading.Lock()
        self._serve = serve
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection, and wait for the threads, 5 seconds for each."""
        hang_up(self._listener)
        self._listener.close()
        with self.lock:
            for one in self._open:
                hang_up(one)
        for thread in self._threads:
            thread.join(5)

    def track(self, connection: socket.socket) -> None:
        """Close a socket with the server: that of TLS, say, which replaces the plain one."""
        with self.lock:
            self._open.append(connection)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self.track(connection)
                self._start(self._hand_over, connection)

    def _hand_over(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._serve(connection)


def relay(
    client: socket.socket, server: socket.socket, note: Callable[[bytes], object] = len
) -> None:
    """Pass bytes both ways until both sides have ended; `note` sees those of the client."""
    back = threading.Thread(target=pump, args=(server, client), daemon=True)
    back.start()
    pump(client, server, note)
    back.join(5)


def pump(
    source: socket.socket, target: socket.socket, note: Callable[[bytes], object] = len
) -> None:
    """Pass bytes one way until their source ends, then shut down the target.

    Args:
        source: The socket to read.
        target: The socket to write.
        note: Called with each block before it goes on.
    """
    with suppress(OSError):
        while block := source.recv(65536):
            note(block)
            target.sendall(block)
    with suppress(OSError):  # after a reset, too
        target.shutdown(socket.SHUT_WR)
