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
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.auth import HTTPDigestAuth
from requests.exceptions import InvalidHeader, TooManyRedirects
from urllib3.exceptions import HTTPError as WireError

from httpkit import (
    _headers,
    errors,
    express,
    incoming,
    interrupts,
    limits,
    logs,
    redirects,
    response,
    retry,
    settings,
)
from httpkit._typing import RequestsResponse
from httpkit._values import dataclass
from httpkit.bodies import Outgoing, SourceError
from httpkit.clock import CLOCK
from httpkit.request import Call, PreparedRequest

# Inside an attempt requests must not look where a redirect leads: it would read the whole
# body of the redirect to find out.
ATTEMPTING: ContextVar[bool] = ContextVar("attempting", default=False)

ResponseT = TypeVar("ResponseT", requests.Response, response.Response | None)


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
        hold_back: Which hosts asked to be left alone for now.
        pace: The session's own rate; None is off.
        may_hurry: Whether `transmit` is requests' own, which `express` may pass over; no longer
            once it found that it cannot.
        is_strict: Whether we read the body, under limits; requests reads it otherwise.
    """

    session: Sender
    transmit: Callable[..., requests.Response]
    request: PreparedRequest
    options: dict[str, Any]
    budget: limits.Budget
    hold_back: limits.HoldBack
    pace: limits.Pace | None = None
    may_hurry: bool = False
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
        first = self.persist()
        if self.session.get_redirect_target(first) is None:
            return first
        return [first, *self.hops(first)][-1]

    def hops(self, answer: requests.Response) -> Generator[requests.Response]:
        """Send what the redirects ask for, one after the other; give each answer.

        Raises: as `follow`.
        """
        history: list[requests.Response] = []
        request, proxies = self.request, self.options["proxies"]
        while location := self.session.get_redirect_target(answer):
            if len(history) >= self.session.max_redirects:
                raise _too_many(answer, self.session.max_redirects)
            response.drain(answer, self._check_deadline)
            request = self._onward(answer, request, location)
            proxies = self.session.rebuild_proxies(request, proxies)
            history.append(answer)
            sent = {**self.options, "proxies": proxies, "allow_redirects": False}
            answer = self.session.send(request, **sent)
            answer.history = [*history, *answer.history]
            yield answer

    def peek(self, answer: requests.Response) -> PreparedRequest | None:
        """Return the request that a redirect asks for, unsent; None for any other answer."""
        location = self.session.get_redirect_target(answer)
        if not location:
            return None
        try:
            onward = redirects.follow(answer, self.request, self._call, location, self.session)
        except errors.RedirectError:
            return None
        # It is sent whenever the caller likes: its clock starts then.
        onward.call = (onward.call or Call())._replace(ends_at=None, follows=False)
        return onward

    def _onward(
        self, answer: requests.Response, request: PreparedRequest, location: str
    ) -> PreparedRequest:
        call = request.call or Call()
        onward = redirects.follow(answer, request, call, location, self.session)
        redirects.check_progress(answer, onward)
        logs.redirect(answer, onward, withheld=(onward.call or call).withheld)
        return onward

    def persist(self) -> requests.Response:
        """Send the request until its policy is content.

        Raises:
            RequestException: The last attempt failed; the attempts and the reason to stop
                are on the error.
        """
        call, started = self._call, CLOCK.monotonic()
        first = self._at_once(call)
        if isinstance(first, RequestsResponse) and _is_settled(first, call):
            self._refund_budget(first)
            first.__dict__["withheld"] = call.withheld
            return first
        trial = retry.Trial(
            policy=call.retry,
            request=self.request,
            body_refusal=self.request.body_start.refusal,
            remaining=self._remaining,
            spend=self._spend,
            keeps_foreign=not self.is_strict,
            attempts=0 if first is None else 1,
        )
        try:
            answer = self._settle(trial, first)
        except requests.RequestException as error:
            errors.annotate(
                error,
                self.request,
                attempts=trial.attempts,
                seconds=CLOCK.monotonic() - started,
                stop_reason=trial.stop_reason,
                keeps_foreign=not self.is_strict,
            )
            raise
        self._refund_budget(answer, trial.refund(answer))
        answer.__dict__.update(
            attempts=trial.attempts,
            stop_reason=trial.stop_reason or trial.unrenewed,
            withheld=call.withheld,
        )
        return answer

    def _at_once(self, call: Call) -> requests.Response | requests.RequestException | None:
        """Make the first attempt the short way; None, with nothing sent, when there is none.

        Saves 10 us: no copy of the request, which the short way leaves as it is, and no record
        of a trial.
        """
        is_ready = self.may_hurry and self.pace is None and not self.hold_back
        if not is_ready or (call.sign is not None and not call.is_signed):
            return None
        try:
            answer = self._noted(self._hurry, self.request, self.options, 1)
        except requests.RequestException as error:
            return error
        if answer is None:
            self.may_hurry = False  # what stands in the way will not be gone in a moment
        return answer

    def _refund_budget(self, answer: requests.Response, tokens_spent: int = 0) -> None:
        """Give back what a call that got through cost; a success gives one token more."""
        if not self.budget:
            return
        gain = limits.SUCCESS_GAIN if answer.status_code < 400 else 0
        self.budget.refund(self._host, tokens_spent + gain)

    def _settle(
        self, trial: retry.Trial, first: requests.Response | requests.RequestException | None
    ) -> requests.Response:
        """Go on until the policy is content.

        Args:
            trial: Knows of the first attempt, if it was made.
            first: What came of it; None when it was not made.
        """

        def attempt() -> requests.Response:
            self._await_turn()
            return self._sign_and_send(trial)

        try:
            if first is None:
                first = attempt()
            elif isinstance(first, RequestsResponse):
                first = self._renewed(first, self.request, trial)
        except requests.RequestException as error:
            first = error
        if isinstance(first, requests.RequestException) and trial.policy is None:
            raise first
        if isinstance(first, RequestsResponse) and trial.is_settled(first):
            return first
        return retry.persist(first, attempt, trial, self._release)

    def _sign_and_send(self, trial: retry.Trial) -> requests.Response:
        """Make one attempt."""
        call = self._call
        attempt: requests.PreparedRequest = self.request.copy()
        if call.sign and not (call.is_signed and trial.attempts == 0):
            attempt = _signed(attempt, call.sign, trial)
        trial.attempts += 1
        return self._renewed(self._transmit(attempt, trial.attempts), attempt, trial)

    def _renewed(
        self, answer: requests.Response, attempt: requests.PreparedRequest, trial: retry.Trial
    ) -> requests.Response:
        """Replace a rejected signature once, if there is another; return the answer to it."""
        call = self._call
        if answer.status_code != 401 or not call.sign or not call.renewing or trial.was_renewed:
            return answer
        call.renewing.reject(attempt)  # whatever this body allows: the next call needs it
        if trial.body_refusal:
            trial.unrenewed = f"not signed again: {trial.body_refusal}"
            return answer
        try:
            renewed = _signed(self.request.copy(), call.sign, trial)
        except BaseException:
            answer.close()
            raise
        if (renewed.url, renewed.headers) == (attempt.url, attempt.headers):
            return answer
        trial.was_renewed = True
        self._release(answer)
        self._await_turn()
        logs.renewed(renewed)
        answer = self._transmit(renewed, trial.attempts)
        if answer.status_code != 401:
            call.renewing.accept(renewed)
        return answer

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
            if isinstance(attempt.body, Outgoing):
                attempt.body.close()

    def _noted(
        self,
        send: Callable[[Any, dict[str, Any]], ResponseT],
        attempt: requests.PreparedRequest,
        options: dict[str, Any],
        number: int,
    ) -> ResponseT:
        """Do as `_guarded`, and log what came of it for who wants to know."""
        if not logs.REQUESTS.isEnabledFor(logging.DEBUG):
            return self._guarded(send, attempt, options)
        note = logs.Note(attempt, number)
        try:
            answer = self._guarded(send, attempt, options)
        except BaseException as error:
            note.failed(error)
            raise
        if answer is not None:
            note.answered(answer)
        return answer

    def _guarded(
        self,
        send: Callable[[Any, dict[str, Any]], ResponseT],
        attempt: requests.PreparedRequest,
        options: dict[str, Any],
    ) -> ResponseT:
        """Send and read the answer, if there is one; what goes wrong is raised as requests' own."""
        try:
            answer = send(attempt, options)
            if answer is None:
                return answer
            self._read(answer)
        except Exception as error:
            interrupts.reveal(error)
            if isinstance(error, requests.Timeout):
                self._check_deadline(error)
            if isinstance(error, requests.RequestException):
                raise
            if isinstance(error, (WireError, OSError)):  # requests lets some of them pass
                raise requests.ConnectionError(error, request=attempt) from error
            raise
        if answer.status_code in _TELLING:
            self._heed(answer)
        return answer

    def _hurry(self, attempt: PreparedRequest, options: dict[str, Any]) -> response.Response | None:
        return express.send(self.session, attempt, options)

    def _attempt(
        self, attempt: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        """Send once, the short way where it is plain."""
        if self.may_hurry and isinstance(attempt, PreparedRequest):
            answer = self._hurry(attempt, options)
            if answer is not None:
                return answer
        with telling_sources():
            return _closing(
                self.transmit, attempt, {**options, "stream": True, "allow_redirects": False}
            )

    def _await_turn(self) -> None:
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
            logs.pause(self.request, wait=seconds, why=why, level=logging.DEBUG)
            CLOCK.sleep(seconds)
        self._await_host()  # somebody may have been told while this one waited

    def _await_host(self) -> None:
        if not self.hold_back or self._call.retry is None:
            return
        # Again after the wait: another thread may have been told to wait longer.
        while seconds := self.hold_back.left(self._host, CLOCK.monotonic()):
            if seconds >= self._remaining():
                raise self._no_time(f"the {seconds:.2f} s for which {self._host} asked to wait")
            level = logging.WARNING if seconds > self._call.retry.max_backoff else logging.INFO
            logs.pause(self.request, wait=seconds, why="as the host asked", level=level)
            CLOCK.sleep(seconds)

    def _no_time(self, what: str) -> errors.DeadlineExceededError:
        return errors.DeadlineExceededError(
            f"the deadline of {self._call.deadline or 0:g} s leaves no time for {what}: nothing"
            f" was sent for {errors.describe(self.request)}",
            request=self.request,
        )

    def _heed(self, answer: requests.Response) -> None:
        """Note that a host wants to be left alone, for all threads of the session."""
        policy = self._call.retry
        if policy is not None and (pause := retry.pause_for_all(policy, answer)):
            self.hold_back.extend(self._host, CLOCK.monotonic(), pause)

    def _read(self, answer: requests.Response) -> None:
        if answer.__dict__.get("_content") is not False:
            return  # it came with the head, or a hook has read it
        if response.is_handed_over(answer.raw):
            incoming.lift_deadline(answer.raw, self.options["timeout"])
            answer.__dict__.update(_content=b"", _content_consumed=True)
            return  # nobody but the caller reads from the connection now
        try:
            leads_on = self._call.follows and answer.is_redirect and answer.headers["location"]
            if leads_on and self.is_strict:
                response.drain(answer, self._check_deadline)
            elif self.options["stream"]:
                incoming.lift_deadline(answer.raw, self.options["timeout"])
            elif self.is_strict or self._call.max_body is not None:
                limit = self._call.max_body
                response.receive(answer, limit=limit, check=self._check_deadline)
            else:
                _ = answer.content
        except BaseException:
            answer.close()
            raise

    def _release(self, answer: requests.Response) -> None:
        response.drain(answer, self._check_deadline)
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


def _is_settled(answer: requests.Response, call: Call) -> bool:
    """Say at a glance whether nothing is left to do after the first answer."""
    status = answer.status_code
    return status not in _TELLING and (call.retry is None or status not in call.retry.statuses)


@contextmanager
def telling_sources() -> Generator[None]:
    """Raise what a body's source raised, which travels hidden from urllib3."""
    try:
        yield
    except SourceError as error:
        raise error.error from error.error.__cause__


def _signed(
    request: requests.PreparedRequest,
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest],
    trial: retry.Trial,
) -> requests.PreparedRequest:
    """Sign a request; what goes wrong there has retries of its own, and is not repeated here."""
    try:
        return sign(request)
    except BaseException:
        trial.is_unsigned = True
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
        for answer in seen:
            answer.close()
        raise
    finally:
        attempt.hooks = {**attempt.hooks, "response": hooks}


