"""Waits that Ctrl-C ends within a second, on Windows too.

There a signal does not wake a thread that waits for a socket, a lock or another thread: its
handler runs only once the wait has ended. So on Windows the main thread, which runs the handlers,
waits in slices. Elsewhere every function here is the plain wait.
"""

import contextvars
import math
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from concurrent import futures

    from httpkit._core import interrupts
else:
    interrupts = ImportedLater("httpkit._core.interrupts")
    futures = ImportedLater("concurrent.futures")


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
    """Wait for a future; return its exception, None when it has a result.

    Its own method waits, not `futures.wait`: a future may run its call when it is asked.
    """
    if not _needs_slices():
        return future.exception()
    found: list[BaseException | None] = []

    def ask(seconds: float | None) -> bool:
        try:
            found.append(future.exception(seconds))
        except TimeoutError as error:
            if interrupts.is_from_handler(error):
                raise
        return bool(found)

    wait(ask, None)
    return found[0]


def item(get: Callable[..., T], seconds: float | None = None) -> T:
    """Wait for the next item of a queue.

    Args:
        get: Its method of that name.
        seconds: The whole wait; None is no limit.

    Raises:
        queue.Empty: None came within the seconds; None is no limit.
    """
    found: list[T] = []

    def take(slice_: float | None) -> bool:
        with suppress(queue.Empty):
            found.append(get(timeout=slice_))
        return bool(found)

    if not _needs_slices():
        return get(timeout=seconds)
    if not wait(take, seconds):
        raise queue.Empty
    return found[0]


def call(function: Callable[[], T], release: Callable[[], object]) -> T:
    """Call a function that waits for what cannot be waited for in slices.

    Where waits are sliced it runs in a thread of its own, with the context of this one.

    Args:
        function: Looks up a name, say, or connects.
        release: Frees what the function acquired, if it ends after the wait was interrupted.

    Raises:
        BaseException: As the function raises.
    """
    if not _needs_slices():
        return function()
    future: futures.Future[T] = futures.Future()
    running = threading.Thread(
        target=contextvars.copy_context().run, args=(_run, function, future),
        name="httpkit-wait", daemon=True,
    )  # fmt: skip
    try:
        running.start()
        error = result(future)
    except BaseException:
        future.add_done_callback(lambda _: release())
        raise
    try:
        if error is not None:
            raise error
        return future.result()
    finally:
        del error, future  # they refer to this frame


def _run(function: Callable[[], T], future: "futures.Future[T]") -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001  # it is raised where the result is wanted
        future.set_exception(error)


def socket_call(sock: Any, call: Callable[[Any], T], argument: Any) -> T:
    """Receive from a socket or send to it, within its timeout.

    Args:
        sock: A socket, or TLS within TLS.
        call: Its `recv`, `recv_into` or `send`: a timeout must mean that nothing was moved.
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
                # With a number it is the system's: the connection is lost.
                if left <= _SLICE or error.errno is not None:
                    raise
    finally:
        sock.settimeout(limit)


def send(sock: Any, data: Any) -> int:
    """Send some bytes within the timeout of the socket; return how many."""
    send_some: Callable[[Any], int] = sock.send
    return socket_call(sock, send_some, data)


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
