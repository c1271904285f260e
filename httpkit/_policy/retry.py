"""Which requests are retried, and after how long. The only importer of tenacity.

What is repeated follows from one question: may the server have acted already?
A request that was never sent is repeated whatever its method; one that may have been
processed, only when repeating it does no harm (RFC 9110 section 9.2.2) or when the server
knows it by an idempotency key.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import requests
import urllib3
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectTimeout,
    ProxyError,
    ReadTimeout,
    SSLError,
)

from httpkit._core import header_fields
from httpkit._core.clock import CLOCK
from httpkit._core.deadline import Deadline
from httpkit._core.frozen import Frozen
from httpkit._core.later import ImportedLater
from httpkit._core.public import public
from httpkit._core.upstream import RequestsResponse
from httpkit._diagnostics import log_records
from httpkit._diagnostics.base_errors import ConfigurationError
from httpkit._diagnostics.checks import check_count, check_seconds, is_count
from httpkit._messages.call import call_of
from httpkit._messages.request import may_repeat
from httpkit._messages.response import Response, adopt

if TYPE_CHECKING:
    import tenacity

    from httpkit._core import error_redaction, interrupts, rate_limit_fields, redaction
    from httpkit._diagnostics import errors
else:
    errors = ImportedLater("httpkit._diagnostics.errors")
    interrupts = ImportedLater("httpkit._core.interrupts")
    error_redaction = ImportedLater("httpkit._core.error_redaction")
    redaction = ImportedLater("httpkit._core.redaction")
    rate_limit_fields = ImportedLater("httpkit._core.rate_limit_fields")
    tenacity = ImportedLater("tenacity")

# 520 to 524 are Cloudflare's words for 502 to 504, 529 is that of several APIs for an overload.
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

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


@public
class RetryPolicy(Frozen):
    """Which requests are retried, how often, and after which wait.

    The n-th wait is `min(max_backoff, backoff * 2**(n-1))` seconds times a random factor between
    0.5 and 1; after 429 and 503 it starts at 1 second. A Retry-After is the minimum.

    Args:
        attempts: The most times a request is sent, 1 or more.
        backoff: Seconds before the second attempt, 0 or more; 0 waits only for Retry-After.
        max_backoff: The longest wait in seconds that the client chooses itself, 0 or more.
        max_retry_after: The longest Retry-After, in seconds, that is waited for, 0 or more; a
            longer one gives up at once, with `.retry_after` on the error.
        statuses: The statuses that are retried; after 408, 425 and 429, and after 503 with
            Retry-After, whatever the method.
        methods: The methods that may be repeated although the server may have acted (RFC
            9110 section 9.2.2); any is, with an idempotency key.
        budget: Tokens that a session has for retries of each host, 1 or more: a status costs
            5, a lost connection 14, a wait that the server requested 0. A success gives
            back 1, and all that the retries of its call cost. None is no limit.
        on_retry: Called with a RetryEvent before each wait; None calls nothing.
        retry_if: Called with a response that is not retried anyway, its body read; true retries
            it as an error status would be, for failures that HTTP does not show. It is not
            called for streams. When attempts run out, the last response is returned. None
            asks nothing.
        wait: A wait strategy of tenacity, or a callable on its RetryCallState that returns
            seconds; it replaces the wait above, with Retry-After as a floor. None keeps it.
        stop: A stop strategy of tenacity, or such a callable that returns whether to stop; it
            replaces `attempts`. None keeps them.
        idempotency_header: The name of the header for `idempotency_key=`.

    Raises:
        ConfigurationError: A number is out of its bounds, or another value is of no use.
    """

    _fields = (
        "attempts", "backoff", "max_backoff", "max_retry_after", "statuses", "methods", "budget",
        "on_retry", "retry_if", "wait", "stop", "idempotency_header",
    )  # fmt: skip

    attempts: int
    backoff: float
    max_backoff: float
    max_retry_after: float
    statuses: Collection[int]
    methods: Collection[str]
    budget: int | None
    on_retry: Callable[[RetryEvent], None] | None
    retry_if: Callable[[Response], bool] | None
    wait: Callable[[tenacity.RetryCallState], float] | None
    stop: Callable[[tenacity.RetryCallState], bool] | None
    idempotency_header: str

    def __init__(
        self,
        *,
        attempts: int = 3,
        backoff: float = 0.5,
        max_backoff: float = 8.0,
        max_retry_after: float = 120.0,
        statuses: Collection[int] = RETRIED_STATUSES,
        methods: Collection[str] = IDEMPOTENT_METHODS,
        budget: int | None = 500,
        on_retry: Callable[[RetryEvent], None] | None = None,
        retry_if: Callable[[Response], bool] | None = None,
        wait: Callable[[tenacity.RetryCallState], float] | None = None,
        stop: Callable[[tenacity.RetryCallState], bool] | None = None,
        idempotency_header: str = "Idempotency-Key",
    ) -> None:
        self.__dict__.update(
            attempts=attempts,
            backoff=backoff,
            max_backoff=max_backoff,
            max_retry_after=max_retry_after,
            statuses=_as_set("statuses", statuses, int),
            methods=frozenset(method.upper() for method in _as_set("methods", methods, str)),
            budget=budget,
            on_retry=on_retry,
            retry_if=retry_if,
            wait=wait,
            stop=stop,
            idempotency_header=idempotency_header,
        )
        self._check()

    def _check(self) -> None:
        check_count("attempts", self.attempts, least=1)
        for name in ("backoff", "max_backoff", "max_retry_after"):
            check_seconds(name, getattr(self, name))
        check_count("budget", self.budget, least=1, is_optional=True)
        for name in ("on_retry", "retry_if", "wait", "stop"):
            if (function := getattr(self, name)) is not None and not callable(function):
                raise ConfigurationError(f"{name}={function!r} cannot be called")
        header = self.idempotency_header
        if not isinstance(header, str) or not header_fields.is_name(header):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"idempotency_header={header!r} is not a header name")

    def __repr__(self) -> str:
        """Show what is not as it is by default."""
        from dataclasses import fields

        pairs = ((each.name, each.default, getattr(self, each.name)) for each in fields(self))
        changed = (f"{name}={_formatted(value)}" for name, usual, value in pairs if value != usual)
        return f"{type(self).__name__}({', '.join(changed)})"

    def _repr_html_(self) -> str:
        """Return a card for a notebook."""
        from httpkit._display import cards

        return cards.of_facts(self, self._facts)

    def _facts(self) -> Iterator[tuple[str, object]]:
        yield "attempts", self.attempts
        waits = [
            _longest_backoff(self, failures, None) for failures in range(1, min(self.attempts, 6))
        ]
        ranges = ", ".join(f"{wait / 2:g} to {wait:g} s" for wait in waits)
        yield "waits", f"{ranges or 'none'}{', …' if self.attempts > 6 else ''}"
        yield "Retry-After", f"waited for up to {self.max_retry_after:g} s"
        yield "statuses", ", ".join(map(str, sorted(self.statuses)))
        yield "methods", ", ".join(sorted(self.methods))
        yield "budget", "off" if self.budget is None else f"{self.budget} tokens for each host"
        yield "idempotency header", self.idempotency_header
        for name in ("on_retry", "retry_if", "wait", "stop"):
            if (function := getattr(self, name)) is not None:
                yield name, getattr(function, "__qualname__", type(function).__name__)


def _formatted(value: object) -> str:
    """Format a set in order, so that equal policies look equal."""
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(repr, cast('frozenset[object]', value))))}}}"
    return repr(value)


T = TypeVar("T")


def _as_set(name: str, values: Iterable[T], cls: type[T]) -> frozenset[T]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"{name}={values!r} must be a set of {cls.__name__}")
    found = frozenset(values)
    if not all(isinstance(value, cls) and not isinstance(value, bool) for value in found):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"{name}={values!r} must hold {cls.__name__} only")
    return found


def as_policy(retry: RetryPolicy | int | None) -> RetryPolicy | None:
    """Return the policy for `retry=`: a number means that many attempts, None means off.

    Raises:
        ConfigurationError: It is neither.
    """
    if retry is None or isinstance(retry, RetryPolicy):
        return retry
    if not is_count(retry, least=1):
        raise ConfigurationError(f"retry={retry!r} must be a RetryPolicy, a count from 1, or None")
    return RetryPolicy(attempts=retry)


# The connection broke; other TLS errors (a certificate, a version) would recur.
_BROKEN_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)

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
    found = list(error_redaction.causes(error))
    if not any(isinstance(cause, _BROKEN_TLS) for cause in found):
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


class RetryState:
    """The attempts of one request: how many there were, and whether there is another.

    Attributes:
        policy: None when retries are off.
        request: What is sent.
        not_replayable_reason: Why the body cannot be resent; None when it can.
        deadline: Of the call.
        spend: Takes the price of a retry from the host's budget and returns it, in tokens; None
            when the budget is spent.
        keeps_third_party: Whether errors of mocks and third-party adapters keep their messages.
        started: When the first attempt began, on the monotonic clock.
        checks_retry_if: Whether `retry_if` of the policy is called: not for streams.
        should_log: Says whether a wait that the server requested is to be logged: no other thread
            has done so. It takes the seconds to wait, and those since the request was sent.
        attempts: How often it was sent.
        tokens_spent: What its retries cost of the host's budget.
        was_refreshed: Whether a rejected signature was replaced once already.
        is_unsigned: Whether the last attempt failed while it was signed.
        not_refreshed_reason: Why a rejected signature was not replaced; None when it was or had no
            need to be.
        stop_reason: Why it is not retried; None while that is open.
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy | None,
        request: requests.PreparedRequest,
        not_replayable_reason: str | None,
        deadline: Deadline,
        spend: Callable[[requests.Response | BaseException, int], int | None],
        keeps_third_party: bool,
        started: float,
        checks_retry_if: bool,
        should_log: Callable[[float, float], bool] | None,
    ) -> None:
        self.policy = policy
        self.request = request
        self.not_replayable_reason = not_replayable_reason
        self.deadline = deadline
        self.spend = spend
        self.keeps_third_party = keeps_third_party
        self.started = started
        self.checks_retry_if = checks_retry_if
        self.should_log = should_log
        self.attempts: int = 0
        self.tokens_spent: int = 0
        self.was_refreshed: bool = False
        self.is_unsigned: bool = False
        self.not_refreshed_reason: str | None = None
        self.stop_reason: str | None = None
        self._wait: float = 0.0
        self._rejected: tuple[requests.Response, bool] | None = None

    @property
    def _method(self) -> str:
        return self.request.method or "GET"

    def is_final(self, response: requests.Response) -> bool:
        """Say whether a response is not retried, whatever else is true: most are not."""
        if self.policy is None:
            return True
        status = response.status_code
        if (_effective_status(response) if status == 403 else status) in self.policy.statuses:
            return False
        return self.policy.retry_if is None or not self._is_rejected(self.policy.retry_if, response)

    def _is_rejected(
        self, retry_if: Callable[[Response], bool], response: requests.Response
    ) -> bool:
        """Ask the policy's own function about a response, once."""
        if not self.checks_retry_if or response.is_redirect:
            return False
        if self._rejected is None or self._rejected[0] is not response:
            try:
                self._rejected = response, bool(retry_if(adopt(response)))
            except BaseException:
                response.close()
                raise
        return self._rejected[1]

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
            if self.is_final(outcome):
                return False
        elif not isinstance(outcome, BaseException):  # pyright: ignore[reportUnnecessaryIsInstance]  # a mock
            return False
        self.stop_reason = self._reason_to_stop(outcome, call)
        return self.stop_reason is None

    def _reason_to_stop(
        self, outcome: requests.Response | BaseException, call: tenacity.RetryCallState
    ) -> str | None:
        if self.policy is None:
            return "retries are off"
        if self.is_unsigned:  # asking for a token has retries of its own: they must not multiply
            return "it could not be signed"
        reason: str | None
        if call_of(self.request).idempotent is False:
            reason = "the call says idempotent=False"
        elif isinstance(outcome, RequestsResponse):
            reason = self._status_reason(outcome, self.policy)
        else:
            reason = self._error_reason(outcome)
        if reason is not None:
            return reason
        if self.policy.stop is None and self.attempts >= self.policy.attempts:
            return f"all {self.policy.attempts} attempts were made"
        if self.not_replayable_reason:
            return f"not repeated: {self.not_replayable_reason}"
        return self._wait_reason(outcome, self.policy, call)

    def _status_reason(self, response: requests.Response, policy: RetryPolicy) -> str | None:
        status = _effective_status(response)
        if self._may_repeat(policy) or status in _UNPROCESSED_STATUSES:
            return None
        if status == 503 and requested_wait(response) is not None:
            return None
        return f"{self._method} is not repeated after {status} without an idempotency key"

    def _error_reason(self, error: BaseException) -> str | None:
        failure = classify(error)
        if failure == "final" or not isinstance(error, Exception):
            return f"{type(error).__name__} is not retried"
        if failure == "never sent" or (self.policy and self._may_repeat(self.policy)):
            return None
        return f"{self._method} is not repeated without an idempotency key: it may have arrived"

    def _may_repeat(self, policy: RetryPolicy) -> bool:
        return may_repeat(self.request, policy.methods, policy.idempotency_header)

    def _wait_reason(
        self,
        outcome: requests.Response | BaseException,
        policy: RetryPolicy,
        call: tenacity.RetryCallState,
    ) -> str | None:
        requested = requested_wait(outcome)
        if requested is not None and requested > policy.max_retry_after:
            limit = f"max_retry_after={policy.max_retry_after:g} s"
            return f"the server asks for {requested:g} s, longer than {limit}"
        # For strategies that look at the time: by the clock of a test, and from the beginning.
        call.start_time = (call.outcome_timestamp or 0.0) - (CLOCK.monotonic() - self.started)
        if policy.wait is None:
            wait = backoff(policy, self.attempts, _effective_status(outcome))
        else:
            wait = _seconds(policy.wait(call))
        self._wait = call.upcoming_sleep = max(wait, requested or 0.0)
        if policy.stop is not None and policy.stop(call):
            return f"stop= ended it after {self.attempts} attempts"
        if self._wait >= self.deadline.remaining():
            return f"the deadline leaves no time for a wait of {self._wait:.2f} s"
        return self._budget_reason(outcome, policy)

    def _budget_reason(
        self, outcome: requests.Response | BaseException, policy: RetryPolicy
    ) -> str | None:
        if policy.budget is None:
            return None
        tokens = self.spend(outcome, policy.budget)
        if tokens is None:
            return f"the retry budget of {policy.budget} tokens for this host is spent"
        self.tokens_spent += tokens
        return None

    def refund(self, response: requests.Response) -> int:
        """Return the tokens that a call gives back for its last response; 0 after a failure."""
        is_failure = response.status_code >= 500 or not self.is_final(response)
        return 0 if is_failure else self.tokens_spent

    def before_sleep(self, outcome: requests.Response | BaseException) -> float:
        """Log the coming wait, tell `on_retry` of it, and return its seconds."""
        outcome = as_outcome(outcome)
        if isinstance(outcome, Exception):
            error_redaction.scrub(outcome, keeps_third_party=self.keeps_third_party)
        longest = self.policy.max_backoff if self.policy else 0.0
        log_records.retry(
            self.request,
            outcome,
            attempt=self.attempts,
            wait=self._wait,
            longest=longest,
            announced=self._should_log(outcome),
        )
        if self.policy and self.policy.on_retry:
            self.policy.on_retry(
                RetryEvent(
                    attempt=self.attempts,
                    wait=self._wait,
                    method=self._method,
                    url=redaction.redact_url(self.request.url or ""),
                    status=_status(outcome),
                    error=outcome if isinstance(outcome, Exception) else None,
                )
            )
        return self._wait

    def _should_log(self, outcome: requests.Response | BaseException) -> bool | None:
        if self.should_log is None or not isinstance(outcome, RequestsResponse):
            return None
        is_requested = requested_wait(outcome) is not None
        return (
            self.should_log(self._wait, outcome.elapsed.total_seconds()) if is_requested else None
        )


