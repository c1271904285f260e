"""What follows a failed attempt: whether there is another, and after how long.

What is repeated follows from one question: may the server have acted already?
A request that was never sent is repeated whatever its method; one that may have been
processed, only when repeating it does no harm (RFC 9110 section 9.2.2) or when the server
knows it by an idempotency key.

Rule: the only importer of tenacity.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Collection
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, cast

import requests
import urllib3

from httpkit._core import error_redaction, interrupts, rate_limit_fields, redaction
from httpkit._core.classes import Frozen, public
from httpkit._core.clock import CLOCK
from httpkit._core.upstream import RequestsResponse
from httpkit._diagnostics import errors, log_records
from httpkit._diagnostics.base_errors import (
    ChunkedEncodingError,
    ConfigurationError,
    ConnectTimeout,
    HTTPError,
    ProxyError,
    ReadTimeout,
    SSLError,
    check_seconds,
)
from httpkit._messages.call import call_of
from httpkit._messages.request import may_repeat
from httpkit._policy.retry import RetryPolicy, RetryState

if TYPE_CHECKING:
    import tenacity

# The server says that it did not process the request: safe for any method.
_UNPROCESSED_STATUSES = frozenset({408, 425, 429})
# Overload needs longer pauses than a glitch.
_OVERLOAD_STATUSES = frozenset({429, 503})
_OVERLOAD_BACKOFF = 1.0


@public
class RetryEvent(Frozen):
    """A retry, as `on_retry` receives it before each wait.

    Attributes:
        attempt: The number of the attempt that failed; 1 after the first failure.
        wait: Seconds until the next attempt.
        method: The request's method.
        url: The request's URL, redacted.
        status: The status that is retried; None after a transport error.
        error: The transport error that is retried; None after a status.
    """

    _fields = ("attempt", "wait", "method", "url", "status", "error")

    attempt: int
    wait: float
    method: str
    url: str
    status: int | None
    error: Exception | None

    def __init__(
        self,
        attempt: int,
        wait: float,
        method: str,
        url: str,
        status: int | None,
        error: Exception | None,
    ) -> None:
        self.__dict__.update(
            attempt=attempt, wait=wait, method=method, url=url, status=status, error=error
        )


Failure = Literal["never sent", "maybe sent", "final"]


def classify(error: BaseException) -> Failure:
    """Say whether a request that failed this way may have reached the server."""
    final = (errors.HTTPKitError, requests.exceptions.ContentDecodingError)
    if isinstance(error, final) or _is_of_caller(error):
        return "final"
    if isinstance(error, SSLError):
        return _classify_tls(error)
    if isinstance(error, ConnectTimeout):
        return "never sent"
    if isinstance(error, (ReadTimeout, ChunkedEncodingError)):
        return "maybe sent"
    if type(error) in {requests.ConnectionError, ProxyError}:
        return _classify_connection(error)
    # A subclass that requests does not define is a mock's or an adapter's own verdict.
    return "final"


def _is_of_caller(error: BaseException) -> bool:
    """Say whether the body's source or a signal handler raised it, whatever its class."""
    return getattr(error, "of_source", False) or interrupts.is_from_handler(error)


def _classify_tls(error: BaseException) -> Failure:
    # The connection broke; other TLS errors (a certificate, a version) would recur.
    broken = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)
    found = list(error_redaction.causes(error))
    if not any(isinstance(cause, broken) for cause in found):
        return "final"
    is_unsent = any(getattr(cause, "is_unsent", False) for cause in found)
    return "never sent" if is_unsent else "maybe sent"


def _classify_connection(error: BaseException) -> Failure:
    cause = error.args[0] if error.args else None
    if isinstance(cause, str) and "refused by Responses" in cause:
        return "final"  # the mock library has no such URL; waiting will not help
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.ProxyError):
        reason = reason.original_error
    if isinstance(reason, urllib3.exceptions.SSLError):  # in the handshake with a proxy
        return _classify_tls(error)
    if isinstance(reason, OSError) and not isinstance(reason, (ConnectionError, TimeoutError)):
        return "final"  # an unreadable certificate file, say: nothing that time will mend
    if isinstance(reason, (ValueError, urllib3.exceptions.LocationParseError)):
        return "final"  # a host that no resolver can be asked for
    never_sent = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError)
    return "never sent" if isinstance(reason, never_sent) else "maybe sent"


