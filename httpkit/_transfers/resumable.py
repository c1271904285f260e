"""Uploads that go on where they were cut, in this process or in the next.

    create -> send -> (cut) -> ask what arrived -> send the rest

Rule: only the server's own word counts as arrived.
"""

import json
import os
import pathlib
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from httpkit._core import header_fields, redaction
from httpkit._core.clock import CLOCK
from httpkit._core.urls import Origin
from httpkit._core.validators import source_hash
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.errors import (
    ConfigurationError,
    IncompleteError,
    RedirectError,
    TransferError,
)
from httpkit._diagnostics.progress import Reporter
from httpkit._messages.body import ReplayableBody
from httpkit._messages.response import Response
from httpkit._messages.sources import ChecksummedSource, Slice
from httpkit._policy import retry
from httpkit._transfers import destination, upload
from httpkit._transfers.upload import Send, UploadSettings, UploadSource
from httpkit._transfers.upload_protocols import UPLOAD_PROTOCOLS, Offset, UploadExchange, is_address

# What a server adds to an address so that nobody guesses it.
_TOKEN = re.compile(r"[\w.~+%-]{16,}")
# What Google demands of every chunk but the last; OneDrive's 320 KiB is told by its own error.
_GRAIN = 256 << 10
# The server is busy, or has the upload locked (423) from the connection that was cut.
_BUSY = frozenset({408, 423, 425, 429, 500, 502, 503, 504})
# It has another offset than we (409, 412, 416), or no such upload any more (404, 410).
_OUT_OF_STEP = frozenset({409, 412, 416})
_GONE = frozenset({404, 410})


def upload_in_steps(
    send: Send,
    url: str,
    source: UploadSource,
    settings: UploadSettings,
    options: Mapping[str, Any],
    *,
    homes: frozenset[Origin],
    may_leave: bool,
) -> Response:
    """Send a file so that an interruption costs only what had not arrived.

    Args:
        send: Sends one request.
        url: Where uploads begin, whole.
        source: Where the bytes come from; they must be there a second time.
        settings: All else.
        options: The keywords of `Session.request` that the caller gave.
        homes: The origins that may have the body.
        may_leave: Whether others may have it, too, if the server names them.

    Raises:
        IncompleteError: It stopped early; the message says how to go on.
        TransferError: The source is not what it was; the server breaks the protocol.
        RedirectError: The server names an address elsewhere.
    """
    content = upload.open_source(source, settings)
    if content.not_replayable_reason or content.size is None:
        why = content.not_replayable_reason or "the source has no size: pass size="
        raise ConfigurationError(f"a resumable upload must be able to begin again, but {why}")
    if (
        settings.chunk_size
        and settings.resumable == "content-range"
        and settings.chunk_size % _GRAIN
    ):
        raise ConfigurationError(f"chunk_size must be a multiple of {_GRAIN} bytes")
    if isinstance(
        content, ChecksummedSource
    ):  # before the first byte leaves: the server keeps what arrived
        deque(content.blocks(), maxlen=0)
        content = content.source
    name = settings.filename or content.name
    media_type = settings.content_type or upload.guess_type(name)
    size = content.size or 0
    exchange = UploadExchange(
        send, options, settings, content, media_type, size, url, homes, may_leave
    )
    reporter = Reporter(settings.progress, name or "upload")
    try:
        return _Upload(exchange, reporter).run()
    finally:
        reporter.finish()


