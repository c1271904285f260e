"""One attempt: send once, read the body within the deadline, raise requests' own errors."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError

from httpkit._core import upstream
from httpkit._core.clock import CLOCK, NO_DEADLINE, Deadline
from httpkit._core.lazy import ImportedLater
from httpkit._messages.call import call_of
from httpkit._messages.request import PreparedRequest, is_replayable
from httpkit._transport import fast_path

if TYPE_CHECKING:
    from httpkit._client import hooks
    from httpkit._core import interrupts
    from httpkit._diagnostics import errors
    from httpkit._messages import body as bodies
    from httpkit._messages import reading
else:
    hooks = ImportedLater("httpkit._client.hooks")
    reading = ImportedLater("httpkit._messages.reading")
    bodies = ImportedLater("httpkit._messages.body")
    errors = ImportedLater("httpkit._diagnostics.errors")
    interrupts = ImportedLater("httpkit._core.interrupts")

Options = dict[str, Any]
"""timeout, stream, verify, cert and proxies, as requests passes them to an adapter."""


if TYPE_CHECKING:

    class AdapterHolder(Protocol):
        """What sending needs of a session."""

        cookies: Any

        def get_adapter(self, url: str) -> BaseAdapter:
            """Return what sends to a URL."""
            ...


def transmit(
    session: AdapterHolder,
    send: Callable[..., requests.Response],
    request: PreparedRequest,
    options: Options,
    read: Callable[[requests.Response], None],
    *,
    is_fast: bool,
) -> requests.Response:
    """Send a request once, which stays as it is, and return its response.

    Args:
        session: Whose adapters are used.
        send: `Session.send` of requests, or of a class between that and ours.
        request: Signed.
        options: timeout, stream, verify, cert and proxies.
        read: Reads the body, unless it came with the head, or a hook has read it.
        is_fast: Whether the fast path is tried first.

    Raises:
        RequestException: There is no response, or its body cannot be read.
    """
    sent: tuple[requests.Response, bool] | None = None
    try:
        if is_fast:
            sent = fast_path.send(session, request, options)
        response, is_read = _send_copy(send, request, options) if sent is None else sent
        if not is_read:
            read(response)
    except Exception as error:
        interrupts.reveal(error)
        if isinstance(error, (requests.Timeout, TimeoutError)):
            check_deadline(request, error)
        if isinstance(error, (HTTPError, OSError)) and not isinstance(
            error, requests.RequestException
        ):  # requests lets some of them pass
            raise requests.ConnectionError(error, request=request) from error
        raise
    return response


def _send_copy(
    send: Callable[..., requests.Response], request: PreparedRequest, options: Options
) -> tuple[requests.Response, bool]:
    """Send by requests' own way; return the response, and whether its body was read."""
    deadline = deadline_of(request)
    check_deadline(request)
    attempt = request.copy()
    attempt.is_attempt = True
    request.body_start.begin(attempt.body)
    options = {**options, "timeout": deadline.clip_timeout(options["timeout"])}
    try:
        with raising_source_errors():
            response = hooks.send_closing(send, attempt, options)
    finally:
        attempt.is_attempt = False
        if is_replayable(attempt.body):
            attempt.body.close()
    return response, upstream.content_of(response) is not False


# ---- The deadline


def deadline_of(request: requests.PreparedRequest) -> Deadline:
    """Return the deadline of the call that a request belongs to."""
    return call_of(request).deadline or NO_DEADLINE


def check_deadline(request: requests.PreparedRequest, cause: Exception | None = None) -> None:
    """Raise when the time of a call is up.

    Raises:
        DeadlineExceededError: It is.
    """
    deadline = deadline_of(request)
    if deadline.remaining() <= 0:
        raise errors.DeadlineExceededError(
            f"the deadline of {deadline.seconds:g} s passed for {errors.describe(request)}",
            request=request,
        ) from cause


def receive_error(response: requests.Response, limit: int | None) -> None:
    """Read the body of a streamed error, within its call's deadline.

    Raises:
        RequestException: It cannot be read; the error says after how many attempts.
    """
    request, started = response.request, CLOCK.monotonic()
    try:
        reading.receive(response, limit=limit, check=lambda: check_deadline(request))
    except requests.RequestException as error:
        response.close()
        attempts = getattr(response, "attempts", 1)
        seconds = CLOCK.monotonic() - started
        errors.annotate(error, request, attempts=attempts, seconds=seconds, stop_reason=None)
        raise


@contextmanager
def raising_source_errors() -> Generator[None]:
    """Raise what a body's source raised, which is hidden from urllib3 meanwhile."""
    try:
        yield
    except bodies.SourceError as error:
        raise error.error from error.error.__cause__
