"""Socket streams whose reads and writes end as soon as the Sandbox closes.

`socket.shutdown` called by another thread does not wake a blocked `recv` on Windows
(python/cpython#91913). So nothing here blocks in `recv` or `send`: a thread waits for its socket
and for the closed end of a socket pair, which every platform reports.

Rule: standard library only, and nothing from httpkit.
"""

import io
import selectors
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# Not DefaultSelector: epoll costs a descriptor for each wait. Windows has no poll().
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class Closing:
    """An event that also wakes threads which wait for a socket."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._pair: tuple[socket.socket, ...] = ()

    def open(self) -> None:
        """Start anew, unset.

        Raises:
            OSError: There is no socket left.
        """
        self._pair = socket.socketpair()
        self._event.clear()

    def set(self) -> None:
        """Wake every thread; each of its waits raises from now on."""
        self._event.set()
        self._pair[1].close()

    def is_set(self) -> bool:
        """Return whether it was set since it was opened."""
        return self._event.is_set()

    def release(self) -> None:
        """Close the sockets, once no thread waits any more."""
        for one in self._pair:
            one.close()

    def wait(self, seconds: float) -> None:
        """Wait so many seconds.

        Raises:
            ConnectionAbortedError: It was set, before or meanwhile.
        """
        if self._event.wait(seconds):
            raise ConnectionAbortedError("the sandbox closed")

    def wait_for(self, connection: socket.socket, events: int) -> None:
        """Wait until a socket can be read or written.

        Raises:
            ConnectionAbortedError: It was set, before or meanwhile.
        """
        with _Selector() as selector:
            selector.register(self._pair[0], selectors.EVENT_READ)
            selector.register(connection, events)
            selector.select()
        self.wait(0)


class Reader(io.RawIOBase):
    """The bytes that a client sends."""

    def __init__(self, connection: socket.socket, closing: Closing) -> None:
        self._connection = connection
        self._closing = closing

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read what has arrived, or wait for it; 0 at the end."""
        while True:
            self._closing.wait_for(self._connection, selectors.EVENT_READ)
            try:
                return self._connection.recv_into(buffer)
            except BlockingIOError:  # select() may report a socket that is not ready
                continue


class Writer(io.BufferedIOBase):
    """The bytes that a client gets."""

    def __init__(self, connection: socket.socket, closing: Closing) -> None:
        self._connection = connection
        self._closing = closing

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Send all of the bytes."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                sent += self._send(view[sent:])
            return sent

    def _send(self, data: memoryview) -> int:
        try:
            return self._connection.send(data)
        except BlockingIOError:
            self._closing.wait_for(self._connection, selectors.EVENT_WRITE)
            return 0
