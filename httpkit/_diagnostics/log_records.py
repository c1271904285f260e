"""Log records: one for each call, and one for each event during a call.

    httpkit             has a NullHandler: it prints nothing by default
      httpkit.requests  DEBUG    each call, each redirect
      httpkit.retries   INFO     each retry, each wait that a server requested
                        WARNING  those longer than `max_backoff`
                        DEBUG    waits for `rate_limit=`; retries whose wait is logged already
      httpkit.auth      INFO     each fetched token, each renewal after a 401
      httpkit.transfers INFO     each time a download or an upload resumes
      httpkit.transport WARNING  once, if requests or urllib3 lack a private name that is used

Raised exceptions are not logged at a higher level than their call. A retry needs no warning
(openai logs it at INFO), but a program that waits for a minute must not do so silently. Threads
that wait for the same thing (a rate limit, a Retry-After) log one wait.

Rule: nothing gets into a record but numbers and redacted text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Self, TextIO

import requests

from httpkit._core import filenames, redaction, upstream
from httpkit._core.classes import public
from httpkit._core.clock import CLOCK
from httpkit._core.forks import SafeLock
from httpkit._core.given import NOT_GIVEN, NotGiven
from httpkit._core.upstream import RequestsResponse
from httpkit._diagnostics.base_errors import ConfigurationError, HTTPKitError
from httpkit._diagnostics.loggers import AUTH, REQUESTS, RETRIES, ROOT, TRANSFERS, Handler

# The attributes of every record, None where they do not apply: so a formatter can name them all.
# The prefix keeps clear of LogRecord's own, and of those that a factory of the caller's adds.
FIELDS = (
    "event", "method", "url", "status", "attempt", "seconds", "bytes", "wait", "error", "reason",
    "detail",
)  # fmt: skip
_LONGEST_REASON = 300


def _write(logger: logging.Logger, level: int, message: str, *args: object, **fields: Any) -> None:
    if fields["detail"] and level < _lowest_detail:
        return
    extra = {f"httpkit_{name}": fields.get(name) for name in FIELDS}
    logger.log(level, message, *args, extra=extra, stacklevel=3)


def _target(request: requests.PreparedRequest | None) -> dict[str, str]:
    method = getattr(request, "method", None) or ""
    return {"method": method, "url": redaction.redact_url(getattr(request, "url", None) or "")}


Send = Callable[[requests.PreparedRequest, dict[str, Any]], Any]


def logging_call(send: Send) -> Send:
    """Return a `send` that logs the call when it ends; a redirect belongs to the call it is of."""

    def logged(request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        if getattr(getattr(request, "call", None), "is_hop", False):
            return send(request, options)
        started = CLOCK.monotonic()
        try:
            response = send(request, options)
        except BaseException as error:
            _log_failure(request, error, CLOCK.monotonic() - started)
            raise
        if isinstance(response, RequestsResponse):
            _log_response(request, response, CLOCK.monotonic() - started)
        return response

    return logged


def _log_response(
    request: requests.PreparedRequest, response: requests.Response, seconds: float
) -> None:
    known, body = response.__dict__, upstream.content_of(response)
    attempts, size = known.get("attempts", 1), len(body) if isinstance(body, bytes) else None
    reason = known.get("stop_reason") if response.status_code >= 400 else None
    notes = [_count(attempts, "attempt")] if attempts > 1 else []
    if redirects := len(known.get("history", ())):
        end = redaction.redact_url(response.url or "")
        notes.append(f"{_count(redirects, 'redirect')} to {end}")
    notes += map(_capped, filter(None, (reason, known.get("credentials_withheld"))))
    _log_call(
        request, str(response.status_code), seconds, notes, size=size, attempts=attempts,
        status=response.status_code, reason=reason,
    )  # fmt: skip


def _log_failure(request: requests.PreparedRequest, failure: BaseException, seconds: float) -> None:
    attempts = getattr(failure, "attempts", None) or 1
    reason = getattr(failure, "stop_reason", None)
    notes = [_count(attempts, "attempt")] if attempts > 1 else []
    _log_call(
        request, _describe(failure), seconds, notes, attempts=attempts,
        error=type(failure).__name__, reason=reason,
    )  # fmt: skip


def _log_call(
    request: requests.PreparedRequest, outcome: str, seconds: float, notes: list[str], *,
    attempts: int, size: int | None = None, status: int | None = None, error: str | None = None,
    reason: str | None,
) -> None:  # fmt: skip
    target = _target(request)
    _write(
        REQUESTS, logging.DEBUG, "%s %s: %s in %.3f s%s%s", *target.values(), outcome, seconds,
        "" if size is None else f", {size} bytes", f" ({'; '.join(notes)})" if notes else "",
        event="call", **target, status=status, attempt=attempts, seconds=seconds, bytes=size,
        error=error, reason=None if reason is None else _capped(reason), detail=False,
    )  # fmt: skip


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe(failure: BaseException) -> str:
    """Name a failure, and say what is at the bottom of it: what lies above repeats that."""
    texts = [str(failure)]
    if not isinstance(failure, HTTPKitError):
        texts += map(str, _below(failure))
    message = next(filter(None, reversed(texts)), None)
    name = type(failure).__name__
    return name if message is None else f"{name}: {_capped(message)}"


def _below(failure: BaseException) -> Iterator[BaseException]:
    """Give what an error was made of, and so on; not what was being handled when it came up."""
    chain: list[BaseException] = [failure]
    while True:
        top = chain[-1]
        candidates = (getattr(top, "reason", None), *reversed(top.args), top.__cause__)
        below = next(
            (e for e in candidates if isinstance(e, BaseException) and e not in chain), None
        )
        if below is None:
            return
        chain.append(below)
        yield below


def _capped(text: str) -> str:
    """Return a text on one line, redacted."""
    line = " ".join(redaction.redact_start(text, 4 * _LONGEST_REASON).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def redirect(
    response: requests.Response,
    following: requests.PreparedRequest,
    *,
    credentials_withheld: str | None,
) -> None:
    """Log where a redirect leads, and why credentials are withheld; None if they are not."""
    if REQUESTS.isEnabledFor(logging.DEBUG):
        target, there = _target(response.request), " ".join(_target(following).values())
        _write(
            REQUESTS, logging.DEBUG, "%s %s: %d redirects to %s%s", *target.values(),
            response.status_code, there,
            f"; {_capped(credentials_withheld)}" if credentials_withheld else "",
            event="redirect", **target, status=response.status_code, reason=there, detail=True,
        )  # fmt: skip


def retry(
    request: requests.PreparedRequest,
    outcome: requests.Response | BaseException,
    *,
    attempt: int,
    wait: float,
    longest: float,
    announced: bool | None,
) -> None:
    """Log that a request is retried.

    Args:
        request: What is sent.
        outcome: What the last attempt gave.
        attempt: The number of that one, from 1.
        wait: Seconds until the next one.
        longest: Seconds beyond which a wait is a warning.
        announced: Whether this is the first record of a wait that the server requested; False if
            another thread has logged it, None if the server requested none.
    """
    level = logging.WARNING if wait > longest else logging.INFO
    is_detail = announced is None and level == logging.INFO
    if announced is False:
        level, is_detail = logging.DEBUG, True
    if not RETRIES.isEnabledFor(level):
        return
    status = outcome.status_code if isinstance(outcome, RequestsResponse) else None
    error = type(outcome).__name__ if isinstance(outcome, BaseException) else None
    why = str(status) if isinstance(outcome, RequestsResponse) else _describe(outcome)
    _write(
        RETRIES, level, "%s %s: retrying in %.2f s after attempt %d: %s",
        *_target(request).values(), wait, attempt, why,
        event="retry", **_target(request), status=status, attempt=attempt, wait=wait, error=error,
        reason=why, detail=is_detail,
    )  # fmt: skip


def pause(request: requests.PreparedRequest, *, wait: float, why: str, level: int) -> None:
    """Log that a request waits before it is sent."""
    if RETRIES.isEnabledFor(level):
        _write(
            RETRIES, level, "%s %s: waiting %.2f s: %s", *_target(request).values(), wait, why,
            event="pause", **_target(request), wait=wait, reason=why, detail=False,
        )  # fmt: skip


def signed_again(request: requests.PreparedRequest) -> None:
    """Log that a request is signed again after a 401."""
    if AUTH.isEnabledFor(logging.INFO):
        _write(
            AUTH, logging.INFO, "%s %s: signed again after 401", *_target(request).values(),
            event="renewal", **_target(request), status=401, detail=True,
        )  # fmt: skip


def token(request: requests.PreparedRequest, *, expires_in: float | None) -> None:
    """Log that a token was fetched, and its lifetime in seconds; None where it is unknown."""
    if AUTH.isEnabledFor(logging.INFO):
        life = "" if expires_in is None else f", expires in {expires_in:g} s"
        _write(
            AUTH, logging.INFO, "%s %s: fetched a token%s", *_target(request).values(), life,
            event="token", **_target(request), seconds=expires_in, detail=True,
        )  # fmt: skip


def resume(what: str, url: str, *, done: int, wait: float, cause: BaseException | None) -> None:
    """Log that a transfer resumes.

    Args:
        what: A download or an upload.
        url: Where the file is.
        done: Bytes that are kept.
        wait: Seconds until it resumes.
        cause: What interrupted it; None if an earlier call was interrupted.
    """
    if TRANSFERS.isEnabledFor(logging.INFO):
        redacted = redaction.redact_url(url)
        why = "" if cause is None else _describe(cause)
        _write(
            TRANSFERS, logging.INFO, "%s of %s: resuming at byte %d%s%s", what, redacted, done,
            f" in {wait:.2f} s" if wait else "", f" after: {why}" if why else "",
            event="resume", detail=False, url=redacted, bytes=done, wait=wait, reason=why or None,
            error=None if cause is None else type(cause).__name__,
        )  # fmt: skip


# ---- To see it


@public
class RequestLog(Handler):
    """What `log_requests` returns: in a `with`, it applies until the end of the block."""

    def __init__(
        self, level: int | str, stream: TextIO | None, *, has_details: bool = True
    ) -> None:
        try:
            super().__init__(level)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"level={level!r} is not a level of logging") from error
        self.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S"))
        self.is_scoped: bool = False
        self.superseded: list[RequestLog] = []
        self._stream = stream
        self.has_details: bool = has_details

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless a handler of the root logger prints it at the same place."""
        # A notebook, or a test, puts another in its place; a daemon may have none.
        stream: Any = self._stream or sys.stderr
        is_hidden = not self.has_details and getattr(record, "httpkit_detail", False)
        if stream is None or is_hidden or _is_printed_by_root(record, stream):
            return
        try:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            print(filenames.printable(self.format(record), encoding), file=stream, flush=True)
        except Exception:  # noqa: BLE001  # logging's own rule: no handler breaks the program
            with suppress(ValueError):  # stderr may be closed
                self.handleError(record)

    def __enter__(self) -> Self:
        with _lock:
            self.is_scoped = True
            _active.remove(self)
            _active.extend([*self.superseded, self])
            _apply()
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            _active.remove(self)
            _apply()


