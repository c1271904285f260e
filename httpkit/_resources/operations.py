"""Long-running operations: start one, ask how it is, return its result.

The dialects: Azure-AsyncOperation and Operation-Location (Azure), Location after a 202 (RFC 9110
section 15.3.3), operations with `done` and `response` (google.longrunning), a status in the
resource itself.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeGuard, TypeVar, cast

import requests

from httpkit._core import models, rate_limit_fields, redaction, upstream, urls
from httpkit._core.clock import CLOCK
from httpkit._core.documents import MISSING, RawJSON, find, is_null, members_of, parsed, text
from httpkit._core.given import is_mapping
from httpkit._diagnostics import error_documents, error_reasons
from httpkit._diagnostics.base_errors import check_seconds
from httpkit._diagnostics.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DecodeError,
    NotFoundError,
    OperationFailedError,
    StatusError,
    add_note,
    describe,
)
from httpkit._diagnostics.progress import ProgressLike, Reporter, check_progress
from httpkit._messages.response import Response, adopt, successful
from httpkit._policy import forwarding
from httpkit._resources.list_query import PageClient
from httpkit._resources.pagination import check_path

T = TypeVar("T")

DONE = frozenset({
    "succeeded", "success", "successful", "completed", "complete", "done", "finished", "ready",
    "ok", "true",
})  # fmt: skip
FAILED = frozenset({
    "failed", "failure", "error", "errored", "canceled", "cancelled", "aborted", "rejected",
    "expired", "timedout", "timed_out", "timeout", "terminated",
})  # fmt: skip
# What a result would not say of itself: with it, or with a word that ends in "ing", a 200 is not
# the end. Spaces and signs do not count.
_PENDING = frozenset({
    "accepted", "enqueued", "inprogress", "new", "notready", "notstarted", "pending", "queued",
    "scheduled", "started", "submitted",
})  # fmt: skip
# The operation has ended, but perhaps not well: an error beside them says so (BigQuery).
_ENDED = frozenset({"complete", "completed", "done", "finished"})
_ERRORS = ("error", "errorResult")
_LONGEST_STATUS = 80  # characters of it in a message
_SEPARATORS = re.compile(r"[\W_]+")
# Where an operation has its status; and where the resource has it that is being made (Azure).
_PROVISIONING = ("properties.provisioningState", "provisioningState")
_STATUS_AT = ("status", "state", "status.state", "status.phase", "state.status")
# google.longrunning: "operations/7", "projects/p/operations/7".
_OPERATION_NAME = re.compile(r"(?:^|/)operations/[^/]")
_STATUS_FIELDS = ("azure-asyncoperation", "operation-location")
# A new operation may not be found for a moment; later a 404 means that it is gone.
_GRACE = 60.0
# The server, or a gateway before it, is busy; the operation continues.
_BUSY = frozenset({429, 502, 503, 504})
_GONE = frozenset({404, 410})
# Their URL is the resource's, which shows its state.
_RESOURCE_LINKS = frozenset({"GET", "PUT", "PATCH", "DELETE"})


def operation_url(response: requests.Response) -> str | None:
    """Return the URL to ask for the state of what a response accepted; None without one."""
    names = [*_STATUS_FIELDS]
    if response.status_code == requests.codes.accepted:
        names.append("location")  # of a 201 it is the new resource
    for name in names:
        if link := response.headers.get(name):
            return resolved(response, link, name)
    return None


def resolved(response: requests.Response, link: str, name: str) -> str:
    """Return where a link of a response points to.

    Raises:
        InvalidURL: It is not an http(s) URL.
    """
    try:
        return urls.resolve(response.url, link)
    except requests.exceptions.InvalidURL as error:
        what = describe(response.request, response.url)
        raise requests.exceptions.InvalidURL(
            f"the {name} of {what}: it {error}", response=response
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOptions:
    """How an operation is waited for; see `Session.poll`."""

    status_at: str | Callable[[Response], object] | None = None
    done: Collection[str] = DONE
    failed: Collection[str] = FAILED
    interval: float = 1.0
    deadline: float | None = 600.0
    progress: ProgressLike = None

    def __post_init__(self) -> None:
        if not callable(self.status_at):
            check_path("status_at", self.status_at)
        check_seconds("interval", self.interval)
        if self.deadline is not None:
            check_seconds("deadline", self.deadline, above_zero=True)
        check_progress(self.progress)
        for name in ("done", "failed"):
            words: object = getattr(self, name)
            if isinstance(words, (str, bytes)) or not isinstance(words, Collection):
                raise ConfigurationError(f"{name}={words!r} must be a collection of words")

    def outcome_of(self, word: str) -> bool | None:
        """Return whether a status means success; None while the operation continues."""
        letters = _letters(word)
        if letters in map(_letters, self.done):
            return True
        return False if letters in map(_letters, self.failed) else None

    def is_pending(self, word: str) -> bool:
        """Return whether the operation continues at a status that is in neither collection.

        With words of the caller's every other does. Else it may be the state of the result, such
        as "active", unless it reads like the state of an operation.
        """
        return self.done is not DONE or _is_pending(word)


def _letters(word: object) -> str:
    """Return a status as it is compared: "Timed out", "TIMED_OUT" and "timedOut" are one."""
    return _SEPARATORS.sub("", str(word)).lower()


def _is_pending(word: str) -> bool:
    letters = _letters(word)
    return letters in _PENDING or letters.endswith("ing")


@dataclass(slots=True, repr=False, eq=False)
class Operation:
    """One operation that is waited for.

    Attributes:
        session: Sends the requests.
        options: How it is waited for.
        url: Where its state is.
        start: The response that started it; None when only its URL is known.
        final_url: Where its result is; None: in the state.
        has_status: Whether the state has a status: it came from a field that promises one.
        was_found: Whether the server knew the operation once.
        last_status: The status in the newest state; None: there was none.
        retry_after: Seconds that a busy server asks to wait.
    """

    session: PageClient
    options: PollOptions
    url: str = ""
    start: Response | None = None
    final_url: str | None = None
    has_status: bool = False
    was_found: bool = False
    last_status: str | None = None
    retry_after: float | None = None
    allowed_origins: frozenset[urls.Origin] = field(default_factory=frozenset[urls.Origin])

    def wait(self, beginning: object) -> Response | None:
        """Return the response with the result; None for an operation without one.

        Raises:
            OperationFailedError: It failed.
            DeadlineExceededError: It took longer than the deadline.
        """
        started_at = CLOCK.monotonic()
        response = self._begin(beginning) or self._fetch_status(started_at)
        reporter = Reporter(self.options.progress, "operation", unit="it")
        reporter.begin(0, None)
        try:
            while True:
                if response is not None and self._is_done(response):
                    return self._result(response)
                self._pause(response, started_at)
                reporter.advance(1)
                response = self._fetch_status(started_at)
        finally:
            reporter.finish()

    def _begin(self, beginning: object) -> Response | None:
        base = self.session.base_url
        if isinstance(beginning, upstream.RequestsResponse):
            self.start = response = successful(beginning)
            self.url = _started(response, base)
            self.has_status = any(name in response.headers for name in _STATUS_FIELDS)
            self.final_url = self._final(response) if self.has_status else None
            given = response.request.url or response.url
            self.allowed_origins = forwarding.allowed_origins(self.session, given)
            return response
        if not isinstance(beginning, str) or not beginning:
            raise ConfigurationError(
                f"poll() takes a response or a URL, not {type(beginning).__name__}"
            )
        self.url = urls.join(base, beginning)
        self.allowed_origins = forwarding.allowed_origins(self.session, self.url)
        return None

    def _final(self, response: Response) -> str | None:
        """Return where the result is of what has a state elsewhere."""
        location = response.headers.get("location")
        if self._method in {"PUT", "PATCH"}:
            return response.url
        return resolved(response, location, "Location") if location else None

    @property
    def _method(self) -> str:
        request = None if self.start is None else self.start.request
        return (None if request is None else request.method) or "GET"

    def _fetch_status(self, started_at: float) -> Response | None:
        """Ask for the state; None: the server is busy, or does not know the operation yet."""
        deadline, self.retry_after = self.options.deadline, None
        left = None if deadline is None else max(0.001, deadline - (CLOCK.monotonic() - started_at))
        try:
            response = self._get(self.url, left)
        except DeadlineExceededError as error:
            error.url = self.url
            raise
        except StatusError as error:
            if error.status_code in _GONE and self._method == "DELETE":
                return adopt(error.response)
            is_new = not self.was_found and CLOCK.monotonic() - started_at <= _GRACE
            if error.status_code in _BUSY or (isinstance(error, NotFoundError) and is_new):
                self.retry_after = error.retry_after
                return None
            raise
        self.was_found = True
        if response.status_code == requests.codes.accepted and (url := operation_url(response)):
            self.url = url
        return response

    def _get(self, url: str, left: float | None) -> Response:
        session, options = forwarding.for_link(self.session, {}, url, self.allowed_origins)
        if left is not None:
            options["deadline"] = left
        return successful(
            session.request("GET", url, on_status={}, raise_for_status=True, **options)
        )

    def _is_done(self, response: Response) -> bool:
        """Say whether the operation is done.

        Raises:
            OperationFailedError: It failed.
        """
        document = _document(response)
        if (is_done := self._google(response, document)) is not None:
            return is_done
        if self._is_result(response, document):
            return True
        is_declared, word, around = self._word(response, document)
        self.last_status = word
        is_success = None if word is None else self.options.outcome_of(word)
        is_error = (
            self._is_error(response, document)
            if word is None
            else _has_error(document, word, around)
        )
        if is_success is False or (is_error and (is_success or word is None)):
            raise self._failure(response, word or "no status", around)
        if response is self.start and operation_url(response) is not None:
            return False
        if is_success is True or response.status_code == requests.codes.no_content:
            return True
        if response.status_code == requests.codes.accepted:
            return False
        if is_declared and word is None and document is None:
            raise self._without_status(response)
        return not is_declared and (word is None or not self.options.is_pending(word))

    def _is_error(self, response: Response, document: Any) -> bool:
        """Say whether a document without a status is an error that was sent with status 200.

        With a path to a status, that is one that has an error; else a result may have one too,
        and a flag that is false, unless there is nothing else or a reason beside it.
        """
        found = None if document is None else _parsed(document)
        if isinstance(self.options.status_at, str):
            return error_documents.states_failure(found)
        if found is None or not error_documents.has_false_flag(found):
            return False
        return len(found) == 1 or bool(error_reasons.read_part(response, found))

    def _is_result(self, response: Response, document: Any) -> bool:
        """Say whether a response needs no status: nothing is left, or it was done at once."""
        if response.status_code in _GONE or response is not self.start:
            return response.status_code in _GONE
        is_done = response.status_code != requests.codes.accepted and not _is_operation_kind(
            document
        )
        is_silent = operation_url(response) is None and self.options.status_at is None
        return is_done and is_silent and self._method not in {"GET", "PUT", "PATCH"}

    def _google(self, response: Response, document: Any) -> bool | None:
        """Say whether an operation of Google's is done; None for any other document."""
        name, done = _at(document, "name"), _at(document, "done")
        is_named = isinstance(name, str) and isinstance(done, bool)
        is_operation = is_named or _is_operation_name(name)
        if not is_operation or self.options.status_at is not None:
            return None
        if done is True and error_documents.is_error(_at(document, "error")):
            raise self._failure(response, "error", document)
        return done is True

    def _without_status(self, response: Response) -> DecodeError:
        what = describe(response.request, response.url)
        media_type = response.headers.get("content-type", "no content type")
        error = response.decode_error(f"the response to {what} has no status: {media_type}")
        add_note(error, "if that passes, poll() with the URL of the operation goes on waiting")
        return error

    def _word(self, response: Response, document: Any) -> tuple[bool, str | None, Any]:
        """Return whether there must be a status, the status, and the object that has it."""
        given = self.options.status_at
        if callable(given):
            found = given(response)
            return True, None if found is None else str(found), document
        if given is not None:
            return True, _text_at(document, given), _around(document, given)
        for path in _PROVISIONING:
            if (word := _text_at(document, path)) is not None:
                return True, word, document
        for within in (document, _wrapped(document)):
            for path in _STATUS_AT:
                if (word := _text_at(within, path)) is not None:
                    return self.has_status, word, _around(within, path)
        return self.has_status, None, document

    def _failure(self, response: Response, word: str, around: Any) -> OperationFailedError:
        """Return the error of an operation; its reason is beside the status, or elsewhere."""
        words = (
            error_reasons.read_part(response, _parsed(around)) or error_reasons.read(response)[0]
        )
        what = describe(response.request, response.url)
        status = redaction.redact_start(word, _LONGEST_STATUS)
        error = OperationFailedError(
            f"the operation failed ({status}): {what}: {words or 'the server gives no reason'}",
            response=response,
        )
        error.detail, error.url = words, redaction.redact_url(self.url)
        return error

    def _pause(self, response: Response | None, started_at: float) -> None:
        if not self.url:
            raise ConfigurationError(
                "the response names no URL to poll: pass the URL of the operation",
                response=response,
            )
        requested = self.retry_after
        if response is not None:
            requested = rate_limit_fields.retry_after(response.headers, CLOCK.wall())
        wait = self.options.interval if requested is None else requested
        self._check_wait(wait, started_at)
        CLOCK.sleep(wait)

    def _check_wait(self, wait: float, started_at: float) -> None:
        deadline = self.options.deadline
        if deadline is not None and CLOCK.monotonic() - started_at + wait > deadline:
            error = DeadlineExceededError(
                f"the operation is not done after {deadline:g} seconds ({self._last_status()}):"
                " poll(error.url) goes on waiting for it"
            )
            error.url = self.url
            raise error

    def _last_status(self) -> str:
        if self.last_status is None:
            return f"there was no status at {self.options.status_at or 'status'!r}"
        return f"its last status was {redaction.redact_start(self.last_status, _LONGEST_STATUS)!r}"

    def _result(self, response: Response) -> Response | None:
        document = _document(response)
        linked = _at(document, "resourceLocation")
        if isinstance(linked, str):
            return self._get(resolved(response, linked, "resourceLocation"), None)
        is_google = _is_operation_kind(document)
        if self._method == "DELETE" or (is_google and _at(document, "operationType") == "delete"):
            return None
        if is_google and isinstance(target := _at(document, "targetLink"), str):
            return self._get(resolved(response, target, "targetLink"), None)
        location = response.headers.get("location")
        if response is self.start and location and not response.content:
            return self._get(resolved(response, location, "Location"), None)
        if self.final_url is not None and response is not self.start:
            return self._get(self.final_url, None)
        return response


