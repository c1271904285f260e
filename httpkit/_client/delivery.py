"""From a prepared request to its response.

    follow -> persist -> _sign_and_send -> _transmit

Each step has one concern (redirects, retries, credentials, one attempt), calls only the
next, and frees the connection when it gives up. Nearly every request is plain, and settled
by the answer to its first attempt: that one takes none of these steps (`_at_once`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.auth import HTTPDigestAuth
from requests.exceptions import InvalidHeader, TooManyRedirects
from urllib3.exceptions import HTTPError as WireError

from httpkit._client import settings
from httpkit._core import header_fields, interrupts, upstream
from httpkit._core.clock import CLOCK
from httpkit._core.types import RequestsResponse
from httpkit._diagnostics import errors, log_records
from httpkit._messages.body import ReplayableBody, SourceError
from httpkit._messages.request import Call, PreparedRequest
from httpkit._messages.response import Response, drain, is_handed_over, receive
from httpkit._policy import limits, redirects, retry
from httpkit._transport import fast_path, raw_response

# Inside an attempt requests must not look where a redirect leads: it would read the whole
# body of the redirect to find out.
ATTEMPTING: ContextVar[bool] = ContextVar("attempting", default=False)

ResponseT = TypeVar("ResponseT", requests.Response, Response | None)


class Sender(redirects.Rebuilder, Protocol):
    """What a delivery needs of a session."""

    cookies: Any
    max_redirects: int

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request; each hop of a redirect goes through it, so that overrides see it."""
        ...

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return what sends to a URL."""
        ...

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the Location of a redirect."""
        ...

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: dict[str, str] | None
    ) -> dict[str, str]:
        """Return the proxies for another URL."""
        ...


# Answers after which there may be more to do than the policy says: another signature, or a pause
# for all threads.
_TELLING = frozenset({401, 403, 429, 503})