class RetryLoop:
    """The judge of one request's attempts, for tenacity.

    Attributes:
        state: What happened so far.
        policy: What the caller wants.
    """

    def __init__(self, state: RetryState, policy: RetryPolicy) -> None:
        self.state = state
        self.policy = policy
        self._wait: float = 0.0

    @property
    def _method(self) -> str:
        return self.state.request.method or "GET"

    def wants_more(
        self, outcome: requests.Response | BaseException, call: tenacity.RetryCallState
    ) -> bool:
        """Judge the last attempt; sets the wait, or the reason to stop.

        Args:
            outcome: What it gave.
            call: What tenacity knows of the attempts, for its strategies.
        """
        outcome = as_outcome(outcome)
        if isinstance(outcome, RequestsResponse):
            if self.state.is_final(outcome):
                return False
        elif not isinstance(outcome, BaseException):  # pyright: ignore[reportUnnecessaryIsInstance]  # a mock
            return False
        self.state.stop_reason = self._reason_to_stop(outcome, call)
        return self.state.stop_reason is None

    def _reason_to_stop(
        self, outcome: requests.Response | BaseException, call: tenacity.RetryCallState
    ) -> str | None:
        # Asking for a token has retries of its own: they must not multiply.
        if self.state.is_unsigned:
            return "it could not be signed"
        reason: str | None
        if call_of(self.state.request).idempotent is False:
            reason = "the call says idempotent=False"
        elif isinstance(outcome, RequestsResponse):
            reason = self._status_reason(outcome)
        else:
            reason = self._error_reason(outcome)
        if reason is not None:
            return reason
        if self.policy.stop is None and self.state.attempts >= self.policy.attempts:
            return f"all {self.policy.attempts} attempts were made"
        if self.state.not_replayable_reason:
            return f"not repeated: {self.state.not_replayable_reason}"
        return self._wait_reason(outcome, call)

    def _status_reason(self, response: requests.Response) -> str | None:
        status = effective_status(response)
        if self._may_repeat() or status in _UNPROCESSED_STATUSES:
            return None
        if status == 503 and requested_wait(response) is not None:
            return None
        return f"{self._method} is not repeated after {status} without an idempotency key"

    def _error_reason(self, error: BaseException) -> str | None:
        failure = classify(error)
        if failure == "final" or not isinstance(error, Exception):
            return f"{type(error).__name__} is not retried"
        if failure == "never sent" or self._may_repeat():
            return None
        return f"{self._method} is not repeated without an idempotency key: it may have arrived"

    def _may_repeat(self) -> bool:
        policy = self.policy
        return may_repeat(self.state.request, policy.methods, policy.idempotency_header)

    def _wait_reason(
        self,
        outcome: requests.Response | BaseException,
        call: tenacity.RetryCallState,
    ) -> str | None:
        requested, policy = requested_wait(outcome), self.policy
        if requested is not None and requested > policy.max_retry_after:
            limit = f"max_retry_after={policy.max_retry_after:g} s"
            return f"the server asks for {requested:g} s, longer than {limit}"
        # For strategies that look at the time: by the clock of a test, and from the beginning.
        call.start_time = (call.outcome_timestamp or 0.0) - (CLOCK.monotonic() - self.state.started)
        if policy.wait is None:
            wait = backoff(policy, self.state.attempts, effective_status(outcome))
        else:
            wait = _seconds(policy.wait(call))
        self._wait = call.upcoming_sleep = max(wait, requested or 0.0)
        if policy.stop is not None and policy.stop(call):
            return f"stop= ended it after {self.state.attempts} attempts"
        if self._wait >= self.state.deadline.remaining():
            return f"the deadline leaves no time for a wait of {self._wait:.2f} s"
        return self._budget_reason(outcome)

    def _budget_reason(self, outcome: requests.Response | BaseException) -> str | None:
        budget = self.policy.budget
        if budget is None:
            return None
        tokens = self.state.spend(outcome, budget)
        if tokens is None:
            return f"the retry budget of {budget} tokens for this host is spent"
        self.state.tokens_spent += tokens
        return None

    def before_sleep(self, outcome: requests.Response | BaseException) -> float:
        """Log the coming wait, tell `on_retry` of it, and return its seconds."""
        outcome = as_outcome(outcome)
        if isinstance(outcome, Exception):
            error_redaction.scrub(outcome, keeps_third_party=self.state.keeps_third_party)
        log_records.retry(
            self.state.request,
            outcome,
            attempt=self.state.attempts,
            wait=self._wait,
            longest=self.policy.max_backoff,
            announced=self._should_log(outcome),
        )
        if self.policy.on_retry:
            self.policy.on_retry(
                RetryEvent(
                    attempt=self.state.attempts,
                    wait=self._wait,
                    method=self._method,
                    url=redaction.redact_url(self.state.request.url or ""),
                    status=_status(outcome),
                    error=outcome if isinstance(outcome, Exception) else None,
                )
            )
        return self._wait

    def _should_log(self, outcome: requests.Response | BaseException) -> bool | None:
        should_log = self.state.should_log
        if should_log is None or not isinstance(outcome, RequestsResponse):
            return None
        if requested_wait(outcome) is None:
            return None
        return should_log(self._wait, outcome.elapsed.total_seconds())


def as_outcome(outcome: requests.Response | BaseException) -> requests.Response | BaseException:
    """Return what to judge: an HTTPError raised by a caller's own hook means its response."""
    if isinstance(outcome, HTTPError) and outcome.response is not None:
        return outcome.response
    return outcome