def check_model(model: object, *, may_be_unresolved: bool = False) -> bool:
    """Check a model before anything is sent.

    Args:
        model: None for no model.
        may_be_unresolved: Whether it is checked again before the first request, so that a name
            in it need not be defined yet.

    Returns:
        Whether it is known to be good.

    Raises:
        ConfigurationError: Nothing can be decoded into it.
    """
    try:
        if model is not None:
            models.check(model)
    except models.UnsupportedModelError as error:
        if may_be_unresolved and isinstance(error, models.UnresolvedModelError):
            return False
        raise ConfigurationError(str(error)) from error
    return True


def decode_result(response: Response | None, model: Callable[..., Any] | None) -> Any:
    """Return the result of an operation: decoded, as JSON, or None where there is none.

    Raises:
        DecodeError: It is not of the model.
    """
    if response is None or (model is None and not response.content):
        return None
    document = _document(response)
    name = _at(document, "name")
    is_done = isinstance(name, str) and _at(document, "done") is True
    result = _at(document, "response") if is_done else None
    is_operation = _is_operation_name(name) or _at(document, "metadata") is not None
    if is_done and is_operation and result is None and model is not None:
        what = describe(response.request, response.url)
        raise response.decode_error(f"the operation is done without a result: {what}")
    at = None if result is None else "response"
    wanted: Any = object if model is None else model
    return response.decode(wanted, at=at)


