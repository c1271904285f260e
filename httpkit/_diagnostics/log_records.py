"""Log records of a request: one for each attempt, and one for each event in between.

    httpkit             has a NullHandler: who wants nothing sees nothing
      httpkit.requests  DEBUG    each attempt, each redirect
      httpkit.retries   INFO     each retry and each pause; WARNING: longer than `max_backoff`
                        DEBUG    why there is no further retry, and waits for one's own rate
      httpkit.auth      INFO     each token that was fetched, each signature that was replaced
      httpkit.transfers INFO     each time that a download or an upload goes on
      httpkit.transport WARNING  once, if requests or urllib3 lack a private name that is used

What is raised is not logged as well. An attempt is no news (urllib3 and botocore say DEBUG); a
retry was dealt with, so nobody need be warned of it (openai says INFO), but a program that stands
still for a minute must not do so silently.

Rule: nothing gets into a record but numbers and redacted text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Lock
from typing import Any, Self, TextIO

import requests

from httpkit._core import redaction, upstream
from httpkit._core.clock import CLOCK
from httpkit._core.filenames import printable
from httpkit._core.public import public
from httpkit._core.types import RequestsResponse
from httpkit._diagnostics.errors import ConfigurationError, HTTPKitError

ROOT = logging.getLogger("httpkit")
REQUESTS = logging.getLogger("httpkit.requests")
RETRIES = logging.getLogger("httpkit.retries")
AUTH = logging.getLogger("httpkit.auth")
TRANSFERS = logging.getLogger("httpkit.transfers")
ROOT.addHandler(logging.NullHandler())

# The attributes of every record, None where they do not apply: so a formatter can name them all.
# The prefix keeps clear of LogRecord's own, and of those that a factory of the caller's adds.
FIELDS = (
    "event", "method", "url", "status", "attempt", "seconds", "bytes", "wait", "error", "reason",
)  # fmt: skip
_LONGEST_REASON = 300


def _write(logger: logging.Logger, level: int, message: str, *shown: object, **fields: Any) -> None:
    extra = {f"httpkit_{name}": fields.get(name) for name in FIELDS}
    logger.log(level, message, *shown, extra=extra, stacklevel=3)


def _place(request: requests.PreparedRequest | None) -> dict[str, str]:
    method = getattr(request, "method", None) or ""
    return {"method": method, "url": redaction.redact_url(getattr(request, "url", None) or "")}


class Note:
    """What is noted of an attempt until it is over; made only where somebody wants to know.

    Args:
        request: What is sent.
        number: Which attempt it is, from 1.
    """

    def __init__(self, request: requests.PreparedRequest, number: int = 1) -> None:
        self._request, self._number = request, number
        self._started = CLOCK.monotonic()

    def responded(self, response: requests.Response) -> None:
        """Log an attempt that got a response."""
        body = upstream.content_of(response)
        self._end(str(response.status_code), response.status_code, body, None)

    def failed(self, failure: BaseException) -> None:
        """Log an attempt that failed."""
        self._end(_named(failure), None, None, type(failure).__name__)

    def _end(self, outcome: str, status: int | None, body: object, error: str | None) -> None:
        seconds, place = CLOCK.monotonic() - self._started, _place(self._request)
        size = len(body) if isinstance(body, bytes) else None
        _write(
            REQUESTS, logging.DEBUG, "%s %s: %s in %.3f s%s (attempt %d)",
            *place.values(), outcome, seconds, "" if size is None else f", {size} bytes",
            self._number,
            event="attempt", **place, status=status, attempt=self._number, seconds=seconds,
            bytes=size, error=error,
        )  # fmt: skip


def noting(send: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
    """Return requests' own `send` as one that logs, too; redirects within it do so first."""

    def noted(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        note = Note(request)
        try:
            response = send(request, **options)
        except BaseException as error:
            note.failed(error)
            raise
        note.responded((response.history or [response])[0])
        return response

    return noted


def _named(failure: BaseException) -> str:
    """Name a failure, and say what is at the bottom of it: what lies above repeats that."""
    texts = [str(failure)]
    if not isinstance(failure, HTTPKitError):
        texts += map(str, _below(failure))
    words = next(filter(None, reversed(texts)), None)
    kind = type(failure).__name__
    return kind if words is None else f"{kind}: {_capped(words)}"


def _below(failure: BaseException) -> Iterator[BaseException]:
    """Give what an error was made of, and so on; not what was being handled when it came up."""
    seen: list[BaseException] = [failure]
    while True:
        top = seen[-1]
        held = (getattr(top, "reason", None), *reversed(top.args), top.__cause__)
        below = next((e for e in held if isinstance(e, BaseException) and e not in seen), None)
        if below is None:
            return
        seen.append(below)
        yield below


def _capped(text: str) -> str:
    """Return a text on one line, redacted."""
    shown = " ".join(redaction.redact_text(text[: 4 * _LONGEST_REASON]).split())
    return shown if len(shown) <= _LONGEST_REASON else f"{shown[:_LONGEST_REASON]}..."


def redirect(
    response: requests.Response,
    onward: requests.PreparedRequest,
    *,
    credentials_withheld: str | None,
) -> None:
    """Log where a redirect leads, and why credentials stay behind; None where they do not."""
    if REQUESTS.isEnabledFor(logging.DEBUG):
        place, there = _place(response.request), " ".join(_place(onward).values())
        _write(
            REQUESTS, logging.DEBUG, "%s %s: %d leads on to %s%s", *place.values(),
            response.status_code, there,
            f"; {_capped(credentials_withheld)}" if credentials_withheld else "",
            event="redirect", **place, status=response.status_code, reason=there,
        )  # fmt: skip


def retry(
    request: requests.PreparedRequest,
    outcome: requests.Response | BaseException,
    *,
    attempt: int,
    wait: float,
    longest: float,
) -> None:
    """Log that a request is retried.

    Args:
        request: What is sent.
        outcome: What the last attempt gave.
        attempt: The number of that one, from 1.
        wait: Seconds until the next one.
        longest: Seconds beyond which a wait is a warning.
    """
    level = logging.WARNING if wait > longest else logging.INFO
    if not RETRIES.isEnabledFor(level):
        return
    status = outcome.status_code if isinstance(outcome, RequestsResponse) else None
    error = type(outcome).__name__ if isinstance(outcome, BaseException) else None
    why = str(status) if isinstance(outcome, RequestsResponse) else _named(outcome)
    _write(
        RETRIES, level, "%s %s: again in %.2f s, after attempt %d: %s",
        *_place(request).values(), wait, attempt, why,
        event="retry", **_place(request), status=status, attempt=attempt, wait=wait, error=error,
        reason=why,
    )  # fmt: skip


def stop(request: requests.PreparedRequest, *, attempt: int, reason: str) -> None:
    """Log why a request is not retried."""
    if RETRIES.isEnabledFor(logging.DEBUG):
        _write(
            RETRIES, logging.DEBUG, "%s %s: not again after attempt %d: %s",
            *_place(request).values(), attempt, _capped(reason),
            event="stop", **_place(request), attempt=attempt, reason=_capped(reason),
        )  # fmt: skip


def pause(request: requests.PreparedRequest, *, wait: float, why: str, level: int) -> None:
    """Log that a request waits before it is sent."""
    if RETRIES.isEnabledFor(level):
        _write(
            RETRIES, level, "%s %s: waits %.2f s %s", *_place(request).values(), wait, why,
            event="pause", **_place(request), wait=wait, reason=why,
        )  # fmt: skip


def renewed(request: requests.PreparedRequest) -> None:
    """Log that a rejected signature was replaced."""
    if AUTH.isEnabledFor(logging.INFO):
        _write(
            AUTH, logging.INFO, "%s %s: signed anew after 401", *_place(request).values(),
            event="renewal", **_place(request), status=401,
        )  # fmt: skip


def token(request: requests.PreparedRequest, *, expires_in: float | None) -> None:
    """Log that a token was fetched, and its lifetime in seconds; None where it is unknown."""
    if AUTH.isEnabledFor(logging.INFO):
        life = "" if expires_in is None else f", which serves {expires_in:g} s"
        _write(
            AUTH, logging.INFO, "%s %s: a token%s", *_place(request).values(), life,
            event="token", **_place(request), seconds=expires_in,
        )  # fmt: skip


def resume(what: str, url: str, *, done: int, wait: float, cause: BaseException | None) -> None:
    """Log that a transfer goes on.

    Args:
        what: A download or an upload.
        url: Where the file is.
        done: Bytes that are kept.
        wait: Seconds until it goes on.
        cause: What broke it off; None: an earlier call did.
    """
    if TRANSFERS.isEnabledFor(logging.INFO):
        shown = redaction.redact_url(url)
        why = "" if cause is None else _named(cause)
        _write(
            TRANSFERS, logging.INFO, "%s of %s: goes on at byte %d%s%s", what, shown, done,
            f" in {wait:.2f} s" if wait else "", f", after: {why}" if why else "",
            event="resume", url=shown, bytes=done, wait=wait, reason=why or None,
            error=None if cause is None else type(cause).__name__,
        )  # fmt: skip


# ---- To see it


@public
class RequestLog(logging.Handler):
    """What `log_requests` returns: in a `with`, it shows the log until the end of the block."""

    def __init__(self, level: int | str, stream: TextIO | None) -> None:
        try:
            super().__init__(level)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"level={level!r} is no level of logging") from error
        self.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S"))
        self.is_scoped: bool = False
        self.superseded: list[RequestLog] = []
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless a handler of the root logger prints it at the same place."""
        # A notebook, or a test, puts another in its place; a daemon may have none.
        stream: Any = self._stream or sys.stderr
        if stream is None or _is_printed_by_root(record, stream):
            return
        try:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            print(printable(self.format(record), encoding), file=stream, flush=True)
        except Exception:  # noqa: BLE001  # logging's own rule: no handler breaks the program
            with suppress(ValueError):  # stderr may be closed
                self.handleError(record)

    def __enter__(self) -> Self:
        with _lock:
            self.is_scoped = True
            _shown.remove(self)
            _shown.extend([*self.superseded, self])
            _apply()
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            _shown.remove(self)
            _apply()


_OFF = logging.CRITICAL + 1
_lock = Lock()
_shown: list[RequestLog] = []


def log_requests(
    level: int | str | None = logging.DEBUG, *, stream: TextIO | None = None
) -> RequestLog:
    """Print what httpkit logs, at once: each attempt, retry, wait, redirect and token.

    A call in a script or a notebook holds until the next one, which replaces it. In a `with`
    it holds until the end of the block. A program that configures logging needs none of it.

    Args:
        level: What is printed, from `logging.DEBUG` (each attempt) or `logging.INFO` (retries
            and what else is out of the ordinary) on. None prints nothing.
        stream: Where to; None: stderr, which in a notebook is the cell's output.

    Raises:
        ConfigurationError: The level is none of logging's.
    """
    log = RequestLog(_OFF if level is None else level, stream)
    with _lock:
        log.superseded = [other for other in _shown if not other.is_scoped]
        _shown[:] = [other for other in _shown if other.is_scoped] + [log]
        _apply()
    return log


_level_before = logging.NOTSET


def _apply() -> None:
    """Let the log that was begun last print, and no other."""
    global _level_before  # noqa: PLW0603  # the caller's own, to be put back
    printing = [handler for handler in ROOT.handlers if isinstance(handler, RequestLog)]
    if not printing:
        _level_before = ROOT.level
    for handler in printing:
        ROOT.removeHandler(handler)
    ROOT.setLevel(_level_before)
    if _shown and _shown[-1].level < _OFF:
        ROOT.addHandler(_shown[-1])
        ROOT.setLevel(_shown[-1].level)


def _is_printed_by_root(record: logging.LogRecord, stream: TextIO) -> bool:
    return ROOT.propagate and any(
        getattr(handler, "stream", None) is stream and handler.level <= record.levelno
        for handler in logging.getLogger().handlers
    )
