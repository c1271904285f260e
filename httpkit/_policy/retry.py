"""When a request is retried: the policy, and the state of one call's attempts.

`retry_loop` decides after a first attempt that failed; most calls never import it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

from httpkit._core import header_fields
from httpkit._core.classes import Frozen, public
from httpkit._core.lazy import ImportedLater
from httpkit._diagnostics.base_errors import (
    ConfigurationError,
    check_count,
    check_seconds,
    is_count,
)
from httpkit._messages.response import Response, adopt

if TYPE_CHECKING:
    import requests
    import tenacity

    from httpkit._core.clock import Deadline
    from httpkit._policy import retry_loop
else:
    retry_loop = ImportedLater("httpkit._policy.retry_loop")
    tenacity = ImportedLater("tenacity")

# 520 to 524 are Cloudflare's words for 502 to 504, 529 is that of several APIs for an overload.
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


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
    on_retry: Callable[[retry_loop.RetryEvent], None] | None
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
        on_retry: Callable[[retry_loop.RetryEvent], None] | None = None,
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
        failures, longest = range(1, min(self.attempts, 6)), retry_loop.longest_backoff
        waits = [longest(self, number, None) for number in failures]
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
        self._rejected: tuple[requests.Response, bool] | None = None

    def is_final(self, response: requests.Response) -> bool:
        """Say whether a response is not retried, whatever else is true: most are not."""
        if self.policy is None:
            return True
        status = response.status_code
        if status == 403:
            status = retry_loop.effective_status(response) or status
        if status in self.policy.statuses:
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

    def refund(self, response: requests.Response) -> int:
        """Return the tokens that a call gives back for its last response; 0 after a failure."""
        is_failure = response.status_code >= 500 or not self.is_final(response)
        return 0 if is_failure else self.tokens_spent