def _started(response: Response, base: str | None) -> str:
    if url := operation_url(response):
        return url
    if operation := google_operation(response, base):
        return operation.url
    return response.url if response.request.method in _RESOURCE_LINKS else ""


@dataclass(frozen=True, slots=True)
class GoogleOperation:
    """An operation that one of Google's APIs responds with in place of an item.

    Attributes:
        url: Where its state is.
        is_done: Whether it is done already.
    """

    url: str
    is_done: bool


def google_operation(response: Response, base: str | None) -> GoogleOperation | None:
    """Return the operation that a response is, of any status; None where it is anything else.

    google.longrunning names it relative to the service, Compute Engine and Cloud SQL have a URL in
    `selfLink`.
    """
    document = _document(response)
    name, link = _at(document, "name"), _at(document, "selfLink")
    if _is_operation_kind(document) and isinstance(link, str):
        url = resolved(response, link, "selfLink")
    elif _is_operation_name(name):
        url = urls.join(base, name)
    else:
        return None
    is_done = _at(document, "done") is True or _text_at(document, "status") == "DONE"
    return GoogleOperation(url, is_done)


def _is_operation_kind(document: Any) -> bool:
    return str(_at(document, "kind")).endswith("#operation")


def _has_error(document: Any, word: str | None, around: Any) -> bool:
    """Say whether an operation that has ended failed: an error is beside its status."""
    if _is_operation_kind(document) and error_documents.is_error(_at(document, "error")):
        return True
    found = (_at(around, name) for name in _ERRORS)
    return _letters(word) in _ENDED and any(
        error_documents.is_error(value)
        for value in found
        if isinstance(value, str) or is_mapping(value)
    )


