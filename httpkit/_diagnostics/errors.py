"""Every error a call can raise, and the table from status to class.

    requests.RequestException
      HTTPKitError
        StatusError (also requests.HTTPError)
          ClientError   400 to 499, with subclasses for the common statuses
          ServerError   500 to 599
        DecodeError (also requests.JSONDecodeError)
        DeadlineExceededError (also requests.Timeout)
        BodyTooLargeError    RedirectError    PaginationError
        OperationPendingError    OperationFailedError    PartialFailureError
        TransferError        IncompleteError, ChecksumError
        GraphQLError         TokenError
        ConfigurationError (also ValueError)

Rule: constructors store what they are given and never raise, so that every error pickles.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from httpkit._core.classes import public
from httpkit._core.clock import CLOCK
from httpkit._core.given import as_text, is_list, is_mapping
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics import base_errors
from httpkit._diagnostics.base_errors import HTTPError, JSONDecodeError, Timeout

if TYPE_CHECKING:
    from httpkit._core import (
        credentials,
        curl,
        error_redaction,
        header_fields,
        hints,
        rate_limit_fields,
        redaction,
    )
    from httpkit._diagnostics import error_reasons
else:
    curl = ImportedLater("httpkit._core.curl")
    credentials = ImportedLater("httpkit._core.credentials")
    header_fields = ImportedLater("httpkit._core.header_fields")
    hints = ImportedLater("httpkit._core.hints")
    rate_limit_fields = ImportedLater("httpkit._core.rate_limit_fields")
    error_redaction = ImportedLater("httpkit._core.error_redaction")
    redaction = ImportedLater("httpkit._core.redaction")
    error_reasons = ImportedLater("httpkit._diagnostics.error_reasons")

# Defined below this module: they are raised before the others are needed.
HTTPKitError = base_errors.HTTPKitError
ConfigurationError = base_errors.ConfigurationError

# An excerpt is for a line in a log; the whole body is on `.response`.
_LONGEST_DETAIL = 300
# A reason phrase or a request-id beyond this is no name but an attack.
_LONGEST_NAME = 100


class StatusError(HTTPKitError, HTTPError):
    """The server responded with an error status.

    Attributes:
        status_code: The status, 400 or more.
        detail: The server's error message, shortened and masked; None if there is none.
        problem: The members of an RFC 9457 problem document; None when it was none.
        request_id: The server's name for this request, for its support; None when not sent.
        retry_after: Seconds the server asks to wait, by Retry-After or, with a 403 or 429, until
            a spent rate limit is full again; None when it does not.
        response: The response itself.
    """

    response: requests.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # there is one
    status_code: int = 0
    detail: str | None = None
    problem: dict[str, Any] | None = None
    request_id: str | None = None
    retry_after: float | None = None

    def to_curl(self, *, secrets: bool = False) -> str:
        """Return the request as a curl command, as `Response.to_curl` does.

        Args:
            secrets: Whether credentials are shown; otherwise they are masked.
        """
        return curl.command(self.response.request, secrets=secrets)


class ClientError(StatusError):
    """4xx: the server rejected the request."""


class BadRequestError(ClientError):
    """400: the server cannot process the request."""


class UnauthorizedError(ClientError):
    """401: the request carries no valid credentials."""


class ForbiddenError(ClientError):
    """403: these credentials may not do this."""


class NotFoundError(ClientError):
    """404: there is no such resource, or not for these credentials."""


class MethodNotAllowedError(ClientError):
    """405: the resource does not support this method."""


class RequestTimeoutError(ClientError):
    """408: the server waited too long for the request."""


class ConflictError(ClientError):
    """409: the request conflicts with the state of the resource."""


class GoneError(ClientError):
    """410: the resource was removed for good."""


class PreconditionFailedError(ClientError):
    """412: the resource is not the version that If-Match named."""


class ContentTooLargeError(ClientError):
    """413: the body is too large for the server."""


class UnsupportedMediaTypeError(ClientError):
    """415: the server does not accept this media type."""


class UnprocessableContentError(ClientError):
    """422: the body is well formed, but contains invalid values."""


class TooManyRequestsError(ClientError):
    """429: the rate limit is exceeded; see `retry_after`."""


class ServerError(StatusError):
    """5xx: the server failed."""


class InternalServerError(ServerError):
    """500: the server failed."""


class BadGatewayError(ServerError):
    """502: a gateway got no valid response."""


class ServiceUnavailableError(ServerError):
    """503: the server is overloaded or down; see `retry_after`."""


class GatewayTimeoutError(ServerError):
    """504: a gateway got no response in time."""


STATUS_ERRORS: Mapping[int, type[StatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    408: RequestTimeoutError,
    409: ConflictError,
    410: GoneError,
    412: PreconditionFailedError,
    413: ContentTooLargeError,
    415: UnsupportedMediaTypeError,
    422: UnprocessableContentError,
    429: TooManyRequestsError,
    500: InternalServerError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
}


class DecodeError(HTTPKitError, JSONDecodeError):
    """The body is not JSON, or does not match the model.

    Attributes:
        msg: The message.
        doc: The beginning of the text in question, redacted.
        pos: Where in the text, from 0.
        lineno: Its line, from 1.
        colno: Its column, from 1.
    """

    msg: str
    doc: str
    pos: int
    lineno: int
    colno: int

    def __init__(
        self,
        message: str = "",
        doc: str = "",
        pos: int = 0,
        *,
        response: requests.Response | None = None,
    ) -> None:
        # The JSON ancestor's own constructor counts lines in doc and would put its own
        # words into the message; its attributes are what callers read.
        HTTPKitError.__init__(self, message, response=response)
        self.msg, self.doc, self.pos = message, doc, pos
        self.lineno = doc.count("\n", 0, pos) + 1
        self.colno = pos - doc.rfind("\n", 0, pos)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.doc, self.pos), self.__dict__


class DeadlineExceededError(HTTPKitError, Timeout):
    """The whole call took longer than its `deadline`.

    Attributes:
        url: The operation that `Session.poll` waited for, to go on with; else None.
    """

    url: str | None = None


class BodyTooLargeError(HTTPKitError):
    """The body is larger than `max_body`; stream it, or raise the limit."""


class RedirectError(HTTPKitError):
    """The target of a redirect is not allowed; `.response` is the redirect."""


class TransferError(HTTPKitError):
    """A download or an upload did not finish."""


class IncompleteError(TransferError):
    """The transfer stopped early; the received bytes are kept, and the next call resumes."""


class ChecksumError(TransferError):
    """The file does not match its checksum; it was discarded."""


class PaginationError(HTTPKitError):
    """The pages of a list form a loop, or a page or the link to it is invalid."""


class OperationPendingError(HTTPKitError):
    """The server accepted a request, but has not completed it (202, or an operation of Google's).

    Attributes:
        url: Where `Session.poll` asks for its state; "" where the server does not say.
    """

    url: str = ""


class OperationFailedError(HTTPKitError):
    """A long-running operation failed.

    Attributes:
        detail: The server's error message, shortened and masked; None if there is none.
        url: Where its state is.
    """

    detail: str | None = None
    url: str = ""


class PartialFailureError(HTTPKitError):
    """Some of the items of one request failed; the others were processed.

    Attributes:
        results: The result of each item, in the order of the response; see `ItemResult`.
    """

    results: Sequence[Any] = ()


class GraphQLError(HTTPKitError):
    """The GraphQL server reported errors, with an error status or without.

    Attributes:
        errors: The entries of "errors", with credentials masked.
        data: The partial data, as sent; None when there is none.
    """

    errors: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] | None = None


class TokenError(HTTPKitError):
    """The authorization server returned no token; the request was not sent, or got a 401.

    Attributes:
        error: The server's code (RFC 6749 section 5.2), such as "invalid_client" or, for a
            refresh token that is used up, "invalid_grant"; None when it gave none.
        error_description: The server's description, shortened and masked; None if there is none.
        status_code: The status of its response.
        retry_after: Seconds it asks to wait; None when it does not.
    """

    error: str | None = None
    error_description: str | None = None
    status_code: int = 0
    retry_after: float | None = None


def _make_public(root: type[HTTPKitError]) -> None:
    for error in root.__subclasses__():
        if error.__module__ == __name__:  # else it is defined below, or a caller's own
            public(error)
            _make_public(error)


_make_public(HTTPKitError)

E_ = TypeVar("E_", bound=StatusError)


def class_for(status: int) -> type[StatusError]:
    """Return the most specific class for an error status.

    RFC 9110 section 15: an unknown status is treated as the x00 of its class, and one
    outside 100 to 599 as a 5xx.
    """
    return STATUS_ERRORS.get(status) or (ClientError if status < 500 else ServerError)


def from_response(response: requests.Response, cls: type[E_]) -> E_:
    """Describe an error response as an error of this kind; it is not raised here."""
    detail, problem = error_reasons.read(response)
    custom, failure = error_reasons.call_error_reason(response)
    detail = custom or detail
    error = build(cls, "", response)
    if error is None:
        raise TypeError(f"{cls.__name__} must take one argument, the message")
    status = error.status_code = response.status_code
    error.detail = detail
    error.problem = None if problem is None else redaction.redact_document(problem)
    request_id = header_fields.first(response.headers, header_fields.REQUEST_ID_FIELDS)
    error.request_id = error_reasons.one_line(request_id or "", _LONGEST_NAME) or None
    error.retry_after = rate_limit_fields.requested_wait(status, response.headers, CLOCK.wall())
    error.attempts = getattr(response, "attempts", 1)
    error.stop_reason = getattr(response, "stop_reason", None)
    error.args = (_sentence(response, detail, error.request_id),)
    if failure is not None:
        add_note(error, failure)
    return error


def from_graphql(
    response: requests.Response, reported: Sequence[Mapping[str, Any]], data: Any
) -> GraphQLError:
    """Describe the errors in a GraphQL response; the error is not raised here."""
    credentials.remember(response)
    first = reported[0]
    message = error_reasons.one_line(str(first["message"]), _LONGEST_DETAIL)
    path = first.get("path")
    where = f" (at {'.'.join(map(str, path))[:_LONGEST_NAME]})" if is_list(path) else ""
    more = f" (and {len(reported) - 1} more)" if len(reported) > 1 else ""
    text = f"GraphQL error for {describe(response.request, response.url)}: {message}{where}{more}"
    error = GraphQLError(redaction.redact_text(text), response=response)
    error.errors = [redaction.redact_document(one) for one in reported]
    error.data = data if is_mapping(data) else None
    error.attempts = getattr(response, "attempts", 1)
    error.stop_reason = getattr(response, "stop_reason", None)
    return error


X_ = TypeVar("X_", bound=BaseException)


def build(cls: type[X_], message: str, response: requests.Response) -> X_ | None:
    """Make an exception of a class that may be a caller's own.

    Returns:
        The exception; None when its constructor takes neither a message nor nothing.
    """
    error = None
    for arguments in ((message,), ()):
        try:
            error = cls(*arguments)
            break
        except TypeError:
            continue
    if isinstance(error, requests.RequestException):
        error.response = error.response or response
        error.request = error.request or response.request
    return error


def _sentence(response: requests.Response, detail: str | None, request_id: str | None) -> str:
    text = f"{response.status_code} {_reason_phrase(response)}".rstrip()
    text += f" for {describe(response.request, response.url)}"
    is_news = detail is not None and not error_reasons.repeats_status(detail, response)
    text += f": {detail}" if is_news else ""
    text += f" (request-id {request_id})" if request_id else ""
    hint = hints.PROXY_CREDENTIALS if response.status_code == 407 else None
    if response.status_code in _ACCESS_STATUSES:
        hint = getattr(response, "credentials_withheld", None)
    return text + (f"; {hint}" if hint else "")


# What servers send to a request without credentials: GitHub says 404, S3 403.
_ACCESS_STATUSES = frozenset({401, 403, 404})


def _reason_phrase(response: requests.Response) -> str:
    phrase = error_reasons.one_line(as_text(response.reason or ""), _LONGEST_NAME)
    return phrase or _STANDARD_REASONS.get(response.status_code, "")


_STANDARD_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    409: "Conflict", 410: "Gone", 422: "Unprocessable Content", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip


def describe(request: requests.PreparedRequest | None, url: str | None = None) -> str:
    """Name a request for a message: method and URL, without credentials."""
    method = getattr(request, "method", None) or "request"
    address = url or getattr(request, "url", None) or ""
    return f"{method} {redaction.redact_url(address)}"


def _path_of(url: str) -> str:
    return re.sub(r"^[a-zA-Z][\w+.-]*://[^/?#]*", "", url)


def annotate(
    error: requests.RequestException,
    request: requests.PreparedRequest,
    *,
    attempts: int,
    seconds: float,
    stop_reason: str | None,
    keeps_third_party: bool = False,
) -> None:
    """Fill in what a transport error lacks: the request, the attempts, and why it stopped."""
    credentials.remember_sent(request)
    url = request.url or ""
    redacted = {text: redaction.redact_url(text) for text in (url, _path_of(url)) if text}
    error_redaction.scrub(error, redacted, keeps_third_party=keeps_third_party)
    error.request = error.request or request
    error.attempts = attempts  # type: ignore[attr-defined]  # requests' own classes lack it
    error.stop_reason = stop_reason  # type: ignore[attr-defined]  # likewise
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    note = f"{describe(request)}: {times} in {seconds:.2f} s"
    add_note(error, f"{note}; {stop_reason}" if stop_reason else note)
    if hint := hints.advise(error):
        add_note(error, hint)
    if "IPython" in sys.modules:
        from httpkit._display import tracebacks

        tracebacks.attach(error)


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error of any class: one that takes none stays the error that it is."""
    with suppress(Exception):
        error.add_note(note)
