"""Tell what a caller's own signal handler raised from what a socket raised.

`signal.alarm` with a handler that raises TimeoutError interrupts a wait for a socket: the error
comes out of `recv` as the socket's own would. It is the caller's, though: it ends the call, is
neither wrapped nor retried, and comes out as the very same object.

Where a socket is waited for, `hide` keeps it from urllib3 and http.client, which would wrap,
retry or ignore it; at the end of the transport `reveal` raises it again. Nothing of this runs
unless an exception was raised.
"""

import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from httpkit._core.lazy import ImportedLater

if TYPE_CHECKING:
    from httpkit._core import error_redaction
else:
    error_redaction = ImportedLater("httpkit._core.error_redaction")


class HiddenError(Exception):
    """An exception of a signal handler on its way through urllib3; its only argument."""


def hide(error: Exception) -> None:
    """Raise HiddenError if an exception was raised by a signal handler, or because of one."""
    found = _from_handler(error, sys._getframe(1))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # a dozen times as fast as inspect.stack
    if found is not None and not isinstance(error, HiddenError):
        raise HiddenError(found) from found


def reveal(error: Exception) -> None:
    """Raise what a signal handler raised, if an exception is that, or was raised because of it."""
    found = _from_handler(error, sys._getframe(1))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # a dozen times as fast as inspect.stack
    if found is None:
        return
    context = found.__context__
    try:
        raise found
    finally:
        found.__context__ = context  # not what it was hidden or wrapped in


def is_from_handler(error: BaseException) -> bool:
    """Say whether an exception itself was raised by a signal handler, in a call made from here."""
    return _is_in_main_thread() and any(map(_is_handler, _frames(error)))


def _from_handler(error: Exception, caller: FrameType) -> BaseException | None:
    if not _is_in_main_thread():
        return None
    for cause in error_redaction.causes(error):
        if isinstance(cause, HiddenError):
            hidden: BaseException = cause.args[0]
            return hidden
        for frame in filter(_is_handler, _frames(cause)):
            # An error that the caller was handling before is a context, too: not of this call.
            if cause is error or caller in _callers(frame):
                return cause
    return None


def _is_in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()  # handlers run in no other


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_handler(frame: FrameType) -> bool:
    """Say whether a frame was called as `handler(signum, frame)`, or runs an installed handler."""
    given = _arguments(frame)
    interrupted = frame.f_back
    is_called_as_one = any(
        type(number) is int and later is interrupted for number, later in pairwise(given)
    )
    return (is_called_as_one and interrupted is not None) or frame.f_code in _installed()


def _arguments(frame: FrameType) -> list[Any]:
    """Return the positional arguments of a frame that are still there."""
    code, local_values = frame.f_code, frame.f_locals
    given = [
        local_values[name] for name in code.co_varnames[: code.co_argcount] if name in local_values
    ]
    if code.co_flags & 0x04:  # inspect.CO_VARARGS, without the import of inspect
        given += local_values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
    return given


def _installed() -> set[CodeType]:
    """Return the code of the handlers that are installed: one may delete its arguments."""
    import signal

    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # functools.partial
        if callable(handler) and not hasattr(handler, "__code__"):
            handler = getattr(handler, "__func__", type(handler).__call__)
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            found.add(code)
    return found