def as_outcome(outcome: requests.Response | BaseException) -> requests.Response | BaseException:
    """Return what to judge: an HTTPError raised by a caller's own hook means its response."""
    if isinstance(outcome, requests.HTTPError) and outcome.response is not None:
        return outcome.response
    return outcome


def pause_for_all(policy: RetryPolicy, response: requests.Response) -> float:
    """Return the seconds for which a response asks all threads to wait; 0 for most.

    A pause that the policy would not wait for is none: the next request may ask again.
    """
    status = _effective_status(response)
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


def _effective_status(outcome: requests.Response | BaseException) -> int | None:
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
    return _longest_backoff(policy, failures, status) * CLOCK.jitter()


def _longest_backoff(policy: RetryPolicy, failures: int, status: int | None) -> float:
    base = policy.backoff
    if base and status in _OVERLOAD_STATUSES:
        base = max(base, _OVERLOAD_BACKOFF)
    # The exponent is bounded: 2.0 ** 1100 overflows.
    return min(policy.max_backoff, base * 2.0 ** min(failures - 1, 60))


@contextmanager
def _whole_import(package: str) -> Generator[None]:
    """Import a package, or nothing of it: what an interrupt leaves would fail from then on."""
    try:
        yield
    except BaseException:
        for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
            del sys.modules[name]
        raise


