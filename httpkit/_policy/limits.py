"""How much a host can bear: a budget for retries, a pause it asked for, a rate to keep.

When a server is down, retries multiply its load by the number of attempts just when it can
bear it least. A budget lets a few requests retry freely and stops a flood of them. A server
that says when to come back says it to every thread. The only importer of pyrate-limiter.

Rule: nothing here waits; the delivery does.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeAlias, runtime_checkable

from httpkit._core import forks, interrupts
from httpkit._core.patterns import pattern
from httpkit._core.public import public
from httpkit._diagnostics.errors import ConfigurationError

# After botocore's standard mode: a lost connection costs more than an error status. A call that
# gets through gives back what its retries cost, so that the budget ends no long job.
STATUS_COST = 5
TRANSPORT_COST = 14
SUCCESS_GAIN = 1
# Hosts that are remembered at least; a crawler that meets a million of them must not grow.
_MOST_HOSTS = 1024


class _Shared:
    """State that the threads of a session share; after a fork the child has a lock of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        forks.watch(self)

    def reset_after_fork(self) -> None:
        """Replace the lock: a thread that is not here any more may have held it at the fork."""
        self._lock = Lock()


class Budget(_Shared):
    """A token bucket for each host, shared by the threads of a session.

    Attributes:
        spent: Tokens that are missing, by host; most hosts miss none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spent: dict[str, int] = {}

    def spend(self, host: str, cost: int, capacity: int) -> bool:
        """Take tokens for one retry; say whether there were enough."""
        with self._lock:
            spent = self.spent.get(host, 0) + cost
            if spent > capacity:
                return False
            self.spent[host] = spent
            return True

    def refund(self, host: str, tokens: int) -> None:
        """Give back tokens after a success; a host never has more than the capacity."""
        if host not in self.spent:  # most hosts never fail: no lock for them
            return
        with self._lock:
            left = self.spent.get(host, 0) - tokens
            if left > 0:
                self.spent[host] = left
            else:
                self.spent.pop(host, None)

    def __reduce__(self) -> tuple[type[Budget], tuple[()]]:
        return Budget, ()


# Seconds. A retry waits for the same moment, but reads the clocks a little later than the throttle
# did: what is left then is no reason for another wait.
_SHORTEST_HOLD = 0.01
# Seconds. Waits that differ by no more are one wait to a reader of the log: servers round what they
# ask for to seconds.
_SAME_WAIT = 1.0


class HostThrottle(_Shared):
    """Until when each host asked to be left alone, shared by the threads of a session.

    Attributes:
        ends: Seconds on the monotonic clock, by host; most hosts never ask.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, float] = {}
        self._announced: dict[str, tuple[float, float]] = {}

    def extend(self, host: str, now: float, seconds: float) -> None:
        """Leave a host alone for so long from now, or longer if it said so before."""
        with self._lock:
            if len(self.ends) >= _MOST_HOSTS:
                self.ends = {name: end for name, end in self.ends.items() if end > now}
            self.ends[host] = max(now + seconds, self.ends.get(host, now))

    def left(self, host: str, now: float) -> float:
        """Return the seconds that a host is still to be left alone; 0 when it is not."""
        left = self.ends.get(host, now) - now
        return left if left > _SHORTEST_HOLD else 0.0

    def announce(self, host: str, now: float, seconds: float, *, sent_at: float) -> bool:
        """Say whether a wait is to be logged: not if other threads are in one of that length.

        Args:
            host: Which one asked to wait.
            now: Seconds on the monotonic clock.
            seconds: How long the wait is.
            sent_at: When the request was sent that was told to wait: one that was on its way
                when another was told has no news.
        """
        with self._lock:
            end, longest = self._announced.get(host, (-math.inf, 0.0))
            is_news = sent_at >= end or seconds > longest + _SAME_WAIT
            if len(self._announced) >= _MOST_HOSTS:
                self._announced = {}
            longest = seconds if is_news else longest
            self._announced[host] = max(end, now + seconds), longest
            return is_news

    def __reduce__(self) -> tuple[type[HostThrottle], tuple[()]]:
        return HostThrottle, ()


@public
@runtime_checkable
class Limiter(Protocol):
    """What a limiter of pyrate-limiter's kind has, one that processes share for instance."""

    def try_acquire(
        self, name: str = ..., weight: int = ..., blocking: bool = ..., timeout: float = ...
    ) -> bool | Awaitable[bool]:
        """Wait for a place at most so many seconds, -1 for ever; say whether there is one."""
        ...


RateLimit: TypeAlias = str | float | Limiter | None