def _too_many(answer: requests.Response, most: int) -> TooManyRedirects:
    error = TooManyRedirects(f"exceeded {most} redirects", response=answer)
    error.attempts = answer.__dict__.get("attempts", 1)  # type: ignore[attr-defined]  # as on all errors
    return error


def _is_of_digest(hook: object) -> bool:
    return isinstance(getattr(hook, "__self__", None), HTTPDigestAuth)


@dataclass(frozen=True, slots=True)
class _Answering:
    """The hook of requests' HTTPDigestAuth, which believes every challenge."""

    hook: Callable[..., Any]

    def __call__(self, answer: requests.Response, **options: Any) -> Any:
        challenge = answer.headers.get("www-authenticate", "")
        if 400 <= answer.status_code < 500 and not _headers.is_value(challenge):
            raise self._invalid(answer, "it holds a control character")
        try:
            return self.hook(answer, **options)
        except (LookupError, TypeError, AttributeError) as error:
            self._forget()
            raise self._invalid(answer, repr(error)) from error

    def _forget(self) -> None:
        """Forget the challenge, with which the next request of this thread would fail, too."""
        signer: HTTPDigestAuth = self.hook.__self__  # type: ignore[attr-defined]
        signer._thread_local.__dict__.clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way to it
        signer.init_per_thread_state()

    @staticmethod
    def _invalid(answer: requests.Response, why: str) -> InvalidHeader:
        return InvalidHeader(
            f"the Digest challenge in WWW-Authenticate cannot be answered: {why}",
            request=answer.request,
            response=answer,
        )


@dataclass(frozen=True, slots=True)
class _Seeing:
    """A hook that notes the answer before the caller's hooks get it."""

    seen: list[requests.Response]

    def __call__(self, answer: requests.Response, **_: Any) -> None:
        self.seen.append(answer)


def receive_error(answer: requests.Response, limit: int | None) -> None:
    """Read the body of a streamed error, within its call's deadline.

    Raises:
        RequestException: It cannot be read; the error says after how many attempts.
    """
    call = getattr(answer.request, "call", None) or Call()
    started = CLOCK.monotonic()

    def check() -> None:
        if call.ends_at is not None and CLOCK.monotonic() >= call.ends_at:
            raise _deadline_passed(call, answer.request)

    try:
        response.receive(answer, limit=limit, check=check)
    except requests.RequestException as error:
        answer.close()
        attempts = getattr(answer, "attempts", 1)
        seconds = CLOCK.monotonic() - started
        errors.annotate(error, answer.request, attempts=attempts, seconds=seconds, stop_reason=None)
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