def retry_from(
    first: requests.Response | requests.RequestException,
    attempt: Callable[[RetryState], requests.Response],
    state: RetryState,
    release: Callable[[requests.Response], None],
) -> requests.Response:
    """Go on after a first attempt that may be retried: tenacity runs the loop.

    Args:
        first: What the first attempt returned or raised.
        attempt: Sends once, and counts it.
        state: Judges each outcome.
        release: Frees the connection of a response that is not the last one.

    Raises:
        Exception: What the last attempt raised, unchanged.
    """
    with _whole_import("tenacity"):
        import tenacity

    outcomes: list[requests.Response | BaseException] = []

    def step() -> requests.Response:
        if outcomes:
            return attempt(state)
        if isinstance(first, Exception):
            raise first
        return first

    def wants_more(call: tenacity.RetryCallState) -> bool:
        future = call.outcome
        assert future is not None  # noqa: S101  # tenacity asks only after an attempt
        outcomes[:] = [future.exception() or future.result()]
        return _wants_more(state, outcomes[0], call)

    def before_sleep(_: tenacity.RetryCallState) -> float:
        response = as_outcome(outcomes[0])
        try:
            return state.before_sleep(outcomes[0])
        finally:  # also when on_retry raises: nobody will read this response
            if isinstance(response, RequestsResponse):
                release(response)

    retrying = tenacity.Retrying(
        retry=wants_more, wait=before_sleep, sleep=CLOCK.sleep, reraise=True
    )
    return retrying(step)


def _wants_more(
    state: RetryState,
    outcome: requests.Response | BaseException,
    call: tenacity.RetryCallState,
) -> bool:
    """Judge an outcome; close its response when a strategy of the caller's raises."""
    try:
        return state.wants_more(outcome, call)
    except BaseException:
        if isinstance(response := as_outcome(outcome), RequestsResponse):
            response.close()
        raise
