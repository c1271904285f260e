"""Waits that Ctrl-C ends within a second, on Windows too.

There a signal does not wake a thread that waits for a socket, a lock or another thread: its
handler runs only once the wait has ended. So on Windows the main thread, which runs the handlers,
waits in slices. Elsewhere every function here is the plain wait.
"""

import errno
import math
import os
import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from httpkit._core import interrupts

T = TypeVar("T")

IS_SLICED = sys.platform == "win32"
"""Whether signals do not wake a waiting thread here."""
# Seconds: long enough to cost nothing, short enough for a person who pressed Ctrl-C.
_SLICE = 0.25


def _needs_slices() -> bool:
    return IS_SLICED and threading.current_thread() is threading.main_thread()


def wait(block: Callable[[float | None], bool], seconds: float | None) -> bool:
    """Call a function that waits, until it returns True or the time is up.

    Args:
        block: Called with the seconds to wait, None without a limit; returns whether the wait
            is over.
        seconds: The whole wait; None is no limit.

    Returns:
        What `block` returned last.
    """
    if not _needs_slices():
        return block(seconds)
    ends_at = time.monotonic() + (math.inf if seconds is None else seconds)
    while True:
        left = ends_at - time.monotonic()
        if left <= _SLICE:
            return block(max(left, 0.0))
        if block(_SLICE):
            return True


def event(happened: threading.Event, seconds: float | None = None) -> bool:
    """Wait for an event; return whether it is set."""
    return wait(happened.wait, seconds)


def thread(ending: threading.Thread) -> None:
    """Wait until a thread has ended."""

    def join(seconds: float | None) -> bool:
        ending.join(seconds)
        return not ending.is_alive()

    wait(join, None)


def result(future: "futures.Future[T]") -> BaseException | None:
    """Wait for a future; return its exception, None when it has a result."""
    while _needs_slices():
        try:
            return future.exception(_SLICE)
        except TimeoutError:
            continue
    return future.exception()


def item(source: "queue.SimpleQueue[T]") -> T:
    """Wait for the next item of a queue."""
    while _needs_slices():
        try:
            return source.get(timeout=_SLICE)
        except queue.Empty:
            continue
    return source.get()


def socket_call(sock: Any, call: Callable[[Any], int], argument: Any) -> int:
    """Receive from a socket or send to it, within its timeout.

    Args:
        sock: A socket, or TLS within TLS.
        call: Its `recv_into` or `send`: a timeout must mean that nothing was moved.
        argument: What it is called with.

    Raises:
        TimeoutError: Nothing was moved within the timeout.
        OSError: As `call` raises.
    """
    limit: float | None = sock.gettimeout()
    if not _needs_slices() or (limit is not None and limit <= _SLICE):
        return call(argument)
    ends_at = time.monotonic() + (math.inf if limit is None else limit)
    try:
        while True:
            left = ends_at - time.monotonic()
            sock.settimeout(min(max(left, 0.001), _SLICE))
            try:
                return call(argument)
            except TimeoutError as error:
                interrupts.hide(error)
                if left <= _SLICE:
                    raise
    finally:
        sock.settimeout(limit)


def send(sock: Any, data: Any) -> int:
    """Send some bytes within the timeout of the socket; return how many."""
    return socket_call(sock, sock.send, data)


def send_all(sock: Any, data: Any) -> None:
    """Send all of some bytes; the timeout of the socket is for each piece that it takes.

    Raises:
        TimeoutError: Nothing was taken within the timeout.
        OSError: As `send` raises.
    """
    with memoryview(data).cast("B") as view:
        sent = 0
        while sent < len(view):
            sent += send(sock, view[sent:])


def _error_of(code: int) -> OSError:
    if sys.platform != "win32":
        return OSError(code, os.strerror(code))
    import ctypes

    return OSError(0, ctypes.FormatError(code), None, code)


def connect(sock: socket.socket, address: Any, seconds: float | None) -> None:
    """Connect a socket.

    Raises:
        TimeoutError: It took longer than the seconds.
        OSError: As `socket.connect` raises.
    """
    if not _needs_slices():
        sock.settimeout(seconds)
        sock.connect(address)
        return
    sock.settimeout(0)
    code = sock.connect_ex(address)
    if code in {errno.EWOULDBLOCK, errno.EINPROGRESS}:

        def is_over(slice_: float | None) -> bool:
            # Windows reports a refused connection as an exceptional condition.
            return any(select.select([], [sock], [sock], slice_))

        if not wait(is_over, seconds):
            raise TimeoutError("timed out")
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise _error_of(code)
    sock.settimeout(seconds)
