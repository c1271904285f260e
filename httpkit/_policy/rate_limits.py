"""The rate of a session: which limits there are, and when the next request may be sent.

The only importer of pyrate-limiter.

Rule: nothing here waits but a limiter of the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from httpkit._core import interrupts
from httpkit._core.classes import public
from httpkit._core.forks import OfSession
from httpkit._core.lazy import pattern
from httpkit._diagnostics.errors import ConfigurationError
from httpkit._policy.limits import MOST_HOSTS, SAME_WAIT


@public
@runtime_checkable
class Limiter(Protocol):
    """The interface of pyrate-limiter's limiters, such as one that several processes share."""

    def try_acquire(
        self, name: str = ..., weight: int = ..., blocking: bool = ..., timeout: float = ...
    ) -> bool | Awaitable[bool]:
        """Wait at most that many seconds, -1 for ever; return whether the request may be sent."""
        ...


RateLimit: TypeAlias = str | float | Limiter | None

_SECONDS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60,
    "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600, "d": 86_400, "day": 86_400,
    "days": 86_400,
}  # fmt: skip
_RATE = pattern(r"\s*(\d{1,9})\s*(?:/|per)\s*(\d{0,9})\s*([a-z]+)\s*")
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
    if isinstance(rate_limit, str) and (found := _RATE.fullmatch(rate_limit.lower())):
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


class RateLimiter(OfSession):
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
        self._logged: dict[str, float] = {}
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
            return _acquire(self._limiter, host, longest)
        with self._lock:
            bucket = self._buckets.get(host)
            if bucket is None:
                self._drop_idle(now)
                bucket = self._buckets[host] = self._new_bucket(host)
            return bucket.reserve(now, longest)

    def should_log(self, host: str, now: float, seconds: float) -> bool:
        """Say whether a wait is to be logged: no thread waited for this host a moment ago."""
        with self._lock:
            is_new = now > self._logged.get(host, -math.inf) + SAME_WAIT
            if len(self._logged) >= MOST_HOSTS:
                self._logged = {}
            self._logged[host] = max(now + seconds, self._logged.get(host, now))
            return is_new

    def reset_after_fork(self) -> None:
        """Replace the lock, and the places, which have locks of their own."""
        super().reset_after_fork()
        self._buckets = {}

    def _drop_idle(self, now: float) -> None:
        if len(self._buckets) >= MOST_HOSTS:
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

    def reserve(self, now: float, longest: float) -> float | None:
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
    pyrate = pyrate_limiter.Rate(rate.requests, math.ceil(rate.seconds * 1000))
    return lambda host: _Bucket(
        pyrate_limiter.InMemoryBucket([pyrate]), lambda when: pyrate_limiter.RateItem(host, when)
    )


def _acquire(limiter: Limiter, host: str, longest: float) -> float | None:
    timeout = -1 if longest == math.inf else max(0.0, longest)
    try:
        is_given = limiter.try_acquire(host, timeout=timeout)
    except TimeoutError as error:
        interrupts.reveal(error)
        return None
    if not isinstance(is_given, bool):
        raise ConfigurationError("rate_limit= is an asynchronous limiter, and sessions are not")
    return 0.0 if is_given else None
