"""Receive from a socket: each wait ends with the timeout or the deadline of the request.

Rule: this module knows sockets, and nothing of HTTP.
"""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from httpkit._core import waits
from httpkit._core.clock import NO_DEADLINE, Deadline
from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from httpkit._core import interrupts
else:
    interrupts = ImportedLater("httpkit._core.interrupts")

# The standard library's 8 KiB needs four times the system calls for a body in small chunks.
_BUFFER = 1 << 15

T = TypeVar("T")


if TYPE_CHECKING:

    class Readable(Protocol):
        """What is needed of a socket; urllib3's TLS within TLS is not a subclass of one."""

        def makefile(self, mode: Any, buffering: Any = ...) -> Any:
            """Return a file that keeps the socket open."""
            ...

        def fileno(self) -> int:
            """Return the descriptor."""
            ...

        def recv(self, bufsize: int, flags: int = ..., /) -> bytes:
            """Receive bytes."""
            ...

        def recv_into(self, buffer: Any, nbytes: int = ..., flags: int = ...) -> int:
            """Receive bytes."""
            ...

        def gettimeout(self) -> float | None:
            """Return the seconds that an operation may take."""
            ...

        def settimeout(self, value: float | None, /) -> None:
            """Set the seconds that an operation may take."""
            ...


class Exchange:
    """The limits of one request and its response.

    Attributes:
        deadline: When it must be over.
        send_timeout: Seconds for the server to take a block; None is no limit.
        is_repeatable: Whether the request is retried when its connection is lost; otherwise it
            is not sent over a connection that was idle for long.
        closes: Whether the request says `Connection: close`.
        upgrades: Whether the request asked for another protocol: a 101 may be the response.
    """

    __slots__ = ("closes", "deadline", "is_repeatable", "send_timeout", "upgrades")

    def __init__(
        self,
        deadline: Deadline = NO_DEADLINE,
        send_timeout: float | None = None,
        *,
        is_repeatable: bool = True,
        closes: bool = False,
        upgrades: bool = False,
    ) -> None:
        self.deadline = deadline
        self.send_timeout = send_timeout
        self.is_repeatable = is_repeatable
        self.closes = closes
        self.upgrades = upgrades


UNLIMITED = Exchange()
# Carries the deadline through urllib3 and http.client, whose calls take no such argument.
EXCHANGE: ContextVar[Exchange] = ContextVar("exchange", default=UNLIMITED)


class SocketReader(io.RawIOBase):
    """Reads from a socket; each wait ends with the timeout or the deadline.

    Attributes:
        exchange: The limits of the current request.
        timeout: Seconds for one wait; None is no limit.
        is_cut: Whether the TLS stream ended without close_notify: what came may not be all.
    """

    def __init__(self, sock: Readable, exchange: Exchange, *, is_persistent: bool = False) -> None:
        """Read from a socket.

        Args:
            sock: A connected socket.
            exchange: The limits of the current request.
            is_persistent: Whether it reads one response after the other while the connection
                keeps the socket open; otherwise it keeps the socket open itself.
        """
        self._sock = sock
        self._kept: Any = None if is_persistent else sock.makefile("rb", buffering=0)
        self.is_persistent: bool = is_persistent
        self.exchange: Exchange = exchange
        self.timeout: float | None = sock.gettimeout()
        self._applied = self.timeout
        self.is_cut: bool = False
        self._is_whole = self._is_frozen = self._is_handed_over = False
        self._whole_by: float | None = None
        self._pushed_back = b""
        tls: Any = getattr(sock, "sslobj", sock)  # urllib3's TLS within TLS
        self._pending = getattr(tls, "pending", None)  # bytes that TLS has decrypted already

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the buffer that http.client reads from.

        Where a 101 may come, nothing after the head is buffered: the caller finds all bytes of the
        other protocol on the socket.
        """
        return io.BufferedReader(self, 1 if self.exchange.upgrades else _BUFFER)

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._sock.fileno()

    def start_message(self, exchange: Exchange) -> None:
        """Begin to read the next response; each wait has the timeout that the sending had."""
        self.exchange, self.timeout = exchange, exchange.send_timeout
        self._applied = self._sock.gettimeout()
        self._is_whole, self._whole_by = True, None

    def keep_open(self) -> None:
        """Keep the socket open: the connection no longer does."""
        self._kept, self.is_persistent = self._sock, False

    def hand_over(self) -> None:
        """Leave the socket to another protocol, with the read timeout and without a deadline."""
        self._is_handed_over = True
        self.exchange = UNLIMITED
        self._sock.settimeout(self.timeout)
        self._applied = self.timeout

    def expect(self, *, whole: bool) -> None:
        """Set whether the next part must arrive whole within one timeout.

        A body may take any time as long as bytes arrive. A head or a chunk size is short: the
        timeout is for all of it, so that one byte at a time is no way around it. The clock
        starts with the first wait.
        """
        self._is_whole, self._whole_by = whole, None

    def receive(self) -> bytes:
        """Receive the first bytes of a response, and keep none of them; b"" at its end.

        Raises: as `readinto`.
        """
        return self._receive(self._sock.recv, _BUFFER) or b""

    def push_back(self, received: bytes) -> None:
        """Have these bytes read again, by way of a buffer."""
        self._pushed_back = received

    def readinto(self, buffer: Any) -> int | None:
        """Receive the available bytes, waiting for the first.

        Raises:
            TimeoutError: Nothing came within the timeout, or the deadline passed.
        """
        if self._pushed_back:
            size = min(len(buffer), len(self._pushed_back))
            buffer[:size], self._pushed_back = self._pushed_back[:size], self._pushed_back[size:]
            return size
        return None if self._is_frozen else self._receive(self._sock.recv_into, buffer) or 0

    def _receive(self, receive: Callable[[Any], T], argument: Any) -> T | None:
        """Call a method of the socket with what is left of the time; None where TLS was cut."""
        limit = self._limit()
        if limit != self._applied:
            self._sock.settimeout(limit)
            self._applied = limit
        try:
            if waits.IS_SLICED:
                return waits.socket_call(self._sock, receive, argument)
            return receive(argument)
        except Exception as error:
            if not self._is_handed_over:  # else the caller reads the socket itself
                interrupts.hide(error)
            if not isinstance(error, ssl.SSLEOFError):
                raise
            self.is_cut = True
            return None

    def _limit(self) -> float | None:
        limit = self.timeout
        if limit is not None and self._is_whole:
            now = time.monotonic()
            if self._whole_by is None:
                self._whole_by = now + limit
            else:
                limit = self._whole_by - now
            if limit <= 0:
                raise TimeoutError("the response head did not arrive within the timeout")
        return self.exchange.deadline.clip(limit)

    def has_buffered(self, buffered: io.BufferedReader) -> bool:
        """Return whether unread bytes were received; it does not wait."""
        return self.has_decrypted() or self.peek_buffered(buffered) != b""

    def has_decrypted(self) -> bool:
        """Return whether TLS holds decrypted bytes that were not read yet."""
        return self._pending is not None and self._pending() > 0

    def peek_buffered(self, buffered: io.BufferedReader) -> bytes:
        """Return the bytes that were received and not read yet; it does not wait."""
        self._is_frozen = True
        waiting = buffered.peek(1)
        self._is_frozen = False
        return waiting

    def close(self) -> None:
        """Release the socket."""
        if self._kept is not None:
            self._kept.close()
        super().close()