class _Upload:
    """One resumable upload on its way."""

    def __init__(self, exchange: UploadExchange, reporter: Reporter) -> None:
        self._exchange = exchange
        self._dialect = UPLOAD_PROTOCOLS[cast("str", exchange.settings.resumable)](exchange)
        self._reporter = reporter
        self._state = _State(exchange)
        self._place: str | None = None
        self._is_in_step = False
        self._arrived = self._best = self._sent = 0
        self._stalls = self._forgotten = self._requests = 0

    def run(self) -> Response:
        """Send what is missing until the server has all."""
        self._place = self._state.load()
        # What an earlier process sent, only the server knows.
        self._sent = self._exchange.size if self._place else 0
        self._is_in_step = self._place is None
        while True:
            is_question = not self._is_in_step
            arrived, cause = self._attempt()
            if arrived and arrived.final is not None:
                self._state.remove()
                return arrived.final
            self._count(arrived, is_answered=is_question and cause is None)
            most = self._exchange.settings.max_stalls
            if self._stalls > most or self._forgotten > most:
                raise self._incomplete(cause) from cause
            if cause is not None:
                self._pause(cause)

    def _attempt(self) -> tuple[Offset | None, Exception | None]:
        """Make the next request; return what the server has, or why that is not known."""
        try:
            arrived = self._step() if self._is_in_step else self._ask()
        except requests.RequestException as error:
            if retry.classify(error) == "final" or not self._place:
                raise
            self._is_in_step = False
            return None, error
        except _SetBackError as error:
            self._is_in_step = False
            if error.answer.status_code in _GONE:
                self._forget()
            return None, error
        self._is_in_step = True
        return arrived, None

    def _count(self, arrived: Offset | None, *, is_answered: bool) -> None:
        """Count the requests in a row that brought nothing new; a question that is answered not."""
        if arrived:
            self._arrived = arrived.size
        self._stalls = 0 if self._arrived > self._best else self._stalls + (not is_answered)
        self._best = max(self._best, self._arrived)

    def _forget(self) -> None:
        self._place, self._is_in_step = None, True
        self._state.remove()
        self._arrived = self._best = self._sent = 0
        self._forgotten += 1

    def _step(self) -> Offset:
        """Send from where the server is; return what it has then."""
        place = self._place or self._create()
        start = self._arrived
        chunk = self._exchange.settings.chunk_size or self._exchange.size
        stop = min(self._exchange.size, start + chunk)
        listener = _Shifted(self._reporter, start, self._exchange.size)
        body = ReplayableBody([Slice(self._exchange.content, start, stop)], listener=listener)
        self._sent = max(self._sent, stop)
        try:
            self._requests += 1
            response = self._dialect.send(place, body if stop > start else b"", start)
        finally:
            body.close()
        return self._read(response)

    def _create(self) -> str:
        place = self._dialect.create()
        self._exchange.check_place(place)
        # Whoever has the address may write: what the server added to it is a secret.
        redaction.remember(*_tokens(place) - _tokens(self._exchange.url))
        self._state.save(place)
        self._place = place
        return place

    def _ask(self) -> Offset:
        self._requests += 1
        arrived = self._read(self._dialect.ask(cast("str", self._place)))
        if self._requests == 1:  # an earlier call began it
            self._arrived = arrived.size
            self._log_resume(0, None)
        return arrived

    def _read(self, response: Response) -> Offset:
        """Judge an answer.

        Raises:
            _SetBackError: The server lost step, is busy, or has forgotten the upload.
            StatusError: It refuses.
            TransferError: It breaks the protocol.
        """
        status = response.status_code
        if status in _GONE | _BUSY | _OUT_OF_STEP:
            raise _SetBackError(response)
        response.raise_for_status()
        arrived = self._dialect.read(response)
        what = errors.describe(response.request, response.url)
        if arrived is None:
            raise TransferError(f"{what}: {status} does not say how much of the upload arrived")
        if arrived.size > self._sent:
            raise TransferError(f"{what}: {arrived.size} bytes arrived, but {self._sent} were sent")
        return arrived

    def _pause(self, cause: Exception) -> None:
        response = cause.answer if isinstance(cause, _SetBackError) else None
        asked = (
            header_fields.retry_after(response.headers, CLOCK.wall())
            if response is not None
            else None
        )
        policy = retry.RetryPolicy()
        status = None if response is None else response.status_code
        wait = retry.backoff(policy, max(self._stalls, 1), status)
        if asked is not None and asked > policy.max_retry_after:
            raise self._incomplete(cause) from cause
        wait = max(wait, asked or 0)
        self._log_resume(wait, cause)
        CLOCK.sleep(wait)

    def _log_resume(self, wait: float, cause: Exception | None) -> None:
        log_records.resume("upload", self._exchange.url, done=self._arrived, wait=wait, cause=cause)

    def _incomplete(self, cause: BaseException | None) -> IncompleteError:
        how = "pass state= to go on in another call"
        if self._exchange.settings.state is not None:
            how = "call again with the same state= to go on"
        why = redaction.redact_text(str(cause)) if cause else "nothing new arrived"
        error = IncompleteError(
            f"{redaction.redact_url(self._exchange.url)}: {self._best} of {self._exchange.size}"
            f" bytes arrived in {self._requests} requests; {how} ({why})"
        )
        error.attempts = self._requests
        error.stop_reason = (
            f"{self._exchange.settings.max_stalls} requests in a row brought nothing"
        )
        return error


def _tokens(url: str) -> set[str]:
    """Return what may be a secret in a URL; its host is none."""
    return set(_TOKEN.findall(urlsplit(url)._replace(scheme="", netloc="").geturl()))


class _SetBackError(Exception):
    """The server must be asked again, or the upload begun again."""

    def __init__(self, response: Response) -> None:
        what = errors.describe(response.request, response.url)
        super().__init__(f"{response.status_code} {response.reason or ''} for {what}")
        self.answer = response


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Tells a reporter of one request as a part of the whole."""

    reporter: Reporter
    start: int
    total: int

    def begin(self, done: int, total: int | None) -> None:
        del total
        self.reporter.begin(self.start + done, self.total)

    def advance(self, size: int) -> None:
        self.reporter.advance(size)


class _State:
    """The file from which another process learns where the upload is.

    Of the endpoint it holds a hash; the upload's own address must be written, and only its
    owner may read the file.
    """

    def __init__(self, exchange: UploadExchange) -> None:
        self._exchange = exchange
        self._path: pathlib.Path | None = None
        if exchange.settings.state is None:
            return
        self._path = pathlib.Path(destination.text_of("state", exchange.settings.state))
        destination.is_there(self._path)  # it must not be anything but a file
        self._facts = {
            "protocol": exchange.settings.resumable,
            "endpoint": source_hash(exchange.url),
            "content": [exchange.size, exchange.settings.checksum, *exchange.content.fingerprint],
        }
        with destination.translated(self._path):
            has_folder = self._path.parent.is_dir()
        if not has_folder:
            raise TransferError(f"the folder of state={str(self._path)!a} does not exist")

    def load(self) -> str | None:
        """Return the address of this very upload; None when there is none."""
        if self._path is None:
            return None
        try:
            stored: Any = json.loads(self._path.read_text("utf-8"))
            place = stored.pop("place")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if stored != self._facts or not isinstance(place, str) or not is_address(place):
            return None
        try:
            self._exchange.check_place(place)
        except RedirectError:  # somebody changed the file
            return None
        return place

    def save(self, place: str) -> None:
        """Write the address down, at once and for the owner alone.

        Raises:
            TransferError: The file cannot be written.
        """
        if self._path is None:
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({**self._facts, "place": place}, file)
            fresh.replace(self._path)
        except OSError as error:
            raise destination.cannot_write(self._path, error) from error

    def remove(self) -> None:
        """Remove the file: there is nothing to go on from."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