@dataclass(slots=True, eq=False)  # not frozen, which would take 1 us longer to make
class Delivery:
    """One request on its way, with requests' keywords for `send`.

    Attributes:
        session: Whose request it is.
        transmit: Sends once; requests' own `send`.
        request: What is sent; its call has begun.
        options: timeout, stream, verify, cert and proxies.
        budget: The session's tokens for retries.
        host_throttle: Which hosts asked to be left alone for now.
        pace: The session's own rate; None is off.
        may_send_fast: Whether `transmit` is requests' own, which `express` may pass over; no longer
            once it found that it cannot.
        is_strict: Whether we read the body, under limits; requests reads it otherwise.
    """

    session: Sender
    transmit: Callable[..., requests.Response]
    request: PreparedRequest
    options: dict[str, Any]
    budget: limits.Budget
    host_throttle: limits.HostThrottle
    pace: limits.RateLimiter | None = None
    may_send_fast: bool = False
    is_strict: bool = True

    @property
    def _call(self) -> Call:
        return self.request.call or Call()

    def follow(self) -> requests.Response:
        """Send the request and follow where its answers lead.

        Raises:
            RedirectError: A redirect leads where this request must not go.
            TooManyRedirects: There were more than `max_redirects`.
        """
        first = self.send_with_retries()
        if self.session.get_redirect_target(first) is None:
            return first
        return [first, *self.iter_redirects(first)][-1]

    def iter_redirects(self, response: requests.Response) -> Generator[requests.Response]:
        """Send what the redirects ask for, one after the other; give each answer.

        Raises: as `follow`.
        """
        history: list[requests.Response] = []
        request, proxies = self.request, self.options["proxies"]
        while location := self.session.get_redirect_target(response):
            if len(history) >= self.session.max_redirects:
                raise _too_many(response, self.session.max_redirects)
            drain(response, self._check_deadline)
            request = self._onward(response, request, location)
            proxies = self.session.rebuild_proxies(request, proxies)
            history.append(response)
            sent = {**self.options, "proxies": proxies, "allow_redirects": False}
            response = self.session.send(request, **sent)
            response.history = [*history, *response.history]
            yield response

    def peek(self, response: requests.Response) -> PreparedRequest | None:
        """Return the request that a redirect asks for, unsent; None for any other answer."""
        location = self.session.get_redirect_target(response)
        if not location:
            return None
        try:
            onward = redirects.follow(response, self.request, self._call, location, self.session)
        except errors.RedirectError:
            return None
        # It is sent whenever the caller likes: its clock starts then.
        onward.call = (onward.call or Call())._replace(ends_at=None, follows=False)
        return onward

    def _onward(
        self, response: requests.Response, request: PreparedRequest, location: str
    ) -> PreparedRequest:
        call = request.call or Call()
        onward = redirects.follow(response, request, call, location, self.session)
        redirects.check_progress(response, onward)
        log_records.redirect(
            response, onward, credentials_withheld=(onward.call or call).credentials_withheld
        )
        return onward

    def send_with_retries(self) -> requests.Response:
        """Send the request until its policy is content.

        Raises:
            RequestException: The last attempt failed; the attempts and the reason to stop
                are on the error.
        """
        call, started = self._call, CLOCK.monotonic()
        first = self._at_once(call)
        if isinstance(first, RequestsResponse) and _is_settled(first, call):
            self._refund_budget(first)
            first.__dict__["credentials_withheld"] = call.credentials_withheld
            return first
        retry_state = retry.RetryState(
            policy=call.retry,
            request=self.request,
            not_replayable_reason=self.request.body_start.not_replayable_reason,
            remaining=self._remaining,
            spend=self._spend,
            keeps_foreign=not self.is_strict,
            attempts=0 if first is None else 1,
        )
        try:
            response = self._settle(retry_state, first)
        except requests.RequestException as error:
            errors.annotate(
                error,
                self.request,
                attempts=retry_state.attempts,
                seconds=CLOCK.monotonic() - started,
                stop_reason=retry_state.stop_reason,
                keeps_foreign=not self.is_strict,
            )
            raise
        self._refund_budget(response, retry_state.refund(response))
        response.__dict__.update(
            attempts=retry_state.attempts,
            stop_reason=retry_state.stop_reason or retry_state.unrenewed,
            credentials_withheld=call.credentials_withheld,
        )
        return response

    def _at_once(self, call: Call) -> requests.Response | requests.RequestException | None:
        """Make the first attempt the short way; None, with nothing sent, when there is none.

        Saves 10 us: no copy of the request, which the short way leaves as it is, and no record
        of a trial.
        """
        is_ready = self.may_send_fast and self.pace is None and not self.host_throttle
        if not is_ready or (call.sign is not None and not call.is_signed):
            return None
        try:
            response = self._noted(self._send_fast, self.request, self.options, 1)
        except requests.RequestException as error:
            return error
        if response is None:
            self.may_send_fast = False  # what stands in the way will not be gone in a moment
        return response

    def _refund_budget(self, response: requests.Response, tokens_spent: int = 0) -> None:
        """Give back what a call that got through cost; a success gives one token more."""
        if not self.budget:
            return
        gain = limits.SUCCESS_GAIN if response.status_code < 400 else 0
        self.budget.refund(self._host, tokens_spent + gain)

    def _settle(
        self,
        retry_state: retry.RetryState,
        first: requests.Response | requests.RequestException | None,
    ) -> requests.Response:
        """Go on until the policy is content.

        Args:
            retry_state: Knows of the first attempt, if it was made.
            first: What came of it; None when it was not made.
        """

        def attempt() -> requests.Response:
            self._wait_for_rate_limit()
            return self._sign_and_send(retry_state)

        try:
            if first is None:
                first = attempt()
            elif isinstance(first, RequestsResponse):
                first = self._renewed(first, self.request, retry_state)
        except requests.RequestException as error:
            first = error
        if isinstance(first, requests.RequestException) and retry_state.policy is None:
            raise first
        if isinstance(first, RequestsResponse) and retry_state.is_settled(first):
            return first
        return retry.send_with_retries(first, attempt, retry_state, self._release)

    def _sign_and_send(self, retry_state: retry.RetryState) -> requests.Response:
        """Make one attempt."""
        call = self._call
        attempt: requests.PreparedRequest = self.request.copy()
        if call.sign and not (call.is_signed and retry_state.attempts == 0):
            attempt = _signed(attempt, call.sign, retry_state)
        retry_state.attempts += 1
        return self._renewed(self._transmit(attempt, retry_state.attempts), attempt, retry_state)

    def _renewed(
        self,
        response: requests.Response,
        attempt: requests.PreparedRequest,
        retry_state: retry.RetryState,
    ) -> requests.Response:
        """Replace a rejected signature once, if there is another; return the answer to it."""
        call = self._call
        if (
            response.status_code != 401
            or not call.sign
            or not call.refreshable
            or retry_state.was_renewed
        ):
            return response
        call.refreshable.reject(attempt)  # whatever this body allows: the next call needs it
        if retry_state.not_replayable_reason:
            retry_state.unrenewed = f"not signed again: {retry_state.not_replayable_reason}"
            return response
        try:
            renewed = _signed(self.request.copy(), call.sign, retry_state)
        except BaseException:
            response.close()
            raise
        if (renewed.url, renewed.headers) == (attempt.url, attempt.headers):
            return response
        retry_state.was_renewed = True
        self._release(response)
        self._wait_for_rate_limit()
        log_records.renewed(renewed)
        response = self._transmit(renewed, retry_state.attempts)
        if response.status_code != 401:
            call.refreshable.accept(renewed)
        return response

    def _transmit(self, attempt: requests.PreparedRequest, number: int) -> requests.Response:
        """Send once and read the answer, within what is left of the deadline."""
        self._check_deadline()
        self.request.body_start.begin(attempt.body)
        timeout = settings.clip(self.options["timeout"], self._remaining())
        options = {**self.options, "timeout": timeout}
        inside = ATTEMPTING.set(True)
        try:
            return self._noted(self._attempt, attempt, options, number)
        finally:
            ATTEMPTING.reset(inside)
            if isinstance(attempt.body, ReplayableBody):
                attempt.body.close()

    def _noted(
        self,
        send: Callable[[Any, dict[str, Any]], ResponseT],
        attempt: requests.PreparedRequest,
        options: dict[str, Any],
        number: int,
    ) -> ResponseT:
        """Do as `_guarded`, and log what came of it for who wants to know."""
        if not log_records.REQUESTS.isEnabledFor(logging.DEBUG):
            return self._guarded(send, attempt, options)
        note = log_records.Note(attempt, number)
        try:
            response = self._guarded(send, attempt, options)
        except BaseException as error:
            note.failed(error)
            raise
        if response is not None:
            note.answered(response)
        return response

    def _guarded(
        self,
        send: Callable[[Any, dict[str, Any]], ResponseT],
        attempt: requests.PreparedRequest,
        options: dict[str, Any],
    ) -> ResponseT:
        """Send and read the answer, if there is one; what goes wrong is raised as requests' own."""
        try:
            response = send(attempt, options)
            if response is None:
                return response
            self._read(response)
        except Exception as error:
            interrupts.reveal(error)
            if isinstance(error, requests.Timeout):
                self._check_deadline(error)
            if isinstance(error, requests.RequestException):
                raise
            if isinstance(error, (WireError, OSError)):  # requests lets some of them pass
                raise requests.ConnectionError(error, request=attempt) from error
            raise
        if response.status_code in _TELLING:
            self._record_retry_after(response)
        return response

    def _send_fast(self, attempt: PreparedRequest, options: dict[str, Any]) -> Response | None:
        return fast_path.send(self.session, attempt, options)

    def _attempt(
        self, attempt: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        """Send once, the short way where it is plain."""
        if self.may_send_fast and isinstance(attempt, PreparedRequest):
            response = self._send_fast(attempt, options)
            if response is not None:
                return response
        with notify_sources():
            return _closing(
                self.transmit, attempt, {**options, "stream": True, "allow_redirects": False}
            )

    def _wait_for_rate_limit(self) -> None:
        """Wait while the host wants to be left alone, and for the session's own rate.

        Raises:
            DeadlineExceededError: The deadline leaves no time for it.
        """
        self._await_host()
        if self.pace is None:
            return
        seconds = self.pace.wait(self._host, CLOCK.monotonic(), self._remaining())
        if seconds is None and self._call.deadline is None:
            raise errors.DeadlineExceededError(
                f"rate_limit={self.pace.rate_limit!r} gave no place: nothing was sent for"
                f" {errors.describe(self.request)}",
                request=self.request,
            )
        if seconds is None:
            raise self._no_time(f"its turn at rate_limit={self.pace.rate_limit!r}")
        if seconds:
            why = f"for its turn at rate_limit={self.pace.rate_limit!r}"
            log_records.pause(self.request, wait=seconds, why=why, level=logging.DEBUG)
            CLOCK.sleep(seconds)
        self._await_host()  # somebody may have been told while this one waited

    def _await_host(self) -> None:
        if not self.host_throttle or self._call.retry is None:
            return
        # Again after the wait: another thread may have been told to wait longer.
        while seconds := self.host_throttle.left(self._host, CLOCK.monotonic()):
            if seconds >= self._remaining():
                raise self._no_time(f"the {seconds:.2f} s for which {self._host} asked to wait")
            level = logging.WARNING if seconds > self._call.retry.max_backoff else logging.INFO
            log_records.pause(self.request, wait=seconds, why="as the host asked", level=level)
            CLOCK.sleep(seconds)

    def _no_time(self, what: str) -> errors.DeadlineExceededError:
        return errors.DeadlineExceededError(
            f"the deadline of {self._call.deadline or 0:g} s leaves no time for {what}: nothing"
            f" was sent for {errors.describe(self.request)}",
            request=self.request,
        )

    def _record_retry_after(self, response: requests.Response) -> None:
        """Note that a host wants to be left alone, for all threads of the session."""
        policy = self._call.retry
        if policy is not None and (pause := retry.pause_for_all(policy, response)):
            self.host_throttle.extend(self._host, CLOCK.monotonic(), pause)

    def _read(self, response: requests.Response) -> None:
        if upstream.content_of(response) is not False:
            return  # it came with the head, or a hook has read it
        if is_handed_over(response.raw):
            raw_response.lift_deadline(response.raw, self.options["timeout"])
            upstream.keep_content(response, b"")
            return  # nobody but the caller reads from the connection now
        try:
            leads_on = self._call.follows and response.is_redirect and response.headers["location"]
            if leads_on and self.is_strict:
                drain(response, self._check_deadline)
            elif self.options["stream"]:
                raw_response.lift_deadline(response.raw, self.options["timeout"])
            elif self.is_strict or self._call.max_body is not None:
                limit = self._call.max_body
                receive(response, limit=limit, check=self._check_deadline)
            else:
                _ = response.content
        except BaseException:
            response.close()
            raise

    def _release(self, response: requests.Response) -> None:
        drain(response, self._check_deadline)
        self._check_deadline()

    def _spend(self, outcome: requests.Response | BaseException, capacity: int) -> int | None:
        if retry.asked_wait(outcome):  # the server paces its clients by itself
            return 0
        is_status = isinstance(outcome, RequestsResponse)
        cost = limits.STATUS_COST if is_status else limits.TRANSPORT_COST
        return cost if self.budget.spend(self._host, cost, capacity) else None

    @property
    def _host(self) -> str:
        return urlsplit(self.request.url or "").netloc.rpartition("@")[2]

    def _remaining(self) -> float:
        ends_at = self._call.ends_at
        return math.inf if ends_at is None else ends_at - CLOCK.monotonic()

    def _check_deadline(self, cause: Exception | None = None) -> None:
        if self._remaining() <= 0:
            raise _deadline_passed(self._call, self.request) from cause


def _is_settled(response: requests.Response, call: Call) -> bool:
    """Say at a glance whether nothing is left to do after the first answer."""
    status = response.status_code
    return status not in _TELLING and (call.retry is None or status not in call.retry.statuses)


@contextmanager
def notify_sources() -> Generator[None]:
    """Raise what a body's source raised, which travels hidden from urllib3."""
    try:
        yield
    except SourceError as error:
        raise error.error from error.error.__cause__


def _signed(
    request: requests.PreparedRequest,
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest],
    retry_state: retry.RetryState,
) -> requests.PreparedRequest:
    """Sign a request; what goes wrong there has retries of its own, and is not repeated here."""
    try:
        return sign(request)
    except BaseException:
        retry_state.is_unsigned = True
        raise


