"""What servers of tests do with a socket by hand.

Rule: the standard library alone, so that any client can be judged by them.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


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


def drip(
    start: bytes, piece: bytes = b"x", *, every: float = 0.02, seconds: float = 2.0
) -> Callable[[socket.socket], None]:
    """Send something, then pieces until the client gives up.

    Args:
        start: What is sent at once.
        piece: What is sent again and again.
        every: Seconds between two pieces.
        seconds: For so long at the most.
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
    """Sends, waits until the client hangs up, and remembers that it did."""

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