def pause_for_all(policy: RetryPolicy, response: requests.Response) -> float:
    """Return the seconds for which a response asks all threads to wait; 0 for most.

    A pause that the policy would not wait for is none: the next request may ask again.
    """
    status = effective_status(response)
    if status not in _OVERLOAD_STATUSES or status not in policy.statuses:
        return 0.0
    wait = requested_wait(response) or 0.0
    return wait if wait <= policy.max_retry_after else 0.0


def _status(outcome: requests.Response | BaseException) -> int | None:
    return outcome.status_code if isinstance(outcome, RequestsResponse) else None


def requested_wait(outcome: requests.Response | BaseException) -> float | None:
    """Return the seconds that a response asks to wait; None when it does not."""
    if not isinstance(outcome, RequestsResponse):
        return None
    state = outcome.__dict__
    wait: float | None
    if "_requested_wait" not in state:  # several rules ask, one after the other
        wait = rate_limit_fields.requested_wait(outcome.status_code, outcome.headers, CLOCK.wall())
        state["_requested_wait"] = wait
    wait = state["_requested_wait"]
    return wait


def effective_status(outcome: requests.Response | BaseException) -> int | None:
    """Return the status to judge a response by; None for an error.

    A 403 that says when to come back is a 429: GitHub sends it to those who are over its limits.
    """
    status = _status(outcome)
    return 429 if status == 403 and requested_wait(outcome) is not None else status


def _seconds(wait: object) -> float:
    """Return what a caller's `wait=` says, as seconds.

    Raises:
        ConfigurationError: It is not a number, or below 0.
    """
    try:
        check_seconds("wait", wait)
    except ConfigurationError as error:
        raise ConfigurationError(f"wait= returned no number of seconds: {error}") from error
    return float(cast("float", wait))


def backoff(policy: RetryPolicy, failures: int, status: int | None) -> float:
    """Return the seconds to wait after so many failures in a row, 1 or more."""
    return longest_backoff(policy, failures, status) * CLOCK.jitter()


def longest_backoff(policy: RetryPolicy, failures: int, status: int | None) -> float:
    """Return the same without the random factor."""
    base = policy.backoff
    if base and status in _OVERLOAD_STATUSES:
        base = max(base, _OVERLOAD_BACKOFF)
    # The exponent is bounded: 2.0 ** 1100 overflows.
    return min(policy.max_backoff, base * 2.0 ** min(failures - 1, 60))


def _forget_halves(known: Collection[str]) -> None:
    """Forget the modules of an import that was interrupted: with them the next would fail.

    Those are modules whose package is not there: of tenacity, and of what it imports (asyncio).

    Args:
        known: The names of the modules before.
    """
    new = [name for name in sys.modules if name not in known]
    for name in new:
        packages = accumulate(name.split(".")[:-1], "{}.{}".format)
        if not all(package in sys.modules for package in packages):
            sys.modules.pop(name, None)


def retry_from(
    first: requests.Response | requests.RequestException,
    attempt: Callable[[RetryState], requests.Response],
    loop: RetryLoop,
    release: Callable[[requests.Response], None],
) -> requests.Response:
    """Go on after a first attempt that may be retried: tenacity runs the loop.

    Args:
        first: What the first attempt returned or raised.
        attempt: Sends once, and counts it.
        loop: Judges each outcome.
        release: Frees the connection of a response that is not the last one.

    Raises:
        Exception: What the last attempt raised, unchanged.
    """
    known = () if "tenacity" in sys.modules else frozenset(sys.modules)
    try:
        import tenacity
    except BaseException:
        _forget_halves(known)
        raise

    outcomes: list[requests.Response | BaseException] = []

    def step() -> requests.Response:
        if outcomes:
            return attempt(loop.state)
        if isinstance(first, Exception):
            raise first
        return first

    def wants_more(call: tenacity.RetryCallState) -> bool:
        future = call.outcome
        assert future is not None  # noqa: S101  # tenacity asks only after an attempt
        outcomes[:] = [future.exception() or future.result()]
        return _wants_more(loop, outcomes[0], call)

    def before_sleep(_: tenacity.RetryCallState) -> float:
        response = as_outcome(outcomes[0])
        try:
            return loop.before_sleep(outcomes[0])
        finally:  # also when on_retry raises: nobody will read this response
            if isinstance(response, RequestsResponse):
                release(response)

    retrying = tenacity.Retrying(
        retry=wants_more, wait=before_sleep, sleep=CLOCK.sleep, reraise=True
    )
    return retrying(step)


def _wants_more(
    loop: RetryLoop,
    outcome: requests.Response | BaseException,
    call: tenacity.RetryCallState,
) -> bool:
    """Judge an outcome; close its response when a strategy of the caller's raises."""
    try:
        return loop.wants_more(outcome, call)
    except BaseException:
        if isinstance(response := as_outcome(outcome), RequestsResponse):
            response.close()
        raise