def _closing(
    transmit: Callable[..., requests.Response],
    attempt: requests.PreparedRequest,
    options: dict[str, Any],
) -> requests.Response:
    """Send, and close the answer when a hook raises: nobody else would."""
    hooks: Any = attempt.hooks.get("response")
    if not hooks:
        attempt.hooks = {**attempt.hooks, "response": []}
        return transmit(attempt, **options)
    hooks = [hooks] if callable(hooks) else list(hooks)
    guarded = [_Answering(h) if _is_of_digest(h) else h for h in hooks]
    seen: list[requests.Response] = []
    attempt.hooks = {**attempt.hooks, "response": [_Seeing(seen), *guarded]}
    try:
        return transmit(attempt, **options)
    except BaseException:
        for response in seen:
            response.close()
        raise
    finally:
        attempt.hooks = {**attempt.hooks, "response": hooks}


def _too_many(response: requests.Response, most: int) -> TooManyRedirects:
    error = TooManyRedirects(f"exceeded {most} redirects", response=response)
    error.attempts = response.__dict__.get("attempts", 1)  # type: ignore[attr-defined]  # as on all errors
    return error


def _is_of_digest(hook: object) -> bool:
    return isinstance(getattr(hook, "__self__", None), HTTPDigestAuth)


@dataclass(frozen=True, slots=True)
class _Answering:
    """The hook of requests' HTTPDigestAuth, which believes every challenge."""

    hook: Callable[..., Any]

    def __call__(self, response: requests.Response, **options: Any) -> Any:
        challenge = response.headers.get("www-authenticate", "")
        if 400 <= response.status_code < 500 and not header_fields.is_value(challenge):
            raise self._invalid(response, "it holds a control character")
        try:
            return self.hook(response, **options)
        except (LookupError, TypeError, AttributeError) as error:
            self._forget()
            raise self._invalid(response, repr(error)) from error

    def _forget(self) -> None:
        """Forget the challenge, with which the next request of this thread would fail, too."""
        signer: HTTPDigestAuth = self.hook.__self__  # type: ignore[attr-defined]
        upstream.forget_challenge(signer)

    @staticmethod
    def _invalid(response: requests.Response, why: str) -> InvalidHeader:
        return InvalidHeader(
            f"the Digest challenge in WWW-Authenticate cannot be answered: {why}",
            request=response.request,
            response=response,
        )