_OFF = logging.CRITICAL + 1
_lock = SafeLock()
_active: list[RequestLog] = []


def log_requests(
    level: int | str | NotGiven | None = NOT_GIVEN, *, stream: TextIO | None = None
) -> RequestLog:
    """Print one line for each call, and one for each wait that a server or a rate asks for.

    Threads that wait for the same thing print one line. Without `with`, it applies until the next
    call of `log_requests`, which replaces it. A program that configures logging does not need it.

    Args:
        level: Print all records from this level of logging on: `"DEBUG"` adds each retry, redirect
            and token as it happens; `"INFO"` prints those without the calls. None prints nothing.
        stream: Where to print; None for stderr, which in a notebook is the output of the cell.

    Raises:
        ConfigurationError: The level is not one of logging's.
    """
    if level is None:
        level = _OFF
    has_details = level is not NOT_GIVEN
    log = RequestLog(
        logging.DEBUG if level is NOT_GIVEN else level, stream, has_details=has_details
    )
    with _lock:
        log.superseded = [other for other in _active if not other.is_scoped]
        _active[:] = [other for other in _active if other.is_scoped] + [log]
        _apply()
    return log


_level_before = logging.NOTSET
# The level from which on the program asked for details by itself: a log of calls adds none to it.
_lowest_detail = logging.NOTSET


def _apply() -> None:
    """Let the log that was begun last print, and no other."""
    global _level_before, _lowest_detail  # noqa: PLW0603  # the caller's own, to be put back
    printing = [handler for handler in ROOT.handlers if isinstance(handler, RequestLog)]
    if not printing:
        _level_before = ROOT.level
    for handler in printing:
        ROOT.removeHandler(handler)
    ROOT.setLevel(_level_before)
    _lowest_detail = logging.NOTSET
    if _active and _active[-1].level < _OFF:
        _lowest_detail = logging.NOTSET if _active[-1].has_details else ROOT.getEffectiveLevel()
        ROOT.addHandler(_active[-1])
        ROOT.setLevel(_active[-1].level)


def _is_printed_by_root(record: logging.LogRecord, stream: TextIO) -> bool:
    return ROOT.propagate and any(
        getattr(handler, "stream", None) is stream and handler.level <= record.levelno
        for handler in logging.getLogger().handlers
    )
