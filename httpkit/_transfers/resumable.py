"""Uploads that resume where they were interrupted, in this process or in the next.

    create -> send -> (interrupted) -> query what arrived -> send the rest

Rule: only what the server says counts as arrived.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from httpkit._core import rate_limit_fields, redaction, urls
from httpkit._core.clock import CLOCK
from httpkit._core.filenames import printable
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import ConfigurationError, IncompleteError, TransferError
from httpkit._diagnostics.progress import Reporter
from httpkit._messages.body import ReplayableBody
from httpkit._messages.derived_sources import ChecksummedSource, Slice
from httpkit._messages.response import Response
from httpkit._policy import forwarding, retry, retry_loop
from httpkit._transfers import upload
from httpkit._transfers.upload import UploadSettings, UploadSource
from httpkit._transfers.upload_protocols import (
    UPLOAD_PROTOCOLS,
    Offset,
    UploadClient,
    UploadContext,
)
from httpkit._transfers.upload_state import UploadState

# What a server adds to a URL so that nobody guesses it.
_TOKEN = re.compile(r"[\w.~+%-]{16,}")
# What Google demands of every chunk but the last; OneDrive's error names its 320 KiB.
_CHUNK_MULTIPLE = 256 << 10
# The server is busy, or has the upload locked (423) from the connection that was lost.
_BUSY = frozenset({408, 423, 425, 429, 500, 502, 503, 504})
# It has another offset than we (409, 412, 416), or no such upload any more (404, 410).
_OUT_OF_SYNC = frozenset({409, 412, 416})
_GONE = frozenset({404, 410})


class OutOfSync(Exception):  # noqa: N818  # it never reaches a caller
    """The server must be queried for the offset."""

    def __init__(self, response: Response, detail: str = "") -> None:
        what = errors.describe(response.request, response.url)
        super().__init__(f"{response.status_code} {response.reason or ''} for {what}{detail}")
        self.response = response


class Restart(OutOfSync):
    """The server has no such upload any more: another one is created."""


def upload_in_steps(
    session: UploadClient,
    given_url: str | bytes,
    url: str,
    source: UploadSource,
    settings: UploadSettings,
    options: Mapping[str, Any],
    *,
    redirect_body: bool,
) -> Response:
    """Send a file so that an interruption costs only what had not arrived.

    Args:
        session: Sends the requests.
        given_url: Where uploads begin, as the caller gave it.
        url: The same, absolute.
        source: Where the bytes come from; they must be readable a second time.
        settings: All else.
        options: The keywords of `Session.request` that the caller gave.
        redirect_body: Whether others may have the body, if the server names them.

    Raises:
        IncompleteError: It stopped early; the message says how to resume.
        TransferError: The source is not what it was; the server breaks the protocol.
        RedirectError: The server names a URL of another origin.
    """
    content = upload.open_source(source, settings)
    if content.not_replayable_reason or content.size is None:
        why = content.not_replayable_reason or "the source has no size: pass size="
        raise ConfigurationError(f"a resumable upload must be able to begin again, but {why}")
    chunk = settings.chunk_size
    if chunk and settings.resumable == "content-range" and chunk % _CHUNK_MULTIPLE:
        raise ConfigurationError(f"chunk_size must be a multiple of {_CHUNK_MULTIPLE} bytes")
    if isinstance(content, ChecksummedSource):
        # Before the first byte is sent: the server keeps what arrived.
        deque(content.blocks(), maxlen=0)
        content = content.source
    content = upload.throttled(content, settings.max_rate)
    name = settings.filename or content.name
    context = UploadContext(
        session=session,
        given_url=given_url,
        options=options,
        settings=settings,
        content=content,
        media_type=settings.content_type or upload.guess_type(name),
        size=content.size or 0,
        url=url,
        # Its own, too: the caller pointed this call's credentials there.
        allowed_origins=forwarding.allowed_origins(session, url) | {urls.origin(url)},
        redirect_body=redirect_body,
    )
    reporter = Reporter(settings.progress, name or "upload")
    try:
        return ResumableUpload(context, reporter).run()
    finally:
        reporter.finish()


@dataclass(slots=True)
class _Tally:
    """Counts requests, and those in a row that brought nothing new.

    Attributes:
        offset: Bytes that the server has.
        best: The most it ever had of this upload.
        sent: The end of what was sent to it.
        requests: How many requests sent bytes or queried the offset.
        stalls: How many in a row brought nothing new.
        restarts: How often the server had no such upload any more.
    """

    offset: int = 0
    best: int = 0
    sent: int = 0
    requests: int = 0
    stalls: int = 0
    restarts: int = 0

    def count(self, received: Offset | None, *, is_free: bool) -> None:
        """Count a request; one that only queried, and got a response, is free."""
        if received:
            self.offset = received.size
        self.stalls = 0 if self.offset > self.best else self.stalls + (not is_free)
        self.best = max(self.best, self.offset)

    def restart(self) -> None:
        """Begin with the first byte."""
        self.offset = self.best = self.sent = 0
        self.restarts += 1


class ResumableUpload:
    """One upload: requests, until the server says that it is whole or nothing new arrives."""

    def __init__(self, context: UploadContext, reporter: Reporter) -> None:
        self._context = context
        self._protocol = UPLOAD_PROTOCOLS[cast("str", context.settings.resumable)](context)
        self._reporter = reporter
        self._state = UploadState(context)
        self._url: str | None = None
        self._is_in_sync = False
        self._tally = _Tally()

    def run(self) -> Response:
        """Send what is missing until the server has all."""
        self._url = self._state.load()
        # How much an earlier process sent, only the server knows.
        self._tally.sent = self._context.size if self._url else 0
        self._is_in_sync = self._url is None
        most = self._context.settings.max_stalls
        while True:
            is_query = not self._is_in_sync
            received, cause = self._attempt()
            if received and received.final is not None:
                self._state.remove()
                return received.final
            self._tally.count(received, is_free=is_query and cause is None)
            if self._tally.stalls > most or self._tally.restarts > most:
                raise self._incomplete(cause) from cause
            if cause is not None:
                self._pause(cause)

    def _attempt(self) -> tuple[Offset | None, Exception | None]:
        """Make the next request; return what the server has, or why that is not known."""
        try:
            received = self._send_chunk() if self._is_in_sync else self._query()
        except Restart as error:
            self._restart()
            return None, error
        except OutOfSync as error:
            self._is_in_sync = False
            return None, error
        except requests.RequestException as error:
            if retry_loop.classify(error) == "final" or not self._url:
                raise
            self._is_in_sync = False
            return None, error
        self._is_in_sync = True
        return received, None

    def _restart(self) -> None:
        self._url, self._is_in_sync = None, True
        self._state.remove()
        self._tally.restart()

    def _send_chunk(self) -> Offset:
        """Send from where the server is; return what it has then."""
        url, context = self._url or self._create(), self._context
        start = self._tally.offset
        stop = min(context.size, start + (context.settings.chunk_size or context.size))
        listener = _ShiftedProgress(self._reporter, start, context.size)
        body = ReplayableBody([Slice(context.content, start, stop)], listener=listener)
        self._tally.sent = max(self._tally.sent, stop)
        try:
            self._tally.requests += 1
            response = self._protocol.send(url, body if stop > start else b"", start)
        finally:
            body.close()
        return self._read(response)

    def _create(self) -> str:
        url = self._protocol.create()
        self._context.check_url(url)
        # Whoever has the URL may write: what the server added to it is a secret.
        redaction.remember(*_tokens(url) - _tokens(self._context.url))
        self._state.save(url)
        self._url = url
        return url

    def _query(self) -> Offset:
        self._tally.requests += 1
        received = self._read(self._protocol.query(cast("str", self._url)))
        if self._tally.requests == 1:  # an earlier call began it
            self._tally.offset = received.size
            self._log_resume(0, None)
        return received

    def _read(self, response: Response) -> Offset:
        """Read how much arrived.

        Raises:
            Restart: The server has no such upload any more.
            OutOfSync: It has another offset, is busy, or says nothing after the last byte.
            StatusError: It refuses.
            TransferError: It breaks the protocol.
        """
        status, sent = response.status_code, self._tally.sent
        if status in _GONE:
            raise Restart(response)
        if status in _BUSY | _OUT_OF_SYNC:
            raise OutOfSync(response)
        response.raise_for_status()
        received = self._protocol.read(response)
        what = errors.describe(response.request, response.url)
        if received is None and sent == self._context.size and _is_silent(response):
            raise OutOfSync(response, ", which does not say that the upload is complete")
        if received is None:
            raise TransferError(f"{what}: {status} does not say how much of the upload arrived")
        if received.size > sent:
            raise TransferError(f"{what}: {received.size} bytes arrived, but {sent} were sent")
        return received

    def _pause(self, cause: Exception) -> None:
        response = cause.response if isinstance(cause, OutOfSync) else None
        policy = retry.RetryPolicy()
        requested: float | None = None
        if response is not None:
            requested = rate_limit_fields.retry_after(response.headers, CLOCK.wall())
        if requested is not None and requested > policy.max_retry_after:
            raise self._incomplete(cause) from cause
        status = None if response is None else response.status_code
        wait = max(retry_loop.backoff(policy, max(self._tally.stalls, 1), status), requested or 0)
        self._log_resume(wait, cause)
        CLOCK.sleep(wait)

    def _log_resume(self, wait: float, cause: Exception | None) -> None:
        done = self._tally.offset
        log_records.resume("upload", self._context.url, done=done, wait=wait, cause=cause)

    def _incomplete(self, cause: BaseException | None) -> IncompleteError:
        how = "pass state= to resume in another call"
        if self._state.path is not None:
            how = f"call again with state={printable(self._state.path)!r} to resume"
        why = redaction.redact_text(str(cause)) if cause else "nothing new arrived"
        if self._tally.best == self._context.size and cause is None:
            why = "the server does not say that the upload is complete"
        error = IncompleteError(
            f"{redaction.redact_url(self._context.url)}: {self._tally.best} of"
            f" {self._context.size} bytes arrived in {self._tally.requests} requests; {how} ({why})"
        )
        error.attempts = self._tally.requests
        most = self._context.settings.max_stalls
        error.stop_reason = f"{most} requests in a row brought nothing"
        return error


def _is_silent(response: Response) -> bool:
    """Return whether a PUT succeeded without a word: a query may still find the item."""
    is_put = response.request.method == "PUT"
    return is_put and response.status_code in {200, 204} and not response.content


def _tokens(url: str) -> set[str]:
    """Return what may be a secret in a URL; its host is not."""
    return set(_TOKEN.findall(urlsplit(url)._replace(scheme="", netloc="").geturl()))


@dataclass(frozen=True, slots=True)
class _ShiftedProgress:
    """Reports one request as a part of the whole."""

    reporter: Reporter
    start: int
    total: int

    def begin(self, done: int, total: int | None) -> None:
        del total
        self.reporter.begin(self.start + done, self.total)

    def advance(self, size: int) -> None:
        self.reporter.advance(size)