_SECONDS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60,
    "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600, "d": 86_400, "day": 86_400,
    "days": 86_400,
}  # fmt: skip
_SPELLING = pattern(r"\s*(\d{1,9})\s*(?:/|per)\s*(\d{0,9})\s*([a-z]+)\s*")
# Beyond these a rate is a mistake: a request in twelve days, a million a second.
_SLOWEST, _FASTEST = 1e-6, 1e6


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many requests in any span of so many seconds."""

    requests: int
    seconds: float


def read_rate(rate_limit: object) -> Rate:
    """Read a rate: "10/s", "100/min", "5000/hour", "10 per 2 s", or requests a second.

    A number that is not whole spaces them evenly: 2.5 is one in each 0.4 seconds.

    Raises:
        ConfigurationError: It is none of these, or no request could ever be sent.
    """
    if isinstance(rate_limit, str) and (found := _SPELLING.fullmatch(rate_limit.lower())):
        rate = Rate(int(found[1]), int(found[2] or 1) * _SECONDS.get(found[3], 0))
        if rate.requests and rate.seconds:
            return rate
    number = math.nan
    if isinstance(rate_limit, (int, float)) and not isinstance(rate_limit, bool):
        number = rate_limit
    if _SLOWEST <= number <= _FASTEST:  # NaN fails here
        return Rate(int(number), 1) if number == int(number) else Rate(1, 1 / number)
    raise ConfigurationError(
        f"rate_limit={rate_limit!r} must be such as '10/s' or '100/min', a number of requests a"
        " second, a limiter of pyrate-limiter, or None"
    )


def check_rate_limit(rate_limit: object) -> None:
    """Refuse what no `RateLimiter` can keep.

    Raises:
        ConfigurationError: It is no rate and no limiter, or pyrate-limiter is not installed.
    """
    if not isinstance(rate_limit, Limiter):
        read_rate(rate_limit)
        _pyrate_limiter()


class RateLimiter(_Shared):
    """Gives each request to a host its moment, so that a rate is kept.

    Args:
        rate_limit: As `read_rate` takes it, or a limiter of pyrate-limiter.

    Raises:
        ConfigurationError: It is neither, or pyrate-limiter is not installed.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        super().__init__()
        self.rate_limit = rate_limit
        self._limiter = rate_limit if isinstance(rate_limit, Limiter) else None
        self._rate = Rate(1, 1) if self._limiter else read_rate(rate_limit)
        self._buckets: dict[str, _Bucket] = {}
        self._announced: dict[str, float] = {}
        if self._limiter is None:
            self._new_bucket = _bucket_factory(self._rate)

    def wait(self, host: str, now: float, longest: float) -> float | None:
        """Return the seconds until a request may be sent; the place is taken.

        A limiter of the caller's waits by itself, and 0 is returned.

        Args:
            host: Which one; each has a rate of its own.
            now: Seconds on the monotonic clock.
            longest: Seconds that may be waited; infinity for ever.

        Returns:
            The seconds; None when they are more than the longest, and no place is taken.
        """
        if self._limiter is not None:
            return _ask(self._limiter, host, longest)
        with self._lock:
            bucket = self._buckets.get(host)
            if bucket is None:
                self._forget_idle(now)
                bucket = self._buckets[host] = self._new_bucket(host)
            return bucket.book(now, longest)

    def announce(self, host: str, now: float, seconds: float) -> bool:
        """Say whether a wait is to be logged: no thread waited for this host a moment ago."""
        with self._lock:
            is_news = now > self._announced.get(host, -math.inf) + _SAME_WAIT
            if len(self._announced) >= _MOST_HOSTS:
                self._announced = {}
            self._announced[host] = max(now + seconds, self._announced.get(host, now))
            return is_news

    def reset_after_fork(self) -> None:
        """Replace the lock, and the places, which have locks of their own."""
        super().reset_after_fork()
        self._buckets = {}

    def _forget_idle(self, now: float) -> None:
        if len(self._buckets) >= _MOST_HOSTS:
            since = now - self._rate.seconds
            self._buckets = {
                host: bucket for host, bucket in self._buckets.items() if bucket.last > since
            }

    def __reduce__(self) -> tuple[type[RateLimiter], tuple[RateLimit]]:
        return RateLimiter, (self.rate_limit,)


@dataclass(slots=True)
class _Bucket:
    """One host's places, on the monotonic clock in milliseconds, which pyrate-limiter counts in.

    Places lie in the future too: who takes one knows at once how long to wait, waits once, and
    is served in turn.
    """

    bucket: Any
    item: Callable[[int], Any]
    last: float = -math.inf

    def book(self, now: float, longest: float) -> float | None:
        """Take the next place, unless it is too far away; return the seconds until it comes."""
        item = self.item(int(max(now, self.last) * 1000))
        while (wait := item.timestamp / 1000 - now) <= 0 or wait < longest:
            if self.bucket.put(item):
                self.last = item.timestamp / 1000
                self.bucket.leak(int(now * 1000))
                return max(0.0, float(wait))
            item.timestamp += max(1, self.bucket.waiting(item))
        return None


def _pyrate_limiter() -> Any:
    try:
        import pyrate_limiter
    except ImportError as error:
        raise ConfigurationError(
            "rate_limit= needs pyrate-limiter: pip install 'requests-httpkit[rate-limit]'"
        ) from error
    return pyrate_limiter


def _bucket_factory(rate: Rate) -> Callable[[str], _Bucket]:
    pyrate_limiter = _pyrate_limiter()
    kept = pyrate_limiter.Rate(rate.requests, math.ceil(rate.seconds * 1000))
    return lambda host: _Bucket(
        pyrate_limiter.InMemoryBucket([kept]), lambda when: pyrate_limiter.RateItem(host, when)
    )


def _ask(limiter: Limiter, host: str, longest: float) -> float | None:
    timeout = -1 if longest == math.inf else max(0.0, longest)
    try:
        is_given = limiter.try_acquire(host, timeout=timeout)
    except TimeoutError as error:
        interrupts.reveal(error)
        return None
    if not isinstance(is_given, bool):
        raise ConfigurationError("rate_limit= is an asynchronous limiter, and sessions are not")
    return 0.0 if is_given else None