@dataclass(frozen=True, slots=True)
class _Seeing:
    """A hook that notes the answer before the caller's hooks get it."""

    seen: list[requests.Response]

    def __call__(self, response: requests.Response, **_: Any) -> None:
        self.seen.append(response)


def receive_error(response: requests.Response, limit: int | None) -> None:
    """Read the body of a streamed error, within its call's deadline.

    Raises:
        RequestException: It cannot be read; the error says after how many attempts.
    """
    call = getattr(response.request, "call", None) or Call()
    started = CLOCK.monotonic()

    def check() -> None:
        if call.ends_at is not None and CLOCK.monotonic() >= call.ends_at:
            raise _deadline_passed(call, response.request)

    try:
        receive(response, limit=limit, check=check)
    except requests.RequestException as error:
        response.close()
        attempts = getattr(response, "attempts", 1)
        seconds = CLOCK.monotonic() - started
        errors.annotate(
            error, response.request, attempts=attempts, seconds=seconds, stop_reason=None
        )
        raise


def _deadline_passed(call: Call, request: requests.PreparedRequest) -> errors.DeadlineExceededError:
    return errors.DeadlineExceededError(
        f"the deadline of {call.deadline:g} s passed for {errors.describe(request)}",
        request=request,
    )


def begin(request: PreparedRequest, call: Call, *, follows: bool) -> PreparedRequest:
    """Return the request with its clock started; a later hop keeps the first one's."""
    ends_at = call.ends_at
    if ends_at is None and call.deadline is not None:
        ends_at = CLOCK.monotonic() + call.deadline
    follows = follows or call.follows
    if (ends_at, follows) != (call.ends_at, call.follows):
        call = call._replace(ends_at=ends_at, follows=follows)
    request.call = call
    return request