def _wrapped(document: Any) -> Any:
    """Return the object in an envelope ({"action": {"status": ...}}); None without one."""
    members = None if document is None else members_of(document)
    inner = next(iter(members.values())) if members and len(members) == 1 else None
    return None if inner is None or members_of(inner) is None else inner


def _around(document: Any, path: str) -> Any:
    """Return the object that the last name of a path is in; the document where it is not one."""
    parent = path.rpartition(".")[0]
    if not parent or document is None:
        return document
    try:
        found = find(document, parent)
        return document if found is MISSING or members_of(found) is None else found
    except models.MismatchError:
        return document


def _is_operation_name(name: object) -> TypeGuard[str]:
    return isinstance(name, str) and _OPERATION_NAME.search(name) is not None


def result_of(session: PageClient, response: Response, model: Callable[..., T]) -> T:
    """Return the result of an operation that is done already.

    Raises:
        OperationFailedError: It failed.
        DecodeError: It is not of the model.
    """
    ended = Operation(session, PollOptions()).wait(response)
    return cast("T", decode_result(ended, model))


def _document(response: Response) -> Any:
    """Return the body as a document; None where it is not JSON."""
    try:
        document = RawJSON(response.content)
        return document if members_of(document) is not None else None
    except models.MismatchError:
        return None


def _parsed(document: Any) -> Any:
    try:
        return parsed(document)
    except models.MismatchError:
        return None


def _at(document: Any, path: str) -> Any:
    if document is None:
        return None
    try:
        found = find(document, path)
        return None if found is MISSING or is_null(found) else parsed(found)
    except models.MismatchError:
        return None


def _text_at(document: Any, path: str) -> str | None:
    if document is None:
        return None
    try:
        found = find(document, path)
        return None if found is MISSING else text(found)
    except models.MismatchError:
        return None
